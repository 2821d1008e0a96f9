//! Widths: no line is wider than the terminal.

use unicode_width::UnicodeWidthStr;

/// Breaks a text at spaces into lines of at most `width` columns; a longer word stays whole.
pub(super) fn text(text: &str, width: usize) -> String {
    let mut out = String::with_capacity(text.len());
    let mut used = 0;
    for word in text.split(' ') {
        let columns = columns(word);
        if used > 0 && used + 1 + columns > width {
            out.push('\n');
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += columns;
    }
    out
}

/// How many columns a line takes; colour sequences take none.
pub(super) fn columns(line: &str) -> usize {
    let mut columns = 0;
    let mut parts = line.split('\u{1b}');
    columns += parts.next().unwrap_or_default().width();
    for part in parts {
        columns += part.split_once('m').map_or(0, |(_, rest)| rest.width());
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_at_spaces() {
        assert_eq!(text("one two three", 7), "one two\nthree");
        assert_eq!(text("one", 2), "one");
        assert_eq!(text("", 2), "");
        assert_eq!(text("averylongword b", 4), "averylongword\nb");
    }

    #[test]
    fn colours_have_no_width() {
        assert_eq!(columns("\u{1b}[1mab\u{1b}[0m"), 2);
        assert_eq!(columns("日本"), 4);
    }
}

//! YAML as a person would have written it, in the style of kubectl: lists are as far in as their key.
//!
//! A text is written bare only where every reader, of YAML 1.1 or 1.2, takes it for a text; else it is quoted.

use std::fmt::Write as _;

use super::object::Tree;

/// What a bare word must not be: YAML 1.1 reads these as truth values or nothing.
const RESERVED: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];

/// One document, without its separator.
pub(super) fn document(tree: &Tree) -> String {
    let mut out = String::new();
    match tree {
        Tree::Map(entries) if !entries.is_empty() => map(&mut out, entries, 0, false),
        Tree::List(items) if !items.is_empty() => list(&mut out, items, 0),
        other => {
            leaf(&mut out, other, 0);
            out.push('\n');
        }
    }
    out
}

/// `started`: the first line already has its indentation, behind a dash.
fn map(out: &mut String, entries: &[(String, Tree)], indent: usize, started: bool) {
    for (index, (key, value)) in entries.iter().enumerate() {
        if !(started && index == 0) {
            indented(out, indent);
        }
        out.push_str(&inline(key));
        out.push(':');
        match value {
            Tree::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                map(out, entries, indent + 2, false);
            }
            Tree::List(items) if !items.is_empty() => {
                out.push('\n');
                list(out, items, indent);
            }
            other => {
                out.push(' ');
                leaf(out, other, indent);
                out.push('\n');
            }
        }
    }
}

fn list(out: &mut String, items: &[Tree], indent: usize) {
    for item in items {
        indented(out, indent);
        match item {
            Tree::Map(entries) if !entries.is_empty() => {
                out.push_str("- ");
                map(out, entries, indent + 2, true);
            }
            Tree::List(items) if !items.is_empty() => {
                out.push_str("-\n");
                list(out, items, indent + 2);
            }
            other => {
                out.push_str("- ");
                leaf(out, other, indent);
                out.push('\n');
            }
        }
    }
}

fn leaf(out: &mut String, tree: &Tree, indent: usize) {
    match tree {
        Tree::Map(_) => out.push_str("{}"),
        Tree::List(_) => out.push_str("[]"),
        Tree::Number(number) => _ = write!(out, "{number}"),
        Tree::Text(text) if can_be_block(text) => block(out, text, indent + 2),
        Tree::Text(text) => out.push_str(&inline(text)),
    }
}

fn indented(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Several lines, with nothing at their ends that a person could not see.
fn can_be_block(text: &str) -> bool {
    let lines = text.strip_suffix('\n').unwrap_or(text);
    let seen = |line: &str| !line.ends_with(' ') && line.chars().all(is_printable);
    text.contains('\n')
        && !lines.starts_with([' ', '\n'])
        && !lines.is_empty()
        && !lines.ends_with('\n')
        && lines.split('\n').all(seen)
}

fn block(out: &mut String, text: &str, indent: usize) {
    let (mark, lines) = text.strip_suffix('\n').map_or(("|-", text), |lines| ("|", lines));
    out.push_str(mark);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indented(out, indent);
            out.push_str(line);
        }
    }
}

/// On one line: bare, in single quotes, or with escapes in double quotes.
fn inline(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if !text.chars().all(is_printable) {
        escaped(text)
    } else if text.contains('\'') || !text.contains(['"', '\\']) {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        format!("'{text}'")
    }
}

/// Words and names, and addresses of IPv4 blocks: nothing that begins like a number, or that
/// punctuation could make into something else.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let begins = match chars.next() {
        Some(first) if first.is_ascii_alphabetic() => true,
        // No number or date has a slash.
        Some(first) if first.is_ascii_digit() => text.contains('/') && !text.contains([' ', '#']),
        _ => false,
    };
    begins
        && text.chars().all(is_printable)
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(text))
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with([':', ' '])
}

/// What YAML takes as it is; not so the marks that readers may take for the end of a line.
fn is_printable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn escaped(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => _ = write!(out, "\\u{:04X}", u32::from(c)),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Tree {
        Tree::text(text)
    }

    #[test]
    fn what_needs_no_quotes() {
        for plain in ["web", "kubernetes.io/metadata.name", "10.0.0.0/8", "2001:db8::/32", "a text, with [marks]"] {
            assert_eq!(inline(plain), plain);
        }
    }

    #[test]
    fn what_a_reader_could_take_for_something_else() {
        for text in [
            "",
            "on",
            "No",
            "NULL",
            "~",
            "80",
            "0x50",
            "1e3",
            "1_000",
            "8080-tcp",
            "2024-01-02",
            "::/0",
            "-",
            "- a",
            "a: b",
            "a:",
            "a #b",
            "#a",
            " a",
            "a ",
            "{}",
            "[a]",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "`a`",
            "?",
            ".5",
            "=",
            "<<",
            "1/2 #a",
        ] {
            assert_eq!(inline(text), format!("\"{text}\""));
        }
        assert_eq!(inline("'a' \"b\" \\"), r#""'a' \"b\" \\""#);
        assert_eq!(inline("{\"a\": 1}"), r#"'{"a": 1}'"#);
        assert_eq!(inline("a\tb\u{7}\r\u{2028}"), "\"a\\tb\\u0007\\r\\u2028\"");
    }

    #[test]
    fn lines_that_stay_lines() {
        let tree = Tree::from_iter([("a", text("one\n\n  two\n")), ("b", text("one\ntwo")), ("c", text("one\n\n"))]);
        assert_eq!(document(&tree), "a: |\n  one\n\n    two\nb: |-\n  one\n  two\nc: \"one\\n\\n\"\n");
        assert!(!can_be_block("one \ntwo") && !can_be_block(" one\ntwo") && !can_be_block("\n"));
    }

    #[test]
    fn lists_and_maps_within_each_other() {
        let inner = Tree::from_iter([("c", Tree::Number(1)), ("d", Tree::from_iter([text("x"), text("z")]))]);
        let tree = Tree::from_iter([
            ("a", Tree::from_iter([inner, Tree::Map(Vec::new())])),
            ("b", Tree::from_iter([("e", Tree::List(Vec::new()))])),
            ("f", Tree::from_iter([Tree::from_iter([text("g")])])),
        ]);
        let expected = "a:\n- c: 1\n  d:\n  - x\n  - z\n- {}\nb:\n  e: []\nf:\n-\n  - g\n";
        assert_eq!(document(&tree), expected);
    }
}

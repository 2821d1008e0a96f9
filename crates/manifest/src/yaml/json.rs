//! JSON objects one after the other: where each ends.

use super::stream::Place;

/// The object that `text` begins with; `None` when it does not end.
pub(super) fn object(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (place, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return text.get(..=place);
                }
            }
            _ => {}
        }
    }
    None
}

/// The place of what follows the first `length` bytes of `text` and the blanks behind them.
pub(super) fn after(text: &str, length: usize, start: Place) -> Place {
    let mut place = start;
    let mut chars = text.char_indices().peekable();
    while let Some((byte, c)) = chars.next() {
        place.byte = start.byte + byte;
        if byte >= length && !c.is_ascii_whitespace() {
            return place;
        }
        let position = &mut place.position;
        match c {
            '\r' if chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
            '\n' | '\r' => {
                position.line = position.line.saturating_add(1);
                position.column = 1;
            }
            _ => position.column = position.column.saturating_add(1),
        }
    }
    place.byte = start.byte + text.len();
    place
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::Position;

    use super::*;

    #[test]
    fn objects_end_at_their_brace() {
        assert_eq!(object("{}{}"), Some("{}"));
        assert_eq!(object(r#"{"a":"\"}"}x"#), Some(r#"{"a":"\"}"}"#));
        assert_eq!(object("{[}"), None);
        assert_eq!(object("{\"a"), None);
    }

    #[test]
    fn what_follows_has_its_place() {
        let start = Place { byte: 5, position: Position { line: 3, column: 2 } };
        let next = after("{}\r\n é{", 2, start);
        assert_eq!((next.byte, next.position.to_string()), (10, "4:2".to_owned()));
        let next = after("{\n}", 3, start);
        assert_eq!((next.byte, next.position.to_string()), (8, "4:2".to_owned()));
    }
}

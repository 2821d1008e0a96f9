//! JSON values as YAML in block style: as people write it, and as kubectl prints it.

use serde_json::Value;

/// `key: value` in block style, `depth` spaces in.
pub(crate) fn entry(text: &mut String, key: &str, value: &Value, depth: usize) {
    indent(text, depth);
    field(text, key, value, depth);
}

/// The same where the line has begun.
fn field(text: &mut String, key: &str, value: &Value, depth: usize) {
    scalar(text, key);
    text.push(':');
    match value {
        Value::Object(object) if !object.is_empty() => {
            text.push('\n');
            for (key, value) in object {
                entry(text, key, value, depth + 2);
            }
        }
        // As kubectl does: the items of a key stand under it, not further in.
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, items, depth);
        }
        value => {
            text.push(' ');
            leaf(text, value);
            text.push('\n');
        }
    }
}

fn sequence(text: &mut String, items: &[Value], depth: usize) {
    for value in items {
        indent(text, depth);
        text.push_str("- ");
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (number, (key, value)) in object.iter().enumerate() {
                    // The first key stands behind the hyphen.
                    indent(text, if number == 0 { 0 } else { depth + 2 });
                    field(text, key, value, depth + 2);
                }
            }
            // No object of the API has a list of lists.
            Value::Array(items) => text.push_str(&format!("{}\n", Value::from(items.as_slice()))),
            value => {
                leaf(text, value);
                text.push('\n');
            }
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n(' ', depth));
}

fn leaf(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(value) => scalar(text, value),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// A string, in quotes wherever it might be read as something else without.
fn scalar(text: &mut String, value: &str) {
    if is_plain(value) {
        return text.push_str(value);
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // Also what some reader takes for the end of a line, or for no character.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Whether every reader of YAML takes a text without quotes for this string.
fn is_plain(value: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let Some(first) = value.chars().next() else { return false };
    let harmless = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    let is_word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word));
    // No number has a slash or two dots: networks and addresses need no quotes.
    let no_number = value.contains('/') || value.matches('.').count() > 1;
    harmless && !is_word && (first.is_ascii_alphabetic() || (first.is_ascii_digit() && no_number))
}

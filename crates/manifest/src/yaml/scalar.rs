//! What type a scalar has: as kubectl reads it (YAML 1.1, the library `sigs.k8s.io/yaml`).
//!
//! YAML 1.2 would read `no` as a string and `0120` as 120. The API server gets JSON, and kubectl
//! makes that JSON by these older rules, so a checker has to follow them to the letter.
//!
//! But for four letters: kubectl makes booleans of `y`, `Y`, `n` and `N` too, which hardly any other
//! tool does, so that files written by other tools have them without quotes (the conformance suites'
//! do). What was meant is beyond doubt: they stay strings here, and the reader warns.

use super::tree::{Scalar, Style, Tag};

/// A scalar's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`, `~`, or nothing.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number, in any base.
    Integer(i64),
    /// A number with a fraction or an exponent, or one too large for an integer.
    Float(f64),
    /// Anything else.
    String(&'a str),
    /// A tag that the text does not fit (`!!int abc`) or that has no meaning in JSON (`!!binary`).
    Unusable,
}

impl Value<'_> {
    /// How messages call its type.
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Unusable => "a value of another type",
        }
    }
}

/// The value of a scalar.
pub(super) fn resolve<'a>(scalar: &'a Scalar<'_>) -> Value<'a> {
    let text = &*scalar.text;
    match (scalar.tag, scalar.style) {
        (Tag::None, Style::Plain) => plain(text),
        (Tag::None | Tag::String | Tag::Other, _) => Value::String(text),
        (Tag::Integer, _) => match plain(text) {
            value @ Value::Integer(_) => value,
            _ => Value::Unusable,
        },
        (Tag::Float, _) => match plain(text) {
            value @ (Value::Integer(_) | Value::Float(_)) => value,
            _ => Value::Unusable,
        },
        (Tag::Boolean, _) => match plain(text) {
            value @ Value::Bool(_) => value,
            _ => Value::Unusable,
        },
        (Tag::Null, _) => match plain(text) {
            Value::Null => Value::Null,
            _ => Value::Unusable,
        },
    }
}

/// Whether kubectl makes a boolean of what is a string here.
pub(super) fn is_bool_letter(scalar: &Scalar<'_>) -> bool {
    let plain = scalar.style == Style::Plain && scalar.tag == Tag::None;
    plain && matches!(&*scalar.text, "y" | "Y" | "n" | "N")
}

/// The value of a text without quotes and tag.
pub(crate) fn plain(text: &str) -> Value<'_> {
    match text.as_bytes().first() {
        None => Value::Null,
        Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => word(text),
        Some(b'.') => fraction(text),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        Some(_) => Value::String(text),
    }
}

fn word(text: &str) -> Value<'_> {
    match text {
        "~" | "null" | "Null" | "NULL" => Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => Value::String(text),
    }
}

fn fraction(text: &str) -> Value<'_> {
    match text {
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Value::Float(f64::INFINITY),
        _ => decimal(text).map_or(Value::String(text), Value::Float),
    }
}

fn number(text: &str) -> Value<'_> {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    // Most of what starts with a digit is a version, an address or a quantity.
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-')) {
        return Value::String(text);
    }
    if text.contains('_') {
        let digits: String = text.chars().filter(|c| *c != '_').collect();
        return integer(&digits).or_else(|| decimal(&digits).map(Value::Float)).unwrap_or(Value::String(text));
    }
    integer(text).or_else(|| decimal(text).map(Value::Float)).unwrap_or(Value::String(text))
}

/// A whole number as Go reads it: `0x`, `0o` and `0b` in front, or a leading zero for octal.
fn integer(text: &str) -> Option<Value<'static>> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let based = |prefixes: [&str; 2], radix| {
        prefixes.into_iter().find_map(|prefix| digits.strip_prefix(prefix)).map(|rest| (rest, radix))
    };
    let (digits, radix) = based(["0x", "0X"], 16)
        .or_else(|| based(["0b", "0B"], 2))
        .or_else(|| based(["0o", "0O"], 8))
        .or_else(|| digits.strip_prefix('0').filter(|rest| !rest.is_empty()).map(|rest| (rest, 8)))
        .unwrap_or((digits, 10));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    match i128::from_str_radix(digits, radix) {
        Ok(magnitude) => {
            let value = if negative { -magnitude } else { magnitude };
            Some(i64::try_from(value).map_or_else(|_| Value::Float(value as f64), Value::Integer))
        }
        // More digits than any field has room for: all that counts is that it is a number.
        Err(_) => Some(Value::Float(if negative { f64::MIN } else { f64::MAX })),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn decimal(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').map_or((mantissa, None), |(whole, part)| (whole, Some(part)));
    let fits = all_digits(whole)
        && all_digits(part.unwrap_or_default())
        && (!whole.is_empty() || part.is_some_and(|part| !part.is_empty()))
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent));
    if fits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_booleans_as_in_yaml_1_1() {
        for word in ["yes", "Yes", "YES", "on", "On", "true", "TRUE"] {
            assert_eq!(plain(word), Value::Bool(true), "{word}");
        }
        for word in ["no", "No", "NO", "off", "OFF", "false", "False"] {
            assert_eq!(plain(word), Value::Bool(false), "{word}");
        }
        for word in ["y", "N", "yEs", "none", "tRUE", "office", "oN", "nope"] {
            assert_eq!(plain(word), Value::String(word));
        }
    }

    #[test]
    fn numbers_have_the_bases_that_go_knows() {
        for (text, value) in [
            ("80", 80),
            ("0x50", 80),
            ("0X50", 80),
            ("0120", 80),
            ("0o120", 80),
            ("0b1010000", 80),
            ("1_000", 1000),
            ("+80", 80),
            ("-1", -1),
            ("-0x10", -16),
            ("0", 0),
            ("00", 0),
        ] {
            assert_eq!(plain(text), Value::Integer(value), "{text}");
        }
        for (text, value) in [("80.0", 80.0), ("8e1", 80.0), ("08", 8.0), ("1.", 1.0), (".5", 0.5), ("1e+3", 1000.0)] {
            assert_eq!(plain(text), Value::Float(value), "{text}");
        }
        assert_eq!(plain("99999999999999999999"), Value::Float(99999999999999999999.0));
    }

    #[test]
    fn what_only_begins_like_a_number_is_a_string() {
        for text in
            ["1:30", "2024-01-02", "10.0.0.0/8", "1.2.3", "0x", "80a", "e5", "1e", "-", "+", ".", "..", "0b2", "500m"]
        {
            assert_eq!(plain(text), Value::String(text), "{text}");
        }
    }

    #[test]
    fn null_has_four_spellings_and_silence() {
        for text in ["", "~", "null", "Null", "NULL"] {
            assert_eq!(plain(text), Value::Null, "{text}");
        }
        assert_eq!(plain("nUll"), Value::String("nUll"));
    }

    #[test]
    fn quotes_and_tags_decide() {
        let scalar = |text: &'static str, style, tag| Scalar { text: text.into(), style, tag };
        assert_eq!(resolve(&scalar("no", Style::Quoted, Tag::None)), Value::String("no"));
        assert_eq!(resolve(&scalar("1", Style::Plain, Tag::String)), Value::String("1"));
        assert_eq!(resolve(&scalar("1", Style::Quoted, Tag::Integer)), Value::Integer(1));
        assert_eq!(resolve(&scalar("x", Style::Plain, Tag::Integer)), Value::Unusable);
        assert_eq!(resolve(&scalar("", Style::Plain, Tag::None)), Value::Null);
        assert_eq!(resolve(&scalar("", Style::Quoted, Tag::None)), Value::String(""));
    }
}

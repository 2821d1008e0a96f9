//! Names, label keys, label values and port names (`k8s.io/apimachinery/pkg/util/validation`).

/// What is wrong with a text that should be a DNS subdomain (`metadata.name` of most kinds).
pub(crate) fn subdomain(text: &str) -> Option<String> {
    if text.len() > 253 {
        return Some("is longer than 253 characters".to_owned());
    }
    if !text.is_empty() && text.split('.').all(is_dns_word) {
        return None;
    }
    Some("may have only a-z, 0-9, `-` and `.`, and must begin and end with a letter or digit".to_owned())
}

/// What is wrong with a text that should be a DNS label (a namespace).
pub(crate) fn dns_label(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some("is longer than 63 characters".to_owned());
    }
    if is_dns_word(text) {
        return None;
    }
    Some("may have only a-z, 0-9 and `-`, and must begin and end with a letter or digit".to_owned())
}

/// What is wrong with a text that should be the key of a label (or of an annotation).
pub(crate) fn label_key(text: &str) -> Option<String> {
    let name = match text.split_once('/') {
        None => text,
        Some((_, rest)) if rest.contains('/') => return Some("has more than one `/`".to_owned()),
        Some(("", _)) => return Some("has nothing before the `/`".to_owned()),
        Some((prefix, name)) => {
            if let Some(wrong) = subdomain(prefix) {
                return Some(format!("has the prefix `{prefix}`, which {wrong}"));
            }
            name
        }
    };
    if name.is_empty() {
        return Some("has no name".to_owned());
    }
    word(name)
}

/// What is wrong with a text that should be the value of a label.
pub(crate) fn label_value(text: &str) -> Option<String> {
    if text.is_empty() { None } else { word(text) }
}

/// What is wrong with a text that should be the name of a port.
pub(crate) fn port_name(text: &str) -> Option<String> {
    let wrong = if text.is_empty() {
        "is empty"
    } else if text.len() > 15 {
        "is longer than 15 characters"
    } else if !text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')) {
        "may have only a-z, 0-9 and `-`"
    } else if !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        "must have at least one letter a-z"
    } else if text.contains("--") {
        "must not have two hyphens in a row"
    } else if text.starts_with('-') || text.ends_with('-') {
        "must not begin or end with a hyphen"
    } else {
        return None;
    };
    Some(wrong.to_owned())
}

fn word(text: &str) -> Option<String> {
    if text.len() > 63 {
        return Some("is longer than 63 characters".to_owned());
    }
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let outer = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    if text.bytes().all(inner) && outer(text.bytes().next()) && outer(text.bytes().next_back()) {
        return None;
    }
    Some("may have only letters, digits, `-`, `_` and `.`, and must begin and end with a letter or digit".to_owned())
}

fn is_dns_word(text: &str) -> bool {
    let inner = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !text.is_empty() && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "0case", "a.b.c", "123", &"a".repeat(253)] {
            assert_eq!(subdomain(good), None, "{good}");
        }
        for bad in ["", "Case", "case-", "a..b", "café", ".a", "a_b", &"a".repeat(254)] {
            assert!(subdomain(bad).is_some(), "{bad}");
        }
        assert!(dns_label("a.b").is_some());
        assert!(dns_label(&"a".repeat(64)).is_some());
    }

    #[test]
    fn labels() {
        for good in ["app", "app.kubernetes.io/name", "A_b.c-d", "1"] {
            assert_eq!(label_key(good), None, "{good}");
        }
        for bad in ["", "a/b/c", "/a", "a/", "Example_com/role", "-app", "a b", &"k".repeat(64)] {
            assert!(label_key(bad).is_some(), "{bad}");
        }
        assert_eq!(label_value(""), None);
        assert!(label_value("not ok").is_some());
        assert!(label_value(&"a".repeat(64)).is_some());
    }

    #[test]
    fn ports() {
        for good in ["http", "a", "8080-tcp", "abcdefghijklmno"] {
            assert_eq!(port_name(good), None, "{good}");
        }
        for bad in ["", "HTTP", "http_alt", "a--b", "-http", "1-2", "80", "abcdefghijklmnop"] {
            assert!(port_name(bad).is_some(), "{bad}");
        }
    }
}

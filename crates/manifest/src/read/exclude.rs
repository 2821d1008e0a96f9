//! Which files of a folder are not read.

use std::path::Path;

/// A pattern of paths, as in `.gitignore`: `*` and `?` stay within a name, `**` is any folders. One without
/// a `/` inside is about names at any depth, and what a pattern names is left out with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    names: Vec<String>,
}

impl Pattern {
    /// The pattern written so; `None` when it is empty.
    pub fn new(text: &str) -> Option<Self> {
        let is_anchored = text.trim_end_matches('/').contains('/');
        let names = text.split('/').filter(|name| !name.is_empty() && *name != ".").map(str::to_owned);
        let anywhere = (!is_anchored).then(|| "**".to_owned());
        let names: Vec<String> = anywhere.into_iter().chain(names).collect();
        names.iter().any(|name| name != "**").then_some(Self { names })
    }

    /// Whether a path, or a folder above it, is one of these.
    pub fn matches(&self, path: &Path) -> bool {
        let parts: Vec<String> =
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| *part != ".").collect();
        (1..=parts.len()).any(|count| matches(&self.names, parts.get(..count).unwrap_or_default()))
    }
}

fn matches(names: &[String], parts: &[&str]) -> bool {
    match (names.split_first(), parts.split_first()) {
        (None, None) => true,
        (Some((name, rest)), _) if name == "**" => {
            matches(rest, parts) || parts.split_first().is_some_and(|(_, below)| matches(names, below))
        }
        (Some((name, rest)), Some((part, below))) => {
            let (name, part): (Vec<char>, Vec<char>) = (name.chars().collect(), part.chars().collect());
            is_like(&name, &part) && matches(rest, below)
        }
        _ => false,
    }
}

/// Whether a name is like a pattern of `*`, `?` and letters.
fn is_like(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            is_like(rest, name) || name.split_first().is_some_and(|(_, after)| is_like(pattern, after))
        }
        (Some((one, rest)), Some((c, after))) => (*one == '?' || one == c) && is_like(rest, after),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_gitignore() {
        let matches = |pattern: &str, path: &str| Pattern::new(pattern).unwrap().matches(Path::new(path));
        for (pattern, path) in [
            ("*.gen.yaml", "a/b/x.gen.yaml"),
            ("vendor", "a/vendor/b/x.yaml"),
            ("vendor/", "vendor/x.yaml"),
            ("a/b", "./a/b/x.yaml"),
            ("/a", "a/x.yaml"),
            ("a/**/x.yaml", "a/x.yaml"),
            ("a/**/x.yaml", "a/b/c/x.yaml"),
            ("**/test?/*", "a/test1/x.yaml"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("*.gen.yaml", "a/x.yaml"),
            ("vendor", "vendors/x.yaml"),
            ("b/x.yaml", "a/b/x.yaml"),
            ("a/*.yaml", "a/b/x.yaml"),
            ("a/test?", "a/test/x.yaml"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
        assert_eq!(Pattern::new(" ").map(|_| ()), Some(()));
        for nothing in ["", "/", "./", "**"] {
            assert_eq!(Pattern::new(nothing), None, "{nothing}");
        }
    }
}

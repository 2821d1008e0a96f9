//! Names made from content: equal content has one name, in this run and the next.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::{
    ruleset::{Chain, Name, Rule},
    text,
};

/// `prefix-` and 32 hexadecimal digits that stand for `content` (SHA-256, the first 128 bits).
///
/// Content holds what users write: were it cheap to find a second text of the same name, a selector
/// in one namespace could replace the peers of a policy in another.
pub(super) fn content_name(prefix: &str, content: &str) -> String {
    let mut name = format!("{prefix}-");
    for byte in Sha256::digest(content).iter().take(16) {
        // Writing to a String does not fail.
        _ = write!(name, "{byte:02x}");
    }
    name
}

/// A chain of these rules, named by them.
pub(super) fn named_chain(prefix: &str, rules: Vec<Rule>) -> (Name, Chain) {
    let content: Vec<String> = rules.iter().map(text::rule).collect();
    (content_name(prefix, &content.join("\n")), Chain { is_base: false, rules })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_what_it_is() {
        // A test vector of FIPS 180-2.
        assert_eq!(content_name("p4", "abc"), "p4-ba7816bf8f01cfea414140de5dae2223");
    }
}

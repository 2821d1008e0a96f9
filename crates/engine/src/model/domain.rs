//! Domain names that a policy accepts, and what they were told to resolve to.

use std::{fmt, net::IpAddr};

use super::Name;

/// A name, or `*.` and a name: all names below it. In lower case, without the final dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Name);

/// Why a text is no domain name that a policy can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotADomainName {
    /// A label is empty, too long, or has other characters.
    #[error("has a label that is empty, longer than 63 characters, or of other characters than a-z, 0-9, `-` and `_`")]
    Label,
    /// It has one label only.
    #[error("has one label only, and a name needs a dot between two")]
    OneLabel,
    /// A `*` that is not the whole first label.
    #[error("has a `*` that is not its whole first label")]
    Wildcard,
    /// More than a name can have.
    #[error("is longer than 253 characters")]
    TooLong,
}

impl DomainName {
    /// Parses a name as the API has it: labels of letters, digits, `-` and `_`, at least two of them, and
    /// perhaps `*.` in front.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, NotADomainName> {
        let lower = text.to_ascii_lowercase();
        let lower = lower.strip_suffix('.').unwrap_or(&lower);
        if lower.len() > 253 {
            return Err(NotADomainName::TooLong);
        }
        let name = lower.strip_prefix("*.").unwrap_or(lower);
        if name.contains('*') {
            return Err(NotADomainName::Wildcard);
        }
        if !name.split('.').all(is_label) {
            return Err(NotADomainName::Label);
        }
        if !name.contains('.') {
            return Err(NotADomainName::OneLabel);
        }
        Ok(Self(Name::from(lower)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it stands for all names below another one.
    pub fn is_pattern(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Whether this name or pattern holds `other`: itself, or what is below a pattern's name, one label or
    /// more (`*.example.com` is not `example.com`).
    pub fn holds(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        let Some(suffix) = self.0.strip_prefix('*') else { return false };
        other.0.strip_prefix("*").unwrap_or(&other.0).strip_suffix(suffix).is_some_and(|rest| !rest.is_empty())
    }

    /// Whether it may be a name of the cluster's own (`cluster.local`), whose addresses can be pods'.
    pub fn may_be_inside(&self) -> bool {
        let name = self.0.strip_prefix("*.").unwrap_or(&self.0);
        name == "cluster.local" || name.ends_with(".cluster.local")
    }
}

fn is_label(text: &str) -> bool {
    let outer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    text.len() <= 63 && text.chars().all(inner) && outer(text.chars().next()) && outer(text.chars().next_back())
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A name and one of the addresses that it resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The name, or a pattern for all that is below it.
    pub name: DomainName,
    /// An address.
    pub address: IpAddr,
}

/// What some names and patterns of a policy resolve to, as far as it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The addresses that they were told to have.
    pub addresses: Vec<IpAddr>,
    /// Whether one of them may have other addresses outside.
    pub may_be_outside: bool,
    /// Whether one of them may have the address of a pod or a node.
    pub may_be_inside: bool,
}

/// What `names` resolve to by what was told. A name that was told is told whole; a pattern is only where
/// it was told itself, for there may always be one more name below it.
pub fn resolution(names: &[DomainName], told: &[Resolved]) -> Resolution {
    let mut found = Resolution::default();
    for name in names {
        found.addresses.extend(told.iter().filter(|one| name.holds(&one.name)).map(|one| one.address.to_canonical()));
        if !told.iter().any(|one| one.name == *name) {
            found.may_be_outside = true;
            found.may_be_inside |= name.may_be_inside();
        }
    }
    found.addresses.sort_unstable();
    found.addresses.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    #[test]
    fn names() {
        for good in ["kubernetes.io", "*.kubernetes.io", "A.Example.COM.", "a_b.c-d.e", "*.co.uk", "1.2"] {
            assert!(DomainName::parse(good).is_ok(), "{good}");
        }
        assert_eq!(name("A.Example.COM.").as_str(), "a.example.com");
        for bad in ["", "localhost", "*", "*.", "*.io", "a.*.io", "*a.b.c", "a..b", "-a.b", "a.b-", "a b.c", "[.b"] {
            assert!(DomainName::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(DomainName::parse(&format!("{}.io", "a".repeat(64))), Err(NotADomainName::Label));
        assert_eq!(DomainName::parse(&"a.".repeat(130)), Err(NotADomainName::TooLong));
    }

    #[test]
    fn a_pattern_holds_what_is_below() {
        let pattern = name("*.kubernetes.io");
        assert!(pattern.holds(&name("www.kubernetes.io")) && pattern.holds(&name("latest.blog.kubernetes.io")));
        assert!(pattern.holds(&name("*.blog.kubernetes.io")) && pattern.holds(&pattern));
        for other in ["kubernetes.io", "my-kubernetes.io", "wikipedia.org", "*.io.net"] {
            assert!(!pattern.holds(&name(other)), "{other}");
        }
        assert!(name("a.io").holds(&name("A.io")) && !name("a.io").holds(&name("b.a.io")));
    }

    #[test]
    fn what_was_told_of_a_name_is_all_of_it() {
        let told = [Resolved { name: name("a.io"), address: [203, 0, 113, 9].into() }];
        let found = resolution(&[name("a.io")], &told);
        assert_eq!(found, Resolution { addresses: vec![[203, 0, 113, 9].into()], ..Resolution::default() });
        assert!(resolution(&[name("a.io"), name("b.io")], &told).may_be_outside);
        let inside = resolution(&[name("db.prod.svc.cluster.local")], &told);
        assert!(inside.may_be_inside && inside.addresses.is_empty());
        let below = Resolved { name: name("x.b.io"), address: [203, 0, 113, 7].into() };
        let pattern = resolution(&[name("*.b.io")], &[below]);
        assert!(pattern.may_be_outside && pattern.addresses.len() == 1);
    }
}

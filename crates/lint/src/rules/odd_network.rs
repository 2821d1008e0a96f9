//! A network that is not written as it is meant
//!
//! ## What it does
//! Finds networks with bits set after their prefix, with leading zeros, or of IPv4 written as IPv6, when
//! `--server-version` is one that takes them (later servers refuse them, which is an error and not this
//! rule); and IPv6 networks that are not in the shortest form.
//!
//! ## Why is this bad
//! `10.1.2.3/8` looks like one address and is sixteen million. Servers from 1.36 on refuse it when the policy
//! is created, and let old ones be; of long IPv6 forms they warn.
//!
//! ## Example
//! ```yaml
//! ipBlock:
//!   cidr: 10.1.2.3/8
//! ```
//!
//! ## Use instead
//! ```yaml
//! ipBlock:
//!   cidr: 10.0.0.0/8
//! ```
//! `--fix` writes it.
//!
//! ## Where it comes from
//! KEP-4858 (strict validation of addresses and networks), on by default from Kubernetes 1.36; RFC 5952.

use palisade_manifest::{Fix, Safety};

use crate::{Finding, Level, Lint, Subject};

pub(crate) const LINT: Lint = Lint {
    code: "NP406",
    name: "odd-network",
    level: Some(Level::Warning),
    source: include_str!("odd_network.rs"),
    check,
};

fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for odd in subject.networks {
        let (message, label) = match &odd.refused {
            Some(wrong) => (
                format!("network `{}` {wrong}: servers from 1.36 on refuse it", odd.text),
                format!("this one takes it for `{}`", odd.network),
            ),
            None => (
                format!("network `{}` is not written in the shortest form, of which servers warn", odd.text),
                format!("write `{}`", odd.network),
            ),
        };
        let fix = Fix::write(Safety::Safe, odd.at, odd.network.to_string());
        let finding = Finding::new(&odd.object, message).at(&odd.field, Some(odd.at), label);
        findings.push(finding.help(format!("write `{}`", odd.network)).fix(Some(fix)));
    }
}

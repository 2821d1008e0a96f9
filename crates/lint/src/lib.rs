//! Known mistakes in network policies.
//!
//! ```text
//! Cluster + PolicyProgram ──► rules/*.rs   one file a rule ──► Finding…  (code, place, words, fix)
//!                               │
//!                               └─ its doc comment is its page: `palisade check --explain CODE`, docs/lints/CODE.md
//! ```
//!
//! A rule asks the compiled program, not the policies' text, whatever the program can answer: what a
//! selector selects, what is allowed, whether two rules mean the same.

mod finding;
mod index;
mod nearest;
mod page;
mod rules;
mod subject;
mod wishes;

pub use finding::{Finding, Level, Note};
pub use page::Page;
pub use rules::REGISTRY;
pub use subject::Subject;
pub use wishes::Wishes;

/// One rule of the registry.
#[derive(Debug)]
pub struct Lint {
    /// Its code, such as `NP103`: never reused, never changed.
    pub code: &'static str,
    /// Its name, such as `egress-without-dns`.
    pub name: &'static str,
    /// How bad a finding is, when nobody says otherwise; `None`: the rule is off.
    pub level: Option<Level>,
    /// The source of the rule, whose doc comment is its page.
    source: &'static str,
    /// Finds.
    check: fn(&Subject<'_>, &mut Vec<Finding>),
}

impl Lint {
    /// What is found in a cluster, in the order of the policies, but for what objects do not want to hear of.
    pub fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        (self.check)(subject, &mut findings);
        findings.retain(|finding| !subject.wishes.silence(finding, self.code));
        findings
    }

    /// Its page.
    pub fn page(&self) -> Page<'static> {
        Page::of(self.source)
    }
}

/// The rule of a code or name.
pub fn find(text: &str) -> Option<&'static Lint> {
    REGISTRY.iter().copied().find(|lint| lint.code.eq_ignore_ascii_case(text) || lint.name == text)
}

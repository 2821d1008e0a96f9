//! What the experiment found: of each flow what was predicted and what was seen.

use std::{collections::BTreeSet, time::Duration};

use palisade_engine::{model::Direction, verdict::Outcome};

/// What the lab saw.
#[derive(Debug)]
pub struct Report {
    /// Of each flow, in the order given.
    pub results: Vec<FlowResult>,
    /// What was in the kernel.
    pub rules: RuleStats,
    /// How long each part took.
    pub times: Times,
}

/// What was predicted and seen of one flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowResult {
    /// What the engine says.
    pub predicted: Outcome,
    /// What real packets say.
    pub observed: Observed,
    /// At which ends audited policies would deny it.
    pub audit: Audit,
}

/// In which directions audited policies would deny a flow on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// What the engine says.
    pub predicted: BTreeSet<Direction>,
    /// What the rulesets logged.
    pub observed: BTreeSet<Direction>,
}

/// What became of a flow under the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It was answered.
    Reached,
    /// It was dropped, and the ruleset says so.
    Dropped {
        /// The node that dropped it.
        node: String,
        /// The chain that did: its name stands for the policies that isolate.
        chain: String,
    },
    /// Nothing came back, and no ruleset reports a drop: it proves nothing.
    Lost,
    /// An answer that says no; a ruleset never gives one.
    Refused(String),
}

impl FlowResult {
    /// Whether prediction and observation agree.
    pub fn as_predicted(&self) -> bool {
        let verdict = match self.observed {
            Observed::Reached => self.predicted == Outcome::Allow,
            Observed::Dropped { .. } => self.predicted == Outcome::Deny,
            Observed::Lost | Observed::Refused(_) => false,
        };
        verdict && self.audit.predicted == self.audit.observed
    }
}

/// Sizes of the rulesets of all nodes together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleStats {
    /// Profiles that isolate somebody.
    pub profiles: usize,
    /// Sets and maps.
    pub sets: usize,
    /// Their elements.
    pub elements: usize,
    /// Chains.
    pub chains: usize,
}

/// How long the parts of a run took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Namespaces, links and routes.
    pub up: Duration,
    /// Rulesets planned and in the kernel.
    pub rules: Duration,
    /// Both passes of probes.
    pub probes: Duration,
}

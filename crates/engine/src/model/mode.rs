//! Whether a policy is enforced or only audited: the annotation `palisade.dev/mode`.
//!
//! ```text
//! an agent that audits all ──► else a policy's own annotation ──► else, of a NetworkPolicy, its namespace's
//!                                                             ──► else enforced
//! ```

use std::{fmt, sync::Arc};

use super::{Cluster, PolicyRef};

/// What becomes of what a policy denies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// What no enforced policy denies passes, and it is said that this policy would deny it. What the policy
    /// would allow is not allowed either: it counts as if it were not there.
    Audit,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Audit];

    /// The annotation of a policy, or of a namespace for the NetworkPolicies in it.
    pub const ANNOTATION: &'static str = "palisade.dev/mode";

    /// Its value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }

    /// The mode of a value.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == text)
    }

    /// What a policy that says this of itself is taken to say by an agent of this mode: one that audits audits every
    /// policy, one that enforces goes by what they say.
    pub fn over(self, said: Option<Self>) -> Option<Self> {
        match self {
            Self::Audit => Some(self),
            Self::Enforce => said,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Cluster {
    /// Whether a policy is enforced or audited: what it says itself, and else what the namespace of a
    /// NetworkPolicy says.
    pub fn mode_of(&self, policy: PolicyRef) -> Mode {
        let said = match policy {
            PolicyRef::Network(id) => {
                let policy = self.policy(id);
                policy.mode.or_else(|| self.namespace(&policy.id.namespace)?.mode)
            }
            PolicyRef::Cluster(id) => self.cluster_policy(id).mode,
        };
        said.unwrap_or_default()
    }

    /// The same cluster as an agent of this mode takes it.
    #[must_use]
    pub fn in_mode(mut self, mode: Mode) -> Self {
        // Of what stays as it is nothing is copied.
        if mode == Mode::Audit {
            self.parts.policies.iter_mut().map(Arc::make_mut).for_each(|policy| policy.mode = mode.over(policy.mode));
            self.parts.cluster_policies.iter_mut().for_each(|policy| policy.mode = mode.over(policy.mode));
        }
        self
    }

    /// Whether some policy is audited.
    pub fn has_audited(&self) -> bool {
        self.all_policies().any(|policy| self.mode_of(policy) == Mode::Audit)
    }
}

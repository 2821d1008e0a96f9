//! Rules as compiled: an action, the peers, the ports, and where it comes from.

use super::{BlockId, NameListId, NodeSetId, RequirementId, SelectorId};
pub use crate::model::Action;
use crate::model::{Direction, Name, PolicyRef, PortRange, Protocol};

/// A rule of one program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub(crate) u32);

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which rule of which policy it is.
    pub origin: RuleOrigin,
    /// What it does.
    pub action: Action,
    /// With whom.
    pub peers: Peers,
    /// By which traffic.
    pub ports: Ports,
}

/// The place of a rule: `spec.<direction>[index]` of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleOrigin {
    /// The policy.
    pub policy: PolicyRef,
    /// `ingress` or `egress`.
    pub direction: Direction,
    /// The index in the list.
    pub index: usize,
}

/// The peers of a rule.
#[derive(Clone, Debug)]
pub enum Peers {
    /// Anyone, inside or outside.
    Any,
    /// Whoever one of these matches; in the order written.
    Of(Vec<RulePeer>),
}

/// One item of a rule's peers.
#[derive(Clone, Debug)]
pub enum RulePeer {
    /// Pods by label.
    Pods {
        /// The conditions on the namespace, as written; `None`: the policy's own namespace.
        namespaces: Option<Vec<RequirementId>>,
        /// The conditions on the pod, as written.
        pods: Vec<RequirementId>,
        /// The identities for which all of them hold.
        members: SelectorId,
    },
    /// Anyone by address.
    Block(BlockId),
    /// Nodes by label.
    Nodes {
        /// The conditions, as written.
        requirements: Vec<RequirementId>,
        /// The nodes for which all of them hold.
        members: NodeSetId,
    },
    /// Whoever has an address that a domain name resolves to.
    Names {
        /// The names, as written.
        names: NameListId,
        /// The addresses that the names were told to have.
        known: BlockId,
        /// Whether an outside address may be one of theirs too.
        may_be_outside: bool,
        /// Whether the address of a pod or a node may be.
        may_be_inside: bool,
    },
}

/// The traffic of a rule.
#[derive(Clone, Debug)]
pub enum Ports {
    /// All of it, also without ports.
    All,
    /// What one of these matches; in the order written.
    Of(Vec<RulePort>),
}

/// One item of a rule's ports.
#[derive(Clone, Debug)]
pub struct RulePort {
    /// The protocol.
    pub protocol: Protocol,
    /// Its ports.
    pub ports: RulePorts,
    /// The item that says so, by index: a name without a protocol comes to one for each.
    pub written: usize,
}

/// The ports of one item.
#[derive(Clone, Debug)]
pub enum RulePorts {
    /// From a first to a last.
    Range(PortRange),
    /// Those that the destination pod gives this name.
    Named(Name),
}

//! What a test file says, as types that cannot be wrong.

use ipnet::IpNet;
use palisade_engine::{
    model::{Direction, LabelSelector, Name, PortRange, Protocol, Span},
    sets::PrefixSet,
};

use crate::endpoint::EndName;

/// The one `apiVersion` of test files.
pub(super) const API_VERSION: &str = "palisade.dev/v1alpha1";
/// Their kind.
pub(super) const KIND: &str = "PolicyTest";

/// One item of `tests`.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) at: Span,
    /// The namespace of ends that name none, when the document says one.
    pub(super) namespace: Option<String>,
    pub(super) assertions: Vec<Assertion>,
}

/// What must be so.
#[derive(Debug)]
pub(super) struct Assertion {
    pub(super) form: Form,
    pub(super) at: Span,
    /// The sources; of [`Form::Isolated`] for egress, its pods.
    pub(super) from: Option<EndSpec>,
    /// The destinations; of [`Form::Isolated`] for ingress, its pods.
    pub(super) to: Option<EndSpec>,
    pub(super) ports: Ports,
    /// Whether an end may select nobody.
    pub(super) allow_empty: bool,
}

/// The forms of assertions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Everyone of `from` may send all of `ports` to everyone of `to`.
    Allow,
    /// Nobody of `from` may send any of `ports` to anyone of `to`.
    Deny,
    /// Nobody but `from` may send any of `ports` to anyone of `to`.
    Only,
    /// Nobody of `from` may send any of `ports` to anyone but `to`.
    OnlyTo,
    /// Every pod is isolated in a direction.
    Isolated(Direction),
}

impl Form {
    /// The key in the file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Only => "only",
            Self::OnlyTo => "onlyTo",
            Self::Isolated(_) => "isolated",
        }
    }
}

/// Some ends.
#[derive(Debug)]
pub(super) struct EndSpec {
    pub(super) items: Vec<Item>,
}

/// One of several ends, and how it was written.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) meant: Meant,
    /// In words.
    pub(super) text: String,
    pub(super) at: Span,
}

/// Who is meant.
#[derive(Debug)]
pub(super) enum Meant {
    /// Every pod, every node, and the outside.
    Anyone,
    /// Every address that neither a pod nor a node has.
    Outside,
    /// What the whole command calls so: a pod, a workload, a Service, a node, a namespace, an address.
    Named(EndName),
    /// Whoever has an address in it.
    Network(PrefixSet),
    /// Pods by label.
    Pods { namespaces: Namespaces, pods: LabelSelector },
}

/// The namespaces of pods by label.
#[derive(Debug)]
pub(super) enum Namespaces {
    /// The namespace of what names none.
    Own,
    /// This one.
    Named(String),
    /// Those with such labels.
    Matching(LabelSelector),
}

/// What traffic is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Ports {
    /// All of it.
    #[default]
    All,
    /// `ports`
    These(Vec<PortSpec>),
    /// `exceptPorts`: all but these.
    AllBut(Vec<PortSpec>),
}

/// One item of `ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PortSpec {
    /// `8080`, `8080-8090/udp`
    Range(PortRange, Protocol),
    /// `http`: what the destination gives this name; without a protocol whichever it has.
    Named(Name, Option<Protocol>),
    /// `icmp`: traffic without ports.
    Icmp,
}

/// All addresses.
pub(super) fn everywhere() -> PrefixSet {
    ["0.0.0.0/0", "::/0"].into_iter().filter_map(|all| all.parse::<IpNet>().ok()).collect()
}

//! What is changed: some objects beside the generated cluster, each change of which reaches this node's rules.
//!
//! ```text
//! namespace bench      subject (here) ◄── peers (elsewhere)      policies select subject
//! namespace visitors   50 pods (elsewhere), let in as long as the namespace has a label
//! ```

use palisade_agent::{Change, Key, Object};
use palisade_engine::model::{
    LabelSelector, Labels, Namespace, NamespaceScope, NetworkPolicy, ObjectRef, Peer, Pod, PodAddresses, PolicyPort,
    PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol, Requirement,
};

const HERE: &str = "bench";
const VISITORS: &str = "visitors";
/// How many pods a namespace's label is about.
const VISITING: u32 = 50;

/// One kind of change. Each is made and then made undone, and both are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single {
    /// A pod elsewhere that a policy here lets in comes and goes.
    Pod,
    /// A pod of this node, isolated by policies, comes and goes.
    LocalPod,
    /// A pod elsewhere gets the label by which it is let in, and loses it.
    Relabelled,
    /// A policy comes and goes.
    Policy,
    /// A policy's port becomes another one.
    Edited,
    /// A namespace gets the label by which its pods are let in, and loses it.
    NamespaceLabel,
}

impl Single {
    pub(crate) const ALL: [Self; 6] =
        [Self::Pod, Self::LocalPod, Self::Relabelled, Self::Policy, Self::Edited, Self::NamespaceLabel];

    /// What the change and its undoing are called; the same where one is like the other.
    pub(crate) fn names(self) -> [&'static str; 2] {
        match self {
            Self::Pod => ["pod added", "pod removed"],
            Self::LocalPod => ["local pod added", "local pod removed"],
            Self::Relabelled => ["pod relabelled", "pod relabelled"],
            Self::Policy => ["policy added", "policy removed"],
            Self::Edited => ["policy changed", "policy changed"],
            Self::NamespaceLabel => ["namespace label changed", "namespace label changed"],
        }
    }

    /// The change of that round, and what undoes it.
    pub(crate) fn changes(self, node: &str, round: u16) -> [Change; 2] {
        match self {
            Self::Pod => {
                let pod = pod(HERE, &format!("peer-{round}"), "peer", None, 1_000 + u32::from(round));
                come_and_go(Object::Pod(pod))
            }
            Self::LocalPod => {
                let pod = pod(HERE, &format!("subject-{round}"), "subject", Some(node), 2_000 + u32::from(round));
                come_and_go(Object::Pod(pod))
            }
            Self::Relabelled => [mover(true), mover(false)].map(|pod| Change::Set(Object::Pod(pod))),
            Self::Policy => come_and_go(Object::Policy(policy("extra", "mover", 9_000 + round))),
            Self::Edited => [8_100, 8_000].map(|port| Change::Set(Object::Policy(policy("edited", "peer", port)))),
            Self::NamespaceLabel => {
                [true, false].map(|are_let_in| Change::Set(Object::Namespace(visitors(are_let_in))))
            }
        }
    }
}

/// What is there beside the generated cluster before anything changes.
pub(crate) fn objects(node: &str) -> Vec<Object> {
    let here = Namespace { name: HERE.into(), labels: Labels::default(), mode: None, at: None };
    let mut objects = vec![Object::Namespace(here), Object::Namespace(visitors(false))];
    objects.push(Object::Pod(pod(HERE, "subject", "subject", Some(node), 1)));
    objects.push(Object::Pod(pod(HERE, "peer", "peer", None, 2)));
    objects.push(Object::Pod(mover(false)));
    objects
        .extend((0..VISITING).map(|n| Object::Pod(pod(VISITORS, &format!("visitor-{n}"), "visitor", None, 3_000 + n))));
    objects.push(Object::Policy(policy("peers", "peer", 8_080)));
    objects.push(Object::Policy(policy("edited", "peer", 8_000)));
    let mut welcome = policy("welcome", "visitor", 8_081);
    let visitors = [Requirement::equals("visit", "yes")].into_iter().collect();
    let peer =
        Peer::Pods { namespaces: NamespaceScope::Matching(visitors), pods: LabelSelector::everything(), at: None };
    welcome.ingress.iter_mut().for_each(|rule| rule.peers = vec![peer.clone()]);
    objects.push(Object::Policy(welcome));
    objects
}

fn come_and_go(object: Object) -> [Change; 2] {
    let key = object.key();
    [Change::Set(object), Change::Gone(key)]
}

fn visitors(are_let_in: bool) -> Namespace {
    let labels = [("visit", if are_let_in { "yes" } else { "no" })].into_iter().collect();
    Namespace { name: VISITORS.into(), labels, mode: None, at: None }
}

fn mover(is_peer: bool) -> Pod {
    pod(HERE, "mover", if is_peer { "peer" } else { "mover" }, None, 3)
}

/// A pod; elsewhere is the second of the generated nodes.
fn pod(namespace: &str, name: &str, app: &str, node: Option<&str>, number: u32) -> Pod {
    Pod {
        labels: [("app", app), ("pod-template-hash", "5d8c6b7f9d")].into_iter().collect(),
        node: Some(node.unwrap_or("worker-0001").into()),
        addresses: PodAddresses {
            v4: Some((0x0ac8_0000 + number).into()),
            v6: Some((0xfd00_0200 << 96 | u128::from(number)).into()),
        },
        ..Pod::running(ObjectRef::new(namespace, name))
    }
}

/// Lets `from` of its namespace reach `subject` at a port.
fn policy(name: &str, from: &str, port: u16) -> NetworkPolicy {
    let app = |name: &str| [Requirement::equals("app", name)].into_iter().collect::<LabelSelector>();
    let port = PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Range(PortRange::single(port)), at: None };
    let peer = Peer::Pods { namespaces: NamespaceScope::Own, pods: app(from), at: None };
    NetworkPolicy {
        id: ObjectRef::new(HERE, name),
        annotations: Labels::default(),
        mode: None,
        subject: app("subject"),
        policy_types: Some(PolicyTypes { ingress: true, egress: false }),
        ingress: vec![PolicyRule { peers: vec![peer], ports: vec![port], at: None }],
        egress: Vec::new(),
        at: None,
    }
}

/// What a burst makes of the n-th generated object: none, one or two changes, and what undoes them.
pub(crate) fn of_burst(object: Object, n: usize, round: u16, undo: bool) -> Vec<Change> {
    match object {
        Object::ClusterPolicy(_) => Vec::new(),
        Object::Pod(pod) if pod.host_network => Vec::new(),
        Object::Pod(mut pod) => match n % 4 {
            // A rollout: the pod goes, and one of another name and address comes.
            0 => {
                let mut other = pod.clone();
                other.id = ObjectRef::new(pod.id.namespace.clone(), format!("{}-r", pod.id.name));
                other.addresses.v4 = pod.addresses.v4.map(|v4| (v4.to_bits() | 0x0040_0000).into());
                other.addresses.v6 = pod.addresses.v6.map(|v6| (v6.to_bits() | 1 << 63).into());
                let (gone, come) = if undo { (other, pod) } else { (pod, other) };
                vec![Change::Gone(Key::Pod(gone.id)), Change::Set(Object::Pod(come))]
            }
            _ => {
                if !undo {
                    pod.labels.set("version", format!("v{}", 10 + round));
                }
                vec![Change::Set(Object::Pod(pod))]
            }
        },
        Object::Policy(mut policy) => {
            if !undo {
                let port = PortMatch::Range(PortRange::single(20_000 + round));
                let port = PolicyPort { protocol: Protocol::Tcp, port, at: None };
                policy.ingress.push(PolicyRule { peers: Vec::new(), ports: vec![port], at: None });
            }
            vec![Change::Set(Object::Policy(policy))]
        }
        Object::Namespace(_) | Object::Node(_) => Vec::new(),
    }
}

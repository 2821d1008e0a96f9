//! The program and the plan of the objects as they are, kept current.
//!
//! ```text
//! State ──► what became different ──┬─► one by one: Live ──► Touched ──► Planner ──► Draft
//!                                   └─► all anew, where an address or a node changes hands
//! ```
//!
//! A change costs what it concerns. What is rare and intricate is left to the one place that decides it,
//! [`State::view`]: addresses that several claim, pods of nodes that nobody has told of, nodes that go while
//! pods are on them. Both ways end in the same draft.

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    sync::Arc,
};

use palisade_engine::{
    Live,
    model::{Endpoint, Name, Node, ObjectRef, Pod},
};
use palisade_nftables::{
    draft::Draft,
    plan::{Misfit, Options, Planner},
};

use crate::{change::Key, state::State};

/// What the objects come to on one node.
#[derive(Debug)]
pub struct Current {
    node: Name,
    live: Live,
    planner: Planner,
    disputes: Vec<String>,
    contested: HashSet<IpAddr>,
    not_held: Option<Misfit>,
}

/// Why there is no plan; the rules that are in force stay.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// The agent's own node is not there.
    #[error("node {0} is not in the cluster: check the name that the agent was given; its rules stay as they are")]
    UnknownNode(Name),
    /// Pods that are not known cannot all be held closed.
    #[error("{0}; its rules stay as they are")]
    UnknownPods(#[from] Misfit),
    /// The objects contradict each other.
    #[error("the objects contradict each other: {0} (please report this)")]
    Conflict(String),
}

/// A change that cannot be taken in by itself.
struct Intricate;

impl Current {
    /// Compiles and plans everything; `draft` becomes that.
    ///
    /// # Errors
    /// When there is no plan; `draft` is what it was.
    pub fn new(state: &State, node: &Name, options: &Options, draft: &mut Draft) -> Result<Self, NoPlan> {
        let view = state.view().map_err(|conflicts| {
            NoPlan::Conflict(conflicts.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let id = view.cluster.find_node(node).ok_or_else(|| NoPlan::UnknownNode(node.clone()))?;
        // Before the first rules a pod elsewhere is a mistake of who configured this; later it is told, and policies
        // go on being enforced.
        let not_held = options.unknown_pods.check(&view.cluster, id).err();
        let is_first = draft.ruleset().chains.is_empty();
        let not_held = match not_held {
            Some(misfit) if is_first || matches!(misfit, Misfit::NoPrefixes(_)) => return Err(misfit.into()),
            other => other,
        };
        let live = Live::new(view.cluster);
        let planner = Planner::new(live.cluster(), live.program(), id, options.clone(), draft);
        let (disputes, contested) = (view.disputes, view.contested);
        Ok(Self { node: node.clone(), live, planner, disputes, contested, not_held })
    }

    /// Takes in what became different; `draft` becomes what follows. Says whether it could: otherwise, this is
    /// of no use any more, and all has to be made anew.
    #[must_use]
    pub fn advance(&mut self, state: &State, stirred: &BTreeSet<Key>, draft: &mut Draft) -> bool {
        if self.take(state, stirred).is_err() || self.live.is_wasteful() || self.has_lost_prefixes() {
            return false;
        }
        let touched = self.live.take_touched();
        self.planner.update(self.live.cluster(), self.live.program(), &touched, draft);
        self.not_held = self.planner.check_held(self.live.cluster()).err();
        true
    }

    /// The cluster and its program.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The plan.
    pub fn planner(&self) -> &Planner {
        &self.planner
    }

    /// Why pods that are not known are not all held closed, though they shall be.
    pub fn not_held(&self) -> Option<&Misfit> {
        self.not_held.as_ref()
    }

    /// Which addresses somebody claims who does not have them, one line each.
    pub fn disputes(&self) -> &[String] {
        &self.disputes
    }

    /// Whether nothing says any more which addresses are of pods that are not known: no plan, rather than an open one.
    fn has_lost_prefixes(&self) -> bool {
        let cluster = self.live.cluster();
        cluster.find_node(&self.node).is_none_or(|node| self.planner.loses_prefixes(cluster, node))
    }

    fn take(&mut self, state: &State, stirred: &BTreeSet<Key>) -> Result<(), Intricate> {
        // A namespace before what is in it, and an address is given up before another one takes it.
        let pods = || stirred.iter().filter_map(|key| if let Key::Pod(id) = key { Some(id) } else { None });
        for key in stirred {
            match key {
                Key::Namespace(name) => match state.namespace(name) {
                    Some(namespace) => self.live.set_namespace(namespace.clone()),
                    None => self.live.remove_namespace(name),
                },
                Key::Node(name) => self.take_node(state, name)?,
                // Seldom, and about every pod.
                Key::ClusterPolicy(..) => return Err(Intricate),
                Key::Pod(_) | Key::Policy(_) => {}
            }
        }
        for id in pods() {
            self.give_up(state, id)?;
        }
        for pod in pods().filter_map(|id| state.pod(id)) {
            self.take_pod(state, pod)?;
        }
        for key in stirred {
            if let Key::Policy(id) = key {
                match state.policy(id) {
                    Some(policy) => self.live.set_policy(Arc::clone(policy)),
                    None => self.live.remove_policy(id),
                }
            }
        }
        Ok(())
    }

    /// A node is plain when its addresses are nobody else's.
    fn take_node(&mut self, state: &State, name: &Name) -> Result<(), Intricate> {
        // Sets of nodes are made once.
        if state.asks_for_nodes() {
            return Err(Intricate);
        }
        let cluster = self.live.cluster();
        let known = cluster.find_node(name);
        let before = known.map(|id| cluster.node(id).addresses.as_slice()).unwrap_or_default();
        self.are_uncontested(before.iter().copied())?;
        let on_it =
            || cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_live() && pod.node.as_ref() == Some(name));
        let Some(node) = state.node(name) else {
            // Its pods would be those of a node that nobody has told of; and without the own one there is no plan.
            if *name == self.node || on_it().next().is_some() {
                return Err(Intricate);
            }
            self.live.remove_node(name);
            return Ok(());
        };
        let mut node: Node = node.clone();
        for address in on_it().filter(|pod| pod.host_network).flat_map(|pod| pod.addresses.iter()) {
            if !node.addresses.contains(&address) {
                node.addresses.push(address);
            }
        }
        self.are_uncontested(node.addresses.iter().copied())?;
        let is_free = |address: &IpAddr| match cluster.endpoint_of(*address) {
            Endpoint::Outside => true,
            Endpoint::Node(id) => Some(id) == known,
            Endpoint::Pod(_) => false,
        };
        if !node.addresses.iter().all(is_free) {
            return Err(Intricate);
        }
        self.live.set_node(node);
        Ok(())
    }

    /// Takes a pod's addresses from it, when it has others now, or is gone.
    fn give_up(&mut self, state: &State, id: &ObjectRef) -> Result<(), Intricate> {
        let cluster = self.live.cluster();
        let Some(known) = cluster.find_pod(id) else { return Ok(()) };
        let before = cluster.pod(known);
        self.is_plain(state, before)?;
        let now = state.pod(id);
        if now.is_none_or(|now| now.addresses != before.addresses || !now.is_live() || now.host_network) {
            self.live.remove_pod(id);
        }
        Ok(())
    }

    fn take_pod(&mut self, state: &State, pod: &Arc<Pod>) -> Result<(), Intricate> {
        self.is_plain(state, pod)?;
        let cluster = self.live.cluster();
        let known = cluster.find_pod(&pod.id);
        let is_free = |address| match cluster.endpoint_of(address) {
            Endpoint::Outside => true,
            Endpoint::Pod(id) => Some(id) == known,
            Endpoint::Node(_) => false,
        };
        if pod.is_live() && !pod.host_network && !pod.addresses.iter().all(is_free) {
            return Err(Intricate);
        }
        self.live.set_pod(Arc::clone(pod));
        Ok(())
    }

    /// A pod is plain when nobody else claims its addresses and it tells nothing new of its node.
    fn is_plain(&self, state: &State, pod: &Pod) -> Result<(), Intricate> {
        if !pod.is_live() {
            return Ok(());
        }
        self.are_uncontested(pod.addresses.iter())?;
        let node = pod.node.as_ref().map(|name| state.node(name));
        match node {
            None if pod.host_network => Err(Intricate),
            None => Ok(()),
            Some(None) => Err(Intricate),
            Some(Some(node)) => {
                let is_known = |address| node.addresses.contains(&address);
                if pod.host_network && !pod.addresses.iter().all(is_known) { Err(Intricate) } else { Ok(()) }
            }
        }
    }

    fn are_uncontested(&self, mut addresses: impl Iterator<Item = IpAddr>) -> Result<(), Intricate> {
        if addresses.any(|address| self.contested.contains(&address.to_canonical())) { Err(Intricate) } else { Ok(()) }
    }
}

//! A cluster that changes, and its program, always that of the cluster as it is.
//!
//! ```text
//! object set or gone ──► Cluster ──► PolicyProgram ──► Touched: what to look at again
//! ```
//!
//! A change costs what it concerns, not what there is. What goes leaves a little behind; when that has
//! become much ([`Live::is_wasteful`]), its owner compiles anew from the same objects.
//!
//! An address has one owner here: whoever has several that claim it decides before, or starts anew.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    compile::{PolicyProgram, Touched},
    model::{Cluster, Labels, Name, Namespace, NetworkPolicy, Node, ObjectRef, Pod, PodAddresses, PodId, PolicyId},
};

/// How many rules and identities may be left over in any case: up to there it is not worth the while.
const SPARE: usize = 4096;

/// A cluster and its program.
#[derive(Debug)]
pub struct Live {
    cluster: Cluster,
    program: PolicyProgram,
    policies: FxHashMap<ObjectRef, PolicyId>,
    free_pods: Vec<PodId>,
    free_policies: Vec<PolicyId>,
    /// Rules that count no more.
    lost_rules: usize,
    touched: Touched,
}

impl Live {
    /// Compiles a cluster; nothing counts as touched yet.
    pub fn new(cluster: Cluster) -> Self {
        let program = PolicyProgram::compile_for_updates(&cluster);
        let policies = cluster.policies().map(|(id, policy)| (policy.id.clone(), id)).collect();
        Self {
            cluster,
            program,
            policies,
            free_pods: Vec::new(),
            free_policies: Vec::new(),
            lost_rules: 0,
            touched: Touched::default(),
        }
    }

    /// The cluster as it is.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Its program.
    pub fn program(&self) -> &PolicyProgram {
        &self.program
    }

    /// How many NetworkPolicies there are.
    pub fn policies(&self) -> usize {
        self.policies.len()
    }

    /// How many pods there are.
    pub fn pods(&self) -> usize {
        self.cluster.pods().len() - self.free_pods.len()
    }

    /// What became different since this was last asked.
    pub fn take_touched(&mut self) -> Touched {
        std::mem::take(&mut self.touched)
    }

    /// Whether more is left over from what has gone than is there.
    pub fn is_wasteful(&self) -> bool {
        let there = self.program.identities().len() + self.program.rules().len();
        let lost = self.program.empty_identities() + self.lost_rules;
        lost > SPARE && lost > there / 2
    }

    /// A pod is there, or is another one now. Its addresses must be nobody else's, as far as it has them here.
    pub fn set_pod(&mut self, pod: Arc<Pod>) {
        self.mention(&pod.id.namespace);
        let known = self.cluster.find_pod(&pod.id);
        let before = known.map_or_else(PodAddresses::default, |id| self.cluster.pod(id).addresses);
        let id = self.cluster.put_pod(pod, &mut self.free_pods);
        self.program.put_pod(id, self.cluster.pod(id), before, &mut self.touched);
    }

    /// A pod is gone.
    pub fn remove_pod(&mut self, id: &ObjectRef) {
        let Some((id, before)) = self.cluster.remove_pod(id) else { return };
        self.program.put_pod(id, self.cluster.pod(id), before, &mut self.touched);
        self.free_pods.push(id);
    }

    /// A namespace is there, or has other labels now, or its policies are audited now, or not any more.
    pub fn set_namespace(&mut self, namespace: Namespace) {
        let name = namespace.name.clone();
        let before = self.cluster.namespace(&name).and_then(|namespace| namespace.mode);
        let differs = before != namespace.mode;
        self.cluster.put_namespace(namespace);
        if let Some(namespace) = self.cluster.namespace(&name) {
            self.program.put_namespace(&name, &namespace.labels, &mut self.touched);
        }
        if differs {
            let of_it = self.policies.iter().filter(|(policy, _)| policy.namespace == name);
            let mut of_it: Vec<PolicyId> = of_it.map(|(_, id)| *id).collect();
            of_it.sort_unstable();
            for id in of_it {
                self.program.set_mode(id, self.cluster.mode_of(id.into()), &mut self.touched);
            }
        }
    }

    /// A namespace is gone; as long as something is in it, it is there with its name alone.
    pub fn remove_namespace(&mut self, name: &Name) {
        if self.cluster.namespace(name).is_some() {
            self.set_namespace(Namespace { name: name.clone(), labels: Labels::default(), mode: None, at: None });
        }
    }

    /// A node is there, or has other addresses now, which must be nobody else's.
    pub fn set_node(&mut self, node: Node) {
        self.touch_host(&node.name);
        self.touched.hosts.extend(&node.addresses);
        self.cluster.put_node(node);
    }

    /// A node is gone, with nothing left on it.
    pub fn remove_node(&mut self, name: &Name) {
        self.touch_host(name);
        self.cluster.remove_node(name);
    }

    fn touch_host(&mut self, name: &Name) {
        let node = self.cluster.find_node(name).map(|id| self.cluster.node(id));
        self.touched.hosts.extend(node.into_iter().flat_map(|node| node.addresses.iter().copied()));
    }

    /// A policy is there, or is another one now.
    pub fn set_policy(&mut self, policy: Arc<NetworkPolicy>) {
        self.mention(&policy.id.namespace);
        let name = policy.id.clone();
        let known = self.policies.get(&name).copied();
        if let Some(known) = known {
            self.lost_rules += self.program.remove_policy(known, &mut self.touched);
        }
        let id = self.cluster.put_policy(policy, known.or_else(|| self.free_policies.pop()));
        self.policies.insert(name, id);
        self.program.add_policy(id, self.cluster.policy(id), &self.cluster, &mut self.touched);
    }

    /// A policy is gone.
    pub fn remove_policy(&mut self, name: &ObjectRef) {
        let Some(id) = self.policies.remove(name) else { return };
        self.lost_rules += self.program.remove_policy(id, &mut self.touched);
        self.cluster.remove_policy(id);
        self.free_policies.push(id);
    }

    /// A namespace that something is in exists.
    fn mention(&mut self, name: &Name) {
        if self.cluster.namespace(name).is_none() {
            self.set_namespace(Namespace { name: name.clone(), labels: Labels::default(), mode: None, at: None });
        }
    }
}

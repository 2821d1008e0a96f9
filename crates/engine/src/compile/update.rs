//! What a change of the cluster changes of the program: only what it concerns is looked at.
//!
//! ```text
//! a pod               its identity; when that is new, the selectors that may select it, and its profiles
//! a namespace's labels  the selectors whose namespaceSelector holds there and did not, or the other way round
//! a policy            its rules, and the profiles of the identities that it selects
//! whether it is audited  these profiles
//! ```
//!
//! Nothing is taken out of the program's lists: what has gone is not referred to any more.

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::{IdentityId, PolicyProgram, SelectorId, identity::Placed, scope::Flip};
use crate::model::{Cluster, Direction, Labels, Mode, Name, NetworkPolicy, Pod, PodAddresses, PodId, PolicyId};

/// What became different since the last time it was asked for: what to look at again, not what it was or is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Pods that came, went, or changed their identity, addresses or node.
    pub pods: FxHashSet<PodId>,
    /// Addresses that these pods had or have, each with an identity that a pod there had or has.
    pub addresses: FxHashSet<(IpAddr, IdentityId)>,
    /// Addresses that a node came to have, or has no more.
    pub hosts: FxHashSet<IpAddr>,
    /// Identities that a selector selects now and did not, or the other way round.
    pub members: FxHashSet<(SelectorId, IdentityId)>,
    /// Identities that another profile judges, in that direction.
    pub profiles: FxHashSet<(IdentityId, Direction)>,
    /// Identities that are new, or have pods again, or none any more.
    pub identities: FxHashSet<IdentityId>,
}

impl Touched {
    /// Whether nothing became different.
    pub fn is_empty(&self) -> bool {
        let Self { pods, addresses, hosts, members, profiles, identities } = self;
        pods.is_empty()
            && addresses.is_empty()
            && hosts.is_empty()
            && members.is_empty()
            && profiles.is_empty()
            && identities.is_empty()
    }
}

impl PolicyProgram {
    /// Compiles the policies of a cluster that will change. Pods of one identity may be in different ipBlocks:
    /// a block is asked by address here, and a policy with a new one makes no identity anew.
    pub(crate) fn compile_for_updates(cluster: &Cluster) -> Self {
        Self::compile_with(cluster, false)
    }

    /// Takes in a pod as it is now, which had other addresses before.
    pub(crate) fn put_pod(&mut self, id: PodId, pod: &Pod, before: PodAddresses, touched: &mut Touched) {
        let had = self.identities.of_pod(id).map(|identity| (identity, self.pods_in(identity)));
        let Placed { before: was, now, is_new } = self.identities.place(id, pod);
        touched.pods.insert(id);
        for identity in was.into_iter().chain(now) {
            touched.addresses.extend(before.iter().chain(pod.addresses.iter()).map(|address| (address, identity)));
        }
        if was == now {
            return;
        }
        if let Some((identity, 1)) = had {
            touched.identities.insert(identity);
        }
        if let Some(identity) = now
            && self.pods_in(identity) == 1
        {
            touched.identities.insert(identity);
        }
        if let (Some(identity), true) = (now, is_new) {
            let (namespace, labels) = {
                let identity = self.identity(identity);
                (identity.namespace.clone(), identity.labels.clone())
            };
            let flips = self.selectors.add_identity(identity, &namespace, &labels);
            self.flipped(&flips, touched);
            for direction in Direction::ALL {
                self.settle(identity, direction, touched);
            }
        }
    }

    /// Takes in the labels of a namespace, known or new.
    pub(crate) fn put_namespace(&mut self, name: &Name, labels: &Labels, touched: &mut Touched) {
        let flips = self.selectors.put_namespace(name, labels);
        self.flipped(&flips, touched);
    }

    /// Takes in a policy, new or in place of what it was (`remove_policy` first).
    pub(crate) fn add_policy(
        &mut self,
        id: PolicyId,
        policy: &NetworkPolicy,
        cluster: &Cluster,
        touched: &mut Touched,
    ) {
        for pod in self.identities.look(policy, cluster) {
            let now = cluster.pod(pod);
            self.put_pod(pod, now, now.addresses, touched);
        }
        for direction in Direction::ALL {
            for identity in self.add_half(cluster, id, policy, direction) {
                self.settle(identity, direction, touched);
            }
        }
    }

    /// Forgets a policy. Returns how many rules count no more.
    pub(crate) fn remove_policy(&mut self, id: PolicyId, touched: &mut Touched) -> usize {
        let mut rules = 0;
        for direction in Direction::ALL {
            let Some(subjects) = self.profiles.half(id.into(), direction).map(|half| half.subjects) else { continue };
            let selected: Vec<IdentityId> = self.selected(subjects).collect();
            rules += self.profiles.remove(id.into(), direction, selected.iter().copied());
            for identity in selected {
                self.settle(identity, direction, touched);
            }
        }
        rules
    }

    /// Takes in whether a policy is enforced or audited now.
    pub(crate) fn set_mode(&mut self, id: PolicyId, mode: Mode, touched: &mut Touched) {
        for direction in Direction::ALL {
            let Some(mut half) = self.profiles.half(id.into(), direction).cloned() else { continue };
            if half.mode == mode {
                continue;
            }
            half.mode = mode;
            let selected: Vec<IdentityId> = self.selected(half.subjects).collect();
            self.profiles.remove(id.into(), direction, selected.iter().copied());
            self.profiles.add(half, selected.iter().copied());
            for identity in selected {
                self.settle(identity, direction, touched);
            }
        }
    }

    /// How many identities have no pod any more.
    pub(crate) fn empty_identities(&self) -> usize {
        self.identities.empty()
    }

    fn pods_in(&self, identity: IdentityId) -> usize {
        self.identity(identity).pods.len()
    }

    /// Some selectors select other identities than before.
    fn flipped(&mut self, flips: &[Flip], touched: &mut Touched) {
        let mut concerned = FxHashSet::default();
        for (selector, identity) in flips {
            touched.members.insert((*selector, *identity));
            let is_selected = self.selects(*selector, *identity);
            let directions = self.profiles.flip(*selector, *identity, is_selected);
            concerned.extend(directions.into_iter().map(|direction| (*identity, direction)));
        }
        for (identity, direction) in concerned {
            self.settle(identity, direction, touched);
        }
    }

    fn settle(&mut self, identity: IdentityId, direction: Direction, touched: &mut Touched) {
        if self.profiles.settle(identity, direction) {
            touched.profiles.insert((identity, direction));
        }
    }
}

//! What is there: the single owner of every object that the agent was told of.
//!
//! Changes come in any order: a pod before its namespace, a policy before what it selects, one object
//! twice. What follows from the objects depends on which are there, not on how they came; only an
//! address that several claim at a time belongs to the one that claimed it last.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use palisade_engine::model::{
    Cluster, ClusterPeer, ClusterPolicy, ClusterPolicyKind, Conflict, Direction, Family, Labels, Mode, Name, Namespace,
    NetworkPolicy, Node, ObjectRef, Pod, PodAddresses,
};

use crate::change::{Change, Key, Object, Poison};

/// How many label sets are kept, whether or not a pod has them.
const LABEL_SETS: usize = 4096;

/// Every object by its name.
#[derive(Clone, Debug, Default)]
pub struct State {
    namespaces: BTreeMap<Name, Namespace>,
    nodes: BTreeMap<Name, HeldNode>,
    pods: BTreeMap<ObjectRef, HeldPod>,
    policies: BTreeMap<ObjectRef, Arc<NetworkPolicy>>,
    cluster_policies: BTreeMap<(ClusterPolicyKind, Name), ClusterPolicy>,
    poison: BTreeMap<Key, Vec<String>>,
    /// The labels of pods, each kept once.
    label_sets: HashSet<Labels>,
    /// Counts claims: a later one has a higher number.
    clock: u64,
    /// The node whose pods keep their addresses against pods of other nodes.
    local: Option<Name>,
    /// Which objects became others since this was last asked; `None`: any.
    stirred: Option<BTreeSet<Key>>,
    /// The agent's: whether policies go by what they say.
    mode: Mode,
}

/// A node, and the number of the claim to each of its addresses.
#[derive(Clone, Debug)]
struct HeldNode {
    object: Node,
    claims: Vec<(IpAddr, u64)>,
}

/// A pod, and the number of the claim to each of its addresses: its own, then those of its host.
#[derive(Clone, Debug)]
struct HeldPod {
    object: Arc<Pod>,
    claims: [u64; 4],
}

impl HeldPod {
    /// Each address that the pod speaks of, with its claim; none for one that has ended.
    fn claimed(&self) -> impl Iterator<Item = (IpAddr, u64)> {
        let addresses = slots(&self.object).into_iter().zip(self.claims);
        addresses.filter_map(|(address, number)| Some((address?, number)))
    }
}

fn slots(pod: &Pod) -> [Option<IpAddr>; 4] {
    if !pod.is_live() {
        return [None; 4];
    }
    let [own, host] = [pod.addresses, pod.host_addresses];
    [own.of(Family::V4), own.of(Family::V6), host.of(Family::V4), host.of(Family::V6)]
}

/// The cluster as it follows from a [`State`].
#[derive(Debug)]
pub struct View {
    /// The objects, without the addresses that they lost to others.
    pub cluster: Cluster,
    /// Which addresses somebody claims who does not have them, one line each.
    pub disputes: Vec<String>,
    /// The addresses that several claim.
    pub contested: HashSet<IpAddr>,
}

/// Who an address belongs to, as the engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner<'a> {
    /// A node; its host-network pods are it.
    Node(&'a str),
    /// A pod, or the node of a host-network pod that runs nowhere yet.
    Pod(&'a ObjectRef),
}

/// The claim that wins is the greatest: a node's before a pod's (the packets of an address that the
/// node has are its own, whatever a pod says), then a pod's of the local node (nobody elsewhere can take
/// an isolated pod here out of the rules by claiming its address), then the latest.
#[derive(Clone, Copy, Debug)]
struct Claim<'a> {
    of_node: bool,
    is_local: bool,
    number: u64,
    owner: Owner<'a>,
}

impl Claim<'_> {
    fn rank(&self) -> (bool, bool, u64) {
        (self.of_node, self.is_local, self.number)
    }
}

impl State {
    /// Nothing yet, as seen from a node.
    pub fn of(node: Name) -> Self {
        Self { local: Some(node), ..Self::default() }
    }

    /// The same, for an agent of this mode.
    #[must_use]
    pub fn in_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Takes a change. Says whether anything that policies can see became different: most updates of
    /// pods and nodes are about something else, and cost nothing then.
    pub fn apply(&mut self, change: Change) -> bool {
        let key = match (&change, &self.stirred) {
            (Change::Set(object), Some(_)) => Some(object.key()),
            (Change::Poison(poison), Some(_)) => Some(poison.key()),
            (Change::Gone(key), Some(_)) => Some(key.clone()),
            _ => None,
        };
        let differs = self.take(change);
        if let (true, Some(key), Some(stirred)) = (differs, key, &mut self.stirred) {
            stirred.insert(key);
        }
        differs
    }

    fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Set(object) => {
                let healed = self.poison.remove(&object.key()).is_some();
                self.set(object) || healed
            }
            Change::Poison(Poison::Policy(poison)) => {
                let (policy, problems) = (poison.closed(), poison.problems);
                self.take(Change::Poison(Poison::Closed { policy, problems }))
            }
            Change::Poison(Poison::Closed { policy, problems }) => {
                self.poison.insert(Key::Policy(policy.id.clone()), problems);
                self.set(Object::Policy(policy))
            }
            Change::Poison(Poison::ClosedWide { policy, problems }) => {
                self.poison.insert(Key::ClusterPolicy(policy.kind, policy.name.clone()), problems);
                self.set(Object::ClusterPolicy(policy))
            }
            Change::Poison(Poison::Other { key, problems }) => {
                self.poison.insert(key, problems);
                true
            }
            Change::Gone(key) => {
                let healed = self.poison.remove(&key).is_some();
                let was_there = match key {
                    Key::Namespace(name) => self.namespaces.remove(&name).is_some(),
                    Key::Node(name) => self.nodes.remove(&name).is_some(),
                    Key::Pod(id) => self.pods.remove(&id).is_some(),
                    Key::Policy(id) => self.policies.remove(&id).is_some(),
                    Key::ClusterPolicy(kind, name) => self.cluster_policies.remove(&(kind, name)).is_some(),
                };
                was_there || healed
            }
            Change::Synced(_) | Change::Trouble { .. } => false,
        }
    }

    fn set(&mut self, object: Object) -> bool {
        match object {
            Object::Namespace(object) => {
                let before = self.namespaces.insert(object.name.clone(), object.clone());
                before.is_none_or(|before| before.labels != object.labels || before.mode != object.mode)
            }
            Object::Policy(mut object) => {
                object.shrink_to_fit();
                object.mode = self.mode.over(object.mode);
                self.policies.insert(object.id.clone(), Arc::new(object));
                true
            }
            Object::ClusterPolicy(mut object) => {
                object.mode = self.mode.over(object.mode);
                self.cluster_policies.insert((object.kind, object.name.clone()), object);
                true
            }
            Object::Node(object) => {
                let addresses = object.addresses.clone();
                let held = self.nodes.get(&object.name);
                let differs = held.is_none_or(|held| {
                    held.object.addresses != object.addresses
                        || held.object.pod_prefixes != object.pod_prefixes
                        || (held.object.labels != object.labels && self.asks_for_nodes())
                });
                let mut claims = Vec::new();
                for address in addresses {
                    let known = held.into_iter().flat_map(|held| held.claims.iter().copied());
                    claims.push((address, claim(known, address, &mut self.clock)));
                }
                self.nodes.insert(object.name.clone(), HeldNode { object, claims });
                differs
            }
            Object::Pod(mut object) => {
                object.infer_workload();
                self.share(&mut object);
                let held = self.pods.get(&object.id);
                let differs = held.is_none_or(|held| !looks_alike(&held.object, &object));
                let mut claims = [0; 4];
                for (number, address) in claims.iter_mut().zip(slots(&object)) {
                    let known = held.into_iter().flat_map(HeldPod::claimed);
                    *number = address.map_or(0, |address| claim(known, address, &mut self.clock));
                }
                self.pods.insert(object.id.clone(), HeldPod { object: Arc::new(object), claims });
                differs
            }
        }
    }

    /// Gives a pod the very labels that its replicas have, if any.
    fn share(&mut self, pod: &mut Pod) {
        match self.label_sets.get(&pod.labels) {
            Some(known) => pod.labels = known.clone(),
            None => _ = self.label_sets.insert(pod.labels.clone()),
        }
        pod.ports.shrink_to_fit();
        if self.label_sets.len() > LABEL_SETS.max(2 * self.pods.len()) {
            self.label_sets.retain(Labels::are_shared);
        }
    }

    /// Which objects became others since this was last asked; `None`: any may have.
    pub fn take_stirred(&mut self) -> Option<BTreeSet<Key>> {
        self.stirred.replace(BTreeSet::new())
    }

    /// The Namespace of that name.
    pub fn namespace(&self, name: &Name) -> Option<&Namespace> {
        self.namespaces.get(name)
    }

    /// The Node of that name.
    pub fn node(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(name).map(|held| &held.object)
    }

    /// The Pod of that name.
    pub fn pod(&self, id: &ObjectRef) -> Option<&Arc<Pod>> {
        self.pods.get(id).map(|held| &held.object)
    }

    /// The NetworkPolicy of that name.
    pub fn policy(&self, id: &ObjectRef) -> Option<&Arc<NetworkPolicy>> {
        self.policies.get(id)
    }

    /// What was not understood, with the reasons.
    pub fn poison(&self) -> &BTreeMap<Key, Vec<String>> {
        &self.poison
    }

    /// Whether some policy asks for nodes by label.
    pub fn asks_for_nodes(&self) -> bool {
        let rules = self.cluster_policies.values().flat_map(|policy| Direction::ALL.map(|one| policy.rules(one)));
        rules.flatten().flat_map(|rule| rule.peers()).any(|peer| matches!(peer, ClusterPeer::Nodes { .. }))
    }

    /// How many NetworkPolicies there are.
    pub fn policies(&self) -> usize {
        self.policies.len()
    }

    /// How many Pods there are.
    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// The cluster that follows. Two states of the same objects give the same, in the same order.
    ///
    /// # Errors
    /// Never, as far as known: names are keys here, and every address is given to one owner before.
    pub fn view(&self) -> Result<View, Vec<Conflict>> {
        let (owners, losers) = self.owners();
        let lost = |address: IpAddr, owner: Owner<'_>| {
            let address = address.to_canonical();
            losers.contains(&address) && owners.get(&address).is_some_and(|claim| claim.owner != owner)
        };
        let mut disputes = Vec::new();
        let mut nodes: Vec<Node> = Vec::with_capacity(self.nodes.len());
        for HeldNode { object, .. } in self.nodes.values() {
            let mut node = object.clone();
            let gone = node.addresses.extract_if(.., |address| lost(*address, Owner::Node(&object.name)));
            disputes.extend(gone.map(|address| format!("{address} of Node {}", object.name)));
            nodes.push(node);
        }
        let mut pods: Vec<Arc<Pod>> = Vec::with_capacity(self.pods.len());
        for HeldPod { object, .. } in self.pods.values() {
            let mut pod = Arc::clone(object);
            let (is_lost, host_is_lost) = (|address| lost(address, own(object)), |address| lost(address, host(object)));
            if object.is_live()
                && (object.addresses.iter().any(is_lost) || object.host_addresses.iter().any(host_is_lost))
            {
                disputes.extend(
                    object.addresses.iter().filter(|a| is_lost(*a)).map(|a| format!("{a} of Pod {}", object.id)),
                );
                let pod = Arc::make_mut(&mut pod);
                without(&mut pod.addresses, is_lost);
                without(&mut pod.host_addresses, host_is_lost);
            }
            pods.push(pod);
        }
        let namespaces = self.namespaces.values().cloned().collect();
        let policies = self.policies.values().cloned().collect();
        let cluster_policies = self.cluster_policies.values().cloned().collect();
        let cluster = Cluster::of_shared(namespaces, nodes, pods, policies, cluster_policies)?;
        Ok(View { cluster, disputes, contested: losers })
    }

    /// Who has each address, and the addresses that several claim.
    fn owners(&self) -> (HashMap<IpAddr, Claim<'_>>, HashSet<IpAddr>) {
        let mut owners: HashMap<IpAddr, Claim<'_>> = HashMap::with_capacity(self.pods.len());
        let mut losers = HashSet::new();
        for (address, new) in self.claims() {
            let address = address.to_canonical();
            match owners.get_mut(&address) {
                None => {
                    owners.insert(address, new);
                }
                Some(known) => {
                    if known.owner != new.owner {
                        losers.insert(address);
                    }
                    if new.rank() > known.rank() {
                        *known = new;
                    }
                }
            }
        }
        (owners, losers)
    }

    fn claims(&self) -> impl Iterator<Item = (IpAddr, Claim<'_>)> {
        let of_nodes = self.nodes.iter().flat_map(|(name, held)| {
            let claim = |number| Claim { of_node: true, is_local: false, number, owner: Owner::Node(name) };
            held.claims.iter().map(move |(address, number)| (*address, claim(*number)))
        });
        let of_pods = self.pods.values().filter(|held| held.object.is_live()).flat_map(|held| {
            let pod = held.object.as_ref();
            let number = |address| held.claimed().find(|(known, _)| *known == address).map_or(0, |(_, number)| number);
            let itself =
                pod.addresses.iter().map(move |address| (address, pod.host_network, own(pod), number(address)));
            // What a pod says of its node counts as long as nobody else says it.
            let node_is_known = pod.node.as_ref().is_some_and(|node| self.nodes.contains_key(node));
            let has_node = pod.node.is_some() || pod.host_network;
            let node = pod.host_addresses.iter().filter(move |_| has_node && !node_is_known);
            let node = node.map(move |address| (address, true, host(pod), number(address)));
            let is_local = self.local.is_some() && pod.node == self.local;
            let claims = itself.chain(node);
            claims.map(move |(address, of_node, owner, number)| (address, Claim { of_node, is_local, number, owner }))
        });
        of_nodes.chain(of_pods)
    }
}

/// Who has the addresses of a pod.
fn own(pod: &Pod) -> Owner<'_> {
    if pod.host_network { host(pod) } else { Owner::Pod(&pod.id) }
}

/// Who has the addresses of a pod's host.
fn host(pod: &Pod) -> Owner<'_> {
    pod.node.as_ref().map_or(Owner::Pod(&pod.id), |node| Owner::Node(node))
}

fn without(addresses: &mut PodAddresses, is_lost: impl Fn(IpAddr) -> bool) {
    addresses.v4 = addresses.v4.filter(|address| !is_lost((*address).into()));
    addresses.v6 = addresses.v6.filter(|address| !is_lost((*address).into()));
}

/// The number of a claim: an address that the object claimed before keeps its.
fn claim(mut known: impl Iterator<Item = (IpAddr, u64)>, address: IpAddr, clock: &mut u64) -> u64 {
    known.find(|(known, _)| *known == address).map_or_else(
        || {
            *clock += 1;
            *clock
        },
        |(_, number)| number,
    )
}

/// Whether two versions of a pod differ in nothing that the ruleset depends on.
fn looks_alike(a: &Pod, b: &Pod) -> bool {
    a.labels == b.labels
        && a.node == b.node
        && a.addresses == b.addresses
        && a.host_addresses == b.host_addresses
        && a.host_network == b.host_network
        && a.is_live() == b.is_live()
        && a.ports == b.ports
}

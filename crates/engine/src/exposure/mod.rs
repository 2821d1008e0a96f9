//! Whom a pod lets in: by what rules say, not by who is there today, and exact over all tiers.
//!
//! ```text
//! whoever a rule accepts, and anyone ──► tier by tier, rule by rule ──► of them, but those whom a rule denies ──► traffic
//! ```
//!
//! Rules about some of an audience alone divide it: those whom a Deny means are taken out of it, those whom a Pass means
//! go on by themselves where that makes a difference, and those whom an Accept means are an audience of their own. So
//! whoever is let in by some traffic is in an audience that is told with it, and nobody else is.

mod who;

use std::collections::{BTreeMap, BTreeSet};

use self::who::{Kinds, Labelled, Who};
use crate::{
    compile::{
        Action, BlockId, IdentityId, NodeSetId, Otherwise, Peers, PolicyProgram, Rule, RulePeer, SelectorId, Tier,
    },
    matching::Certainty,
    model::{Cluster, Direction, Family, METADATA_NAME, Name, Side},
    sets::TrafficSet,
    strangers::families,
};

/// Some of all who may come.
#[derive(Clone, Debug)]
pub struct Audience<'p> {
    /// They are meant by each of these; without one, it is anyone.
    pub of: Vec<&'p RulePeer>,
    /// And by none of these.
    pub but: Vec<&'p RulePeer>,
}

impl Audience<'_> {
    /// Whether somebody of the cluster, or an address, is one of them; what is not known does not make one of them.
    pub fn has(&self, program: &PolicyProgram, somebody: Side) -> bool {
        let family = somebody.address.map(Family::of);
        let matches = |peer: &RulePeer| program.peer_matches(peer, somebody, family);
        self.of.iter().all(|peer| matches(peer) == Certainty::Yes)
            && self.but.iter().all(|peer| matches(peer) == Certainty::No)
    }
}

/// Whether a peer means any pod of any namespace.
pub fn is_any_pod(peer: &RulePeer) -> bool {
    matches!(peer, RulePeer::Pods { namespaces: Some(namespaces), pods, .. } if namespaces.is_empty() && pods.is_empty())
}

impl PolicyProgram {
    /// Whom the pods of an identity let in, by what. Where cluster-wide policies judge, an audience is told without
    /// what a wider one may do, too. It depends on nothing but the profile for ingress, the namespace, the
    /// [`families`] and the named ports of the identity.
    pub fn exposure(&self, cluster: &Cluster, id: IdentityId) -> Vec<(Audience<'_>, TrafficSet)> {
        let profile = self.profile(self.profile_of(id, Direction::Ingress));
        let walk = Walk::new(self, cluster, id);
        if profile.tiers.iter().any(|tier| tier.tier != Tier::NetworkPolicy) {
            return walk.all();
        }
        let mut found: BTreeMap<Option<usize>, TrafficSet> = BTreeMap::new();
        let mut add = |peer: Option<usize>, traffic: &TrafficSet| {
            let slot = found.entry(peer).or_default();
            *slot = slot.union(traffic);
        };
        if profile.is_open() {
            add(None, &TrafficSet::all());
        }
        for rule in walk.tiers.iter().flat_map(|tier| &tier.rules) {
            match &rule.peers {
                None => add(None, &rule.traffic),
                Some(peers) => peers.iter().for_each(|peer| add(Some(*peer), &rule.traffic)),
            }
        }
        let found = found.into_iter().filter(|(_, traffic)| !traffic.is_empty());
        found.map(|(peer, traffic)| (Audience { of: walk.peers(peer), but: Vec::new() }, traffic)).collect()
    }
}

/// A peer of some rule, by its place in [`Walk::known`].
type Known = usize;

/// Those who are denied, and those who have passed on.
type Excepted = (BTreeSet<Known>, BTreeSet<Known>);

/// The traffic of everyone but those who are denied.
type Open = BTreeMap<BTreeSet<Known>, TrafficSet>;

/// What is asked of somebody who comes to pods of an identity.
struct Walk<'p, 'c> {
    /// Every peer once; one that nobody can be is not there.
    known: Vec<(&'p RulePeer, Who)>,
    tiers: Vec<AskedTier>,
    anyone: Who,
    /// The labels of namespaces that some peer asks for.
    keys: BTreeSet<Name>,
    cluster: &'c Cluster,
}

struct AskedTier {
    rules: Vec<Asked>,
    otherwise: Otherwise,
}

struct Asked {
    action: Action,
    traffic: TrafficSet,
    /// `None`: anyone.
    peers: Option<Vec<Known>>,
}

/// Some of all who may come, on their way.
#[derive(Clone)]
struct Party {
    of: Vec<Known>,
    who: Who,
}

struct Row {
    party: Party,
    but: BTreeSet<Known>,
    traffic: TrafficSet,
}

impl<'p, 'c> Walk<'p, 'c> {
    fn new(program: &'p PolicyProgram, cluster: &'c Cluster, id: IdentityId) -> Self {
        let identity = program.identity(id);
        let mut known: Vec<(&'p RulePeer, Who)> = Vec::new();
        let mut numbers: BTreeMap<Key, Option<Known>> = BTreeMap::new();
        let mut number = |peer: &'p RulePeer| {
            *numbers.entry(key(peer)).or_insert_with(|| {
                known.push((peer, program.who(peer, &identity.namespace)?));
                Some(known.len() - 1)
            })
        };
        let mut asked = |rule: &'p Rule| Asked {
            action: rule.action,
            traffic: program.traffic_towards(rule, id),
            peers: match &rule.peers {
                Peers::Any => None,
                Peers::Of(peers) => Some(peers.iter().filter_map(&mut number).collect()),
            },
        };
        let tiers = program.profile(program.profile_of(id, Direction::Ingress)).tiers.iter().map(|tier| {
            let rules = tier.rules.iter().map(|rule| asked(program.rule(*rule))).collect();
            AskedTier { rules, otherwise: tier.otherwise }
        });
        let tiers = tiers.collect();
        let keys = known.iter().flat_map(|(_, who)| who.keys(Labelled::Namespace)).cloned().collect();
        let anyone = Who::of(Kinds::ALL).of_families(&families(cluster, identity));
        Self { known, tiers, anyone, keys, cluster }
    }

    fn all(&self) -> Vec<(Audience<'p>, TrafficSet)> {
        let rules = self.tiers.iter().flat_map(|tier| &tier.rules).filter(|rule| rule.action == Action::Accept);
        let accepted: BTreeSet<Known> = rules.flat_map(|rule| rule.peers.iter().flatten()).copied().collect();
        let anyone = Party { of: Vec::new(), who: self.anyone.clone() };
        let narrower = accepted.iter().filter_map(|peer| self.narrowed(&anyone, *peer)).collect::<Vec<_>>();
        let mut rows = Vec::new();
        for party in std::iter::once(anyone).chain(narrower) {
            self.go(&self.tiers, &party, &Open::from([(BTreeSet::new(), TrafficSet::all())]), &mut rows);
        }
        self.told(self.merged(rows))
    }

    /// Asks the tiers, one after the other.
    fn go(&self, tiers: &[AskedTier], party: &Party, open: &Open, rows: &mut Vec<Row>) {
        let mut add = |but: &BTreeSet<Known>, traffic: TrafficSet| {
            rows.push(Row { party: party.clone(), but: but.clone(), traffic });
        };
        let Some((tier, behind)) = tiers.split_first() else {
            return open.iter().for_each(|(but, traffic)| add(but, traffic.clone()));
        };
        let mut here: BTreeMap<Excepted, TrafficSet> =
            open.iter().map(|(but, traffic)| ((but.clone(), BTreeSet::new()), traffic.clone())).collect();
        let (mut on, mut passed) = (Open::new(), BTreeMap::<Known, Open>::new());
        for rule in &tier.rules {
            let Some((meeting, is_all)) = self.meeting(rule, &party.who) else { continue };
            if rule.action == Action::Accept && !is_all {
                continue;
            }
            for ((but, gone), traffic) in take(&mut here, &rule.traffic) {
                match rule.action {
                    Action::Accept => add(&but.union(&gone).copied().collect(), traffic),
                    Action::Deny if is_all => {}
                    Action::Deny => put(&mut here, (&but | &meeting, gone), &traffic),
                    Action::Pass if is_all => put(&mut on, but, &traffic),
                    Action::Pass => {
                        for peer in &meeting {
                            put(passed.entry(*peer).or_default(), but.clone(), &traffic);
                        }
                        put(&mut here, (but, &gone | &meeting), &traffic);
                    }
                }
            }
        }
        if tier.otherwise == Otherwise::NextTier {
            here.into_iter().for_each(|((but, _), traffic)| put(&mut on, but, &traffic));
        }
        for (peer, open) in passed {
            let Some(some) = self.narrowed(party, peer) else { continue };
            // Where all go on they need not go by themselves.
            let of_all = self.concerning(&on, &some.who);
            let mut open = self.concerning(&open, &some.who);
            for (but, traffic) in &mut open {
                *traffic = of_all.get(but).map_or_else(|| traffic.clone(), |all| traffic.difference(all));
            }
            open.retain(|_, traffic| !traffic.is_empty());
            if !open.is_empty() {
                self.go(behind, &some, &open, rows);
            }
        }
        if !on.is_empty() {
            self.go(behind, party, &on, rows);
        }
    }

    /// Which peers of a rule mean some of a party, and whether together they mean all of it.
    fn meeting(&self, rule: &Asked, who: &Who) -> Option<(BTreeSet<Known>, bool)> {
        let Some(peers) = &rule.peers else { return Some((BTreeSet::new(), true)) };
        let meeting: BTreeSet<Known> = peers.iter().copied().filter(|peer| self.means(*peer, who)).collect();
        let is_all = who.is_among(self.whoever(&meeting));
        (!meeting.is_empty()).then_some((meeting, is_all))
    }

    fn means(&self, peer: Known, who: &Who) -> bool {
        self.known.get(peer).is_some_and(|(_, meant)| meant.meets(who))
    }

    fn whoever<'w>(&'w self, peers: impl IntoIterator<Item = &'w Known>) -> impl Iterator<Item = &'w Who> {
        peers.into_iter().filter_map(|peer| self.known.get(*peer)).map(|(_, who)| who)
    }

    /// Without exceptions that are not about these.
    fn concerning(&self, open: &Open, who: &Who) -> Open {
        let mut found = Open::new();
        for (but, traffic) in open {
            put(&mut found, but.iter().copied().filter(|peer| self.means(*peer, who)).collect(), traffic);
        }
        found
    }

    /// Those of a party whom a peer means, too.
    fn narrowed(&self, party: &Party, peer: Known) -> Option<Party> {
        let (_, meant) = self.known.get(peer)?;
        let mut of = party.of.clone();
        if !party.who.is_among([meant]) {
            of.retain(|one| !meant.is_among(self.whoever([one])));
            of.push(peer);
            of.sort_unstable();
        }
        Some(Party { who: self.settled(party.who.intersection(meant)?)?, of })
    }

    /// A namespace that is there has its labels, and no others.
    fn settled(&self, who: Who) -> Option<Who> {
        let Some(namespace) =
            who.only(Labelled::Namespace, METADATA_NAME).and_then(|name| self.cluster.namespace(name))
        else {
            return Some(who);
        };
        let labels = namespace.labels.clone();
        self.keys.iter().try_fold(who, |who, key| who.labelled(Labelled::Namespace, key, labels.get(key)))
    }

    /// Equal audiences once, and those without anybody not at all.
    fn merged(&self, rows: Vec<Row>) -> Vec<Row> {
        let mut found: BTreeMap<(Vec<Known>, BTreeSet<Known>), Row> = BTreeMap::new();
        for row in rows {
            let who = &row.party.who;
            let mut but: BTreeSet<Known> = row.but.iter().copied().filter(|peer| self.means(*peer, who)).collect();
            for peer in but.clone() {
                let others: BTreeSet<Known> = but.iter().copied().filter(|other| *other != peer).collect();
                let both = self.known.get(peer).and_then(|(_, meant)| who.intersection(meant));
                if both.is_none_or(|both| both.is_among(self.whoever(&others))) {
                    but = others;
                }
            }
            if who.is_among(self.whoever(&but)) {
                continue;
            }
            let slot = found.entry((row.party.of.clone(), but.clone()));
            let slot = slot.or_insert_with(|| Row { but, traffic: TrafficSet::empty(), ..row });
            slot.traffic = slot.traffic.union(&row.traffic);
        }
        found.into_values().collect()
    }

    /// Each audience without what a wider one may do.
    fn told(&self, rows: Vec<Row>) -> Vec<(Audience<'p>, TrafficSet)> {
        let told = rows.iter().enumerate().filter_map(|(index, row)| {
            let mut traffic = row.traffic.clone();
            for (other, wide) in rows.iter().enumerate().filter(|(other, _)| *other != index) {
                if traffic.is_empty() {
                    break;
                }
                if self.is_wider(wide, row) && (other < index || !self.is_wider(row, wide)) {
                    traffic = traffic.difference(&wide.traffic);
                }
            }
            let audience =
                Audience { of: self.peers(row.party.of.iter().copied()), but: self.peers(row.but.iter().copied()) };
            (!traffic.is_empty()).then_some((audience, traffic))
        });
        told.collect()
    }

    /// Whether everyone of one audience is of another.
    fn is_wider(&self, wide: &Row, narrow: &Row) -> bool {
        let who = &narrow.party.who;
        who.is_among(std::iter::once(&wide.party.who).chain(self.whoever(&narrow.but)))
            && self
                .whoever(&wide.but)
                .all(|taken| who.intersection(taken).is_none_or(|taken| taken.is_among(self.whoever(&narrow.but))))
    }

    fn peers(&self, peers: impl IntoIterator<Item = Known>) -> Vec<&'p RulePeer> {
        peers.into_iter().filter_map(|peer| self.known.get(peer)).map(|(peer, _)| *peer).collect()
    }
}

impl PolicyProgram {
    /// Whom a peer of a rule about pods of a namespace means; `None`: nobody can be.
    fn who(&self, peer: &RulePeer, own: &Name) -> Option<Who> {
        match peer {
            RulePeer::Pods { namespaces, pods, .. } => {
                let who = Who::of(Kinds::POD);
                let who = match namespaces {
                    None => who.labelled(Labelled::Namespace, &METADATA_NAME.into(), Some(own)),
                    Some(asked) => self
                        .asked_of_namespaces(asked)
                        .try_fold(who, |who, (key, operator)| who.asked(Labelled::Namespace, key, operator)),
                };
                self.asked_of_pods(pods).try_fold(who?, |who, (key, operator)| who.asked(Labelled::Pod, key, operator))
            }
            RulePeer::Nodes { requirements, .. } => {
                let who = Who::of(Kinds::NODE);
                let mut asked = self.asked_of_nodes(requirements);
                asked.try_fold(who, |who, (key, operator)| who.asked(Labelled::Node, key, operator))
            }
            // Names are for egress.
            RulePeer::Block(block) | RulePeer::Names { known: block, .. } => Who::of(Kinds::ALL).at(self.block(*block)),
        }
    }
}

/// What makes two peers of a program the same.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Pods(SelectorId),
    Nodes(NodeSetId),
    Addresses(BlockId),
}

fn key(peer: &RulePeer) -> Key {
    match peer {
        RulePeer::Pods { members, .. } => Key::Pods(*members),
        RulePeer::Nodes { members, .. } => Key::Nodes(*members),
        RulePeer::Block(block) | RulePeer::Names { known: block, .. } => Key::Addresses(*block),
    }
}

/// Takes some traffic out of what is open.
fn take(here: &mut BTreeMap<Excepted, TrafficSet>, traffic: &TrafficSet) -> Vec<(Excepted, TrafficSet)> {
    let mut taken = Vec::new();
    for (excepted, open) in here.iter_mut() {
        let some = open.intersection(traffic);
        if !some.is_empty() {
            *open = open.difference(&some);
            taken.push((excepted.clone(), some));
        }
    }
    here.retain(|_, open| !open.is_empty());
    taken
}

fn put<K: Ord>(open: &mut BTreeMap<K, TrafficSet>, key: K, traffic: &TrafficSet) {
    let slot = open.entry(key).or_insert_with(TrafficSet::empty);
    *slot = slot.union(traffic);
}

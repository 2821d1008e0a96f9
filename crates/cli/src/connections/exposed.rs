//! `--exposed`: what the internet, other namespaces, and pods that do not exist yet could reach.
//!
//! This is about what rules say, not about who is there: a new pod with the right labels is let in.
//!
//! ```text
//! NetworkPolicies alone ──► whoever a rule names
//! several tiers         ──► whom a rule accepts or passes on, strangers besides ──► what all of them may do, over
//!                           all tiers ──► without what wider ones may do, too
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use palisade_engine::{
    Connections, PolicyProgram,
    compile::{Action, IdentityId, Peers, ProfileId, RulePeer, Tier},
    connections::EndSet,
    model::{Cluster, Direction, Family, Name},
    sets::TrafficSet,
    strangers::{Concerning, Whom, families},
};
use serde::Serialize;

use super::{
    data::TrafficData,
    names::{Namer, prefixes},
    text::{columns, readable},
};
use crate::screen::hanging;

/// To whom something is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Audience {
    /// Whoever it is: nothing denies it, or a rule takes anyone.
    Anyone,
    /// Whoever is no pod: pods are denied.
    Outside,
    /// Addresses.
    Addresses(String),
    /// Pods of namespaces other than the policy's own.
    Namespaces(String),
    /// Pods of the policy's own namespace.
    OwnNamespace(String),
}

impl Audience {
    fn words(&self) -> String {
        match self {
            Self::Anyone => "anyone".to_owned(),
            Self::Outside => "anyone who is no pod".to_owned(),
            Self::Addresses(text) | Self::Namespaces(text) | Self::OwnNamespace(text) => text.clone(),
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Outside => "outside",
            Self::Addresses(_) => "addresses",
            Self::Namespaces(_) => "namespaces",
            Self::OwnNamespace(_) => "own-namespace",
        }
    }
}

/// Who could reach whom, by what.
pub(crate) struct Exposure {
    rows: Vec<(Audience, EndSet, TrafficSet)>,
}

#[derive(Debug, Serialize)]
struct RowData {
    audience: &'static str,
    from: String,
    to: Vec<String>,
    #[serde(flatten)]
    traffic: TrafficData,
}

impl Exposure {
    /// What is open to those who are not in the input; `to` and `within` narrow it.
    pub(crate) fn new(
        cluster: &Cluster,
        program: &PolicyProgram,
        connections: &Connections,
        to: Option<&EndSet>,
        within: Option<&TrafficSet>,
    ) -> Self {
        let mut open: BTreeMap<Audience, BTreeMap<TrafficSet, EndSet>> = BTreeMap::new();
        let mut add = |audience: Audience, traffic: &TrafficSet, end: u32| {
            let traffic = within.map_or_else(|| traffic.clone(), |within| traffic.intersection(within));
            if !traffic.is_empty() {
                open.entry(audience).or_default().entry(traffic).or_default().insert(end);
            }
        };
        let mut listeners: HashMap<(ProfileId, Name, Vec<Family>), Rc<Listeners>> = HashMap::new();
        for (id, identity) in program.identities() {
            let end = connections.ends().of_identity(id).number();
            if to.is_some_and(|to| !to.contains(end)) {
                continue;
            }
            let families = families(cluster, identity);
            let profile = program.profile_of(id, Direction::Ingress);
            if program.profile(profile).tiers.iter().all(|tier| tier.tier == Tier::NetworkPolicy) {
                for (audience, traffic) in let_in(program, profile, id) {
                    add(audience, &traffic, end);
                }
                continue;
            }
            let audiences = listeners.entry((profile, identity.namespace.clone(), families)).or_insert_with_key(
                |(profile, namespace, families)| Rc::new(Listeners::new(program, *profile, namespace, families)),
            );
            for (audience, traffic) in audiences.reaching(program, id) {
                add(audience, &traffic, end);
            }
        }
        let rows = open
            .into_iter()
            .flat_map(|(audience, sets)| sets.into_iter().map(move |(traffic, to)| (audience.clone(), to, traffic)));
        Self { rows: rows.collect() }
    }

    /// As a table.
    pub(crate) fn text(&self, connections: &Connections, namer: &Namer<'_>, width: usize) -> String {
        if self.rows.is_empty() {
            return "Nothing is exposed: every pod is closed for ingress, and no rule lets anybody in.\n".to_owned();
        }
        let mut cells = vec![["EXPOSED TO".to_owned(), "WHO".to_owned(), "PORTS".to_owned()]];
        cells.extend(self.rows.iter().map(|(audience, to, traffic)| {
            [audience.words(), namer.line(&namer.groups.name(connections, to)), traffic.to_string()]
        }));
        let note = "(anyone: the internet, every namespace, and pods that do not exist yet; pods by label: also those \
                    that somebody gives these labels later)";
        format!("{}\n{}\n", columns(&cells, width), hanging("", note, 0, width))
    }

    /// For programs.
    pub(crate) fn data(&self, connections: &Connections, namer: &Namer<'_>) -> impl Serialize + use<> {
        let rows = self.rows.iter().map(|(audience, to, traffic)| RowData {
            audience: audience.key(),
            from: audience.words(),
            to: namer.singles(&namer.groups.name(connections, to)),
            traffic: traffic.into(),
        });
        rows.collect::<Vec<_>>()
    }
}

/// Who is let in where NetworkPolicies alone judge: whoever a rule names, by what it says.
fn let_in(program: &PolicyProgram, profile: ProfileId, id: IdentityId) -> BTreeMap<Audience, TrafficSet> {
    let profile = program.profile(profile);
    let mut found: BTreeMap<Audience, TrafficSet> = BTreeMap::new();
    let mut add = |audience: Audience, traffic: &TrafficSet| {
        let slot = found.entry(audience).or_default();
        *slot = slot.union(traffic);
    };
    if profile.is_open() {
        add(Audience::Anyone, &TrafficSet::all());
    }
    for rule in profile.tiers.iter().flat_map(|tier| &tier.rules).map(|rule| program.rule(*rule)) {
        let traffic = program.traffic_towards(rule, id);
        match &rule.peers {
            Peers::Any => add(Audience::Anyone, &traffic),
            Peers::Of(peers) => peers.iter().for_each(|peer| add(audience(program, peer), &traffic)),
        }
    }
    found
}

/// Who could come to the pods of a profile, and by which rules each is judged.
struct Listeners {
    pod: Concerning,
    outside: Concerning,
    peers: Vec<Listener>,
}

/// Whoever a peer of a rule means.
struct Listener {
    audience: Audience,
    rules: Concerning,
    /// Whether these are pods, and all of them.
    is_pods: bool,
    is_any_pod: bool,
    /// Others of the list that mean all of these, and more.
    wider: Vec<usize>,
}

impl Listeners {
    fn new(program: &PolicyProgram, profile: ProfileId, namespace: &str, families: &[Family]) -> Self {
        let concerning = |whom: Whom<'_>| program.concerning(profile, namespace, families, whom);
        // What a rule passes on, another tier may let in.
        let rules = program.profile(profile).tiers.iter().flat_map(|tier| &tier.rules).map(|rule| program.rule(*rule));
        let mut found: Vec<(Audience, &RulePeer)> = Vec::new();
        for rule in rules.filter(|rule| rule.action != Action::Deny) {
            let Peers::Of(peers) = &rule.peers else { continue };
            for peer in peers {
                let audience = audience(program, peer);
                if !found.iter().any(|(known, _)| *known == audience) {
                    found.push((audience, peer));
                }
            }
        }
        let is_wider = |wide: &RulePeer, narrow: &RulePeer| program.peer_covers(wide, narrow, namespace);
        let peers = found.iter().enumerate().map(|(index, (audience, peer))| {
            let wider = found.iter().enumerate().filter(|(other, (_, wide))| {
                *other != index && is_wider(wide, peer) && (*other < index || !is_wider(peer, wide))
            });
            let is_any_pod = matches!(peer, RulePeer::Pods { namespaces: Some(namespaces), pods, .. }
                if namespaces.is_empty() && pods.is_empty());
            Listener {
                audience: audience.clone(),
                rules: concerning(Whom::Peer(peer)),
                is_pods: matches!(peer, RulePeer::Pods { .. }),
                is_any_pod,
                wider: wider.map(|(other, _)| other).collect(),
            }
        });
        let peers = peers.collect();
        Self { pod: concerning(Whom::Pod), outside: concerning(Whom::Outside), peers }
    }

    /// Who reaches pods of an identity by what, each without what they reach as one of a wider audience.
    fn reaching(&self, program: &PolicyProgram, id: IdentityId) -> Vec<(Audience, TrafficSet)> {
        let allowed = |rules: &Concerning| program.stance(rules, Some(id)).allowed;
        let (pod, outside) = (allowed(&self.pod), allowed(&self.outside));
        let anyone = pod.intersection(&outside);
        let mut all = vec![(Audience::Anyone, anyone.clone()), (Audience::Outside, outside.difference(&anyone))];
        let of_peers: Vec<TrafficSet> = self.peers.iter().map(|peer| allowed(&peer.rules)).collect();
        for (peer, traffic) in self.peers.iter().zip(&of_peers) {
            let told = match (peer.is_any_pod, peer.is_pods) {
                (true, _) => &anyone,
                (false, true) => &pod,
                (false, false) => &outside,
            };
            let wider = peer.wider.iter().filter_map(|wider| of_peers.get(*wider));
            let traffic = wider.fold(traffic.difference(told), |rest, wider| rest.difference(wider));
            all.push((peer.audience.clone(), traffic));
        }
        all
    }
}

fn audience(program: &PolicyProgram, peer: &RulePeer) -> Audience {
    match peer {
        RulePeer::Block(block) | RulePeer::Names { known: block, .. } => {
            Audience::Addresses(prefixes(program.block(*block)).join(", "))
        }
        RulePeer::Nodes { members, .. } => Audience::Addresses(program.node_set_text(*members).to_owned()),
        RulePeer::Pods { namespaces, members, .. } => {
            let text = readable(program.selector_text(*members));
            if namespaces.is_some() { Audience::Namespaces(text) } else { Audience::OwnNamespace(text) }
        }
    }
}

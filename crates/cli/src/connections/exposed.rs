//! `--exposed`: what the internet, other namespaces, and pods that do not exist yet could reach.
//!
//! This is about what rules say, not about who is there: a new pod with the right labels is let in.

use std::collections::BTreeMap;

use palisade_engine::{
    Connections, PolicyProgram,
    compile::{Action, Peers, RulePeer},
    connections::EndSet,
    model::Direction,
    sets::TrafficSet,
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
    /// Whoever it is: no policy isolates the pods, or a rule takes anyone.
    Anyone,
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
            Self::Addresses(text) | Self::Namespaces(text) | Self::OwnNamespace(text) => text.clone(),
        }
    }

    fn key(&self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
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
        program: &PolicyProgram,
        connections: &Connections,
        to: Option<&EndSet>,
        within: Option<&TrafficSet>,
    ) -> Self {
        let mut open: BTreeMap<Audience, BTreeMap<TrafficSet, EndSet>> = BTreeMap::new();
        for (id, _) in program.identities() {
            let end = connections.ends().of_identity(id).number();
            if to.is_some_and(|to| !to.contains(end)) {
                continue;
            }
            let mut by_audience: BTreeMap<Audience, TrafficSet> = BTreeMap::new();
            let mut add = |audience: Audience, traffic: &TrafficSet| {
                let slot = by_audience.entry(audience).or_default();
                *slot = slot.union(traffic);
            };
            let profile = program.profile(program.profile_of(id, Direction::Ingress));
            if profile.is_open() {
                add(Audience::Anyone, &TrafficSet::all());
            }
            let rules = profile.tiers.iter().flat_map(|tier| &tier.rules).map(|rule| program.rule(*rule));
            for rule in rules.filter(|rule| rule.action == Action::Accept) {
                let traffic = program.traffic_towards(rule, id);
                match &rule.peers {
                    Peers::Any => add(Audience::Anyone, &traffic),
                    Peers::Of(peers) => peers.iter().for_each(|peer| add(audience(program, peer), &traffic)),
                }
            }
            for (audience, traffic) in by_audience {
                let traffic = within.map_or_else(|| traffic.clone(), |within| traffic.intersection(within));
                if !traffic.is_empty() {
                    open.entry(audience).or_default().entry(traffic).or_default().insert(end);
                }
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
            return "Nothing is exposed: every pod is isolated for ingress, and no rule lets anybody in.\n".to_owned();
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

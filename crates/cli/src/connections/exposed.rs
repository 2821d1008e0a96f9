//! `--exposed`: what the internet, other namespaces, and pods that do not exist yet could reach.
//!
//! This is about what rules say, not about who is there: a new pod with the right labels is let in.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use palisade_engine::{
    Connections, PolicyProgram,
    compile::RulePeer,
    connections::EndSet,
    exposure::{Audience, is_any_pod},
    model::{Cluster, Direction},
    sets::{PrefixSet, TrafficSet},
    strangers::families,
};
use serde::Serialize;

use super::{
    data::TrafficData,
    names::{Namer, prefixes},
    text::{columns, readable},
};
use crate::screen::hanging;

/// What an audience is, apart from those who are taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Whoever it is: nothing denies it, or a rule takes anyone.
    Anyone,
    /// Whoever is no pod: pods are denied.
    Outside,
    /// Addresses, or nodes.
    Addresses,
    /// Pods of namespaces other than the policy's own.
    Namespaces,
    /// Pods of the policy's own namespace.
    OwnNamespace,
}

impl Kind {
    fn key(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Outside => "outside",
            Self::Addresses => "addresses",
            Self::Namespaces => "namespaces",
            Self::OwnNamespace => "own-namespace",
        }
    }
}

/// To whom something is open, in words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct InWords {
    kind: Kind,
    who: String,
    /// Those of them to whom it is not.
    but: Vec<String>,
}

impl InWords {
    fn new(program: &PolicyProgram, audience: &Audience<'_>) -> Self {
        let mut but: Vec<&RulePeer> = audience.but.clone();
        let (kind, who) = match audience.of.as_slice() {
            [] if but.iter().any(|peer| is_any_pod(peer)) => {
                but.retain(|peer| !matches!(peer, RulePeer::Pods { .. }));
                (Kind::Outside, "anyone who is no pod".to_owned())
            }
            [] => (Kind::Anyone, "anyone".to_owned()),
            peers => in_common(program, peers, &mut but),
        };
        let mut but: Vec<String> = but.into_iter().map(|peer| in_common(program, &[peer], &mut Vec::new()).1).collect();
        but.sort();
        Self { kind, who, but }
    }

    fn line(&self) -> String {
        if self.but.is_empty() { self.who.clone() } else { format!("{} but {}", self.who, self.but.join(", ")) }
    }
}

/// Who could reach whom, by what.
pub(crate) struct Exposure {
    rows: Vec<(InWords, EndSet, TrafficSet)>,
}

#[derive(Debug, Serialize)]
struct RowData<'a> {
    audience: &'static str,
    from: String,
    /// Who of the audience is not meant; `from` says it, too.
    but: &'a [String],
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
        let mut open: BTreeMap<InWords, BTreeMap<TrafficSet, EndSet>> = BTreeMap::new();
        let mut exposures: HashMap<_, Rc<Vec<(InWords, TrafficSet)>>> = HashMap::new();
        for (id, identity) in program.identities() {
            let end = connections.ends().of_identity(id).number();
            if to.is_some_and(|to| !to.contains(end)) {
                continue;
            }
            let ports: Vec<_> = identity.named_ports().collect();
            let profile = program.profile_of(id, Direction::Ingress);
            let exposure = exposures.entry((profile, &identity.namespace, families(cluster, identity), ports));
            let exposure = exposure.or_insert_with(|| {
                let found = program.exposure(cluster, id).into_iter();
                Rc::new(found.map(|(audience, traffic)| (InWords::new(program, &audience), traffic)).collect())
            });
            for (audience, traffic) in Rc::clone(exposure).iter() {
                let traffic = within.map_or_else(|| traffic.clone(), |within| traffic.intersection(within));
                if !traffic.is_empty() {
                    open.entry(audience.clone()).or_default().entry(traffic).or_default().insert(end);
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
            return "Nothing is exposed: every pod is closed for ingress, and no rule lets anybody in.\n".to_owned();
        }
        let mut cells = vec![["EXPOSED TO".to_owned(), "WHO".to_owned(), "PORTS".to_owned()]];
        cells.extend(self.rows.iter().map(|(audience, to, traffic)| {
            [audience.line(), namer.line(&namer.groups.name(connections, to)), traffic.to_string()]
        }));
        let note = "(anyone: the internet, every namespace, and pods that do not exist yet; pods by label: also those \
                    that somebody gives these labels later)";
        format!("{}\n{}\n", columns(&cells, width), hanging("", note, 0, width))
    }

    /// For programs.
    pub(crate) fn data(&self, connections: &Connections, namer: &Namer<'_>) -> impl Serialize + use<'_> {
        let rows = self.rows.iter().map(|(audience, to, traffic)| RowData {
            audience: audience.kind.key(),
            from: audience.line(),
            but: &audience.but,
            to: namer.singles(&namer.groups.name(connections, to)),
            traffic: traffic.into(),
        });
        rows.collect::<Vec<_>>()
    }
}

/// What several peers mean, all of them; of addresses those that are taken out of them, too.
fn in_common(program: &PolicyProgram, peers: &[&RulePeer], but: &mut Vec<&RulePeer>) -> (Kind, String) {
    let (mut namespaces, mut pods, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut own, mut addresses) = (None, None::<PrefixSet>);
    for peer in peers {
        match peer {
            RulePeer::Pods { members, .. } => {
                let text = program.selector_text(*members);
                match text.strip_prefix('[').and_then(|text| text.rsplit_once("]/")) {
                    Some((of, labels)) => (namespaces.push(of), pods.push(labels)),
                    None => text.split_once('/').map_or(((), ()), |(of, labels)| (own = Some(of), pods.push(labels))),
                };
            }
            RulePeer::Nodes { members, .. } => nodes.push(program.node_set_text(*members)),
            RulePeer::Block(block) | RulePeer::Names { known: block, .. } => {
                let block = program.block(*block);
                addresses = Some(addresses.map_or_else(|| block.clone(), |all| all.intersection(block)));
            }
        }
    }
    let listed = |mut texts: Vec<&str>| {
        texts.retain(|text| !text.is_empty());
        texts.join(",")
    };
    let (kind, mut who) = match own {
        Some(own) => (Kind::OwnNamespace, readable(&format!("{own}/{}", listed(pods)))),
        None if !pods.is_empty() => (Kind::Namespaces, readable(&format!("[{}]/{}", listed(namespaces), listed(pods)))),
        None => (Kind::Addresses, listed(nodes)),
    };
    if let Some(mut addresses) = addresses {
        for peer in but.extract_if(.., |peer| matches!(peer, RulePeer::Block(_))) {
            if let RulePeer::Block(block) = peer {
                addresses = addresses.difference(program.block(*block));
            }
        }
        let addresses = prefixes(&addresses).join(", ");
        who = if who.is_empty() { addresses } else { format!("{who} at {addresses}") };
    }
    (kind, who)
}

//! The rows of the answer: rectangles of the relation, asked for, folded and in order.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    Connections, PolicyProgram,
    compile::{Peers, RuleId, RulePeer},
    connections::{By, End, EndSet, Groups, Query, Rectangle},
    model::{Cluster, Direction, Family, Name, Workload, WorkloadKind},
    sets::TrafficSet,
};

use crate::endpoint::Selection;

/// What is asked.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) by: By,
    pub(crate) denied: bool,
    pub(crate) from: Option<Selection>,
    pub(crate) to: Option<Selection>,
    pub(crate) within: Option<TrafficSet>,
}

/// The whole answer.
pub(crate) struct Table {
    pub(crate) rows: Vec<Row>,
    /// What only an address that is not known could decide.
    pub(crate) undecided: Vec<Row>,
    /// Rules that let somebody through, of whom there is nobody.
    pub(crate) unmatched: Vec<Unmatched>,
    /// Workloads that run no pod, so that they are in no row.
    pub(crate) without_pods: Vec<String>,
}

/// Some connections.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) from: EndSet,
    pub(crate) to: EndSet,
    /// The one family that this is about.
    pub(crate) family: Option<Family>,
    pub(crate) traffic: TrafficSet,
    /// Whether it holds for some pods of these namespaces only.
    pub(crate) partial: bool,
}

/// A rule's peer that selects nobody.
#[derive(Clone, Debug)]
pub(crate) struct Unmatched {
    pub(crate) rule: RuleId,
    /// `[team=a]/app=web`
    pub(crate) selector: String,
}

/// The ends whom no policy holds back, by direction.
pub(crate) struct Open {
    pub(crate) egress: EndSet,
    pub(crate) ingress: EndSet,
}

impl Asked {
    /// Whether all that is allowed is asked for.
    pub(crate) fn is_everything(&self) -> bool {
        !self.denied && self.from.is_none() && self.to.is_none() && self.within.is_none()
    }

    fn query(&self, connections: &Connections, program: &PolicyProgram) -> Query {
        let ends = |selection: &Option<Selection>| selection.as_ref().map(|s| s.ends(connections, program));
        Query { denied: self.denied, from: ends(&self.from), to: ends(&self.to), within: self.within.clone() }
    }
}

impl Table {
    /// The answer to what is asked.
    pub(crate) fn new(cluster: &Cluster, program: &PolicyProgram, connections: &Connections, asked: &Asked) -> Self {
        let query = asked.query(connections, program);
        // Denied is what no address could make allowed.
        let relation = connections.possible().filter(|_| asked.denied).unwrap_or_else(|| connections.allowed());
        let rectangles = connections.rectangles(relation, &query);
        // What is possible and not certain is neither allowed nor denied.
        let open_to_both = Query { denied: false, ..query };
        let undecided = connections.undecided().map(|relation| connections.rectangles(relation, &open_to_both));
        let undecided = undecided.unwrap_or_default();
        let arranged = |rectangles| arranged(cluster, program, connections, asked.by, rectangles);
        Self {
            rows: arranged(rectangles),
            undecided: arranged(undecided),
            unmatched: unmatched(program),
            without_pods: without_pods(cluster),
        }
    }

    /// Takes out what is so because nobody is isolated at either end.
    pub(crate) fn fold(&mut self, open: &Open) {
        let rows = std::mem::take(&mut self.rows).into_iter().flat_map(|row| {
            let (from, to) = (&row.from & &open.egress, &row.to & &open.ingress);
            if !row.traffic.is_all() || row.family.is_some() || from.is_empty() || to.is_empty() {
                return vec![row];
            }
            let held_back = Row { from: &row.from - &open.egress, to: to.clone(), ..row.clone() };
            let guarded = Row { to: &row.to - &to, ..row };
            vec![held_back, guarded]
        });
        self.rows = merged(rows.filter(|row| !row.from.is_empty() && !row.to.is_empty()).collect());
        in_order(&mut self.rows);
    }
}

impl Open {
    pub(crate) fn new(connections: &Connections, program: &PolicyProgram) -> Self {
        let of = |direction| connections.not_isolated(program, direction);
        Self { egress: of(Direction::Egress), ingress: of(Direction::Ingress) }
    }
}

fn arranged(
    cluster: &Cluster,
    program: &PolicyProgram,
    connections: &Connections,
    by: By,
    rectangles: Vec<Rectangle>,
) -> Vec<Row> {
    let rows = rectangles.into_iter().map(|Rectangle { from, to, family, traffic }| Row {
        from,
        to,
        family,
        traffic,
        partial: false,
    });
    // A pod to itself is no question.
    let single = |row: &Row| row.from.len() == 1 && row.from == row.to && is_one_pod(program, connections, &row.from);
    let mut rows: Vec<Row> = rows.filter(|row| !single(row)).collect();
    if by == By::Namespace {
        rows = by_namespace(cluster, program, connections, &rows);
    }
    in_order(&mut rows);
    rows
}

fn is_one_pod(program: &PolicyProgram, connections: &Connections, set: &EndSet) -> bool {
    let mut members = connections.ends().members(set);
    members.next().is_some_and(|(_, end)| match end {
        End::Pods(identity) => program.identity(*identity).pods.len() == 1,
        End::Node { .. } | End::Outside { .. } => true,
    })
}

fn in_order(rows: &mut [Row]) {
    rows.sort_by(|a, b| {
        let key = |row: &Row| (row.from.min(), row.to.min(), row.from.len(), row.to.len());
        key(a).cmp(&key(b)).then_with(|| a.traffic.cmp(&b.traffic))
    });
}

/// One row for each pair of namespaces (and the nodes, and the outside), with all that passes between any two.
fn by_namespace(cluster: &Cluster, program: &PolicyProgram, connections: &Connections, rows: &[Row]) -> Vec<Row> {
    let mut groups: BTreeMap<(u8, Option<&Name>), EndSet> = BTreeMap::new();
    for (id, end) in connections.ends().iter() {
        let key = match end {
            End::Pods(identity) => (0, cluster.namespace(&program.identity(*identity).namespace).map(|ns| &ns.name)),
            End::Node { .. } => (1, None),
            End::Outside { .. } => (2, None),
        };
        groups.entry(key).or_default().insert(id.number());
    }
    let groups: Vec<EndSet> = groups.into_values().collect();
    let mut group_of = vec![0; connections.ends().len()];
    for (index, group) in groups.iter().enumerate() {
        for end in group {
            if let Some(slot) = group_of.get_mut(end as usize) {
                *slot = index;
            }
        }
    }
    let within = |set: &EndSet| {
        let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
        for group in set.iter().filter_map(|end| group_of.get(end as usize)) {
            *sizes.entry(*group).or_default() += 1;
        }
        sizes
    };
    let mut pairs: BTreeMap<(usize, usize), Vec<(&Row, u64)>> = BTreeMap::new();
    for row in rows {
        let destinations = within(&row.to);
        for (from, sources) in within(&row.from) {
            for (to, destinations) in &destinations {
                pairs.entry((from, *to)).or_default().push((row, sources * destinations));
            }
        }
    }
    let rows = pairs.into_iter().filter_map(|((from, to), parts)| {
        let (from, to) = (groups.get(from)?, groups.get(to)?);
        let traffic = parts.iter().fold(TrafficSet::empty(), |all, (row, _)| all.union(&row.traffic));
        let whole = parts.iter().filter(|(row, _)| row.family.is_none() && row.traffic == traffic);
        let whole: u64 = whole.map(|(_, pairs)| pairs).sum();
        let partial = whole < from.len() * to.len();
        Some(Row { from: from.clone(), to: to.clone(), family: None, traffic, partial })
    });
    merged(rows.collect())
}

/// Rows that differ in one side only become one.
fn merged(rows: Vec<Row>) -> Vec<Row> {
    let rows = merged_by(rows, |row| &row.from, |row, other| row.to |= &other.to);
    merged_by(rows, |row| &row.to, |row, other| row.from |= &other.from)
}

fn merged_by(rows: Vec<Row>, same: fn(&Row) -> &EndSet, join: fn(&mut Row, &Row)) -> Vec<Row> {
    let mut joined: Vec<Row> = Vec::with_capacity(rows.len());
    let mut alike: BTreeMap<(Option<u32>, Option<u32>, u64), Vec<usize>> = BTreeMap::new();
    for row in rows {
        let set = same(&row);
        let candidates = alike.entry((set.min(), set.max(), set.len())).or_default();
        let equal = |other: &Row| {
            same(other) == set
                && (&other.traffic, other.family, other.partial) == (&row.traffic, row.family, row.partial)
        };
        match candidates.iter().find(|index| joined.get(**index).is_some_and(equal)) {
            Some(index) => {
                if let Some(other) = joined.get_mut(*index) {
                    join(other, &row);
                }
            }
            None => {
                candidates.push(joined.len());
                joined.push(row);
            }
        }
    }
    joined
}

/// Every peer by label that selects no pod of the input.
fn unmatched(program: &PolicyProgram) -> Vec<Unmatched> {
    let mut found = Vec::new();
    for (id, rule) in program.rules() {
        let Peers::Of(peers) = &rule.peers else { continue };
        for peer in peers {
            if let RulePeer::Pods { members, .. } = peer
                && program.members(*members).is_empty()
            {
                found.push(Unmatched { rule: id, selector: program.selector_text(*members).to_owned() });
            }
        }
    }
    found
}

/// Every workload that is scaled to nothing.
fn without_pods(cluster: &Cluster) -> Vec<String> {
    let running: BTreeSet<_> = cluster
        .pods()
        .filter_map(|(_, pod)| pod.workload.as_ref().map(|(kind, name)| (*kind, &pod.id.namespace, name)))
        .collect();
    let scaled = |workload: &&Workload| {
        workload.owner.is_none() && !matches!(workload.kind, WorkloadKind::Job | WorkloadKind::CronJob)
    };
    let workloads = cluster.workloads().iter().filter(scaled);
    let without = workloads.filter(|w| !running.contains(&(w.kind, &w.id.namespace, &w.id.name)));
    without.map(|workload| format!("{}/{}/{}", workload.id.namespace, workload.kind, workload.id.name)).collect()
}

/// The groups of the answer: of all pods, or of those asked about.
pub(crate) fn groups(cluster: &Cluster, program: &PolicyProgram, asked: &Asked) -> (Groups, Groups) {
    let of = |selection: &Option<Selection>| match selection {
        None => Groups::new(cluster, program, asked.by),
        Some(selection) => Groups::of_pods(cluster, program, asked.by, &selection.pods),
    };
    (of(&asked.from), of(&asked.to))
}

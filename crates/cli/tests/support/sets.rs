//! A table of expected verdicts, compared with all connections as sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use libtest_mimic::Failed;
use palisade_engine::{
    Connections, PolicyProgram,
    connections::{EndId, TrafficId},
    model::{Cluster, Endpoint, Family, ObjectRef, PortRange, Protocol},
    sets::TrafficSet,
};
use palisade_manifest::{ReadOptions, read_paths};

/// From, to, and by which protocol.
type Pair<'t> = (&'t str, &'t str, Protocol);

/// Judges every row of `flows` by one relation. Where a pair's rows are complete, having every port that
/// the table asks anybody about, so does what lies between them: between two neighbouring ports of one
/// verdict all ports must have it, since every boundary is asked about on both sides.
pub(crate) fn judge(case: &Path, flows: &Path, family: &str) -> Result<(), Failed> {
    let reading = read_paths(&[case.join("cluster.yaml"), case.join("policies.yaml")], &ReadOptions::default());
    let cluster = reading.inventory.into_cluster().map_err(|conflicts| format!("{conflicts:?}"))?;
    let program = PolicyProgram::compile(&cluster);
    let connections = Connections::new(&cluster, &program);
    let asked = if family == "4" { Family::V4 } else { Family::V6 };
    let mut pairs: BTreeMap<Pair<'_>, Vec<(u16, bool)>> = BTreeMap::new();
    let table = std::fs::read_to_string(flows)?;
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [from, to, protocol, port, expected] = columns.as_slice() else { return Err(line.into()) };
        let protocol = Protocol::parse(protocol).ok_or(*protocol)?;
        pairs.entry((from, to, protocol)).or_default().push((port.parse()?, *expected == "allow"));
    }
    let asked_ports: BTreeSet<u16> = pairs.values().flatten().map(|(port, _)| *port).collect();
    for ((from, to, protocol), mut rows) in pairs {
        let ends = (end(&cluster, &program, &connections, from)?, end(&cluster, &program, &connections, to)?);
        // A row that names an address is of that address's family.
        let family = if from.contains('.') || to.contains('.') && !to.contains('/') { Family::V4 } else { asked };
        let family = if from.contains(':') || to.contains(':') { Family::V6 } else { family };
        let cell = connections.allowed().between(ends.0, ends.1);
        let allowed = connections.traffic(cell.of(family).unwrap_or(TrafficId::NOTHING)).of(protocol);
        rows.sort_unstable();
        let is_complete = rows.iter().map(|(port, _)| *port).collect::<BTreeSet<u16>>() == asked_ports;
        for window in rows.windows(2).filter(|_| is_complete) {
            let [(first, a), (last, b)] = [window[0], window[1]];
            let between = PortRange::new(first, last).map(|range| TrafficSet::ports(protocol, range));
            let between = between.unwrap_or_default().of(protocol).clone();
            let wrong = if a { between.difference(allowed) } else { between.intersection(allowed) };
            if a == b && !wrong.is_empty() {
                return Err(format!("{from} -> {to} {protocol} {first} to {last}: {wrong:?} is not {a}").into());
            }
        }
        for (port, expected) in rows {
            if allowed.contains(port) != expected {
                return Err(format!("{from} -> {to} {protocol} {port}: expected {expected}").into());
            }
        }
    }
    Ok(())
}

fn end(cluster: &Cluster, program: &PolicyProgram, connections: &Connections, name: &str) -> Result<EndId, Failed> {
    if let Some((namespace, pod)) = name.split_once('/') {
        let pod = cluster.find_pod(&ObjectRef::new(namespace, pod)).ok_or(name)?;
        let identity = program.identity_of(pod).ok_or("a pod without identity")?;
        return Ok(connections.ends().of_identity(identity));
    }
    let address = name.parse()?;
    match cluster.endpoint_of(address) {
        Endpoint::Outside => Ok(connections.ends().of_outside(address)),
        Endpoint::Pod(_) | Endpoint::Node(_) => Err(format!("{name} is not outside").into()),
    }
}

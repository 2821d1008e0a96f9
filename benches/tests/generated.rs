//! What the generator promises: the numbers asked for, the same bytes for a seed, nothing unreadable.

use anyhow::Result;
use palisade_benches::{Cluster, Object, Size};
use palisade_engine::{Connections, PolicyProgram, model::Inventory};
use palisade_manifest::{ReadOptions, read_text};
use palisade_nftables::plan::{Options, plan};

const SMALL: Size = Size { pods: 400, policies: 200, seed: 1, dual_stack: true };

fn text(size: Size) -> Result<String> {
    let mut bytes = Vec::new();
    Cluster::new(size)?.write(&mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}

#[test]
fn a_seed_is_a_cluster() {
    let first = text(SMALL).unwrap();
    assert!(first == text(SMALL).unwrap(), "the same seed, other bytes");
    assert!(first != text(Size { seed: 2, ..SMALL }).unwrap(), "another seed, the same bytes");
}

#[test]
fn it_reads_without_a_finding_and_has_what_was_asked_for() {
    for size in [
        SMALL,
        Size { dual_stack: false, seed: 7, ..SMALL },
        Size { pods: 1_000, policies: 500, seed: 3, ..SMALL },
        Size { pods: 50, policies: 10, ..SMALL },
    ] {
        let reading = read_text("generated", &text(size).unwrap(), &ReadOptions::default());
        assert_eq!(reading.diagnostics.first().map(|found| (&found.message, &found.object)), None, "{size:?}");
        assert!(reading.passed_over.is_empty(), "{:?}", reading.passed_over);
        let policies = reading.inventory.policies.len();
        let cluster = reading.inventory.into_cluster().unwrap();
        assert_eq!((cluster.pods().len(), policies), (size.pods, size.policies), "no stand-ins either: {size:?}");
        assert!(cluster.pods().all(|(_, pod)| pod.workload.is_some() && pod.node.is_some()), "{size:?}");
        let families = if size.dual_stack { 2 } else { 1 };
        assert!(cluster.pods().all(|(_, pod)| pod.addresses.iter().count() == families), "{size:?}");
    }
}

#[test]
fn too_small_is_said() {
    assert!(Cluster::new(Size { pods: 20, ..SMALL }).is_err());
    assert!(Cluster::new(Size { policies: 3, ..SMALL }).is_err());
}

/// Something passes, something does not, and names, blocks and both families matter: else the numbers
/// of the benchmark would be about nothing.
#[test]
fn its_policies_decide_something() {
    let cluster =
        read_text("generated", &text(SMALL).unwrap(), &ReadOptions::default()).inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    let (pods, identities) = (cluster.pods().len(), program.identities().len());
    assert!(identities > pods / 12 && identities < pods / 2, "{identities} identities of {pods} pods");
    let connections = Connections::new(&cluster, &program);
    let rows = connections.allowed().rows();
    assert!(rows.len() > identities / 2, "{} rows", rows.len());
    let cells = rows.iter().flat_map(|row| &row.sources).map(|(_, cell)| *cell);
    assert!(cells.clone().any(|cell| cell.v4 != cell.v6), "the families never differ");
    let named = program.identities().filter(|(_, identity)| identity.named_ports().next().is_some()).count();
    assert!(named * 2 > identities, "{named} of {identities} identities have a port with a name that counts");
}

/// The values are what a reader makes of the text: every node would get the same rules.
#[test]
fn its_objects_are_those_of_its_text() {
    for size in [SMALL, Size { dual_stack: false, seed: 5, ..SMALL }] {
        let read = read_text("generated", &text(size).unwrap(), &ReadOptions::default());
        let read = read.inventory.into_cluster().unwrap();
        let mut inventory = Inventory::default();
        Cluster::new(size).unwrap().objects(&mut |object| match object {
            Object::Namespace(namespace) => inventory.namespaces.push(namespace),
            Object::Node(node) => inventory.nodes.push(node),
            Object::Pod(pod) => inventory.pods.push(pod),
            Object::Policy(policy) => inventory.policies.push(policy),
        });
        let made = inventory.into_cluster().unwrap();
        assert_eq!(made.pods().len(), size.pods);
        let rules = |cluster: &palisade_engine::model::Cluster| {
            let program = PolicyProgram::compile(cluster);
            let nodes = cluster.nodes().map(|(id, node)| (node.name.clone(), id));
            let options = Options::default();
            nodes.map(|(name, id)| (name, plan(cluster, &program, id, &options).ruleset)).collect::<Vec<_>>()
        };
        assert!(rules(&read) == rules(&made), "{size:?}");
    }
}

//! A whole cluster: nodes and namespaces, then what is in them.

use palisade_engine::model::{Family, Inventory, Labels, Name, Namespace, Node, Pod};

use super::{
    Size,
    addresses::{Stack, of_node},
    cluster_policies, domain_names,
    labels::{METADATA_NAME, NAMESPACE_KEYS, labels},
    pods, policies,
    random::Rng,
    workloads,
};

/// The first namespaces; more are counted.
const NAMESPACES: [&str; 4] = ["default", "shop", "bank", "lab"];

/// What there is when policies are made: whom they can mean.
#[derive(Debug)]
pub(crate) struct World {
    /// The families that the cluster has.
    pub(crate) stack: Stack,
    /// With the labels that they will have in the cluster.
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) pods: Vec<Pod>,
}

impl World {
    /// A family of the cluster.
    pub(crate) fn family(&self, rng: &mut Rng) -> Family {
        rng.pick(&self.stack.families()).copied().unwrap_or(Family::V4)
    }

    pub(crate) fn namespace_names(&self) -> Vec<Name> {
        self.namespaces.iter().map(|namespace| namespace.name.clone()).collect()
    }

    pub(crate) fn namespace_labels(&self, name: &Name) -> Option<&Labels> {
        self.namespaces.iter().find(|namespace| namespace.name == *name).map(|namespace| &namespace.labels)
    }
}

/// The objects of a random cluster.
/// `wide` is where the randomness of cluster-wide policies comes from, where there are to be some.
pub(crate) fn inventory(rng: &mut Rng, wide: Option<Rng>, size: &Size) -> Inventory {
    let count = |rng: &mut Rng, range: &std::ops::RangeInclusive<usize>| rng.between(*range.start(), *range.end());
    let stack = Stack::of_cluster(rng);

    let mut declared = Vec::new();
    let mut namespaces = Vec::new();
    for index in 0..count(rng, &size.namespaces) {
        let name = NAMESPACES.get(index).map_or_else(|| Name::from(format!("space-{index}")), |name| Name::from(*name));
        // 1.5: one that is only mentioned has its name label alone. One that is written has another
        // label at least, which tells the two apart in a cluster.
        if rng.chance(22) {
            let labels = Labels::from_iter([(METADATA_NAME, name.clone())]);
            namespaces.push(Namespace { name, labels, mode: None, at: None });
            continue;
        }
        let mut labels = labels(rng, &NAMESPACE_KEYS);
        if labels.is_empty() {
            labels.set("team", "red");
        }
        declared.push(Namespace { name: name.clone(), labels: labels.clone(), mode: None, at: None });
        labels.set(METADATA_NAME, name.clone());
        namespaces.push(Namespace { name, labels, mode: None, at: None });
    }

    let nodes: Vec<Node> = (0..count(rng, &size.nodes))
        .map(|index| {
            // Few are known by name only: then a block may or may not hold them (1.2).
            let stack = if rng.chance(3) { Stack::NONE } else { stack };
            let addresses = of_node(index, stack).iter().collect();
            let (name, labels) = (Name::from(format!("node-{index}")), Labels::default());
            Node { name, labels, addresses, pod_prefixes: Vec::new(), at: None }
        })
        .collect();

    let mut world = World { stack, namespaces, nodes, pods: Vec::new() };
    let number = count(rng, &size.pods);
    pods::fill(rng, &mut world, number);
    let workloads = workloads::workloads(rng, &mut world);
    let number = count(rng, &size.policies);
    let policies = (0..number).filter_map(|index| policies::policy(rng, &world, index)).collect();

    let (mut wide_policies, mut resolved) = (Vec::new(), Vec::new());
    if let Some(mut rng) = wide {
        for node in &mut world.nodes {
            node.labels = cluster_policies::node_labels(&mut rng);
        }
        wide_policies = cluster_policies::policies(&mut rng, &world);
        resolved = domain_names::resolved(&mut rng, &world);
    }
    let World { nodes, pods, .. } = world;
    Inventory {
        namespaces: declared,
        nodes,
        pods,
        workloads,
        policies,
        cluster_policies: wide_policies,
        resolved,
        ..Inventory::default()
    }
}

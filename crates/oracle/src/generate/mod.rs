//! Random clusters and flows, from a seed alone.
//!
//! ```
//! use palisade_oracle::{answer, generate::Scenario};
//!
//! let scenario = Scenario::new(7);
//! for flow in &scenario.flows {
//!     answer(&scenario.cluster, flow);
//! }
//! println!("{scenario}"); // manifests, and the flows as comments
//! ```
//!
//! Every alphabet (labels, ports, addresses) is small, so that selectors, rules and flows meet; half
//! of the flows aim at a rule and at its edges. [`Feature`] lists what must turn up, and a test counts.

mod addresses;
mod blocks;
mod cluster;
mod cluster_policies;
mod detect;
mod domain_names;
mod edges;
mod feature;
mod flows;
mod labels;
mod modes;
mod pods;
mod policies;
mod ports;
mod random;
mod workloads;

use std::{fmt, ops::RangeInclusive};

use palisade_engine::model::{Cluster, Endpoint, Flow, Inventory, Side};

pub use detect::features;
pub use feature::Feature;

use self::random::Rng;
use crate::yaml::to_yaml;

/// How many flows a [`Scenario`] has when nobody says.
pub const DEFAULT_FLOWS: usize = 60;

/// How many objects a random cluster has, from and to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// Nodes; those beyond the 250th have no address, nor have their pods.
    pub nodes: RangeInclusive<usize>,
    /// Namespaces.
    pub namespaces: RangeInclusive<usize>,
    /// Pods, ended ones and host-network ones too; about 250 of a node have addresses.
    pub pods: RangeInclusive<usize>,
    /// NetworkPolicies.
    pub policies: RangeInclusive<usize>,
}

impl Default for Size {
    /// Small enough to read when it fails, large enough that everything turns up.
    fn default() -> Self {
        Self { nodes: 1..=3, namespaces: 1..=4, pods: 3..=12, policies: 0..=10 }
    }
}

impl Size {
    /// The same cluster `factor` times as large. Node and namespace numbers grow more slowly, as they do.
    pub fn times(&self, factor: usize) -> Self {
        let by = |range: &RangeInclusive<usize>, factor: usize| range.start() * factor..=range.end() * factor;
        let fewer = factor.isqrt().max(1);
        Self {
            nodes: by(&self.nodes, fewer),
            namespaces: by(&self.namespaces, fewer),
            pods: by(&self.pods, factor),
            policies: by(&self.policies, factor),
        }
    }
}

/// The streams of random numbers that a seed has.
const CLUSTER_STREAM: u64 = 1;
const FLOW_STREAM: u64 = 2;
const PROBE_STREAM: u64 = 3;
const CLUSTER_POLICY_STREAM: u64 = 4;
const MODE_STREAM: u64 = 5;

/// Random clusters and flows. Two generators of one seed and size give the same.
#[derive(Clone, Debug)]
pub struct Generator {
    seed: u64,
    size: Size,
    cluster_policies: bool,
    modes: bool,
}

impl Generator {
    /// The generator of a seed, of clusters of the usual size.
    pub fn new(seed: u64) -> Self {
        Self { seed, size: Size::default(), cluster_policies: false, modes: false }
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The same with clusters of another size.
    #[must_use]
    pub fn sized(mut self, size: Size) -> Self {
        self.size = size;
        self
    }

    /// The same clusters with cluster-wide policies too, and labels on their nodes.
    #[must_use]
    pub fn with_cluster_policies(mut self) -> Self {
        self.cluster_policies = true;
        self
    }

    /// The same clusters with policies and namespaces that say whether they are enforced or audited.
    #[must_use]
    pub fn with_modes(mut self) -> Self {
        self.modes = true;
        self
    }

    /// The objects of the cluster, before anything is implied.
    pub fn inventory(&self) -> Inventory {
        let wide = self.cluster_policies.then(|| Rng::new(self.seed, CLUSTER_POLICY_STREAM));
        let mut inventory = cluster::inventory(&mut Rng::new(self.seed, CLUSTER_STREAM), wide, &self.size);
        if self.modes {
            modes::spread(&mut Rng::new(self.seed, MODE_STREAM), &mut inventory);
        }
        inventory
    }

    /// The cluster.
    #[expect(clippy::expect_used, reason = "names are counted and addresses taken once; a test walks 2,000 seeds")]
    pub fn cluster(&self) -> Cluster {
        self.inventory().into_cluster().expect("generated names and addresses are unique")
    }

    /// `n` random flows of a cluster (which need not be this generator's own), also of pods without
    /// addresses and between ends that no policy judges. The first flows of a larger `n` are the same.
    ///
    /// Fewer come back when a cluster has next to nothing to send between.
    pub fn flows(&self, cluster: &Cluster, n: usize) -> Vec<Flow> {
        flows::flows(Rng::new(self.seed, FLOW_STREAM), cluster, n, flows::Mode::Any)
    }

    /// Like [`Self::flows`], but only flows that a lab of network namespaces can send and whose
    /// denial it can see: both ends have an address of one family, at least one end is a pod, an
    /// outside host has an address kept for documentation, and there is a port from 1 to 65535.
    pub fn probeable_flows(&self, cluster: &Cluster, n: usize) -> Vec<Flow> {
        flows::flows(Rng::new(self.seed, PROBE_STREAM), cluster, n, flows::Mode::Probeable)
    }

    /// The cluster with `n` of [`Self::flows`].
    pub fn scenario(&self, n: usize) -> Scenario {
        let cluster = self.cluster();
        let flows = self.flows(&cluster, n);
        Scenario { seed: self.seed, cluster, flows }
    }

    /// The cluster with `n` of [`Self::probeable_flows`].
    pub fn probeable_scenario(&self, n: usize) -> Scenario {
        let cluster = self.cluster();
        let flows = self.probeable_flows(&cluster, n);
        Scenario { seed: self.seed, cluster, flows }
    }
}

/// A random cluster with flows. Prints as manifests with the flows as comments above, so that a
/// failing seed can be turned into files.
#[derive(Debug)]
pub struct Scenario {
    /// Where it all comes from.
    pub seed: u64,
    /// The cluster.
    pub cluster: Cluster,
    /// Flows to ask about.
    pub flows: Vec<Flow>,
}

impl Scenario {
    /// The scenario of a seed, of the usual size.
    pub fn new(seed: u64) -> Self {
        Generator::new(seed).scenario(DEFAULT_FLOWS)
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# seed {}", self.seed)?;
        for flow in &self.flows {
            writeln!(f, "# flow {}", flow_text(&self.cluster, flow))?;
        }
        f.write_str(&to_yaml(&self.cluster))
    }
}

/// A flow in one line: who, with which address, to whom, and what:
/// `pod shop/pod-1 (10.244.0.3) -> node node-1 (no address), TCP 80`.
pub fn flow_text(cluster: &Cluster, flow: &Flow) -> String {
    let side = |side: Side| {
        let address = side.address.map_or_else(|| "no address".to_owned(), |address| address.to_string());
        match side.endpoint {
            Endpoint::Pod(id) => format!("pod {} ({address})", cluster.pod(id).id),
            Endpoint::Node(id) => format!("node {} ({address})", cluster.node(id).name),
            Endpoint::Outside => format!("outside ({address})"),
        }
    };
    format!("{} -> {}, {}", side(flow.from()), side(flow.to()), flow.traffic())
}

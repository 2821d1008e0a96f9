//! What a node's table is when everything is compiled anew, from what the API server has now.

use std::path::Path;

use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Inventory},
};
use palisade_nftables::{
    plan::{Options, plan},
    ruleset::Ruleset,
};
use palisade_watch::Access;

use crate::Result;

/// Lists everything. Not the agent's way of reading: no watch, no state.
pub(crate) fn inventory(kubeconfig: &Path) -> Result<Inventory> {
    let access = Access { kubeconfig: Some(kubeconfig.to_owned()), context: None };
    Ok(access.find()?.read(&mut |_| {})?.inventory)
}

/// The cluster that these objects are.
pub(crate) fn cluster(inventory: Inventory) -> Result<Cluster> {
    inventory.into_cluster().map_err(|conflicts| format!("the objects contradict each other: {conflicts:?}").into())
}

/// The ruleset of each node; nothing where the cluster does not have the node.
pub(crate) fn rulesets(cluster: &Cluster, nodes: &[String], pod_interfaces: &[String]) -> Vec<Option<Ruleset>> {
    let program = PolicyProgram::compile(cluster);
    let options = Options { pod_interfaces: pod_interfaces.to_vec(), ..Options::default() };
    let ruleset = |name: &String| Some(plan(cluster, &program, cluster.find_node(name)?, &options).ruleset);
    nodes.iter().map(ruleset).collect()
}

//! `palisade ruleset`: what a node's kernel would be given, as nft writes it.

use std::process::ExitCode;

use anyhow::{Result, bail};
use palisade_engine::{PolicyProgram, model::NodeId};
use palisade_nftables::{
    plan::{Options, plan},
    text,
};

use crate::{args::Ruleset, input, screen};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Ruleset) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let cluster = input::cluster(&arguments.input)?.cluster;
    let Some(node) = cluster.find_node(&arguments.node) else {
        let known: Vec<&str> = cluster.nodes().map(|(_, node)| &*node.name).collect();
        match known.as_slice() {
            [] => bail!("there is no node `{}`: the input has no Node, and no pod with spec.nodeName", arguments.node),
            known => bail!("there is no node `{}`; the input has {}", arguments.node, known.join(", ")),
        }
    };
    let plan = plan(&cluster, &PolicyProgram::compile(&cluster), node, &Options::default());
    let text = text::render(&plan.ruleset);
    screen::out_bytes(text.as_bytes())?;
    match without_address(&cluster, node) {
        0 => {}
        1 => screen::note("1 pod of this node has no address yet, so no rule can be about it"),
        many => screen::note(&format!("{many} pods of this node have no address yet, so no rule can be about them")),
    }
    Ok(ExitCode::SUCCESS)
}

fn without_address(cluster: &palisade_engine::model::Cluster, node: NodeId) -> usize {
    let pods =
        cluster.pods().filter(|(id, pod)| cluster.node_of(*id) == Some(node) && pod.is_live() && !pod.host_network);
    pods.filter(|(_, pod)| pod.addresses.iter().next().is_none()).count()
}

//! `palisade ruleset`: what a node's kernel would be given, as nft writes it.

use std::{io::Write as _, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use palisade_engine::{PolicyProgram, model::NodeId};
use palisade_nftables::{
    plan::{Options, plan},
    text,
};

use crate::{args::Ruleset, input};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Ruleset) -> Result<ExitCode> {
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
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")?;
    let left_out = without_address(&cluster, node);
    if left_out > 0 {
        crate::screen::note(&format!("{left_out} pods of this node have no address yet, so no rule can be about them"));
    }
    Ok(ExitCode::SUCCESS)
}

fn without_address(cluster: &palisade_engine::model::Cluster, node: NodeId) -> usize {
    let pods =
        cluster.pods().filter(|(id, pod)| cluster.node_of(*id) == Some(node) && pod.is_live() && !pod.host_network);
    pods.filter(|(_, pod)| pod.addresses.iter().next().is_none()).count()
}

//! `palisade describe`: what a policy says, with everything filled in that it leaves unsaid.

mod find;
mod object;
mod text;
mod wide;
mod words;
mod yaml;

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, ObjectRef, PolicyId},
};

use self::{find::Wanted, object::Tree, text::Printer};
use crate::{
    args::{Describe, DescribeFormat},
    input, screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &Describe) -> Result<ExitCode> {
    input::once_from_stdin(&arguments.input, None)?;
    let read = input::cluster(&arguments.input)?;
    let wanted: Vec<Wanted> =
        arguments.policies.iter().map(|typed| Wanted::parse(typed, &read.namespace)).collect::<Result<_>>()?;
    let cluster = &read.cluster;
    let policies = find::policies(cluster, &wanted)?;
    let program = PolicyProgram::compile(cluster);
    match arguments.output {
        DescribeFormat::Text => {
            let printer = Printer::new(cluster, &program, &read.excerpts, screen::width());
            let mut texts: Vec<String> = policies.iter().map(|id| printer.policy(*id)).collect();
            if wanted.is_empty() {
                let wide = cluster.cluster_policies();
                texts.extend(wide.map(|(id, policy)| wide::words(&program, id, policy, screen::width())));
            }
            screen::out(&texts.join("\n"))?;
        }
        DescribeFormat::Yaml => {
            let documents = objects(cluster, &program, &policies, wanted.is_empty());
            let documents: Vec<String> = documents.iter().map(yaml::document).collect();
            screen::out_bytes(documents.join("---\n").as_bytes())?;
        }
        DescribeFormat::Json => match <[Tree; 1]>::try_from(objects(cluster, &program, &policies, wanted.is_empty())) {
            Ok([only]) => screen::out_json(&only)?,
            Err(several) => screen::out_json(&object::list(several))?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The names of the policies that were typed, each as `[NAMESPACE/]NAME`; of all when none was.
///
/// # Errors
/// When one is no name, or the input has no policy of it.
pub(crate) fn named(cluster: &Cluster, typed: &[String], namespace: &str) -> Result<BTreeSet<ObjectRef>> {
    let wanted: Vec<Wanted> = typed.iter().map(|typed| Wanted::parse(typed, namespace)).collect::<Result<_>>()?;
    Ok(find::policies(cluster, &wanted)?.into_iter().map(|id| cluster.policy(id).id.clone()).collect())
}

/// The policies asked for; when all were, the cluster-wide ones too.
fn objects(cluster: &Cluster, program: &PolicyProgram, policies: &[PolicyId], all: bool) -> Vec<Tree> {
    let named = policies.iter().map(|id| object::policy(program, *id, cluster.policy(*id)));
    let wide = cluster.cluster_policies().filter(|_| all).map(|(_, policy)| wide::object(policy));
    named.chain(wide).collect()
}

//! `palisade describe`: what a policy says, with everything filled in that it leaves unsaid.

mod find;
mod object;
mod text;
mod wide;
mod wide_text;
mod words;
mod yaml;

use std::{collections::BTreeSet, process::ExitCode};

use anyhow::Result;
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, PolicyRef},
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
            let texts = policies.iter().map(|policy| match policy {
                PolicyRef::Network(id) => printer.policy(*id),
                PolicyRef::Cluster(id) => printer.wide(*id),
            });
            screen::out(&texts.collect::<Vec<_>>().join("\n"))?;
        }
        DescribeFormat::Yaml => {
            let documents = objects(cluster, &program, &policies);
            let documents: Vec<String> = documents.iter().map(yaml::document).collect();
            screen::out_bytes(documents.join("---\n").as_bytes())?;
        }
        DescribeFormat::Json => match <[Tree; 1]>::try_from(objects(cluster, &program, &policies)) {
            Ok([only]) => screen::out_json(&only)?,
            Err(several) => screen::out_json(&object::list(several))?,
        },
    }
    Ok(ExitCode::SUCCESS)
}

/// The policies that were typed, each as `[NAMESPACE/]NAME`, or `KIND/NAME` of a cluster-wide one; none when none was.
///
/// # Errors
/// When one is no name, or the input has no policy of it.
pub(crate) fn named(cluster: &Cluster, typed: &[String], namespace: &str) -> Result<BTreeSet<PolicyRef>> {
    let mut found = BTreeSet::new();
    for typed in typed {
        found.extend(find::policies(cluster, &[Wanted::parse(typed, namespace)?])?);
    }
    Ok(found)
}

/// The policies as objects.
fn objects(cluster: &Cluster, program: &PolicyProgram, policies: &[PolicyRef]) -> Vec<Tree> {
    let object = |policy: &PolicyRef| match policy {
        PolicyRef::Network(id) => object::policy(program, *id, cluster.policy(*id)),
        PolicyRef::Cluster(id) => wide::object(cluster.cluster_policy(*id)),
    };
    policies.iter().map(object).collect()
}

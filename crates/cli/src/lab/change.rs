//! `palisade lab apply` and `delete`: mistakes are shown here, and what the lab says is passed on.

use std::process::ExitCode;

use anyhow::{Result, bail};

use super::door::{self, Request, Response};
use crate::{
    args::{ClusterArguments, Input, LabApply, LabChange},
    input, screen,
};

/// Adds or replaces objects.
pub(crate) fn apply(arguments: &LabApply) -> Result<ExitCode> {
    let resolved = arguments.resolve.iter().map(|one| (one.name.to_string(), one.address)).collect();
    change(&arguments.change, |texts, namespace| Request::Apply { texts, namespace, resolved })
}

/// Takes objects out.
pub(crate) fn delete(arguments: &LabChange) -> Result<ExitCode> {
    change(arguments, |texts, namespace| Request::Delete { texts, namespace })
}

fn change(
    arguments: &LabChange,
    request: impl FnOnce(Vec<(String, String)>, Option<String>) -> Request,
) -> Result<ExitCode> {
    // First: whether there is a lab is known before anybody reads mistakes.
    let mut lab = door::connect(arguments.lab.name.as_deref())?;
    let input = Input {
        paths: arguments.paths.clone(),
        recursive: arguments.recursive,
        namespace: arguments.namespace.clone(),
        cluster: ClusterArguments { context: None, kubeconfig: None, all_namespaces: false },
        keep_going: false,
        may_keep_going: false,
    };
    input::once_from_stdin(&input, None)?;
    let texts = input::texts(&input::reading(&input)?.reading)?;
    match door::ask(&mut lab, &request(texts, arguments.namespace.clone()))? {
        (Response::Changed(lines), _) => {
            screen::out(&lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>())?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("the lab speaks another version of palisade: take it down and up again"),
    }
}

//! `palisade lab list` and `down`.

use std::{io::Read as _, process::ExitCode};

use anyhow::{Context as _, Result, bail};

use super::door::{self, Request, Response};
use crate::{
    args::{Format, LabDown, LabList},
    screen,
};

/// The labs that are up.
pub(crate) fn list(arguments: &LabList) -> Result<ExitCode> {
    let mut labs = Vec::new();
    for name in door::names()? {
        // One that ends meanwhile is none.
        let answer = door::connect(Some(&name)).and_then(|mut stream| door::ask(&mut stream, &Request::Status));
        if let Ok((Response::Status(status), _)) = answer {
            labs.push((name, status));
        }
    }
    if arguments.output == Format::Json {
        let labs = labs.iter().map(|(name, status)| {
            serde_json::json!({
                "name": name, "pods": status.pods, "nodes": status.nodes, "policies": status.policies,
            })
        });
        screen::out_json(&labs.collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    if labs.is_empty() {
        screen::out("no lab is up\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    let width = labs.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(4);
    let mut text = format!("{:width$}  PODS  NODES  POLICIES\n", "NAME");
    for (name, status) in &labs {
        text.push_str(&format!("{name:width$}  {:<4}  {:<5}  {}\n", status.pods, status.nodes, status.policies));
    }
    screen::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Takes a lab down, and waits until it is.
pub(crate) fn down(arguments: &LabDown) -> Result<ExitCode> {
    let mut lab = door::connect(arguments.lab.name.as_deref())?;
    match door::ask(&mut lab, &Request::Down)? {
        (Response::Down, _) => {}
        _ => bail!("the lab speaks another version of palisade: end its process"),
    }
    // The kernel closes the connection when the process has ended.
    let mut rest = Vec::new();
    lab.read_to_end(&mut rest).context("the lab does not end")?;
    Ok(ExitCode::SUCCESS)
}

//! `palisade lab up`: in the foreground, or in a process of its own that stays when the command ends.

use std::{
    io::Read as _,
    os::unix::net::UnixStream,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};
use palisade_engine::model::{Pod, PodAddresses};
use palisade_lab::{
    sandbox::{Means, Sandbox},
    standing::Standing,
};

use super::{
    door::{self, Request},
    holder::Holder,
};
use crate::{args::LabUp, input, screen};

/// Runs the subcommand.
pub(crate) fn up(arguments: &LabUp) -> Result<ExitCode> {
    if arguments.detach {
        return in_background(arguments);
    }
    // Before the network namespace is another: this is where those who ask will be.
    let listener = door::listen(&arguments.name)?;
    let mut understood = input::reading(&arguments.input)?;
    understood.reading.inventory.resolved.extend_from_slice(&arguments.resolve);
    let inventory = &understood.reading.inventory;
    if inventory.policies.is_empty() && inventory.cluster_policies.is_empty() {
        screen::note("the input has no NetworkPolicy, so no pod is isolated");
    }
    // Before any thread starts: a process with threads cannot have a user namespace of its own.
    let sandbox = Sandbox::enter().context("the lab needs a network namespace of its own")?;
    let lab = Standing::up(understood.reading.inventory.clone(), arguments.wiring.into())?;
    screen::out(&said(arguments, &lab, sandbox.means()))?;
    if arguments.detached {
        leave_the_terminal()?;
    }
    Holder::new(lab, understood, sandbox)?.serve(&listener)
}

/// What is up, and what can be typed now.
fn said(arguments: &LabUp, lab: &Standing, means: Means) -> String {
    let cluster = lab.cluster();
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let live = || cluster.pods().filter(|(_, pod)| pod.is_live());
    let root = match means {
        Means::UserNamespace => "without root",
        Means::Privileged => "as root",
    };
    let mut text = format!(
        "lab `{}` is up {root}: {}, {}, {}\n",
        arguments.name,
        counted(live().count(), "pod"),
        counted(cluster.nodes().len(), "node"),
        counted(cluster.services().len(), "Service")
    );
    let row = |pod: &Pod| {
        let of = |address: Option<String>| address.unwrap_or_default();
        let PodAddresses { v4, v6 } = pod.addresses;
        [pod.id.to_string(), of(v4.map(|v4| v4.to_string())), of(v6.map(|v6| v6.to_string()))]
    };
    let rows: Vec<[String; 3]> = live().take(20).map(|(_, pod)| row(pod)).collect();
    let widest = |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| column(row).len()).max().unwrap_or(0);
    let (names, v4s) = (widest(|[name, ..]| name), widest(|[_, v4, _]| v4));
    for [name, v4, v6] in &rows {
        text.push_str(format!("  {name:names$}  {v4:v4s$}  {v6}").trim_end());
        text.push('\n');
    }
    if live().count() > 20 {
        text.push_str(&format!("  and {} more\n", live().count() - 20));
    }
    if let Some((_, pod)) = live().find(|(_, pod)| &*pod.id.namespace != "kube-system") {
        text.push_str(&screen::command("Try  ", &format!("palisade lab exec {} -- sh", pod.id), screen::width()));
        text.push('\n');
    }
    text.push_str(match arguments.detached {
        true => "Take it down with `palisade lab down`.\n",
        false => "Ctrl-C takes it down.\n",
    });
    text
}

/// Runs the same command apart, and waits until it is up.
fn in_background(arguments: &LabUp) -> Result<ExitCode> {
    // Refused here already, so that the answer is about the name and not about a process.
    drop(door::listen(&arguments.name)?);
    let program = std::env::current_exe().context("where is this program?")?;
    let typed = std::env::args_os().skip(1).map(|argument| match argument.to_str() {
        Some("--detach") => "--detached".into(),
        _ => argument,
    });
    let mut child = Command::new(program)
        .args(typed)
        .stdout(Stdio::piped())
        .spawn()
        .context("the lab cannot be started in the background")?;
    // It closes its standard output when it is up, or ends.
    let mut text = String::new();
    if let Some(mut out) = child.stdout.take() {
        out.read_to_string(&mut text)?;
    }
    screen::out(&text)?;
    let answers = door::connect(Some(&arguments.name))
        .and_then(|mut stream: UnixStream| door::ask(&mut stream, &Request::Status));
    if answers.is_ok() {
        return Ok(ExitCode::SUCCESS);
    }
    match child.wait()?.code() {
        // It has said why.
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(2))),
        None => bail!("the lab ended before it was up"),
    }
}

/// Ctrl-C and the end of the terminal are nothing to a lab in the background.
fn leave_the_terminal() -> Result<()> {
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").context("/dev/null")?;
    rustix::process::setsid().context("no session of its own for the lab")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    // Last: whoever waits takes it for the end of the beginning.
    rustix::stdio::dup2_stdout(&nothing)?;
    Ok(())
}

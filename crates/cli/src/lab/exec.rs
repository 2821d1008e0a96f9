//! `palisade lab exec`: a command of this machine, in the place of a pod.
//!
//! This process goes into the pod's namespaces, starts the command and waits for it. The command ends when
//! the lab does (a thread waits for that) and when this process does (the kernel sees to that).

use std::{
    ffi::OsString,
    io::{ErrorKind, Read as _},
    os::{
        fd::AsFd as _,
        unix::{net::UnixStream, process::ExitStatusExt as _},
    },
    path::Path,
    process::{Command, ExitCode, ExitStatus},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_linux::join;
use rustix::process::{Pid, Signal, kill_process};

use super::door::{self, Place, Request, Response};
use crate::{args::LabExec, screen};

/// Where shells say that a command cannot be run, or is not there.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Whether the lab ended before the command.
static ENDED: AtomicBool = AtomicBool::new(false);

/// Runs the subcommand.
pub(crate) fn exec(arguments: &LabExec) -> Result<ExitCode> {
    let Some((program, rest)) = arguments.command.split_first() else { bail!("which command?") };
    let mut lab = door::connect(arguments.lab.name.as_deref())?;
    let request = Request::Enter { who: arguments.who.clone(), namespace: arguments.namespace.clone() };
    let (response, descriptors) = door::ask(&mut lab, &request)?;
    let (Response::Enter(place), [network, user @ ..]) = (response, descriptors.as_slice()) else {
        bail!("the lab speaks another version of palisade: take it down and up again");
    };
    join::enter(user.first().map(|user| user.as_fd()), network.as_fd())?;
    cover(&place);
    run(program, rest, lab)
}

/// Names as the pod has them. Where one of the files is missing, the command runs all the same.
fn cover(place: &Place) {
    let said = |result: Result<(), join::JoinError>| {
        if let Err(error) = result {
            screen::note(&format!("names may not resolve: {error}"));
        }
    };
    said(join::cover(Path::new("/etc/resolv.conf"), &place.resolv));
    said(join::cover(Path::new("/etc/hosts"), &place.hosts));
    let switch = Path::new("/etc/nsswitch.conf");
    if let Ok(text) = std::fs::read_to_string(switch) {
        said(join::cover(switch, &plain_names(&text)));
    }
    // A cache of this machine's names, if it has one.
    let cache = Path::new("/run/nscd");
    if cache.is_dir() {
        said(join::empty(cache));
    }
}

/// nsswitch.conf(5) with nothing but files and DNS for names: systemd's resolver would answer with this
/// machine's.
fn plain_names(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("hosts:"));
    lines.chain(["hosts: files dns"]).flat_map(|line| [line, "\n"]).collect()
}

fn run(program: &OsString, rest: &[OsString], lab: UnixStream) -> Result<ExitCode> {
    join::leave_interrupts_to_the_child();
    let started = join::tied(Command::new(program).args(rest)).spawn();
    let name = program.to_string_lossy();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            let (code, why) = match error.kind() {
                // Where a folder of PATH is closed, the kernel's answer is about that.
                ErrorKind::NotFound => (NOT_FOUND, not_found(&name)),
                ErrorKind::PermissionDenied if !is_anywhere(program) => (NOT_FOUND, not_found(&name)),
                _ => (CANNOT_RUN, format!("{name} cannot be run: {error}")),
            };
            screen::error(&anyhow!(why));
            return Ok(ExitCode::from(code));
        }
    };
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("the command has no number")?;
    std::thread::Builder::new()
        .name("lab".to_owned())
        .spawn(move || end_with(lab, pid))
        .context("nobody can wait for the end of the lab")?;
    let status = child.wait().with_context(|| format!("what became of {name}?"))?;
    if ENDED.load(Ordering::Acquire) {
        screen::note("the lab has ended, and the command with it");
    }
    Ok(ExitCode::from(code(status)))
}

/// Waits for the end of the lab, and ends the command.
fn end_with(mut lab: UnixStream, command: Pid) {
    let mut byte = [0_u8; 1];
    while let Ok(1..) = lab.read(&mut byte) {}
    ENDED.store(true, Ordering::Release);
    // It may have ended by itself; this process has not waited for it then, so the number is still its.
    _ = kill_process(command, Signal::KILL);
}

/// Whether a folder of PATH has a file of that name.
fn is_anywhere(program: &OsString) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Path::new(program).components().count() > 1
        || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn not_found(name: &str) -> String {
    let package = match name {
        "curl" => "curl",
        "wget" => "wget",
        "ping" => "iputils-ping",
        "nc" => "netcat-openbsd",
        "dig" | "nslookup" | "host" => "bind9-dnsutils",
        _ => return format!("{name} is not installed on this machine, whose programs pods have here"),
    };
    format!("{name} is not installed on this machine, whose programs pods have here: `sudo apt install {package}`")
}

/// As shells have it: 128 and the signal.
fn code(status: ExitStatus) -> u8 {
    let signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_dns_know_hosts() {
        let text = "passwd: files\nhosts: files resolve [!UNAVAIL=return] dns\nnetworks: files\n";
        assert_eq!(plain_names(text), "passwd: files\nnetworks: files\nhosts: files dns\n");
    }
}

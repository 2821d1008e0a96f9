//! `palisade agent`: keeps the table of this node true while the cluster changes.

use std::{
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_agent::{Agent, Change, Event, Key, Kind, Object, Poison, Settings, Shared, cleanup, health::Server};
use palisade_engine::model::{Name, ObjectRef};
use palisade_nftables::{netlink::Kernel, plan::Options};
use palisade_watch::{Access, Pace, Received, Watched};

use crate::{
    args::{AgentArguments, AgentCommand},
    doctor, screen,
};

/// How many changes may wait for the loop.
const WAITING: usize = 16_384;

/// How often the log looks whether there is something to say.
const LOOK: Duration = Duration::from_millis(500);

/// Runs the subcommand.
pub(crate) fn run(arguments: &AgentArguments) -> Result<ExitCode> {
    let mut kernel = Kernel::open().context("cannot speak with nftables (`palisade doctor` says what is missing)")?;
    if let Some(AgentCommand::Cleanup) = arguments.command {
        cleanup(&mut kernel).map_err(|failure| anyhow!("cannot remove table inet palisade: {failure}"))?;
        screen::note("table inet palisade is gone: nothing is enforced on this node");
        return Ok(ExitCode::SUCCESS);
    }
    let Some(node) = &arguments.node else { bail!("which node is this? --node NAME, as in `kubectl get nodes`") };
    if let services @ 1.. = doctor::ipvs_services() {
        bail!(
            "{services} IPVS services: their packets do not pass the rules; run kube-proxy in mode nftables or iptables"
        );
    }
    let access = Access { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
    let cluster = access.find()?;
    let options = Options { pod_interfaces: arguments.pod_interface.clone(), ..Options::default() };
    let audit_every = Duration::from_secs(arguments.audit_every);
    let mut agent = Agent::new(Settings { options, audit_every, ..Settings::of(node.as_str()) }, kernel);
    let status = agent.status();
    let server = Server::start(arguments.listen, status.clone())
        .with_context(|| format!("cannot listen at {}", arguments.listen))?;
    screen::note(&format!("node {node}; health and metrics at http://{}", server.address()));
    let (heard, received) = sync_channel(WAITING);
    let (told, events) = sync_channel(WAITING);
    let _watch = cluster.watch::<Received>(&Watched::ALL, Pace::default(), heard)?;
    thread::Builder::new().name("changes".to_owned()).spawn(move || translate(&received, &told))?;
    thread::Builder::new().name("log".to_owned()).spawn(move || log(&status))?;
    agent.run(&events);
    Err(anyhow!("the watches have ended; the rules stay in force"))
}

/// From what watches say to what the agent is told.
fn translate(received: &Receiver<Received>, told: &SyncSender<Event>) {
    for Received { at, change } in received {
        if told.send(Event { at, change: change_of(change) }).is_err() {
            return;
        }
    }
}

fn change_of(change: palisade_watch::Change) -> Change {
    use palisade_watch::{Change as Watch, Object as Seen};
    match change {
        Watch::Set(Seen::Namespace(namespace)) => Change::Set(Object::Namespace(namespace)),
        Watch::Set(Seen::Node(node)) => Change::Set(Object::Node(node)),
        Watch::Set(Seen::Pod(pod)) => Change::Set(Object::Pod(*pod)),
        Watch::Set(Seen::NetworkPolicy(policy)) => Change::Set(Object::Policy(*policy)),
        Watch::Poison(poison) => Change::Poison(match poison.rest {
            Some(Seen::NetworkPolicy(policy)) => Poison::Closed { policy: *policy, problems: poison.why },
            _ => Poison::Other { key: key_of(poison.key), problems: poison.why },
        }),
        Watch::Gone(key) => Change::Gone(key_of(key)),
        Watch::Synced(of) => Change::Synced(kind_of(of)),
        Watch::Trouble(trouble) => Change::Trouble { kind: kind_of(trouble.of), why: trouble.why },
    }
}

fn kind_of(of: Watched) -> Kind {
    match of {
        Watched::Namespaces => Kind::Namespace,
        Watched::Nodes => Kind::Node,
        Watched::Pods => Kind::Pod,
        Watched::NetworkPolicies => Kind::Policy,
    }
}

fn key_of(key: palisade_watch::Key) -> Key {
    let id = ObjectRef { namespace: key.namespace.unwrap_or_else(|| Name::from("")), name: key.name.clone() };
    match kind_of(key.of) {
        Kind::Namespace => Key::Namespace(key.name),
        Kind::Node => Key::Node(key.name),
        Kind::Pod => Key::Pod(id),
        Kind::Policy => Key::Policy(id),
    }
}

/// Says on standard error when something begins or ceases to be wrong.
fn log(status: &Shared) {
    let (mut was_ready, mut said) = (false, Vec::new());
    loop {
        thread::sleep(LOOK);
        let (ready, faults) = status.with(|status| {
            let watches =
                status.watches.iter().filter_map(|(kind, watch)| Some(format!("{kind}: {}", watch.trouble.as_ref()?)));
            let poison = status
                .poison
                .iter()
                .map(|(key, why)| format!("{key} is not understood, and closed: {}", why.join("; ")));
            let faults: Vec<String> = status.error.iter().cloned().chain(watches).chain(poison).collect();
            (status.ready, faults)
        });
        for fault in faults.iter().filter(|fault| !said.contains(*fault)) {
            screen::error(&anyhow!("{fault}"));
        }
        if ready != was_ready {
            screen::note(if ready { "ready: the policies are enforced" } else { "not ready" });
        }
        (was_ready, said) = (ready, faults);
    }
}

//! `palisade agent`: keeps the table of this node true while the cluster changes.

mod flows;
mod init;
mod journal;
mod names;
mod pods;
mod taint;

use std::{
    process::ExitCode,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_agent::{
    Agent, Change, Cutter, Established, Event, Input, KernelConnections, Key, Kind, LearningTable, Names, Object,
    Poison, Settings, cleanup, cut::clear_marks, health::Server,
};
use palisade_engine::model::{Name, ObjectRef};
use palisade_nftables::netlink::Kernel;
use palisade_watch::{Access, Pace, Received, Watched};

use crate::{
    args::{AgentArguments, AgentCommand, EstablishedArgument},
    doctor, screen,
};

/// How many changes may wait for the loop.
const WAITING: usize = 1_024;

/// Runs the subcommand.
pub(crate) fn run(arguments: &AgentArguments) -> Result<ExitCode> {
    let mut kernel = Kernel::open().context("cannot speak with nftables (`palisade doctor` says what is missing)")?;
    if let Some(AgentCommand::Cleanup) = arguments.command {
        cleanup(&mut kernel).map_err(|failure| anyhow!("cannot remove table inet palisade: {failure}"))?;
        palisade_agent::names::cleanup(&mut kernel).context("answers of name servers are still held")?;
        kernel.drop_cut(false).context("connections that were cut are still dropped")?;
        let cleared = KernelConnections::open().map_err(anyhow::Error::from);
        match cleared.and_then(|mut table| clear_marks(&mut table).map_err(|why| anyhow!(why))) {
            Ok(0) => {}
            Ok(count) => screen::note(&format!("{count} connections that were cut go on")),
            // Without the tables the marks mean nothing.
            Err(error) => screen::error(&error.context("the marks of connections that were cut are still there")),
        }
        screen::note("table inet palisade is gone: nothing is enforced on this node");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(AgentCommand::Init(arguments)) = &arguments.command {
        return init::run(arguments, &mut kernel);
    }
    palisade_linux::heap::share_one();
    let Some(node) = &arguments.node else { bail!("which node is this? --node NAME, as in `kubectl get nodes`") };
    if let services @ 1.. = doctor::ipvs_services() {
        bail!(
            "{services} IPVS services: their packets do not pass the rules; run kube-proxy in mode nftables or iptables"
        );
    }
    let access = Access { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
    let cluster = access.find()?;
    let audit_every = Duration::from_secs(arguments.audit_every);
    let options = pods::options(&arguments.pods, arguments.flows.options()?)?;
    let mode = arguments.mode.into();
    let settings = Settings { audit_every, options, mode, ..Settings::of(node.as_str()) };
    let established = match arguments.established {
        EstablishedArgument::Cut => Established::Cut,
        EstablishedArgument::Keep => Established::Keep,
    };
    let connections = KernelConnections::open().context("cannot read this node's connections")?;
    let cutter = Cutter::start(established, Box::new(connections))?;
    let names = Names::new(names::settings(&arguments.names)?).context("cannot learn what names resolve to")?;
    let table = LearningTable::new(kernel, names.learning().clone());
    let mut agent = Agent::new(settings, table).with_cutter(cutter).with_names(names);
    let status = agent.status();
    let server = Server::start(arguments.listen, status.clone())
        .with_context(|| format!("cannot listen at {}", arguments.listen))?;
    journal::begin(&arguments.journal);
    tracing::info!(node, health = %server.address(), "started");
    let (heard, received) = sync_channel(WAITING);
    let (told, inputs) = sync_channel(WAITING);
    agent.log_flows(arguments.flows.start(node, status.clone(), told.clone())?);
    let _watch = cluster.watch::<Received>(&Watched::ALL, Pace::default(), heard)?;
    thread::Builder::new().name("changes".to_owned()).spawn(move || translate(&received, &told))?;
    taint::remove_when_ready(cluster, node, &arguments.pods.remove_taint, status)?;
    agent.run_woken(&inputs);
    Err(anyhow!("the watches have ended; the rules stay in force"))
}

/// From what watches say to what the agent is told.
fn translate(received: &Receiver<Received>, told: &SyncSender<Input>) {
    for Received { at, change } in received {
        if told.send(Input::Event(Event { at, change: change_of(change) })).is_err() {
            return;
        }
    }
    _ = told.send(Input::End);
}

fn change_of(change: palisade_watch::Change) -> Change {
    use palisade_watch::{Change as Watch, Object as Seen};
    match change {
        Watch::Set(Seen::Namespace(namespace)) => Change::Set(Object::Namespace(namespace)),
        Watch::Set(Seen::Node(node)) => Change::Set(Object::Node(node)),
        Watch::Set(Seen::Pod(pod)) => Change::Set(Object::Pod(*pod)),
        Watch::Set(Seen::NetworkPolicy(policy)) => Change::Set(Object::Policy(*policy)),
        Watch::Set(Seen::ClusterPolicy(policy)) => Change::Set(Object::ClusterPolicy(*policy)),
        Watch::Poison(poison) => Change::Poison(match poison.rest {
            Some(Seen::NetworkPolicy(policy)) => Poison::Closed { policy: *policy, problems: poison.why },
            Some(Seen::ClusterPolicy(policy)) => Poison::ClosedWide { policy: *policy, problems: poison.why },
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
        Watched::ClusterPolicies(kind) => Kind::ClusterPolicy(kind),
    }
}

fn key_of(key: palisade_watch::Key) -> Key {
    let id = ObjectRef { namespace: key.namespace.unwrap_or_else(|| Name::from("")), name: key.name.clone() };
    match kind_of(key.of) {
        Kind::Namespace => Key::Namespace(key.name),
        Kind::Node => Key::Node(key.name),
        Kind::Pod => Key::Pod(id),
        Kind::Policy => Key::Policy(id),
        Kind::ClusterPolicy(kind) => Key::ClusterPolicy(kind, key.name),
    }
}

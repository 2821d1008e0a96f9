//! The process that has a running lab, and does what it is asked, one thing after the other.

use std::{
    net::IpAddr,
    os::{
        fd::{AsFd as _, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::ExitCode,
};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_engine::model::{DomainName, Endpoint, Family, Inventory, Name, Resolved};
use palisade_lab::{
    sandbox::Sandbox,
    standing::{Changes, Standing, Who},
};
use palisade_manifest::{
    ReadOptions, Reading,
    read::{read_texts_onto, without},
};

use super::door::{self, Place, Request, Response, Status};
use crate::{
    endpoint::{Resolver, parse_end},
    input::Understood,
};

/// What the names of a cluster end with.
const DOMAIN: &str = "cluster.local";

/// A running lab, and what it was made of.
pub(super) struct Holder {
    lab: Standing,
    reading: Reading,
    namespace: String,
    user: Option<OwnedFd>,
    /// Those who run a command: each ends when its connection does, and so with this process.
    inside: Vec<UnixStream>,
}

impl Holder {
    pub(super) fn new(lab: Standing, understood: Understood, sandbox: Sandbox) -> Result<Self> {
        let Understood { reading, namespace, .. } = understood;
        Ok(Self { lab, reading, namespace, user: sandbox.user_namespace()?, inside: Vec::new() })
    }

    /// Answers until somebody asks for the end.
    ///
    /// # Errors
    /// When nobody can be heard any more.
    pub(super) fn serve(mut self, listener: &UnixListener) -> Result<ExitCode> {
        loop {
            let (mut stream, _) = listener.accept().context("nobody can speak to the lab any more")?;
            self.inside.retain(is_open);
            let Ok(request) = door::check_peer(&stream).and_then(|()| door::hear(&stream)) else { continue };
            let is_end = matches!(request, Request::Down);
            let is_entry = matches!(request, Request::Enter { .. });
            // That who asked has gone is nobody's error.
            _ = self.answer(&mut stream, request);
            if is_end {
                return Ok(ExitCode::SUCCESS);
            }
            if is_entry {
                self.inside.push(stream);
            }
        }
    }

    fn answer(&mut self, stream: &mut UnixStream, request: Request) -> Result<()> {
        let refused = |error: anyhow::Error| Response::Refused(format!("{error:#}"));
        let response = match request {
            Request::Status => Response::Status(Status {
                pods: self.lab.cluster().pods().filter(|(_, pod)| pod.is_live()).count(),
                nodes: self.lab.cluster().nodes().len(),
                policies: self.lab.cluster().policies().len(),
            }),
            Request::Enter { who, namespace } => {
                let place = self.place(&who, &namespace);
                let place = place.and_then(|(who, place)| Ok((self.lab.namespace(&who).context("it is gone")?, place)));
                match place {
                    Ok((network, place)) => {
                        let user = self.user.as_ref().map(|user| user.as_fd());
                        let both: Vec<BorrowedFd<'_>> = [network.as_fd()].into_iter().chain(user).collect();
                        return door::answer(stream, &Response::Enter(place), &both);
                    }
                    Err(error) => refused(error),
                }
            }
            Request::Apply { texts, namespace, resolved } => {
                self.apply(&texts, namespace, &resolved).map_or_else(refused, Response::Changed)
            }
            Request::Delete { texts, namespace } => {
                self.delete(&texts, namespace).map_or_else(refused, Response::Changed)
            }
            Request::Down => Response::Down,
        };
        door::answer(stream, &response, &[])
    }

    /// Who is meant, and their place.
    fn place(&self, typed: &str, namespace: &str) -> Result<(Who, Place)> {
        let cluster = self.lab.cluster();
        let end = parse_end(typed)?;
        let parties = Resolver { cluster, namespace }.source(&end)?;
        let party = parties.first().ok_or_else(|| anyhow!("{typed} is nobody"))?;
        let who = match party.endpoint(cluster) {
            (Endpoint::Pod(pod), _) if !cluster.pod(pod).is_live() => {
                bail!("the pod {} has ended", cluster.pod(pod).id)
            }
            (Endpoint::Pod(pod), _) => Who::Pod(cluster.pod(pod).id.clone()),
            (Endpoint::Node(node), _) => Who::Node(node),
            (Endpoint::Outside, Some(address)) if self.lab.outside().any(|known| known == address) => {
                Who::Outside(address)
            }
            (Endpoint::Outside, _) => {
                let known: Vec<String> = self.lab.outside().map(|address| address.to_string()).collect();
                bail!("nobody in the lab has the address {typed}; hosts outside are at {}", known.join(", "))
            }
        };
        let (resolver, own, domain) = match &who {
            Who::Pod(id) => {
                let own = Family::ALL
                    .into_iter()
                    .filter_map(|family| cluster.side_of_pod(cluster.find_pod(id)?, family)?.address);
                (self.lab.resolver(), own.collect(), Some(&id.namespace))
            }
            Who::Node(node) => (self.lab.resolver(), cluster.node(*node).addresses.clone(), None),
            Who::Outside(address) => (Some(*address), vec![*address], None),
        };
        let name = party.label.rsplit('/').next().unwrap_or(&party.label);
        let place = Place { who: party.label.clone(), resolv: resolv(resolver, domain), hosts: hosts(&own, name) };
        Ok((who, place))
    }

    fn apply(
        &mut self,
        texts: &[(String, String)],
        namespace: Option<String>,
        resolved: &[(String, IpAddr)],
    ) -> Result<Vec<String>> {
        let options = self.options(namespace);
        let base = Reading { inventory: self.reading.inventory.clone(), ..Reading::default() };
        let named = understood(read_texts_onto(Reading::default(), texts, &options))?;
        let mut reading = understood(read_texts_onto(base, texts, &options))?;
        let told_of = resolve(&mut reading.inventory.resolved, resolved)?;
        let changes = self.lab.change(reading.inventory.clone())?;
        let mut lines = names(&named.inventory);
        for line in &mut lines {
            let there = names(&self.reading.inventory).contains(line);
            line.push_str(if there { " configured" } else { " created" });
        }
        self.reading = reading;
        Ok([lines, told_of, told(&changes)].concat())
    }

    fn delete(&mut self, texts: &[(String, String)], namespace: Option<String>) -> Result<Vec<String>> {
        let named = understood(read_texts_onto(Reading::default(), texts, &self.options(namespace)))?;
        let mut inventory = self.reading.inventory.clone();
        let gone = without(&mut inventory, &named.inventory);
        if gone.is_empty() {
            bail!("the lab has nothing of {}", names(&named.inventory).join(", "));
        }
        let changes = self.lab.change(inventory.clone())?;
        self.reading.inventory = inventory;
        let lines = gone.into_iter().map(|name| format!("{name} deleted")).collect();
        Ok([lines, told(&changes)].concat())
    }

    fn options(&self, namespace: Option<String>) -> ReadOptions {
        let namespace = namespace.unwrap_or_else(|| self.namespace.clone());
        ReadOptions { default_namespace: Name::from(namespace), ..ReadOptions::default() }
    }
}

/// Who sent the texts has shown their mistakes already; this is for those that only the lab can find.
fn understood(reading: Reading) -> Result<Reading> {
    match reading.diagnostics.iter().find(|finding| finding.leaves_out()) {
        Some(finding) => bail!("{}", finding.message),
        None => Ok(reading),
    }
}

/// What is told of a name takes the place of what was told of it before; in lines.
fn resolve(known: &mut Vec<Resolved>, told: &[(String, IpAddr)]) -> Result<Vec<String>> {
    let mut new: Vec<Resolved> = Vec::new();
    for (name, address) in told {
        let name = DomainName::parse(name).map_err(|error| anyhow!("the name `{name}` {error}"))?;
        new.push(Resolved { name, address: *address });
    }
    known.retain(|one| !new.iter().any(|told| told.name == one.name));
    let lines = new.iter().map(|one| format!("{} resolves to {}", one.name, one.address)).collect();
    known.append(&mut new);
    Ok(lines)
}

/// `NetworkPolicy prod/web`
fn names(inventory: &Inventory) -> Vec<String> {
    let mut all = inventory.clone();
    without(&mut all, inventory)
}

fn told(changes: &Changes) -> Vec<String> {
    let lists = [("came", &changes.came), ("went", &changes.went), ("moved", &changes.moved)];
    let mut lines: Vec<String> = Vec::new();
    for (what, pods) in lists {
        lines.extend(pods.iter().map(|pod| format!("pod {pod} {what}")));
    }
    lines.push(match changes.rules {
        0 => "no node's rules changed".to_owned(),
        1 => "the rules of 1 node changed, at once".to_owned(),
        nodes => format!("the rules of {nodes} nodes changed, each at once"),
    });
    lines
}

/// As kubelet writes it, but that a lost question is asked again sooner.
fn resolv(resolver: Option<IpAddr>, namespace: Option<&Name>) -> String {
    let server = resolver.map(|address| format!("nameserver {address}\n")).unwrap_or_default();
    match namespace {
        Some(namespace) => format!(
            "{server}search {namespace}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\noptions ndots:5 timeout:1 attempts:2\n"
        ),
        None => format!("{server}options timeout:1 attempts:2\n"),
    }
}

fn hosts(own: &[IpAddr], name: &str) -> String {
    let own: String = own.iter().map(|address| format!("{address} {name}\n")).collect();
    format!("127.0.0.1 localhost\n::1 localhost\n{own}")
}

/// Whether the other end is still there.
fn is_open(stream: &UnixStream) -> bool {
    let mut byte = [0_u8; 1];
    let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
    match rustix::net::recv(stream, &mut byte[..], flags) {
        Ok((length, _)) => length > 0,
        Err(errno) => matches!(errno, rustix::io::Errno::AGAIN | rustix::io::Errno::INTR),
    }
}

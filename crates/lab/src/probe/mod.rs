//! Real packets between the hosts of a [`Network`], and what became of them.
//!
//! [`run`] opens a listener at every destination first, then sends all probes
//! side by side. One thread goes through the namespaces to make the sockets
//! (they stay in the namespace they were made in), and one epoll loop drives
//! them all.
//!
//! - TCP: a connection, on which the client sends its nonce and the listener
//!   echoes it. The kernel repeats an unanswered SYN after a second.
//! - UDP: a datagram with a nonce, echoed; repeated by us.
//! - SCTP: an INIT by hand on a raw socket, answered by an INIT ACK by hand,
//!   so that kernels without SCTP will do; repeated by us.
//! - Portless: an ICMP echo request, which the other kernel answers; repeated.
//!
//! Every probe has a source port (an identifier for ICMP) that no earlier
//! probe of the network had, so its [`Tuple`] names it in logs and counters.

mod conntrack;
mod drive;
mod listen;
mod numbers;
mod raw;
mod socket;
mod waves;
mod wire;

pub(crate) use numbers::SourceNumbers;

use std::net::IpAddr;
use std::time::Duration;

use palisade_engine::model::{Protocol, Traffic};
use palisade_linux::netns::{NetNsError, on_hopping_thread};
use palisade_linux::packet::{Flow, Tuple, protocol};
use rustix::io::Errno;

use crate::wiring::{HostRef, Network};

/// One connection to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Probe {
    /// Who tries it.
    pub from: HostRef,
    /// With which of its addresses.
    pub source: IpAddr,
    /// Who is to answer.
    pub to: HostRef,
    /// At which of its addresses; of the same family as the source.
    pub destination: IpAddr,
    /// The protocol and port, or ICMP.
    pub traffic: Traffic,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The listener answered with this probe's nonce.
    Reached,
    /// Nothing came back, although it was sent as often and waited for as
    /// long as the [`Timing`] says.
    NoAnswer,
    /// An answer came that says no: a TCP reset or an ICMP error, as the errno
    /// that the kernel makes of it.
    Refused(Errno),
    /// The source's own kernel would not send it (no route, for example).
    Failed(Errno),
}

/// What was seen of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// What became of it.
    pub outcome: Outcome,
    /// The tuple of its packets as its source sent them.
    pub tuple: Tuple,
    /// From the first packet to the outcome.
    pub elapsed: Duration,
}

/// How long and how often it is tried before silence counts as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a TCP connection may take. The kernel repeats the SYN after
    /// 1 s, so anything above leaves time for a second one.
    pub tcp: Duration,
    /// How often all others are sent.
    pub attempts: u32,
    /// The time from one attempt to the next.
    pub interval: Duration,
    /// The time after the last attempt.
    pub settle: Duration,
}

impl Default for Timing {
    /// TCP 1.4 s; three attempts 0.3 s apart and 0.5 s after the last: 1.1 s.
    fn default() -> Self {
        Self {
            tcp: Duration::from_millis(1400),
            attempts: 3,
            interval: Duration::from_millis(300),
            settle: Duration::from_millis(500),
        }
    }
}

/// Why no statement can be made about any probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// A host is not in the network.
    #[error("probe {index}: there is no {host} in this network")]
    NoSuchHost {
        /// The index of the probe.
        index: usize,
        /// The host.
        host: HostRef,
    },
    /// The ends are of different families.
    #[error("probe {index}: {source_address} and {destination} are of different IP families")]
    Families {
        /// The index of the probe.
        index: usize,
        /// One end.
        source_address: IpAddr,
        /// The other end.
        destination: IpAddr,
    },
    /// A socket could not be had.
    #[error(
        "namespace {namespace}: cannot {step} for {what}: {errno} (EADDRNOTAVAIL: the host does not have that address; EMFILE: raise `ulimit -n`)"
    )]
    Socket {
        /// The namespace.
        namespace: String,
        /// What was being done.
        step: &'static str,
        /// For which listener or probe.
        what: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// Too few file descriptors even for one probe at a time.
    #[error("{limit} open files are not enough for the listeners of these probes: raise it with `ulimit -n`")]
    Descriptors {
        /// How many there may be.
        limit: u64,
    },
    /// Conntrack threw packets or entries away, so silence may not be the ruleset's.
    #[error(
        "the conntrack table of namespace {namespace} was full and dropped {dropped} packets or entries: \
         raise net.netfilter.nf_conntrack_max (now {max}) on this machine, or probe less at once"
    )]
    ConntrackFull {
        /// The namespace.
        namespace: String,
        /// How many.
        dropped: u64,
        /// The limit, as the kernel writes it.
        max: String,
    },
    /// The loop that waits for all sockets failed.
    #[error("cannot wait for the probes: epoll: {0}")]
    Wait(Errno),
    /// A namespace could not be entered.
    #[error(transparent)]
    NetNs(#[from] NetNsError),
}

/// Sends all probes and says what became of each, in their order.
///
/// `progress` hears how many are done, of how many. Takes milliseconds for
/// what arrives and the time of `timing` for what does not, all side by side
/// as far as the limit of open files allows (one for each TCP or UDP probe, and
/// one for each listener).
pub fn run(
    network: &Network,
    probes: &[Probe],
    timing: Timing,
    progress: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Vec<Observation>, ProbeError> {
    check(network, probes)?;
    on_hopping_thread(|hopper| {
        let before = conntrack::losses(network, hopper)?;
        let observations = drive::drive(network, probes, timing, hopper, progress)?;
        conntrack::compare(network, hopper, &before)?;
        Ok(observations)
    })?
}

fn check(network: &Network, probes: &[Probe]) -> Result<(), ProbeError> {
    for (index, probe) in probes.iter().enumerate() {
        if let Some(host) = [probe.from, probe.to].into_iter().find(|host| network.host(*host).is_none()) {
            return Err(ProbeError::NoSuchHost { index, host });
        }
        if probe.source.is_ipv4() != probe.destination.is_ipv4() {
            let (source_address, destination) = (probe.source, probe.destination);
            return Err(ProbeError::Families { index, source_address, destination });
        }
    }
    Ok(())
}

/// How a probe is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A kernel socket, connected.
    Tcp,
    /// A kernel socket, connected.
    Udp,
    /// A raw socket that all probes of an address share.
    Sctp,
    /// A raw socket that all probes of an address share.
    Icmp,
}

impl Probe {
    fn kind(&self) -> Kind {
        match self.traffic {
            Traffic::Port(Protocol::Tcp, _) => Kind::Tcp,
            Traffic::Port(Protocol::Udp, _) => Kind::Udp,
            Traffic::Port(Protocol::Sctp, _) => Kind::Sctp,
            Traffic::Portless => Kind::Icmp,
        }
    }

    /// The destination port; 0 for ICMP.
    fn port(&self) -> u16 {
        match self.traffic {
            Traffic::Port(_, port) => port,
            Traffic::Portless => 0,
        }
    }

    fn tuple(&self, number: u16) -> Tuple {
        let ports = Flow::Ports { source: number, destination: self.port() };
        let (protocol, flow) = match self.kind() {
            Kind::Tcp => (protocol::TCP, ports),
            Kind::Udp => (protocol::UDP, ports),
            Kind::Sctp => (protocol::SCTP, ports),
            Kind::Icmp if self.source.is_ipv4() => (protocol::ICMP, Flow::Echo { id: number }),
            Kind::Icmp => (protocol::ICMPV6, Flow::Echo { id: number }),
        };
        Tuple { source: self.source, destination: self.destination, protocol, flow }
    }
}

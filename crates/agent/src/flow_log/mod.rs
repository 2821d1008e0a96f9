//! What was denied, or would be, and why: packets that the kernel logged become lines.
//!
//! ```text
//! kernel ──► tap, a thread ──► the agent's loop: judge ──► Line ──┬─► output   a file, or standard output
//!            read, count       cluster, program, chains           └─► socket   whoever connects
//! ```
//!
//! The loop owns what packets are judged by, so it makes the records; it waits for nobody. Nothing is lost
//! silently: what the kernel's rate limit kept from the log is told with the next line of the same policies,
//! and what a slow reader missed in a line of its own ([`record`]).

mod judge;
mod output;
mod socket;
mod standing;
mod tally;
mod tap;

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::Path,
    sync::{Arc, PoisonError},
    time::Instant,
};

use palisade_engine::{
    PolicyProgram,
    compile::ProfileId,
    model::{Cluster, Mode, Name, PolicyRef},
};
pub use palisade_flows::record;
use palisade_linux::packet::Tuple;
use palisade_nftables::plan::{ACCEPTED, AuditChain, Log};

use self::{
    judge::Judge,
    output::{Output, Sent},
    record::{FlowRecord, FlowVerdict, Line},
    socket::Hub,
    standing::{Standing, ToTell},
    tap::{Chains, Tap},
};
pub use self::{
    output::Target,
    socket::{HISTORY, SOCKET},
    tally::{Denied, DenyChain},
    tap::LoggedPacket,
};
use crate::{
    cut::{Ended, WouldDeny},
    status::Shared,
};

/// How many chains that are gone are remembered for packets that are still on their way.
const RETIRED: usize = 256;
/// Of how many packets that audited policies would deny it is remembered that they were told. The kernel says of the
/// same packet that it is accepted before it goes on to the next one; other processors may come between.
const PASSING: usize = 256;

/// What became of flows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowCounts {
    /// Records made.
    pub records: u64,
    /// Packets that were dropped by policies and not logged: the rate limit kept them from it.
    pub suppressed: u64,
    /// Records that somebody did not take as fast as they came, once for each who did not.
    pub dropped: u64,
    /// Packets that say not even whose they are, and messages that cannot be read.
    pub unreadable: u64,
    /// Times that the kernel's buffer was full.
    pub overruns: u64,
}

/// The flow log of an agent.
#[derive(Debug)]
pub struct FlowLog {
    node: Name,
    status: Shared,
    chains: Chains,
    /// The last chains that are gone, the latest last.
    retired: VecDeque<(String, DenyChain)>,
    /// The last packets that were told as ones that audited policies would deny, the latest last.
    passing: VecDeque<Tuple>,
    standing: Standing,
    tap: Option<Tap>,
    outputs: Vec<Output>,
    hubs: Vec<Hub>,
}

impl FlowLog {
    /// A log of that node that listens to nothing and is written nowhere yet.
    pub fn of(node: impl Into<Name>, status: Shared) -> Self {
        Self {
            node: node.into(),
            status,
            chains: Chains::default(),
            retired: VecDeque::new(),
            passing: VecDeque::new(),
            standing: Standing::default(),
            tap: None,
            outputs: Vec::new(),
            hubs: Vec::new(),
        }
    }

    /// Listens to an NFLOG group (`None`: only to the counters of denied packets) of the network namespace
    /// that the calling thread is in, and calls `wake` when [`Self::turn`] has something to do.
    ///
    /// That somebody else reads the group is no error: it is said, and tried again.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn listen(&mut self, group: Option<u16>, wake: impl Fn() + Send + 'static) -> io::Result<()> {
        self.tap = Some(Tap::start(group, Arc::clone(&self.chains), self.status.clone(), wake)?);
        Ok(())
    }

    /// Writes lines there, too.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn write_to(&mut self, target: &Target) -> io::Result<()> {
        self.outputs.push(Output::start(target, self.status.clone())?);
        Ok(())
    }

    /// Tells lines to whoever connects to a socket at that path, too.
    ///
    /// # Errors
    /// When it cannot be made there, or somebody else listens there.
    pub fn tell_at(&mut self, path: &Path) -> io::Result<()> {
        self.hubs.push(Hub::listen(path)?);
        Ok(())
    }

    /// Takes note of the chains that deny, and of those that say what audited policies would (`denials` and `audits`
    /// of a plan), and of what the program says of them. To be called before the plan comes into force.
    pub fn planned(
        &mut self,
        cluster: &Cluster,
        program: &PolicyProgram,
        denials: &BTreeMap<String, ProfileId>,
        audits: &BTreeMap<String, AuditChain>,
    ) {
        let mut chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let chains = chains.get_or_insert_default();
        let is_planned = |name: &String| denials.contains_key(name) || audits.contains_key(name);
        if chains.len() == denials.len() + audits.len() && chains.keys().all(is_planned) {
            return;
        }
        self.retired.retain(|(name, _)| !is_planned(name));
        let gone = chains.iter().filter(|(name, _)| !is_planned(name));
        self.retired.extend(gone.map(|(name, chain)| (name.clone(), chain.clone())));
        chains.retain(|name, _| is_planned(name));
        let excess = self.retired.len().saturating_sub(RETIRED);
        self.retired.drain(..excess);
        for (name, id) in denials {
            // A chain's name comes from what is said of it: who has the name has the rest.
            chains.entry(name.clone()).or_insert_with(|| {
                let profile = program.profile(*id);
                let names = |policies: &mut dyn Iterator<Item = PolicyRef>| {
                    let mut names: Vec<String> = policies.map(|policy| cluster.policy_name(policy)).collect();
                    names.sort();
                    names.dedup();
                    names
                };
                let policies = names(&mut profile.tiers.iter().flat_map(|tier| tier.policies.iter().copied()));
                let isolating = names(&mut profile.isolating().map(PolicyRef::from));
                DenyChain { direction: profile.direction, mode: Mode::Enforce, policies, isolating }
            });
        }
        for (name, AuditChain { direction, policies, isolating }) in audits {
            chains.entry(name.clone()).or_insert_with(|| DenyChain {
                direction: *direction,
                mode: Mode::Audit,
                policies: policies.clone(),
                isolating: isolating.clone(),
            });
        }
    }

    /// Records every packet that has come since the last time, and what stands and is to be told by `now`.
    pub fn turn(&mut self, now: Instant, cluster: &Cluster, program: &PolicyProgram) {
        while let Some(tap) = &self.tap {
            let (lost, packet) = (tap.lost(), tap.next());
            if lost > 0 {
                self.send(&Line::Lost(lost));
            }
            let Some(packet) = packet else { break };
            self.record(&packet, cluster, program);
        }
        for ToTell { chain, tuple, left_out } in self.standing.take_due(now) {
            let packet = LoggedPacket::of(chain, tuple, left_out);
            if let Some(record) = self.judge(&packet, cluster, program) {
                self.tell(FlowRecord { standing: true, ..record });
            }
        }
    }

    /// Takes note of what a look found of connections that stand and that audited policies would deny. Each that was not
    /// told yet is told by a [`Self::turn`] a moment later, as many a second as `log` lets the kernel log packets of
    /// one chain; `None`: none.
    pub fn stands(&mut self, now: Instant, found: WouldDeny, log: Option<Log>) {
        for (chain, tuple) in &found.connections {
            self.standing.found(now, chain, tuple, log);
        }
        let Some(ended) = found.ended else { return };
        let counts = self.standing.over(now, ended == Ended::Whole);
        if ended == Ended::InPart {
            return;
        }
        let chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sums = Denied::new();
        for (name, chain) in chains.iter().flatten().filter(|(_, chain)| chain.mode == Mode::Audit) {
            for policy in &chain.policies {
                *sums.entry((policy.clone(), chain.direction)).or_default() += counts.get(name).copied().unwrap_or(0);
            }
        }
        self.status.with(|status| status.would_deny_standing = sums);
    }

    /// Records one packet: judges it, and hands the line to whoever takes lines.
    pub fn record(&mut self, packet: &LoggedPacket, cluster: &Cluster, program: &PolicyProgram) {
        let Some(tuple) = packet.tuple else {
            return self.status.with(|status| status.flows.unreadable += 1);
        };
        if packet.prefix == ACCEPTED && self.was_told_as_passing(&tuple) {
            return;
        }
        if let Some(record) = self.judge(packet, cluster, program) {
            if record.verdict == FlowVerdict::WouldDeny {
                self.standing.logged(&packet.prefix, &tuple);
                self.passing.push_back(tuple);
                self.passing.drain(..self.passing.len().saturating_sub(PASSING));
            }
            self.tell(record);
        }
    }

    /// Whether a packet was told as one that audited policies would deny: then that it passed has been said.
    fn was_told_as_passing(&mut self, tuple: &Tuple) -> bool {
        let before = self.passing.len();
        self.passing.retain(|told| told != tuple);
        self.passing.len() < before
    }

    fn tell(&mut self, record: FlowRecord) {
        self.send(&Line::Flow(Box::new(record)));
        self.status.with(|status| status.flows.records += 1);
    }

    /// What a packet comes to; `None` when it cannot be read, or is no business of this node's policies.
    pub fn judge(&self, packet: &LoggedPacket, cluster: &Cluster, program: &PolicyProgram) -> Option<FlowRecord> {
        let tuple = packet.tuple.as_ref()?;
        let judge = Judge { cluster, program, node: &self.node };
        if packet.prefix == ACCEPTED {
            return judge.accepted(packet, tuple);
        }
        let chains = self.chains.lock().unwrap_or_else(PoisonError::into_inner);
        let present = || chains.as_ref()?.get(&packet.prefix);
        let retired = || self.retired.iter().find(|(name, _)| *name == packet.prefix).map(|(_, chain)| chain);
        present().or_else(retired).map(|chain| match chain.mode {
            Mode::Enforce => judge.denied(packet, tuple, chain),
            Mode::Audit => judge.would_deny(packet, tuple, chain),
        })
    }

    fn send(&mut self, line: &Line) {
        let text: Arc<str> = line.to_json().into();
        let mut dropped: u64 =
            self.outputs.iter_mut().map(|output| u64::from(output.send(&text) == Sent::Dropped)).sum();
        dropped += self.hubs.iter().map(|hub| hub.send(&text)).sum::<u64>();
        if dropped > 0 {
            self.status.with(|status| status.flows.dropped += dropped);
        }
    }
}

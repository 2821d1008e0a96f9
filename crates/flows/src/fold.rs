//! Lines become connections: one pass, and memory for the distinct connections alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use jiff::Timestamp;
use rustc_hash::FxHashMap;

use crate::{Connection, End, Entry, Flow, PassedOver, Subject, connection::Seen, record::FlowProtocol};

/// What two lines must have in common to be of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The workload of each end where it is known, else the pod; the node; the address of who is neither.
    Workload,
    /// The pod and the address of each end.
    Pod,
}

/// Folds lines into connections.
#[derive(Debug)]
pub struct Fold {
    by: By,
    most: usize,
    /// Ends by what tells them apart, as text: most lines are of ends that are known, and cost nothing to look up.
    numbers: FxHashMap<Box<str>, u32>,
    ends: Vec<End>,
    connections: FxHashMap<Key, Seen>,
    key: String,
    tally: Tally,
}

type Key = (u32, u32, FlowProtocol, Option<u16>);

/// What was read, and what of it could not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that were told, each line as often as it stands for.
    pub flows: u64,
    /// Lines that were dropped before they were written.
    pub lost: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Lines of connections that found no room: as many distinct ones as are held had been seen.
    pub beyond: u64,
    /// Lines that could be read and do not count, by why.
    pub passed_over: BTreeMap<PassedOver, u64>,
    /// The first and the last time that was told.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The nodes that told something.
    pub nodes: BTreeSet<String>,
}

impl Fold {
    /// Nothing yet; of so many distinct connections at most.
    pub fn new(by: By, most: usize) -> Self {
        Self {
            by,
            most,
            numbers: FxHashMap::default(),
            ends: Vec::new(),
            connections: FxHashMap::default(),
            key: String::new(),
            tally: Tally::default(),
        }
    }

    /// Takes what a line says.
    pub fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Record(record) => self.flow(&Flow::from(*record)),
            Entry::Flow(flow) => self.flow(&flow),
            Entry::Connection(connection) => self.connection(&connection),
            Entry::Lost(lost) => self.tally.lost = self.tally.lost.saturating_add(lost),
            Entry::PassedOver(why) => *self.tally.passed_over.entry(why).or_default() += 1,
            Entry::CaughtUp => {}
        }
    }

    /// Counts a line that could not be read.
    pub fn unreadable(&mut self) {
        self.tally.unreadable += 1;
    }

    /// Takes a connection.
    pub fn flow(&mut self, flow: &Flow) {
        if let Some(node) = &flow.node {
            self.node(node);
        }
        self.spans(flow.first, flow.last);
        self.tally.flows = self.tally.flows.saturating_add(flow.count);
        let seen = Seen::at(flow.first, flow.last);
        if let Some(seen) = self.of(&flow.source, &flow.destination, flow.protocol, flow.port, seen) {
            seen.add(flow);
        }
    }

    /// Takes a connection that was folded before.
    pub fn connection(&mut self, connection: &Connection) {
        let Connection { source, destination, protocol, port, seen } = connection;
        self.spans(seen.first, seen.last);
        let told = seen.egress.max(seen.ingress).saturating_add(seen.denied());
        self.tally.flows = self.tally.flows.saturating_add(told);
        if let Some(before) = self.of(source, destination, *protocol, *port, Seen::at(seen.first, seen.last)) {
            before.merge(seen);
        }
    }

    /// What was read so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The connections, in the order of their names, and what was read.
    pub fn finish(self) -> (Vec<Connection>, Tally) {
        let Self { ends, connections, tally, .. } = self;
        let end = |number: u32| ends.get(number as usize).cloned();
        let found = connections.into_iter().filter_map(|((source, destination, protocol, port), seen)| {
            Some(Connection { source: end(source)?, destination: end(destination)?, protocol, port, seen })
        });
        let mut connections: Vec<Connection> = found.collect();
        connections.sort_by_cached_key(|connection| {
            let name = |end: &End| (matches!(end.subject, Subject::Address), end.to_string(), end.address);
            (name(&connection.source), name(&connection.destination), connection.protocol, connection.port)
        });
        (connections, tally)
    }

    fn node(&mut self, node: &str) {
        if !self.tally.nodes.contains(node) && self.tally.nodes.len() < self.most {
            self.tally.nodes.insert(node.to_owned());
        }
    }

    fn spans(&mut self, first: Timestamp, last: Timestamp) {
        let span = self.tally.span.get_or_insert((first, last));
        *span = (span.0.min(first), span.1.max(last));
    }

    /// The counts of a connection; `None` when there is no room for another one.
    fn of(
        &mut self,
        source: &End,
        destination: &End,
        protocol: FlowProtocol,
        port: Option<u16>,
        seen: Seen,
    ) -> Option<&mut Seen> {
        let may_grow = self.connections.len() < self.most;
        let source = self.number(source, may_grow);
        let destination = self.number(destination, may_grow);
        let (Some(source), Some(destination)) = (source, destination) else {
            self.tally.beyond += 1;
            return None;
        };
        let key = (source, destination, protocol, port);
        if !may_grow && !self.connections.contains_key(&key) {
            self.tally.beyond += 1;
            return None;
        }
        Some(self.connections.entry(key).or_insert(seen))
    }

    /// The number of an end; `None` when it has none and may not get one.
    fn number(&mut self, end: &End, may_grow: bool) -> Option<u32> {
        self.key.clear();
        let with_address = match &end.subject {
            Subject::Pod { namespace, pod, workload } => {
                self.key.push_str(namespace);
                match (self.by, workload) {
                    (By::Workload, Some(workload)) => {
                        self.key.push_str("\0w");
                        self.key.push_str(workload);
                    }
                    (By::Pod, _) | (By::Workload, None) => {
                        self.key.push_str("\0p");
                        self.key.push_str(pod.as_deref().unwrap_or_default());
                        self.key.push('\0');
                        self.key.push_str(workload.as_deref().unwrap_or_default());
                    }
                }
                self.by == By::Pod
            }
            Subject::Node { node } => {
                self.key.push_str("\0n");
                self.key.push_str(node);
                self.by == By::Pod
            }
            Subject::Address => true,
        };
        if with_address && let Some(address) = end.address {
            // Writing to a String does not fail.
            _ = write!(self.key, "\0{address}");
        }
        if let Some(number) = self.numbers.get(self.key.as_str()) {
            return Some(*number);
        }
        if !may_grow {
            return None;
        }
        let number = u32::try_from(self.ends.len()).ok()?;
        self.numbers.insert(self.key.as_str().into(), number);
        self.ends.push(coarse(end, self.by));
        Some(number)
    }
}

/// An end with what it is told by alone.
fn coarse(end: &End, by: By) -> End {
    if by == By::Pod {
        return end.clone();
    }
    match &end.subject {
        Subject::Pod { namespace, workload: Some(workload), .. } => {
            let subject = Subject::Pod { namespace: namespace.clone(), pod: None, workload: Some(workload.clone()) };
            End { subject, address: None }
        }
        Subject::Pod { .. } | Subject::Node { .. } => End { subject: end.subject.clone(), address: None },
        Subject::Address => end.clone(),
    }
}

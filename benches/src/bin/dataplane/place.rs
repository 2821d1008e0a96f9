//! A node and its two pods, with rules that can be taken away and put back.
//!
//! What is compared is compared in one place: the same links, sockets and memory, with the rules and
//! without. Between two places that are alike in everything else, times differ by more than the rules cost.
//!
//! ```text
//! alone    connection tracking, as a chain that nobody enters asks for it; the sets and chains of the rules
//! with     the same, and the base chain
//! ```

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use palisade_engine::model::Family;
use palisade_lab::wiring::{Network, NodeHost, PodHost, Topology};
use palisade_linux::netns::Hopper;
use palisade_nftables::{
    difference::Difference,
    netlink::Kernel,
    ruleset::{Chain, Expression, FORWARD, Rule, Ruleset, Verdict},
};

use crate::{
    conntrack::{self, Conntrack},
    path::{Measure, Path},
    rules::PairEnd,
    statistic::Samples,
};

/// The chain that switches connection tracking on: the kernel does so as long as a rule asks for a state.
const TRACKING: &str = "bench-tracking";
/// How long the kernel may take to end it; some milliseconds are usual.
const UNTRACKED: Duration = Duration::from_secs(10);

/// What stands in a place beside connection tracking alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not even connection tracking.
    Nothing,
    /// Connection tracking alone again: what comes out is the error of the measurement.
    Again,
    /// A base chain without any rule: what every firewall pays.
    Empty,
    /// The rules of an agent.
    Palisade,
    /// The same, and what drops connections that were cut, which is there while there are some.
    Cutting,
    /// One rule a policy in a row.
    Linear,
}

/// One of two states of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum State {
    Alone,
    With,
}

pub(crate) struct Place {
    kind: Kind,
    network: Network,
    kernel: Kernel,
    conntrack: Conntrack,
    paths: Vec<Path>,
    state: State,
    put: Difference,
    take: Difference,
}

impl Place {
    /// Makes the namespaces, and loads the rules; they are taken away at first.
    pub(crate) fn make(kind: Kind, rules: Ruleset, hopper: &mut Hopper) -> Result<Self> {
        let network = Network::up(&topology())?;
        let node = network.node(0).context("no node")?;
        hopper.enter(node)?;
        let (mut kernel, conntrack) = (Kernel::open()?, Conntrack::open_here()?);
        let (alone, with) = states(kind, rules);
        kernel.apply(&Difference::between(None, &alone))?;
        let (put, take) = (Difference::between(Some(&alone), &with), Difference::between(Some(&with), &alone));
        let paths =
            Family::ALL.into_iter().map(|family| Path::open(&network, family, hopper)).collect::<Result<_>>()?;
        Ok(Self { kind, network, kernel, conntrack, paths, state: State::Alone, put, take })
    }

    /// Brings the place into that state; connections are forgotten.
    pub(crate) fn set(&mut self, state: State, hopper: &mut Hopper) -> Result<()> {
        if self.state != state {
            self.kernel.apply(if state == State::With { &self.put } else { &self.take })?;
            if self.kind == Kind::Cutting {
                self.kernel.drop_cut(state == State::With)?;
            }
            self.state = state;
            if !self.is_tracked() {
                self.wait_until_untracked(hopper)?;
            }
        }
        self.conntrack.flush()
    }

    fn is_tracked(&self) -> bool {
        !(self.kind == Kind::Nothing && self.state == State::With)
    }

    /// The kernel lets go of what a rule asked for some time after the rule is gone.
    fn wait_until_untracked(&self, hopper: &mut Hopper) -> Result<()> {
        let began = Instant::now();
        hopper.enter(self.network.node(0).context("no node")?)?;
        while began.elapsed() < UNTRACKED {
            self.conntrack.flush()?;
            // The families are let go of one after the other.
            self.paths.iter().try_for_each(Path::round_trip)?;
            if conntrack::count(hopper)? == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("connections are still tracked {UNTRACKED:?} after nobody asked for it")
    }

    /// A turn of everything, in the state that it is in.
    pub(crate) fn turn(&self, hopper: &mut Hopper, samples: &mut Samples) -> Result<()> {
        // Where new sockets come from.
        hopper.enter(self.network.pod(0).context("no client")?)?;
        for (family, path) in Family::ALL.into_iter().zip(&self.paths) {
            for measure in Measure::ALL {
                path.measure(measure, samples.of(family, measure, self.state))?;
                self.conntrack.flush()?;
            }
        }
        Ok(())
    }

    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// Sees with packets that the place is what it is said to be: a measurement of anything else is worth nothing.
    pub(crate) fn verify(&mut self, hopper: &mut Hopper) -> Result<()> {
        for state in [State::Alone, State::With, State::Alone, State::With] {
            self.set(state, hopper)?;
            for path in &self.paths {
                path.round_trip().with_context(|| format!("{:?} {state:?}", self.kind))?;
            }
            // One connection was there already.
            let begun = self.paths.iter().map(|path| path.begin(10)).sum::<Result<usize>>()?;
            hopper.enter(self.network.node(0).context("no node")?)?;
            let expected = if self.is_tracked() { u64::try_from(begun + self.paths.len())? } else { 0 };
            let tracked = conntrack::count(hopper)?;
            ensure!(
                tracked == expected,
                "{tracked} connections are tracked, not {expected}: {:?} {state:?}",
                self.kind
            );
            self.conntrack.flush()?;
            let dropped = self.dropped()?;
            let is_filtered =
                matches!(self.kind, Kind::Palisade | Kind::Cutting | Kind::Linear) && state == State::With;
            for path in &self.paths {
                let arrived = path.forbidden_arrive(!is_filtered)?;
                let expected = if is_filtered { [false, false] } else { [true, true] };
                ensure!(arrived == expected, "forbidden packets arrive: {arrived:?}, {:?} {state:?}", self.kind);
            }
            if is_filtered {
                let counted = self.dropped()? - dropped;
                ensure!(counted == 2 * self.paths.len() as u64, "the rules counted {counted} dropped packets");
            }
        }
        self.set(State::Alone, hopper)
    }

    /// What the rules count as dropped.
    fn dropped(&mut self) -> Result<u64> {
        Ok(self.kernel.counters()?.iter().map(|counter| counter.packets).sum())
    }
}

fn topology() -> Topology {
    let pods = PairEnd::ALL.map(|end| {
        let (v4, v6) = end.addresses();
        PodHost { name: end.name().to_owned(), node: 0, v4: Some(v4), v6: Some(v6) }
    });
    let addresses = vec!["172.31.0.1".parse(), "fd00:201::1".parse()].into_iter().flatten().collect();
    Topology { nodes: vec![NodeHost { name: "node".to_owned(), addresses }], pods: pods.into(), outside: Vec::new() }
}

/// The two states of a place.
fn states(kind: Kind, rules: Ruleset) -> (Ruleset, Ruleset) {
    let tracking = Rule::new([Expression::EstablishedOrRelated, Expression::Verdict(Verdict::Accept)]);
    let not_entered = |rules| Chain { is_base: false, rules };
    let mut with = rules;
    if kind != Kind::Nothing {
        with.chains.insert(TRACKING.to_owned(), not_entered(vec![tracking.clone()]));
    }
    let mut alone = with.clone();
    alone.chains.remove(FORWARD);
    alone.chains.insert(TRACKING.to_owned(), not_entered(vec![tracking]));
    if kind == Kind::Again {
        with.chains.insert(format!("{TRACKING}-again"), not_entered(Vec::new()));
    }
    (alone, with)
}

//! Which connections are cut: on random clusters those that the engine denies, and no others.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails so; clippy does not see that helpers are of tests")]

mod support;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use palisade_agent::cut::{Action, Connections, Cutter, Ended, Established, Judgement, WouldDeny, connections, judge};
use palisade_engine::{
    PolicyProgram,
    model::{Cluster, Direction, Endpoint, NodeId, Protocol, Traffic},
    verdict::Outcome,
};
use palisade_linux::conntrack::{Changed, Flow, MarkChange, PortProtocol, Transport, Tuple, Zone};
use palisade_nftables::{
    cut::MARK,
    interpret,
    judged::judged,
    path::{first_packet, nodes},
    plan::{Options, Plan, plan},
    ruleset::Ruleset,
};
use palisade_oracle::generate::{Generator, flow_text};
use support::Dice;

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many clusters: 1,000, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000)
}

fn port_protocol(protocol: Protocol) -> PortProtocol {
    match protocol {
        Protocol::Tcp => PortProtocol::Tcp,
        Protocol::Udp => PortProtocol::Udp,
        Protocol::Sctp => PortProtocol::Sctp,
    }
}

/// What conntrack says of a flow: as it is, or translated at its destination, its source, or both.
fn entry(flow: &palisade_engine::model::Flow, number: u16, dice: &mut Dice) -> Flow {
    let (source, destination) = (flow.from().address.unwrap(), flow.to().address.unwrap());
    let to = |source, destination| match flow.traffic() {
        Traffic::Port(protocol, _) => Transport::Ports { protocol: port_protocol(protocol), source, destination },
        Traffic::Portless => {
            Transport::Icmp { kind: if destination_is_v6(flow) { 128 } else { 8 }, code: 0, id: number }
        }
    };
    let port = match flow.traffic() {
        Traffic::Port(_, port) => port,
        Traffic::Portless => 0,
    };
    let other: IpAddr = if source.is_ipv4() { [10, 96, 0, 1].into() } else { [0xfd96, 0, 0, 0, 0, 0, 0, 1].into() };
    let (service, service_port) = if dice.below(3) == 0 { (other, 1) } else { (destination, port) };
    let seen = if dice.below(3) == 0 { other } else { source };
    Flow {
        original: Tuple { source, destination: service, transport: to(number, service_port) },
        reply: Tuple { source: destination, destination: seen, transport: to(port, number) },
        master: None,
        mark: 5,
        zone: if dice.below(2) == 0 { Zone::Default } else { Zone::Both(number) },
        id: number.into(),
    }
}

fn destination_is_v6(flow: &palisade_engine::model::Flow) -> bool {
    flow.to().address.is_some_and(|address| address.is_ipv6())
}

fn rulesets(cluster: &Cluster, program: &PolicyProgram) -> BTreeMap<NodeId, Ruleset> {
    let ids: Vec<NodeId> = cluster.nodes().map(|(id, _)| id).collect();
    ids.into_iter().map(|id| (id, plan(cluster, program, id, &Options::default()).ruleset)).collect()
}

fn own(cluster: &Cluster, node: NodeId) -> HashSet<IpAddr> {
    cluster.nodes().filter(|(id, _)| *id == node).flat_map(|(_, node)| node.addresses.clone()).collect()
}

/// What is to happen to each of some flows.
fn actions(ruleset: &Ruleset, flows: &[Flow], own: &HashSet<IpAddr>) -> HashMap<Tuple, Action> {
    let connections = connections(flows, own, judged(ruleset).as_ref());
    let judged = |connection| judge(ruleset, connection, &|_, _| false).unwrap();
    connections.iter().filter_map(|connection| Some((connection.original, judged(connection).action?))).collect()
}

#[test]
fn what_is_cut_is_what_the_engine_denies() {
    let (mut cut, mut kept) = (0, 0);
    for seed in 0..clusters() {
        let cluster = Generator::new(seed).cluster();
        let program = PolicyProgram::compile(&cluster);
        let rulesets = rulesets(&cluster, &program);
        let mut dice = Dice(seed);
        for (number, flow) in (1..).zip(Generator::new(seed).probeable_flows(&cluster, 20)) {
            let entry = entry(&flow, number, &mut dice);
            let denied = program.verdict(&cluster, &flow).outcome() != Outcome::Allow;
            let packet = first_packet(&flow).unwrap();
            let (mut found, mut dropped) = (false, false);
            // Where it passes neither as a pod's nor as its own, it may be seen all the same, and is let be.
            for (node, ruleset) in &rulesets {
                let passes_here = nodes(&cluster, &flow).contains(node);
                let action = actions(ruleset, &[entry], &own(&cluster, *node)).remove(&entry.original);
                let marked = Flow { mark: entry.mark | MARK, ..entry };
                let after = actions(ruleset, &[marked], &own(&cluster, *node)).remove(&entry.original);
                if passes_here {
                    dropped |= !interpret::forward(ruleset, &packet).unwrap().accepted;
                    found |= action == Some(Action::Cut);
                }
                // Marked, it is left as it is exactly where it would be cut.
                match action {
                    Some(Action::Cut) => assert_eq!(after, None, "seed {seed}"),
                    None => assert_eq!(after, Some(Action::Restore), "seed {seed}"),
                    Some(Action::Restore) => panic!("seed {seed}: it was not cut"),
                }
            }
            assert_eq!((found, dropped), (denied, denied), "seed {seed}: {}", flow_text(&cluster, &flow));
            if found { cut += 1 } else { kept += 1 }
        }
    }
    assert!(cut > clusters() / 2 && kept > clusters() / 2, "{cut} cut, {kept} kept: the flows say too little");
}

/// At each end that a node judges, what audited policies would deny is found of connections that pass: of those that the
/// engine says, and of no others.
#[test]
fn what_audited_policies_would_deny_is_what_the_engine_says() {
    let (mut would, mut not) = (0, 0);
    for seed in 0..clusters().min(300) {
        let generator = || Generator::new(seed).with_modes();
        let cluster = generator().cluster();
        let program = PolicyProgram::compile(&cluster);
        let mut dice = Dice(seed);
        let plans: Vec<(NodeId, Plan)> =
            cluster.nodes().map(|(id, _)| (id, plan(&cluster, &program, id, &Options::default()))).collect();
        for (number, flow) in (1..).zip(generator().probeable_flows(&cluster, 20)) {
            let entry = entry(&flow, number, &mut dice);
            let judge_at = |ruleset: &Ruleset, node, entry: Flow| {
                let found = connections(&[entry], &own(&cluster, node), judged(ruleset).as_ref());
                found.first().map(|found| (judge(ruleset, found, &|_, _| false).unwrap(), found.tuple))
            };
            for (node, Plan { ruleset, audits, .. }) in &plans {
                if !nodes(&cluster, &flow).contains(node) {
                    continue;
                }
                let at_node = |direction: &Direction| {
                    let end = if *direction == Direction::Egress { flow.from() } else { flow.to() };
                    matches!(end.endpoint, Endpoint::Pod(pod) if cluster.node_of(pod) == Some(*node))
                };
                let passes = interpret::forward(ruleset, &first_packet(&flow).unwrap()).unwrap().accepted;
                // Each node for itself: it does not know what the other one says.
                let judged_here = Direction::ALL.into_iter().filter(|direction| passes && at_node(direction));
                let wanted: Vec<(Direction, Vec<String>)> = judged_here
                    .filter_map(|direction| {
                        let found = program.would_deny(&cluster, &flow, direction)?;
                        let names = found.policies.iter().map(|policy| cluster.policy_name(*policy));
                        Some((direction, names.collect()))
                    })
                    .collect();
                let (judgement, tuple) = match judge_at(ruleset, *node, entry) {
                    Some((judgement, tuple)) => (judgement, Some(tuple)),
                    None => (Judgement::default(), None),
                };
                let said: Vec<_> = judgement.would_deny.iter().filter_map(|chain| audits.get(chain)).collect();
                assert_eq!(said.len(), judgement.would_deny.len(), "seed {seed}: a chain that nobody knows");
                assert_eq!(said.len(), wanted.len(), "seed {seed}: {}", flow_text(&cluster, &flow));
                for (direction, names) in &wanted {
                    let chain = said.iter().find(|chain| chain.direction == *direction).unwrap();
                    // The chain is the tier's; which of its policies it is the flow log says.
                    assert!(
                        names.iter().all(|name| chain.policies.contains(name)),
                        "seed {seed}: {names:?}, {chain:?}"
                    );
                    // It is told by what its packets say where they are judged, whatever was translated.
                    let tuple = tuple.unwrap();
                    let (from, to) = (flow.from().address.unwrap(), flow.to().address.unwrap());
                    assert_eq!((tuple.source, tuple.destination), (from, to), "seed {seed}");
                }
                if wanted.is_empty() {
                    not += 1
                } else {
                    would += 1
                }
                // Nobody's end is told of that is cut, until it passes again.
                let marked = judge_at(ruleset, *node, Flow { mark: entry.mark | MARK, ..entry }).unwrap().0;
                assert_eq!(marked.would_deny, judgement.would_deny);
                assert!(marked.would_deny.is_empty() || marked.action == Some(Action::Restore), "seed {seed}");
            }
        }
    }
    assert!(would > 100 && not > 100, "{would} would be denied, {not} not: the flows say too little");
}

/// Whatever becomes of connections that policies deny, those that audited ones would are found.
#[test]
fn what_audited_policies_would_deny_is_found_in_every_mode() {
    let (ruleset, flows) = (0..)
        .find_map(|seed| {
            let generator = || Generator::new(seed).with_modes();
            let cluster = generator().cluster();
            let rulesets = rulesets(&cluster, &PolicyProgram::compile(&cluster));
            let flows: Vec<Flow> = (1..)
                .zip(generator().probeable_flows(&cluster, 40))
                .map(|(number, flow)| entry(&flow, number, &mut Dice(seed)))
                .collect();
            let (_, ruleset) = rulesets.into_iter().find(|(_, ruleset)| found(ruleset, &flows).len() > 3)?;
            Some((ruleset, flows))
        })
        .unwrap();
    let table = FakeTable::default();
    table.with(|fake| fake.flows.clone_from(&flows));
    let wanted = found(&ruleset, &flows);
    for mode in [Established::Keep, Established::Cut] {
        let mut cutter = Cutter::start(mode, Box::new(table.clone())).unwrap();
        cutter.enforced(Instant::now(), true);
        let looks = settle(&mut cutter, &ruleset);
        assert!(looks.len() > 1 && looks.iter().all(|look| look.ended == Some(Ended::Whole)), "{looks:?}");
        for look in looks {
            assert_eq!(look.connections.into_iter().collect::<HashSet<_>>(), wanted, "{mode:?}");
        }
        assert_eq!(table.cut().is_empty(), mode == Established::Keep || self::wanted(&ruleset, &flows).is_empty());
        // A look that fails says so.
        table.with(|fake| fake.fail_list = true);
        cutter.look_at(Instant::now());
        let ends: Vec<_> = settle(&mut cutter, &ruleset).into_iter().map(|look| look.ended).collect();
        assert_eq!(ends, [Some(Ended::InPart), Some(Ended::Whole)]);
    }
    // Where nothing is audited any more, what was found before is over, though nothing is read.
    let mut keeping = Cutter::start(Established::Keep, Box::new(FakeTable::default())).unwrap();
    keeping.enforced(Instant::now(), true);
    settle(&mut keeping, &plan_without_pods());
    keeping.look_at(Instant::now());
    assert_eq!(
        settle(&mut keeping, &plan_without_pods()),
        [WouldDeny { ended: Some(Ended::Whole), ..WouldDeny::default() }]
    );
}

/// What a look has to find, whichever connections are marked.
fn found(ruleset: &Ruleset, flows: &[Flow]) -> HashSet<(String, palisade_linux::packet::Tuple)> {
    let connections = connections(flows, &HashSet::new(), judged(ruleset).as_ref());
    let would_deny = |connection| judge(ruleset, connection, &|_, _| false).unwrap().would_deny;
    connections.iter().flat_map(|one| would_deny(one).into_iter().map(|chain| (chain, one.tuple))).collect()
}

#[test]
fn an_expected_connection_is_judged_as_the_one_that_expected_it() {
    let cluster = support::inventory(3).into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    let mut tried = 0;
    for ruleset in rulesets(&cluster, &program).values() {
        let flows = Generator::new(3).probeable_flows(&cluster, 40);
        let entries: Vec<Flow> = (1..).zip(&flows).map(|(n, flow)| entry(flow, n, &mut Dice(n.into()))).collect();
        let alone = actions(ruleset, &entries, &HashSet::new());
        for master in &entries {
            let port = Transport::Ports { protocol: PortProtocol::Tcp, source: 20, destination: 40_000 };
            let child = |tuple: &Tuple| Tuple { transport: port, ..*tuple };
            let (original, reply) = (child(&master.reply), child(&master.original));
            let child = Flow { original, reply, master: Some(master.original), ..*master };
            let together = actions(ruleset, &[child, *master], &HashSet::new());
            assert_eq!(together.get(&original), alone.get(&master.original));
            // And let be when nobody knows what it belongs to.
            assert_eq!(actions(ruleset, &[child], &HashSet::new()), HashMap::new());
            tried += usize::from(together.contains_key(&original));
        }
    }
    assert!(tried > 0, "nothing was cut");
}

/// Conntrack in memory.
#[derive(Clone, Default)]
struct FakeTable(Arc<Mutex<Fake>>);

#[derive(Default)]
struct Fake {
    flows: Vec<Flow>,
    own: Vec<IpAddr>,
    /// How often something was asked, and what is to fail.
    lists: usize,
    fail_list: bool,
    fail_mark: bool,
    fail_drop: bool,
    /// Whether what is marked is dropped.
    drops: bool,
    /// What disappears before it can be marked.
    vanishing: HashSet<Tuple>,
}

impl FakeTable {
    fn with<R>(&self, work: impl FnOnce(&mut Fake) -> R) -> R {
        work(&mut self.0.lock().unwrap())
    }

    fn cut(&self) -> HashSet<Tuple> {
        self.with(|fake| fake.flows.iter().filter(|flow| flow.mark & MARK != 0).map(|flow| flow.original).collect())
    }
}

impl Connections for FakeTable {
    fn list(&mut self, marked: Option<u32>) -> Result<Vec<Flow>, String> {
        self.with(|fake| {
            fake.lists += 1;
            if std::mem::take(&mut fake.fail_list) {
                return Err("cannot list, as told".to_owned());
            }
            let bits = marked.unwrap_or(0);
            Ok(fake.flows.iter().filter(|flow| flow.mark & bits == bits).copied().collect())
        })
    }

    fn own_addresses(&mut self) -> Result<Vec<IpAddr>, String> {
        Ok(self.with(|fake| fake.own.clone()))
    }

    fn mark(&mut self, changes: &[MarkChange]) -> Result<Changed, String> {
        self.with(|fake| {
            if std::mem::take(&mut fake.fail_mark) {
                return Err("cannot mark, as told".to_owned());
            }
            assert!(fake.drops || changes.iter().all(|change| change.value == 0), "a mark that nothing drops by");
            let vanishing = std::mem::take(&mut fake.vanishing);
            fake.flows.retain(|flow| !vanishing.contains(&flow.original));
            let mut changed = Changed::default();
            for change in changes {
                let mut flows = fake.flows.iter_mut();
                match flows.find(|flow| flow.original == change.original && flow.zone == change.zone) {
                    Some(flow) => {
                        flow.mark = flow.mark & !change.bits | change.value;
                        changed.done += 1;
                    }
                    None => changed.gone += 1,
                }
            }
            Ok(changed)
        })
    }

    fn drop_marked(&mut self, wanted: bool) -> Result<(), String> {
        self.with(|fake| {
            if std::mem::take(&mut fake.fail_drop) {
                return Err("cannot drop, as told".to_owned());
            }
            let is_cut = fake.flows.iter().any(|flow| flow.mark & MARK != 0);
            assert!(wanted || !is_cut, "a cut connection that goes on");
            fake.drops = wanted;
            Ok(())
        })
    }
}

/// Works until nothing is left to do, on a clock that goes on to what is due next; what each look found.
fn settle(cutter: &mut Cutter, ruleset: &Ruleset) -> Vec<WouldDeny> {
    let start = Instant::now();
    let mut now = start;
    let (mut looks, mut look) = (Vec::new(), WouldDeny::default());
    while let Some(due) = cutter.due() {
        now = now.max(due);
        cutter.work(now, Some(ruleset), &|_, _| false);
        let WouldDeny { connections, ended } = cutter.take_would_deny();
        look.connections.extend(connections);
        if ended.is_some() {
            look.ended = ended;
            looks.push(std::mem::take(&mut look));
        }
        thread::sleep(Duration::from_micros(20));
        assert!(start.elapsed() < PATIENCE, "{cutter:?}");
    }
    assert_eq!(look, WouldDeny::default(), "a look that did not end");
    looks
}

/// Two rulesets for one node that differ in something, and flows that pass there.
fn two_rulesets(seed: u64) -> Option<(Ruleset, Ruleset, Vec<Flow>)> {
    let cluster = Generator::new(seed).cluster();
    let mut inventory = Generator::new(seed).inventory();
    inventory.policies.truncate(inventory.policies.len() / 2);
    let fewer = inventory.into_cluster().ok()?;
    let both = [&cluster, &fewer].map(|cluster| rulesets(cluster, &PolicyProgram::compile(cluster)));
    let node = both[0].iter().max_by_key(|(_, ruleset)| ruleset.chains.len()).map(|(node, _)| *node)?;
    let flows = Generator::new(seed).probeable_flows(&cluster, 60);
    let here = flows.iter().filter(|flow| nodes(&cluster, flow).contains(&node));
    let entries: Vec<Flow> = (1..).zip(here).map(|(n, flow)| entry(flow, n, &mut Dice(seed + u64::from(n)))).collect();
    let [mut old, mut new] = both;
    Some((old.remove(&node)?, new.remove(&node)?, entries))
}

fn wanted(ruleset: &Ruleset, flows: &[Flow]) -> HashSet<Tuple> {
    let unmarked: Vec<Flow> = flows.iter().map(|flow| Flow { mark: 0, ..*flow }).collect();
    actions(ruleset, &unmarked, &HashSet::new()).into_keys().collect()
}

#[test]
fn marks_follow_the_rules_to_and_fro() {
    let mut changes = 0;
    for seed in 0..clusters().min(60) {
        let Some((first, second, flows)) = two_rulesets(seed) else { continue };
        let table = FakeTable::default();
        table.with(|fake| fake.flows.clone_from(&flows));
        let mut cutter = Cutter::start(Established::Cut, Box::new(table.clone())).unwrap();
        for ruleset in [&first, &second, &first, &second] {
            cutter.enforced(Instant::now(), true);
            settle(&mut cutter, ruleset);
            assert_eq!(table.cut(), wanted(ruleset, &flows), "seed {seed}");
            assert_eq!(table.with(|fake| fake.drops), !table.cut().is_empty(), "seed {seed}");
            assert!(table.with(|fake| fake.flows.iter().all(|flow| flow.mark & !MARK == 5)), "seed {seed}");
        }
        let counters = cutter.counters();
        assert_eq!((counters.errors, counters.error.clone()), (0, None));
        let left = u64::try_from(table.cut().len()).unwrap();
        assert_eq!(counters.cut - counters.restored, left, "seed {seed}");
        changes += counters.restored;
        // A next run finds what the last one left, and changes nothing.
        let mut next = Cutter::start(Established::Cut, Box::new(table.clone())).unwrap();
        next.enforced(Instant::now(), false);
        settle(&mut next, &second);
        assert_eq!((next.counters().cut, next.counters().restored), (0, 0), "seed {seed}");
        // One that keeps connections restores what is allowed by now, and cuts nothing.
        let mut keeping = Cutter::start(Established::Keep, Box::new(table.clone())).unwrap();
        keeping.enforced(Instant::now(), false);
        settle(&mut keeping, &first);
        let both: HashSet<_> = wanted(&first, &flows).intersection(&wanted(&second, &flows)).copied().collect();
        assert_eq!(table.cut(), both, "seed {seed}");
    }
    assert!(changes > 10, "{changes} restored: that says too little");
}

#[test]
fn failures_are_counted_and_made_up_for() {
    let (first, second, flows) = (0..)
        .find_map(|seed| {
            let (first, second, flows) = two_rulesets(seed)?;
            let [a, b] = [&first, &second].map(|ruleset| wanted(ruleset, &flows));
            (a.len() > 2 && a != b).then_some((first, second, flows))
        })
        .unwrap();
    let table = FakeTable::default();
    table.with(|fake| {
        fake.flows.clone_from(&flows);
        fake.fail_list = true;
        fake.fail_mark = true;
        fake.fail_drop = true;
    });
    let mut cutter = Cutter::start(Established::Cut, Box::new(table.clone())).unwrap();
    // Nothing happens as long as it is not known what is in force.
    cutter.enforced(Instant::now(), true);
    cutter.work(Instant::now(), None, &|_, _| false);
    assert!(cutter.due().is_some() && table.with(|fake| fake.lists) == 0);
    settle(&mut cutter, &first);
    assert_eq!(table.cut(), wanted(&first, &flows));
    assert_eq!((cutter.counters().errors, cutter.counters().error.clone()), (3, None));
    // A transaction of which nobody knows whether it was taken: the next time that all is in force counts.
    cutter.failed();
    assert_eq!(cutter.due(), None);
    cutter.enforced(Instant::now(), false);
    settle(&mut cutter, &second);
    assert_eq!(table.cut(), wanted(&second, &flows));
    // What ends meanwhile is no failure.
    let vanishing = wanted(&first, &flows);
    table.with(|fake| fake.vanishing.clone_from(&vanishing));
    cutter.look_at(Instant::now());
    settle(&mut cutter, &first);
    assert_eq!((cutter.counters().errors, table.cut().len()), (3, 0));
    // And where nobody is judged and nothing is cut, nothing is read.
    let open = plan_without_pods();
    cutter.enforced(Instant::now(), true);
    settle(&mut cutter, &open);
    let lists = table.with(|fake| fake.lists);
    cutter.enforced(Instant::now(), true);
    settle(&mut cutter, &open);
    assert_eq!(table.with(|fake| fake.lists), lists);
}

/// The rules of a node on which nobody is isolated.
fn plan_without_pods() -> Ruleset {
    let mut state = palisade_agent::State::default();
    let node = palisade_agent::Object::Node(support::node("n1", 1));
    state.apply(palisade_agent::Change::Set(node));
    support::rulesets(&state.view().unwrap().cluster).remove(0).1
}

/// What is cut stays so when nobody knows any more what it belongs to.
#[test]
fn an_orphan_stays_cut() {
    let (ruleset, _, flows) = (0..).find_map(two_rulesets).unwrap();
    let parent = Tuple { source: [192, 0, 2, 1].into(), ..flows[0].original };
    let table = FakeTable::default();
    table.with(|fake| fake.flows = vec![Flow { mark: MARK, master: Some(parent), ..flows[0] }]);
    let mut cutter = Cutter::start(Established::Cut, Box::new(table.clone())).unwrap();
    cutter.enforced(Instant::now(), true);
    settle(&mut cutter, &ruleset);
    assert_eq!((cutter.counters().errors, cutter.counters().error.clone()), (0, None));
    assert!(table.with(|fake| fake.drops), "nothing drops it");
}

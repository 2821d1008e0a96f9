//! Property: on random clusters the rulesets of all nodes do to a packet what the engine says of its flow.

use std::collections::{BTreeMap, BTreeSet};

use palisade_engine::{
    PolicyProgram,
    compile::Counting,
    model::{Direction, Family, Flow, NodeId, Protocol, Traffic},
    verdict::Outcome,
};
use palisade_nftables::{
    difference::Difference,
    fake::FakeKernel,
    path::{first_packet, nodes, passes},
    plan::{Options, Plan, plan},
};
use palisade_oracle::generate::{Generator, flow_text};

const FLOWS: usize = 30;

/// How many clusters: 10,000, or as many as `PALISADE_CLUSTERS` says.
fn clusters() -> u64 {
    std::env::var("PALISADE_CLUSTERS").ok().and_then(|count| count.parse().ok()).unwrap_or(10_000)
}

/// NetworkPolicies alone, and with cluster-wide policies before and behind them.
fn generators(seed: u64) -> [Generator; 2] {
    [Generator::new(seed), Generator::new(seed).with_cluster_policies()]
}

fn plans(seed: u64) -> (palisade_engine::model::Cluster, PolicyProgram, BTreeMap<NodeId, Plan>) {
    plans_of(&Generator::new(seed))
}

fn plans_of(generator: &Generator) -> (palisade_engine::model::Cluster, PolicyProgram, BTreeMap<NodeId, Plan>) {
    let cluster = generator.cluster();
    let program = PolicyProgram::compile(&cluster);
    let nodes: Vec<NodeId> = cluster.nodes().map(|(id, _)| id).collect();
    let plans = nodes.into_iter().map(|id| (id, plan(&cluster, &program, id, &Options::default()))).collect();
    (cluster, program, plans)
}

#[test]
fn interpreter_equals_engine() {
    let (mut allowed, mut denied) = (0, 0);
    for generator in (0..clusters()).flat_map(generators) {
        let seed = generator.seed();
        let (cluster, program, plans) = plans_of(&generator);
        for flow in generator.probeable_flows(&cluster, FLOWS) {
            assert!(first_packet(&flow).is_some(), "seed {seed}");
            let outcome = program.verdict(&cluster, &flow).outcome();
            // What only a domain name could decide is decided when the name is known.
            if outcome == Outcome::Undetermined && program.has_open_names() {
                continue;
            }
            let wanted = outcome == Outcome::Allow;
            let found = passes(&cluster, &plans, &flow).unwrap();
            assert_eq!(found, Some(wanted), "seed {seed}: {}", flow_text(&cluster, &flow));
            if wanted { allowed += 1 } else { denied += 1 }
        }
    }
    assert!(
        allowed > clusters() && denied > clusters(),
        "{allowed} allowed, {denied} denied: the flows say too little"
    );
}

/// Where policies are audited: what passes is what the enforced ones let pass, and every half that the audited ones
/// would deny is logged so on its way, with who would, and no other.
#[test]
fn audited_policies_are_logged_and_deny_nothing() {
    let (mut logged, mut denied, mut alone) = (0, 0, 0);
    for generator in (0..clusters()).flat_map(generators).map(Generator::with_modes) {
        let seed = generator.seed();
        let (cluster, program, plans) = plans_of(&generator);
        for flow in generator.probeable_flows(&cluster, FLOWS) {
            let text = || format!("seed {seed}: {}", flow_text(&cluster, &flow));
            let verdict = program.verdict(&cluster, &flow);
            let open = |direction| {
                let both = [Counting::Enforced, Counting::WithAudited];
                both.into_iter()
                    .any(|counting| program.outcome(&cluster, &flow, direction, counting) == Outcome::Undetermined)
            };
            if program.has_open_names() && Direction::ALL.into_iter().any(open) {
                continue;
            }
            let wanted = program.would_deny_on_the_way(&cluster, &flow);
            let passed = verdict.outcome() == Outcome::Allow;
            assert_eq!(passes(&cluster, &plans, &flow).unwrap(), Some(passed), "{}", text());
            let packet = first_packet(&flow).unwrap();
            let mut found = BTreeSet::new();
            for plan in nodes(&cluster, &flow).iter().filter_map(|node| plans.get(node)) {
                let passage = palisade_nftables::interpret::forward(&plan.ruleset, &packet).unwrap();
                for (chain, audit) in passage.logged.iter().filter_map(|name| Some((name, plan.audits.get(name)?))) {
                    assert!(found.insert(audit.direction), "{}: {chain} logs twice", text());
                    assert_eq!(passage.counted.get(chain), Some(&1), "{}", text());
                    let blamed = wanted.get(&audit.direction).unwrap_or_else(|| panic!("{}: {chain}", text()));
                    let blamed = &blamed.policies;
                    let mut names = blamed.iter().map(|policy| cluster.policy_name(*policy));
                    assert!(names.all(|name| audit.policies.contains(&name)), "{}: {audit:?}, {blamed:?}", text());
                    alone += u64::from(blamed.len() == audit.policies.len());
                }
                if !passage.accepted {
                    denied += 1;
                    break;
                }
            }
            assert_eq!(found, wanted.keys().copied().collect(), "{}", text());
            logged += found.len() as u64;
        }
    }
    assert!(logged > clusters() && denied > clusters() / 2 && alone > logged / 2, "{logged}, {denied}, {alone}");
}

/// What a Service brings back to the pod that sent it: cluster-wide policies judge it, NetworkPolicy does not
/// (semantics of ClusterNetworkPolicy's API documentation).
#[test]
fn a_pod_and_itself_through_a_service() {
    let (mut allowed, mut denied) = (0, 0);
    for generator in (0..clusters().min(2_000)).flat_map(generators) {
        let (cluster, program, plans) = plans_of(&generator);
        for ((id, pod), family) in cluster.pods().flat_map(|pod| Family::ALL.map(|family| (pod, family))) {
            let Some(side) = cluster.side_of_pod(id, family).filter(|side| side.address.is_some()) else { continue };
            let Some(plan) = cluster.node_of(id).and_then(|node| plans.get(&node)) else { continue };
            for port in [80, 443, 8080] {
                let Ok(flow) = Flow::new(side, side, Traffic::Port(Protocol::Tcp, port)) else { continue };
                let outcome = program.verdict(&cluster, &flow.through_service()).outcome();
                if pod.host_network || outcome == Outcome::Undetermined {
                    continue;
                }
                let packet = first_packet(&flow).unwrap();
                let passage = palisade_nftables::interpret::forward(&plan.ruleset, &packet).unwrap();
                let wanted = outcome == Outcome::Allow;
                assert_eq!(passage.accepted, wanted, "seed {}: {} port {port}", generator.seed(), pod.id);
                if wanted { allowed += 1 } else { denied += 1 }
            }
        }
    }
    assert!(allowed > clusters().min(100) && denied > clusters().min(100), "{allowed} allowed, {denied} denied");
}

/// Whoever is not judged passes: so says the interpreter, of every packet between any two addresses.
#[test]
fn who_is_not_judged_passes() {
    let (mut judged_packets, mut others) = (0, 0);
    for seed in 0..clusters().min(1_000) {
        let (cluster, _, plans) = plans(seed);
        let packets: Vec<_> =
            Generator::new(seed).probeable_flows(&cluster, FLOWS).iter().filter_map(first_packet).collect();
        for plan in plans.values() {
            let judged = palisade_nftables::judged::judged(&plan.ruleset).unwrap();
            for packet in &packets {
                if judged.contains(&packet.source) || judged.contains(&packet.destination) {
                    judged_packets += 1;
                    continue;
                }
                others += 1;
                let passage = palisade_nftables::interpret::forward(&plan.ruleset, packet).unwrap();
                assert!(passage.accepted, "seed {seed}: {packet:?}");
            }
        }
    }
    assert!(judged_packets > 100 && others > 100, "{judged_packets} judged, {others} not: that says too little");
}

#[test]
fn a_fake_kernel_ends_up_with_what_is_wanted() {
    for seed in 0..clusters().min(300) {
        let (_, _, before) = plans(seed);
        let (_, _, after) = plans(seed + 1_000);
        let mut kernel = FakeKernel::default();
        for plan in before.values().chain(after.values()) {
            kernel
                .apply(&Difference::between(kernel.ruleset(), &plan.ruleset))
                .unwrap_or_else(|refusal| panic!("seed {seed}: {refusal}"));
            assert_eq!(kernel.ruleset(), Some(&plan.ruleset), "seed {seed}");
            assert!(Difference::between(kernel.ruleset(), &plan.ruleset).is_empty(), "seed {seed}");
        }
    }
}

/// A transaction that fails leaves either what was before or what is wanted, never a mixture.
#[test]
fn a_failure_leaves_the_old_rules_in_force() {
    for seed in 0..clusters().min(400) / 10 {
        let (cluster, _, before) = plans(seed);
        let (_, _, after) = plans(seed + 1_000);
        let (Some(old), Some(new)) = (before.values().next(), after.values().next()) else { continue };
        let mut kernel = FakeKernel::default();
        kernel.apply(&Difference::between(None, &old.ruleset)).unwrap();
        let done = kernel.transactions();
        let difference = Difference::between(Some(&old.ruleset), &new.ruleset);
        let flows = Generator::new(seed).probeable_flows(&cluster, 10);
        for at in 0..difference.prepare.len() {
            let mut kernel = kernel.clone();
            kernel.fail_at(done + at);
            kernel.apply(&difference).unwrap_err();
            let ruleset = kernel.ruleset().unwrap();
            for packet in flows.iter().filter_map(first_packet) {
                let found = palisade_nftables::interpret::forward(ruleset, &packet).unwrap();
                let wanted = palisade_nftables::interpret::forward(&old.ruleset, &packet).unwrap();
                assert_eq!(found, wanted, "seed {seed}, failed at {at}");
            }
        }
    }
}

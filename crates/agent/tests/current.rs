//! What is kept current change by change is what compiling and planning anew comes to, at every moment.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails so")]

mod support;

use palisade_agent::{Change, Current, Object, State};
use palisade_engine::{
    PolicyProgram,
    explain::{Explanation, HalfExplanation},
    model::{Cluster, Endpoint, Flow, Labels, Mode, Name, Namespace, NetworkPolicy, Side},
};
use palisade_nftables::{
    difference::Difference,
    draft::Draft,
    fake::FakeKernel,
    plan::{LocalPrefixes, Options, UnknownPods, WOULD_DENY, plan},
    ruleset::Ruleset,
};
use palisade_oracle::generate::Generator;
use proptest::prelude::*;
use support::{Dice, history, inventory, node, objects, only, pod, small, synced};

/// The ruleset of a node, compiled and planned anew.
fn fresh(state: &State, node: &Name, options: &Options) -> Option<Ruleset> {
    let cluster = state.view().unwrap().cluster;
    let id = cluster.find_node(node)?;
    Some(plan(&cluster, &PolicyProgram::compile(&cluster), id, options).ruleset)
}

/// Whoever is not known is held closed, whatever its address.
fn everywhere() -> UnknownPods {
    let all = ["0.0.0.0/0", "::/0"].map(|all| all.parse::<ipnet::IpNet>().unwrap());
    UnknownPods::Deny(LocalPrefixes::Given(all.into_iter().collect()))
}

/// One node that is kept current, and the kernel that gets the differences.
struct Kept {
    node: Name,
    options: Options,
    current: Option<Current>,
    draft: Draft,
    kernel: FakeKernel,
    one_by_one: usize,
    /// How often there was something audited.
    audited: usize,
}

impl Kept {
    fn new(node: Name, unknown_pods: UnknownPods) -> Self {
        let mut kernel = FakeKernel::default();
        kernel.apply(&Difference::between(None, &Ruleset::default())).unwrap();
        let options = Options { unknown_pods, ..Options::default() };
        Self { node, options, current: None, draft: Draft::default(), kernel, one_by_one: 0, audited: 0 }
    }

    /// What the loop does when a window closes.
    fn close_window(&mut self, state: &mut State) {
        let stirred = state.take_stirred();
        let current = self.current.take().zip(stirred);
        self.current =
            current.and_then(|(mut current, keys)| current.advance(state, &keys, &mut self.draft).then_some(current));
        self.one_by_one += usize::from(self.current.is_some());
        if self.current.is_none() {
            self.current = Current::new(state, &self.node, &self.options, &mut self.draft).ok();
        }
        let Some(current) = &self.current else { return };
        assert_eq!(Some(self.draft.ruleset()), fresh(state, &self.node, &self.options).as_ref());
        self.kernel.apply(&self.draft.difference()).unwrap();
        self.draft.is_in_force();
        assert_eq!(self.kernel.ruleset(), Some(self.draft.ruleset()));
        let planner = current.planner();
        let count = |prefix: &str| self.draft.ruleset().chains.keys().filter(|name| name.starts_with(prefix)).count();
        let is_there = |chain| self.draft.ruleset().chains.contains_key(chain);
        assert!(planner.denials().keys().all(is_there) && count("deny-") == planner.denials().len());
        assert!(planner.audits().keys().all(is_there) && count(WOULD_DENY) == planner.audits().len());
        self.audited += usize::from(!planner.audits().is_empty());
    }
}

/// Flows of a state, by names and addresses, so that another cluster of the same objects knows them too.
fn verdicts_agree(state: &State, current: &Current, seed: u64) {
    let cluster = state.view().unwrap().cluster;
    let program = PolicyProgram::compile(&cluster);
    let live = current.live();
    for flow in Generator::new(seed).flows(&cluster, 30) {
        let side = |side: Side| match side.endpoint {
            Endpoint::Pod(id) => {
                let id = live.cluster().find_pod(&cluster.pod(id).id).unwrap();
                Side { endpoint: Endpoint::Pod(id), address: side.address }
            }
            Endpoint::Node(id) => {
                let id = live.cluster().find_node(&cluster.node(id).name).unwrap();
                Side { endpoint: Endpoint::Node(id), address: side.address }
            }
            Endpoint::Outside => side,
        };
        let same = Flow::new(side(flow.from()), side(flow.to()), flow.traffic()).unwrap();
        let same = if flow.is_through_service() { same.through_service() } else { same };
        let (a, b) = (program.explain(&cluster, &flow), live.program().explain(live.cluster(), &same));
        assert_eq!(a.verdict.outcome(), b.verdict.outcome(), "{flow:?}");
        let isolating = |explanation: &Explanation, cluster: &Cluster| {
            let halves = [&explanation.egress, &explanation.ingress];
            let names = |half: &HalfExplanation| {
                let mut names: Vec<_> = half.isolated_by.iter().map(|id| cluster.policy(*id).id.clone()).collect();
                names.sort();
                (names, half.misses.len(), half.half.outcome())
            };
            halves.map(|half| half.as_ref().map(names))
        };
        assert_eq!(isolating(&a, &cluster), isolating(&b, live.cluster()), "{flow:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn one_by_one_is_all_anew(seed in 0_u64..100_000, order in any::<u64>()) {
        let mut dice = Dice(order);
        let inventory = inventory(seed);
        let objects = objects(&inventory);
        prop_assume!(!inventory.nodes.is_empty());
        let node = inventory.nodes[dice.below(inventory.nodes.len())].name.clone();
        let mut state = State::of(node.clone());
        let mut kept = Kept::new(node, if dice.below(2) == 0 { UnknownPods::Allow } else { everywhere() });
        // Some are there from the start, most in the end.
        for object in objects.iter().filter(|_| dice.below(3) > 0) {
            state.apply(Change::Set(object.clone()));
        }
        kept.close_window(&mut state);
        let mut queues: Vec<_> = objects.iter().map(|object| history(object, &objects, &mut dice)).collect();
        while !queues.is_empty() {
            let at = dice.below(queues.len());
            match queues[at].pop_front() {
                Some(change) => _ = state.apply(change),
                None => _ = queues.swap_remove(at),
            }
            if dice.below(3) == 0 {
                kept.close_window(&mut state);
            }
        }
        kept.close_window(&mut state);
        if let Some(current) = &kept.current {
            verdicts_agree(&state, current, seed);
            // An update of a node that brings nothing new is taken in by itself, whatever came before.
            let node = state.node(&kept.node).cloned().unwrap();
            state.apply(Change::Gone(Object::Policy(only("a", "b")).key()));
            let before = kept.one_by_one;
            state.apply(Change::Set(Object::Policy(only("a", "b"))));
            state.apply(Change::Set(Object::Node(node)));
            kept.close_window(&mut state);
            prop_assert_eq!(kept.one_by_one, before + 1);
        }
    }
}

/// What happens all day long is taken in one by one: pods and policies come, change and go.
#[test]
fn everyday_changes_are_taken_in_one_by_one() {
    let mut state = State::of("n1".into());
    let mut kept = Kept::new("n1".into(), UnknownPods::Allow);
    small().into_iter().chain(synced()).for_each(|change| _ = state.apply(change));
    kept.close_window(&mut state);
    let mut relabelled = pod("web", "n1", 1);
    relabelled.labels.set("tier", "front");
    let mut moved = pod("db", "n1", 9);
    moved.labels.set("app", "other");
    let set = |object: Object| Change::Set(object);
    let changes = [
        set(Object::Pod(pod("new", "n1", 7))),
        set(Object::Pod(pod("far", "n2", 8))),
        set(Object::Pod(relabelled)),
        set(Object::Pod(moved)),
        set(Object::Policy(only("far", "new"))),
        set(Object::Policy(only("web", "other"))),
        support::gone("far"),
        // Its address goes to another one.
        set(Object::Pod(pod("heir", "n1", 8))),
        set(Object::Node(node("n3", 3))),
        // Audited one by one, and with its namespace.
        set(Object::Policy(NetworkPolicy { mode: Some(Mode::Audit), ..only("far", "new") })),
        set(Object::Namespace(prod(Some(Mode::Audit)))),
        set(Object::Namespace(prod(None))),
        Change::Gone(Object::Policy(only("web", "db")).key()),
        support::gone("new"),
        Change::Gone(palisade_agent::Key::Node("n3".into())),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert!(state.apply(change));
        kept.close_window(&mut state);
        assert_eq!(kept.one_by_one, number + 1);
    }
    assert!(kept.audited >= 2, "{}", kept.audited);
}

fn prod(mode: Option<Mode>) -> Namespace {
    Namespace { name: "prod".into(), labels: Labels::default(), mode, at: None }
}

/// In one window a pod goes, and another one of the node comes back on another node, with its address: nobody of this node
/// has that any more, in whatever order they are looked at.
#[test]
fn an_address_leaves_the_node_with_a_pod_that_had_another_one() {
    let mut state = State::of("n1".into());
    let mut kept = Kept::new("n1".into(), UnknownPods::Allow);
    let policies = ["web", "db"].map(|app| Change::Set(Object::Policy(only("other", app))));
    small().into_iter().chain(policies).chain(synced()).for_each(|change| _ = state.apply(change));
    let local = |name: &str, last: u8| {
        let mut pod = pod(name, "n1", last);
        pod.labels.set("app", "db");
        pod
    };
    let pairs = || (0..8).map(|pair| (format!("goes-{pair}"), format!("comes-{pair}"), 20 + 2 * pair));
    for (goes, comes, last) in pairs() {
        // Which of the two is known first differs.
        let mut both = [local(&goes, last), local(&comes, last + 1)];
        if last % 4 == 0 {
            both.reverse();
        }
        both.into_iter().for_each(|pod| _ = state.apply(Change::Set(Object::Pod(pod))));
    }
    kept.close_window(&mut state);
    for (goes, comes, last) in pairs() {
        state.apply(support::gone(&goes));
        state.apply(support::gone(&comes));
        state.apply(Change::Set(Object::Pod(pod(&comes, "n2", last))));
    }
    kept.close_window(&mut state);
    assert_eq!(kept.one_by_one, 1);
}

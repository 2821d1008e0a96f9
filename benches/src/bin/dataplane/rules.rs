//! The rules that are measured: what an agent would program for a node of a large cluster, and the row of
//! rules that others use.
//!
//! The node has a hundred pods of the generated cluster, and the pair whose packets are measured. Policies
//! isolate both of them in both directions; what lets their packets through is one cell among others, and its
//! peers are all pods of the cluster.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::{Context as _, Result, anyhow};
use palisade_benches::{Cluster, Object, Size};
use palisade_engine::{
    PolicyProgram,
    model::{
        Family, Inventory, LabelSelector, Labels, Mode, Namespace, NamespaceScope, NetworkPolicy, ObjectRef, Operator,
        Peer, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol, Requirement,
    },
};
use palisade_nftables::{
    plan::{Options, plan},
    ruleset::{Chain, End, Expression, FORWARD, Key, Rule, Ruleset, Set, SetKind, Verdict},
};

use crate::wide;

/// Where the server listens, and the pair may speak.
pub(crate) const SERVED: u16 = 7000;
/// Where the server listens, and the pair may not speak.
pub(crate) const CLOSED: u16 = 7001;
/// The namespace of the pair.
const NAMESPACE: &str = "bench";
/// How the names of the interfaces begin that lead to pods, see [`palisade_lab::wiring`].
const POD_INTERFACES: &str = "pod";

/// One of the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PairEnd {
    Client,
    Server,
}

impl PairEnd {
    pub(crate) const ALL: [Self; 2] = [Self::Client, Self::Server];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    pub(crate) fn addresses(self) -> (Ipv4Addr, Ipv6Addr) {
        let last = if self == Self::Client { 1 } else { 2 };
        (Ipv4Addr::new(10, 200, 0, last), Ipv6Addr::new(0xfd00, 0x200, 0, 0, 0, 0, 0, last.into()))
    }

    pub(crate) fn address(self, family: Family) -> IpAddr {
        let (v4, v6) = self.addresses();
        match family {
            Family::V4 => v4.into(),
            Family::V6 => v6.into(),
        }
    }
}

/// A ruleset, and the size of what it came from.
pub(crate) struct Made {
    pub(crate) ruleset: Ruleset,
    pub(crate) policies: usize,
    /// Addresses of pods of the cluster, of each family.
    pub(crate) pods: usize,
}

/// The cluster whose rules are measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub(crate) policies: usize,
    pub(crate) pods: usize,
    /// How many of the policies select the pair.
    pub(crate) on_pair: usize,
    /// How many cluster-wide policies there are besides.
    pub(crate) wide: usize,
    /// Whether every second policy is audited, of those that select the pair too.
    pub(crate) half_audited: bool,
}

/// What the agent would program.
pub(crate) fn palisade(wanted: Wanted) -> Result<Made> {
    let Wanted { policies, pods, on_pair, wide, half_audited } = wanted;
    let mut inventory = Inventory::default();
    let size = Size { pods, policies: policies.saturating_sub(on_pair).max(20), seed: 1, dual_stack: true };
    let generated = Cluster::new(size)?;
    generated.objects(&mut |object| match object {
        Object::Namespace(namespace) => inventory.namespaces.push(namespace),
        Object::Node(node) => inventory.nodes.push(node),
        Object::Pod(pod) => inventory.pods.push(pod),
        Object::Policy(policy) => inventory.policies.push(policy),
    });
    let node = generated.node(0).context("a cluster without a node")?;
    inventory.namespaces.push(Namespace { name: NAMESPACE.into(), labels: Labels::default(), mode: None, at: None });
    inventory.pods.extend(PairEnd::ALL.map(|end| pod(end, &node)));
    inventory.policies.extend((0..on_pair).map(policy));
    if half_audited {
        let of_pair = inventory.policies.len() - on_pair;
        for (number, policy) in inventory.policies.iter_mut().enumerate() {
            let is_audited = number.checked_sub(of_pair).map_or(number % 2 == 1, is_audited);
            policy.mode = is_audited.then_some(Mode::Audit);
        }
    }
    inventory.cluster_policies.extend((0..wide).map(|number| wide::policy(number, wide, half_audited)));
    let (policies, pods) = (inventory.policies.len() + wide, inventory.pods.len());
    let cluster = inventory.into_cluster().map_err(|conflicts| anyhow!("{conflicts:?}"))?;
    let program = PolicyProgram::compile(&cluster);
    let node = cluster.find_node(&node).context("the node is not in its cluster")?;
    let options = Options { pod_interfaces: vec![POD_INTERFACES.to_owned()], ..Options::default() };
    Ok(Made { ruleset: plan(&cluster, &program, node, &options).ruleset, policies, pods })
}

/// Whether the n-th policy that selects the pair is an audited one, where every second is. What isolates the pair
/// besides and what lets it speak are enforced, so that the same passes.
fn is_audited(number: usize) -> bool {
    match number {
        0 => true,
        1 | 2 => false,
        _ => number % 2 == 1,
    }
}

fn pod(end: PairEnd, node: &str) -> Pod {
    let (v4, v6) = end.addresses();
    Pod {
        labels: [("app", end.name())].into_iter().collect(),
        node: Some(node.into()),
        addresses: PodAddresses { v4: Some(v4), v6: Some(v6) },
        ..Pod::running(ObjectRef::new(NAMESPACE, end.name()))
    }
}

/// The n-th policy that selects the pair: the first denies all, the second lets the client speak to everyone
/// at one port, the third everyone to the server; each further one opens another port for other peers.
fn policy(number: usize) -> NetworkPolicy {
    let everyone = || Peer::Pods { namespaces: NamespaceScope::Matching(all()), pods: all(), at: None };
    let served = || vec![rule(everyone(), SERVED)];
    let (name, subject, ingress, egress) = match number {
        0 => ("default-deny".to_owned(), all(), vec![], vec![]),
        1 => ("client".to_owned(), app("client"), vec![], served()),
        2 => ("server".to_owned(), app("server"), served(), vec![]),
        _ => {
            let apps = ["web", "api", "db", "worker", "cache", "collector", "auth", "queue", "admin", "orders"];
            let app = apps.get(number % apps.len()).copied().unwrap_or("web");
            let environments = ["prod", "staging", "dev"];
            let environment = environments.get(number / apps.len() % environments.len()).copied().unwrap_or("prod");
            let peer = Peer::Pods {
                namespaces: NamespaceScope::Matching(one("env", environment)),
                pods: self::app(app),
                at: None,
            };
            let rules = vec![rule(peer, 10_000 + u16::try_from(number).unwrap_or(0))];
            (format!("more-{number}"), all(), rules.clone(), rules)
        }
    };
    NetworkPolicy {
        id: ObjectRef::new(NAMESPACE, name),
        annotations: Labels::default(),
        mode: None,
        subject,
        policy_types: Some(PolicyTypes { ingress: true, egress: true }),
        ingress,
        egress,
        at: None,
    }
}

pub(crate) fn all() -> LabelSelector {
    LabelSelector::everything()
}

pub(crate) fn app(name: &str) -> LabelSelector {
    one("app", name)
}

pub(crate) fn one(key: &str, value: &str) -> LabelSelector {
    [Requirement::new(key, Operator::In(vec![value.into()]))].into_iter().collect()
}

/// A peer at a port, by UDP and by TCP.
fn rule(peer: Peer, port: u16) -> PolicyRule {
    let port = |protocol| PolicyPort { protocol, port: PortMatch::Range(PortRange::single(port)), at: None };
    PolicyRule { peers: vec![peer], ports: [Protocol::Udp, Protocol::Tcp].map(port).into(), at: None }
}

/// A base chain without any rule.
pub(crate) fn empty() -> Ruleset {
    let chains = BTreeMap::from([(FORWARD.to_owned(), Chain { is_base: true, rules: Vec::new() })]);
    Ruleset { sets: BTreeMap::new(), chains }
}

/// The reference: one rule a policy, in a row, for each family. Each asks whether the source is among its
/// peers and which port is meant, as the chains of a known agent do with ipset; the last lets the packet pass.
pub(crate) fn linear(policies: usize) -> Ruleset {
    let mut ruleset = Ruleset::default();
    let mut base = vec![Rule::new([Expression::EstablishedOrRelated, Expression::Verdict(Verdict::Accept)])];
    for (family, digit) in [(Family::V4, 4), (Family::V6, 6)] {
        let (chain, others, pair) = (format!("row{digit}"), format!("others{digit}"), format!("pair{digit}"));
        let set = |addresses: &mut dyn Iterator<Item = IpAddr>| Set {
            kind: SetKind::Addresses(family),
            is_map: false,
            comment: None,
            passing: None,
            elements: addresses.map(|address| (Key::Address(address), None)).collect(),
        };
        let stranger = |n: u32| match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(0x0a10_0000 + n)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(0xfd00_0010 << 96 | u128::from(n))),
        };
        ruleset.sets.insert(others.clone(), set(&mut (0..100).map(stranger)));
        ruleset.sets.insert(pair.clone(), set(&mut PairEnd::ALL.into_iter().map(|end| end.address(family))));
        let verdict = |verdict| Expression::Verdict(verdict);
        let mut rules: Vec<Rule> = (1..policies)
            .map(|_| {
                let peers = Expression::AddressIn(End::Source, family, others.clone());
                let port = Expression::Ports(Protocol::Tcp, PortRange::single(SERVED));
                Rule::new([peers, port, verdict(Verdict::Accept)])
            })
            .collect();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let peers = Expression::AddressIn(End::Source, family, pair.clone());
            let port = Expression::Ports(protocol, PortRange::single(SERVED));
            rules.push(Rule::new([peers, port, verdict(Verdict::Accept)]));
        }
        rules.push(Rule::new([Expression::Counter, verdict(Verdict::Drop)]).comment("no policy"));
        ruleset.chains.insert(chain.clone(), Chain { is_base: false, rules });
        base.push(Rule::new([Expression::Family(family), verdict(Verdict::Jump(chain))]));
    }
    ruleset.chains.insert(FORWARD.to_owned(), Chain { is_base: true, rules: base });
    ruleset
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Made {
        /// The expressions of the chain to which a verdict leads.
        fn chain(&self, verdict: Option<&Verdict>) -> Result<Vec<Expression>> {
            let name = verdict.and_then(Verdict::chain).context("it does not lead on")?;
            let rules = &self.ruleset.chains.get(name).context("no chain")?.rules;
            Ok(rules.iter().flat_map(|rule| &rule.expressions).cloned().collect())
        }
    }

    const SMALL: Wanted = Wanted { policies: 40, pods: 200, on_pair: 12, wide: 0, half_audited: false };

    /// Both ends are isolated in both directions, and what lets them speak is a set of everyone.
    #[test]
    fn the_pair_is_isolated_and_its_peers_are_all_pods() -> Result<()> {
        let made = palisade(SMALL)?;
        for map in ["egress4", "egress6", "ingress4", "ingress6"] {
            let elements = &made.ruleset.sets.get(map).context("no map")?.elements;
            for end in PairEnd::ALL {
                let family = if map.ends_with('4') { Family::V4 } else { Family::V6 };
                assert!(elements.contains_key(&Key::Address(end.address(family))), "{map} {}", end.name());
            }
        }
        let largest = made.ruleset.sets.values().map(|set| set.elements.len()).max();
        assert!(largest >= Some(190), "{largest:?} of {} pods", made.pods);
        Ok(())
    }

    /// The chains of the Admin tier lead to those of NetworkPolicies, and are not the same without it.
    #[test]
    fn cluster_wide_policies_come_before_the_others() -> Result<()> {
        let [without, with] = [0, 10].map(|wide| palisade(Wanted { wide, ..SMALL }));
        let (without, with) = (without?, with?);
        assert_eq!(with.policies, without.policies + 10);
        let rules = |made: &Made| made.ruleset.chains.values().map(|chain| chain.rules.len()).sum::<usize>();
        let elements = |made: &Made| made.ruleset.sets.values().map(|set| set.elements.len()).sum::<usize>();
        // The pair is among the pods of two of them; a port of its own for nearly each of their rules.
        assert!(elements(&with) > elements(&without) + 2 * wide::RULES, "{}", elements(&with));
        assert!(rules(&with) > rules(&without));
        Ok(())
    }

    /// Where half of the policies are audited, both ends are judged twice in both directions, if cluster-wide ones are
    /// among them: an audited NetworkPolicy denies nothing that enforced ones allow. Whom both answers accept is asked
    /// for before.
    #[test]
    fn the_pair_is_judged_twice_where_cluster_wide_policies_are_audited() -> Result<()> {
        assert_eq!((0..12).filter(|number| is_audited(*number)).count(), 6);
        for (wide, half_audited, expected) in [(0, false, 0), (0, true, 0), (20, false, 0), (20, true, 4)] {
            let made = palisade(Wanted { wide, half_audited, ..SMALL })?;
            let mut twice = 0;
            for (map, end) in ["egress4", "ingress4"].into_iter().flat_map(|map| PairEnd::ALL.map(|end| (map, end))) {
                let elements = &made.ruleset.sets.get(map).context("no map")?.elements;
                let found = elements.get(&Key::Address(end.address(Family::V4))).context("nothing judges it")?;
                let front = made.chain(found.as_ref())?;
                let behind = made.chain(front.last().and_then(|expression| match expression {
                    Expression::Verdict(verdict) => Some(verdict),
                    _ => None,
                }));
                twice += usize::from(matches!(
                    behind.as_deref(),
                    Ok([Expression::Verdict(Verdict::Jump(_)), Expression::Verdict(Verdict::Goto(_))])
                ));
            }
            assert_eq!(twice, expected);
        }
        Ok(())
    }

    #[test]
    fn the_reference_has_a_rule_for_each_policy() {
        let rules = linear(100).chains.get("row6").map(|chain| chain.rules.len());
        assert_eq!(rules, Some(99 + 3));
    }
}

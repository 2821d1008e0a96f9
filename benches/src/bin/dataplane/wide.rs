//! Cluster-wide policies beside the others, as platform teams have them: every eighth selects every namespace, the pair
//! among them, the others those of an environment.
//!
//! ```text
//! Admin     the first tenth   monitoring comes in on everything; ports for some, by namespace and app
//!           the others        no way to machines, to networks and to some namespaces; ports likewise
//! Baseline  the second half   ports likewise; the last one that selects everyone denies all the rest
//! ```
//!
//! Some are about the pair's port by TCP, and none about its pods: its packets pass the Admin tier, and
//! NetworkPolicies let them through.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use palisade_engine::model::{
    Action, ClusterMatch, ClusterPeer, ClusterPolicy, ClusterPolicyKind, ClusterPort, ClusterRule, ClusterSubject,
    ClusterTier, Labels, Mode, PortRange, Protocol,
};

use crate::rules::{SERVED, all, app, one};

/// Rules of a policy: as many as the CRD allows in one direction.
pub(crate) const RULES: usize = 25;
/// How many of them are of ingress.
const INGRESS: usize = 12;
/// One of so many policies selects every namespace.
const EVERYWHERE: usize = 8;

/// The n-th of `count` policies; with `half_audited` every second of each kind of subject is audited.
pub(crate) fn policy(number: usize, count: usize, half_audited: bool) -> ClusterPolicy {
    let tier = if number < count / 2 { ClusterTier::Admin } else { ClusterTier::Baseline };
    let mut ingress: Vec<ClusterRule> = (0..INGRESS).map(|rule| by_port(number * RULES + rule)).collect();
    let mut egress: Vec<ClusterRule> = (INGRESS..RULES).map(|rule| by_port(number * RULES + rule)).collect();
    let first = |rules: &mut Vec<ClusterRule>, action, peers| {
        if let Some(place) = rules.first_mut() {
            *place = rule(action, peers, None);
        }
    };
    if number < count / 10 {
        let monitoring = ClusterPeer::Pods { namespaces: one("team", "monitoring"), pods: app("collector"), at: None };
        first(&mut ingress, Action::Accept, vec![monitoring]);
    } else if tier == ClusterTier::Admin {
        let quarantine = ClusterPeer::Namespaces { namespaces: one("quarantine", &format!("q{number}")), at: None };
        first(&mut ingress, Action::Deny, vec![quarantine]);
        let machines = ClusterPeer::Nodes { nodes: all(), at: None };
        first(&mut egress, Action::Deny, vec![networks(number), machines]);
    }
    let is_last = number + EVERYWHERE >= count;
    if is_everywhere(number) && is_last {
        let everyone = || vec![ClusterPeer::Namespaces { namespaces: all(), at: None }];
        first(&mut ingress, Action::Deny, everyone());
        first(&mut egress, Action::Deny, everyone());
    }
    let environment = ["prod", "staging", "dev"].get(number % 3).copied().unwrap_or("prod");
    let is_audited = if is_everywhere(number) { number / EVERYWHERE % 2 == 1 } else { number % 2 == 1 };
    let subject = if is_everywhere(number) { all() } else { one("env", environment) };
    ClusterPolicy {
        kind: ClusterPolicyKind::Cluster,
        name: format!("wide-{number}").into(),
        annotations: Labels::default(),
        mode: (half_audited && is_audited).then_some(Mode::Audit),
        tier,
        priority: Some(u16::try_from(number).unwrap_or(1000).min(1000)),
        subject: ClusterSubject::Namespaces(subject),
        ingress,
        egress,
        at: None,
    }
}

fn is_everywhere(number: usize) -> bool {
    number.is_multiple_of(EVERYWHERE)
}

/// The n-th rule of all: some pods, at a port that few others are about, and every tenth time at the pair's, too.
fn by_port(number: usize) -> ClusterRule {
    let apps = ["web", "api", "db", "worker", "cache", "auth", "queue"];
    let environments = ["prod", "staging", "dev"];
    let pick = |from: &[&'static str], turn: usize| from.get(turn % from.len()).copied().unwrap_or("web");
    let namespaces = one("env", pick(&environments, number / apps.len()));
    let peer = ClusterPeer::Pods { namespaces, pods: app(pick(&apps, number)), at: None };
    let action = [Action::Accept, Action::Deny, Action::Pass].get(number % 3).copied().unwrap_or(Action::Pass);
    let port =
        |number: u16| ClusterPort::Numbers { protocol: Protocol::Tcp, ports: PortRange::single(number), at: None };
    let own = port(20_000 + u16::try_from(number % 2_000).unwrap_or(0));
    let served = (number % 10 == 5 && action == Action::Pass).then(|| port(SERVED));
    rule(action, vec![peer], Some([own].into_iter().chain(served).collect()))
}

fn rule(action: Action, peers: Vec<ClusterPeer>, ports: Option<Vec<ClusterPort>>) -> ClusterRule {
    ClusterRule { name: None, action, matches: ClusterMatch::Of { peers, ports }, at: None }
}

/// Networks outside, others in each policy, of both families.
fn networks(number: usize) -> ClusterPeer {
    let last = u8::try_from(number % 256).unwrap_or(0);
    let v4 = Ipv4Net::new_assert([198, 19, last, 0].into(), 24);
    let v6 = Ipv6Net::new_assert([0x2001, 0xdb8, 0x19, last.into(), 0, 0, 0, 0].into(), 64);
    ClusterPeer::Networks { networks: vec![IpNet::V4(v4), IpNet::V6(v6)], at: None, networks_at: Vec::new() }
}

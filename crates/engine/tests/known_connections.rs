//! Connections with known answers.
#![allow(dead_code, clippy::unwrap_used, clippy::unreachable, reason = "test code: a wrong fixture shall fail")]

mod support;

use palisade_engine::{Connections, connections::TrafficId, model::Family};
use support::{With as _, case, ingress, object, pod, pods, rule};

/// Two destinations with as many sources, of which the first and the last are the same ones.
#[test]
fn sets_that_look_alike_are_told_apart() {
    let all = [
        pod("shop/a", "app=a").ip("10.0.0.1"),
        pod("shop/b", "app=b").ip("10.0.0.2"),
        pod("shop/c", "app=c").ip("10.0.0.3"),
        pod("shop/d", "app=d").ip("10.0.0.4"),
        pod("shop/one", "app=one").ip("10.0.0.5"),
        pod("shop/two", "app=two").ip("10.0.0.6"),
    ];
    let policies = [
        ingress("shop/one", "app=one", [rule([pods("app in a|b|d")], ["TCP 80"])]),
        ingress("shop/two", "app=two", [rule([pods("app in a|c|d")], ["TCP 80"])]),
    ];
    let case = case(all, policies);
    let connections = Connections::new(&case.cluster, &case.program);
    let end = |name: &str| {
        let pod = case.cluster.find_pod(&object(&format!("shop/{name}"))).unwrap();
        connections.ends().of_identity(case.program.identity_of(pod).unwrap())
    };
    for (to, from) in [("one", ["a", "b", "d"]), ("two", ["a", "c", "d"])] {
        for source in ["a", "b", "c", "d"] {
            let cell = connections.allowed().between(end(source), end(to));
            let traffic = cell.of(Family::V4).unwrap_or(TrafficId::NOTHING);
            assert_eq!(traffic != TrafficId::NOTHING, from.contains(&source), "{source} -> {to}");
        }
    }
}

//! Events in every order, an address of two pods, what comes again, what cannot be understood.

use palisade_engine::model::ClusterPolicyKind;
use palisade_manifest::{ReadOptions, read_text};
use palisade_testbed::{Result, Row, Testbed, until};
use palisade_watch::Watched;

use crate::stage::{GROUND, expect, only, pod, setup, up, up_after};

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let shorter = orders(count - 1);
    let with_last = |order: &Vec<usize>, place: usize| {
        let mut order = order.clone();
        order.insert(place, count - 1);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(move |place| with_last(order, place))).collect()
}

pub(crate) fn every_order() -> Result {
    let mut bed = up(setup())?;
    // By a namespace's label and by a pod's, so that each object matters to the others.
    let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: late, labels: {team: late}}}".to_owned();
    let policy = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-late, namespace: prod}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: late}}, podSelector: {matchLabels: {app: here}}}]}]
"
    .to_owned();
    let objects = [
        (Watched::Namespaces, "late", namespace),
        (Watched::Pods, "late/here", pod("late/here", "here", 1, 9)),
        (Watched::Pods, "late/there", pod("late/there", "here", 2, 9)),
        (Watched::NetworkPolicies, "prod/from-late", policy),
    ];
    let orders = orders(objects.len());
    assert_eq!(orders.len(), 24);
    for order in orders {
        let in_order = || order.iter().filter_map(|at| objects.get(*at));
        for (_, name, text) in in_order() {
            bed.api().apply(text)?;
            bed.settle().map_err(|error| format!("{name} of {order:?}: {error}"))?;
        }
        // All at once, then: the watches tell of them in any order.
        for (of, name, _) in in_order() {
            bed.api().delete(*of, name)?;
        }
        bed.settle().map_err(|error| format!("after all of {order:?}: {error}"))?;
    }
    expect(&mut bed, &["prod/web"])
}

pub(crate) fn address_reuse() -> Result {
    // Who has the address is for the API to say; the packets go to the one namespace that is there.
    let place = pod("prod/old", "closed", 1, 20);
    let mut bed = Testbed::up(setup(), &[GROUND, &place, &pod("other/client", "client", 2, 3)], &[])?;
    let (closed, open) = (pod("prod/old", "closed", 1, 20), pod("prod/new", "open", 1, 20));
    bed.api().apply(GROUND)?;
    bed.api().apply(&pod("other/client", "client", 2, 3))?;
    bed.api().apply(&only("closed", "nobody", "closed", &[]))?;
    bed.api().apply(&closed)?;
    bed.start_agents()?;
    let packets = |bed: &mut Testbed, is_open: bool| -> Result {
        bed.settle()?;
        bed.expect(&[Row::tcp("other/client", "10.244.1.20", 80, is_open)], true)?;
        bed.expect(&[Row::tcp("other/client", "fd00:10:244:1::20", 80, is_open)], false)?;
        Ok(())
    };
    // Both of the address's families are disputed.
    let disputed = |bed: &Testbed| {
        until("the agent has heard of both", || match bed.metric(0, "palisade_disputed_addresses")? {
            2.0 => Ok(()),
            other => Err(format!("{other} addresses are disputed").into()),
        })
    };
    packets(&mut bed, false)?;
    // The old one goes first.
    bed.api().delete(Watched::Pods, "prod/old")?;
    bed.api().apply(&open)?;
    packets(&mut bed, true)?;
    bed.api().delete(Watched::Pods, "prod/new")?;
    bed.api().apply(&closed)?;
    packets(&mut bed, false)?;
    // The new one comes first.
    bed.api().apply(&open)?;
    disputed(&bed)?;
    bed.api().delete(Watched::Pods, "prod/old")?;
    packets(&mut bed, true)?;
    bed.api().apply(&closed)?;
    disputed(&bed)?;
    bed.api().delete(Watched::Pods, "prod/new")?;
    packets(&mut bed, false)?;
    // A pod that is over keeps its address in its status, and nowhere else.
    bed.api().apply(&closed.replace("Running", "Succeeded"))?;
    bed.api().apply(&open)?;
    packets(&mut bed, true)?;
    bed.api().delete(Watched::Pods, "prod/old")?;
    packets(&mut bed, true)
}

pub(crate) fn pod_before_namespace() -> Result {
    let late = pod("late/client", "client", 2, 9);
    let pods = crate::stage::pods();
    let mut bed = Testbed::up(setup(), &[GROUND, &pods, &late], &[])?;
    bed.api().apply(GROUND)?;
    bed.api().apply(&pods)?;
    bed.api().apply(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: from-late, namespace: prod}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress: [{from: [{namespaceSelector: {matchLabels: {team: late}}}]}]
",
    )?;
    bed.start_agents()?;
    bed.settle()?;
    let to_db = |allowed| [Row::tcp("late/client", "prod/db", 80, allowed), Row::tcp("prod/web", "prod/db", 80, false)];
    // Its namespace has no labels that anybody knows.
    bed.api().apply(&late)?;
    bed.settle()?;
    bed.expect(&to_db(false), true)?;
    bed.api().apply("{apiVersion: v1, kind: Namespace, metadata: {name: late, labels: {team: late}}}")?;
    bed.settle()?;
    for is_ipv4 in [true, false] {
        bed.expect(&to_db(true), is_ipv4)?;
    }
    bed.api().delete(Watched::Namespaces, "late")?;
    bed.settle()?;
    bed.expect(&to_db(false), true)?;
    Ok(())
}

pub(crate) fn deleted_and_created_again() -> Result {
    let mut bed = up(setup())?;
    for round in 0..10_u16 {
        let from = if round % 2 == 0 { "far" } else { "web" };
        bed.api().delete(Watched::NetworkPolicies, "prod/db")?;
        bed.api().apply(&only("db", from, "db", &[9000 + round]))?;
        bed.api().delete(Watched::Pods, "other/near")?;
        bed.api().apply(&pod("other/near", &format!("near-{round}"), 1, 3))?;
        bed.settle()?;
    }
    expect(&mut bed, &["prod/web"])?;
    // The node itself: its pods still say where they run.
    bed.api().delete(Watched::Nodes, "node-1")?;
    bed.settle()?;
    expect(&mut bed, &["prod/web"])?;
    bed.api().apply(GROUND)?;
    bed.settle()?;
    expect(&mut bed, &["prod/web"])
}

pub(crate) fn poison_policy() -> Result {
    let mut bed = up(setup())?;
    let poison = |operator: &str| {
        format!(
            "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: poison, namespace: prod}}
spec:
  podSelector: {{matchLabels: {{app: web}}}}
  policyTypes: [Ingress]
  ingress: [{{from: [{{podSelector: {{matchExpressions: [{{key: app, operator: {operator}}}]}}}}]}}]
"
        )
    };
    let to_web = |allowed| [Row::tcp("prod/db", "prod/web", 80, allowed), Row::tcp("other/far", "prod/web", 80, false)];
    // What it selects is closed, as by the same policy without its rule, and that is all.
    let closed = poison("Exists").replace("  ingress: [", "  ingress: []\n# [");
    let closed = read_text("closed", &closed, &ReadOptions::default()).inventory.policies;
    assert!(closed.len() == 1 && closed.iter().all(|policy| policy.ingress.is_empty()));
    bed.api().apply(&poison("Sometimes"))?;
    // The reader of files leaves it out, or takes it for what it says.
    let instead = |inventory: &mut palisade_engine::model::Inventory| {
        inventory.policies.retain(|policy| &*policy.id.name != "poison");
        inventory.policies.extend(closed.iter().cloned());
    };
    bed.settle_as(instead)?;
    bed.expect(&to_web(false), true)?;
    expect(&mut bed, &["prod/web"])?;
    assert!(bed.metric(0, "palisade_poison_objects")? > 0.0);
    // It stops nothing else.
    bed.api().apply(&only("db", "far", "db", &[]))?;
    bed.settle_as(instead)?;
    expect(&mut bed, &["other/far"])?;
    // A start with it there, too.
    bed.kill_agents(0)?;
    bed.start_agent(0)?;
    bed.settle_as(instead)?;
    bed.api().apply(&poison("Exists"))?;
    bed.settle()?;
    bed.expect(&to_web(true), true)?;
    Ok(())
}

/// A cluster-wide policy of which it is not known when it is asked: nothing is allowed by it, and what it denies or
/// passes on is denied, whether it was seen before or not, and also by an agent that starts now.
pub(crate) fn policy_without_a_place() -> Result {
    let mut bed = up_after(setup(), |bed| {
        let server = bed.api().fake().ok_or("not the fake server")?;
        server.install(Watched::ClusterPolicies(ClusterPolicyKind::Cluster).resource());
        Ok(())
    })?;
    let everyone = ["prod/web", "other/near", "other/far"];
    let policy = |place: &str, action: &str| {
        format!(
            "
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {{name: unplaced}}
spec:
  {place}
  subject: {{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: db}}}}}}}}
  ingress: [{{action: {action}, from: [{{namespaces: {{}}}}]}}]
"
        )
    };
    // The reader of files leaves it out otherwise.
    let options = ReadOptions { fail_closed: true, ..ReadOptions::default() };
    for (place, action, allowed) in [
        ("tier: Galactic\n  priority: 10", "Deny", &[][..]),
        ("tier: Admin\n  priority: -1", "Pass", &[][..]),
        ("tier: Baseline", "Deny", &everyone[..1]),
        ("tier: Admin\n  priority: 10", "Accept", &everyone[..]),
        ("tier: Galactic\n  priority: 10", "Accept", &everyone[..1]),
        ("tier: Galactic\n  priority: 10", "Pass", &[][..]),
    ] {
        let text = policy(place, action);
        let closed = read_text("closed", &text, &options).inventory.cluster_policies;
        let instead =
            |inventory: &mut palisade_engine::model::Inventory| inventory.cluster_policies.clone_from(&closed);
        bed.api().apply(&text)?;
        bed.settle_as(instead)?;
        expect(&mut bed, allowed).map_err(|error| format!("{place} {action}: {error}"))?;
        let is_understood = place == "tier: Admin\n  priority: 10";
        assert_eq!(bed.metric(0, "palisade_poison_objects")? > 0.0, !is_understood, "{place}");
        bed.kill_agents(0)?;
        bed.start_agent(0)?;
        bed.settle_as(instead)?;
        expect(&mut bed, allowed).map_err(|error| format!("{place} {action}, from the start: {error}"))?;
    }
    Ok(())
}

/// Cluster-wide policies of every kind come, change and go, before and behind the policy of the namespace.
pub(crate) fn cluster_policies() -> Result {
    let [cluster, admin, baseline] = ClusterPolicyKind::ALL.map(Watched::ClusterPolicies);
    let mut bed = up_after(setup(), |bed| {
        let server = bed.api().fake().ok_or("not the fake server")?;
        [cluster, admin, baseline].iter().for_each(|of| server.install(of.resource()));
        Ok(())
    })?;
    let everyone = ["prod/web", "other/near", "other/far"];
    let policy = |version: &str, kind: ClusterPolicyKind, place: &str, action: &str, from: &str| {
        format!(
            "
apiVersion: policy.networking.k8s.io/{version}
kind: {kind}
metadata: {{name: default}}
spec:
  {place}
  subject: {{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: db}}}}}}}}
  ingress: [{{action: {action}, from: [{from}]}}]
"
        )
    };
    let wide = |tier: &str, action: &str, from: &str| {
        policy("v1alpha2", ClusterPolicyKind::Cluster, &format!("tier: {tier}\n  priority: 10"), action, from)
    };
    let admins = |priority: u16, action: &str, from: &str| {
        policy("v1alpha1", ClusterPolicyKind::Admin, &format!("priority: {priority}"), action, from)
    };
    let (all, other) = ("{namespaces: {}}", "{namespaces: {matchLabels: {team: other}}}");
    for (tier, action, from, allowed) in [
        ("Admin", "Deny", all, &[][..]),
        ("Admin", "Accept", all, &everyone[..]),
        // Its own tier is passed; the namespace's policy decides.
        ("Admin", "Pass", all, &everyone[..1]),
        ("Admin", "Accept", other, &everyone[..]),
    ] {
        bed.api().apply(&wide(tier, action, from))?;
        bed.settle()?;
        expect(&mut bed, allowed).map_err(|error| format!("{tier} {action} {from}: {error}"))?;
    }
    // The AdminNetworkPolicy of the same name is another policy of the same tier.
    for (priority, action, from, allowed) in
        [(5, "Deny", other, &everyone[..1]), (20, "Deny", all, &everyone[1..]), (20, "Allow", all, &everyone[..])]
    {
        bed.api().apply(&admins(priority, action, from))?;
        bed.settle()?;
        expect(&mut bed, allowed).map_err(|error| format!("{priority} {action} {from}: {error}"))?;
    }
    bed.api().apply(&admins(5, "Pass", all))?;
    // Nothing is left to the Baseline tier: the pod is isolated.
    bed.api().apply(&wide("Baseline", "Deny", all))?;
    bed.settle()?;
    expect(&mut bed, &everyone[..1])?;
    bed.api().delete(Watched::NetworkPolicies, "prod/db")?;
    bed.settle()?;
    expect(&mut bed, &[])?;
    bed.api().delete(cluster, "default")?;
    bed.api().apply(&policy("v1alpha1", ClusterPolicyKind::BaselineAdmin, "", "Deny", other))?;
    bed.settle()?;
    expect(&mut bed, &everyone[..1])?;
    bed.api().apply(&admins(5, "Allow", other))?;
    bed.settle()?;
    expect(&mut bed, &everyone)?;
    // Without its definition there is none of it, which is seen when the watch is opened again.
    bed.api().fake().ok_or("not the fake server")?.uninstall(&admin.resource().plural);
    bed.cut_connections();
    bed.settle()?;
    expect(&mut bed, &everyone[..1])?;
    bed.api().delete(baseline, "default")?;
    bed.settle()?;
    expect(&mut bed, &everyone)
}

//! The cluster of the fault tests: two nodes, four pods, and a database that only the web may reach.

use palisade_testbed::{Result, Row, Setup, Testbed};

/// The nodes and namespaces.
pub(crate) const GROUND: &str = "
apiVersion: v1
kind: Node
metadata: {name: node-1}
status: {addresses: [{type: InternalIP, address: 172.18.0.11}, {type: InternalIP, address: 'fd00:172:18::11'}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-2}
status: {addresses: [{type: InternalIP, address: 172.18.0.12}, {type: InternalIP, address: 'fd00:172:18::12'}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: prod, labels: {team: prod}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: other}}
";

/// A pod of a node, at the node's `last` address, with the label `app`.
pub(crate) fn pod(name: &str, app: &str, node: u8, last: u8) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("default", name));
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}
spec:
  nodeName: node-{node}
  containers: [{{name: c, image: test, ports: [{{name: web, containerPort: 80, protocol: TCP}}]}}]
status:
  phase: Running
  podIP: 10.244.{node}.{last}
  podIPs: [{{ip: 10.244.{node}.{last}}}, {{ip: 'fd00:10:244:{node}::{last}'}}]
"
    )
}

/// The four pods.
pub(crate) fn pods() -> String {
    [
        pod("prod/db", "db", 1, 2),
        pod("prod/web", "web", 2, 2),
        pod("other/near", "near", 1, 3),
        pod("other/far", "far", 2, 3),
    ]
    .join("---")
}

/// A policy of `prod` by which only pods with this label may reach those with that: on port 80, in UDP also
/// on port 81, and on `more`.
pub(crate) fn only(name: &str, from: &str, to: &str, more: &[u16]) -> String {
    let ports: String = more.iter().map(|port| format!(", {{port: {port}}}")).collect();
    format!(
        "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {{name: {name}, namespace: prod}}
spec:
  podSelector: {{matchLabels: {{app: {to}}}}}
  policyTypes: [Ingress]
  ingress:
  - from:
    - namespaceSelector: {{}}
      podSelector: {{matchLabels: {{app: {from}}}}}
    ports: [{{port: 80}}, {{port: 80, protocol: UDP}}, {{port: 81, protocol: UDP}}{ports}]
"
    )
}

/// Who of the others reaches the database.
pub(crate) fn rows(allowed: &[&str]) -> Vec<Row> {
    let row = |from: &str| Row::tcp(from, "prod/db", 80, allowed.contains(&from));
    let back = Row::tcp("prod/db", "other/far", 80, true);
    ["prod/web", "other/near", "other/far"].map(row).into_iter().chain([back]).collect()
}

/// The usual testbed.
pub(crate) fn setup() -> Setup {
    Setup::of(env!("CARGO_BIN_EXE_palisade"))
}

/// Everything is up, only the web reaches the database, and the agents have settled.
pub(crate) fn up(setup: Setup) -> Result<Testbed> {
    up_after(setup, |_| Ok(()))
}

/// The same, after something was done to the API server.
pub(crate) fn up_after(setup: Setup, before: impl FnOnce(&Testbed) -> Result) -> Result<Testbed> {
    let (ground, pods) = (GROUND, pods());
    let mut bed = Testbed::up(setup, &[ground, &pods], &[])?;
    before(&bed)?;
    bed.api().apply(ground)?;
    bed.api().apply(&pods)?;
    bed.all_arrive(&rows(&[]), true)?;
    bed.api().apply(&only("db", "web", "db", &[]))?;
    bed.start_agents()?;
    bed.settle()?;
    expect(&mut bed, &["prod/web"])?;
    Ok(bed)
}

/// Real packets of both families say that these, and no others, reach the database.
pub(crate) fn expect(bed: &mut Testbed, allowed: &[&str]) -> Result {
    for is_ipv4 in [true, false] {
        bed.expect(&rows(allowed), is_ipv4)?;
    }
    Ok(())
}

/// A number that a run may raise, from the environment.
pub(crate) fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

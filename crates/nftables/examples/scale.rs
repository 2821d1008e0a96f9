//! A large cluster, compiled and planned: sizes, and times as ratios to work of the same run.
//!
//! `cargo run --release -p palisade-nftables --example scale`

use std::{
    hint::black_box,
    net::{Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use palisade_engine::{
    PolicyProgram,
    model::{
        Cluster, ContainerPort, Inventory, IpBlock, LabelSelector, Labels, Name, NamespaceScope, NetworkPolicy,
        ObjectRef, Peer, Pod, PodAddresses, PolicyPort, PolicyRule, PolicyTypes, PortMatch, PortRange, Protocol,
        Requirement,
    },
};
use palisade_nftables::plan::{Options, plan};

const NAMESPACES: usize = 200;
const APPS: usize = 25;
const REPLICAS: usize = 20;
const NODES: usize = 1_000;

fn main() {
    let (inventory, made) = timed(inventory);
    let (pods, policies) = (inventory.pods.len(), inventory.policies.len());
    let (cluster, indexed) = timed(|| inventory.into_cluster());
    let cluster: Cluster = match cluster {
        Ok(cluster) => cluster,
        Err(conflicts) => return eprintln!("{}", conflicts.iter().map(ToString::to_string).collect::<String>()),
    };
    let ((), baseline) = timed(|| sort_labels(&cluster));
    let (program, compiled) = timed(|| PolicyProgram::compile(&cluster));
    println!("{pods} pods, {policies} policies, {} nodes", cluster.nodes().len());
    println!("{} identities, {} profiles", program.identities().len(), program.profiles().len());

    let Some((node, _)) = cluster.nodes().next() else { return };
    let (plan, planned) = timed(|| plan(&cluster, &program, node, &Options::default()));
    let local = cluster.pods().filter(|(id, _)| cluster.node_of(*id) == Some(node)).count();
    let elements: usize = plan.ruleset.sets.values().map(|set| set.elements.len()).sum();
    let (sets, chains) = (plan.ruleset.sets.len(), plan.ruleset.chains.len());
    println!("one node of {local} pods: {} profiles, {sets} sets, {elements} elements, {chains} chains", plan.profiles);

    println!("\ntimes; 1.00 is cloning and sorting the labels of all pods");
    for (what, time) in
        [("make the objects", made), ("into_cluster", indexed), ("compile", compiled), ("plan one node", planned)]
    {
        println!("{what:<18}{:>8.2}", time.as_secs_f64() / baseline.as_secs_f64());
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = black_box(work());
    (done, start.elapsed())
}

fn sort_labels(cluster: &Cluster) {
    let labels = cluster.pods().map(|(_, pod)| pod.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
    let mut labels: Vec<Vec<(Name, Name)>> = labels.collect();
    labels.sort();
    black_box(labels);
}

fn inventory() -> Inventory {
    let mut inventory = Inventory::default();
    for namespace in (0..NAMESPACES).map(|n| format!("team-{n}")) {
        for app in 0..APPS {
            for replica in 0..REPLICAS {
                let number = inventory.pods.len();
                inventory.pods.push(pod(&namespace, app, replica, number));
            }
        }
        policies(&namespace, &mut inventory.policies);
    }
    inventory
}

fn pod(namespace: &str, app: usize, replica: usize, number: usize) -> Pod {
    let tier = ["front", "middle", "back"].get(app % 3).copied().unwrap_or_default();
    let labels = [
        ("app".to_owned(), format!("app-{app}")),
        ("tier".to_owned(), tier.to_owned()),
        ("pod-template-hash".to_owned(), format!("{:x}", app * 7919)),
        ("statefulset.kubernetes.io/pod-name".to_owned(), format!("app-{app}-{replica}")),
    ];
    let port = |name: &str, port| ContainerPort { name: Some(name.into()), port, protocol: Protocol::Tcp };
    let address = Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number + 1).unwrap_or(0));
    Pod {
        labels: labels.into_iter().collect::<Labels>(),
        node: Some(format!("node-{}", number % NODES).into()),
        addresses: PodAddresses {
            v4: Some(address),
            v6: Some(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(address.to_bits()))),
        },
        // Half of the teams call another number by the name of the metrics port.
        ports: vec![port("http", 8080), port("metrics", if namespace.len().is_multiple_of(2) { 9090 } else { 9100 })],
        ..Pod::running(ObjectRef::new(namespace, format!("app-{app}-{replica}")))
    }
}

/// A hundred policies of one namespace.
fn policies(namespace: &str, policies: &mut Vec<NetworkPolicy>) {
    let mut add = |name: String, subject: LabelSelector, ingress: Vec<PolicyRule>, egress: Vec<PolicyRule>| {
        let types = match (ingress.is_empty(), egress.is_empty()) {
            (true, true) => PolicyTypes { ingress: true, egress: true },
            (no_ingress, no_egress) => PolicyTypes { ingress: !no_ingress, egress: !no_egress },
        };
        let id = ObjectRef::new(namespace, name);
        policies.push(NetworkPolicy {
            id,
            annotations: palisade_engine::model::Labels::default(),
            mode: None,
            subject,
            policy_types: Some(types),
            ingress,
            egress,
            at: None,
        });
    };
    let everything = LabelSelector::everything;
    add("default-deny".into(), everything(), vec![], vec![]);
    add("dns".into(), everything(), vec![], vec![rule([elsewhere("team-0", "app-0")], [("UDP", 53), ("TCP", 53)])]);
    let mut metrics = rule([elsewhere("team-1", "app-1")], []);
    metrics.ports.push(PolicyPort { protocol: Protocol::Tcp, port: PortMatch::Named("metrics".into()), at: None });
    add("monitoring".into(), everything(), vec![metrics.clone()], vec![]);
    metrics.peers =
        vec![Peer::Pods { namespaces: NamespaceScope::Matching(everything()), pods: everything(), at: None }];
    add("scrape".into(), of_app(1), vec![], vec![metrics]);
    for n in 0..21 {
        let blocks = [block(n, 0), block(n, 1), block(n, 2)];
        add(format!("partner-{n}"), of_app(n), vec![], vec![rule(blocks, [("TCP", 443)])]);
    }
    for app in 0..APPS {
        let from = [here((app + 1) % APPS), here((app + 7) % APPS)];
        let to = [here((app + APPS - 1) % APPS), here((app + APPS - 7) % APPS)];
        add(format!("to-{app}"), of_app(app), vec![rule(from, [("TCP", 8080)])], vec![]);
        add(format!("from-{app}"), of_app(app), vec![], vec![rule(to, [("TCP", 8080)])]);
        let ports = [("TCP", 9000 + u16::try_from(app).unwrap_or(0))];
        add(format!("admin-{app}"), of_app(app), vec![rule([here((app + 3) % APPS)], ports)], vec![]);
    }
}

fn of_app(app: usize) -> LabelSelector {
    [Requirement::equals("app", format!("app-{app}"))].into_iter().collect()
}

fn here(app: usize) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods: of_app(app), at: None }
}

fn elsewhere(namespace: &str, app: &str) -> Peer {
    let namespaces = [Requirement::equals("kubernetes.io/metadata.name", namespace)].into_iter().collect();
    let pods = [Requirement::equals("app", app)].into_iter().collect();
    Peer::Pods { namespaces: NamespaceScope::Matching(namespaces), pods, at: None }
}

fn block(n: usize, part: usize) -> Peer {
    let first = u8::try_from(n * 3 + part).unwrap_or(0);
    let cidr = ipnet::Ipv4Net::new_assert(Ipv4Addr::new(192, 0, first, 0), 24).into();
    Peer::IpBlock(IpBlock { cidr, except: Vec::new(), at: None, cidr_at: None, except_at: Vec::new() })
}

fn rule<const P: usize, const Q: usize>(peers: [Peer; P], ports: [(&str, u16); Q]) -> PolicyRule {
    let ports = ports.into_iter().filter_map(|(protocol, port)| {
        let port = PortMatch::Range(PortRange::single(port));
        Some(PolicyPort { protocol: Protocol::parse(protocol)?, port, at: None })
    });
    PolicyRule { peers: peers.into(), ports: ports.collect(), at: None }
}

//! Who is where: the namespaces, their applications, and the addresses of everyone.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::{Size, random::Random};

/// Pods to a namespace of a team, and to a node.
const PODS_A_NAMESPACE: usize = 50;
const PODS_A_NODE: usize = 100;

/// A node has a /24 of 10.0.0.0/8, and Services begin at 10.96.0.0.
const MOST_PODS: usize = 1_000_000;

/// Namespaces to a team: two services in three environments.
const NAMESPACES_A_TEAM: usize = 6;

const TEAMS: [&str; 16] = [
    "payments",
    "checkout",
    "catalog",
    "identity",
    "shipping",
    "pricing",
    "search",
    "media",
    "loyalty",
    "fraud",
    "reports",
    "mobile",
    "partners",
    "inventory",
    "support",
    "ads",
];

/// A cluster to be written: everything that more than one of its files has to agree about.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) size: Size,
    pub(crate) nodes: usize,
    pub(crate) namespaces: Vec<Namespace>,
}

/// A size that cannot be: not even the system fits, or the addresses do not suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl std::fmt::Display for NoRoom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a generated cluster has from 50 pods to a million, and 10 policies or more")
    }
}

impl std::error::Error for NoRoom {}

#[derive(Debug)]
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) apps: Vec<App>,
    /// How many policies it has.
    pub(crate) policies: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// CoreDNS and kube-proxy.
    System,
    /// Where connections from outside come in.
    Ingress,
    /// Prometheus.
    Monitoring,
    /// One of a team's.
    Team {
        /// The number of the team.
        team: usize,
        /// prod, staging or dev.
        environment: &'static str,
    },
}

/// A workload and its pods.
#[derive(Debug)]
pub(crate) struct App {
    /// The workload's name.
    pub(crate) name: String,
    /// The labels that people select by: `app` for those of teams.
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) kind: Kind,
    pub(crate) replicas: usize,
    pub(crate) ports: Vec<Port>,
    /// The `pod-template-hash` (`controller-revision-hash` where there is no ReplicaSet).
    pub(crate) hash: String,
    /// The number of its first pod among all.
    pub(crate) first: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Deployment,
    StatefulSet,
    /// One pod a node, in the node's own network.
    HostDaemon,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    pub(crate) name: &'static str,
    pub(crate) number: u16,
    pub(crate) protocol: &'static str,
}

/// Where one pod is.
pub(crate) struct Place {
    pub(crate) node: usize,
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
}

impl Cluster {
    /// Lays a cluster out.
    ///
    /// # Errors
    /// When there is no room for what every cluster has.
    pub fn new(size: Size) -> Result<Self, NoRoom> {
        let nodes = (size.pods / PODS_A_NODE).max(3);
        let mut namespaces = system(nodes, &mut Random::new(size.seed, 0));
        let taken: usize = namespaces.iter().flat_map(|namespace| &namespace.apps).map(|app| app.replicas).sum();
        let written: usize = namespaces.iter().map(|namespace| namespace.policies).sum();
        let pods = size.pods.checked_sub(taken).filter(|pods| *pods >= 20).ok_or(NoRoom)?;
        let policies = size.policies.checked_sub(written).filter(|policies| *policies >= 5).ok_or(NoRoom)?;
        if size.pods > MOST_PODS {
            return Err(NoRoom);
        }
        let teams = (size.pods / PODS_A_NAMESPACE).max(1);
        // One namespace in ten has none.
        let is_covered = |index: usize| index % 10 != 7;
        let covered = (0..teams).filter(|index| is_covered(*index)).count();
        let share = |total: usize, parts: usize, part: usize| total * (part + 1) / parts - total * part / parts;
        let mut turn = 0;
        for index in 0..teams {
            let mut random = Random::new(size.seed, 1000 + index as u64);
            let mut namespace = team_namespace(index, share(pods, teams, index), &mut random);
            if is_covered(index) {
                namespace.policies = share(policies, covered, turn);
                turn += 1;
            }
            namespaces.push(namespace);
        }
        let mut first = 0;
        for app in namespaces.iter_mut().flat_map(|namespace| &mut namespace.apps) {
            app.first = first;
            first += app.replicas;
        }
        Ok(Self { size, nodes, namespaces })
    }

    /// The place of a pod of an app.
    pub(crate) fn place(&self, app: &App, replica: usize) -> Place {
        if app.kind == Kind::HostDaemon {
            let node = replica % self.nodes;
            let (v4, v6) = self.node_addresses(node);
            return Place { node, v4, v6 };
        }
        let (node, slot) = ((app.first + replica) % self.nodes, (app.first + replica) / self.nodes);
        let bits = (node as u32) << 8 | (slot as u32 + 2);
        let v6 = 0xfd00_0010_u128 << 96 | (node as u128) << 64 | (slot as u128 + 2);
        Place { node, v4: Ipv4Addr::from_bits(10 << 24 | bits), v6: Ipv6Addr::from_bits(v6) }
    }

    /// The addresses of a node.
    pub(crate) fn node_addresses(&self, node: usize) -> (Ipv4Addr, Ipv6Addr) {
        let number = node as u32 + 10;
        let v6 = 0xfd00_0020_u128 << 96 | u128::from(number);
        (Ipv4Addr::from_bits(0xac14_0000 + number), Ipv6Addr::from_bits(v6))
    }

    /// A node's name.
    pub(crate) fn node_name(node: usize) -> String {
        format!("worker-{node:04}")
    }
}

impl Namespace {
    /// The value of the label `team`.
    pub(crate) fn team(&self) -> Option<String> {
        match self.role {
            Role::Team { team, .. } => Some(team_name(team)),
            Role::System | Role::Ingress | Role::Monitoring => None,
        }
    }

    /// The label `env`.
    pub(crate) fn environment(&self) -> Option<&'static str> {
        match self.role {
            Role::Team { environment, .. } => Some(environment),
            Role::System | Role::Ingress | Role::Monitoring => None,
        }
    }
}

impl App {
    /// The value of one of the labels.
    pub(crate) fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
    }
}

pub(crate) fn team_name(team: usize) -> String {
    let name = TEAMS.get(team % TEAMS.len()).copied().unwrap_or("team");
    if team < TEAMS.len() { name.to_owned() } else { format!("{name}-{}", team / TEAMS.len() + 1) }
}

const fn port(name: &'static str, number: u16, protocol: &'static str) -> Port {
    Port { name, number, protocol }
}

/// What every cluster has. The controllers grow with the cluster, as theirs do.
fn system(nodes: usize, random: &mut Random) -> Vec<Namespace> {
    let mut app = |name: &str, label: (&'static str, &str), kind, replicas, ports: &[Port]| App {
        name: name.to_owned(),
        labels: vec![(label.0, label.1.to_owned())],
        kind,
        replicas,
        ports: ports.to_vec(),
        hash: random.suffix(10),
        first: 0,
    };
    let dns = [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")];
    let web = [port("http", 80, "TCP"), port("https", 443, "TCP"), port("metrics", 10254, "TCP")];
    const NAME: &str = "app.kubernetes.io/name";
    let kube_system = vec![
        app("coredns", ("k8s-app", "kube-dns"), Kind::Deployment, 2 + nodes / 50, &dns),
        app("kube-proxy", ("k8s-app", "kube-proxy"), Kind::HostDaemon, nodes, &[port("metrics", 10249, "TCP")]),
    ];
    let ingress =
        vec![app("ingress-nginx-controller", (NAME, "ingress-nginx"), Kind::Deployment, 2 + nodes / 50, &web)];
    let monitoring = vec![
        app("prometheus", (NAME, "prometheus"), Kind::StatefulSet, 2, &[port("web", 9090, "TCP")]),
        app("alertmanager", (NAME, "alertmanager"), Kind::StatefulSet, 3, &[port("web", 9093, "TCP")]),
        app("grafana", (NAME, "grafana"), Kind::Deployment, 1, &[port("http", 3000, "TCP")]),
    ];
    let namespace = |name: &str, role, apps, policies| Namespace { name: name.to_owned(), role, apps, policies };
    vec![
        namespace("kube-system", Role::System, kube_system, 1),
        namespace("ingress-nginx", Role::Ingress, ingress, 2),
        namespace("monitoring", Role::Monitoring, monitoring, 2),
    ]
}

/// What a team runs: the name, the tier, and the ports beside `metrics`.
const SERVICES: [(&str, &str, Kind, &[Port]); 12] = [
    ("web", "frontend", Kind::Deployment, &[port("http", 8080, "TCP")]),
    ("api", "backend", Kind::Deployment, &[port("http", 8080, "TCP"), port("grpc", 9000, "TCP")]),
    ("db", "data", Kind::StatefulSet, &[port("postgres", 5432, "TCP")]),
    ("worker", "backend", Kind::Deployment, &[]),
    ("cache", "data", Kind::StatefulSet, &[port("redis", 6379, "TCP")]),
    ("collector", "infra", Kind::Deployment, &[port("statsd", 8125, "UDP"), port("http", 8080, "TCP")]),
    ("auth", "backend", Kind::Deployment, &[port("http", 8080, "TCP")]),
    ("queue", "data", Kind::StatefulSet, &[port("amqp", 5672, "TCP")]),
    ("admin", "frontend", Kind::Deployment, &[port("http", 8081, "TCP")]),
    ("orders", "backend", Kind::Deployment, &[port("http", 8080, "TCP")]),
    ("mailer", "backend", Kind::Deployment, &[port("http", 8080, "TCP")]),
    ("ledger", "backend", Kind::Deployment, &[port("http", 8443, "TCP")]),
];

/// A namespace of a team with exactly `pods` pods and no policy yet.
fn team_namespace(index: usize, pods: usize, random: &mut Random) -> Namespace {
    let team = index / NAMESPACES_A_TEAM;
    let environment = ["prod", "staging", "dev"].get(index % 3).copied().unwrap_or("dev");
    let role = Role::Team { team, environment };
    let name = format!("{}-{environment}-{}", team_name(team), index % NAMESPACES_A_TEAM / 3 + 1);
    // Teams do not agree about the number behind the name `metrics`.
    let metrics = if team.is_multiple_of(3) { 9100 } else { 9090 };
    // web, api and db are everywhere; of the others some.
    let wanted = (5 + random.below(5)).min(pods);
    let chosen = SERVICES.iter().enumerate().filter(|(place, _)| *place < 3 || random.chance(60));
    let mut apps: Vec<App> = Vec::new();
    for (_, (service, tier, kind, ports)) in chosen.take(wanted).collect::<Vec<_>>() {
        let versions = if *tier != "data" && random.chance(15) { 2 } else { 1 };
        for canary in 0..versions {
            let version = format!("v{}", 1 + random.below(4) + canary * 4);
            let of = |key, value: &str| (key, value.to_owned());
            apps.push(App {
                name: if canary == 0 { (*service).to_owned() } else { format!("{service}-canary") },
                labels: vec![of("app", service), of("tier", tier), of("version", &version)],
                kind: *kind,
                replicas: 1,
                ports: ports.iter().copied().chain([port("metrics", metrics, "TCP")]).collect(),
                hash: random.suffix(10),
                first: 0,
            });
        }
    }
    apps.truncate(pods);
    // The others of the pods go to one app or the other; data is seldom replicated much.
    let weights: Vec<usize> =
        apps.iter().map(|app| if app.kind == Kind::StatefulSet { 1 } else { 2 + random.below(6) }).collect();
    let (total, rest) = (weights.iter().sum::<usize>().max(1), pods - apps.len());
    let mut before = 0;
    for (app, weight) in apps.iter_mut().zip(weights) {
        app.replicas += rest * (before + weight) / total - rest * before / total;
        before += weight;
    }
    Namespace { name, role, apps, policies: 0 }
}

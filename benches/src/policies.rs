//! The policies: what people write, in about the proportions in which they write it.

use std::io::{self, Write};

use crate::{
    layout::{App, Cluster, Namespace, Role, team_name},
    objects::{CREATED, POLICY_STREAM},
    policy_text::{Peer, Policy, PortItem, Rule, Selector, Term},
    random::Random,
};

const METADATA_NAME: &str = "kubernetes.io/metadata.name";
const PRIVATE: [&str; 3] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"];

/// The policies.
pub(crate) fn policies<W: Write>(cluster: &Cluster, out: &mut W) -> io::Result<()> {
    for (index, namespace) in cluster.namespaces.iter().enumerate() {
        let mut random = random(cluster, index);
        for policy in of_namespace(cluster, index, namespace) {
            policy.write(out, CREATED, &random.uid())?;
        }
    }
    Ok(())
}

/// The policies of one namespace, which is at that place.
pub(crate) fn of_namespace(cluster: &Cluster, index: usize, namespace: &Namespace) -> Vec<Policy> {
    match namespace.role {
        Role::System => vec![dns_server(namespace)],
        Role::Ingress => vec![deny(namespace, false), from_internet(cluster, namespace)],
        Role::Monitoring => vec![deny(namespace, true), prometheus(namespace)],
        Role::Team { .. } => Team { cluster, namespace, random: random(cluster, index) }.policies(),
    }
}

fn random(cluster: &Cluster, index: usize) -> Random {
    Random::new(cluster.size.seed, POLICY_STREAM + index as u64)
}

fn deny(namespace: &Namespace, egress: bool) -> Policy {
    let name = if egress { "default-deny" } else { "default-deny-ingress" };
    policy(namespace, name.to_owned(), vec![], Some(vec![]), egress.then(Vec::new))
}

fn policy(
    namespace: &Namespace,
    name: String,
    subject: Selector,
    ingress: Option<Vec<Rule>>,
    egress: Option<Vec<Rule>>,
) -> Policy {
    Policy { namespace: namespace.name.clone(), name, subject, ingress, egress }
}

fn is(key: &'static str, value: &str) -> Selector {
    vec![Term::Is(key, value.to_owned())]
}

fn here(pods: Selector) -> Peer {
    Peer::Pods { namespaces: None, pods: Some(pods) }
}

fn elsewhere(namespaces: Selector, pods: Selector) -> Peer {
    Peer::Pods { namespaces: Some(namespaces), pods: Some(pods) }
}

fn block(cidr: &str, except: &[&str]) -> Peer {
    Peer::Block { cidr: cidr.to_owned(), except: except.iter().map(|cidr| (*cidr).to_owned()).collect() }
}

fn rule<const P: usize, const Q: usize>(peers: [Peer; P], ports: [PortItem; Q]) -> Rule {
    Rule { peers: peers.into(), ports: ports.into() }
}

fn prometheus_pods() -> Peer {
    elsewhere(is(METADATA_NAME, "monitoring"), is("app.kubernetes.io/name", "prometheus"))
}

const METRICS: PortItem = PortItem::Named("TCP", "metrics");
const DNS: [PortItem; 2] = [PortItem::Number("UDP", 53), PortItem::Number("TCP", 53)];

fn dns_server(namespace: &Namespace) -> Policy {
    let everyone = Peer::Pods { namespaces: Some(vec![]), pods: None };
    let rules = vec![rule([everyone], DNS), rule([prometheus_pods()], [METRICS])];
    policy(namespace, "allow-dns".to_owned(), is("k8s-app", "kube-dns"), Some(rules), None)
}

fn from_internet(cluster: &Cluster, namespace: &Namespace) -> Policy {
    let mut anyone = vec![block("0.0.0.0/0", &[])];
    anyone.extend(cluster.size.dual_stack.then(|| block("::/0", &[])));
    let ports = vec![PortItem::Named("TCP", "http"), PortItem::Named("TCP", "https")];
    let rules = vec![Rule { peers: anyone, ports }, rule([prometheus_pods()], [METRICS])];
    policy(namespace, "allow-web".to_owned(), is("app.kubernetes.io/name", "ingress-nginx"), Some(rules), None)
}

fn prometheus(namespace: &Namespace) -> Policy {
    let everyone = Peer::Pods { namespaces: Some(vec![]), pods: None };
    let dns = elsewhere(is(METADATA_NAME, "kube-system"), is("k8s-app", "kube-dns"));
    let egress = vec![rule([everyone], [METRICS]), rule([dns], DNS)];
    let ingress = vec![rule([here(vec![])], [PortItem::Named("TCP", "web")])];
    policy(namespace, "prometheus".to_owned(), is("app.kubernetes.io/name", "prometheus"), Some(ingress), Some(egress))
}

/// An app calls the two that come after it, so that what one side allows the other side allows too.
const CALLS: [usize; 2] = [1, 2];

/// What a policy of a team is for.
#[derive(Clone, Copy)]
enum Purpose {
    Receive,
    Send,
    Both,
    FromTeam,
    ToTeam,
    Internet,
    Partner,
    Range,
    Statsd,
    Tiers,
    Nodes,
}

/// Makes the policies of a team's namespace.
struct Team<'c> {
    cluster: &'c Cluster,
    namespace: &'c Namespace,
    random: Random,
}

impl Team<'_> {
    fn policies(mut self) -> Vec<Policy> {
        let count = self.namespace.policies;
        let mut policies = Vec::with_capacity(count);
        for place in 0..count {
            let policy = match place {
                0 => deny(self.namespace, self.random.chance(60)),
                1 => self.resolve_names(),
                2 => {
                    let rules = vec![rule([prometheus_pods()], [METRICS])];
                    policy(self.namespace, "allow-monitoring".to_owned(), vec![], Some(rules), None)
                }
                _ => self.of_app(place),
            };
            policies.push(policy);
        }
        policies
    }

    fn resolve_names(&self) -> Policy {
        let dns = elsewhere(is(METADATA_NAME, "kube-system"), is("k8s-app", "kube-dns"));
        policy(self.namespace, "allow-dns".to_owned(), vec![], None, Some(vec![rule([dns], DNS)]))
    }

    /// The policy of that number is about one of the apps in turn.
    fn of_app(&mut self, place: usize) -> Policy {
        let apps = &self.namespace.apps;
        let Some(app) = apps.get(place % apps.len().max(1)) else { return deny(self.namespace, false) };
        let purpose = self.random.weighted([
            (20, Purpose::Receive),
            (10, Purpose::Send),
            (20, Purpose::Both),
            (9, Purpose::FromTeam),
            (5, Purpose::ToTeam),
            (8, Purpose::Internet),
            (8, Purpose::Partner),
            (5, Purpose::Range),
            (5, Purpose::Statsd),
            (8, Purpose::Tiers),
            (4, Purpose::Nodes),
        ]);
        let subject = is("app", label(app));
        let (what, subject, ingress, egress) = match purpose {
            Purpose::Receive => ("in", subject, Some(self.receive(place, app)), None),
            Purpose::Send => ("out", subject, None, Some(self.send(place))),
            Purpose::Both => {
                let mut egress = self.send(place);
                if self.random.chance(30) {
                    egress.extend(self.internet());
                }
                ("app", subject, Some(self.receive(place, app)), Some(egress))
            }
            Purpose::FromTeam => {
                let peer = self.other_team();
                ("from-team", subject, Some(vec![rule([peer], [port_of(app)])]), None)
            }
            Purpose::ToTeam => {
                let peer = self.other_team();
                ("to-team", subject, None, Some(vec![rule([peer], [PortItem::Named("TCP", "http")])]))
            }
            Purpose::Internet => ("to-internet", subject, None, Some(self.internet())),
            Purpose::Partner => ("partner", subject, None, Some(self.partner())),
            Purpose::Range => {
                let first = self.random.one_of([30_000, 32_768, 49_152]);
                let passive = [PortItem::Range("TCP", first, first + 255), PortItem::Number("TCP", 21)];
                ("passive", subject, None, Some(vec![rule([here(is("tier", "backend"))], passive)]))
            }
            Purpose::Statsd => {
                let rules = vec![rule([here(vec![])], [PortItem::Number("UDP", 8125)])];
                ("statsd", is("app", "collector"), Some(rules), None)
            }
            Purpose::Tiers => {
                let (subject, rules) = self.tiers();
                ("tiers", subject, Some(rules), None)
            }
            Purpose::Nodes => {
                let mut nodes = vec![block("172.20.0.0/16", &[])];
                nodes.extend(self.cluster.size.dual_stack.then(|| block("fd00:20::/32", &[])));
                ("probes", subject, Some(vec![Rule { peers: nodes, ports: vec![METRICS] }]), None)
            }
        };
        policy(self.namespace, format!("{}-{what}-{place}", app.name), subject, ingress, egress)
    }

    /// Who calls the app at that place: its callers, and what comes in from outside for what people see.
    fn receive(&self, place: usize, app: &App) -> Vec<Rule> {
        let apps = &self.namespace.apps;
        let callers = CALLS.map(|step| (place + apps.len() - step % apps.len()) % apps.len());
        let callers = callers.into_iter().filter_map(|caller| apps.get(caller)).map(|app| here(is("app", label(app))));
        let mut rules = vec![Rule { peers: callers.collect(), ports: vec![port_of(app)] }];
        if app.label("tier") == Some("frontend") {
            let ingress = elsewhere(is(METADATA_NAME, "ingress-nginx"), is("app.kubernetes.io/name", "ingress-nginx"));
            rules.push(rule([ingress], [port_of(app)]));
        }
        rules
    }

    /// Whom the app at that place calls.
    fn send(&self, place: usize) -> Vec<Rule> {
        let apps = &self.namespace.apps;
        let called = CALLS.into_iter().filter_map(|step| apps.get((place + step) % apps.len()));
        called.map(|to| rule([here(is("app", label(to)))], [port_of(to)])).collect()
    }

    /// Pods of another team, or of the same one in other namespaces.
    fn other_team(&mut self) -> Peer {
        let mut teams = self.cluster.namespaces.iter().filter_map(|namespace| match namespace.role {
            Role::Team { team, .. } => Some(team),
            Role::System | Role::Ingress | Role::Monitoring => None,
        });
        let last = teams.next_back().unwrap_or(0);
        let mut namespaces = is("team", &team_name(self.random.below(last + 1)));
        if self.random.chance(50) {
            namespaces.push(Term::In("env", vec!["prod".to_owned(), "staging".to_owned()]));
        } else {
            namespaces.push(Term::NotIn("env", vec!["dev".to_owned(), "staging".to_owned()]));
        }
        elsewhere(namespaces, is("app", self.random.one_of(["web", "api", "worker", "auth"])))
    }

    /// The internet, without what is private.
    fn internet(&self) -> Vec<Rule> {
        let mut peers = vec![block("0.0.0.0/0", &PRIVATE)];
        peers.extend(self.cluster.size.dual_stack.then(|| block("::/0", &["fc00::/7"])));
        vec![Rule { peers, ports: vec![PortItem::Number("TCP", 443)] }]
    }

    /// A network of somebody else. There are more of these in larger clusters, and several use each.
    fn partner(&mut self) -> Vec<Rule> {
        let number = self.random.below((self.cluster.size.policies / 50).clamp(8, 512));
        let (second, third) = (18 + (number >> 8), number & 255);
        let cidr = format!("198.{second}.{third}.0/24");
        let one = format!("198.{second}.{third}.{}/32", 1 + self.random.below(6));
        let except: &[&str] = if self.random.chance(25) { &[&one] } else { &[] };
        let mut peers = vec![block(&cidr, except)];
        if self.cluster.size.dual_stack && self.random.chance(50) {
            peers.push(block(&format!("2001:db8:{number:x}::/48"), &[]));
        }
        let port = self.random.one_of([443, 5432, 8443, 9092]);
        vec![Rule { peers, ports: vec![PortItem::Number("TCP", port)] }]
    }

    /// Tier to tier, by expressions.
    fn tiers(&mut self) -> (Selector, Vec<Rule>) {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let http = PortItem::Named("TCP", "http");
        match self.random.below(3) {
            0 => {
                let subject = vec![Term::In("tier", words(&["backend", "infra"]))];
                (subject, vec![rule([here(vec![Term::In("tier", words(&["frontend", "backend"]))])], [http])])
            }
            1 => {
                let subject = vec![Term::Is("tier", "data".to_owned()), Term::Exists("version")];
                let from = vec![Term::NotIn("tier", words(&["frontend", "infra"])), Term::Exists("app")];
                let ports = [5432, 6379, 5672].map(|port| PortItem::Number("TCP", port));
                (subject, vec![rule([here(from)], ports)])
            }
            _ => {
                let from = vec![Term::NotIn("version", words(&["v1"])), Term::Is("tier", "backend".to_owned())];
                (is("tier", "backend"), vec![rule([here(from)], [http])])
            }
        }
    }
}

fn label(app: &App) -> &str {
    app.label("app").unwrap_or("web")
}

/// The port that an app is there for; about half of them say http by its name.
fn port_of(app: &App) -> PortItem {
    match app.ports.first() {
        Some(port) if port.name == "http" && app.replicas.is_multiple_of(2) => {
            PortItem::Named(port.protocol, port.name)
        }
        Some(port) => PortItem::Number(port.protocol, port.number),
        None => METRICS,
    }
}

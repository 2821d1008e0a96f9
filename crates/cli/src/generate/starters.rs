//! The starters: each a policy, and the words above it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use palisade_engine::model::{
    LabelSelector, Name, NamespaceScope, NetworkPolicy, ObjectRef, Peer, PolicyPort, PolicyRule, PolicyTypes,
    PortMatch, PortRange, Protocol, Requirement,
};
use palisade_suggest::yaml::Remarks;

use crate::{
    args::{Generate, Starter},
    endpoint::{PortName, parse_port},
};

/// The label of every namespace, its name (Kubernetes 1.22).
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
const BOTH: PolicyTypes = PolicyTypes { ingress: true, egress: true };
const INGRESS: PolicyTypes = PolicyTypes { ingress: true, egress: false };
const EGRESS: PolicyTypes = PolicyTypes { ingress: false, egress: true };

type Document = (NetworkPolicy, Remarks);

/// The policies of all starters that were asked for, each once.
///
/// # Errors
/// When labels or a port are none.
pub(super) fn policies(arguments: &Generate) -> Result<Vec<Document>> {
    let mut asked: BTreeSet<Starter> = arguments.starters.iter().copied().collect();
    if asked.contains(&Starter::ThreeTier) {
        asked.extend([Starter::DefaultDeny, Starter::Dns]);
    }
    if asked.contains(&Starter::DefaultDeny) {
        // It holds both of these.
        asked.retain(|starter| !matches!(starter, Starter::DefaultDenyIngress | Starter::DefaultDenyEgress));
    }
    let namespace = Name::from(arguments.namespace.as_deref().unwrap_or("default"));
    let maker = Maker { namespace, opens_dns: asked.contains(&Starter::Dns), arguments };
    let mut documents = Vec::new();
    for starter in asked {
        match starter {
            Starter::DefaultDeny => documents.push(maker.deny("default-deny", BOTH)),
            Starter::DefaultDenyIngress => documents.push(maker.deny("default-deny-ingress", INGRESS)),
            Starter::DefaultDenyEgress => documents.push(maker.deny("default-deny-egress", EGRESS)),
            Starter::Dns => documents.push(maker.dns()),
            Starter::SameNamespace => documents.push(maker.same_namespace()),
            Starter::FromIngressController => documents.push(maker.from(
                "from-ingress-controller",
                &arguments.ingress_controller,
                &ports(&arguments.ingress_port, "--ingress-port")?,
            )?),
            Starter::FromMonitoring => documents.push(maker.from(
                "from-monitoring",
                &arguments.monitoring,
                &ports(&arguments.monitoring_port, "--monitoring-port")?,
            )?),
            Starter::ThreeTier => documents.extend(maker.three_tier()?),
        }
    }
    Ok(documents)
}

struct Maker<'a> {
    namespace: Name,
    opens_dns: bool,
    arguments: &'a Generate,
}

impl Maker<'_> {
    fn deny(&self, name: &str, types: PolicyTypes) -> Document {
        let (what, how) = match (types.ingress, types.egress) {
            (true, true) => ("Nothing passes to or from any pod of the namespace", "both ways"),
            (true, false) => ("Nothing passes to any pod of the namespace", "for ingress"),
            _ => ("Nothing passes from any pod of the namespace", "for egress"),
        };
        let above = [
            format!("{what} but what other policies allow: it selects"),
            format!("all of them, isolates them {how}, and has no rule. Pods that come later are isolated, too."),
        ];
        let remarks = if types.egress { self.without_names(said(above)) } else { said(above) };
        (self.policy(name, LabelSelector::everything(), types, Vec::new(), Vec::new()), remarks)
    }

    /// Says that names cannot be resolved, unless they can.
    fn without_names(&self, mut remarks: Remarks) -> Remarks {
        if !self.opens_dns {
            remarks.above.push("Names cannot be resolved under it alone; the starter `dns` allows that.".to_owned());
            remarks.ignored.push(("NP103", "names are for another policy to allow"));
        }
        remarks
    }

    fn dns(&self) -> Document {
        let above = [
            "Every pod may ask the cluster's DNS: over UDP, and over TCP where an answer is too long for UDP.",
            "It isolates egress: what no other policy allows from these pods is denied.",
        ];
        let peer = Peer::Pods {
            namespaces: NamespaceScope::Matching(labels([(NAMESPACE_NAME, "kube-system")])),
            pods: labels([("k8s-app", "kube-dns")]),
            at: None,
        };
        let ports = [Protocol::Udp, Protocol::Tcp].map(|protocol| number(protocol, 53)).into();
        let rules = vec![PolicyRule { peers: vec![peer], ports, at: None }];
        (self.policy("dns", LabelSelector::everything(), EGRESS, Vec::new(), rules), said(above))
    }

    fn same_namespace(&self) -> Document {
        let above = [
            "The pods of the namespace may reach each other, on every port.",
            "Both halves are here, since it isolates both ends: egress of the one, ingress of the other.",
        ];
        let rule = || vec![rule(own(LabelSelector::everything()), Vec::new())];
        let remarks = self.without_names(said(above));
        (self.policy("same-namespace", LabelSelector::everything(), BOTH, rule(), rule()), remarks)
    }

    fn from(&self, name: &str, namespace: &str, ports: &[PolicyPort]) -> Result<Document> {
        let subject = match &self.arguments.select {
            Some(text) => selector(text).with_context(|| format!("--select {text}"))?,
            None => LabelSelector::everything(),
        };
        let who = if subject.is_everything() { "every pod of the namespace" } else { "the selected pods" };
        let where_to = if ports.is_empty() { "on every port" } else { "on these ports" };
        let above = [
            format!("The pods of the namespace {namespace} may reach {who}, {where_to}."),
            "It isolates ingress: what no other policy allows to these pods is denied.".to_owned(),
        ];
        let peer = Peer::Pods {
            namespaces: NamespaceScope::Matching(labels([(NAMESPACE_NAME, namespace)])),
            pods: LabelSelector::everything(),
            at: None,
        };
        let rules = vec![rule(peer, ports.to_vec())];
        Ok((self.policy(name, subject, INGRESS, rules, Vec::new()), said(above)))
    }

    fn three_tier(&self) -> Result<Vec<Document>> {
        let arguments = self.arguments;
        let frontend = Tier::parse(&arguments.frontend, "--frontend")?;
        let backend = Tier::parse(&arguments.backend, "--backend")?;
        let database = Tier::parse(&arguments.database, "--database")?;
        let controller = Peer::Pods {
            namespaces: NamespaceScope::Matching(labels([(NAMESPACE_NAME, arguments.ingress_controller.as_str())])),
            pods: LabelSelector::everything(),
            at: None,
        };
        let to = |tier: &Tier| vec![rule(own(tier.pods.clone()), vec![tier.port.clone()])];
        let from = |peer: Peer, tier: &Tier| vec![rule(peer, vec![tier.port.clone()])];
        let front = self.policy("frontend", frontend.pods.clone(), BOTH, from(controller, &frontend), to(&backend));
        let back =
            self.policy("backend", backend.pods.clone(), BOTH, from(own(frontend.pods), &backend), to(&database));
        let data =
            self.policy("database", database.pods.clone(), INGRESS, from(own(backend.pods), &database), Vec::new());
        let controller = &arguments.ingress_controller;
        Ok(vec![
            (
                front,
                said([format!("The front end: reached through {controller} alone, and reaches the back end alone.")]),
            ),
            (back, said(["The back end: reached by the front end alone, and reaches the database alone."])),
            (data, said(["The database: reached by the back end alone. It opens no connection but for names."])),
        ])
    }

    fn policy(
        &self,
        name: &str,
        subject: LabelSelector,
        types: PolicyTypes,
        ingress: Vec<PolicyRule>,
        egress: Vec<PolicyRule>,
    ) -> NetworkPolicy {
        NetworkPolicy {
            id: ObjectRef::new(self.namespace.clone(), name),
            annotations: Default::default(),
            mode: None,
            subject,
            policy_types: Some(types),
            ingress,
            egress,
            at: None,
        }
    }
}

/// One of three tiers.
struct Tier {
    pods: LabelSelector,
    port: PolicyPort,
}

impl Tier {
    /// `app=frontend:8080`
    fn parse(text: &str, flag: &str) -> Result<Self> {
        let parse = || -> Result<Self> {
            let (pods, port) = text.rsplit_once(':').context("write LABELS:PORT, as in app=web:8080")?;
            Ok(Self { pods: selector(pods)?, port: port_of(port)? })
        };
        parse().with_context(|| format!("{flag} {text}"))
    }
}

fn said<T: Into<String>>(lines: impl IntoIterator<Item = T>) -> Remarks {
    Remarks { above: lines.into_iter().map(Into::into).collect(), ..Remarks::default() }
}

fn labels<'l>(pairs: impl IntoIterator<Item = (&'l str, &'l str)>) -> LabelSelector {
    let mut selector = LabelSelector::everything();
    selector.requirements = pairs.into_iter().map(|(key, value)| Requirement::equals(key, value)).collect();
    selector
}

/// `app=web,tier=front`
fn selector(text: &str) -> Result<LabelSelector> {
    let mut pairs = Vec::new();
    for pair in text.split(',') {
        let (key, value) =
            pair.trim().split_once('=').with_context(|| format!("`{pair}` is no label: write KEY=VALUE"))?;
        if key.is_empty() {
            bail!("`{pair}` is no label: write KEY=VALUE");
        }
        if pairs.iter().any(|(known, _)| *known == key) {
            bail!("the label `{key}` is given twice");
        }
        pairs.push((key, value));
    }
    Ok(labels(pairs))
}

/// Pods of the policy's own namespace.
fn own(pods: LabelSelector) -> Peer {
    Peer::Pods { namespaces: NamespaceScope::Own, pods, at: None }
}

fn rule(peer: Peer, ports: Vec<PolicyPort>) -> PolicyRule {
    PolicyRule { peers: vec![peer], ports, at: None }
}

fn number(protocol: Protocol, port: u16) -> PolicyPort {
    PolicyPort { protocol, port: PortMatch::Range(PortRange::single(port)), at: None }
}

fn ports(texts: &[String], flag: &str) -> Result<Vec<PolicyPort>> {
    texts.iter().map(|text| port_of(text).with_context(|| format!("{flag} {text}"))).collect()
}

fn port_of(text: &str) -> Result<PolicyPort> {
    match parse_port(text)? {
        PortName::Number(port, protocol) => Ok(number(protocol, port)),
        PortName::Named(name, protocol) => Ok(PolicyPort {
            protocol: protocol.unwrap_or(Protocol::Tcp),
            port: PortMatch::Named(name.into()),
            at: None,
        }),
        PortName::Icmp => bail!("rules of ports cannot name ICMP"),
    }
}

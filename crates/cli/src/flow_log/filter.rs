//! Which lines are shown: by verdict, ends and port.

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use palisade_agent::flow_log::record::{FlowEnd, FlowProtocol, FlowRecord, FlowVerdict, PodEnd, Who};
use palisade_engine::model::{Protocol, WorkloadKind};

use crate::{
    args::Flows,
    endpoint::{EndName, Kind, PortName, parse_end, parse_port},
};

/// What a line has to be.
#[derive(Debug)]
pub(super) struct Filter {
    verdict: Option<FlowVerdict>,
    from: Vec<End>,
    to: Vec<End>,
    ports: Vec<Port>,
}

/// An end as typed. A line has the names that it was logged with, so there is no cluster to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Network(IpNet),
    Namespace(String),
    Outside,
    Node(String),
    /// Pods and workloads of that name; without a namespace of every one.
    Named(Option<String>, String),
    Pod(Option<String>, String),
    Workload(Option<String>, WorkloadKind, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Number(u16, Option<Protocol>),
    Icmp,
}

impl Filter {
    /// The filter of the arguments.
    ///
    /// # Errors
    /// When an end or a port is none, or none that a line could have.
    pub(super) fn of(arguments: &Flows) -> Result<Self> {
        let ends = |texts: &[String], flag: &str| {
            texts.iter().map(|text| end(text).with_context(|| format!("--{flag} {text}"))).collect::<Result<Vec<_>>>()
        };
        let ports = arguments.port.iter().map(|text| port(text).with_context(|| format!("--port {text}")));
        let verdict = match (arguments.denied, arguments.accepted, arguments.would_deny) {
            (true, ..) => Some(FlowVerdict::Denied),
            (_, true, _) => Some(FlowVerdict::Accepted),
            (.., true) => Some(FlowVerdict::WouldDeny),
            _ => None,
        };
        let (from, to) = (ends(&arguments.from, "from")?, ends(&arguments.to, "to")?);
        Ok(Self { verdict, from, to, ports: ports.collect::<Result<_>>()? })
    }

    /// Whether a line is one of those that are wanted.
    pub(super) fn takes(&self, record: &FlowRecord) -> bool {
        let any = |ends: &[End], end: &FlowEnd| ends.is_empty() || ends.iter().any(|known| known.is(end));
        self.verdict.is_none_or(|verdict| verdict == record.verdict)
            && any(&self.from, &record.src)
            && any(&self.to, &record.dst)
            && (self.ports.is_empty() || self.ports.iter().any(|port| port.is(record)))
    }
}

impl End {
    fn is(&self, end: &FlowEnd) -> bool {
        let pod = match &end.who {
            Who::Pod(pod) => Some(pod),
            Who::Node { .. } | Who::Outside {} => None,
        };
        let within = |namespace: &Option<String>, pod: &PodEnd| {
            namespace.as_ref().is_none_or(|namespace| *namespace == pod.namespace)
        };
        match self {
            Self::Network(network) => network.contains(&end.ip),
            Self::Namespace(name) => pod.is_some_and(|pod| pod.namespace == *name),
            Self::Outside => matches!(end.who, Who::Outside {}),
            Self::Node(name) => matches!(&end.who, Who::Node { node } if node == name),
            Self::Named(namespace, name) => match pod {
                Some(pod) => {
                    let workload = pod.workload.as_deref().and_then(|workload| workload.split_once('/'));
                    within(namespace, pod) && (pod.pod == *name || workload.is_some_and(|(_, known)| known == name))
                }
                None => namespace.is_none() && Self::Node(name.clone()).is(end),
            },
            Self::Pod(namespace, name) => pod.is_some_and(|pod| within(namespace, pod) && pod.pod == *name),
            Self::Workload(namespace, kind, name) => pod.is_some_and(|pod| {
                within(namespace, pod) && pod.workload.as_deref() == Some(format!("{kind}/{name}").as_str())
            }),
        }
    }
}

impl Port {
    fn is(self, record: &FlowRecord) -> bool {
        match self {
            Self::Number(number, protocol) => {
                record.dst.port == Some(number)
                    && protocol.is_none_or(|protocol| record.protocol == FlowProtocol::WithPorts(protocol))
            }
            Self::Icmp => matches!(record.protocol, FlowProtocol::Icmp | FlowProtocol::Icmpv6),
        }
    }
}

fn end(text: &str) -> Result<End> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(End::Network(network.trunc()));
    }
    Ok(match parse_end(text)? {
        EndName::Address(address) => End::Network(IpNet::from(address)),
        EndName::One(name) if name == "outside" => End::Outside,
        EndName::One(name) => End::Named(None, name),
        EndName::Two(kind, name) if matches!(kind.as_str(), "ns" | "namespace" | "namespaces") => End::Namespace(name),
        EndName::Two(first, name) => match Kind::parse(&first) {
            Some(kind) => of_kind(None, kind, name)?,
            None => End::Named(Some(first), name),
        },
        EndName::Three(namespace, kind, name) => of_kind(Some(namespace), kind, name)?,
    })
}

fn of_kind(namespace: Option<String>, kind: Kind, name: String) -> Result<End> {
    Ok(match kind {
        Kind::Pod => End::Pod(namespace, name),
        Kind::Workload(kind) => End::Workload(namespace, kind, name),
        Kind::Node => End::Node(name),
        Kind::Service => bail!("a packet goes to a pod behind the Service: name the pod or what makes it"),
    })
}

fn port(text: &str) -> Result<Port> {
    Ok(match parse_port(text)? {
        PortName::Number(number, protocol) => Port::Number(number, text.contains('/').then_some(protocol)),
        PortName::Icmp => Port::Icmp,
        PortName::Named(name, _) => bail!("a line has numbers, and `{name}` is the name of a port"),
    })
}

#[cfg(test)]
mod tests {
    use palisade_agent::flow_log::record::Line;

    use super::*;

    fn record() -> FlowRecord {
        let text = r#"{"v":1,"time":"2026-03-01T12:00:00Z","verdict":"denied","direction":"ingress","protocol":"UDP",
            "src":{"namespace":"prod","pod":"web-7c9f-x2x4p","workload":"deploy/web","ip":"10.244.1.7","port":43122},
            "dst":{"node":"node-2","ip":"192.168.0.2","port":53},
            "node":"node-2","isolatedBy":["prod/p"],"nearest":null,"suppressed":0}"#;
        match Line::parse(text).unwrap() {
            Line::Flow(record) => *record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ends_as_elsewhere() {
        let record = record();
        for yes in [
            "web",
            "web-7c9f-x2x4p",
            "prod/web",
            "prod/web-7c9f-x2x4p",
            "deploy/web",
            "prod/deploy/web",
            "ns/prod",
            "pod/web-7c9f-x2x4p",
            "10.244.1.7",
            "10.244.0.0/16",
            "::ffff:10.244.1.7",
        ] {
            assert!(end(yes).unwrap().is(&record.src), "{yes}");
        }
        for no in ["dev/web", "sts/web", "ns/dev", "pod/web", "outside", "node/web", "10.244.1.8", "fd00::/8", "we"] {
            assert!(!end(no).unwrap().is(&record.src), "{no}");
        }
        assert!(end("node/node-2").unwrap().is(&record.dst) && end("node-2").unwrap().is(&record.dst));
        for wrong in ["svc/web", "a/b/c", "", "web:80"] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_with_and_without_a_protocol() {
        let record = record();
        assert!(port("53").unwrap().is(&record) && port("53/udp").unwrap().is(&record));
        assert!(!port("53/tcp").unwrap().is(&record) && !port("icmp").unwrap().is(&record));
        assert!(port("dns").is_err() && port("0").is_err());
    }
}

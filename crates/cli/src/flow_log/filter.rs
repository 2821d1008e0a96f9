//! Which lines are shown: by verdict, ends and port.

use anyhow::{Context as _, Result, bail};
use ipnet::IpNet;
use palisade_engine::model::{Protocol, WorkloadKind};
use palisade_flows::{
    Connection, End as LoggedEnd, Flow, Subject,
    record::{FlowProtocol, FlowVerdict},
};

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
    pub(super) fn takes(&self, flow: &Flow) -> bool {
        self.verdict.is_none_or(|wanted| match wanted {
            FlowVerdict::Denied => flow.verdict == FlowVerdict::Denied,
            // What an audited policy would deny passes.
            FlowVerdict::Accepted => flow.verdict != FlowVerdict::Denied,
            FlowVerdict::WouldDeny => flow.verdict == FlowVerdict::WouldDeny,
        }) && self.is_about(&flow.source, &flow.destination, flow.protocol, flow.port)
    }

    /// Whether a connection is one of those that are wanted.
    pub(super) fn takes_connection(&self, connection: &Connection) -> bool {
        let Connection { source, destination, protocol, port, seen } = connection;
        self.verdict.is_none_or(|wanted| match wanted {
            FlowVerdict::Denied => seen.denied() > 0,
            FlowVerdict::Accepted => seen.egress > 0 || seen.ingress > 0,
            FlowVerdict::WouldDeny => seen.would_deny > 0,
        }) && self.is_about(source, destination, *protocol, *port)
    }

    fn is_about(&self, from: &LoggedEnd, to: &LoggedEnd, protocol: FlowProtocol, port: Option<u16>) -> bool {
        let any = |ends: &[End], end: &LoggedEnd| ends.is_empty() || ends.iter().any(|known| known.is(end));
        any(&self.from, from)
            && any(&self.to, to)
            && (self.ports.is_empty() || self.ports.iter().any(|known| known.is(protocol, port)))
    }
}

impl End {
    fn is(&self, end: &LoggedEnd) -> bool {
        let (namespace, pod, workload) = match &end.subject {
            Subject::Pod { namespace, pod, workload } => (Some(namespace), pod.as_deref(), workload.as_deref()),
            Subject::Node { .. } | Subject::Address => (None, None, None),
        };
        let within = |wanted: &Option<String>| {
            namespace.is_some_and(|known| wanted.as_ref().is_none_or(|namespace| namespace == known))
        };
        match self {
            Self::Network(network) => end.address.is_some_and(|address| network.contains(&address)),
            Self::Namespace(name) => namespace == Some(name),
            Self::Outside => end.subject == Subject::Address,
            Self::Node(name) => matches!(&end.subject, Subject::Node { node } if node == name),
            Self::Named(wanted, name) if namespace.is_some() => {
                let made_by = workload.and_then(|workload| workload.split_once('/'));
                within(wanted) && (pod == Some(name) || made_by.is_some_and(|(_, known)| known == name))
            }
            Self::Named(wanted, name) => wanted.is_none() && Self::Node(name.clone()).is(end),
            Self::Pod(wanted, name) => within(wanted) && pod == Some(name),
            Self::Workload(wanted, kind, name) => within(wanted) && workload == Some(format!("{kind}/{name}").as_str()),
        }
    }
}

impl Port {
    fn is(self, protocol: FlowProtocol, port: Option<u16>) -> bool {
        match self {
            Self::Number(number, wanted) => {
                port == Some(number) && wanted.is_none_or(|wanted| protocol == FlowProtocol::WithPorts(wanted))
            }
            Self::Icmp => matches!(protocol, FlowProtocol::Icmp | FlowProtocol::Icmpv6),
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
    use palisade_flows::record::Line;

    use super::*;

    fn flow() -> Flow {
        let text = r#"{"v":1,"time":"2026-03-01T12:00:00Z","verdict":"denied","direction":"ingress","protocol":"UDP",
            "src":{"namespace":"prod","pod":"web-7c9f-x2x4p","workload":"deploy/web","ip":"10.244.1.7","port":43122},
            "dst":{"node":"node-2","ip":"192.168.0.2","port":53},
            "node":"node-2","isolatedBy":["prod/p"],"nearest":null,"suppressed":0}"#;
        match Line::parse(text).unwrap() {
            Line::Flow(record) => (*record).into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ends_as_elsewhere() {
        let flow = flow();
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
            assert!(end(yes).unwrap().is(&flow.source), "{yes}");
        }
        for no in ["dev/web", "sts/web", "ns/dev", "pod/web", "outside", "node/web", "10.244.1.8", "fd00::/8", "we"] {
            assert!(!end(no).unwrap().is(&flow.source), "{no}");
        }
        assert!(end("node/node-2").unwrap().is(&flow.destination) && end("node-2").unwrap().is(&flow.destination));
        for wrong in ["svc/web", "a/b/c", "", "web:80"] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_with_and_without_a_protocol() {
        let flow = flow();
        let is = |text| port(text).unwrap().is(flow.protocol, flow.port);
        assert!(is("53") && is("53/udp"));
        assert!(!is("53/tcp") && !is("icmp"));
        assert!(port("dns").is_err() && port("0").is_err());
    }
}

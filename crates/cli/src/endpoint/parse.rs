//! `[NAMESPACE/][KIND/]NAME[:PORT[/PROTO]]`, or an address.

use std::{fmt, net::IpAddr};

use anyhow::{Result, bail};
use palisade_engine::model::{Protocol, WorkloadKind};

/// An end as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndName {
    /// An IP address.
    Address(IpAddr),
    /// `NAME`.
    One(String),
    /// `A/NAME`: A is a kind or a namespace.
    Two(String, String),
    /// `NAMESPACE/KIND/NAME`.
    Three(String, Kind, String),
}

/// An end and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) end: EndName,
    pub(crate) port: Option<PortName>,
}

/// A port as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PortName {
    /// A number.
    Number(u16, Protocol),
    /// A name; without a protocol whichever the port has.
    Named(String, Option<Protocol>),
    /// ICMP, which has none.
    Icmp,
}

/// A kind that an end can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Pod,
    Workload(WorkloadKind),
    Service,
    Node,
}

impl Kind {
    /// kubectl's names: kind, plural and short name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "pod" | "pods" | "po" => Self::Pod,
            "deployment" | "deployments" | "deploy" => Self::Workload(WorkloadKind::Deployment),
            "statefulset" | "statefulsets" | "sts" => Self::Workload(WorkloadKind::StatefulSet),
            "daemonset" | "daemonsets" | "ds" => Self::Workload(WorkloadKind::DaemonSet),
            "replicaset" | "replicasets" | "rs" => Self::Workload(WorkloadKind::ReplicaSet),
            "replicationcontroller" | "replicationcontrollers" | "rc" => {
                Self::Workload(WorkloadKind::ReplicationController)
            }
            "job" | "jobs" => Self::Workload(WorkloadKind::Job),
            "cronjob" | "cronjobs" | "cj" => Self::Workload(WorkloadKind::CronJob),
            "service" | "services" | "svc" => Self::Service,
            "node" | "nodes" | "no" => Self::Node,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("pod"),
            Self::Workload(kind) => f.write_str(kind.short()),
            Self::Service => f.write_str("svc"),
            Self::Node => f.write_str("node"),
        }
    }
}

/// Parses an end without a port.
pub(crate) fn parse_end(text: &str) -> Result<EndName> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok(EndName::Address(canonical(address)));
    }
    let parts: Vec<&str> = text.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        bail!("`{text}` is no end of a connection: write [NAMESPACE/][KIND/]NAME or an IP address");
    }
    if let [address, length] = parts.as_slice()
        && address.parse::<IpAddr>().is_ok()
        && length.bytes().all(|byte| byte.is_ascii_digit())
    {
        bail!("`{text}` is a network, and an end is one address: name one of its addresses");
    }
    if let Some(bad) = parts.iter().find(|part| part.contains([':', '[', ']', ' '])) {
        bail!("`{bad}` in `{text}` is no name; a port belongs to the end that receives the connection, as NAME:PORT");
    }
    match parts.as_slice() {
        [name] => Ok(EndName::One((*name).to_owned())),
        [first, name] => Ok(EndName::Two((*first).to_owned(), (*name).to_owned())),
        [namespace, kind, name] => match Kind::parse(kind) {
            Some(kind) => Ok(EndName::Three((*namespace).to_owned(), kind, (*name).to_owned())),
            None => bail!(
                "`{kind}` in `{text}` is no kind that has addresses: pod, deploy, sts, ds, rs, rc, job, cj, svc or node"
            ),
        },
        _ => bail!("`{text}` has too many parts: write [NAMESPACE/][KIND/]NAME"),
    }
}

/// Parses an end with or without a port.
pub(crate) fn parse_target(text: &str) -> Result<Target> {
    if text.parse::<IpAddr>().is_ok() {
        return Ok(Target { end: parse_end(text)?, port: None });
    }
    let (end, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => match port.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None => bail!("`{text}`: after the `]` of an IPv6 address comes `:` and a port"),
        },
        None => match text.split_once(':') {
            Some((end, port)) => (end, Some(port)),
            None => (text, None),
        },
    };
    Ok(Target { end: parse_end(end)?, port: port.map(parse_port).transpose()? })
}

/// Parses a port without the `:` before it.
pub(crate) fn parse_port(text: &str) -> Result<PortName> {
    if text.is_empty() {
        bail!("there is no port behind the `:`: write :8080, :8080/udp, :http or :icmp");
    }
    let (port, protocol) = match text.split_once('/') {
        Some((port, protocol)) => (port, Some(protocol)),
        None => (text, None),
    };
    if port.eq_ignore_ascii_case("icmp") || (port == "-" && protocol.is_some_and(|p| p.eq_ignore_ascii_case("icmp"))) {
        return Ok(PortName::Icmp);
    }
    let protocol = match protocol {
        None => None,
        Some(text) => match Protocol::parse(&text.to_ascii_uppercase()) {
            None => bail!("`{text}` is no protocol with ports: tcp, udp or sctp (and `:icmp` without a port)"),
            found => found,
        },
    };
    // A name has a letter, or it is none.
    if !port.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return match port.parse::<u16>() {
            Ok(number) if number > 0 => Ok(PortName::Number(number, protocol.unwrap_or(Protocol::Tcp))),
            _ => bail!("`{port}` is no port: a number from 1 to 65535, or a port's name"),
        };
    }
    Ok(PortName::Named(port.to_owned(), protocol))
}

/// An IPv4 address in IPv6 clothes is the IPv4 address.
fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

impl fmt::Display for EndName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::One(name) => f.write_str(name),
            Self::Two(first, name) => write!(f, "{first}/{name}"),
            Self::Three(namespace, kind, name) => write!(f, "{namespace}/{kind}/{name}"),
        }
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number, protocol) => write!(f, "{protocol} {number}"),
            Self::Named(name, Some(protocol)) => write!(f, "{protocol} {name}"),
            Self::Named(name, None) => f.write_str(name),
            Self::Icmp => f.write_str("ICMP"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        parse_target(text).unwrap()
    }

    #[test]
    fn names() {
        assert_eq!(target("web").end, EndName::One("web".into()));
        assert_eq!(target("prod/web").end, EndName::Two("prod".into(), "web".into()));
        let deploy = Kind::Workload(WorkloadKind::Deployment);
        assert_eq!(target("prod/deployment/web").end, EndName::Three("prod".into(), deploy, "web".into()));
        for bad in ["", "/", "a//b", "a/b/c", "a/b/c/d", "a b", "a/configmap/b"] {
            assert!(parse_target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports() {
        assert_eq!(target("web:80").port, Some(PortName::Number(80, Protocol::Tcp)));
        assert_eq!(target("web:53/udp").port, Some(PortName::Number(53, Protocol::Udp)));
        assert_eq!(target("prod/web:http").port, Some(PortName::Named("http".into(), None)));
        assert_eq!(target("web:icmp").port, Some(PortName::Icmp));
        assert_eq!(target("web:-/ICMP").port, Some(PortName::Icmp));
        for bad in ["web:0", "web:65536", "web:80/http", "web:99999999999"] {
            assert!(parse_target(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert_eq!(target("203.0.113.9:443").end, EndName::Address("203.0.113.9".parse().unwrap()));
        assert_eq!(target("::1"), Target { end: EndName::Address("::1".parse().unwrap()), port: None });
        assert_eq!(target("[2001:db8::9]:443").port, Some(PortName::Number(443, Protocol::Tcp)));
        assert_eq!(target("::ffff:10.0.0.1").end, EndName::Address("10.0.0.1".parse().unwrap()));
        assert!(parse_target("[2001:db8::9]443").is_err());
    }
}

//! A NetworkPolicy as people write it.

use std::io::{self, Write};

#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subject: Selector,
    /// The rules of each direction that it has; a direction with no rule denies all.
    pub(crate) ingress: Option<Vec<Rule>>,
    pub(crate) egress: Option<Vec<Rule>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Rule {
    /// Nobody listed is anyone.
    pub(crate) peers: Vec<Peer>,
    /// None listed is every one.
    pub(crate) ports: Vec<PortItem>,
}

#[derive(Clone, Debug)]
pub(crate) enum Peer {
    Pods { namespaces: Option<Selector>, pods: Option<Selector> },
    Block { cidr: String, except: Vec<String> },
}

/// All of the terms; none is everything.
pub(crate) type Selector = Vec<Term>;

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Is(&'static str, String),
    In(&'static str, Vec<String>),
    NotIn(&'static str, Vec<String>),
    Exists(&'static str),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PortItem {
    Number(&'static str, u16),
    Range(&'static str, u16, u16),
    Named(&'static str, &'static str),
}

impl Policy {
    pub(crate) fn write<W: Write>(&self, out: &mut W, created: &str, uid: &str) -> io::Result<()> {
        write!(
            out,
            "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  creationTimestamp: {created}
  generation: 1
  labels:
    app.kubernetes.io/managed-by: Helm
  name: {}
  namespace: {}
  uid: {uid}
spec:
",
            self.name, self.namespace
        )?;
        rules(out, "egress", "to", self.egress.as_deref().unwrap_or_default())?;
        rules(out, "ingress", "from", self.ingress.as_deref().unwrap_or_default())?;
        selector(out, 2, "podSelector", &self.subject)?;
        writeln!(out, "  policyTypes:")?;
        for (is, name) in [(self.ingress.is_some(), "Ingress"), (self.egress.is_some(), "Egress")] {
            if is {
                writeln!(out, "  - {name}")?;
            }
        }
        Ok(())
    }
}

fn rules<W: Write>(out: &mut W, field: &str, peers_field: &str, rules: &[Rule]) -> io::Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    writeln!(out, "  {field}:")?;
    for rule in rules {
        let mut dash = "- ";
        if !rule.peers.is_empty() {
            writeln!(out, "  {dash}{peers_field}:")?;
            dash = "  ";
            for peer in &rule.peers {
                write_peer(out, peer)?;
            }
        }
        if !rule.ports.is_empty() {
            writeln!(out, "  {dash}ports:")?;
            dash = "  ";
            for port in &rule.ports {
                write_port(out, *port)?;
            }
        }
        if dash == "- " {
            writeln!(out, "  - {{}}")?;
        }
    }
    Ok(())
}

fn write_peer<W: Write>(out: &mut W, peer: &Peer) -> io::Result<()> {
    match peer {
        Peer::Pods { namespaces, pods } => {
            // The dash of the item is written in place of the first field's indentation.
            let mut text = Vec::new();
            for (field, terms) in [("namespaceSelector", namespaces), ("podSelector", pods)] {
                if let Some(terms) = terms {
                    selector(&mut text, 6, field, terms)?;
                }
            }
            out.write_all(b"    - ")?;
            out.write_all(text.trim_ascii_start())
        }
        Peer::Block { cidr, except } => {
            write!(out, "    - ipBlock:\n        cidr: {cidr}\n")?;
            if !except.is_empty() {
                writeln!(out, "        except:")?;
            }
            for cidr in except {
                writeln!(out, "        - {cidr}")?;
            }
            Ok(())
        }
    }
}

fn write_port<W: Write>(out: &mut W, port: PortItem) -> io::Result<()> {
    match port {
        PortItem::Number(protocol, number) => {
            writeln!(out, "    - port: {number}\n      protocol: {protocol}")
        }
        PortItem::Range(protocol, first, last) => {
            writeln!(out, "    - endPort: {last}\n      port: {first}\n      protocol: {protocol}")
        }
        PortItem::Named(protocol, name) => writeln!(out, "    - port: {name}\n      protocol: {protocol}"),
    }
}

fn selector<W: Write>(out: &mut W, indent: usize, field: &str, terms: &[Term]) -> io::Result<()> {
    if terms.is_empty() {
        return writeln!(out, "{:indent$}{field}: {{}}", "");
    }
    writeln!(out, "{:indent$}{field}:", "")?;
    let is_plain = |term: &&Term| matches!(term, Term::Is(..));
    if terms.iter().any(|term| !is_plain(&term)) {
        writeln!(out, "{:indent$}  matchExpressions:", "")?;
    }
    for term in terms {
        let (key, operator, values) = match term {
            Term::Is(..) => continue,
            Term::In(key, values) => (key, "In", values.as_slice()),
            Term::NotIn(key, values) => (key, "NotIn", values.as_slice()),
            Term::Exists(key) => (key, "Exists", [].as_slice()),
        };
        writeln!(out, "{:indent$}  - key: {key}\n{:indent$}    operator: {operator}", "", "")?;
        if !values.is_empty() {
            writeln!(out, "{:indent$}    values:", "")?;
        }
        for value in values {
            writeln!(out, "{:indent$}    - {value}", "")?;
        }
    }
    if terms.iter().any(|term| is_plain(&term)) {
        writeln!(out, "{:indent$}  matchLabels:", "")?;
    }
    for term in terms {
        if let Term::Is(key, value) = term {
            writeln!(out, "{:indent$}    {key}: {value}", "")?;
        }
    }
    Ok(())
}

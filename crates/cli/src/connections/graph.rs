//! The answer as a graph: what Graphviz, Mermaid and the picture are made of, and a Markdown table.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use palisade_engine::{
    Connections,
    connections::{EndSet, Members, OutsideMembers, Part, PodMembers, UnitKind},
};

use super::{names::Namer, table::Row, text::traffic};

/// The most edges that a picture can show.
const EDGES: usize = 2_000;

/// Nodes and labelled edges between them.
pub(crate) struct Graph {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// Who is at the end of an edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    /// The namespace that it is part of.
    pub(crate) namespace: Option<String>,
    /// Its name, within the namespace if it is part of one.
    pub(crate) name: String,
}

/// An arrow, between nodes by number.
pub(crate) struct Edge {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// What passes.
    pub(crate) label: String,
}

/// One row in words: sources, destinations, and what passes.
pub(crate) struct RowText {
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) traffic: String,
}

impl Graph {
    /// A node for each one who is named, an edge for each pair.
    ///
    /// # Errors
    /// When nobody could see anything in it.
    pub(crate) fn new(connections: &Connections, (from, to): (&Namer<'_>, &Namer<'_>), rows: &[Row]) -> Result<Self> {
        let rows: Vec<(Vec<Node>, Vec<Node>, String)> = rows
            .iter()
            .map(|row| (nodes(from, connections, &row.from), nodes(to, connections, &row.to), traffic(row)))
            .collect();
        let edges: usize = rows.iter().map(|(from, to, _)| from.len() * to.len()).sum();
        if edges > EDGES {
            bail!(
                "{edges} arrows make no picture (the most is {EDGES}): narrow it with --from, --to or --port, take --by \
                 namespace, or -o html, which folds"
            );
        }
        let all = rows.iter().flat_map(|(from, to, _)| from.iter().chain(to));
        let mut numbers: BTreeMap<&Node, usize> = all.map(|node| (node, 0)).collect();
        numbers.values_mut().enumerate().for_each(|(index, number)| *number = index);
        let mut labels: BTreeMap<(usize, usize), Vec<&str>> = BTreeMap::new();
        for (from, to, label) in &rows {
            for from in from.iter().filter_map(|node| numbers.get(node)) {
                for to in to.iter().filter_map(|node| numbers.get(node)) {
                    labels.entry((*from, *to)).or_default().push(label);
                }
            }
        }
        Ok(Self {
            nodes: numbers.into_keys().cloned().collect(),
            edges: labels.into_iter().map(|((from, to), all)| Edge { from, to, label: all.join("; ") }).collect(),
        })
    }

    /// For `dot`.
    pub(crate) fn dot(&self) -> String {
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        let mut text = "digraph connections {\n  rankdir=LR\n  ranksep=1.2\n  fontname=\"sans-serif\"\n  \
                        node [shape=box, style=\"rounded,filled\", fillcolor=\"#eef3fc\", color=\"#5b7fc7\", \
                        fontname=\"sans-serif\", fontsize=12]\n  edge [color=\"#6b7280\", fontname=\"sans-serif\", \
                        fontsize=10]\n"
            .to_owned();
        for (number, (namespace, members)) in self.by_namespace().into_iter().enumerate() {
            let indent = if let Some(namespace) = namespace {
                text.push_str(&format!(
                    "  subgraph cluster_{number} {{\n    label=\"{}\"\n    style=\"rounded,filled\"\n    \
                     fillcolor=\"#f8fafc\"\n    color=\"#cbd5e1\"\n    fontsize=11\n",
                    quoted(namespace)
                ));
                "    "
            } else {
                "  "
            };
            for (index, name) in members {
                text.push_str(&format!(
                    "{indent}n{index} [label=\"{}\"]\n",
                    quoted(&broken(name, "\n")).replace('\n', "\\n")
                ));
            }
            if namespace.is_some() {
                text.push_str("  }\n");
            }
        }
        for Edge { from, to, label } in &self.edges {
            text.push_str(&format!("  n{from} -> n{to} [label=\"{}\"]\n", quoted(label)));
        }
        text.push_str("}\n");
        text
    }

    /// For whatever draws ```` ```mermaid ````.
    pub(crate) fn mermaid(&self) -> String {
        let quoted = |text: &str| text.replace('&', "&amp;").replace('"', "#quot;").replace('<', "&lt;");
        let mut text = "flowchart LR\n".to_owned();
        for (number, (namespace, members)) in self.by_namespace().into_iter().enumerate() {
            let indent = if let Some(namespace) = namespace {
                text.push_str(&format!("  subgraph g{number}[\"{}\"]\n", quoted(namespace)));
                "    "
            } else {
                "  "
            };
            for (index, name) in members {
                text.push_str(&format!(
                    "{indent}n{index}[\"{}\"]\n",
                    quoted(&broken(name, "\n")).replace('\n', "<br>")
                ));
            }
            if namespace.is_some() {
                text.push_str("  end\n");
            }
        }
        for Edge { from, to, label } in &self.edges {
            text.push_str(&format!("  n{from} -->|\"{}\"| n{to}\n", quoted(label)));
        }
        text
    }

    /// The nodes, in the order of their namespaces and names; who has no namespace first.
    pub(crate) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The edges.
    pub(crate) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    fn by_namespace(&self) -> BTreeMap<Option<&str>, Vec<(usize, &str)>> {
        let mut groups: BTreeMap<Option<&str>, Vec<(usize, &str)>> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            groups.entry(node.namespace.as_deref()).or_default().push((index, &node.name));
        }
        groups
    }
}

/// The members of a set, each by itself; what stands for many stays one.
fn nodes(namer: &Namer<'_>, connections: &Connections, set: &EndSet) -> Vec<Node> {
    let members = namer.groups.name(connections, set);
    let free = |name| Node { namespace: None, name };
    let PodMembers::Parts(parts) = &members.pods else { return namer.texts(&members).into_iter().map(free).collect() };
    let mut nodes: Vec<Node> = parts.iter().map(|part| of_part(namer, part)).collect();
    let rest = Members { pods: PodMembers::None, ..members.clone() };
    nodes.extend(namer.texts(&rest).into_iter().map(free));
    nodes
}

fn of_part(namer: &Namer<'_>, part: &Part) -> Node {
    let only = |part: &Part| {
        let pods = PodMembers::Parts(vec![part.clone()]);
        namer.line(&Members { pods, nodes: Some(Vec::new()), outside: OutsideMembers::None })
    };
    let every = || "all pods".to_owned();
    match part {
        Part::Namespace(name) => Node { namespace: Some(name.to_string()), name: every() },
        Part::Unit(id) | Part::Some(id, _) => {
            let unit = namer.groups.unit(*id);
            let namespace = unit.namespace.to_string();
            let text = only(part);
            let name = match (&unit.kind, part) {
                (UnitKind::Namespace, Part::Unit(_)) => every(),
                _ => text.strip_prefix(&format!("{namespace}/")).map_or(text.clone(), str::to_owned),
            };
            Node { namespace: Some(namespace), name }
        }
    }
}

/// A long list in lines that a box has room for.
pub(crate) fn broken(text: &str, line_end: &str) -> String {
    textwrap::wrap(text, textwrap::Options::new(34).word_splitter(textwrap::WordSplitter::NoHyphenation)).join(line_end)
}

/// A table for Markdown.
pub(crate) fn markdown(rows: &[RowText], title: &str) -> String {
    let cell = |texts: &[String]| texts.join(", ").replace('|', "\\|").replace('<', "&lt;");
    let mut text = format!("| From | To | {title} |\n| --- | --- | --- |\n");
    for row in rows {
        text.push_str(&format!("| {} | {} | {} |\n", cell(&row.from), cell(&row.to), row.traffic));
    }
    text
}

#[cfg(test)]
impl Graph {
    /// With these edges: sources and destinations as `namespace/name` or `name`.
    pub(crate) fn of(edges: &[(&str, &str, &str)]) -> Self {
        let node = |text: &str| {
            let (namespace, name) = text.split_once('/').map_or((None, text), |(a, b)| (Some(a.to_owned()), b));
            Node { namespace, name: name.to_owned() }
        };
        let mut nodes: Vec<Node> = edges.iter().flat_map(|(from, to, _)| [node(from), node(to)]).collect();
        nodes.sort();
        nodes.dedup();
        let at = |text: &str| nodes.binary_search(&node(text)).unwrap();
        let edges =
            edges.iter().map(|(from, to, label)| Edge { from: at(from), to: at(to), label: (*label).to_owned() });
        Self { edges: edges.collect(), nodes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop() -> Graph {
        Graph::of(&[
            ("shop/web", "shop/db", "TCP 5432"),
            ("out\"side", "shop/web", "TCP 443"),
            ("a/x", "shop/web", "all"),
        ])
    }

    #[test]
    fn dot_has_a_box_for_each_namespace() {
        let dot = shop().dot();
        assert_eq!(dot.matches("subgraph cluster_").count(), 2, "{dot}");
        assert_eq!(dot.matches('{').count(), dot.matches('}').count());
        assert!(dot.contains("  n0 [label=\"out\\\"side\"]\n"), "{dot}");
        assert!(dot.contains("  n3 -> n2 [label=\"TCP 5432\"]\n"), "{dot}");
    }

    #[test]
    fn mermaid_has_a_box_for_each_namespace() {
        let mermaid = shop().mermaid();
        assert_eq!(mermaid.matches("  subgraph ").count(), 2, "{mermaid}");
        assert_eq!(mermaid.matches("\n  end\n").count(), 2, "{mermaid}");
        assert!(mermaid.contains("  n0[\"out#quot;side\"]\n"), "{mermaid}");
        assert!(mermaid.contains("    n2[\"db\"]\n    n3[\"web\"]\n"), "{mermaid}");
        assert!(mermaid.contains("  n3 -->|\"TCP 5432\"| n2\n"), "{mermaid}");
    }
}

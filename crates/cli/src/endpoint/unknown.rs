//! What to say of a name that nobody has: what there is, and which of it was perhaps meant.

use anyhow::{Error, anyhow};
use palisade_engine::model::{Cluster, ObjectRef};

use super::{EndName, Kind};

/// How many names a hint gives.
const SHOWN: usize = 4;

/// Says that `end` is not in the cluster, and what is.
pub(super) fn unknown(cluster: &Cluster, end: &EndName, namespace: &str) -> Error {
    let (namespace, kind, name) = match end {
        EndName::One(name) => (namespace, Kind::Pod, name.as_str()),
        EndName::Two(first, name) => match Kind::parse(first) {
            Some(kind) => (namespace, kind, name.as_str()),
            None => (first.as_str(), Kind::Pod, name.as_str()),
        },
        EndName::Three(namespace, kind, name) => (namespace.as_str(), *kind, name.as_str()),
        EndName::Address(address) => return anyhow!("nobody has the address {address}"),
    };
    let id = ObjectRef::new(namespace, name);
    if let Kind::Workload(kind) = kind
        && let Some(workload) = cluster.workloads().iter().find(|other| other.kind == kind && other.id == id)
    {
        let why = match workload.replicas {
            0 => "it has 0 replicas, or is over",
            _ => "those it had have ended, or belong to somebody else",
        };
        return anyhow!("{id} ({kind}) has no live pods: {why}");
    }
    let what = match kind {
        Kind::Node => format!("no node `{name}`"),
        _ => format!("no {kind} `{name}` in namespace {namespace}"),
    };
    anyhow!("there is {what}; {}", hint(cluster, kind, &id))
}

/// The same name elsewhere, and similar ones, else what the namespace has, else which namespaces there are.
fn hint(cluster: &Cluster, kind: Kind, wanted: &ObjectRef) -> String {
    let all = names(cluster);
    let mut similar: Vec<(usize, &str)> = all
        .iter()
        .map(|known| (distance(&known.name, &wanted.name), known))
        .filter(|(far, known)| far * 3 <= wanted.name.len() || is_part(&known.name, &wanted.name))
        .map(|(far, known)| (2 * far + usize::from(known.namespace != *wanted.namespace), known.typed.as_str()))
        .collect();
    similar.sort();
    if !similar.is_empty() {
        let similar: Vec<&str> = similar.into_iter().take(SHOWN).map(|(_, typed)| typed).collect();
        return format!("did you mean {}?", similar.join(" or "));
    }
    if kind == Kind::Node {
        return listed(
            "the nodes are",
            cluster.nodes().map(|(_, node)| node.name.to_string()),
            "the input has no nodes",
        );
    }
    if kind == Kind::Pod && wanted.name.contains('.') {
        return "whoever is outside of the cluster is named by an address, as 203.0.113.9".to_owned();
    }
    let here: Vec<&Known> = all.iter().filter(|known| known.namespace == *wanted.namespace).collect();
    // Who names no kind may have meant any.
    let meant = here.iter().filter(|known| kind == Kind::Pod || known.kind == kind).map(|known| known.typed.clone());
    let meant: Vec<String> = meant.collect();
    if !meant.is_empty() {
        return listed("it has", meant.into_iter(), "");
    }
    if !here.is_empty() {
        return listed(&format!("it has no {kind}, but"), here.iter().map(|known| known.typed.clone()), "");
    }
    let mut namespaces: Vec<String> = all.into_iter().map(|known| known.namespace).collect();
    namespaces.sort();
    namespaces.dedup();
    let known = listed("pods are in", namespaces.into_iter(), "the input has no pods");
    format!("{known} (a name without a namespace is looked for in the one of -n)")
}

/// Something that can be an end, as it is typed.
struct Known {
    kind: Kind,
    namespace: String,
    name: String,
    typed: String,
}

fn names(cluster: &Cluster) -> Vec<Known> {
    let known = |kind, id: &ObjectRef, typed: String| Known {
        kind,
        namespace: id.namespace.to_string(),
        name: id.name.to_string(),
        typed,
    };
    let mut names: Vec<Known> = Vec::new();
    for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_live()) {
        if !pod.stand_in {
            names.push(known(Kind::Pod, &pod.id, pod.id.to_string()));
        }
        if let Some((kind, name)) = &pod.workload {
            names.push(known(
                Kind::Workload(*kind),
                &ObjectRef::new(pod.id.namespace.clone(), name.clone()),
                format!("{}/{kind}/{name}", pod.id.namespace),
            ));
        }
    }
    for service in cluster.services() {
        names.push(known(Kind::Service, &service.id, format!("{}/svc/{}", service.id.namespace, service.id.name)));
    }
    names.sort_by(|a, b| a.typed.cmp(&b.typed));
    names.dedup_by(|a, b| a.typed == b.typed);
    names
}

fn listed(lead: &str, items: impl Iterator<Item = String>, none: &str) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return none.to_owned();
    }
    format!("{lead} {}", crate::screen::shortened(&items, ", ", SHOWN))
}

/// `web` of `web-7c9f8b6d5-abcde`, which nobody types.
pub(crate) fn is_part(known: &str, wanted: &str) -> bool {
    wanted.len() >= 2 && known.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('-'))
}

/// Insertions, deletions, replacements and swaps of neighbours.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut before = None;
        for (j, y) in b.iter().enumerate() {
            let replaced = at(&row, j) + usize::from(x != *y);
            let mut best = replaced.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            if j > 0 && last == Some(*y) && before == Some(x) {
                best = best.min(at(&above, j - 1) + 1);
            }
            next.push(best);
            before = Some(*y);
        }
        above = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    at(&row, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits() {
        assert_eq!(distance("frontend", "fronted"), 1);
        assert_eq!(distance("web-1", "wbe-1"), 1);
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn the_beginning_of_a_pods_name() {
        assert!(is_part("web-7c9f-abcde", "web"));
        assert!(!is_part("website", "web"));
    }
}

//! The policies that were asked for by name.

use anyhow::{Error, Result, anyhow, bail};
use palisade_engine::model::{Cluster, ClusterPolicyKind, ObjectRef, PolicyRef};

use crate::{
    endpoint::{distance, is_part},
    screen::shortened,
};

/// How many names a hint gives.
const SHOWN: usize = 4;

/// A policy as it was typed: `[NAMESPACE/]NAME`, or `KIND/NAME` of a cluster-wide one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What it is called if it is a NetworkPolicy.
    named: ObjectRef,
    /// The kinds of which it may be a cluster-wide one.
    kinds: Vec<ClusterPolicyKind>,
}

impl Wanted {
    /// Reads a name; one without a namespace is looked for in `namespace`, and among the cluster-wide ones.
    ///
    /// # Errors
    /// When it is not one name, or two with a slash between them.
    pub(super) fn parse(typed: &str, namespace: &str) -> Result<Self> {
        let (before, name) = typed.split_once('/').map_or((None, typed), |(before, name)| (Some(before), name));
        if before.is_some_and(str::is_empty) || name.is_empty() || name.contains('/') {
            bail!("`{typed}` is not the name of a policy: write NAME, NAMESPACE/NAME or KIND/NAME (cnp, anp, banp)");
        }
        let kinds = match before {
            None => ClusterPolicyKind::ALL.into(),
            Some(before) => kind(before).into_iter().collect(),
        };
        Ok(Self { named: ObjectRef::new(before.unwrap_or(namespace), name), kinds })
    }
}

/// The kind that kubectl calls so.
fn kind(word: &str) -> Option<ClusterPolicyKind> {
    let word = word.to_ascii_lowercase();
    let word = word.strip_suffix(".policy.networking.k8s.io").unwrap_or(&word);
    ClusterPolicyKind::ALL.into_iter().find(|kind| {
        let singular = kind.kind().to_ascii_lowercase();
        let plural = singular.strip_suffix('y').is_some_and(|stem| word.strip_suffix("ies") == Some(stem));
        plural || word == singular || word == kind.short()
    })
}

/// The policies meant, each once, in the order asked; all in the order read when none is asked for, the
/// cluster-wide ones last.
///
/// # Errors
/// When the input has no policy of a name; it says what there is.
pub(super) fn policies(cluster: &Cluster, wanted: &[Wanted]) -> Result<Vec<PolicyRef>> {
    let named = || cluster.policies().map(|(id, policy)| (PolicyRef::Network(id), policy));
    let wide = || cluster.cluster_policies().map(|(id, policy)| (PolicyRef::Cluster(id), policy));
    if wanted.is_empty() {
        return Ok(named().map(|(id, _)| id).chain(wide().map(|(id, _)| id)).collect());
    }
    let mut found = Vec::new();
    for Wanted { named: name, kinds } in wanted {
        let of_namespace = named().find(|(_, policy)| policy.id == *name).map(|(id, _)| id);
        let of_cluster = wide().filter(|(_, one)| one.name == name.name && kinds.contains(&one.kind));
        let meant: Vec<PolicyRef> = of_namespace.into_iter().chain(of_cluster.map(|(id, _)| id)).collect();
        if meant.is_empty() {
            return Err(unknown(cluster, name, kinds));
        }
        for id in meant {
            if !found.contains(&id) {
                found.push(id);
            }
        }
    }
    Ok(found)
}

/// Says that there is no such policy, and what there is: similar names, else those of the namespace,
/// else the namespaces that have policies.
fn unknown(cluster: &Cluster, wanted: &ObjectRef, kinds: &[ClusterPolicyKind]) -> Error {
    let wide = cluster.cluster_policies().map(|(_, policy)| policy);
    if let [kind] = kinds {
        let there: Vec<&str> = wide.filter(|policy| policy.kind == *kind).map(|policy| policy.name.as_str()).collect();
        let hint = if there.is_empty() { "the input has none".into() } else { shortened(&there, ", ", SHOWN) };
        return anyhow!("there is no {kind} `{}`; there is: {hint}", wanted.name);
    }
    let known: Vec<&ObjectRef> = cluster.policies().map(|(_, policy)| &policy.id).collect();
    let similar = |name: &str| distance(name, &wanted.name) * 3 <= wanted.name.len() || is_part(name, &wanted.name);
    let wide: Vec<String> =
        wide.filter(|policy| similar(&policy.name)).map(|one| format!("{} {}", one.kind, one.name)).collect();
    let hint = match shortened(&wide, " or ", SHOWN) {
        none if none.is_empty() => hint(&known, wanted),
        wide => format!("did you mean {wide}?"),
    };
    anyhow!("there is no policy `{}` in namespace {}; {hint}", wanted.name, wanted.namespace)
}

fn hint(known: &[&ObjectRef], wanted: &ObjectRef) -> String {
    let mut similar: Vec<(usize, String)> = known
        .iter()
        .map(|id| (distance(&id.name, &wanted.name), id))
        .filter(|(far, id)| far * 3 <= wanted.name.len() || is_part(&id.name, &wanted.name))
        .map(|(far, id)| (2 * far + usize::from(id.namespace != wanted.namespace), id.to_string()))
        .collect();
    similar.sort();
    if !similar.is_empty() {
        let similar: Vec<String> = similar.into_iter().take(SHOWN).map(|(_, name)| name).collect();
        return format!("did you mean {}?", similar.join(" or "));
    }
    let here = known.iter().filter(|id| id.namespace == wanted.namespace).map(ToString::to_string);
    let here: Vec<String> = here.collect();
    if !here.is_empty() {
        return format!("it has {}", shortened(&here, ", ", SHOWN));
    }
    let mut namespaces: Vec<&str> = known.iter().map(|id| id.namespace.as_str()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    match namespaces.as_slice() {
        [] => "the input has no NetworkPolicy".to_owned(),
        namespaces => format!(
            "policies are in {} (a name without a namespace is looked for in the one of -n)",
            shortened(namespaces, ", ", SHOWN)
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_namespace() {
        let wanted = |typed: &str| Wanted::parse(typed, "prod").map(|wanted| (wanted.named, wanted.kinds)).unwrap();
        assert_eq!(wanted("web"), (ObjectRef::new("prod", "web"), ClusterPolicyKind::ALL.into()));
        assert_eq!(wanted("dev/web"), (ObjectRef::new("dev", "web"), Vec::new()));
        for typed in ["", "/", "a/", "/a", "a/b/c"] {
            assert!(Wanted::parse(typed, "prod").is_err(), "{typed}");
        }
    }

    #[test]
    fn kinds_as_kubectl_calls_them() {
        for kind in ClusterPolicyKind::ALL {
            let plural = format!("{}ies", kind.kind().trim_end_matches('y').to_lowercase());
            for word in [kind.kind(), &plural, &format!("{plural}.policy.networking.k8s.io")] {
                assert_eq!(super::kind(word), Some(kind), "{word}");
            }
        }
        let short = ["cnp", "anp", "banp", "np", "policies", "clusternetworkpolic"].map(super::kind);
        assert_eq!(short.into_iter().flatten().collect::<Vec<_>>(), ClusterPolicyKind::ALL);
    }

    #[test]
    fn hints_from_near_to_far() {
        let known = [ObjectRef::new("prod", "frontend"), ObjectRef::new("dev", "frontend"), ObjectRef::new("dev", "x")];
        let known: Vec<&ObjectRef> = known.iter().collect();
        let hint = |namespace: &str, name: &str| hint(&known, &ObjectRef::new(namespace, name));
        assert_eq!(hint("dev", "fronted"), "did you mean dev/frontend or prod/frontend?");
        assert_eq!(hint("dev", "database"), "it has dev/frontend, dev/x");
        assert!(hint("test", "database").starts_with("policies are in dev, prod (a name"));
        assert_eq!(super::hint(&[], &ObjectRef::new("a", "b")), "the input has no NetworkPolicy");
    }
}

//! The policies that were asked for by name.

use anyhow::{Error, Result, anyhow, bail};
use palisade_engine::model::{Cluster, ObjectRef, PolicyId};

use crate::{
    endpoint::{distance, is_part},
    screen::shortened,
};

/// How many names a hint gives.
const SHOWN: usize = 4;

/// A policy as it was typed: `[NAMESPACE/]NAME`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted(ObjectRef);

impl Wanted {
    /// Reads a name; one without a namespace is looked for in `namespace`.
    ///
    /// # Errors
    /// When it is not one name, or two with a slash between them.
    pub(super) fn parse(typed: &str, namespace: &str) -> Result<Self> {
        let (namespace, name) = typed.split_once('/').unwrap_or((namespace, typed));
        if namespace.is_empty() || name.is_empty() || name.contains('/') {
            bail!("`{typed}` is not the name of a policy: write NAME or NAMESPACE/NAME");
        }
        Ok(Self(ObjectRef::new(namespace, name)))
    }
}

/// The policies meant, each once, in the order asked; all in the order read when none is asked for.
///
/// # Errors
/// When the input has no policy of a name; it says what there is.
pub(super) fn policies(cluster: &Cluster, wanted: &[Wanted]) -> Result<Vec<PolicyId>> {
    if wanted.is_empty() {
        return Ok(cluster.policies().map(|(id, _)| id).collect());
    }
    let mut found = Vec::new();
    for Wanted(name) in wanted {
        let policy = cluster.policies().find(|(_, policy)| policy.id == *name);
        let (id, _) = policy.ok_or_else(|| unknown(cluster, name))?;
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

/// Says that there is no such policy, and what there is: similar names, else those of the namespace,
/// else the namespaces that have policies.
fn unknown(cluster: &Cluster, wanted: &ObjectRef) -> Error {
    let known: Vec<&ObjectRef> = cluster.policies().map(|(_, policy)| &policy.id).collect();
    anyhow!("there is no policy `{}` in namespace {}; {}", wanted.name, wanted.namespace, hint(&known, wanted))
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
        assert_eq!(Wanted::parse("web", "prod").unwrap(), Wanted(ObjectRef::new("prod", "web")));
        assert_eq!(Wanted::parse("dev/web", "prod").unwrap(), Wanted(ObjectRef::new("dev", "web")));
        for typed in ["", "/", "a/", "/a", "a/b/c"] {
            assert!(Wanted::parse(typed, "prod").is_err(), "{typed}");
        }
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

//! Why a cluster could not be read, for the person who can mend it.

use std::{collections::BTreeMap, fmt, io};

use crate::resources::Resource;

/// Why there is no reading of a cluster. A part of a cluster is none: an answer from it could be wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing says where a cluster is.
    #[error("no cluster to read: {0}")]
    NoCluster(String),
    /// A kubeconfig that cannot be used.
    #[error("{0}")]
    Kubeconfig(String),
    /// The server does not answer, or not as an API server.
    #[error("cannot read {cluster} at {server}: {why}")]
    Unreachable {
        /// The cluster, such as `context kind-dev`.
        cluster: String,
        /// Its address.
        server: String,
        /// What went wrong.
        why: String,
    },
    /// The credentials are not taken (401).
    #[error("{cluster} does not take the credentials of the kubeconfig (401): have they expired?")]
    Credentials {
        /// The cluster.
        cluster: String,
    },
    /// Permissions are missing (403): all of them.
    #[error("{}", forbidden(.cluster, .missing))]
    Forbidden {
        /// The cluster.
        cluster: String,
        /// What is missing.
        missing: Vec<Missing>,
    },
    /// A resource that every cluster has is not there (404).
    #[error("{cluster} does not serve {resource} in {version}: Kubernetes 1.21 or newer is needed")]
    NotServed {
        /// The cluster.
        cluster: String,
        /// The resource.
        resource: String,
        /// Its `apiVersion`.
        version: String,
    },
    /// Any other answer that is no list.
    #[error("cannot list {resource} of {cluster}: {why}")]
    List {
        /// The cluster.
        cluster: String,
        /// The resource.
        resource: String,
        /// The server's message, or what is wrong with the answer.
        why: String,
    },
    /// No runtime for the connection.
    #[error("cannot start what speaks to the API server")]
    Runtime(#[source] io::Error),
}

/// A permission that the user does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// To list a resource in all namespaces.
    List(Resource),
    /// To get a path that is no resource.
    Path(String),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(resource) if resource.namespaced => write!(f, "cannot list {resource} in all namespaces (403)"),
            Self::List(resource) => write!(f, "cannot list {resource} (403)"),
            Self::Path(path) => write!(f, "cannot get {path} (403)"),
        }
    }
}

/// Each permission, and the rules of a ClusterRole that would grant them.
fn forbidden(cluster: &str, missing: &[Missing]) -> String {
    let mut text = format!("you may not read all of {cluster}, and no answer is given from a part:\n");
    for one in missing {
        text.push_str(&format!("  {one}\n"));
    }
    text.push_str("A ClusterRole with these rules, bound to you by a ClusterRoleBinding, grants it:\n  rules:\n");
    for (group, resources) in rules(missing) {
        let group = if group.is_empty() { "\"\"" } else { group };
        let resources = resources.join(", ");
        text.push_str(&format!("  - apiGroups: [{group}]\n    resources: [{resources}]\n    verbs: [list]\n"));
    }
    for one in missing {
        if let Missing::Path(path) = one {
            text.push_str(&format!("  - nonResourceURLs: [{path}]\n    verbs: [get]\n"));
        }
    }
    text.pop();
    text
}

fn rules(missing: &[Missing]) -> BTreeMap<&str, Vec<&str>> {
    let mut rules: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for one in missing {
        if let Missing::List(resource) = one {
            rules.entry(&resource.group).or_default().push(&resource.plural);
        }
    }
    rules
}

//! Kubernetes objects other than policies, each read into the engine's model.
//!
//! Of these kinds only the fields that decide about policies are read; those are checked, and
//! everything else is left alone. The functions return `None` after reporting what is wrong.

pub(crate) mod kind;
pub(crate) mod labels;
pub(crate) mod metadata;
pub(crate) mod mode;
pub(crate) mod namespace_and_node;
pub(crate) mod pod;
pub(crate) mod pod_spec;
pub(crate) mod service;
pub(crate) mod slice;
pub(crate) mod value;
pub(crate) mod workload;

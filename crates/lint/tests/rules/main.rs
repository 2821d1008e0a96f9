//! Every rule finds, with its code, field and line, and keeps quiet.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod addresses;
mod cluster_wide;
mod documents;
mod fixes;
mod isolation;
mod pages;
mod ports;
mod selectors;
mod support;
mod whole_set;
mod wishes;

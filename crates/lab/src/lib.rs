//! A cluster as network namespaces, with real packets.
//!
//! ```text
//! Cluster ──► placement   nodes and addresses for whoever has none
//!        └──► outside     hosts beyond the cluster, at the addresses that policies name
//!                 │
//!                 ▼
//! Flow… ──► enforcement ──► wiring   namespaces and links      ──► probe   without rules: all must pass
//!                      └──► (crate nftables) plan, apply      ──► probe   with rules ──► Report
//! ```

pub mod enforcement;
pub mod outside;
pub mod placement;
pub mod probe;
pub mod wiring;

pub use palisade_linux::sandbox;

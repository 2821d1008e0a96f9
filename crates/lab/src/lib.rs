//! A cluster as network namespaces, with real packets.
//!
//! ```text
//! Cluster ──► placement   nodes and addresses for whoever has none
//!        └──► outside     hosts beyond the cluster, at the addresses that policies name
//!                 │
//!                 ▼
//! Flow… ──► enforcement ──► wiring   namespaces and links      ──► probe   without rules: all must pass
//!                      └──► (crate nftables) plan, apply      ──► probe   with rules ──► Report
//!
//! Inventory ──► standing   the same hosts, up for as long as somebody plays with them
//!                 ├──► services   addresses, DNAT, node ports, a resolver where there is none
//!                 └──► serve      what answers at the ports of pods, and at the resolver's
//! ```

pub mod enforcement;
pub mod outside;
pub mod placement;
pub mod probe;
pub mod serve;
pub mod services;
pub mod standing;
pub mod wiring;

pub use palisade_linux::sandbox;

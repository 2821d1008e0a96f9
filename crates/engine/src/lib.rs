//! What a set of Kubernetes network policies means.
//!
//! ```text
//! model::Inventory ──► model::Cluster ──► compile ──► PolicyProgram ──┬──► verdict    may this packet pass
//!   objects, as read     consistent,                                  ├──► explain    and which line says so
//!                        indexed                                      ├──► connections  all that may pass
//!                                                                     ├──► audit      what audited policies would deny
//!                                                                     └──► (crate nftables) the kernel's rules
//! changes ──► live: a cluster and its program, kept current: a change costs what it concerns
//! ```
//!
//! The program that decides is the program that explains and the program that the kernel gets:
//! nothing outside [`compile`] reads a policy's rules. This crate does no I/O and knows no YAML, no
//! kernel and no async; the rules it follows are the Kubernetes NetworkPolicy API reference (v1).

pub mod audit;
pub mod compile;
pub mod connections;
pub mod cover;
pub mod diff;
pub mod explain;
pub mod exposure;
pub mod live;
mod matching;
pub mod model;
pub mod sets;
pub mod strangers;
pub mod verdict;

pub use compile::PolicyProgram;
pub use connections::Connections;
pub use live::Live;
pub use verdict::{Outcome, Verdict};

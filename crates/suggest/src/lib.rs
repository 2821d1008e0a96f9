//! Policies from what is really spoken.
//!
//! ```text
//! Observed… ──┐
//!             ├──► groups: workloads and the labels that select them ──► draft: rules with evidence ──► yaml
//! Cluster ────┘                                                          prefixes: the outside
//! ```
//!
//! Pure: what was observed and a cluster in, policies out. Whether the policies allow what was observed is
//! for the engine to say, not for this crate.

mod draft;
mod groups;
mod prefixes;
pub mod yaml;

pub use draft::{Observed, Options, Suggested, Suggestion, suggest};

//! The slow, obviously right evaluator of network policies, and the generators of random clusters. For tests.
//!
//! ```text
//! model::Cluster + model::Flow ──► answer()   the verdict, from the words of the specification
//! generate::Generator          ──► Scenario   a random cluster and flows, from a seed alone
//! yaml::to_yaml                ──► text       the cluster as manifests: a failing seed becomes files
//! ```
//!
//! The evaluator walks over all policies, rules, peers and ports for every question, in the order in
//! which the specification (`semantics.md`) names them; `// 2.1` in the code is the number of a rule
//! there. It shares nothing with the engine but the model's types, not even the matching of a label
//! or of a prefix: a mistake would have to be made twice to go unseen. A test reads these sources and
//! fails when anything but `palisade_engine::model` is imported.

mod answer;
pub mod generate;
mod maybe;
mod peers;
mod ports;
mod selectors;
mod tiers;
pub mod yaml;

pub use answer::{Answer, Count, HalfAnswer, answer, answer_counting, half, half_counting};

//! Kubernetes YAML and JSON, read into the engine's model, with the position of every field.
//!
//! ```text
//! paths ──► read ──► yaml ──► objects, policy ──► Reading ──┬──► Inventory    (engine::model)
//!           files,   trees    the API server's              └──► diagnostics ──► render   rustc's look
//!           stdin    with     rules, field by field
//!                    places
//! ```
//!
//! What is read here is answered from, so nothing that was not understood goes by in silence: every
//! mistake is a [`Diagnostic`] with its place and, where it can be known, with what to write instead.
//! The rules are those of kube-apiserver 1.36 with strict field validation; where this is stricter
//! (keys written twice, bytes that are not UTF-8) the finding has a code of its own.

mod check;
mod context;
pub mod diagnostic;
mod field;
pub mod fix;
mod interner;
mod objects;
mod policy;
pub mod read;
pub mod render;
pub mod texts;
pub mod yaml;

pub use diagnostic::{Annotation, Diagnostic, Severity};
pub use fix::{Fix, Safety};
pub use read::{Inputs, ReadOptions, Reading, ServerVersion, read_bytes, read_inputs, read_paths, read_text};

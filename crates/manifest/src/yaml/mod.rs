//! YAML and JSON as trees with positions, one document at a time.
//!
//! ```text
//! text ──► granit-parser ──► build   events become nodes of one Tree; aliases, merge keys, duplicates
//!                              │
//!                              ▼
//!                           Stream   hands out documents; of a list each item alone, so that a dump
//!                                    of 100,000 pods never stands in memory as a tree
//! ```
//!
//! Nothing here knows what a Pod is: the one thing it knows of Kubernetes is that a list is a
//! mapping with the key `items`. Types of scalars are kubectl's ([`Value`]). Every text ends with
//! a result in time proportional to its length: nesting and the size of one object are limited, and
//! what aliases stand for is paid from a budget in proportion to what was written.

mod build;
mod json;
mod mistake;
mod scalar;
mod stream;
mod tree;

pub use mistake::{Mistake, YamlError};
pub use scalar::Value;
pub(crate) use scalar::plain;
pub use stream::{Head, Part, Plan, Stream};
pub use tree::{Entries, Items, Node, NodeId, Scalar, Style, Tag, Tree, View};

/// Collections inside each other; Kubernetes' own objects stay below 30.
pub const MAX_DEPTH: usize = 128;

/// Values in one object. etcd takes 1.5 MB, which is less than a million.
pub const MAX_NODES: usize = 4_000_000;

/// How many mistakes a text has before it is any object.
pub(crate) fn mistakes(text: &str) -> usize {
    let mut stream = Stream::new(text, Plan::WHOLE);
    let mut count = 0;
    while let Some(part) = stream.next_part() {
        count += stream.take_problems().len() + usize::from(matches!(part, Part::Broken(_)));
    }
    count
}

#[cfg(test)]
mod tests;

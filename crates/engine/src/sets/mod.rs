//! Exact sets of ports, addresses and traffic, with their algebra.
//!
//! Nothing here samples: union, intersection and difference give sets that are right in every
//! member, so "which ports" and "which addresses" have exact answers.

mod prefixes;
mod ranges;
mod traffic;

pub use prefixes::PrefixSet;
pub use ranges::{RangeSet, RangeValue};
pub use traffic::{PortSet, TrafficSet};

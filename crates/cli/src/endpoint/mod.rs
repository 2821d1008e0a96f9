//! The ends of a connection as they are typed, and who in the cluster is meant.
//!
//! ```text
//! "prod/svc/api:80/tcp" ──parse──► Target { name, port } ──resolve──► Party… ──pair──► Case…
//! ```

mod pair;
mod parse;
mod resolve;
mod selection;
mod unknown;

pub(crate) use pair::{Case, cases};
pub(crate) use parse::{EndName, Kind, PortName, Target, parse_end, parse_port, parse_target};
pub(crate) use resolve::{Party, Resolver, ServiceHop};
pub(crate) use selection::Selection;
pub(crate) use unknown::{distance, is_part};

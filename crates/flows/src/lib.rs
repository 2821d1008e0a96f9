//! Flow logs as data.
//!
//! ```text
//! Palisade  record ──┐
//! Hubble    hubble ──┼─► read ──► Entry: Flow… ──► fold ──► Connection…  by workload or by pod,
//! Calico    calico,  │                                      how often, first and last seen
//!           goldmane ┘
//! ```
//!
//! Pure: a line in, what it says out. The formats of others are read as they are documented: Cilium's `flow.proto` and
//! `observer.proto`, Calico's flow log data types and Goldmane's `api.proto`. Whether a connection would be allowed is
//! for the engine to say.

mod calico;
mod connection;
mod error;
mod flow;
mod fold;
mod goldmane;
mod hubble;
mod read;
pub mod record;

pub use connection::{Connection, Seen};
pub use error::{Fault, LineError};
pub use flow::{End, Flow, Subject};
pub use fold::{By, Fold, Tally};
pub use read::{Entry, PassedOver, read};

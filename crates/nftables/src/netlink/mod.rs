//! Rulesets into the kernel and back, over netlink (`NETLINK_NETFILTER`, subsystem nf_tables).
//!
//! ```text
//! Difference ─► batch ─► change ─► element, expression ─► attribute, message     bytes
//!                 │
//!                 └─► socket::Kernel ─► the kernel ─► answer ─► Applied | ApplyError
//!                          └─► read_back ─► snapshot (listing: expressions for people)
//! ```
//!
//! A transaction (the kernel calls it batch) is in force as a whole or not at all, for packets too. It
//! must fit into the socket's send buffer, so what can wait for its use is sent before in pieces
//! ([`Difference::prepare`](crate::difference::Difference)), and only the switch is one transaction.
//!
//! The encoder is our own: the crate netlink-packet-netfilter lacks ct, fib, log, counter and limit,
//! panics on lists above 64 KiB and is 16 times slower; the tests use it as an independent reader.

mod answer;
mod attribute;
mod batch;
mod change;
mod counts;
mod cut;
mod element;
mod error;
mod expression;
#[cfg(test)]
mod golden;
mod hold;
mod listing;
mod message;
mod read_back;
mod snapshot;
mod socket;
mod translate;
mod uapi;
mod whole;

pub use error::{Applied, ApplyError, OpenError, ReadError, Refusal, Stage};
pub use snapshot::{ChainState, Entry, RuleCounter, RuleState, SetState, Snapshot, rule_listing};
pub use socket::Kernel;

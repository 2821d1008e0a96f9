//! The agent of a node: keeps `table inet palisade` true while the cluster changes.
//!
//! ```text
//! change ──► state ──────► window ─► (engine, nftables) ─► enforce ──► kernel
//! what is    objects by    taken     compile, plan         difference, retry,
//! told       name          together                        read-back, audit
//!                                        run: the loop ──► status ──► metrics, health
//!                                           ▲        └────► journal: one event for each thing that happens
//! kernel ──► flow_log: what was logged ─────┘ judged by what the loop knows, written as lines
//! ```
//!
//! What holds:
//! - Nothing is written before every kind was told once: what the last run left stays in force. A start
//!   finds its own rules by their names, which come from content, and changes nothing.
//! - A window of changes takes effect whole or not at all ([`palisade_nftables::difference`]).
//! - Ending, however, changes nothing; [`enforce::cleanup`] removes the table.
//! - An object that cannot be understood fails closed for the pods that it means, and stops nothing else
//!   ([`change::PoisonPolicy::closed`]).
//!
//! What is not here yet:
//! - Incremental compiling: every window that changes something is compiled and planned anew, for the
//!   whole cluster; only what goes to the kernel is a difference.
//! - Cutting of established connections that a change forbids: they live on.
//! - Holding local addresses closed that no pod is known for (`--unknown-pods=deny`). A Pod that cannot be
//!   understood at all is such a pod: what was last understood of it counts, or nothing.
//! - A lock that keeps a second agent away (two that see the same cluster get along: each repairs what it finds).
//! - Which of two pods with one address came last is known by the order in which this process was told
//!   of them: after a restart, by the order of the list.

pub mod change;
pub mod enforce;
pub mod flow_log;
pub mod health;
mod journal;
pub mod metrics;
pub mod run;
pub mod state;
pub mod status;
pub mod window;

pub use change::{Change, Event, Key, Kind, Object, Poison, PoisonPolicy};
pub use enforce::{Enforcer, Table, cleanup};
pub use flow_log::FlowLog;
pub use run::{Agent, Input, Settings};
pub use state::State;
pub use status::{Shared, Status};

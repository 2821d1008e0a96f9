//! The agent of a node: keeps `table inet palisade` true while the cluster changes.
//!
//! ```text
//! change ──► state ──────► window ─► current ─► enforce ──► kernel
//! what is    objects by    taken     compile,   difference, retry,
//! told       name          together  plan       read-back, audit
//!                                        run: the loop ──► status ──► metrics, health
//!                                           ▲├──► cut ──► conntrack
//! kernel ──► flow_log: what was logged ─────┘└──► journal: one event for each thing that happens
//! answers of name servers ──► names ──► kernel, then the pod
//! ```
//!
//! What holds:
//! - Nothing is written before every kind was told once: what the last run left stays in force. A start
//!   finds its own rules by their names, which come from content, and changes nothing.
//! - A window of changes takes effect whole or not at all ([`palisade_nftables::difference`]).
//! - Ending, however, changes nothing; [`enforce::cleanup`] removes the table.
//! - An object that cannot be understood fails closed for the pods that it means, and stops nothing else
//!   ([`change::PoisonPolicy::closed`]). Of a Pod what was last understood counts, or nothing: with
//!   [`palisade_nftables::plan::UnknownPods::Deny`] it is closed then, as any pod that is not known.
//! - What a domain name resolves to is in force before the pod that asked is told ([`names`]).
//! - An established connection that the rules come to deny is cut, in both directions ([`cut`]).
//!
//! What is not here yet:
//! - A lock that keeps a second agent away (two that see the same cluster get along: each repairs what it finds).
//! - Which of two pods with one address came last is known by the order in which this process was told
//!   of them: after a restart, by the order of the list.

pub mod change;
pub mod current;
pub mod cut;
pub mod enforce;
pub mod flow_log;
pub mod health;
mod journal;
pub mod metrics;
pub mod names;
pub mod run;
pub mod state;
pub mod status;
pub mod window;

pub use change::{Change, Event, Key, Kind, Object, Poison, PoisonPolicy};
pub use current::Current;
pub use cut::{Cutter, Established, KernelConnections};
pub use enforce::{Enforcer, Table, cleanup};
pub use flow_log::FlowLog;
pub use names::{LearningTable, NameSettings, Names};
pub use run::{Agent, Input, Settings};
pub use state::State;
pub use status::{Shared, Status};

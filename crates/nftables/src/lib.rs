//! The nftables ruleset of a node.
//!
//! ```text
//! PolicyProgram + node ──► plan ──► Ruleset ──┬──► text         nft syntax, for people
//!                                             ├──► interpret    what it does to a packet, without a kernel
//!                          applied Ruleset ───┴──► difference ──► Change… ──► netlink ──► kernel
//!                                                                    └──► fake (a kernel in memory)
//! ```
//!
//! Planning, comparing and rendering are pure; only [`netlink`] talks to the kernel.

pub mod cut;
pub mod difference;
pub mod draft;
pub mod elements;
pub mod fake;
pub mod held;
pub mod interpret;
pub mod judged;
pub mod netlink;
pub mod path;
pub mod plan;
pub mod ruleset;
pub mod text;
pub mod translation;

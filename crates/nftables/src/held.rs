//! The answers of name servers that are held for some pods until what they say is in force, as a value.
//!
//! A table of its own, `inet palisade-names`: `table inet palisade` judges packets, this one diverts some.
//!
//! ```text
//! prerouting, behind destination NAT   an answer (UDP from port 53, of a connection that the pod began) to one of
//!                                      the pods ─► tproxy to who learns, and a mark that routes it there
//! output, before conntrack             what is sent on is not tracked: it was, when it came
//! ```
//!
//! When nobody listens, `tproxy` finds no socket and the rule ends: the answer goes its way without a mark.

use std::{collections::BTreeSet, net::IpAddr};

/// The table.
pub const TABLE: &str = "palisade-names";

/// The bits of the packet mark that are ours.
pub const MASK: u32 = 0x3000;
/// The mark of an answer that is held.
pub const HELD: u32 = 0x1000;
/// The mark of an answer that is sent on.
pub const SENT_ON: u32 = 0x2000;

/// Whose answers are held, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The pods.
    pub pods: BTreeSet<IpAddr>,
    /// The port at the loopback's addresses where somebody listens.
    pub port: u16,
}

//! What drops the connections that a change of policy has cut.
//!
//! ```text
//! forward, before everybody's filters   ct mark & MARK == MARK ─► counted, dropped
//! ```
//!
//! A table of its own, `inet palisade-cut`, which is there only while some connection is cut: every packet of every
//! connection that stands would pay for the question, and which connections stand is nothing that follows from
//! objects, as all of `table inet palisade` does.

/// The table.
pub const TABLE: &str = "palisade-cut";
/// Its chain.
pub const CHAIN: &str = "forward";
/// The bit of the conntrack mark that a connection is cut by. Others may mark it for what they want.
pub const MARK: u32 = 1 << 27;

//! `semantics.md`, rule by rule, with answers worked out by hand: the oracle's own judge.

#![expect(clippy::unwrap_used, reason = "test code: a wrong fixture shall fail")]

mod fixture;
mod isolation;
mod peers_and_ports;
mod tiers;

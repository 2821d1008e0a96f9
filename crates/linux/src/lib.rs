//! The Linux side of Palisade: network namespaces, links and routes, conntrack,
//! NFLOG.
//! The only crate of the workspace that may hold `unsafe` code, and it holds
//! it in three small modules (`unshare`, `join` and `heap`).
//!
//! ```text
//! sandbox::Sandbox   once, first thing in main: a process that may make namespaces
//!    └─ netns::NetNs        one namespace, held by a file descriptor and by nothing else
//!         └─ netns::Hopper      a thread that goes from namespace to namespace
//!              ├─ sysctl             /proc/sys/net of the namespace it is in
//!              ├─ links::Rtnetlink   veth pairs, addresses, routes, neighbours
//!              ├─ nflog::NfLog       the packets that a ruleset logs there
//!              └─ conntrack::Conntrack   the connections that it follows
//!              └─ transparent::Diverted  datagrams that are for somebody else
//! join::enter        another process goes into what a lab holds, to run a command there
//! packet::Tuple      which connection a packet belongs to (pure)
//! heap::share_one    how the allocator keeps memory
//! ```
//!
//! Nothing here is written to a disk or bound to a path. A namespace lives as
//! long as a descriptor or a thread refers to it, so the kernel takes all of
//! it down when the process ends, however it ends.

pub mod conntrack;
pub mod heap;
pub mod join;
pub mod links;
mod netlink;
pub mod netns;
pub mod nflog;
pub mod packet;
pub mod sandbox;
pub mod sysctl;
pub mod transparent;
mod unshare;

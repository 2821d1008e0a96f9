//! A cluster for tests of the whole agent: nodes and pods as network namespaces, an agent process on each
//! node, one API server that all of them read from, and real packets.
//!
//! ```text
//!   test ──► Api ─────────────── objects, and faults on demand (the fake one) or etcd and kube-apiserver
//!             ▲
//!             │ Relay            a socket on the loopback of each node's namespace: no packet on any wire,
//!             │                  and it can be cut for one node
//!        palisade agent          a process in the namespace of its node; killed with SIGKILL
//!             │
//!             ▼
//!   kernel of the node ──► settle: what is read back equals a fresh compile of what the API has
//!             ▲
//!   Row, Stream ── real packets between the pods of crate lab's wiring
//! ```
//!
//! A crate of its own, and not a part of the lab: the lab is in the released command and knows no API
//! server; this brings the lab, the watches' fake server and a process together, for tests alone.

pub mod agents;
pub mod api;
mod bed;
pub mod conntrack;
mod fresh;
mod main_loop;
pub mod relay;
mod rows;
mod stage;
pub mod stream;

pub use api::{Api, Brand};
pub use bed::{Setup, Testbed};
pub use main_loop::{Test, run_all};
pub use palisade_lab::wiring::Wiring;
pub use rows::{Row, read_rows};
pub use stage::wirings;

/// What tests fail with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;
/// What comes of whatever may fail here.
pub type Result<T = ()> = std::result::Result<T, Error>;

/// Far more than anything takes: only a failure waits so long.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(90);

/// Asks again and again until the answer is `Ok`; after [`PATIENCE`], the last answer is the failure.
///
/// # Errors
/// The last one.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let begin = std::time::Instant::now();
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if begin.elapsed() > PATIENCE => {
                return Err(format!("{what}: not within {PATIENCE:?}: {error}").into());
            }
            Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}

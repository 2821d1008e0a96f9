//! A live cluster, read through the Kubernetes API.
//!
//! ```text
//! Access ──► Cluster ──► list, page by page ──► object ──► manifest's reader ──► Reading
//! kubeconfig  context     limit, continue,       YAML       the same as of        the same as
//! or pod                  410, 403               of each    files                 of files
//! ```
//!
//! Nothing here reads a rule: every object goes through the reader of files as its own text, so that a
//! live cluster and its dump mean the same, and a finding points at a line of an object. What an older
//! server stored and a newer one would refuse is read with its canonical meaning.
//!
//! ```text
//! Cluster::watch ──► a thread: a reflector for each resource ──► one channel of Received ──► its single owner
//!                              list, watch, 410, back-off          Set, Poison, Gone,
//!                                                                  Synced, Trouble
//! ```
//!
//! Nothing is written, but for one thing: a start-up taint of the agent's own node goes (`taint`).

mod access;
mod backoff;
mod block_style;
mod change;
mod error;
#[cfg(feature = "fake")]
pub mod fake;
mod health;
mod lines;
mod list;
mod object;
mod proxy;
mod reflector;
mod resources;
mod taint;
mod typed;
mod watch;

use palisade_engine::model::Name;
use palisade_manifest::{ReadOptions, Reading, ServerVersion, read::Collector};

pub use access::{Access, Cluster};
pub use change::{Change, Key, Object, Poison, Received, Trouble, Watched};
pub use error::{Missing, ReadError};
pub use health::{Health, HealthBoard};
pub use resources::Resource;
pub use taint::{NodeError, TaintRemoval};
pub use watch::{Pace, Watch};

/// How far the reading of a cluster is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The resource that is being listed.
    pub resource: String,
    /// How many objects of it were read.
    pub objects: usize,
}

impl Cluster {
    /// What the names of this cluster's objects begin with, in [`palisade_engine::model::Sources`].
    pub fn prefix(&self) -> String {
        format!("{}: ", self.title)
    }

    /// Lists everything that an answer needs, in all namespaces, and waits for it.
    ///
    /// # Errors
    /// When a part cannot be read: all missing permissions together, or else the first failure. What the
    /// reader of an object finds is in [`Reading::diagnostics`], as for files.
    pub fn read(&self, progress: &mut dyn FnMut(&Progress)) -> Result<Reading, ReadError> {
        let options = self.options();
        let mut collector = Collector::new(&options);
        runtime()?.block_on(list::all(self, &mut collector, progress))?;
        Ok(collector.finish())
    }

    fn options(&self) -> ReadOptions {
        ReadOptions {
            default_namespace: Name::from(self.namespace.as_str()),
            // An object may be older than the server: what it once took, it still enforces.
            server: ServerVersion::V1_35,
            recursive: false,
            fail_closed: false,
        }
    }
}

/// Everything happens on the thread of the caller, who knows nothing of async.
fn runtime() -> Result<tokio::runtime::Runtime, ReadError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ReadError::Runtime)
}

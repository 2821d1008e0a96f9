//! Large clusters from a seed, written as the dump that `kubectl get -o yaml` would have made of them.
//!
//! ```text
//! Size ──► layout ──┬──► objects    namespaces, nodes, workloads, Services ──┐
//!          who is   ├──► pods       as heavy as a real one                  ─┼──► a folder, or one stream
//!          where    └──► policies   what people write                       ─┘
//! ```
//!
//! Only the layout is held in memory; texts go to a writer as they are made. For a seed and a size the
//! bytes are the same on every machine. [`Cluster::objects`] is the same cluster as values of the model,
//! for whoever measures what comes behind the reading.

mod layout;
mod model;
mod objects;
mod pods;
mod policies;
mod policy_text;
mod random;

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::Path,
};

pub use layout::{Cluster, NoRoom};
pub use model::Object;

/// What kind of cluster to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many pods, those of the system included.
    pub pods: usize,
    /// How many NetworkPolicies.
    pub policies: usize,
    /// What all the choices come from.
    pub seed: u64,
    /// Whether pods, nodes and Services have an IPv6 address beside that of IPv4, and policies blocks of both.
    pub dual_stack: bool,
}

/// Writes the objects of one kind.
type Writes<W> = fn(&Cluster, &mut W) -> io::Result<()>;

impl Cluster {
    /// Writes all of it as one text of many documents.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (_, write) in Self::kinds() {
            write(self, out)?;
        }
        Ok(())
    }

    /// Writes all of it into a folder, which is made if need be: `policies.yaml`, `pods.yaml` and so on.
    /// Returns how many bytes that was.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write_folder(&self, folder: &Path) -> io::Result<u64> {
        fs::create_dir_all(folder)?;
        let mut bytes = 0;
        for (name, write) in Self::kinds() {
            let path = folder.join(name).with_extension("yaml");
            let mut out = BufWriter::with_capacity(1 << 20, File::create(&path)?);
            write(self, &mut out)?;
            out.flush()?;
            bytes += fs::metadata(&path)?.len();
        }
        Ok(bytes)
    }

    fn kinds<W: Write>() -> [(&'static str, Writes<W>); 6] {
        [
            ("namespaces", objects::namespaces),
            ("nodes", objects::nodes),
            ("workloads", objects::workloads),
            ("services", objects::services),
            ("pods", pods::pods),
            ("policies", policies::policies),
        ]
    }
}

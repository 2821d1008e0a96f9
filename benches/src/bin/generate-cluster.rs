//! Writes a large cluster as Kubernetes YAML.
//!
//! ```text
//! cargo run -p palisade-benches --release --bin generate-cluster -- --pods 10000 --policies 5000 FOLDER
//! ```

use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use palisade_benches::{Cluster, Size};

/// Write a large cluster as Kubernetes YAML: the same bytes for the same arguments, on every machine.
#[derive(Parser)]
struct Arguments {
    /// How many pods, those of the system included.
    #[arg(long, default_value_t = 1_000)]
    pods: usize,
    /// How many NetworkPolicies.
    #[arg(long, default_value_t = 500)]
    policies: usize,
    /// What all choices come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// No IPv6 address on anything.
    #[arg(long)]
    ipv4_only: bool,
    /// Where to write policies.yaml, pods.yaml and so on; `-` writes one text to standard output.
    folder: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { pods, policies, seed, ipv4_only, folder } = Arguments::parse();
    let cluster = Cluster::new(Size { pods, policies, seed, dual_stack: !ipv4_only })?;
    if folder.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        cluster.write(&mut out)?;
        return Ok(out.flush()?);
    }
    let bytes = cluster.write_folder(&folder).with_context(|| format!("{} cannot be written", folder.display()))?;
    eprintln!("{pods} pods, {policies} policies: {} MiB in {}", bytes >> 20, folder.display());
    Ok(())
}

//! The start-up taint goes when the node enforces its policies, so that no pod is scheduled before that.
//!
//! ```text
//! wait until ready ──► take it away ──► look again now and then: a node that registers anew has it again
//!                       └─ failed: told once, and tried again, later each time
//! ```
//!
//! It is never put back: that is for whoever registers the node (the kubelet's `registerWithTaints`).

use std::{io, thread, time::Duration};

use anyhow::anyhow;
use palisade_agent::Shared;
use palisade_watch::{Cluster, TaintRemoval};

use crate::screen;

/// How often the status is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long to wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait after a failure, and how often the node is looked at again.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Takes the taint from the node from now on, in a thread of its own; an empty key is none.
///
/// # Errors
/// When there can be no thread.
pub(super) fn remove_when_ready(cluster: Cluster, node: &str, key: &str, status: Shared) -> io::Result<()> {
    if key.is_empty() {
        return Ok(());
    }
    let (node, key) = (node.to_owned(), key.to_owned());
    let remove = move || remove(&cluster, &node, &key, &status);
    thread::Builder::new().name("taint".to_owned()).spawn(remove).map(|_| ())
}

fn remove(cluster: &Cluster, node: &str, key: &str, status: &Shared) {
    let (mut wait, mut said) = (FIRST_WAIT, None);
    loop {
        while !status.with(|status| status.ready) {
            thread::sleep(LOOK);
        }
        match cluster.remove_taint(node, key) {
            Ok(removal) => {
                if removal == TaintRemoval::Removed {
                    screen::note(&format!("node {node}: the taint {key} is gone"));
                }
                (wait, said) = (FIRST_WAIT, None);
                thread::sleep(LONGEST_WAIT);
            }
            Err(error) => {
                let why = format!("the taint {key} stays for now: {error}");
                if said.as_ref() != Some(&why) {
                    screen::error(&anyhow!("{why}"));
                }
                said = Some(why);
                thread::sleep(wait);
                wait = LONGEST_WAIT.min(wait * 2);
            }
        }
    }
}

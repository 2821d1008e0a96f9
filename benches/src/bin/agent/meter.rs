//! What the agent takes: CPU of every thread but the one that asks, and memory of the process.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// The CPU that all other threads of this process used so far, those that ended too, in the kernel as well.
pub(crate) fn cpu_of_others() -> Duration {
    let clock = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
    // The own thread's first: whatever it uses in between counts for the others, not against them.
    let own = clock(ClockId::ThreadCPUTime);
    clock(ClockId::ProcessCPUTime).saturating_sub(own)
}

/// The memory that this process has now, in KiB.
pub(crate) fn memory_now() -> Result<u64> {
    status("self", "VmRSS:")
}

/// The most memory that this process had, in KiB.
pub(crate) fn memory_peak() -> Result<u64> {
    status("self", "VmHWM:")
}

/// The most memory that another process had, in KiB.
pub(crate) fn memory_of(process: u32) -> Result<u64> {
    status(&process.to_string(), "VmHWM:")
}

fn status(process: &str, field: &str) -> Result<u64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("{path}: this needs Linux"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let line = line.with_context(|| format!("no {field} in {path}"))?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

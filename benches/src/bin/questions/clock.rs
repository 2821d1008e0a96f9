//! What this process used: user CPU and the peak of its memory, as Linux tells them.

use std::fs;

use anyhow::{Context as _, Result};

/// The clock of a process ticks a hundred times a second: what is shorter is done again until it is
/// this many seconds together.
const ENOUGH: f64 = 0.4;

/// Adds up the user CPU of some work; what happens between its runs is not counted.
///
/// The scheduler counts nanoseconds but does not tell user from system; the ticks do. So the seconds
/// are those of the scheduler, and the share of them that counts is that of the ticks.
pub(crate) struct Stopwatch {
    began: Ticks,
    nanoseconds: u64,
    runs: u32,
}

impl Stopwatch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { began: Ticks::now()?, nanoseconds: 0, runs: 0 })
    }

    /// Does the work and counts it.
    pub(crate) fn run<T>(&mut self, work: impl FnOnce() -> T) -> Result<T> {
        let before = on_cpu()?;
        let made = work();
        self.nanoseconds += on_cpu()? - before;
        self.runs += 1;
        Ok(made)
    }

    /// The user CPU of one run in seconds; `None` while there were too few to tell.
    pub(crate) fn enough(&self) -> Result<Option<f64>> {
        let seconds = self.nanoseconds as f64 / 1e9;
        if seconds < ENOUGH {
            return Ok(None);
        }
        let now = Ticks::now()?;
        let (user, system) = ((now.user - self.began.user) as f64, (now.system - self.began.system) as f64);
        let share = if user > 0.0 { user / (user + system) } else { 1.0 };
        Ok(Some(seconds * share / f64::from(self.runs)))
    }
}

struct Ticks {
    user: u64,
    system: u64,
}

impl Ticks {
    fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat").context("/proc/self/stat: this needs Linux")?;
        // The command's name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
        let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let mut fields = after.split_whitespace().skip(11).map(str::parse);
        let mut next = || anyhow::Ok(fields.next().context("/proc/self/stat is short")??);
        Ok(Self { user: next()?, system: next()? })
    }
}

/// Nanoseconds on a CPU so far; there is one thread.
fn on_cpu() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/schedstat").context("/proc/self/schedstat: this needs Linux")?;
    Ok(text.split_whitespace().next().context("/proc/self/schedstat is empty")?.parse()?)
}

/// The most memory that this process ever had, in KiB.
pub(crate) fn peak_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status: this needs Linux")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches("kB").trim().parse()?)
}

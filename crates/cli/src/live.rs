//! Without `-f`: the cluster of the current context.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use palisade_manifest::Reading;
use palisade_watch::{Access, Cluster, Progress, ReadError};

use crate::args::ClusterArguments;

/// A reading that takes no longer than this needs no progress line.
const SOON: Duration = Duration::from_millis(500);

/// Finds the cluster that is meant, and reads all that an answer needs.
///
/// # Errors
/// When there is none, or a part of it cannot be read.
pub(crate) fn read(arguments: &ClusterArguments) -> Result<(Cluster, Reading)> {
    let access = Access { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone() };
    let cluster = access.find().map_err(|error| match error {
        ReadError::NoCluster(why) => {
            anyhow!("no -f given and no cluster to read: {why} (give files with -f, or a kubeconfig with --kubeconfig)")
        }
        error => error.into(),
    })?;
    let mut line = ProgressLine::new();
    let reading = cluster.read(&mut |progress| line.show(progress));
    line.clear();
    Ok((cluster, reading?))
}

/// One line on the terminal; nothing where standard error is no terminal.
struct ProgressLine {
    begin: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl ProgressLine {
    fn new() -> Self {
        Self { begin: Instant::now(), is_terminal: std::io::stderr().is_terminal(), is_shown: false }
    }

    fn show(&mut self, progress: &Progress) {
        if !self.is_terminal || self.begin.elapsed() < SOON {
            return;
        }
        let count = match progress.objects {
            0 => String::new(),
            objects => format!(" {}", grouped(objects)),
        };
        self.write(&format!("\r\x1b[Kreading {} …{count}", progress.resource));
        self.is_shown = true;
    }

    fn clear(&mut self) {
        if self.is_shown {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A progress line that cannot be written is not worth an error.
        _ = stderr.write_all(text.as_bytes());
        _ = stderr.flush();
    }
}

/// `12,500`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands() {
        let texts = [0, 999, 1000, 12_500, 1_234_567].map(grouped);
        assert_eq!(texts, ["0", "999", "1,000", "12,500", "1,234,567"]);
    }
}

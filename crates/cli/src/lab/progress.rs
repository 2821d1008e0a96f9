//! One line on the terminal that says what is going on; nothing where standard error is no terminal.

use std::io::{IsTerminal as _, Write as _};

use palisade_lab::enforcement::Progress;

/// The line.
pub(crate) struct ProgressLine {
    shown: bool,
    terminal: bool,
    last: usize,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { shown: false, terminal: std::io::stderr().is_terminal(), last: 0 }
    }

    /// Replaces the line.
    pub(crate) fn show(&mut self, step: Progress) {
        if !self.terminal {
            return;
        }
        let text = match step {
            Progress::Wiring => "bringing up namespaces and links".to_owned(),
            Progress::Rules => "loading the rulesets".to_owned(),
            Progress::WithoutRules(done, all) | Progress::WithRules(done, all) => {
                let percent = done * 100 / all.max(1);
                if percent == self.last && done != all {
                    return;
                }
                self.last = percent;
                let rules = if matches!(step, Progress::WithRules(..)) { "with" } else { "without" };
                format!("connections {rules} rules: {done} of {all}")
            }
        };
        self.write(&format!("\r\x1b[K{text}"));
        self.shown = true;
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if self.shown {
            self.write("\r\x1b[K");
            self.shown = false;
        }
    }

    fn write(&self, text: &str) {
        let mut stderr = std::io::stderr().lock();
        // A progress line that cannot be written is not worth an error.
        _ = stderr.write_all(text.as_bytes());
        _ = stderr.flush();
    }
}

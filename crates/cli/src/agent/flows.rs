//! From arguments to what the kernel logs and to the flow log.

use std::{path::Path, sync::mpsc::SyncSender};

use anyhow::{Result, bail};
use palisade_agent::{FlowLog, Input, Shared, flow_log::Target};
use palisade_nftables::plan::{Log, Options, Sample};

use crate::args::{FlowArguments, Logged};

impl FlowArguments {
    fn logs(&self, what: Logged) -> bool {
        self.what.contains(&what)
    }

    /// How rules are planned, as far as logging goes.
    ///
    /// # Errors
    /// When nothing is to be logged, and something.
    pub(super) fn options(&self) -> Result<Options> {
        if self.logs(Logged::None) && (self.logs(Logged::Denied) || self.logs(Logged::Accepted)) {
            bail!("--log is none, denied, or denied,accepted; none goes with nothing else");
        }
        let log = Log { group: self.log_group, limit: Some((self.log_rate, self.log_rate.saturating_mul(2))) };
        Ok(Options {
            log: self.logs(Logged::Denied).then_some(log),
            log_accepted: self.logs(Logged::Accepted).then_some(Sample { one_of: self.sample, log }),
            ..Options::default()
        })
    }

    /// The flow log of a node, which wakes the agent's loop through `inputs`. What cannot be had of it is said:
    /// enforcement goes on without. Only a file that cannot be written ends it, at the start, where somebody
    /// looks.
    ///
    /// # Errors
    /// When the file cannot be appended to, or no thread be started.
    pub(super) fn start(&self, node: &str, status: Shared, inputs: SyncSender<Input>) -> Result<FlowLog> {
        let mut log = FlowLog::of(node, status);
        let logs = self.logs(Logged::Denied) || self.logs(Logged::Accepted);
        // A full queue wakes the loop by itself.
        log.listen(logs.then_some(self.log_group), move || _ = inputs.try_send(Input::Wake))?;
        if !logs {
            return Ok(log);
        }
        if let Some(path) = &self.flow_log {
            let target = if path == Path::new("-") { Target::Stdout } else { Target::File(path.clone()) };
            if let Err(error) = log.write_to(&target) {
                bail!("cannot append to {}: {error}", path.display());
            }
        }
        if self.flow_socket != Path::new("none")
            && let Err(error) = log.tell_at(&self.flow_socket)
        {
            let (socket, error) = (self.flow_socket.display().to_string(), error.to_string());
            tracing::warn!(socket, error, "no flow socket");
        }
        Ok(log)
    }
}

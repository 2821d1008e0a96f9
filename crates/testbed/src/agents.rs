//! `palisade agent` as a process in the namespace of its node.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use palisade_linux::netns::NetNs;

use crate::Result;

/// Lines of an agent's log that a failure shows.
const LINES: usize = 12;

/// A running agent. It is killed, with SIGKILL, when this is dropped.
#[derive(Debug)]
pub struct AgentProcess {
    child: Child,
    /// Where it answers, in its namespace.
    health: SocketAddr,
    log: PathBuf,
}

impl AgentProcess {
    /// Starts `palisade agent` with these arguments; what it says goes to the end of `log`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(
        namespace: &NetNs,
        palisade: &Path,
        arguments: &[String],
        health: SocketAddr,
        log: &Path,
    ) -> Result<Self> {
        let said = File::options().create(true).append(true).open(log)?;
        // A child is in the namespace of the thread that makes it.
        let child = namespace.run(|| {
            let mut command = Command::new(palisade);
            command.arg("agent").args(["--listen", &health.to_string(), "--flow-socket", "none"]).args(arguments);
            for proxy in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
                command.env_remove(proxy);
            }
            command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn()
        })??;
        Ok(Self { child, health, log: log.to_owned() })
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as `kill -9` does, and waits for that.
    ///
    /// # Errors
    /// When it had ended by itself.
    pub fn kill(mut self) -> Result {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the agent had ended by itself: {status}\n{}", self.said()).into());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// The status and the body that its health server answers with.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn ask(&self, namespace: &NetNs, path: &str) -> Result<(u16, String)> {
        let mut stream = namespace.run(|| TcpStream::connect(self.health))??;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: agent\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("the health server's answer has no end of its head")?;
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Ok((code.ok_or("the health server's answer has no status")?, body.to_owned()))
    }

    /// Whether it says that the policies are enforced.
    ///
    /// # Errors
    /// Why not, as it says it.
    pub fn ready(&self, namespace: &NetNs) -> Result {
        match self.ask(namespace, "/readyz")? {
            (200, _) => Ok(()),
            (code, why) => Err(format!("/readyz is {code}: {}", why.trim()).into()),
        }
    }

    /// The value of one of its metrics, by its whole name.
    ///
    /// # Errors
    /// When it does not answer, or has no such metric.
    pub fn metric(&self, namespace: &NetNs, name: &str) -> Result<f64> {
        let (_, text) = self.ask(namespace, "/metrics")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.ok_or_else(|| format!("there is no metric {name}"))?.trim().parse()?)
    }

    /// The last lines of its log.
    pub fn said(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

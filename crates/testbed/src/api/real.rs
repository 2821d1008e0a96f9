//! etcd and kube-apiserver, as envtest starts them: no kubelet, no controllers, nothing but the API.
//!
//! Objects are written by `kubectl`, which comes with envtest's programs: server-side apply, and then the status of
//! Pods and Nodes, which nobody else sets here, replaced. It cannot be applied: a Node with addresses of both
//! families has two entries of one type, which for a server-side apply is one entry twice.

use std::{
    fs::File,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use palisade_watch::{
    Watched,
    fake::{FakeServer, objects},
};
use serde_json::{Value, json};

use super::Api;
use crate::{Result, until};

/// What has to be in the folder.
const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];
/// Who the tests and the agents are: a member of system:masters.
const TOKEN: &str = "palisade-testbed";

/// The folder that `KUBEBUILDER_ASSETS` names.
pub(crate) fn assets() -> Option<PathBuf> {
    std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A running kube-apiserver with its etcd. Both are killed, and their folder removed, when this is dropped.
pub(crate) struct RealServer {
    address: SocketAddr,
    kubectl: PathBuf,
    folder: PathBuf,
    children: Vec<Child>,
}

impl RealServer {
    pub(crate) fn start() -> Result<Self> {
        let assets = assets().ok_or("KUBEBUILDER_ASSETS is not set")?;
        if let Some(missing) = PROGRAMS.iter().find(|program| !assets.join(program).exists()) {
            return Err(format!(
                "there is no {missing} in {}: KUBEBUILDER_ASSETS names a folder with {}, as `setup-envtest use -p path` prints it",
                assets.display(),
                PROGRAMS.join(", "),
            )
            .into());
        }
        let [address, client, peer] = free_addresses()?;
        let folder = std::env::temp_dir().join(format!("palisade-apiserver-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&folder)?;
        let kubectl = assets.join("kubectl");
        let mut server = Self { address, kubectl, folder, children: Vec::new() };
        let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
        server.spawn(
            &assets.join("etcd"),
            &[
                format!("--data-dir={}", server.path("etcd").display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=default={peer}"),
                "--unsafe-no-fsync".to_owned(),
            ],
        )?;
        server.write("tokens.csv", &format!("{TOKEN},testbed,testbed,\"system:masters\"\n"))?;
        server.write("kubeconfig", &server.kubeconfig(address))?;
        let certificates = server.path("certificates");
        server.spawn(
            &assets.join("kube-apiserver"),
            &[
                format!("--etcd-servers={client}"),
                "--bind-address=127.0.0.1".to_owned(),
                // Where the lab is there is no default route to guess an address from.
                "--advertise-address=127.0.0.1".to_owned(),
                "--endpoint-reconciler-type=none".to_owned(),
                format!("--secure-port={}", address.port()),
                // It makes a certificate of its own there, whose key signs what no test looks at.
                format!("--cert-dir={}", certificates.display()),
                format!("--service-account-signing-key-file={}", certificates.join("apiserver.key").display()),
                format!("--service-account-key-file={}", certificates.join("apiserver.crt").display()),
                "--service-account-issuer=https://127.0.0.1/".to_owned(),
                format!("--token-auth-file={}", server.path("tokens.csv").display()),
                "--authorization-mode=RBAC".to_owned(),
                // Nobody makes the service accounts that it waits for.
                "--disable-admission-plugins=ServiceAccount".to_owned(),
                "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
                "--allow-privileged=true".to_owned(),
            ],
        )?;
        until("kube-apiserver is ready", || server.kubectl(&["get", "--raw", "/readyz"], "").map(drop))
            .map_err(|error| format!("{error}\n{}", server.said()))?;
        until("the namespace default is there", || server.kubectl(&["get", "namespace", "default"], "").map(drop))?;
        Ok(server)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result {
        Ok(std::fs::write(self.path(name), text)?)
    }

    fn spawn(&mut self, program: &Path, arguments: &[String]) -> Result {
        let said = File::options().create(true).append(true).open(self.path("log"))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        self.children.push(command.stdout(said.try_clone()?).stderr(said).spawn()?);
        Ok(())
    }

    /// The end of what both programs said.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.path("kubeconfig")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()).into())
    }
}

impl Api for RealServer {
    fn apply(&self, manifests: &str) -> Result {
        let mut all = objects(manifests);
        let has_status =
            |object: &&Value| matches!(object["kind"].as_str(), Some("Pod" | "Node")) && object["status"].is_object();
        let with_status: Vec<Value> = all.iter().filter(has_status).cloned().collect();
        for object in all.iter_mut().filter_map(Value::as_object_mut) {
            object.remove("status");
        }
        self.kubectl(
            &["apply", "--server-side", "--force-conflicts", "--field-manager=testbed", "-f", "-"],
            &list(&all),
        )?;
        if !with_status.is_empty() {
            self.kubectl(&["replace", "--subresource=status", "-f", "-"], &list(&with_status))?;
        }
        Ok(())
    }

    fn delete(&self, of: Watched, name: &str) -> Result {
        let resource = of.resource().to_string();
        let (namespace, object) = name.split_once('/').unwrap_or(("default", name));
        let what = [resource.as_str(), object, "-n", namespace];
        // No kubelet ends the pod, and no controller empties the namespace.
        let how: &[&str] = match of {
            Watched::Pods => &["--wait=false", "--grace-period=0", "--force"],
            _ => &["--wait=false"],
        };
        self.kubectl(&[&["delete"], &what[..], how].concat(), "")?;
        if of == Watched::Namespaces {
            let finalized = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": object }, "spec": { "finalizers": [] } });
            let path = format!("/api/v1/namespaces/{object}/finalize");
            self.kubectl(&["replace", "--raw", &path, "-f", "-"], &finalized.to_string())?;
        }
        Ok(())
    }

    fn install(&self, of: Watched, definition: &str) -> Result {
        self.kubectl(&["apply", "--server-side", "--field-manager=testbed", "-f", "-"], definition)?;
        let resource = of.resource().to_string();
        until("the kind is served", || self.kubectl(&["get", &resource, "--all-namespaces"], "").map(drop))
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn kubeconfig(&self, at: SocketAddr) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
             clusters:\n- name: testbed\n  cluster:\n    server: https://{at}\n    insecure-skip-tls-verify: true\n\
             users:\n- name: testbed\n  user:\n    token: {TOKEN}\n\
             contexts:\n- name: testbed\n  context:\n    cluster: testbed\n    user: testbed\n    namespace: default\n"
        )
    }

    fn fake(&self) -> Option<&FakeServer> {
        None
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        // The server before its etcd.
        for child in self.children.iter_mut().rev() {
            _ = child.kill();
            _ = child.wait();
        }
        _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn list(objects: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string()
}

/// Free ports of the loopback, as long as nobody else takes them meanwhile.
fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    let mut listeners = Vec::new();
    for _ in 0..N {
        listeners.push(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    }
    let mut addresses = Vec::new();
    for listener in &listeners {
        addresses.push(listener.local_addr()?);
    }
    addresses.try_into().map_err(|_| "as many addresses as listeners".into())
}

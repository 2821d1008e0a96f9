//! The whole command, `palisade agent` as a process, against an API server in memory: its watches, what they keep of
//! each object, its threads. Only memory is measured; times are in [`child`](crate::child).

use std::{env, fs, io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, anyhow, bail};
use palisade_benches::{Cluster, Size};
use palisade_linux::{
    links::{LOOPBACK, Request, Rtnetlink},
    netns::NetNs,
    sandbox::Sandbox,
};
use palisade_testbed::agents::AgentProcess;
use palisade_watch::fake::FakeServer;

use crate::{child::Task, meter::memory_of, report::Line};

/// What takes longer than this never comes.
const NEVER: Duration = Duration::from_secs(180);

/// Runs it until it enforces a cluster of this size, and says its memory.
pub(crate) fn run(task: Task, say: &mut dyn FnMut(Line)) -> Result<()> {
    let Some(palisade) = command() else {
        eprintln!("skipped: the memory of the whole command: `cargo build --release --package palisade` first");
        return Ok(());
    };
    Sandbox::enter()?;
    let namespace = NetNs::create("of the node")?;
    Rtnetlink::open(&namespace)?.submit(&[Request::Up { link: LOOPBACK }])?;
    let server = namespace.run(FakeServer::start)??;
    let cluster = Cluster::new(Size { pods: task.pods, policies: task.policies, seed: 1, dual_stack: true })?;
    let mut text = Vec::new();
    cluster.write(&mut text)?;
    // What is not served is not what an agent watches.
    for document in String::from_utf8(text)?.split("\n---\n") {
        if ["Namespace", "Node", "Pod", "NetworkPolicy"]
            .iter()
            .any(|kind| document.contains(&format!("kind: {kind}\n")))
        {
            server.apply(document);
        }
    }
    let folder = env::temp_dir().join(format!("palisade-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let kubeconfig = folder.join("kubeconfig");
    fs::File::create(&kubeconfig)?.write_all(server.kubeconfig("default").as_bytes())?;
    let node = cluster.node(0).context("a cluster without a node")?;
    let arguments = ["--node", &node, "--pod-interface", "veth", "--kubeconfig", &kubeconfig.display().to_string()];
    let arguments: Vec<String> = arguments.map(str::to_owned).into();
    let health = SocketAddr::from(([127, 0, 0, 1], 9402));
    let log = folder.join("log");
    let measured = (|| {
        let failed = |error: palisade_testbed::Error| anyhow!("{error}");
        let agent = AgentProcess::start(&namespace, &palisade, &arguments, health, &log).map_err(failed)?;
        let began = std::time::Instant::now();
        while let Err(why) = agent.ready(&namespace) {
            if began.elapsed() > NEVER {
                bail!("not enforced within {NEVER:?}: {why}\n{}", agent.said());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        memory_of(agent.id())
    })();
    _ = fs::remove_dir_all(&folder);
    // It ends by a connection to itself.
    namespace.run(move || drop(server))?;
    say(Line { what: "memory of the command".into(), mib: Some(measured? as f64 / 1024.0), ..Line::default() });
    Ok(())
}

/// The command, as it was built beside this program.
fn command() -> Option<PathBuf> {
    let path = env::current_exe().ok()?.with_file_name("palisade");
    path.exists().then_some(path)
}

//! The testbed: everything up, agents started and killed, settled when kernel and API say the same.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use palisade_engine::model::Inventory;
use palisade_lab::wiring::{Network, Options};
use palisade_linux::netns::NetNs;
use palisade_nftables::{
    difference::{Change, Difference},
    netlink::{Kernel, Snapshot},
    plan::WOULD_DENY,
    ruleset::Ruleset,
};

use crate::{Api, Brand, Error, Result, Wiring, agents::AgentProcess, fresh, relay::Relay, stage::Stage, until};

/// How the interfaces' names begin that lead to a pod, in the lab's wiring.
const POD_INTERFACES: &str = "pod";

/// What a testbed is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The command.
    pub palisade: PathBuf,
    /// Which API server.
    pub brand: Brand,
    /// How pods are joined with their nodes.
    pub wiring: Wiring,
    /// Whether agents are told which interfaces lead to pods, so that they drop forged sources.
    pub pod_interfaces: bool,
    /// Seconds between two audits.
    pub audit_every: u64,
    /// What agents are told besides.
    pub arguments: Vec<String>,
}

impl Setup {
    /// The usual one: the brand that the environment asks for, routed, and agents as they are to be run.
    pub fn of(palisade: impl Into<PathBuf>) -> Self {
        let (brand, wiring) = (Brand::of_environment(), Wiring::Routed);
        Self { palisade: palisade.into(), brand, wiring, pod_interfaces: true, audit_every: 180, arguments: Vec::new() }
    }
}

/// A running testbed. Everything ends when it is dropped.
pub struct Testbed {
    // In the order in which they are to end.
    stations: Vec<Station>,
    api: Box<dyn Api>,
    pub(crate) network: Network,
    pub(crate) stage: Stage,
    setup: Setup,
    folder: Folder,
}

/// What there is on a node.
struct Station {
    agents: Vec<AgentProcess>,
    relay: Relay,
    kernel: Kernel,
}

impl Testbed {
    /// Wires the nodes and pods of `texts`, and starts an API server that knows nothing of them yet. No agent
    /// runs.
    ///
    /// # Errors
    /// When that cannot be done here.
    pub fn up(setup: Setup, texts: &[&str], outside: &[IpAddr]) -> Result<Self> {
        let stage = Stage::of(texts, outside)?;
        let options = Options { wiring: setup.wiring, ..Options::default() };
        let network = Network::up_with(&stage.topology, options)?;
        let api = setup.brand.start()?;
        let folder = Folder::new()?;
        folder.write("direct", &api.kubeconfig(api.address()))?;
        let mut stations = Vec::new();
        for (name, namespace) in stage.nodes.iter().zip(network.nodes()) {
            let relay = Relay::open(namespace, api.address())?;
            folder.write(name, &api.kubeconfig(relay.address()))?;
            stations.push(Station { agents: Vec::new(), relay, kernel: namespace.run(Kernel::open)?? });
        }
        Ok(Self { stations, api, network, stage, setup, folder })
    }

    /// The API server.
    pub fn api(&self) -> &dyn Api {
        self.api.as_ref()
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.stations.len()
    }

    /// The namespace of a node.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn node(&self, node: usize) -> Result<&NetNs> {
        Ok(self.network.node(node).ok_or("no such node")?)
    }

    /// Starts one more agent on a node.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_agent(&mut self, node: usize) -> Result {
        let name = self.stage.nodes.get(node).ok_or("no such node")?;
        let namespace = self.network.node(node).ok_or("no such node")?;
        let station = self.stations.get_mut(node).ok_or("no such node")?;
        let port = 9402 + u16::try_from(station.agents.len())?;
        let mut arguments = vec!["--node".to_owned(), name.clone()];
        arguments.extend(["--kubeconfig".to_owned(), self.folder.path(name).display().to_string()]);
        arguments.extend(["--audit-every".to_owned(), self.setup.audit_every.to_string()]);
        if self.setup.pod_interfaces {
            arguments.extend(["--pod-interface".to_owned(), POD_INTERFACES.to_owned()]);
        }
        arguments.extend_from_slice(&self.setup.arguments);
        let log = self.folder.path(&format!("{name}-{port}.log"));
        let health = SocketAddr::from(([127, 0, 0, 1], port));
        station.agents.push(AgentProcess::start(namespace, &self.setup.palisade, &arguments, health, &log)?);
        Ok(())
    }

    /// Starts an agent on every node.
    ///
    /// # Errors
    /// When one cannot be started.
    pub fn start_agents(&mut self) -> Result {
        (0..self.nodes()).try_for_each(|node| self.start_agent(node))
    }

    /// Kills all agents of a node, as `kill -9` does.
    ///
    /// # Errors
    /// When one had ended by itself.
    pub fn kill_agents(&mut self, node: usize) -> Result {
        let station = self.stations.get_mut(node).ok_or("no such node")?;
        station.agents.drain(..).try_for_each(AgentProcess::kill)
    }

    /// The agents of a node.
    pub fn agents(&self, node: usize) -> &[AgentProcess] {
        self.stations.get(node).map_or(&[], |station| &station.agents)
    }

    /// A metric, added up over the agents of a node.
    ///
    /// # Errors
    /// When one does not answer.
    pub fn metric(&self, node: usize, name: &str) -> Result<f64> {
        let namespace = self.node(node)?;
        self.agents(node).iter().map(|agent| agent.metric(namespace, name)).sum()
    }

    /// Waits until every agent says that it is ready.
    ///
    /// # Errors
    /// Why one is not.
    pub fn ready(&self) -> Result {
        for node in 0..self.nodes() {
            let namespace = self.node(node)?;
            for agent in self.agents(node) {
                let ask = || agent.ready(namespace).map_err(|why| format!("{why}\n{}", agent.said()).into());
                until("the agent is ready", ask)?;
            }
        }
        Ok(())
    }

    /// Takes the API server away from the agents: their connections end, and new ones are refused. The test
    /// still reaches it.
    pub fn api_goes_away(&self) {
        self.stations.iter().for_each(|station| station.relay.close());
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When its port was taken meanwhile.
    pub fn api_comes_back(&self) -> Result {
        self.stations.iter().zip(self.network.nodes()).try_for_each(|(station, node)| station.relay.reopen(node))
    }

    /// Ends every connection of the agents with the API server.
    pub fn cut_connections(&self) {
        self.stations.iter().for_each(|station| station.relay.cut());
    }

    /// Waits until the kernel of every node has exactly what a fresh compile of the API's objects gives, and
    /// every agent says that it is ready.
    ///
    /// # Errors
    /// In what they differ.
    pub fn settle(&mut self) -> Result {
        self.settle_as(|_| {})
    }

    /// The same, with other objects than the API server has: those that a poison object stands for.
    ///
    /// # Errors
    /// In what they differ.
    pub fn settle_as(&mut self, edit: impl FnOnce(&mut Inventory)) -> Result {
        let wanted = self.fresh(edit)?;
        let settled = until("the kernels are as a fresh compile", || match self.differences(&wanted)? {
            differences if differences.is_empty() => Ok(()),
            differences => Err(Error::from(differences.join("\n"))),
        });
        settled.map_err(|error| {
            let said = self.stations.iter().flat_map(|station| &station.agents).map(AgentProcess::said);
            Error::from(format!("{error}\n{}", said.collect::<Vec<_>>().join("\n")))
        })?;
        self.ready()
    }

    /// The ruleset of each node as a fresh compile has it.
    ///
    /// # Errors
    /// When the API server's objects cannot be read, or contradict each other.
    pub fn fresh(&self, edit: impl FnOnce(&mut Inventory)) -> Result<Vec<Option<Ruleset>>> {
        let mut inventory = fresh::inventory(&self.folder.path("direct"))?;
        edit(&mut inventory);
        let pod_interfaces: &[String] = if self.setup.pod_interfaces { &[POD_INTERFACES.to_owned()] } else { &[] };
        Ok(fresh::rulesets(&fresh::cluster(inventory)?, &self.stage.nodes, pod_interfaces))
    }

    /// In what the kernels of the nodes differ from these rulesets now.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn differences(&mut self, wanted: &[Option<Ruleset>]) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for (node, wanted) in wanted.iter().enumerate() {
            let Some(wanted) = wanted else { continue };
            let found = self.snapshot(node)?.differences(wanted);
            all.extend(found.into_iter().map(|line| format!("node {node}: {line}")));
        }
        Ok(all)
    }

    /// What the kernel of a node has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot(&mut self, node: usize) -> Result<Snapshot> {
        Ok(self.kernel(node)?.snapshot()?)
    }

    /// A hand that meddles with the table of a node.
    ///
    /// # Errors
    /// When there is no such node.
    pub fn kernel(&mut self, node: usize) -> Result<&mut Kernel> {
        Ok(&mut self.stations.get_mut(node).ok_or("no such node")?.kernel)
    }

    /// Does something to the table of a node, behind the agent's back.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn meddle(&mut self, node: usize, switch: Vec<Change>) -> Result {
        self.kernel(node)?.apply(&Difference { switch, ..Difference::default() })?;
        Ok(())
    }

    /// How many packets the tables of all nodes have dropped, as far as their rules are still there.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn dropped(&mut self) -> Result<u64> {
        let mut sum = 0;
        for station in &mut self.stations {
            // Before the first agent there is no table.
            if station.kernel.snapshot()?.exists {
                // What audited policies would deny is counted, and passes.
                let counters = station.kernel.counters()?;
                let dropped = counters.iter().filter(|counter| !counter.chain.starts_with(WOULD_DENY));
                sum += dropped.map(|counter| counter.packets).sum::<u64>();
            }
        }
        Ok(sum)
    }
}

/// A folder that is gone when this is.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("palisade-testbed-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0)?;
        Ok(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result {
        Ok(std::fs::write(self.path(name), text)?)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

//! Everyone that a name means, as a set: for questions about more than one connection.

use anyhow::{Result, bail};
use ipnet::IpNet;
use palisade_engine::{
    Connections, PolicyProgram,
    connections::EndSet,
    model::{Cluster, Endpoint, Family, NodeId, PodId},
    sets::PrefixSet,
};

use super::{EndName, Party, Resolver, parse_end};

/// Some ends of connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Pods with a network of their own.
    pub(crate) pods: Vec<PodId>,
    /// Nodes, each at all of its addresses.
    pub(crate) nodes: Vec<NodeId>,
    /// Addresses that neither a pod nor a node has.
    pub(crate) outside: PrefixSet,
}

impl Selection {
    /// Everyone that `text` means: what [`Resolver`] finds, `ns/NAME` for the pods of a namespace, a
    /// network with whoever has an address in it, or `outside`.
    ///
    /// # Errors
    /// When it names nobody.
    pub(crate) fn parse(resolver: &Resolver<'_>, text: &str) -> Result<Self> {
        let mut selection = Self::default();
        if let Ok(network) = text.parse::<IpNet>() {
            selection.add_network(resolver.cluster, network);
            return Ok(selection);
        }
        let end = parse_end(text)?;
        if let Some(namespace) = namespace(&end) {
            selection.add_namespace(resolver.cluster, namespace)?;
            return Ok(selection);
        }
        match resolver.source(&end) {
            Ok(parties) => selection.add(resolver, &parties),
            Err(_) if end == EndName::One("outside".to_owned()) => selection.outside = everywhere(),
            Err(error) => return Err(error),
        }
        Ok(selection)
    }

    /// The ends of some connections that this is; these must have been cut by [`Self::outside`].
    pub(crate) fn ends(&self, connections: &Connections, program: &PolicyProgram) -> EndSet {
        let ends = connections.ends();
        let mut set = ends.of_prefixes(&self.outside);
        let identities = self.pods.iter().filter_map(|pod| program.identity_of(*pod));
        set.extend(identities.map(|identity| ends.of_identity(identity).number()));
        set.extend(self.nodes.iter().flat_map(|node| ends.of_node(*node)).map(|end| end.number()));
        set
    }

    fn add(&mut self, resolver: &Resolver<'_>, parties: &[Party]) {
        for party in parties {
            for family in Family::ALL {
                let Some(side) = resolver.side(party, family) else { continue };
                match (side.endpoint, side.address) {
                    (Endpoint::Pod(pod), _) => self.pods.push(pod),
                    (Endpoint::Node(node), _) => self.nodes.push(node),
                    (Endpoint::Outside, Some(address)) => {
                        let address: PrefixSet = std::iter::once(IpNet::from(address)).collect();
                        self.outside = self.outside.union(&address);
                    }
                    (Endpoint::Outside, None) => {}
                }
            }
        }
        self.tidy();
    }

    fn add_network(&mut self, cluster: &Cluster, network: IpNet) {
        let prefixes: PrefixSet = std::iter::once(network.trunc()).collect();
        let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network);
        let inside = pods.filter(|(_, pod)| pod.addresses.iter().any(|address| prefixes.contains(address)));
        self.pods.extend(inside.map(|(id, _)| id));
        let inside =
            cluster.nodes().filter(|(_, node)| node.addresses.iter().any(|address| prefixes.contains(*address)));
        self.nodes.extend(inside.map(|(id, _)| id));
        self.outside = prefixes;
    }

    fn add_namespace(&mut self, cluster: &Cluster, name: &str) -> Result<()> {
        if cluster.namespace(name).is_none() {
            bail!("there is no namespace {name} in the input");
        }
        let pods = cluster.pods().filter(|(_, pod)| pod.is_live() && !pod.host_network && *pod.id.namespace == *name);
        self.pods.extend(pods.map(|(id, _)| id));
        Ok(())
    }

    fn tidy(&mut self) {
        self.pods.sort_unstable();
        self.pods.dedup();
        self.nodes.sort_unstable();
        self.nodes.dedup();
    }
}

fn everywhere() -> PrefixSet {
    ["0.0.0.0/0", "::/0"].into_iter().filter_map(|all| all.parse::<IpNet>().ok()).collect()
}

fn namespace(end: &EndName) -> Option<&str> {
    match end {
        EndName::Two(kind, name) if matches!(kind.as_str(), "ns" | "namespace" | "namespaces") => Some(name),
        _ => None,
    }
}

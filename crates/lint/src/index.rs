//! Where things are, so that no rule walks all pods for each policy: pods and Services by namespace,
//! addresses in order. Each list is made when a rule first asks for it.

use std::{
    cell::{OnceCell, RefCell},
    collections::{HashMap, HashSet},
    net::IpAddr,
    rc::Rc,
};

use palisade_engine::{
    PolicyProgram,
    compile::IdentityId,
    model::{Cluster, LabelSelector, Labels, Name, Namespace, Operator, Pod, Protocol, Service},
    sets::PrefixSet,
};

/// More candidates than this are not looked through for a hint.
const MOST_CANDIDATES: usize = 1_000;

/// Labels of pods, each once.
pub(crate) type LabelsSeen<'a> = Rc<HashSet<(&'a Name, &'a Name)>>;

/// The lists over one cluster.
#[derive(Debug)]
pub(crate) struct Index<'a> {
    cluster: &'a Cluster,
    program: &'a PolicyProgram,
    namespaces: HashMap<&'a str, InNamespace<'a>>,
    labels: RefCell<HashMap<&'a str, LabelsSeen<'a>>>,
    matching: RefCell<HashMap<String, Rc<Vec<&'a Namespace>>>>,
    declared: OnceCell<HashMap<IdentityId, Declared>>,
    by_label: OnceCell<HashMap<(&'a Name, &'a Name), Vec<IdentityId>>>,
    pods: OnceCell<Vec<(IpAddr, &'a Pod)>>,
    nodes: OnceCell<Vec<(IpAddr, ())>>,
    services: OnceCell<Vec<(IpAddr, &'a Service)>>,
}

/// What the pods of an identity declare.
#[derive(Debug, Default)]
struct Declared {
    ports: Vec<(Protocol, u16)>,
    /// Whether each of them declares some port.
    by_each: bool,
}

#[derive(Debug, Default)]
struct InNamespace<'a> {
    pods: Vec<&'a Pod>,
    host_pods: Vec<&'a Pod>,
    identities: Vec<IdentityId>,
    services: Vec<&'a Service>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(cluster: &'a Cluster, program: &'a PolicyProgram) -> Self {
        let mut namespaces: HashMap<&str, InNamespace<'_>> = HashMap::new();
        for (_, pod) in cluster.pods().filter(|(_, pod)| pod.is_live()) {
            let there = namespaces.entry(&pod.id.namespace).or_default();
            if pod.host_network { there.host_pods.push(pod) } else { there.pods.push(pod) }
        }
        for (id, identity) in program.identities() {
            namespaces.entry(&identity.namespace).or_default().identities.push(id);
        }
        for service in cluster.services() {
            namespaces.entry(&service.id.namespace).or_default().services.push(service);
        }
        Self {
            cluster,
            program,
            namespaces,
            labels: RefCell::default(),
            matching: RefCell::default(),
            declared: OnceCell::new(),
            by_label: OnceCell::new(),
            pods: OnceCell::new(),
            nodes: OnceCell::new(),
            services: OnceCell::new(),
        }
    }

    /// The live pods of a namespace that have a network of their own.
    pub(crate) fn pods_in(&self, namespace: &str) -> &[&'a Pod] {
        self.namespaces.get(namespace).map_or(&[], |there| &there.pods)
    }

    /// The live host-network pods of a namespace.
    pub(crate) fn host_pods_in(&self, namespace: &str) -> &[&'a Pod] {
        self.namespaces.get(namespace).map_or(&[], |there| &there.host_pods)
    }

    /// The identities of a namespace.
    pub(crate) fn identities_in(&self, namespace: &str) -> &[IdentityId] {
        self.namespaces.get(namespace).map_or(&[], |there| &there.identities)
    }

    /// The Services of a namespace.
    pub(crate) fn services_in(&self, namespace: &str) -> &[&'a Service] {
        self.namespaces.get(namespace).map_or(&[], |there| &there.services)
    }

    /// The labels that the live pods of a namespace carry.
    pub(crate) fn labels_in(&self, namespace: &'a str) -> LabelsSeen<'a> {
        let mut known = self.labels.borrow_mut();
        let labels = known.entry(namespace).or_insert_with(|| {
            let pods = self.pods_in(namespace).iter().chain(self.host_pods_in(namespace));
            Rc::new(pods.flat_map(|pod| pod.labels.iter()).collect())
        });
        Rc::clone(labels)
    }

    /// The namespaces that a selector selects.
    pub(crate) fn namespaces_matching(&self, selector: &LabelSelector) -> Rc<Vec<&'a Namespace>> {
        let mut known = self.matching.borrow_mut();
        let found = known.entry(selector.to_string()).or_insert_with(|| {
            Rc::new(self.cluster.namespaces().filter(|namespace| matches(selector, &namespace.labels)).collect())
        });
        Rc::clone(found)
    }

    /// The ports that the pods of an identity declare, in order.
    pub(crate) fn declared(&self, identity: IdentityId) -> &[(Protocol, u16)] {
        self.declared_by(identity).map_or(&[], |declared| &declared.ports)
    }

    /// Whether each pod of an identity declares some port.
    pub(crate) fn each_declares(&self, identity: IdentityId) -> bool {
        self.declared_by(identity).is_some_and(|declared| declared.by_each)
    }

    fn declared_by(&self, identity: IdentityId) -> Option<&Declared> {
        let all = self.declared.get_or_init(|| {
            let of = |pods: &[palisade_engine::model::PodId]| {
                let mut ports: Vec<(Protocol, u16)> = Vec::new();
                for port in pods.iter().flat_map(|pod| &self.cluster.pod(*pod).ports) {
                    if !ports.contains(&(port.protocol, port.port)) {
                        ports.push((port.protocol, port.port));
                    }
                }
                ports.sort_unstable();
                Declared { ports, by_each: pods.iter().all(|pod| !self.cluster.pod(*pod).ports.is_empty()) }
            };
            self.program.identities().map(|(id, identity)| (id, of(&identity.pods))).collect()
        });
        all.get(&identity)
    }

    /// A pod of another namespace that a selector with an equality selects.
    pub(crate) fn elsewhere(&self, selector: &LabelSelector, namespace: &str) -> Option<&'a Pod> {
        let by_label = self.by_label.get_or_init(|| {
            let mut by_label: HashMap<(&Name, &Name), Vec<IdentityId>> = HashMap::new();
            for (id, identity) in self.program.identities() {
                for label in identity.labels.iter() {
                    by_label.entry(label).or_default().push(id);
                }
            }
            by_label
        });
        let (key, value) = selector.requirements.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((&requirement.key, values.first()?)),
            _ => None,
        })?;
        let candidates = by_label.get(&(key, value))?.iter().take(MOST_CANDIDATES);
        let mut found = candidates
            .map(|id| self.program.identity(*id))
            .filter(|identity| &*identity.namespace != namespace && matches(selector, &identity.labels));
        found.next()?.pods.first().map(|pod| self.cluster.pod(*pod))
    }

    /// The first pod at the addresses of a set, and how many there are.
    pub(crate) fn pods_at(&self, set: &PrefixSet) -> Option<(&'a Pod, usize)> {
        let pods = self.pods.get_or_init(|| {
            let own = self.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.is_live() && !pod.host_network);
            in_order(own.flat_map(|pod| pod.addresses.iter().map(move |address| (address, pod))))
        });
        within(pods, set)
    }

    /// Whether a node has an address of a set.
    pub(crate) fn holds_node(&self, set: &PrefixSet) -> bool {
        let nodes = self.nodes.get_or_init(|| {
            let nodes = self.cluster.nodes();
            in_order(nodes.flat_map(|(_, node)| node.addresses.iter().map(|address| (*address, ()))))
        });
        within(nodes, set).is_some()
    }

    /// The first Service at the addresses of a set.
    pub(crate) fn service_at(&self, set: &PrefixSet) -> Option<&'a Service> {
        let services = self.services.get_or_init(|| {
            let services = self.cluster.services().iter();
            in_order(services.flat_map(|service| service.addresses.iter().map(move |address| (*address, service))))
        });
        within(services, set).map(|(service, _)| service)
    }
}

/// Whether a selector selects these labels.
pub(crate) fn matches(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| {
        let value = labels.get(&requirement.key);
        match &requirement.operator {
            Operator::In(values) => value.is_some_and(|value| values.contains(value)),
            Operator::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    })
}

fn in_order<T>(entries: impl Iterator<Item = (IpAddr, T)>) -> Vec<(IpAddr, T)> {
    let mut entries: Vec<(IpAddr, T)> = entries.map(|(address, of)| (address.to_canonical(), of)).collect();
    entries.sort_by_key(|(address, _)| *address);
    entries
}

fn within<T: Copy>(entries: &[(IpAddr, T)], set: &PrefixSet) -> Option<(T, usize)> {
    let mut first = None;
    let mut count = 0;
    for prefix in set.prefixes() {
        let start = entries.partition_point(|(address, _)| *address < prefix.network());
        let end = entries.partition_point(|(address, _)| *address <= prefix.broadcast());
        count += end.saturating_sub(start);
        if start < end {
            first = first.or_else(|| entries.get(start).map(|(_, of)| *of));
        }
    }
    first.map(|first| (first, count))
}

//! The cluster's resolver: the one of the manifests, or one that is added, as every cluster has one.

use palisade_engine::model::{
    Cluster, ContainerPort, Inventory, LabelSelector, Labels, Name, ObjectRef, Pod, Protocol, Requirement, Service,
    ServicePort, ServiceType, TargetPort,
};

/// Where a cluster's resolver is.
const NAMESPACE: &str = "kube-system";
/// What it is called, and the label by which policies find it.
const NAME: &str = "kube-dns";
const LABEL: &str = "k8s-app";
const PORT: u16 = 53;

/// The Service that pods ask for names.
pub fn resolver(cluster: &Cluster) -> Option<&Service> {
    cluster.services().iter().find(|service| is_resolver(service))
}

/// Adds the Service `kube-system/kube-dns`, and a pod behind it, where the manifests have none. Returns
/// what was added, for people.
pub fn add_resolver(inventory: &mut Inventory) -> Vec<String> {
    if inventory.services.iter().any(is_resolver) {
        return Vec::new();
    }
    let mut added = Vec::new();
    let in_place =
        |id: &ObjectRef, labels: &Labels| &*id.namespace == NAMESPACE && labels.get(LABEL).is_some_and(is_dns);
    let pods = inventory.pods.iter().filter(|pod| pod.is_live() && in_place(&pod.id, &pod.labels));
    let workloads = inventory.workloads.iter().map(|workload| (&workload.id, &workload.template.labels));
    let workloads = workloads.filter(|(id, labels)| in_place(id, labels)).map(|(_, labels)| labels);
    let labelled = pods.map(|pod| &pod.labels).chain(workloads).find_map(|labels| labels.get(LABEL).cloned());
    let app = labelled.unwrap_or_else(|| {
        inventory.pods.push(pod());
        added.push(format!("the pod {NAMESPACE}/{NAME}"));
        Name::from(NAME)
    });
    inventory.services.push(service(app));
    added.push(format!("the Service {NAMESPACE}/{NAME}"));
    added
}

fn is_dns(app: &Name) -> bool {
    app.contains("dns")
}

fn is_resolver(service: &Service) -> bool {
    let asks = |port: &ServicePort| port.port == PORT && port.protocol == Protocol::Udp;
    &*service.id.namespace == NAMESPACE && service.id.name.contains("dns") && service.ports.iter().any(asks)
}

fn pod() -> Pod {
    let port = |name: &str, protocol| ContainerPort { name: Some(Name::from(name)), protocol, port: PORT };
    Pod {
        labels: [(Name::from(LABEL), Name::from(NAME))].into_iter().collect(),
        ports: vec![port("dns", Protocol::Udp), port("dns-tcp", Protocol::Tcp)],
        ..Pod::running(ObjectRef::new(NAMESPACE, NAME))
    }
}

fn service(app: Name) -> Service {
    let port = |name: &str, protocol| ServicePort {
        name: Some(Name::from(name)),
        protocol,
        port: PORT,
        target: TargetPort::Number(PORT),
        node_port: None,
    };
    let requirements = vec![Requirement::equals(Name::from(LABEL), app)];
    Service {
        id: ObjectRef::new(NAMESPACE, NAME),
        kind: ServiceType::ClusterIp,
        selector: Some(LabelSelector { requirements, at: None }),
        addresses: Vec::new(),
        ports: vec![port("dns", Protocol::Udp), port("dns-tcp", Protocol::Tcp)],
        external_name: None,
        at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_added_only_where_none_is() {
        let mut bare = Inventory::default();
        assert_eq!(add_resolver(&mut bare).len(), 2);
        assert_eq!(add_resolver(&mut bare), Vec::<String>::new());

        let mut with_pod = Inventory { pods: vec![pod()], ..Inventory::default() };
        assert_eq!(add_resolver(&mut with_pod), ["the Service kube-system/kube-dns"]);
    }
}

//! Labels: which pods and namespaces a selector means. Rules 1.2, 1.3, 2.1, 2.7, 3.3, 3.4.

use palisade_engine::model::{LabelSelector, Labels, NetworkPolicy, Operator, Pod, Requirement};

/// 3.4: all the requirements hold. 2.7, 3.3: without any, everything is selected.
pub(crate) fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    selector.requirements.iter().all(|requirement| holds(requirement, labels))
}

/// 3.4: one requirement, an entry of `matchLabels` being an `In` of one value.
fn holds(requirement: &Requirement, labels: &Labels) -> bool {
    let value = labels.iter().find(|(key, _)| key.as_str() == requirement.key.as_str()).map(|(_, value)| value);
    match (&requirement.operator, value) {
        (Operator::In(values), Some(value)) => values.contains(value),
        (Operator::In(_), None) => false,
        (Operator::NotIn(values), Some(value)) => !values.contains(value),
        (Operator::NotIn(_), None) => true,
        (Operator::Exists, value) => value.is_some(),
        (Operator::DoesNotExist, value) => value.is_none(),
    }
}

/// Whether labels can find the pod at all, as a subject or as a peer.
pub(crate) fn has_own_network(pod: &Pod) -> bool {
    // 1.2: only live pods count. 1.3: a host-network pod is its node, and no label finds it.
    pod.is_live() && !pod.host_network
}

/// 2.1: the policy is in the pod's namespace and its `podSelector` selects the pod.
pub(crate) fn is_subject(policy: &NetworkPolicy, pod: &Pod) -> bool {
    has_own_network(pod) && policy.id.namespace == pod.id.namespace && selects(&policy.subject, &pod.labels)
}

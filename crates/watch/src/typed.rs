//! One object of a watch, read as the same object in a list or a file; and what is left of one that cannot be.

use palisade_engine::model::{Inventory, Mode, Name};
use palisade_manifest::{
    Diagnostic, ReadOptions, Reading,
    read::{Collector, Keep},
};
use serde::Deserialize;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{
    change::{Change, Key, Object, Poison, Watched},
    object,
    resources::Resource,
};

/// As many findings of one object say enough.
const MOST_FINDINGS: usize = 10;

/// What every object says of itself, whatever else is in it.
#[derive(Debug, Deserialize)]
pub(crate) struct Head {
    pub(crate) metadata: HeadMetadata,
}

#[derive(Debug, Deserialize)]
pub(crate) struct HeadMetadata {
    pub(crate) namespace: Option<String>,
    /// Empty in a bookmark.
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default, rename = "resourceVersion")]
    pub(crate) version: String,
}

impl HeadMetadata {
    pub(crate) fn key(&self, of: Watched) -> Key {
        let namespace = self.namespace.as_deref().filter(|namespace| !namespace.is_empty()).map(Name::from);
        Key { of, namespace, name: Name::from(self.name.as_str()) }
    }
}

/// Reads the objects of one resource, one by one. Names that repeat are kept once.
pub(crate) struct Typist<'o> {
    of: Watched,
    resource: Resource,
    collector: Collector<'o>,
}

impl<'o> Typist<'o> {
    pub(crate) fn new(of: Watched, options: &'o ReadOptions) -> Self {
        Self { of, resource: of.resource(), collector: Collector::new(options) }
    }

    /// The object, or what is left of it.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub(crate) fn read(&mut self, key: Key, raw: &RawValue) -> serde_json::Result<Change> {
        let fields = object::fields(&self.resource, raw)?;
        let mut reading = self.reading(&fields);
        let object = only(self.of, &mut reading.inventory);
        let is_whole = !self.of.is_optional() || !reading.diagnostics.iter().any(Diagnostic::leaves_out);
        let closed = match object {
            Some(object) if is_whole => return Ok(Change::Set(object)),
            other => other,
        };
        let mut why: Vec<String> = reading.diagnostics.iter().filter(|one| one.leaves_out()).map(line).collect();
        let more = why.len().saturating_sub(MOST_FINDINGS);
        why.truncate(MOST_FINDINGS);
        if more > 0 {
            why.push(format!("and {more} more"));
        }
        if why.is_empty() {
            why.push("it was not understood".to_owned());
        }
        let rest = match self.of {
            Watched::NetworkPolicies => self.policy(&fields),
            // The reader has closed what it did not understand.
            Watched::ClusterPolicies(_) => closed,
            Watched::Namespaces | Watched::Nodes | Watched::Pods => self.parts(&fields),
        };
        Ok(Change::Poison(Poison { key, why, rest }))
    }

    fn reading(&mut self, fields: &Map<String, Value>) -> Reading {
        self.collector.read(&self.resource.plural, object::written(&self.resource, fields), Keep::IfFaulty);
        self.collector.take()
    }

    fn object(&mut self, fields: &Value) -> Option<Object> {
        only(self.of, &mut self.reading(fields.as_object()?).inventory)
    }

    /// The name, and of the other parts all that can be read beside it.
    fn parts(&mut self, fields: &Map<String, Value>) -> Option<Object> {
        const PARTS: [(&str, &[&str]); 4] = [
            ("metadata", &["labels"]),
            ("spec", &["nodeName", "hostNetwork", "podCIDR", "podCIDRs"]),
            ("status", &["phase"]),
            ("status", &["podIP", "podIPs", "hostIP", "hostIPs", "addresses"]),
        ];
        let mut known = json!({ "metadata": name_alone(fields) });
        let mut object = self.object(&known);
        for (part, names) in PARTS {
            let mut more = known.clone();
            for name in names {
                if let Some(value) = fields.get(part).and_then(|part| part.get(name)) {
                    put(&mut more, part, name, value.clone());
                }
            }
            if more != known
                && let Some(found) = self.object(&more)
            {
                (known, object) = (more, Some(found));
            }
        }
        object
    }

    /// A policy without the rules that cannot be read; without a selector that can be, one of its whole
    /// namespace that allows nothing; without types that can be, one of both directions.
    ///
    /// Whether a part can be read is asked of the reader, part by part: nothing here knows a field of a rule.
    fn policy(&mut self, fields: &Map<String, Value>) -> Option<Object> {
        let none = Value::Null;
        let spec = fields.get("spec").unwrap_or(&none);
        let selector = spec.get("podSelector").cloned().unwrap_or_else(|| json!({}));
        let types = match spec.get("policyTypes").filter(|types| !is_nothing(types)) {
            Some(types) => types.clone(),
            // The API's default must not change when rules are left out.
            None if spec.get("egress").is_none_or(is_nothing) => json!(["Ingress"]),
            None => json!(["Ingress", "Egress"]),
        };
        let (whole, both) = (json!({}), json!(["Ingress", "Egress"]));
        let skeletons =
            [(&selector, &types, true), (&selector, &both, true), (&whole, &types, false), (&whole, &both, false)];
        let (mut policy, mut object, selects_its_own) = skeletons.into_iter().find_map(|(selector, types, own)| {
            let spec = json!({ "podSelector": selector, "policyTypes": types });
            let policy = json!({ "metadata": name_alone(fields), "spec": spec });
            self.object(&policy).map(|object| (policy, object, own))
        })?;
        // Its rules, applied to pods that it may not mean, could allow what other policies deny there.
        if !selects_its_own {
            return Some(object);
        }
        // A field that nobody here knows may change what every rule means.
        let mut unknown = policy.clone();
        for (name, value) in spec.as_object().into_iter().flatten() {
            if !["podSelector", "policyTypes", "ingress", "egress"].contains(&name.as_str()) {
                put(&mut unknown, "spec", name, value.clone());
            }
        }
        if unknown != policy && self.object(&unknown).is_none() {
            return Some(object);
        }
        for direction in ["ingress", "egress"] {
            let mut rules = Vec::new();
            for rule in spec.get(direction).and_then(Value::as_array).into_iter().flatten() {
                let mut alone = policy.clone();
                put(&mut alone, "spec", direction, json!([rule]));
                // A rule that is nothing is none that allows everything.
                if rule.is_object() && self.object(&alone).is_some() {
                    rules.push(rule.clone());
                }
            }
            put(&mut policy, "spec", direction, rules.into());
        }
        if let Some(with_rules) = self.object(&policy) {
            object = with_rules;
        }
        Some(object)
    }
}

/// `metadata` with what names the object, and says whether it is audited.
fn name_alone(fields: &Map<String, Value>) -> Value {
    let metadata = fields.get("metadata");
    let mut name = Map::new();
    for field in ["name", "namespace"] {
        if let Some(value) = metadata.and_then(|metadata| metadata.get(field)) {
            name.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(mode) = metadata.and_then(|metadata| metadata.get("annotations")?.get(Mode::ANNOTATION)) {
        name.insert("annotations".to_owned(), json!({ Mode::ANNOTATION: mode }));
    }
    name.into()
}

fn put(object: &mut Value, part: &str, name: &str, value: Value) {
    let Some(object) = object.as_object_mut() else { return };
    let part = object.entry(part).or_insert_with(|| json!({}));
    if let Some(part) = part.as_object_mut() {
        part.insert(name.to_owned(), value);
    }
}

/// Null or an empty list: the same as not given.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// The object that was read, of the kind it should be.
fn only(of: Watched, inventory: &mut Inventory) -> Option<Object> {
    Some(match of {
        Watched::Namespaces => Object::Namespace(inventory.namespaces.pop()?),
        Watched::Nodes => Object::Node(inventory.nodes.pop()?),
        Watched::Pods => Object::Pod(Box::new(inventory.pods.pop()?)),
        Watched::NetworkPolicies => Object::NetworkPolicy(Box::new(inventory.policies.pop()?)),
        Watched::ClusterPolicies(_) => Object::ClusterPolicy(Box::new(inventory.cluster_policies.pop()?)),
    })
}

fn line(finding: &Diagnostic) -> String {
    match &finding.field {
        Some(field) => format!("{field}: {}", finding.message),
        None => finding.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use palisade_engine::model::{Direction, NetworkPolicy, Pod};

    use super::*;

    fn read(of: Watched, mut object: Value) -> Change {
        object["metadata"] = match &object["metadata"] {
            Value::Null => json!({"name": "x", "namespace": "prod"}),
            given => given.clone(),
        };
        let raw = serde_json::value::to_raw_value(&object).unwrap();
        let head: Head = serde_json::from_str(raw.get()).unwrap();
        let options = ReadOptions::default();
        Typist::new(of, &options).read(head.metadata.key(of), &raw).unwrap()
    }

    fn poison(of: Watched, object: Value) -> Poison {
        match read(of, object) {
            Change::Poison(poison) => poison,
            other => panic!("{other:?}"),
        }
    }

    fn policy(spec: Value) -> (Vec<String>, NetworkPolicy) {
        let poison = poison(Watched::NetworkPolicies, json!({ "spec": spec }));
        assert_eq!(poison.key.to_string(), "NetworkPolicy prod/x");
        match poison.rest {
            Some(Object::NetworkPolicy(policy)) => (poison.why, *policy),
            other => panic!("{other:?}"),
        }
    }

    fn pod(object: Value) -> Pod {
        match poison(Watched::Pods, object).rest {
            Some(Object::Pod(pod)) => *pod,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rule_that_cannot_be_read_allows_nothing() {
        let (why, policy) = policy(json!({
            "podSelector": {"matchLabels": {"app": "web"}},
            "ingress": [
                {"from": [{"podSelector": {}}], "ports": [{"port": 80}]},
                {"ports": [{"port": 80, "protocol": "QUIC"}]},
                {"form": [{"podSelector": {}}]},
                null,
            ],
            "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/99"}}]}],
        }));
        assert!(why[0].starts_with("spec.ingress[1].ports[0].protocol: "), "{why:?}");
        assert_eq!((policy.rules(Direction::Ingress).len(), policy.rules(Direction::Egress).len()), (1, 0));
        assert_eq!(policy.rules(Direction::Ingress)[0].peers.len(), 1);
        assert!(!policy.subject.is_everything());
        // It had rules of egress, so it isolates in egress.
        let types = policy.policy_types.unwrap();
        assert!(types.ingress && types.egress);
    }

    #[test]
    fn what_is_left_of_a_policy_keeps_its_mode() {
        let broken = |annotations: Value| {
            let metadata = json!({"name": "x", "namespace": "prod", "annotations": annotations});
            let object = json!({"metadata": metadata, "spec": {"podSelector": {}, "ingress": [{"form": []}]}});
            match poison(Watched::NetworkPolicies, object).rest {
                Some(Object::NetworkPolicy(policy)) => policy.mode,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(broken(json!({"palisade.dev/mode": "audit", "a": "b"})), Some(Mode::Audit));
        assert_eq!(broken(json!({"palisade.dev/mode": "audti"})), Some(Mode::Enforce));
        assert_eq!(broken(json!({})), None);
        let namespace = json!({"metadata": {"name": "x", "annotations": {"palisade.dev/mode": "audit"}}});
        let Change::Set(Object::Namespace(namespace)) = read(Watched::Namespaces, namespace) else { panic!() };
        assert_eq!(namespace.mode, Some(Mode::Audit));
        // A mode that is none leaves nothing else of the policy out.
        let whole = json!({
            "metadata": {"name": "x", "namespace": "prod", "annotations": {"palisade.dev/mode": "audti"}},
            "spec": {"podSelector": {}},
        });
        let Change::Set(Object::NetworkPolicy(policy)) = read(Watched::NetworkPolicies, whole) else { panic!() };
        assert_eq!(policy.mode, Some(Mode::Enforce));
    }

    #[test]
    fn a_selector_that_cannot_be_read_is_the_whole_namespace() {
        let (_, policy) = policy(json!({
            "podSelector": {"matchExpressions": [{"key": "app", "operator": "Near"}]},
            "policyTypes": ["Egress"], "egress": [{}],
        }));
        assert!(policy.subject.is_everything());
        let types = policy.policy_types.unwrap();
        assert!(types.egress && !types.ingress);
        assert!(policy.egress.is_empty(), "its rule may not be about all of them");
    }

    #[test]
    fn types_that_cannot_be_read_are_both() {
        let (_, policy) = policy(json!({"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Sideways"]}));
        assert!(!policy.subject.is_everything());
        let types = policy.policy_types.unwrap();
        assert!(types.ingress && types.egress);
        let (_, policy) = super::tests::policy(json!("nonsense"));
        assert!(policy.subject.is_everything());
    }

    #[test]
    fn an_unknown_field_may_concern_every_rule() {
        let (why, policy) = policy(json!({"podSelector": {}, "ingress": [{}], "defaultAction": "Deny"}));
        assert!(why[0].contains("defaultAction"), "{why:?}");
        assert!(policy.ingress.is_empty());
    }

    #[test]
    fn of_a_pod_its_addresses_are_left() {
        let status = json!({"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]});
        let metadata = json!({"name": "x", "namespace": "prod", "labels": {"app": ["web"]}});
        let pod = super::tests::pod(json!({
            "metadata": metadata, "spec": {"nodeName": "n1", "containers": [{"name": "c"}]}, "status": status,
        }));
        assert_eq!(pod.addresses.v4.unwrap().to_string(), "10.0.0.1");
        assert_eq!((pod.node.as_deref(), pod.labels.iter().count()), (Some("n1"), 0));
        let pod = super::tests::pod(json!({"status": {"phase": "Failed", "podIP": "10.0.0.999"}}));
        assert!(!pod.is_live() && pod.addresses.v4.is_none());
    }

    #[test]
    fn what_an_older_server_stored_is_no_poison() {
        let object = json!({"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.1.2.3/8"}}]}]}});
        let options = ReadOptions { server: palisade_manifest::ServerVersion::V1_35, ..ReadOptions::default() };
        let mut typist = Typist::new(Watched::NetworkPolicies, &options);
        let mut whole = object;
        whole["metadata"] = json!({"name": "x", "namespace": "prod"});
        let raw = serde_json::value::to_raw_value(&whole).unwrap();
        let head: Head = serde_json::from_str(raw.get()).unwrap();
        let key = head.metadata.key(Watched::NetworkPolicies);
        assert!(matches!(typist.read(key, &raw).unwrap(), Change::Set(Object::NetworkPolicy(_))));
    }
}

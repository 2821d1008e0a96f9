//! An object as the API server sends it becomes the text that is read and shown: YAML, as people write it.
//!
//! The text goes through the reader of files (crate `manifest`), so a live object means exactly what
//! the same object means in a file, and a finding can point at a line of it.

use std::fmt;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    block_style::entry,
    resources::{self, Resource},
};

/// What `kubectl apply` leaves behind: a copy of the object, which nobody reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Parts of objects other than policies that say nothing about traffic, and are most of their size. A
/// part that is not in this list is read: what the reader comes to look at later is there.
const BULK: [&str; 44] = [
    "args",
    "command",
    "managedFields",
    "env",
    "envFrom",
    "volumes",
    "volumeMounts",
    "volumeDevices",
    "volumeClaimTemplates",
    "resources",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "securityContext",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
    "images",
    "nodeInfo",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "blockOwnerDeletion",
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "terminationGracePeriodSeconds",
    "dnsPolicy",
    "schedulerName",
    "priority",
    "priorityClassName",
    "preemptionPolicy",
    "enableServiceLinks",
    "serviceAccount",
    "serviceAccountName",
    "startTime",
    "qosClass",
];

/// Of most kinds these too: of policies and namespaces, they say how policies are taken.
const ANNOTATIONS: &str = "annotations";

/// Of pods and nodes these too: of other kinds, they say which endpoints there are.
const CONDITIONS: &str = "conditions";

/// Mappings whose keys are the user's: no name in them is a field.
const NAMES_OF_USERS: [&str; 5] = ["labels", "matchLabels", "selector", "nodeSelector", "annotations"];

/// The text of an object, and what to call it: `namespace/name`.
///
/// # Errors
/// When it is no JSON object.
pub(crate) fn text(resource: &Resource, object: &RawValue) -> serde_json::Result<(String, String)> {
    let object = fields(resource, object)?;
    let of = |field| object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
    let name = match (of("namespace"), of("name").unwrap_or_default()) {
        (Some(namespace), name) => format!("{namespace}/{name}"),
        (None, name) => name.to_owned(),
    };
    Ok((name, written(resource, &object)))
}

/// The fields of an object that somebody may look at.
///
/// # Errors
/// When it is no JSON object.
pub(crate) fn fields(resource: &Resource, object: &RawValue) -> serde_json::Result<Map<String, Value>> {
    let dropped: &[&str] = if resource.is_policy() { &["managedFields"] } else { &BULK };
    let annotations = resource.is_policy() || *resource == resources::NAMESPACES;
    let conditions = !(*resource == resources::PODS || *resource == resources::NODES);
    let mut deserializer = serde_json::Deserializer::from_str(object.get());
    let mut object = Map::deserialize(Kept { dropped, annotations, conditions }.deserialize(&mut deserializer)?)?;
    if let Some(annotations) = object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"))
        && let Value::Object(annotations) = annotations
    {
        annotations.remove(LAST_APPLIED);
    }
    Ok(object)
}

/// Fields as the text of an object.
pub(crate) fn written(resource: &Resource, object: &Map<String, Value>) -> String {
    // The items of a list do not say what they are.
    let mut text = String::new();
    entry(&mut text, "apiVersion", &Value::String(resource.api_version()), 0);
    entry(&mut text, "kind", &Value::String(resource.kind.to_string()), 0);
    for (key, value) in object {
        if key != "apiVersion" && key != "kind" {
            entry(&mut text, key, value, 0);
        }
    }
    text
}

/// Reads a value without the fields of these names: they are never in memory.
#[derive(Clone, Copy)]
struct Kept<'d> {
    dropped: &'d [&'d str],
    /// Whether `annotations` are read.
    annotations: bool,
    /// Whether `conditions` are read.
    conditions: bool,
}

impl Kept<'_> {
    fn is_dropped(&self, key: &str) -> bool {
        self.dropped.contains(&key)
            || (key == ANNOTATIONS && !self.annotations)
            || (key == CONDITIONS && !self.conditions)
    }
}

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if self.is_dropped(&key) {
                map.next_value::<IgnoredAny>()?;
            } else if NAMES_OF_USERS.contains(&key.as_str()) {
                fields.insert(key, map.next_value()?);
            } else {
                fields.insert(key, map.next_value_seed(self)?);
            }
        }
        Ok(Value::Object(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{fake::yaml, resources};

    fn text_of(plural: &str, object: &Value) -> (String, String) {
        let resource = resources::built_in().into_iter().find(|resource| resource.plural == plural).unwrap();
        text(&resource, &serde_json::value::to_raw_value(object).unwrap()).unwrap()
    }

    #[test]
    fn a_policy_reads_as_people_write_it() {
        let policy = json!({
            "metadata": {
                "name": "web", "namespace": "prod", "managedFields": [{"manager": "kubectl"}],
                "annotations": {LAST_APPLIED: "{}", "note": "two\nlines"},
            },
            "spec": {
                "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "fd00::/8"]}}]}, {}],
                "podSelector": {},
                "policyTypes": ["Egress"],
            },
        });
        let (name, text) = text_of("networkpolicies", &policy);
        assert_eq!(name, "prod/web");
        assert_eq!(
            text,
            "\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  annotations:
    note: \"two\\nlines\"
  name: web
  namespace: prod
spec:
  egress:
  - to:
    - ipBlock:
        cidr: 10.0.0.0/8
        except:
        - 10.1.0.0/16
        - \"fd00::/8\"
  - {}
  podSelector: {}
  policyTypes:
  - Egress
"
        );
    }

    #[test]
    fn bulk_goes_and_what_users_name_so_stays() {
        let pod = json!({
            "metadata": {
                "name": "x", "uid": "u", "annotations": {"a": "b"},
                "labels": {"env": "prod", "images": "y", "uid": "z"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": true, "uid": "v"}],
            },
            "status": {"conditions": [{"type": "Ready"}], "phase": "Running"},
            "spec": {
                "containers": [{"env": [{"name": "A"}], "ports": [{"containerPort": 80}], "image": "i"}],
                "nodeSelector": {"env": "prod"},
                "volumes": [{}],
            },
        });
        let (_, text) = text_of("pods", &pod);
        let read = yaml::objects(&text);
        let kept = json!([{
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "x", "labels": {"env": "prod", "images": "y", "uid": "z"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "controller": true}],
            },
            "status": {"phase": "Running"},
            "spec": {"containers": [{"ports": [{"containerPort": 80}]}], "nodeSelector": {"env": "prod"}},
        }]);
        assert_eq!(Value::Array(read), kept);
        let reading = palisade_manifest::read_text("pod", &text, &palisade_manifest::ReadOptions::default());
        assert!(reading.diagnostics.is_empty(), "{:?}", reading.diagnostics);
        assert_eq!(reading.inventory.pods.len(), 1);
        let slice = json!({"metadata": {"name": "x"}, "endpoints": [{"conditions": {"ready": true}}]});
        assert!(text_of("endpointslices", &slice).1.contains("ready: true"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let word = prop_oneof![
            "[a-zA-Z0-9./_-]{0,8}",
            "\\PC{0,6}",
            any::<String>().prop_map(|text| text.chars().take(8).collect()),
            Just("no".to_owned()),
            Just("0x1f".to_owned()),
            Just("1_0.0".to_owned()),
            Just("2001-01-01".to_owned()),
            Just("~".to_owned()),
            Just("<<".to_owned()),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            word.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(word.clone(), inner, 0..5)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_text_is_the_object(spec in any_json()) {
            let whole = json!({"metadata": {"name": "x", "namespace": "y"}, "spec": spec});
            let (_, text) = text_of("networkpolicies", &whole);
            let read = yaml::objects(&text);
            let expected = json!([{
                "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                "metadata": {"name": "x", "namespace": "y"}, "spec": spec,
            }]);
            prop_assert_eq!(Value::Array(read), expected, "{}", text);
        }
    }
}

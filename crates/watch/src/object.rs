//! An object as the API server sends it becomes the text that is read and shown: YAML, as people write it.
//!
//! The text goes through the reader of files (crate `manifest`), so a live object means exactly what
//! the same object means in a file, and a finding can point at a line of it.

use std::fmt;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

use crate::resources::Resource;

/// What `kubectl apply` leaves behind: a copy of the object, which nobody reads.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Parts of objects other than policies that say nothing about traffic, and are most of their size. A
/// part that is not in this list is read: what the reader comes to look at later is there.
const BULK: [&str; 24] = [
    "annotations",
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
];

/// Mappings whose keys are the user's: no name in them is a field.
const NAMES_OF_USERS: [&str; 5] = ["labels", "matchLabels", "selector", "nodeSelector", "annotations"];

/// The text of an object, and what to call it: `namespace/name`.
///
/// # Errors
/// When it is no JSON object.
pub(crate) fn text(resource: &Resource, object: &RawValue) -> serde_json::Result<(String, String)> {
    let dropped: &[&str] = if resource.is_policy() { &["managedFields"] } else { &BULK };
    let mut deserializer = serde_json::Deserializer::from_str(object.get());
    let mut object = Map::deserialize(Kept { dropped }.deserialize(&mut deserializer)?)?;
    if let Some(annotations) = object.get_mut("metadata").and_then(|metadata| metadata.get_mut("annotations"))
        && let Value::Object(annotations) = annotations
    {
        annotations.remove(LAST_APPLIED);
    }
    let of = |field| object.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
    let name = match (of("namespace"), of("name").unwrap_or_default()) {
        (Some(namespace), name) => format!("{namespace}/{name}"),
        (None, name) => name.to_owned(),
    };
    // The items of a list do not say what they are.
    let mut text = String::new();
    entry(&mut text, "apiVersion", &Value::String(resource.api_version()), 0);
    entry(&mut text, "kind", &Value::String(resource.kind.to_string()), 0);
    for (key, value) in &object {
        if key != "apiVersion" && key != "kind" {
            entry(&mut text, key, value, 0);
        }
    }
    Ok((name, text))
}

/// Reads a value without the fields of these names: they are never in memory.
#[derive(Clone, Copy)]
struct Kept<'d> {
    dropped: &'d [&'d str],
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
            if self.dropped.contains(&key.as_str()) {
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

/// `key: value` in block style, `depth` spaces in.
fn entry(text: &mut String, key: &str, value: &Value, depth: usize) {
    indent(text, depth);
    field(text, key, value, depth);
}

/// The same where the line has begun.
fn field(text: &mut String, key: &str, value: &Value, depth: usize) {
    scalar(text, key);
    text.push(':');
    match value {
        Value::Object(object) if !object.is_empty() => {
            text.push('\n');
            for (key, value) in object {
                entry(text, key, value, depth + 2);
            }
        }
        // As kubectl does: the items of a key stand under it, not further in.
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            sequence(text, items, depth);
        }
        value => {
            text.push(' ');
            leaf(text, value);
            text.push('\n');
        }
    }
}

fn sequence(text: &mut String, items: &[Value], depth: usize) {
    for value in items {
        indent(text, depth);
        text.push_str("- ");
        match value {
            Value::Object(object) if !object.is_empty() => {
                for (number, (key, value)) in object.iter().enumerate() {
                    // The first key stands behind the hyphen.
                    indent(text, if number == 0 { 0 } else { depth + 2 });
                    field(text, key, value, depth + 2);
                }
            }
            // No object of the API has a list of lists.
            Value::Array(items) => text.push_str(&format!("{}\n", Value::from(items.as_slice()))),
            value => {
                leaf(text, value);
                text.push('\n');
            }
        }
    }
}

fn indent(text: &mut String, depth: usize) {
    text.extend(std::iter::repeat_n(' ', depth));
}

fn leaf(text: &mut String, value: &Value) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(value) => scalar(text, value),
        Value::Array(_) => text.push_str("[]"),
        Value::Object(_) => text.push_str("{}"),
    }
}

/// A string, in quotes wherever it might be read as something else without.
fn scalar(text: &mut String, value: &str) {
    if is_plain(value) {
        return text.push_str(value);
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // Also what some reader takes for the end of a line, or for no character.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Whether every reader of YAML takes a text without quotes for this string.
fn is_plain(value: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let Some(first) = value.chars().next() else { return false };
    let harmless = value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'));
    let is_word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word));
    // No number has a slash or two dots: networks and addresses need no quotes.
    let no_number = value.contains('/') || value.matches('.').count() > 1;
    harmless && !is_word && (first.is_ascii_alphabetic() || (first.is_ascii_digit() && no_number))
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
            "metadata": {"name": "x", "labels": {"env": "prod", "images": "y"}, "annotations": {"a": "b"}},
            "spec": {
                "containers": [{"env": [{"name": "A"}], "ports": [{"containerPort": 80}]}],
                "nodeSelector": {"env": "prod"},
                "volumes": [{}],
            },
        });
        let (_, text) = text_of("pods", &pod);
        let read = yaml::objects(&text);
        let kept = json!([{
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "x", "labels": {"env": "prod", "images": "y"}},
            "spec": {"containers": [{"ports": [{"containerPort": 80}]}], "nodeSelector": {"env": "prod"}},
        }]);
        assert_eq!(Value::Array(read), kept);
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

//! Manifests as the JSON that a server would have of them.

use palisade_manifest::yaml::{Node, Part, Plan, Stream, Value as Scalar, View};
use serde_json::{Map, Value};

/// Every object of a text; those of a List one by one.
///
/// # Panics
/// When the text cannot be read.
#[expect(clippy::panic, reason = "a test with a text that is no manifest is wrong")]
pub fn objects(text: &str) -> Vec<Value> {
    let mut stream = Stream::new(text, Plan::WHOLE);
    let mut found = Vec::new();
    while let Some(part) = stream.next_part() {
        match part {
            Part::Document { root, .. } | Part::Item { node: root, .. } => {
                add(value(stream.tree().node(root)), &mut found)
            }
            Part::Broken(error) => panic!("{}: {}", error.start, error.mistake),
        }
    }
    found
}

fn add(object: Value, found: &mut Vec<Value>) {
    let is_list = object.get("kind").and_then(Value::as_str) == Some("List");
    match object {
        Value::Null => {}
        Value::Object(mut list) if is_list => {
            if let Some(Value::Array(items)) = list.remove("items") {
                items.into_iter().for_each(|item| add(item, found));
            }
        }
        object => found.push(object),
    }
}

/// A node as JSON, with kubectl's types of scalars.
fn value(node: Node<'_>) -> Value {
    match node.view() {
        View::Mapping(entries) => {
            let entries = entries.iter().map(|(key, node)| (key.text().unwrap_or_default().to_owned(), value(node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        View::Sequence(items) => Value::Array(items.iter().map(value).collect()),
        View::Scalar(scalar) => match node.value() {
            Some(Scalar::Bool(value)) => value.into(),
            Some(Scalar::Integer(number)) => number.into(),
            Some(Scalar::Float(number)) => number.into(),
            Some(Scalar::String(text)) => text.into(),
            Some(Scalar::Unusable) => scalar.text.to_string().into(),
            Some(Scalar::Null) | None => Value::Null,
        },
    }
}

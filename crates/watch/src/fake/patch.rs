//! JSON patches (RFC 6902), as much as those who write use: `test`, `replace` and `remove` of fields.
//!
//! All operations or none, as on a real server, whose words and codes these are: 422 when a test fails.

use serde_json::{Map, Value};

use super::{
    http::{self, Answer, Request},
    log,
    store::{Store, missing},
};

/// The answer to a `PATCH` of one object, which is another one then.
pub(super) fn answer(store: &mut Store, request: &Request) -> Answer {
    let Some((resource, key)) = store.find_one(&request.path) else {
        return http::text(404, "404 page not found\n");
    };
    let Some(object) = store.object(&resource, &key) else { return missing(&resource, &key) };
    let Ok(Value::Array(operations)) = serde_json::from_slice(&request.body) else {
        return http::status(400, "BadRequest", "the body is no list of operations");
    };
    let mut patched = object.clone();
    for operation in &operations {
        if let Err(why) = apply(&mut patched, operation) {
            let message = format!("the server rejected our request due to an error in our request: {why}");
            return http::status(422, "Invalid", &message);
        }
    }
    if let Some(object) = patched.as_object_mut() {
        object.insert("apiVersion".to_owned(), resource.api_version().into());
        object.insert("kind".to_owned(), resource.kind.as_ref().into());
    }
    store.put(patched);
    let now = store.object(&resource, &key).map(|object| log::whole(&resource, object));
    http::json(200, now.unwrap_or_default())
}

fn apply(object: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |field: &str| operation.get(field).and_then(Value::as_str).unwrap_or_default();
    let (path, value) = (text("path"), operation.get("value").cloned().unwrap_or_default());
    let (parent, field) = path.rsplit_once('/').ok_or("no path")?;
    let fields: &mut Map<String, Value> =
        object.pointer_mut(parent).and_then(Value::as_object_mut).ok_or_else(|| format!("{parent} is no object"))?;
    let known = fields.get(field).ok_or_else(|| format!("{path} is not there"))?;
    match text("op") {
        "test" if *known == value => {}
        "test" => return Err(format!("testing value {path} failed")),
        "replace" => _ = fields.insert(field.to_owned(), value),
        "remove" => _ = fields.remove(field),
        other => return Err(format!("{other} is no operation of this server")),
    }
    Ok(())
}

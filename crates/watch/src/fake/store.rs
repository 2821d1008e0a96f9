//! The objects, and the lists of them.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    sync::Arc,
};

use serde_json::{Map, Value, json};

use super::{
    http::{self, Answer, Request},
    log::{self, Log},
};
use crate::resources::{self, Resource};

/// The objects of one resource, by `namespace/name`: the order of the server's lists.
type Objects = BTreeMap<String, Arc<Value>>;

/// The objects of all resources.
pub(super) struct Store {
    served: Vec<Resource>,
    objects: HashMap<String, Arc<Objects>>,
    /// Of the last change.
    version: u64,
    /// What lists with more than one page are pages of, by resource and version.
    snapshots: HashMap<(String, u64), Arc<Objects>>,
    pub(super) log: Log,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            served: resources::built_in(),
            objects: HashMap::new(),
            // A real one has its own objects by the time anybody asks.
            version: 1000,
            snapshots: HashMap::new(),
            log: Log::default(),
        }
    }
}

impl Store {
    pub(super) fn serve(&mut self, resource: Resource) {
        self.served.push(resource);
    }

    pub(super) fn forget(&mut self, plural: &str) {
        self.served.retain(|resource| resource.plural != plural);
    }

    /// Puts an object, with the `metadata` that a server gives it.
    #[expect(clippy::panic, reason = "a test that puts what is not served is wrong")]
    pub(super) fn put(&mut self, mut object: Value) {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (text("apiVersion"), text("kind"));
        let found = self.served.iter().find(|one| one.api_version() == version && one.kind == kind);
        let Some(resource) = found.cloned() else { panic!("{version} {kind} is not served") };
        self.version += 1;
        let now = self.version;
        let metadata = object_in(&mut object, "metadata");
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = if resource.namespaced {
            let namespace = metadata.entry("namespace").or_insert_with(|| "default".into());
            format!("{}/{name}", namespace.as_str().unwrap_or_default())
        } else {
            name.clone()
        };
        if resource.kind == "Namespace" {
            let labels = metadata.entry("labels").or_insert_with(|| json!({}));
            if let Value::Object(labels) = labels {
                labels.insert("kubernetes.io/metadata.name".to_owned(), name.into());
            }
        }
        let objects = Arc::make_mut(self.objects.entry(resource.plural.to_string()).or_default());
        let uid = objects.get(&key).and_then(|old| old.pointer("/metadata/uid").cloned());
        let uid = uid.unwrap_or_else(|| format!("00000000-0000-4000-8000-{now:012}").into());
        metadata.insert("uid".to_owned(), uid);
        metadata.insert("resourceVersion".to_owned(), now.to_string().into());
        metadata.entry("creationTimestamp").or_insert_with(|| "2026-01-01T00:00:00Z".into());
        // The items of a list do not say what they are, those of a CRD excepted.
        if let (Value::Object(fields), false) = (&mut object, is_custom(&resource)) {
            fields.remove("apiVersion");
            fields.remove("kind");
        }
        let object = Arc::new(object);
        let before = objects.insert(key.clone(), Arc::clone(&object));
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.log.add(now, &resource.plural, &key, kind, object);
    }

    pub(super) fn delete(&mut self, plural: &str, name: &str) {
        let removed = self.objects.get_mut(plural).and_then(|objects| Arc::make_mut(objects).remove(name));
        let Some(mut object) = removed else { return };
        self.version += 1;
        // As it was last, with the version of its end.
        object_in(Arc::make_mut(&mut object), "metadata")
            .insert("resourceVersion".to_owned(), self.version.to_string().into());
        self.log.add(self.version, plural, name, "DELETED", object);
    }

    /// Of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Forgets what was: no watch can begin before now, and no list goes on.
    pub(super) fn compact(&mut self) {
        self.log.forgotten = self.version;
        self.snapshots.clear();
    }

    /// What to say to who wants to know what came after a version that is forgotten.
    pub(super) fn is_forgotten(&self, version: u64) -> Option<String> {
        let oldest = self.log.forgotten;
        (version < oldest).then(|| format!("too old resource version: {version} ({oldest})"))
    }

    /// The objects of a resource as texts, each with its `apiVersion` and `kind`.
    pub(super) fn all(&self, resource: &Resource, namespace: &str) -> Vec<String> {
        let objects = self.objects.get(resource.plural.as_ref()).into_iter().flat_map(|objects| objects.iter());
        let in_scope = objects
            .filter(|(key, _)| namespace.is_empty() || key.split_once('/').is_some_and(|(ns, _)| ns == namespace));
        in_scope.map(|(_, object)| log::whole(resource, object)).collect()
    }

    /// The answer to a request that nothing goes wrong with.
    pub(super) fn get(&mut self, request: &Request) -> Answer {
        if request.method != "GET" {
            return http::status(405, "MethodNotAllowed", "this server can only be read and patched");
        }
        if request.path == "/apis" {
            return self.groups();
        }
        match self.find(&request.path) {
            Some((resource, namespace)) => self.list(&resource, &namespace, request),
            None => self.one(&request.path).unwrap_or_else(|| {
                self.served_in(&request.path).unwrap_or_else(|| http::text(404, "404 page not found\n"))
            }),
        }
    }

    /// The answer to who asks for one object by its path; `None` when it is no such path.
    fn one(&self, path: &str) -> Option<Answer> {
        let (resource, key) = self.find_one(path)?;
        Some(match self.object(&resource, &key) {
            Some(object) => http::json(200, log::whole(&resource, object)),
            None => missing(&resource, &key),
        })
    }

    /// The resource that a path names one object of, and the object's key.
    pub(super) fn find_one(&self, path: &str) -> Option<(Resource, String)> {
        let (list, name) = path.rsplit_once('/')?;
        let (resource, namespace) = self.find(list)?;
        match (resource.namespaced, namespace.is_empty()) {
            (false, true) => Some((resource, name.to_owned())),
            (true, false) => Some((resource, format!("{namespace}/{name}"))),
            _ => None,
        }
    }

    pub(super) fn object(&self, resource: &Resource, key: &str) -> Option<&Value> {
        self.objects.get(resource.plural.as_ref())?.get(key).map(AsRef::as_ref)
    }

    /// The resource that a path lists, and the namespace, which may be empty.
    pub(super) fn find(&self, path: &str) -> Option<(Resource, String)> {
        self.served.iter().find_map(|resource| {
            if path == resource.path() {
                return Some((resource.clone(), String::new()));
            }
            let all = resource.path();
            let (root, plural) = all.rsplit_once('/')?;
            let inside = path.strip_prefix(root)?.strip_prefix("/namespaces/")?;
            let (namespace, rest) = inside.split_once('/')?;
            (resource.namespaced && rest == plural).then(|| (resource.clone(), namespace.to_owned()))
        })
    }

    fn list(&mut self, resource: &Resource, namespace: &str, request: &Request) -> Answer {
        let plural = resource.plural.to_string();
        let current = || self.objects.get(&plural).cloned().unwrap_or_default();
        let (version, after, objects) = match request.query.get("continue").filter(|token| !token.is_empty()) {
            None => (self.version, None, current()),
            Some(token) => {
                let Some((version, after)) = read_token(token) else {
                    return http::status(400, "BadRequest", "invalid continue token: it is none of this server's");
                };
                match self.snapshots.get(&(plural.clone(), version)) {
                    Some(objects) => (version, Some(after), Arc::clone(objects)),
                    None => return self.expired(request),
                }
            }
        };
        let limit = request.query.get("limit").and_then(|limit| limit.parse().ok()).filter(|limit| *limit > 0);
        let in_scope = |key: &str| namespace.is_empty() || key.split_once('/').is_some_and(|(ns, _)| ns == namespace);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut left = objects.range((from, Bound::Unbounded)).filter(|(key, _)| in_scope(key));
        let page: Vec<_> = left.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let remaining = left.count();
        let mut metadata = json!({ "resourceVersion": version.to_string() });
        if let (true, Some((last, _))) = (remaining > 0, page.last()) {
            metadata = json!({
                "resourceVersion": version.to_string(), "continue": token(version, last),
                "remainingItemCount": remaining,
            });
        }
        let items: Vec<String> = page.iter().map(|(_, object)| object.to_string()).collect();
        let body = format!(
            r#"{{"kind":"{}List","apiVersion":"{}","metadata":{metadata},"items":[{}]}}"#,
            resource.kind,
            resource.api_version(),
            items.join(",")
        );
        if remaining > 0 {
            self.snapshots.insert((plural, version), objects);
        }
        http::json(200, body)
    }

    /// 410, and no token of this resource is good any more.
    pub(super) fn expired(&mut self, request: &Request) -> Answer {
        if let Some((resource, _)) = self.find(&request.path) {
            self.snapshots.retain(|(plural, _), _| *plural != resource.plural);
        }
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a \
                       new list without the continue parameter.";
        http::status(410, "Expired", message)
    }

    /// 403, in the server's words.
    pub(super) fn forbidden(&self, request: &Request) -> Answer {
        let message = match self.find(&request.path) {
            Some((resource, namespace)) => {
                let scope = match namespace.as_str() {
                    "" => "at the cluster scope".to_owned(),
                    namespace => format!("in the namespace \"{namespace}\""),
                };
                format!(
                    "{resource} is forbidden: User \"fake\" cannot list resource \"{}\" in API group \"{}\" {scope}",
                    resource.plural, resource.group
                )
            }
            None => format!("forbidden: User \"fake\" cannot get path \"{}\"", request.path),
        };
        http::status(403, "Forbidden", &message)
    }

    fn groups(&self) -> Answer {
        let mut versions: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for resource in self.served.iter().filter(|resource| !resource.group.is_empty()) {
            let of_group = versions.entry(&resource.group).or_default();
            let version = json!({ "groupVersion": resource.api_version(), "version": resource.version });
            if !of_group.contains(&version) {
                of_group.push(version);
            }
        }
        let groups: Vec<Value> = versions
            .into_iter()
            .map(|(name, versions)| json!({ "name": name, "versions": versions, "preferredVersion": versions.first() }))
            .collect();
        http::json(200, json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups }).to_string())
    }

    /// `/apis/GROUP/VERSION`: what is served in it.
    fn served_in(&self, path: &str) -> Option<Answer> {
        let version = path.strip_prefix("/apis/").or_else(|| path.strip_prefix("/api/"))?;
        let of_version = self.served.iter().filter(|resource| resource.api_version() == version);
        let resources: Vec<Value> = of_version
            .flat_map(|one| {
                let list = json!({
                    "name": one.plural, "singularName": "", "namespaced": one.namespaced, "kind": one.kind,
                    "verbs": ["get", "list", "watch"],
                });
                let name = format!("{}/status", one.plural);
                let status = json!({
                    "name": name, "singularName": "", "namespaced": one.namespaced, "kind": one.kind, "verbs": ["get"],
                });
                [list, status]
            })
            .collect();
        if resources.is_empty() {
            return None;
        }
        let list = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources,
        });
        Some(http::json(200, list.to_string()))
    }
}

/// 404 for an object, in the server's words.
pub(super) fn missing(resource: &Resource, key: &str) -> Answer {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    http::status(404, "NotFound", &format!("{resource} \"{name}\" not found"))
}

/// Where a list goes on. With characters that must be escaped in an address: a client that does not
/// would be found out.
fn token(version: u64, last: &str) -> String {
    format!("v={version}&start={last}+")
}

fn read_token(token: &str) -> Option<(u64, String)> {
    let (version, last) = token.strip_prefix("v=")?.split_once("&start=")?;
    Some((version.parse().ok()?, last.strip_suffix('+')?.to_owned()))
}

fn is_custom(resource: &Resource) -> bool {
    !resources::built_in().contains(resource)
}

/// The mapping in a field; made when it is not there.
fn object_in<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    if !object.get(field).is_some_and(Value::is_object) {
        object[field] = json!({});
    }
    #[expect(clippy::unwrap_used, reason = "made one line above")]
    object.get_mut(field).and_then(Value::as_object_mut).unwrap()
}

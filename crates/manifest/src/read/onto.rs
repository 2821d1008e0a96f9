//! Files applied to a cluster that was read before: what they name takes the place of what it had.

use std::{collections::HashSet, hash::Hash, path::Path};

use palisade_engine::model::{Inventory, ObjectRef, WorkloadKind};

use super::{ReadOptions, Reader, Reading};

/// Reads `paths` as [`super::read_paths`] does and applies them to `base`, as `kubectl apply` would: an
/// object of the same kind, namespace and name is replaced, any other is added, and none is removed.
/// The findings are those of the files alone.
pub fn read_onto<P: AsRef<Path>>(base: Reading, paths: &[P], options: &ReadOptions) -> Reading {
    onto(base, options, |reader| paths.iter().for_each(|path| reader.path(path.as_ref())))
}

/// The same for texts that are no files, each with what findings call it.
pub fn read_texts_onto(base: Reading, texts: &[(String, String)], options: &ReadOptions) -> Reading {
    onto(base, options, |reader| {
        for (name, text) in texts {
            reader.bytes(name, text.as_bytes().to_vec(), true);
        }
    })
}

/// Takes the objects out of `inventory` that have the kind, namespace and name of one of `named`, and
/// returns these, each as people call it.
pub fn without(inventory: &mut Inventory, named: &Inventory) -> Vec<String> {
    let mut gone = Vec::new();
    remove(
        &mut inventory.namespaces,
        &named.namespaces,
        |o| o.name.clone(),
        |name| format!("Namespace {name}"),
        &mut gone,
    );
    remove(&mut inventory.nodes, &named.nodes, |o| o.name.clone(), |name| format!("Node {name}"), &mut gone);
    remove(&mut inventory.pods, &named.pods, |o| o.id.clone(), |id| format!("Pod {id}"), &mut gone);
    let kind = |(kind, id): &(WorkloadKind, ObjectRef)| format!("{} {id}", kind.kind());
    remove(&mut inventory.workloads, &named.workloads, |o| (o.kind, o.id.clone()), kind, &mut gone);
    remove(&mut inventory.services, &named.services, |o| o.id.clone(), |id| format!("Service {id}"), &mut gone);
    let slice = |id: &ObjectRef| format!("EndpointSlice {id}");
    remove(&mut inventory.endpoint_slices, &named.endpoint_slices, |o| o.id.clone(), slice, &mut gone);
    let policy = |id: &ObjectRef| format!("NetworkPolicy {id}");
    remove(&mut inventory.policies, &named.policies, |o| o.id.clone(), policy, &mut gone);
    gone
}

fn remove<T, K: Eq + Hash>(
    objects: &mut Vec<T>,
    named: &[T],
    name: impl Fn(&T) -> K,
    said: impl Fn(&K) -> String,
    gone: &mut Vec<String>,
) {
    let wanted: HashSet<K> = named.iter().map(&name).collect();
    objects.retain(|object| {
        let key = name(object);
        let stays = !wanted.contains(&key);
        if !stays {
            gone.push(said(&key));
        }
        stays
    });
}

fn onto(base: Reading, options: &ReadOptions, read: impl FnOnce(&mut Reader<'_>)) -> Reading {
    let mut reader = Reader::new(options);
    let before = &base.inventory;
    let counts = [
        before.namespaces.len(),
        before.nodes.len(),
        before.pods.len(),
        before.workloads.len(),
        before.services.len(),
        before.endpoint_slices.len(),
        before.policies.len(),
        before.cluster_policies.len(),
    ];
    reader.reading = Reading { diagnostics: Vec::new(), ..base };
    read(&mut reader);
    let mut reading = reader.finish();
    let after = &mut reading.inventory;
    let [namespaces, nodes, pods, workloads, services, slices, policies, cluster_policies] = counts;
    replace(&mut after.namespaces, namespaces, |object| object.name.clone());
    replace(&mut after.nodes, nodes, |object| object.name.clone());
    replace(&mut after.pods, pods, |object| object.id.clone());
    replace(&mut after.workloads, workloads, |object| (object.kind, object.id.clone()));
    replace(&mut after.services, services, |object| object.id.clone());
    replace(&mut after.endpoint_slices, slices, |object| object.id.clone());
    replace(&mut after.policies, policies, |object| object.id.clone());
    replace(&mut after.cluster_policies, cluster_policies, |object| (object.kind, object.name.clone()));
    reading
}

/// Takes out those of the first `count` that one of the others has the name of.
fn replace<T, K: Eq + Hash>(objects: &mut Vec<T>, count: usize, name: impl Fn(&T) -> K) {
    let newer: HashSet<K> = objects.iter().skip(count).map(&name).collect();
    let mut index = 0;
    objects.retain(|object| {
        index += 1;
        index > count || !newer.contains(&name(object))
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_text;

    #[test]
    fn what_is_named_is_replaced_and_the_rest_stays() {
        let options = ReadOptions::default();
        let pod = |name: &str, app: &str| {
            format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: {app}}}}}}}\n---\n")
        };
        let base = read_text("cluster", &(pod("a", "old") + &pod("b", "old")), &options);
        let folder = std::env::temp_dir().join(format!("palisade-onto-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("new.yaml"), pod("b", "new") + &pod("c", "new")).unwrap();
        let same = read_texts_onto(base, &[("new".to_owned(), pod("b", "new") + &pod("c", "new"))], &options);
        let mut all = same.inventory.clone();
        assert_eq!(without(&mut all, &read_text("c", &pod("c", "any"), &options).inventory), ["Pod default/c"]);
        assert_eq!(all.pods.len(), 2);
        let base = read_text("cluster", &(pod("a", "old") + &pod("b", "old")), &options);
        let reading = read_onto(base, &[&folder], &options);
        std::fs::remove_dir_all(&folder).unwrap();
        let pods = reading.inventory.pods.iter().map(|pod| {
            let source = reading.inventory.sources.name(pod.at.unwrap().file).rsplit('/').next().unwrap().to_owned();
            (pod.id.name.to_string(), pod.labels.get("app").unwrap().to_string(), source)
        });
        let wanted = [("a", "old", "cluster"), ("b", "new", "new.yaml"), ("c", "new", "new.yaml")];
        assert_eq!(pods.collect::<Vec<_>>(), wanted.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned())));
    }
}

//! An owner of what a watch says, as an agent is one: a map of what is there.

use std::{
    collections::BTreeMap,
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

use palisade_engine::model::Inventory;
use palisade_watch::{
    Access, Change, Cluster, Key, Object, Pace, Poison, Received, Trouble, Watch, Watched, fake::FakeServer,
};

use super::Folder;

/// What every server serves.
pub(crate) const BUILT_IN: [Watched; 4] =
    [Watched::Namespaces, Watched::Nodes, Watched::Pods, Watched::NetworkPolicies];

/// A test that waits longer has failed.
const LONG: Duration = Duration::from_secs(30);

/// What was said, applied.
#[derive(Default)]
pub(crate) struct State {
    /// Each object as a text in which spans do not differ.
    pub(crate) objects: BTreeMap<Key, String>,
    pub(crate) poison: BTreeMap<Key, Poison>,
    pub(crate) synced: BTreeMap<Watched, usize>,
    pub(crate) troubles: Vec<Trouble>,
    /// Every change of an object: `set Pod prod/web`, `gone Pod prod/web`.
    pub(crate) said: Vec<String>,
}

impl State {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Set(object) => {
                let key = object.key();
                self.said.push(format!("set {key}"));
                self.poison.remove(&key);
                self.objects.insert(key, text(&object));
            }
            Change::Poison(poison) => {
                self.said.push(format!("poison {}", poison.key));
                self.objects.remove(&poison.key);
                self.poison.insert(poison.key.clone(), poison);
            }
            Change::Gone(key) => {
                self.said.push(format!("gone {key}"));
                let was = self.objects.remove(&key).is_some() | self.poison.remove(&key).is_some();
                assert!(was, "{key} is gone that never was");
            }
            Change::Synced(of) => *self.synced.entry(of).or_default() += 1,
            Change::Trouble(trouble) => self.troubles.push(trouble),
        }
    }

    pub(crate) fn get(&self, of: Watched, name: &str) -> Option<&str> {
        let mut found = self.objects.iter().filter(|(key, _)| key.of == of && self::name(key) == name);
        found.next().map(|(_, text)| text.as_str())
    }

    pub(crate) fn has(&self, of: Watched, name: &str, text: &str) -> bool {
        self.get(of, name).is_some_and(|object| object.contains(text))
    }

    pub(crate) fn is_synced(&self) -> bool {
        self.synced.len() == BUILT_IN.len()
    }
}

pub(crate) fn name(key: &Key) -> String {
    key.namespace.as_ref().map_or_else(|| key.name.to_string(), |namespace| format!("{namespace}/{}", key.name))
}

/// An object without the number of the input that it was read from.
fn text(object: &Object) -> String {
    let text = format!("{object:?}");
    let mut parts = text.split("FileId(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

/// Follows a server.
pub(crate) struct Follower {
    pub(crate) state: State,
    receiver: Receiver<Received>,
    pub(crate) watch: Watch,
    pub(crate) cluster: Cluster,
}

pub(crate) fn hurry() -> Pace {
    let (first, most, look_again) = (Duration::from_millis(5), Duration::from_millis(50), Duration::from_millis(20));
    Pace { first, most, look_again, seed: Some(1), ..Pace::default() }
}

impl Follower {
    /// Follows what every server serves.
    pub(crate) fn new(server: &FakeServer) -> Self {
        Self::with(server, hurry(), 64)
    }

    pub(crate) fn with(server: &FakeServer, pace: Pace, room: usize) -> Self {
        Self::of(server, &BUILT_IN, pace, room)
    }

    pub(crate) fn of(server: &FakeServer, of: &[Watched], pace: Pace, room: usize) -> Self {
        let folder = Folder::with("config", &server.kubeconfig("prod"));
        let access = Access { kubeconfig: Some(folder.file("config")), context: None };
        let cluster = access.find().unwrap();
        let (sender, receiver) = sync_channel(room);
        let watch = cluster.watch(of, pace, sender).unwrap();
        Self { state: State::default(), receiver, watch, cluster }
    }

    /// The same, synced and with every watch open.
    pub(crate) fn synced(server: &FakeServer) -> Self {
        let mut follower = Self::new(server);
        follower.until("all are synced", State::is_synced);
        for of in BUILT_IN {
            wait("the watches are open", || server.watches(&of.resource().plural) > 0);
        }
        follower
    }

    /// Applies what comes until the state is as wanted.
    pub(crate) fn until(&mut self, what: &str, is: impl Fn(&State) -> bool) {
        let end = Instant::now() + LONG;
        while !is(&self.state) {
            let left = end.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left) {
                Ok(received) => self.state.apply(received.change),
                Err(error) => {
                    let said: Vec<_> = self.state.said.iter().rev().take(20).collect();
                    panic!("{what}: {error}; {:?} {said:?} {:?}", self.state.synced, self.state.troubles)
                }
            }
        }
    }

    /// Waits until everything that was done so far was heard: each resource says its changes in order.
    pub(crate) fn settle(&mut self, server: &FakeServer) {
        let mark = server.version();
        for object in [
            "{apiVersion: v1, kind: Namespace, metadata: {name: mark, labels: {mark: MARK}}}",
            "{apiVersion: v1, kind: Node, metadata: {name: mark, labels: {mark: MARK}}}",
            "{apiVersion: v1, kind: Pod, metadata: {name: mark, namespace: mark, labels: {mark: MARK}}}",
            "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: mark, namespace: mark},
              spec: {podSelector: {matchLabels: {mark: MARK}}}}",
        ] {
            server.apply(&object.replace("MARK", &format!("m{mark}")));
        }
        let mark = format!("\"m{mark}\"");
        self.until("it settles", |state| {
            let marks = state.objects.iter().filter(|(key, text)| &*key.name == "mark" && text.contains(&mark));
            marks.count() == BUILT_IN.len()
        });
        // A mark that came in a list is not the last of it; a watch is open only after its list.
        let end = Instant::now() + LONG;
        let mut is_last = false;
        while !is_last {
            assert!(Instant::now() < end, "a watch is not opened: {:?}", self.state.troubles);
            is_last = self.watch.health().all().values().all(|health| health.watching);
            while let Ok(received) = self.receiver.recv_timeout(Duration::from_millis(1)) {
                self.state.apply(received.change);
            }
        }
    }

    /// What a list of the server has now.
    pub(crate) fn listed(&self) -> BTreeMap<Key, String> {
        let Inventory { namespaces, nodes, pods, policies, .. } = self.cluster.read(&mut |_| {}).unwrap().inventory;
        let objects = (namespaces.into_iter().map(Object::Namespace))
            .chain(nodes.into_iter().map(Object::Node))
            .chain(pods.into_iter().map(|pod| Object::Pod(Box::new(pod))))
            .chain(policies.into_iter().map(|policy| Object::NetworkPolicy(Box::new(policy))));
        objects.map(|object| (object.key(), text(&object))).collect()
    }
}

/// Waits for something that nobody sends.
pub(crate) fn wait(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + LONG;
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

//! Which identities each selector selects, kept current as identities and namespaces' labels come and change.
//!
//! ```text
//! namespace ──► the scopes it is in: its own, and those of the namespaceSelectors that match it
//! scope     ──► its identities, and its selectors by a label that they ask for
//! selector  ──► its identities
//! ```
//!
//! A new identity is compared with the selectors that ask for a label it has, in the scopes of its
//! namespace: not with those of other namespaces, nor with those that ask for other labels.

use roaring::RoaringBitmap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{IdentityId, RequirementId, SelectorId, interner::Interner, selector::LabelIndex};
use crate::model::{LabelSelector, Labels, Name, Namespace, Operator};

/// The namespaces whose pods a selector is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// One namespace.
    One(Name),
    /// Those for which these requirements hold, sorted.
    Matching(Vec<RequirementId>),
}

/// What makes two selectors the same: the scope, and the requirements in any order.
type SelectorKey = (u32, Vec<RequirementId>);

/// A selector that selects an identity now and did not before, or the other way round.
pub(super) type Flip = (SelectorId, IdentityId);

/// Every selector of a program.
#[derive(Debug, Default)]
pub(super) struct Selectors {
    namespaces: FxHashMap<Name, u32>,
    /// By namespace.
    spaces: Vec<Space>,
    namespace_labels: LabelIndex,
    pod_labels: LabelIndex,
    scope_ids: Interner<Scope>,
    scopes: Vec<ScopeState>,
    /// The scopes by namespace labels.
    matching: Buckets,
    ids: Interner<SelectorKey>,
    members: Vec<RoaringBitmap>,
    texts: Vec<String>,
}

#[derive(Debug)]
struct Space {
    labels: Labels,
    identities: RoaringBitmap,
    /// The scopes that it is in.
    scopes: Vec<u32>,
}

#[derive(Debug, Default)]
struct ScopeState {
    identities: RoaringBitmap,
    selectors: Vec<u32>,
    by_label: Buckets,
}

impl Selectors {
    /// No selector yet, over these namespaces and identities (their namespaces and labels, in order).
    pub(super) fn new<'a>(
        namespaces: impl Iterator<Item = &'a Namespace>,
        identities: impl Iterator<Item = (&'a Name, &'a Labels)>,
    ) -> Self {
        let mut selectors = Self::default();
        for namespace in namespaces {
            selectors.put_namespace(&namespace.name, &namespace.labels);
        }
        for (identity, (namespace, labels)) in (0u32..).zip(identities) {
            selectors.add_identity(IdentityId(identity), namespace, labels);
        }
        selectors
    }

    /// The identities that a selector selects, by number.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids are made with their members, and none is ever removed")]
    pub(super) fn members(&self, id: SelectorId) -> &RoaringBitmap {
        &self.members[id.0 as usize]
    }

    /// What a selector asks for, as text.
    #[expect(clippy::indexing_slicing, reason = "INVARIANT: ids are made with their texts, and none is ever removed")]
    pub(super) fn text(&self, id: SelectorId) -> &str {
        &self.texts[id.0 as usize]
    }

    /// The index over namespaces.
    pub(super) fn namespace_labels(&self) -> &LabelIndex {
        &self.namespace_labels
    }

    /// The index over identities.
    pub(super) fn pod_labels(&self) -> &LabelIndex {
        &self.pod_labels
    }

    /// Whether a requirement holds for a namespace.
    pub(super) fn namespace_has(&self, requirement: RequirementId, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|number| self.namespace_labels.holds(requirement, *number))
    }

    /// The requirements of a selector of pods, as written.
    pub(super) fn pod_requirements(&mut self, selector: &LabelSelector) -> Vec<RequirementId> {
        self.pod_labels.requirements(selector)
    }

    /// The requirements of a selector of namespaces, as written.
    pub(super) fn namespace_requirements(&mut self, selector: &LabelSelector) -> Vec<RequirementId> {
        self.namespace_labels.requirements(selector)
    }

    /// The selector of some pods of some namespaces: an equal one has the same id.
    pub(super) fn selector(&mut self, scope: Scope, pods: &[RequirementId]) -> SelectorId {
        let scope = self.scope(match scope {
            Scope::Matching(requirements) => Scope::Matching(sorted(&requirements)),
            one @ Scope::One(_) => one,
        });
        let pods = sorted(pods);
        let id = self.ids.intern((scope, pods.clone()));
        if id as usize == self.members.len() {
            let text = format!("{}/{}", self.scope_text(scope), self.pod_labels.text(&pods));
            let mut members = self.pod_labels.select(&pods);
            if let Some(state) = self.scopes.get_mut(scope as usize) {
                members &= &state.identities;
                state.selectors.push(id);
                state.by_label.add(self.pod_labels.asked(&pods), id);
            }
            self.members.push(members);
            self.texts.push(text);
        }
        SelectorId(id)
    }

    /// The selectors that select an identity of a namespace with these labels.
    pub(super) fn selecting(&self, id: IdentityId, namespace: &Name, labels: &Labels) -> Vec<SelectorId> {
        let scopes = self.namespaces.get(namespace).and_then(|number| self.spaces.get(*number as usize));
        let scopes = scopes.into_iter().flat_map(|space| &space.scopes);
        let states = scopes.filter_map(|scope| self.scopes.get(*scope as usize));
        let candidates = states.flat_map(|state| state.by_label.candidates(labels)).map(SelectorId);
        candidates.filter(|selector| self.members(*selector).contains(id.0)).collect()
    }

    /// Takes in a new identity. Returns what selects it.
    pub(super) fn add_identity(&mut self, id: IdentityId, namespace: &Name, labels: &Labels) -> Vec<Flip> {
        self.pod_labels.put(id.0, &Labels::default(), labels);
        let number = self.namespace(namespace);
        let Some(space) = self.spaces.get_mut(number as usize) else { return Vec::new() };
        space.identities.insert(id.0);
        let mut flips = Vec::new();
        for scope in &space.scopes {
            let Some(state) = self.scopes.get_mut(*scope as usize) else { continue };
            state.identities.insert(id.0);
            for candidate in state.by_label.candidates(labels) {
                let holds = |(_, pods): &SelectorKey| pods.iter().all(|pod| self.pod_labels.holds(*pod, id.0));
                if self.ids.get(candidate).is_some_and(holds)
                    && let Some(members) = self.members.get_mut(candidate as usize)
                {
                    members.insert(id.0);
                    flips.push((SelectorId(candidate), id));
                }
            }
        }
        flips
    }

    /// Gives a namespace, known or new, its labels. Returns which selectors it made select other identities.
    pub(super) fn put_namespace(&mut self, name: &Name, labels: &Labels) -> Vec<Flip> {
        let number = self.namespaces.get(name).copied().unwrap_or_else(|| {
            let number = u32::try_from(self.spaces.len()).unwrap_or(u32::MAX);
            self.namespaces.insert(name.clone(), number);
            let (labels, identities) = (Labels::default(), RoaringBitmap::new());
            self.spaces.push(Space { labels, identities, scopes: Vec::new() });
            number
        });
        let Some(space) = self.spaces.get_mut(number as usize) else { return Vec::new() };
        let before = std::mem::replace(&mut space.labels, labels.clone());
        self.namespace_labels.put(number, &before, labels);
        let scopes: FxHashSet<u32> = space.scopes.iter().copied().collect();
        let concerned: FxHashSet<u32> =
            self.matching.candidates(labels).chain(self.matching.candidates(&before)).collect();
        let mut flips = Vec::new();
        for scope in concerned {
            let Some(Scope::Matching(requirements)) = self.scope_ids.get(scope) else { continue };
            let is_in = requirements.iter().all(|requirement| self.namespace_labels.holds(*requirement, number));
            if is_in != scopes.contains(&scope) {
                self.move_space(number, scope, is_in, &mut flips);
            }
        }
        flips
    }

    /// Takes a namespace into a scope, or out of it.
    fn move_space(&mut self, number: u32, scope: u32, is_in: bool, flips: &mut Vec<Flip>) {
        let Some(space) = self.spaces.get_mut(number as usize) else { return };
        let Some(state) = self.scopes.get_mut(scope as usize) else { return };
        if is_in {
            space.scopes.push(scope);
            state.identities |= &space.identities;
        } else {
            space.scopes.retain(|known| *known != scope);
            state.identities -= &space.identities;
        }
        for selector in &state.selectors {
            let Some((_, pods)) = self.ids.get(*selector) else { continue };
            let Some(members) = self.members.get_mut(*selector as usize) else { continue };
            let moved = self.pod_labels.select(pods) & &space.identities;
            flips.extend(moved.iter().map(|identity| (SelectorId(*selector), IdentityId(identity))));
            if is_in {
                *members |= moved;
            } else {
                *members -= moved;
            }
        }
    }

    /// The number of a namespace. One that nobody spoke of before has no labels yet.
    fn namespace(&mut self, name: &Name) -> u32 {
        if let Some(number) = self.namespaces.get(name) {
            return *number;
        }
        self.put_namespace(name, &Labels::default());
        self.namespaces.get(name).copied().unwrap_or(u32::MAX)
    }

    fn scope(&mut self, scope: Scope) -> u32 {
        let id = self.scope_ids.intern(scope.clone());
        if id as usize == self.scopes.len() {
            let spaces: Vec<u32> = match &scope {
                Scope::One(name) => vec![self.namespace(name)],
                Scope::Matching(requirements) => {
                    self.matching.add(self.namespace_labels.asked(requirements), id);
                    self.namespace_labels.select(requirements).iter().collect()
                }
            };
            let mut state = ScopeState::default();
            for number in spaces {
                if let Some(space) = self.spaces.get_mut(number as usize) {
                    space.scopes.push(id);
                    state.identities |= &space.identities;
                }
            }
            self.scopes.push(state);
        }
        id
    }

    fn scope_text(&self, scope: u32) -> String {
        match self.scope_ids.get(scope) {
            Some(Scope::One(name)) => name.to_string(),
            Some(Scope::Matching(requirements)) => format!("[{}]", self.namespace_labels.text(requirements)),
            None => String::new(),
        }
    }
}

/// Numbers by a label that has to be there: those worth a closer look for someone with given labels.
#[derive(Debug, Default)]
struct Buckets {
    /// Those that ask for no label to be there.
    always: Vec<u32>,
    by_key: FxHashMap<Name, Bucket>,
}

#[derive(Debug, Default)]
struct Bucket {
    /// Those that ask for the key.
    any_value: Vec<u32>,
    by_value: FxHashMap<Name, Vec<u32>>,
}

impl Buckets {
    fn add<'a>(&mut self, asked: impl Iterator<Item = (&'a Name, &'a Operator)>, item: u32) {
        let mut exists = None;
        for (key, operator) in asked {
            match operator {
                Operator::In(values) => {
                    let bucket = self.by_key.entry(key.clone()).or_default();
                    for value in values {
                        bucket.by_value.entry(value.clone()).or_default().push(item);
                    }
                    return;
                }
                Operator::Exists => exists = Some(key),
                Operator::NotIn(_) | Operator::DoesNotExist => {}
            }
        }
        match exists {
            Some(key) => self.by_key.entry(key.clone()).or_default().any_value.push(item),
            None => self.always.push(item),
        }
    }

    fn candidates(&self, labels: &Labels) -> impl Iterator<Item = u32> {
        let by_label = labels.iter().filter_map(|(key, value)| Some((self.by_key.get(key)?, value)));
        let by_label = by_label.flat_map(|(bucket, value)| {
            bucket.any_value.iter().chain(bucket.by_value.get(value).into_iter().flatten())
        });
        self.always.iter().chain(by_label).copied()
    }
}

/// Requirements in the order that makes equal ones equal.
pub(super) fn sorted(requirements: &[RequirementId]) -> Vec<RequirementId> {
    let mut requirements = requirements.to_vec();
    requirements.sort_unstable();
    requirements.dedup();
    requirements
}

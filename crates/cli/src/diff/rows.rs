//! The rows of the answer: each change named, with what caused it.

use palisade_engine::{
    connections::{By, Connections, EndSet, Groups, Members},
    diff::{Change, Difference, State},
    model::Family,
    sets::TrafficSet,
};

use super::causes::{Cause, Causes};
use crate::connections::Namer;

/// What differs.
pub(crate) struct Rows {
    pub(crate) gained: Vec<Row>,
    pub(crate) lost: Vec<Row>,
    /// Whether nothing more may differ, whatever addresses pods come to have.
    pub(crate) is_certain: bool,
}

/// One row: connections that are gained, or lost, all for the same reasons.
pub(crate) struct Row {
    pub(crate) from: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) family: Option<Family>,
    pub(crate) traffic: TrafficSet,
    pub(crate) causes: Vec<Cause>,
}

impl Rows {
    /// Names every change, on the side where its connections exist.
    pub(crate) fn new(difference: &Difference, old: State<'_>, new: State<'_>, by: By) -> Self {
        let ends = &difference.ends;
        let old_groups = Groups::numbered(old.cluster, by, ends.old_pods());
        let new_groups = Groups::numbered(new.cluster, by, ends.new_pods());
        let causes = Causes::new(difference, old, new);
        let before = Named {
            namer: Namer::new(old.cluster, &old_groups),
            connections: &difference.old,
            translate: &|set| ends.in_old(set),
        };
        let after = Named {
            namer: Namer::new(new.cluster, &new_groups),
            connections: &difference.new,
            translate: &|set| ends.in_new(set),
        };
        let rows = |named: &Named<'_>, gained: bool| {
            let of = |change: &Change| if gained { change.gained.clone() } else { change.lost.clone() };
            let mut parts: Vec<Part> = Vec::new();
            for change in &difference.changes {
                let traffic = of(change);
                if traffic.is_empty() {
                    continue;
                }
                for (from, to, causes) in causes.of(change, gained) {
                    add(&mut parts, Part { from, to, family: change.family, traffic: traffic.clone(), causes });
                }
            }
            parts.sort_by_key(|part| (part.from.min(), part.to.min()));
            parts.into_iter().map(|part| named.row(part)).collect()
        };
        Self { gained: rows(&after, true), lost: rows(&before, false), is_certain: difference.is_certain }
    }

    /// Whether nothing differs, for certain.
    pub(crate) fn is_same(&self) -> bool {
        self.is_certain && self.gained.is_empty() && self.lost.is_empty()
    }
}

/// Some of a change that has the same causes.
struct Part {
    from: EndSet,
    to: EndSet,
    family: Option<Family>,
    traffic: TrafficSet,
    causes: Vec<Cause>,
}

/// Adds a part, to one that differs in one side only where there is one.
fn add(parts: &mut Vec<Part>, part: Part) {
    let alike = |other: &&mut Part| {
        (other.family, &other.traffic, &other.causes) == (part.family, &part.traffic, &part.causes)
            && (other.from == part.from || other.to == part.to)
    };
    match parts.iter_mut().find(alike) {
        Some(other) => {
            other.from |= part.from;
            other.to |= part.to;
        }
        None => parts.push(part),
    }
}

struct Named<'a> {
    namer: Namer<'a>,
    connections: &'a Connections,
    translate: &'a dyn Fn(&EndSet) -> EndSet,
}

impl Named<'_> {
    fn row(&self, part: Part) -> Row {
        let Part { from, to, family, traffic, causes } = part;
        Row { from: self.names(&from), to: self.names(&to), family, traffic, causes }
    }

    fn names(&self, set: &EndSet) -> Vec<String> {
        let members: Members = self.namer.groups.name_numbered(self.connections, set, &(self.translate)(set));
        self.namer.texts(&members)
    }
}

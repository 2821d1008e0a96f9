//! A field of an object: its value, and the way to it.

use std::fmt;

use palisade_engine::model::Position;

use crate::yaml::{Node, View};

/// A value with the path that leads to it. The path costs nothing until it is printed: every field
/// refers to the one above it, which lives on the caller's stack.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    /// The value.
    pub(crate) node: Node<'a>,
    /// The key in front of it, in a mapping.
    key: Option<Node<'a>>,
    step: Step<'a>,
    up: Option<&'a Field<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Name(&'a str),
    Index(usize),
}

impl<'a> Field<'a> {
    /// The object itself.
    pub(crate) fn root(node: Node<'a>) -> Self {
        Self { node, key: None, step: Step::Root, up: None }
    }

    /// The field `name` of this mapping, when it is there and not null.
    pub(crate) fn get(&'a self, name: &'a str) -> Option<Field<'a>> {
        self.get_even_null(name).filter(|field| !field.node.is_null())
    }

    /// The field `name` of this mapping, when it is there.
    pub(crate) fn get_even_null(&'a self, name: &'a str) -> Option<Field<'a>> {
        let View::Mapping(entries) = self.node.view() else { return None };
        let (key, node) = entries.iter().find(|(key, _)| key.text() == Some(name))?;
        Some(Self { node, key: Some(key), step: Step::Name(name), up: Some(self) })
    }

    /// Every entry of this mapping; none when it is no mapping.
    pub(crate) fn entries(&'a self) -> impl Iterator<Item = (Node<'a>, Field<'a>)> {
        let entries = match self.node.view() {
            View::Mapping(entries) => Some(entries),
            View::Scalar(_) | View::Sequence(_) => None,
        };
        entries.into_iter().flat_map(|entries| entries.iter()).map(move |(key, node)| {
            let step = Step::Name(key.text().unwrap_or_default());
            (key, Self { node, key: Some(key), step, up: Some(self) })
        })
    }

    /// Every item of this sequence; none when it is no sequence.
    pub(crate) fn items(&'a self) -> impl Iterator<Item = Field<'a>> {
        let items = match self.node.view() {
            View::Sequence(items) => Some(items),
            View::Scalar(_) | View::Mapping(_) => None,
        };
        let nodes = items.into_iter().flat_map(|items| items.iter());
        nodes.enumerate().map(move |(index, node)| Self { node, key: None, step: Step::Index(index), up: Some(self) })
    }

    /// What to underline: the value, or its key where nothing is written, or (of a collection that
    /// takes more than one line) the key alone.
    pub(crate) fn place(&self) -> (Position, Position) {
        let (start, end) = (self.node.start(), self.node.end());
        match self.key {
            Some(key) if start == end || (end.line > start.line && self.node.text().is_none()) => {
                (key.start(), key.end())
            }
            _ => (start, end),
        }
    }

    /// The entry in its mapping, from key to value.
    pub(crate) fn entry_place(&self) -> (Position, Position) {
        let end = self.node.end();
        self.key.map_or((self.node.start(), end), |key| (key.start(), end.max(key.end())))
    }

    /// The key that leads here.
    pub(crate) fn key(&self) -> Option<Node<'a>> {
        self.key
    }

    /// The last name of the path.
    pub(crate) fn name(&self) -> Option<&'a str> {
        match self.step {
            Step::Name(name) => Some(name),
            Step::Root | Step::Index(_) => None,
        }
    }
}

impl fmt::Display for Field<'_> {
    /// As the API server writes paths: `spec.ingress[0].from`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            fmt::Display::fmt(up, f)?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Name(name) if self.up.is_none_or(|up| matches!(up.step, Step::Root)) => f.write_str(name),
            Step::Name(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

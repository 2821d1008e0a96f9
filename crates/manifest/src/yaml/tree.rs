//! One document (or one item of a list) as a tree: what was written, and where.
//!
//! All nodes of a tree lie in one vector and refer to each other by number: building a tree costs two
//! growing vectors, dropping it as much, and texts are borrowed from the input wherever no escape
//! forced a copy. An alias is a node of its own that refers to what it stands for, so that it keeps
//! the place where it was written and costs nothing, however large the anchored value is.

use std::borrow::Cow;

use palisade_engine::model::Position;

use super::scalar::{self, Value};

/// A node of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeId(u32);

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes: its type comes from what it looks like.
    Plain,
    /// In quotes, or as a block (`|`, `>`): always a string, unless a tag says otherwise.
    Quoted,
}

/// The tag before a node, as far as it changes what a scalar means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// None.
    None,
    /// `!!str`, or the lone `!`.
    String,
    /// `!!int`.
    Integer,
    /// `!!float`.
    Float,
    /// `!!bool`.
    Boolean,
    /// `!!null`.
    Null,
    /// Any other, `!!binary` and own tags included.
    Other,
}

/// A scalar as written.
#[derive(Clone, Debug)]
pub struct Scalar<'t> {
    /// Its text, escapes resolved. Empty when nothing at all was written (`key:`).
    pub text: Cow<'t, str>,
    /// Whether it was quoted.
    pub style: Style,
    /// Its tag.
    pub tag: Tag,
}

#[derive(Clone, Debug)]
pub(super) enum Content<'t> {
    Scalar(Scalar<'t>),
    Sequence(Links),
    Mapping(Links),
    Alias(NodeId),
}

/// A stretch of [`Tree::links`]. Of a mapping: key, value, key, value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) first: usize,
    pub(super) count: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Stored<'t> {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) content: Content<'t>,
}

/// Nodes of one document.
///
/// INVARIANT: a [`NodeId`] and a `Links` are used only with the tree that made them, and only until
/// it is cleared below them (the borrow that a [`Node`] holds sees to that).
#[derive(Debug, Default)]
pub struct Tree<'t> {
    nodes: Vec<Stored<'t>>,
    links: Vec<NodeId>,
}

/// How much a [`Tree`] held at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mark {
    nodes: usize,
    links: usize,
}

impl<'t> Tree<'t> {
    /// The node of that number.
    pub fn node(&self, id: NodeId) -> Node<'_> {
        Node { tree: self, id }
    }

    pub(super) fn push(&mut self, node: Stored<'t>) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        id
    }

    pub(super) fn link(&mut self, children: impl IntoIterator<Item = NodeId>) -> Links {
        let first = self.links.len();
        self.links.extend(children);
        Links { first, count: self.links.len() - first }
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Tree")]
    pub(super) fn stored(&self, id: NodeId) -> &Stored<'t> {
        &self.nodes[id.0 as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Tree")]
    pub(super) fn stored_mut(&mut self, id: NodeId) -> &mut Stored<'t> {
        &mut self.nodes[id.0 as usize]
    }

    #[expect(clippy::indexing_slicing, reason = "INVARIANT of Tree")]
    pub(super) fn linked(&self, links: Links) -> &[NodeId] {
        &self.links[links.first..links.first + links.count]
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { nodes: self.nodes.len(), links: self.links.len() }
    }

    /// Forgets all nodes that came after `mark`.
    pub(super) fn truncate(&mut self, mark: Mark) {
        self.nodes.truncate(mark.nodes);
        self.links.truncate(mark.links);
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// A node, to be looked at.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree<'a>,
    id: NodeId,
}

/// What a node is, aliases resolved.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// A text without structure.
    Scalar(&'a Scalar<'a>),
    /// `- a` or `[a]`.
    Sequence(Items<'a>),
    /// `a: b` or `{a: b}`.
    Mapping(Entries<'a>),
}

impl<'a> Node<'a> {
    /// What it is. An alias is what its anchor stands at.
    pub fn view(self) -> View<'a> {
        let mut id = self.id;
        loop {
            match &self.tree.stored(id).content {
                // An alias refers only to an older node that is complete, so this ends.
                Content::Alias(target) => id = *target,
                Content::Scalar(scalar) => return View::Scalar(scalar),
                Content::Sequence(links) => {
                    return View::Sequence(Items { tree: self.tree, ids: self.tree.linked(*links) });
                }
                Content::Mapping(links) => {
                    return View::Mapping(Entries { tree: self.tree, ids: self.tree.linked(*links) });
                }
            }
        }
    }

    /// The place of its first character: of an alias, the alias's own.
    pub fn start(self) -> Position {
        self.tree.stored(self.id).start
    }

    /// The place after its last character.
    pub fn end(self) -> Position {
        self.tree.stored(self.id).end
    }

    /// Its text when it is a scalar, whatever the type.
    pub fn text(self) -> Option<&'a str> {
        match self.view() {
            View::Scalar(scalar) => Some(&scalar.text),
            View::Sequence(_) | View::Mapping(_) => None,
        }
    }

    /// Its value when it is a scalar.
    pub fn value(self) -> Option<Value<'a>> {
        match self.view() {
            View::Scalar(scalar) => Some(scalar::resolve(scalar)),
            View::Sequence(_) | View::Mapping(_) => None,
        }
    }

    /// Whether it is `y` or `n` without quotes, of which kubectl makes a boolean.
    pub fn is_bool_letter(self) -> bool {
        matches!(self.view(), View::Scalar(scalar) if scalar::is_bool_letter(scalar))
    }

    /// Whether it is null: `null`, `~`, or nothing at all.
    pub fn is_null(self) -> bool {
        matches!(self.value(), Some(Value::Null))
    }

    /// The value of `key`, when it is a mapping that has it.
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        match self.view() {
            View::Mapping(entries) => entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value),
            View::Scalar(_) | View::Sequence(_) => None,
        }
    }
}

/// The items of a sequence, in order.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    tree: &'a Tree<'a>,
    ids: &'a [NodeId],
}

impl<'a> Items<'a> {
    /// Each item.
    pub fn iter(self) -> impl ExactSizeIterator<Item = Node<'a>> {
        self.ids.iter().map(move |id| self.tree.node(*id))
    }
}

/// The entries of a mapping, as written; merged ones (`<<`) after the others.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    tree: &'a Tree<'a>,
    ids: &'a [NodeId],
}

impl<'a> Entries<'a> {
    /// Each key with its value.
    pub fn iter(self) -> impl Iterator<Item = (Node<'a>, Node<'a>)> {
        self.ids
            .iter()
            .zip(self.ids.iter().skip(1))
            .step_by(2)
            .map(move |(key, value)| (self.tree.node(*key), self.tree.node(*value)))
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.ids.len() / 2
    }
}

//! From a parser's events to nodes.

use std::collections::BTreeMap;

use granit_parser::{Event, ScalarStyle, Span, StructureStyle};
use palisade_engine::model::Position;

use super::{
    MAX_NODES,
    mistake::{Mistake, YamlError},
    tree::{Content, Mark, NodeId, Scalar, Stored, Style, Tag, Tree, View},
};

/// Aliases may stand for this many values more than are written, and ten times what is written.
const FREE_ALIASED: u64 = 10_000;

/// Above this many keys duplicates are found by sorting.
const FEW_KEYS: usize = 16;

/// A collection that is not complete yet.
#[derive(Debug)]
struct Open {
    id: NodeId,
    mapping: bool,
    flow: bool,
    merges: bool,
    anchor: usize,
    /// Where its children begin in [`Builder::pending`].
    first: usize,
    /// Where its last child ends.
    end: Position,
    /// How many values it holds, aliases counted as what they stand for.
    weight: u64,
}

#[derive(Clone, Copy, Debug)]
struct Anchored {
    id: NodeId,
    weight: u64,
}

/// Makes the nodes of one document after the other, in one tree.
#[derive(Debug, Default)]
pub(super) struct Builder<'t> {
    pub(super) tree: Tree<'t>,
    /// Mistakes that do not keep the rest of the document from being read.
    pub(super) problems: Vec<YamlError>,
    open: Vec<Open>,
    pending: Vec<NodeId>,
    anchors: BTreeMap<usize, Anchored>,
    /// Whether the document has anchors: then nothing of it may be forgotten.
    anchored: bool,
    /// Whether parts of the document, and perhaps anchors, were passed over.
    skipped: bool,
    /// Values written and values that aliases stood for, in the whole text.
    written: u64,
    aliased: u64,
    /// Where the parser's line 1, column 0 lies in the text.
    base: Option<Position>,
    keys: Vec<(NodeId, usize)>,
}

impl<'t> Builder<'t> {
    /// Forgets the document before, and counts lines and columns from `base`.
    pub(super) fn begin(&mut self, base: Position) {
        self.tree.truncate(Mark::default());
        self.open.clear();
        self.pending.clear();
        self.anchors.clear();
        self.anchored = false;
        self.skipped = false;
        self.base = Some(base);
    }

    /// The place of a parser's mark.
    pub(super) fn place(&self, mark: granit_parser::Marker) -> Position {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let base = self.base.unwrap_or(Position { line: 1, column: 1 });
        let first = if mark.line() <= 1 { base.column } else { 1 };
        Position {
            line: base.line.saturating_add(number(mark.line()).saturating_sub(1)),
            column: first.saturating_add(number(mark.col())),
        }
    }

    /// Whether the document has anchors so far.
    pub(super) fn has_anchors(&self) -> bool {
        self.anchored
    }

    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Whether nodes since `mark` may be forgotten, and forgets them if so.
    pub(super) fn forget(&mut self, mark: Mark) {
        if !self.anchored {
            self.tree.truncate(mark);
        }
    }

    /// A value that is there but was not read.
    pub(super) fn placeholder(&mut self, start: Position, end: Position) -> NodeId {
        self.skipped = true;
        let scalar = Scalar { text: "".into(), style: Style::Plain, tag: Tag::None };
        let id = self.tree.push(Stored { start, end, content: Content::Scalar(scalar) });
        self.complete(id, end, 1);
        id
    }

    /// Takes one event; gives a node once that is complete.
    ///
    /// # Errors
    /// Mistakes after which the document makes no sense.
    pub(super) fn event(&mut self, event: Event<'t>, span: Span) -> Result<Option<NodeId>, YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let (start, end) = (self.place(span.start), self.place(span.end));
                let plain = style == ScalarStyle::Plain;
                // The parser writes `~` where nothing is written.
                let nothing = plain && span.start == span.end;
                let weight = 1 + text.len() as u64 / 64;
                let scalar = Scalar {
                    text: if nothing { "".into() } else { text },
                    style: if plain { Style::Plain } else { Style::Quoted },
                    tag: tag.as_deref().map_or(Tag::None, tag_of),
                };
                if let Some(open) = self.open.last_mut() {
                    open.merges |= plain && scalar.text == "<<";
                    if open.flow && plain && scalar.text.starts_with(':') {
                        self.problems.push(YamlError { mistake: Mistake::ColonInFlow, start, end, earlier: None });
                    }
                }
                self.written += weight;
                self.check_size(start)?;
                let id = self.tree.push(Stored { start, end, content: Content::Scalar(scalar) });
                self.name(anchor, id, weight);
                self.complete(id, end, weight);
                Ok(Some(id))
            }
            Event::SequenceStart(style, anchor, _) => self.start(false, style, anchor, span),
            Event::MappingStart(style, anchor, _) => self.start(true, style, anchor, span),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span).map(Some),
            _ => Ok(None),
        }
    }

    fn start(
        &mut self,
        mapping: bool,
        style: StructureStyle,
        anchor: usize,
        span: Span,
    ) -> Result<Option<NodeId>, YamlError> {
        let start = self.place(span.start);
        let end = self.place(span.end);
        self.written += 1;
        self.check_size(start)?;
        self.anchored |= anchor != 0;
        let scalar = Scalar { text: "".into(), style: Style::Plain, tag: Tag::None };
        let id = self.tree.push(Stored { start, end, content: Content::Scalar(scalar) });
        self.open.push(Open {
            id,
            mapping,
            flow: style == StructureStyle::Flow,
            merges: false,
            anchor,
            first: self.pending.len(),
            end,
            weight: 1,
        });
        Ok(None)
    }

    fn end(&mut self, span: Span) -> Result<Option<NodeId>, YamlError> {
        let Some(mut open) = self.open.pop() else { return Ok(None) };
        let end = if open.flow { self.place(span.end) } else { open.end };
        let top = self.open.is_empty();
        if open.mapping {
            self.check_keys(open.first, top);
            if open.merges {
                self.merge(&mut open)?;
            }
        }
        let links = self.tree.link(self.pending.drain(open.first..));
        let stored = self.tree.stored_mut(open.id);
        stored.end = end;
        stored.content = if open.mapping { Content::Mapping(links) } else { Content::Sequence(links) };
        self.name(open.anchor, open.id, open.weight);
        self.complete(open.id, end, open.weight);
        Ok(Some(open.id))
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<NodeId, YamlError> {
        let (start, end) = (self.place(span.start), self.place(span.end));
        let fail = |mistake| YamlError { mistake, start, end, earlier: None };
        let Some(target) = self.anchors.get(&anchor).copied() else {
            if self.skipped {
                return Ok(self.placeholder(start, end));
            }
            return Err(fail(Mistake::AliasOfItself));
        };
        self.written += 1;
        self.check_size(start)?;
        if !self.pay(target.weight) {
            return Err(fail(Mistake::TooManyAliases));
        }
        let id = self.tree.push(Stored { start, end, content: Content::Alias(target.id) });
        self.complete(id, end, target.weight);
        Ok(id)
    }

    /// Takes `weight` from the budget for aliases.
    fn pay(&mut self, weight: u64) -> bool {
        self.aliased = self.aliased.saturating_add(weight);
        self.aliased <= self.written.saturating_mul(10).saturating_add(FREE_ALIASED)
    }

    fn name(&mut self, anchor: usize, id: NodeId, weight: u64) {
        if anchor != 0 {
            self.anchored = true;
            self.anchors.insert(anchor, Anchored { id, weight });
        }
    }

    /// Puts a complete node into the collection that is open, if any.
    fn complete(&mut self, id: NodeId, end: Position, weight: u64) {
        if let Some(open) = self.open.last_mut() {
            open.end = end;
            open.weight = open.weight.saturating_add(weight);
            self.pending.push(id);
        }
    }

    fn check_size(&self, at: Position) -> Result<(), YamlError> {
        if self.tree.len() < MAX_NODES {
            return Ok(());
        }
        Err(YamlError { mistake: Mistake::TooLarge, start: at, end: at, earlier: None })
    }

    /// Takes the node that was completed last out of the collection that is open.
    pub(super) fn detach(&mut self) {
        self.pending.pop();
    }

    /// Looks for keys that are no words and for keys written twice.
    fn check_keys(&mut self, first: usize, top: bool) {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.extend(self.pending.get(first..).unwrap_or_default().iter().copied().step_by(2).zip(0..));
        for (id, _) in &keys {
            let node = self.tree.node(*id);
            let mistake = match node.view() {
                View::Scalar(scalar) if scalar.text.len() > 4 || !node.is_null() => continue,
                View::Scalar(_) => Mistake::NullKey,
                View::Sequence(_) | View::Mapping(_) => Mistake::KeyNotScalar,
            };
            self.problems.push(YamlError { mistake, start: node.start(), end: node.end(), earlier: None });
        }
        let tree = &self.tree;
        let text = |id: NodeId| tree.node(id).text();
        if keys.len() <= FEW_KEYS {
            for (place, (later, _)) in keys.iter().enumerate() {
                let same = |(earlier, _): &&(NodeId, usize)| text(*later).is_some() && text(*earlier) == text(*later);
                if let Some((earlier, _)) = keys.iter().take(place).find(same) {
                    self.problems.push(duplicate(tree, *earlier, *later, top));
                }
            }
        } else {
            keys.sort_by(|(a, a_place), (b, b_place)| text(*a).cmp(&text(*b)).then(a_place.cmp(b_place)));
            for ((earlier, _), (later, _)) in keys.iter().zip(keys.iter().skip(1)) {
                if text(*later).is_some() && text(*earlier) == text(*later) {
                    self.problems.push(duplicate(tree, *earlier, *later, top));
                }
            }
        }
        self.keys = keys;
    }

    /// Replaces the `<<` entries of a mapping by the entries they stand for: those that the mapping
    /// does not write itself, the first mapping of a list winning over the next.
    fn merge(&mut self, open: &mut Open) -> Result<(), YamlError> {
        let entries: Vec<NodeId> = self.pending.drain(open.first..).collect();
        let mut own = Vec::with_capacity(entries.len());
        let mut merged = Vec::new();
        for (key, value) in entries.iter().zip(entries.iter().skip(1)).step_by(2) {
            let node = self.tree.node(*key);
            let is_merge = matches!(node.view(), View::Scalar(scalar)
                if scalar.text == "<<" && scalar.style == Style::Plain && scalar.tag == Tag::None);
            if !is_merge {
                own.extend([*key, *value]);
                continue;
            }
            let (start, end) = (self.tree.node(*value).start(), self.tree.node(*value).end());
            if !self.merged_entries(*value, &mut merged) {
                self.problems.push(YamlError { mistake: Mistake::BadMerge, start, end, earlier: None });
            }
            let weight = merged.len() as u64;
            if !self.pay(weight) {
                return Err(YamlError { mistake: Mistake::TooManyAliases, start, end, earlier: None });
            }
            open.weight = open.weight.saturating_add(weight);
        }
        let count = own.len();
        let all: Vec<NodeId> = own.into_iter().chain(merged).collect();
        // The earliest of equal keys stays: a mapping's own ones come first.
        let mut order: Vec<(NodeId, usize)> = all.iter().copied().step_by(2).zip((0..).step_by(2)).collect();
        let text = |id: NodeId| self.tree.node(id).text();
        order.sort_by(|(a, a_place), (b, b_place)| text(*a).cmp(&text(*b)).then(a_place.cmp(b_place)));
        order.dedup_by(|(later, place), (earlier, _)| *place >= count && text(*later) == text(*earlier));
        order.sort_by_key(|(_, place)| *place);
        for (_, place) in order {
            self.pending.extend(all.iter().skip(place).take(2));
        }
        Ok(())
    }

    /// Appends the entries of what `<<` refers to; false when that is no mapping.
    fn merged_entries(&self, value: NodeId, into: &mut Vec<NodeId>) -> bool {
        match &self.tree.stored(self.resolved(value)).content {
            Content::Mapping(links) => {
                into.extend(self.tree.linked(*links));
                true
            }
            Content::Sequence(links) => {
                self.tree.linked(*links).iter().all(|item| match &self.tree.stored(self.resolved(*item)).content {
                    Content::Mapping(links) => {
                        into.extend(self.tree.linked(*links));
                        true
                    }
                    _ => false,
                })
            }
            Content::Scalar(_) | Content::Alias(_) => false,
        }
    }

    fn resolved(&self, mut id: NodeId) -> NodeId {
        while let Content::Alias(target) = &self.tree.stored(id).content {
            id = *target;
        }
        id
    }
}

fn duplicate(tree: &Tree<'_>, earlier: NodeId, later: NodeId, top: bool) -> YamlError {
    let (earlier, later) = (tree.node(earlier), tree.node(later));
    YamlError {
        mistake: Mistake::DuplicateKey { key: later.text().unwrap_or_default().to_owned(), top },
        start: later.start(),
        end: later.end(),
        earlier: Some((earlier.start(), earlier.end())),
    }
}

fn tag_of(tag: &granit_parser::Tag) -> Tag {
    match tag.core_suffix() {
        Some("str") => Tag::String,
        Some("int") => Tag::Integer,
        Some("float") => Tag::Float,
        Some("bool") => Tag::Boolean,
        Some("null") => Tag::Null,
        // A lone `!` says "a string"; other tags change nothing for kubectl but that the text stays text.
        _ => Tag::Other,
    }
}

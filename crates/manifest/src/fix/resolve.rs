//! From changes of fields to edits of a text.

use palisade_engine::model::{Position, Span};

use super::{
    Change, Edit, Fix, Refusal, Step, Value,
    layout::{self, Layout},
    span, steps,
    value::{quoted, scalar},
};
use crate::{
    texts::without_mark,
    yaml::{Node, Part, Plan, Stream, Style, View},
};

/// Lists are looked through item by item: a dump never stands in memory as a tree.
const PLAN: Plan = Plan { split: |_| true, skip: |_| false };

const BESIDE: Refusal = Refusal::Layout("it is on one line with something else");

/// The edits of a fix, or why there are none.
pub type Resolved = Result<Vec<Edit>, Refusal>;

/// The edits of each fix in the text of its file, or why there are none.
pub fn resolve(text: &str, fixes: &[&Fix]) -> Vec<Resolved> {
    let text = without_mark(text);
    let layout = Layout::new(text);
    let changes: Vec<&Change> = fixes.iter().flat_map(|fix| &fix.changes).collect();
    let mut found: Vec<Resolved> = vec![Err(Refusal::NotFound); changes.len()];
    let mut order: Vec<(Position, &Change, &mut Resolved)> =
        changes.iter().zip(&mut found).map(|(change, found)| (change.at().start, *change, found)).collect();
    order.sort_by_key(|(at, ..)| *at);
    let mut stream = Stream::new(text, PLAN);
    while !order.is_empty()
        && let Some(part) = stream.next_part()
    {
        let (Part::Item { node: root, .. } | Part::Document { root, .. }) = part else { continue };
        let node = stream.tree().node(root);
        let first = order.partition_point(|(at, ..)| *at < node.start());
        for (_, change, found) in order.iter_mut().skip(first).take_while(|(at, ..)| *at <= node.end()) {
            // The fields of a list come after its items, which are not in it then.
            if **found == Err(Refusal::NotFound) {
                let anchors = stream.has_anchors();
                **found = if anchors { Err(Refusal::Anchors) } else { edits(&layout, node, change) };
            }
        }
    }
    let mut found = found.into_iter();
    let of = |fix: &&Fix| {
        // All of a fix's own are taken, also those after one that is refused.
        let own: Vec<Resolved> = found.by_ref().take(fix.changes.len()).collect();
        own.into_iter().collect::<Result<Vec<Vec<Edit>>, Refusal>>().map(|edits| edits.concat())
    };
    fixes.iter().map(of).collect()
}

fn edits(layout: &Layout<'_>, root: Node<'_>, change: &Change) -> Result<Vec<Edit>, Refusal> {
    let at = change.at();
    match change {
        Change::Write { value, .. } => write(layout, root, at, value).map(|edit| vec![edit]),
        Change::Remove { field, .. } => {
            let object = node_at(root, at).ok_or(Refusal::NotFound)?;
            let steps = steps(field).ok_or(Refusal::NotFound)?;
            let (Some(Step::Index(index)), parents) = (steps.last(), steps.len().saturating_sub(1)) else {
                return Err(Refusal::NotFound);
            };
            remove(layout, object, steps.get(..parents).unwrap_or_default(), *index, at)
        }
        Change::Add { field, value, after, .. } => {
            let object = node_at(root, at).ok_or(Refusal::NotFound)?;
            let steps = steps(field).ok_or(Refusal::NotFound)?;
            let writer = Writer::new(layout, object, at);
            match steps.split_last() {
                Some((Step::Name(name), parents)) => {
                    let mapping = walk(object, parents).ok_or(Refusal::NotFound)?;
                    writer.entry(mapping, name, value, *after)
                }
                Some((Step::End, parents)) => writer.append(object, parents, value),
                _ => Err(Refusal::NotFound),
            }
            .map(|edit| vec![edit])
        }
    }
}

/// The node that covers exactly a span.
fn node_at(node: Node<'_>, at: Span) -> Option<Node<'_>> {
    if (node.start(), node.end()) == (at.start, at.end) {
        return Some(node);
    }
    let inside = |node: &Node<'_>| node.start() <= at.start && at.end <= node.end();
    match node.view() {
        View::Scalar(_) => None,
        View::Sequence(items) => items.iter().filter(inside).find_map(|item| node_at(item, at)),
        View::Mapping(entries) => {
            entries.iter().flat_map(|(key, value)| [key, value]).filter(inside).find_map(|node| node_at(node, at))
        }
    }
}

/// The value at the end of a path.
fn walk<'n>(mut node: Node<'n>, path: &[Step<'_>]) -> Option<Node<'n>> {
    for step in path {
        node = match (step, node.view()) {
            (Step::Name(name), View::Mapping(_)) => node.get(name)?,
            (Step::Index(index), View::Sequence(items)) => items.iter().nth(*index)?,
            _ => return None,
        };
    }
    Some(node)
}

fn write(layout: &Layout<'_>, root: Node<'_>, at: Span, value: &Value) -> Result<Edit, Refusal> {
    let View::Scalar(old) = node_at(root, at).ok_or(Refusal::NotFound)?.view() else { return Err(Refusal::NotFound) };
    let written = layout.between(at.start, at.end).filter(|text| !text.is_empty()).ok_or(Refusal::NotFound)?;
    if at.start.line < at.end.line || (old.style == Style::Quoted && !written.starts_with(['"', '\''])) {
        return Err(Refusal::Layout("it is a text of several lines"));
    }
    // A tag before the value says what its text is.
    let before = layout.before(at.start).unwrap_or_default().trim_end();
    if before.rsplit([' ', '\t', ',', '[', '{']).next().is_some_and(|word| word.starts_with('!')) {
        return Err(Refusal::Layout("a tag (`!!str`) stands before it"));
    }
    let text = match (value, written.chars().next()) {
        (Value::Text(text), Some('"')) => quoted(text),
        (Value::Text(text), Some('\'')) => format!("'{}'", text.replace('\'', "''")),
        (Value::Text(text), _) => scalar(text, false),
        (value, _) => value.flow(false),
    };
    Ok(Edit { at, text })
}

fn remove(
    layout: &Layout<'_>,
    object: Node<'_>,
    path: &[Step<'_>],
    index: usize,
    like: Span,
) -> Result<Vec<Edit>, Refusal> {
    let list = walk(object, path).ok_or(Refusal::NotFound)?;
    let View::Sequence(items) = list.view() else { return Err(Refusal::NotFound) };
    let item = items.iter().nth(index).ok_or(Refusal::NotFound)?;
    let edit = |start, end| vec![Edit { at: span(like, start, end), text: String::new() }];
    if hyphens(layout, list).is_none() {
        let before = index.checked_sub(1).and_then(|before| items.iter().nth(before));
        let (start, end) = match (before, items.iter().nth(index + 1)) {
            (Some(before), _) => (before.end(), item.end()),
            (None, Some(next)) => (item.start(), next.start()),
            (None, None) => (item.start(), item.end()),
        };
        if layout.between(start, end).is_none_or(|text| text.lines().any(|line| layout::comment(line).is_some())) {
            return Err(Refusal::Layout("a comment stands within its brackets"));
        }
        return Ok(edit(start, end));
    }
    if items.iter().len() == 1 {
        // Without its last item the whole field goes.
        let Some((Step::Name(name), parents)) = path.split_last() else { return Err(Refusal::NotFound) };
        let parent = walk(object, parents).ok_or(Refusal::NotFound)?;
        let View::Mapping(entries) = parent.view() else { return Err(Refusal::NotFound) };
        let key = entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(key, _)| key);
        let key = key.filter(|_| entries.count() > 1).ok_or(BESIDE)?;
        return lines_without(layout, key.start(), item.end(), like);
    }
    let hyphen = hyphen_before(layout, item.start()).ok_or(BESIDE)?;
    lines_without(layout, hyphen, item.end(), like)
}

/// Takes out the lines from `start` to `end`, which must have nothing else in them; comments stay.
fn lines_without(layout: &Layout<'_>, start: Position, end: Position, like: Span) -> Result<Vec<Edit>, Refusal> {
    let indent = layout.before(start).filter(|before| before.trim().is_empty()).ok_or(BESIDE)?;
    let rest = layout.after(end).unwrap_or_default().trim_start();
    if end.column == 1 || !(rest.is_empty() || rest.starts_with('#')) {
        return Err(BESIDE);
    }
    let mut comments = String::new();
    for number in start.line..=end.line {
        let line = layout.line(number).unwrap_or_default();
        if let Some(comment) = layout::comment(line).and_then(|at| line.get(at..)) {
            comments.push_str(&format!("{indent}{comment}{}", layout.end_mark()));
        }
    }
    let first = Position { line: start.line, column: 1 };
    if end.line < layout.count() {
        let next = Position { line: end.line.saturating_add(1), column: 1 };
        return Ok(vec![Edit { at: span(like, first, next), text: comments }]);
    }
    // The last line has no end: that of the line before goes.
    let last = layout.line_end(end.line).ok_or(Refusal::NotFound)?;
    if comments.is_empty() && start.line > 1 {
        let before = layout.line_end(start.line - 1).ok_or(Refusal::NotFound)?;
        return Ok(vec![Edit { at: span(like, before, last), text: comments }]);
    }
    Ok(vec![Edit { at: span(like, first, last), text: comments.trim_end().to_owned() }])
}

/// Writes new values into an object as the rest of it is written.
struct Writer<'l, 't> {
    layout: &'l Layout<'t>,
    like: Span,
    json: bool,
    /// How far right of their keys the hyphens of lists stand.
    offset: usize,
}

impl<'l, 't> Writer<'l, 't> {
    fn new(layout: &'l Layout<'t>, object: Node<'_>, like: Span) -> Self {
        let written = layout.between(object.start(), object.end()).unwrap_or_default();
        let json = written.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with('"'));
        Self { layout, like, json, offset: offset(layout, object).unwrap_or_default() }
    }

    fn is_flow(&self, node: Node<'_>) -> bool {
        self.layout.after(node.start()).is_some_and(|text| text.starts_with('{'))
    }

    fn insert(&self, at: Position, text: String) -> Edit {
        Edit { at: span(self.like, at, at), text }
    }

    /// A new field of a mapping.
    fn entry(
        &self,
        mapping: Node<'_>,
        name: &str,
        value: &Value,
        after: Option<&'static str>,
    ) -> Result<Edit, Refusal> {
        let View::Mapping(entries) = mapping.view() else { return Err(Refusal::NotFound) };
        if mapping.get(name).is_some() {
            return Err(Refusal::Layout("the field is there already"));
        }
        let beside = entries.iter().find(|(key, _)| after.is_some() && key.text() == after).or(entries.iter().last());
        if self.is_flow(mapping) {
            let text = format!("{}: {}", scalar(name, self.json), value.flow(self.json));
            let Some((key, last)) = beside else {
                let inside = Position { column: mapping.start().column.saturating_add(1), ..mapping.start() };
                return Ok(self.insert(inside, text));
            };
            return Ok(self.insert(last.end().max(key.end()), format!("{}{text}", self.comma(key.start()))));
        }
        let (key, last) = beside.ok_or(Refusal::NotFound)?;
        let indent = (key.start().column as usize).saturating_sub(1);
        let mark = self.layout.end_mark();
        let text = format!("{}:{}", scalar(name, false), value.after_key(indent, self.offset, mark));
        self.after_line(last.end().max(key.end()), indent, &text)
    }

    /// A new item at the end of a list.
    fn append(&self, object: Node<'_>, path: &[Step<'_>], value: &Value) -> Result<Edit, Refusal> {
        let list = walk(object, path).filter(|list| !list.is_null());
        let Some(list) = list else {
            let Some((Step::Name(name), parents)) = path.split_last() else { return Err(Refusal::NotFound) };
            let mapping = walk(object, parents).ok_or(Refusal::NotFound)?;
            return self.entry(mapping, name, &Value::List(vec![value.clone()]), None);
        };
        let View::Sequence(items) = list.view() else { return Err(Refusal::NotFound) };
        let last = items.iter().last();
        let Some(column) = hyphens(self.layout, list) else {
            let text = value.flow(self.json);
            return Ok(match last {
                Some(last) => self.insert(last.end(), format!("{}{text}", self.comma(last.start()))),
                None => {
                    let inside = Position { column: list.start().column.saturating_add(1), ..list.start() };
                    self.insert(inside, text)
                }
            });
        };
        let indent = (column as usize).saturating_sub(1);
        let text = value.item(indent, self.offset, self.layout.end_mark());
        self.after_line(last.ok_or(Refusal::NotFound)?.end(), indent, &text)
    }

    /// Between two entries in braces or brackets: on a line of its own where the one before has one.
    fn comma(&self, before: Position) -> String {
        match self.layout.before(before) {
            Some(indent) if indent.trim().is_empty() && before.column > 1 => {
                format!(",{}{indent}", self.layout.end_mark())
            }
            _ => ", ".to_owned(),
        }
    }

    /// New lines below the line in which a value ends.
    fn after_line(&self, end: Position, indent: usize, text: &str) -> Result<Edit, Refusal> {
        let rest = self.layout.after(end).unwrap_or_default().trim_start();
        if end.column == 1 || !(rest.is_empty() || rest.starts_with('#')) {
            return Err(BESIDE);
        }
        let at = self.layout.line_end(end.line).ok_or(Refusal::NotFound)?;
        Ok(self.insert(at, format!("{}{}{text}", self.layout.end_mark(), " ".repeat(indent))))
    }
}

/// The column of a list's hyphens; none when it is in brackets. The parser has a list begin at its first
/// hyphen, or at its first item when the hyphens stand below the key.
fn hyphens(layout: &Layout<'_>, list: Node<'_>) -> Option<u32> {
    if let Some(hyphen) = hyphen_before(layout, list.start()) {
        return Some(hyphen.column);
    }
    let after = layout.after(list.start())?;
    (after.starts_with("- ") || after.trim_end() == "-").then_some(list.start().column)
}

/// The hyphen of the item that begins at a place, with nothing before it on its line; it may stand on a
/// line above.
fn hyphen_before(layout: &Layout<'_>, at: Position) -> Option<Position> {
    let mut line = at.line;
    let mut before = layout.before(at)?;
    loop {
        // A list may be said to begin at the end of the comment behind its first hyphen.
        before = layout::comment(before).and_then(|comment| before.get(..comment)).unwrap_or(before);
        if let Some(indent) = before.trim_end().strip_suffix('-') {
            let column = u32::try_from(indent.chars().count()).ok()?.checked_add(1)?;
            return indent.trim().is_empty().then_some(Position { line, column });
        }
        if !before.trim().is_empty() {
            return None;
        }
        line = line.checked_sub(1)?;
        before = layout.line(line)?;
    }
}

/// How far the hyphens of the first list that has them stand from their key.
fn offset(layout: &Layout<'_>, node: Node<'_>) -> Option<usize> {
    match node.view() {
        View::Scalar(_) => None,
        View::Sequence(items) => items.iter().find_map(|item| offset(layout, item)),
        View::Mapping(entries) => entries.iter().find_map(|(key, value)| match value.view() {
            View::Sequence(_) => {
                hyphens(layout, value).map(|column| column.saturating_sub(key.start().column) as usize)
            }
            _ => offset(layout, value),
        }),
    }
}

//! A text, one document after the other; a list, one item after the other.

mod documents;

use granit_parser::{Event, Parser, ScanError, Span, StrInput, StructureStyle};
use palisade_engine::model::Position;

use self::documents::parser;
use super::{
    build::Builder,
    mistake::{Mistake, YamlError},
    tree::{Mark, NodeId, Tree},
};

/// What is known of a document's first two fields so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// `apiVersion`.
    pub api_version: Option<&'a str>,
    /// `kind`.
    pub kind: Option<&'a str>,
}

/// How documents are handed out, asked at each of a document's own keys.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Whether `items` is handed out item by item.
    pub split: fn(Head<'_>) -> bool,
    /// Whether values are of no interest: they are checked for syntax, but no node is made of them.
    pub skip: fn(Head<'_>) -> bool,
}

impl Plan {
    /// Every document whole.
    pub const WHOLE: Self = Self { split: |_| false, skip: |_| false };
}

/// What a [`Stream`] hands out.
#[derive(Clone, Debug)]
pub enum Part {
    /// One item of the document's `items`; the document itself follows after the last.
    Item {
        /// Its place, from 0.
        index: usize,
        /// The item.
        node: NodeId,
    },
    /// A document.
    Document {
        /// Its root; null for one in which nothing is written.
        root: NodeId,
        /// Whether its `items` were handed out before: the root then has null in their place.
        split: bool,
    },
    /// The rest of this document cannot be read. Reading goes on with the next document.
    Broken(YamlError),
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between documents.
    Between,
    /// After the beginning of a document.
    Document,
    /// In the mapping that is the document.
    Root { split: bool },
    /// In the sequence under its key `items`.
    Items { index: usize, start: Position },
    /// After the last document.
    End,
}

/// A place in the text: byte offset and position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) byte: usize,
    pub(super) position: Position,
}

const BEGINNING: Place = Place { byte: 0, position: Position { line: 1, column: 1 } };

/// Reads a text part by part. A part's nodes live until the next part is asked for.
pub struct Stream<'t> {
    text: &'t str,
    plan: Plan,
    parser: Parser<'t, StrInput<'t>>,
    builder: Builder<'t>,
    state: State,
    /// Where the parser was set to work.
    base: Place,
    /// Where the current document begins, its directives included.
    document: Place,
    /// Where the document after the current one begins.
    next_document: Place,
    /// The `items` of the current document are not, or are, handed out one by one.
    forced: Option<bool>,
    /// Whether the last document was a mapping in braces: another may follow without `---` (JSON).
    braces: bool,
    api_version: Option<NodeId>,
    kind: Option<NodeId>,
    /// What the arena held before the first item.
    before_items: Mark,
    /// Where to go on when the parser, which sees one JSON object alone, is done with it.
    after_object: Option<Place>,
    /// Whether the parser was made to look for the next `---` after a mistake.
    recovered: bool,
}

impl<'t> Stream<'t> {
    /// Begins to read `text`, which must not start with a byte order mark.
    pub fn new(text: &'t str, plan: Plan) -> Self {
        let mut builder = Builder::default();
        builder.begin(BEGINNING.position);
        Self {
            text,
            plan,
            parser: parser(text),
            builder,
            state: State::Between,
            base: BEGINNING,
            document: BEGINNING,
            next_document: BEGINNING,
            forced: None,
            braces: false,
            api_version: None,
            kind: None,
            before_items: Mark::default(),
            after_object: None,
            recovered: false,
        }
    }

    /// The nodes of the last part.
    pub fn tree(&self) -> &Tree<'t> {
        &self.builder.tree
    }

    /// What is known of the current document's first two fields.
    pub fn head(&self) -> Head<'_> {
        let text = |id: Option<NodeId>| id.and_then(|id| self.builder.tree.node(id).text());
        Head { api_version: text(self.api_version), kind: text(self.kind) }
    }

    /// Whether the current document has anchors so far: what stands at one may be used elsewhere in it.
    pub fn has_anchors(&self) -> bool {
        self.builder.has_anchors()
    }

    /// The mistakes found since the last call that did not keep anything from being read.
    pub fn take_problems(&mut self) -> Vec<YamlError> {
        std::mem::take(&mut self.builder.problems)
    }

    /// Reads the document that was last handed out again, its `items` one by one or not.
    pub fn again(&mut self, split: bool) {
        self.builder.problems.clear();
        self.forced = Some(split);
        self.start_at(self.document);
    }

    /// The next part; `None` at the end of the text.
    pub fn next_part(&mut self) -> Option<Part> {
        match self.advance() {
            Ok(part) => part,
            Err(error) => {
                self.recover();
                Some(Part::Broken(error))
            }
        }
    }

    fn advance(&mut self) -> Result<Option<Part>, YamlError> {
        loop {
            match self.state {
                State::End => return Ok(None),
                State::Between => match self.between()? {
                    Some((Event::DocumentStart(..), span)) => self.begin(span),
                    Some(_) => {}
                    None => self.state = State::End,
                },
                State::Document => {
                    let Some((event, span)) = self.pull()? else { continue };
                    if let Event::MappingStart(style, ..) = &event {
                        self.braces = *style == StructureStyle::Flow;
                        self.builder.event(event, span)?;
                        self.state = State::Root { split: false };
                    } else {
                        let root = self.subtree(event, span)?;
                        return self.finish(root, false).map(Some);
                    }
                }
                State::Root { split } => {
                    let Some((event, span)) = self.pull()? else { continue };
                    if matches!(event, Event::MappingEnd) {
                        if let Some(root) = self.builder.event(event, span)? {
                            return self.finish(root, split).map(Some);
                        }
                    } else {
                        self.root_entry(event, span)?;
                    }
                }
                State::Items { index, start } => {
                    self.builder.forget(self.before_items);
                    let Some((event, span)) = self.pull()? else { continue };
                    if matches!(event, Event::SequenceEnd) {
                        self.builder.placeholder(start, start);
                        self.state = State::Root { split: true };
                    } else {
                        // Items are no children of the root: they are forgotten before it is complete.
                        let node = self.item(event, span)?;
                        self.state = State::Items { index: index + 1, start };
                        return Ok(Some(Part::Item { index, node }));
                    }
                }
            }
        }
    }

    /// One key of the document and its value.
    fn root_entry(&mut self, event: Event<'t>, span: Span) -> Result<(), YamlError> {
        let key = self.subtree(event, span)?;
        let Some((event, span)) = self.pull()? else { return Ok(()) };
        let name = self.builder.tree.node(key).text().unwrap_or_default();
        let (is_kind, is_version, is_items) = (name == "kind", name == "apiVersion", name == "items");
        if is_items && matches!(event, Event::SequenceStart(_, 0, None)) {
            let split = match self.forced {
                Some(split) => split,
                None => (self.plan.split)(self.head()),
            };
            if split {
                let start = self.builder.place(span.start);
                self.before_items = self.builder.tree.mark();
                self.state = State::Items { index: 0, start };
                return Ok(());
            }
        }
        if !is_kind && !is_version && (self.plan.skip)(self.head()) {
            return self.pass_over(event, span);
        }
        let value = self.subtree(event, span)?;
        if is_kind {
            self.kind = self.kind.or(Some(value));
        }
        if is_version {
            self.api_version = self.api_version.or(Some(value));
        }
        Ok(())
    }

    /// Reads a value to its end and puts it where the builder stands.
    fn subtree(&mut self, event: Event<'t>, span: Span) -> Result<NodeId, YamlError> {
        let mut next = Some((event, span));
        let depth = self.builder.depth();
        while let Some((event, span)) = next.take() {
            if let Some(id) = self.builder.event(event, span)?
                && self.builder.depth() == depth
            {
                return Ok(id);
            }
            next = self.pull()?;
        }
        // The parser ends every collection that it begins, or fails.
        let at = self.base.position;
        Err(YamlError {
            mistake: Mistake::Unclosed("the text ends too early".to_owned()),
            start: at,
            end: at,
            earlier: None,
        })
    }

    fn item(&mut self, event: Event<'t>, span: Span) -> Result<NodeId, YamlError> {
        let node = self.subtree(event, span)?;
        self.builder.detach();
        Ok(node)
    }

    fn pass_over(&mut self, event: Event<'t>, span: Span) -> Result<(), YamlError> {
        let (start, mut end) = (self.builder.place(span.start), self.builder.place(span.end));
        let mut depth = 0_usize;
        let mut next = Some((event, span));
        while let Some((event, span)) = next.take() {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                Event::Scalar(..) => end = self.builder.place(span.end),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            next = self.pull()?;
        }
        self.builder.placeholder(start, end);
        Ok(())
    }

    fn pull(&mut self) -> Result<Option<(Event<'t>, Span)>, YamlError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(Some(event)),
            Some(Err(error)) => Err(self.mistake(&error)),
            // Only between documents, where the caller looks for what else there is.
            None => {
                self.state = State::Between;
                Ok(None)
            }
        }
    }

    fn place(&self, mark: granit_parser::Marker) -> Place {
        Place { byte: self.base.byte + mark.byte_offset().unwrap_or_default(), position: self.builder.place(mark) }
    }

    fn mistake(&self, error: &ScanError) -> YamlError {
        let start = self.builder.place(*error.marker());
        let end = Position { column: start.column.saturating_add(1), ..start };
        let mistake = Mistake::of_parser(error.kind());
        YamlError { mistake, start, end, earlier: None }
    }
}

//! Where one document ends and the next begins: at a `---`, behind a JSON object, behind a mistake.

use granit_parser::{ErrorKind, Event, Parser, Span, StrInput};

use super::{Part, Place, State, Stream};
use crate::yaml::{MAX_DEPTH, json, mistake::YamlError, tree::NodeId};

impl<'t> Stream<'t> {
    /// The next event outside of documents. One JSON object after the other without a `---` between
    /// them is what kubectl reads too, so the second begins a document of its own.
    pub(super) fn between(&mut self) -> Result<Option<(Event<'t>, Span)>, YamlError> {
        loop {
            match self.parser.next_event() {
                Some(Err(error)) => {
                    let place = self.place(*error.marker());
                    if self.braces && *error.kind() == ErrorKind::ExpectedDocumentStart && self.is_brace(place) {
                        self.start_at_object(place);
                        continue;
                    }
                    return Err(self.mistake(&error));
                }
                Some(Ok((Event::StreamEnd, _))) | None => match self.after_object.take() {
                    Some(place) if self.is_brace(place) => self.start_at_object(place),
                    Some(place) if place.byte < self.text.len() => self.start_at(place),
                    _ => return Ok(None),
                },
                Some(Ok(event)) => return Ok(Some(event)),
            }
        }
    }

    fn is_brace(&self, place: Place) -> bool {
        self.text.as_bytes().get(place.byte) == Some(&b'{')
    }

    /// Begins with the JSON object at `place`, and shows the parser no more than that: it would look
    /// far ahead on the same line for the `:` that makes a key of an object.
    fn start_at_object(&mut self, place: Place) {
        self.start_at(place);
        let rest = self.text.get(place.byte..).unwrap_or_default();
        if let Some(object) = json::object(rest) {
            self.parser = parser(object);
            self.after_object = Some(json::after(rest, object.len(), place));
        }
    }

    /// Begins a document: what was known of the one before is forgotten.
    pub(super) fn begin(&mut self, span: Span) {
        self.document = if self.recovered { self.place(span.start) } else { self.next_document };
        self.recovered = false;
        self.api_version = None;
        self.kind = None;
        self.builder.begin(self.base.position);
        self.state = State::Document;
    }

    /// Ends a document.
    pub(super) fn finish(&mut self, root: NodeId, split: bool) -> Result<Part, YamlError> {
        self.state = State::Between;
        self.forced = None;
        // Where it ends the next one begins. A mistake there is the next part.
        if matches!(self.parser.peek(), Some(Ok((Event::DocumentEnd, _))))
            && let Some((_, span)) = self.pull()?
        {
            self.next_document = self.place(span.end);
        }
        Ok(Part::Document { root, split })
    }

    /// Goes on behind a mistake: with the next `---`, or with the next JSON object.
    pub(super) fn recover(&mut self) {
        self.forced = None;
        self.recovered = true;
        self.state = match self.parser.proceed_next_document() {
            Ok(true) => State::Between,
            Ok(false) | Err(_) if self.after_object.is_some() => State::Between,
            Ok(false) | Err(_) => State::End,
        };
    }

    /// Sets the parser to work at a place of the text.
    pub(super) fn start_at(&mut self, place: Place) {
        self.parser = parser(self.text.get(place.byte..).unwrap_or_default());
        self.base = place;
        self.after_object = None;
        self.next_document = place;
        self.builder.begin(place.position);
        self.state = State::Between;
    }
}

/// What reads a text, with limits that every text ends within.
pub(super) fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    Parser::new_from_str_with_options(text, options)
}

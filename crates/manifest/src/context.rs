//! The one who reads an object: takes typed values out of fields and collects what is wrong.

use palisade_engine::model::{FileId, Name, Position, Span};

use crate::{
    diagnostic::{Diagnostic, Severity, code},
    field::Field,
    fix::{Change, Fix, Safety, Value},
    interner::Interner,
    read::keep,
    read::{OddNetwork, ServerVersion},
    yaml::{Node, Value as Scalar, View},
};

/// What reading the objects of one file needs.
pub(crate) struct Context<'r> {
    /// The file.
    pub(crate) file: FileId,
    /// `-n`, for objects that name no namespace.
    pub(crate) default_namespace: &'r Name,
    /// Whose rules count.
    pub(crate) server: ServerVersion,
    /// Names met so far.
    pub(crate) names: &'r mut Interner,
    /// How many objects were given a name in the server's place.
    pub(crate) generated: &'r mut u32,
    /// Findings so far.
    pub(crate) diagnostics: &'r mut Vec<Diagnostic>,
    /// Networks that are not written as they are meant.
    pub(crate) networks: &'r mut Vec<OddNetwork>,
    /// How findings call the object that is being read.
    pub(crate) object: Option<String>,
    /// The file's first `y` or `n` without quotes, and how many more there are.
    pub(crate) bool_letters: &'r mut Option<(Diagnostic, usize)>,
    /// The code of wrong values that the server takes, where it does not look at them.
    pub(crate) beyond: Option<&'static str>,
    /// Whether something in the object was not understood.
    pub(crate) failed: bool,
}

impl Context<'_> {
    /// A stretch of the file.
    pub(crate) fn span(&self, (start, end): (Position, Position)) -> Span {
        Span { file: self.file, start, end }
    }

    /// The whole value of a field.
    pub(crate) fn value_span(&self, field: &Field<'_>) -> Span {
        self.span((field.node.start(), field.node.end()))
    }

    /// What mends a finding by other words for a scalar: `safe` when nothing else can have been meant.
    pub(crate) fn write(&self, node: Node<'_>, text: impl Into<String>, safe: bool) -> Option<Fix> {
        let safety = if safe { Safety::Safe } else { Safety::ChangesMeaning };
        Some(Fix::write(safety, self.span((node.start(), node.end())), text))
    }

    /// What mends a number in quotes.
    pub(crate) fn write_number(&self, field: &Field<'_>, text: &str) -> Option<Fix> {
        let value = Value::Number(text.parse().ok().filter(|number: &u16| number.to_string() == text)?);
        let change = Change::Write { at: self.value_span(field), value };
        Some(Fix::new(Safety::Safe, format!("write {text}, without quotes"), change))
    }

    /// What makes a string of a scalar that is something else without quotes.
    pub(crate) fn quote(&self, node: Node<'_>) -> Option<Fix> {
        let text = node.text().filter(|text| !text.is_empty() && node.value() != Some(Scalar::Unusable))?;
        let mut fix = self.write(node, text, true)?;
        fix.description = format!("write \"{text}\", in quotes");
        Some(fix)
    }

    /// An error at a field, to be completed and [reported](Self::report).
    pub(crate) fn error(&self, field: &Field<'_>, message: impl Into<String>) -> Diagnostic {
        let path = field.to_string();
        let mut finding = Diagnostic::new(Severity::Error, code::API, message).at(self.span(field.place()), "");
        finding.object.clone_from(&self.object);
        finding.field = (!path.is_empty()).then_some(path);
        finding
    }

    /// An error about a value: one that the API server looks at unless said [otherwise](Self::beyond).
    pub(crate) fn value_error(&self, field: &Field<'_>, message: impl Into<String>) -> Diagnostic {
        let mut finding = self.error(field, message);
        if let Some(code) = self.beyond {
            finding.code = code.into();
        }
        finding
    }

    /// Reads values that the server does not look at: what is wrong with them has this code.
    pub(crate) fn beyond<T>(&mut self, code: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.beyond.replace(code);
        let result = read(self);
        self.beyond = before;
        result
    }

    /// Reads a part that has a form of its own for what was not understood: `None` where anything was not.
    pub(crate) fn part<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let failed = std::mem::replace(&mut self.failed, false);
        let result = read(self).filter(|_| !self.failed);
        self.failed |= failed || result.is_none();
        result
    }

    /// An error about a field that is not there: at the mapping that should have it.
    pub(crate) fn missing(&self, field: &Field<'_>, name: &str, message: impl Into<String>) -> Diagnostic {
        let mut finding = self.error(field, message);
        finding.field = Some(match &finding.field {
            Some(path) => format!("{path}.{name}"),
            None => name.to_owned(),
        });
        finding
    }

    /// Keeps a finding about something that was not understood: the object is left out.
    pub(crate) fn report(&mut self, finding: Diagnostic) {
        self.failed |= finding.is_error();
        keep(self.diagnostics, finding);
    }

    /// Keeps a finding about something that the server refuses, but that has nothing to do with what
    /// the object means: an error all the same, and the object stays.
    pub(crate) fn report_harmless(&mut self, mut finding: Diagnostic) {
        finding.is_harmless = true;
        keep(self.diagnostics, finding);
    }

    /// Reads something that has nothing to do with what the object means.
    pub(crate) fn harmless<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let (failed, before) = (self.failed, self.diagnostics.len());
        let result = read(self);
        self.failed = failed;
        self.diagnostics.iter_mut().skip(before).for_each(|finding| finding.is_harmless = true);
        result
    }

    /// Lets findings made by `read` name another field: the server names a mapping, not its entry.
    pub(crate) fn named<T>(&mut self, field: &Field<'_>, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.diagnostics.len();
        let result = read(self);
        for finding in self.diagnostics.iter_mut().skip(before) {
            finding.field = Some(field.to_string());
        }
        result
    }

    /// The one shared name for a text.
    pub(crate) fn name(&mut self, text: &str) -> Name {
        self.names.name(text)
    }

    /// Whether the field is a mapping (null is an empty one); reports it if not.
    pub(crate) fn expect_mapping(&mut self, field: &Field<'_>) -> bool {
        match field.node.view() {
            View::Mapping(_) => return true,
            View::Scalar(_) if field.node.is_null() => return true,
            View::Scalar(_) | View::Sequence(_) => {}
        }
        self.wrong_type(
            field,
            "a mapping",
            match field.name() {
                Some("podSelector" | "namespaceSelector") => Some("write for example `matchLabels: {app: web}`"),
                _ => None,
            },
        );
        false
    }

    /// Whether the field is a sequence (null is an empty one); reports it if not.
    pub(crate) fn expect_sequence(&mut self, field: &Field<'_>) -> bool {
        match field.node.view() {
            View::Sequence(_) => return true,
            View::Scalar(_) if field.node.is_null() => return true,
            View::Mapping(_) => self.wrong_type(field, "a list", Some("put `- ` before each item")),
            View::Scalar(_) => self.wrong_type(field, "a list", None),
        }
        false
    }

    /// The text of a field; null is the empty text, as for the API server. Reports other types.
    pub(crate) fn text<'a>(&mut self, field: &Field<'a>) -> Option<&'a str> {
        match field.node.value() {
            Some(Scalar::String(text)) => {
                if field.node.is_bool_letter() {
                    self.bool_letter(field, text);
                }
                Some(text)
            }
            Some(Scalar::Null) => Some(""),
            Some(value) => {
                let written = field.node.text().unwrap_or_default();
                let message = format!("`{written}` is {} in YAML, and a string is needed", value.type_name());
                let finding = self.error(field, message).label(format!("write \"{written}\", in quotes"));
                self.report(finding.fix(self.quote(field.node)));
                None
            }
            None => {
                self.wrong_type(field, "a string", None);
                None
            }
        }
    }

    /// Remembers a `y` or `n` that kubectl would make a boolean of; told once for each file.
    fn bool_letter(&mut self, field: &Field<'_>, text: &str) {
        if self.bool_letters.is_none() {
            let becomes = matches!(text, "y" | "Y");
            let message = format!("kubectl makes the boolean {becomes} of `{text}`, since it has no quotes");
            let mut finding = self.error(field, message).label(format!("write \"{text}\", in quotes"));
            finding.severity = Severity::Warning;
            finding.code = code::YAML_BOOL.into();
            *self.bool_letters = Some((finding.fix(self.quote(field.node)), 0));
        } else {
            // The one finding mends all of them.
            let more_changes = self.quote(field.node).map(|fix| fix.changes).unwrap_or_default();
            let Some((finding, more)) = self.bool_letters else { return };
            if let Some(fix) = &mut finding.fix {
                fix.changes.extend(more_changes);
                "write them in quotes".clone_into(&mut fix.description);
            }
            *more += 1;
        }
    }

    /// The name in a field that is there and not empty. Reports other types and control characters.
    pub(crate) fn text_of(&mut self, field: Option<Field<'_>>) -> Option<Name> {
        let field = field?;
        let text = self.text(&field).filter(|text| !text.is_empty())?;
        // What goes into the model may be printed to a terminal one day.
        if text.chars().any(char::is_control) {
            let finding = self.error(&field, "a control character cannot be in a name");
            self.report(finding);
            return None;
        }
        Some(self.name(text))
    }

    /// A boolean field; false when null. Reports other types.
    pub(crate) fn boolean(&mut self, field: &Field<'_>) -> Option<bool> {
        match field.node.value() {
            Some(Scalar::Bool(value)) => Some(value),
            Some(Scalar::Null) => Some(false),
            _ => {
                self.wrong_type(field, "true or false", Some("write `true` or `false`, without quotes"));
                None
            }
        }
    }

    /// A whole number of 32 bits. Reports other types.
    pub(crate) fn integer(&mut self, field: &Field<'_>) -> Option<i32> {
        let written = field.node.text().unwrap_or_default();
        match field.node.value() {
            Some(Scalar::Integer(number)) => {
                let fits = i32::try_from(number).ok();
                if fits.is_none() {
                    let finding = self.error(field, format!("{written} is too large a number"));
                    self.report(finding);
                }
                fits
            }
            // JSON knows one kind of number: 80.0 arrives at the server as 80.
            Some(Scalar::Float(number)) if number.fract() == 0.0 && number.abs() < 2_147_483_648.0 => {
                Some(number as i32)
            }
            Some(Scalar::Float(_)) => {
                let finding = self.error(field, format!("{written} is not a whole number that fits"));
                self.report(finding);
                None
            }
            Some(Scalar::String(text)) => {
                let quoted = text.parse::<i32>().is_ok();
                let finding = self.of_wrong_type(field, "a number", quoted.then_some("write it without quotes"));
                self.report(finding.fix(self.write_number(field, text)));
                None
            }
            _ => {
                self.wrong_type(field, "a number", None);
                None
            }
        }
    }

    /// Reports that a field has the wrong type.
    pub(crate) fn wrong_type(&mut self, field: &Field<'_>, expected: &str, advice: Option<&str>) {
        let finding = self.of_wrong_type(field, expected, advice);
        self.report(finding);
    }

    fn of_wrong_type(&self, field: &Field<'_>, expected: &str, advice: Option<&str>) -> Diagnostic {
        let is = match field.node.view() {
            View::Mapping(_) => "a mapping",
            View::Sequence(_) => "a list",
            View::Scalar(_) => field.node.value().map_or("something else", Scalar::type_name),
        };
        let what = match field.name() {
            Some(name) => format!("`{name}`"),
            None => "this".to_owned(),
        };
        let message = format!("{what} must be {expected}, not {is}");
        let label = advice.map_or_else(|| format!("{expected} is needed here"), str::to_owned);
        self.error(field, message).label(label)
    }
}

//! YAML mistakes as findings: what a person who made one needs to hear.

use palisade_engine::model::{FileId, Position, Span};

use crate::{
    diagnostic::{Diagnostic, code},
    texts::Lines,
    yaml::{Mistake, YamlError},
};

/// What to do about `{{ }}`.
pub(crate) const TEMPLATE_HELP: &str =
    "this looks like a template: render it first, as in `helm template CHART | palisade check -f -`";

/// What the mistakes of one document come to.
pub(super) struct Findings {
    /// What to tell.
    pub(super) findings: Vec<Diagnostic>,
    /// Whether the document is not one object, so that to read it as one would only confuse.
    pub(super) hopeless: bool,
}

/// Several mistakes of one document. Where a `---` is missing nearly every key is there twice, and in
/// a template nearly every line is a mistake: each is told once.
pub(super) fn findings(file: FileId, text: &Lines<'_>, problems: &[YamlError]) -> Findings {
    if let Some(problem) = problems.iter().find(|problem| is_template(text, problem)) {
        return Findings { findings: vec![finding(file, text, problem)], hopeless: true };
    }
    let top = |error: &YamlError| matches!(error.mistake, Mistake::DuplicateKey { top: true, .. });
    let mut hopeless = false;
    let findings = problems
        .iter()
        .filter(|problem| !top(problem) || !std::mem::replace(&mut hopeless, true))
        .take(super::MAX_FINDINGS + 1)
        .map(|problem| finding(file, text, problem))
        .collect();
    Findings { findings, hopeless }
}

/// Whether a mistake is only what template braces look like to YAML.
pub(super) fn is_template(text: &Lines<'_>, error: &YamlError) -> bool {
    template_line(text, error).is_some()
}

/// The line and byte of template braces at a mistake, or on the line before it.
fn template_line(text: &Lines<'_>, error: &YamlError) -> Option<(u32, usize)> {
    if matches!(error.mistake, Mistake::DuplicateKey { .. } | Mistake::TooManyAliases) {
        return None;
    }
    let first = error.start.line.saturating_sub(1).max(1);
    let lines = (first..=error.start.line).rev();
    lines.filter_map(|number| Some((number, short(text, number)?.find("{{")?))).next()
}

/// One mistake.
pub(super) fn finding(file: FileId, text: &Lines<'_>, error: &YamlError) -> Diagnostic {
    let span = |(start, end)| Span { file, start, end };
    if let Some((line, byte)) = template_line(text, error) {
        let line_text = short(text, line).unwrap_or_default();
        let before = line_text.get(..byte).unwrap_or_default().chars().count();
        let rest = line_text.get(byte..).unwrap_or_default();
        let braces = rest.find("}}").and_then(|end| rest.get(..end + 2)).unwrap_or(rest).chars().count();
        let start = Position { line, column: number(before).saturating_add(1) };
        let end = Position { column: start.column.saturating_add(number(braces)), ..start };
        return Diagnostic::error(code::YAML, "a template is not YAML until it is rendered")
            .at(span((start, end)), "filled in by Helm or Go")
            .help(TEMPLATE_HELP);
    }
    let mut place = (error.start, error.end);
    let (mut label, mut help) = (String::new(), None);
    let mut used_code = code::YAML;
    match &error.mistake {
        Mistake::DuplicateKey { key, top } => {
            used_code = code::DUPLICATE_KEY;
            "and again here".clone_into(&mut label);
            if *top && matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "spec" | "status" | "data") {
                help = Some(format!("is a line `---` missing between two objects, above line {}?", error.start.line));
            }
        }
        Mistake::Tab => {
            place = tab(text, error.start);
            "indent with spaces".clone_into(&mut label);
        }
        Mistake::Syntax { advice, .. } => (*advice).clone_into(&mut label),
        Mistake::Unclosed(_) => "begins here".clone_into(&mut label),
        Mistake::TooManyAliases => "one alias too many".clone_into(&mut label),
        Mistake::UnknownAnchor => {
            place.1 = word_end(text, error.start);
            help = Some("a `*` begins an alias; a value that begins with it needs quotes".to_owned());
        }
        Mistake::ColonInFlow => "write it in quotes".clone_into(&mut label),
        Mistake::NullKey => "write a key".clone_into(&mut label),
        Mistake::TooDeep | Mistake::TooLarge => help = Some("no Kubernetes object is like this".to_owned()),
        Mistake::KeyNotScalar | Mistake::AliasOfItself | Mistake::BadMerge => {}
    }
    let mut finding = Diagnostic::error(used_code, error.mistake.to_string()).at(span(place), label);
    if let Some(earlier) = error.earlier {
        finding = finding.also(span(earlier), "first here");
    }
    finding.help.extend(help);
    finding
}

/// A line that people write. To look into a longer one (JSON on one line) for each of its mistakes
/// would take too long.
fn short<'t>(text: &Lines<'t>, number: u32) -> Option<&'t str> {
    text.line(number).filter(|line| line.len() < 10_000)
}

/// The tab that a line is indented with: the parser stops right before or after it.
fn tab(text: &Lines<'_>, at: Position) -> (Position, Position) {
    for line in at.line..=at.line.saturating_add(1) {
        let content = short(text, line).unwrap_or_default();
        let indent = content.chars().take_while(|c| matches!(c, ' ' | '\t'));
        if let Some(before) = indent.enumerate().find(|(_, c)| *c == '\t').map(|(place, _)| place) {
            let start = Position { line, column: number(before).saturating_add(1) };
            return (start, Position { column: start.column.saturating_add(1), ..start });
        }
    }
    (at, Position { column: at.column.saturating_add(1), ..at })
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn word_end(text: &Lines<'_>, at: Position) -> Position {
    let rest = short(text, at.line).unwrap_or_default();
    let length = rest
        .chars()
        .skip(at.column.saturating_sub(1) as usize)
        .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}'))
        .count();
    Position { column: at.column.saturating_add(number(length).max(1)), ..at }
}

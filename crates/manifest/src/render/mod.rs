//! Findings and policy lines with carets, in the look of rustc.
//!
//! The texts are asked for when an excerpt is made, so nothing needs to keep them. A text that has
//! changed since, or is gone, costs its excerpt and nothing else.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Snippet, renderer::DecorStyle};
use palisade_engine::model::{Sources, Span};

use crate::{
    diagnostic::{Diagnostic, Severity},
    texts::SourceText,
};

mod excerpt;
mod wrap;

use excerpt::Window;

/// Stands for the path in what the renderer draws, until place and object are put there.
pub(crate) const PATH: char = '\u{f8ff}';

/// Lines that are further apart are drawn apart.
const FAR: u32 = 1000;

/// How to draw.
#[derive(Clone, Copy, Debug)]
pub struct Renderer {
    width: usize,
    color: bool,
    unicode: bool,
}

/// A policy line to be shown with carets.
#[derive(Clone, Debug)]
pub struct Excerpt<'a> {
    /// What the carets are under. Of a value of several lines only the first is underlined.
    pub span: Span,
    /// The words beside the carets.
    pub label: &'a str,
    /// Lines above are shown from the beginning of this: the rule around the peer, say.
    pub from: Option<Span>,
    /// Lines below the drawing, each after ` = `.
    pub notes: &'a [String],
}

impl Renderer {
    /// For a terminal of `width` columns, with or without colours, and with box-drawing characters or
    /// plain ASCII.
    pub fn new(width: usize, color: bool, unicode: bool) -> Self {
        Self { width: width.max(40), color, unicode }
    }

    /// A finding: title, place, excerpt, help.
    pub fn diagnostic(&self, finding: &Diagnostic, sources: &Sources, texts: &dyn SourceText) -> String {
        let name = finding.severity.to_string();
        let title_indent = name.len() + finding.code.len() + 4;
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = wrap::text(&finding.message, self.width.saturating_sub(title_indent));
        let place = finding.primary.as_ref().map(|primary| self.place(finding, sources, primary.span));

        let mut drawn = String::new();
        for labels in [Labels::All, Labels::OfOthers, Labels::None] {
            let windows = self.windows(finding, sources, texts, labels);
            let mut group = level
                .clone()
                .primary_title(title.clone())
                .id(finding.code.clone())
                .elements(windows.iter().map(|window| Element::from(self.snippet(window))));
            if windows.is_empty() && place.is_some() {
                group = group.element(annotate_snippets::Origin::path(PATH.to_string()));
            }
            // Too wide with words beside the carets: they are said below.
            let own = finding.primary.iter().map(|primary| &primary.label);
            let own = own.filter(|label| labels != Labels::All && !label.is_empty());
            let others = elsewhere(finding, sources, labels);
            let wrapped = |line: &String| wrap::text(line, self.width.saturating_sub(13));
            let help = own.chain(&finding.help).map(|line| Level::HELP.message(wrapped(line)));
            let others = others.iter().map(|line| Level::NOTE.message(wrapped(line)));
            drawn = self.draw(group.elements(others).elements(help), place.as_deref());
            if drawn.lines().all(|line| wrap::columns(line) <= self.width) {
                break;
            }
        }
        drawn
    }

    /// A line of a policy with carets under it, and lines above it for context. `None` when the text
    /// cannot be had, or no longer has that line.
    pub fn excerpt(&self, excerpt: &Excerpt<'_>, texts: &dyn SourceText) -> Option<String> {
        let text = texts.text(excerpt.span.file)?;
        let draw = |label: &str, first: Option<&str>| {
            let mut window = Window::new(None, self.width);
            window.add(&text, excerpt.span, label, true)?;
            if let Some(from) = excerpt.from.filter(|from| from.file == excerpt.span.file) {
                window.add_context(&text, from, excerpt.span);
            }
            let group = Group::with_level(Level::NOTE).element(self.snippet(&window));
            let notes = first.into_iter().chain(excerpt.notes.iter().map(String::as_str));
            let notes = notes.map(|note| Level::NOTE.no_name().message(wrap::text(note, self.width.saturating_sub(8))));
            Some(self.draw(group.elements(notes), None))
        };
        let drawn = draw(excerpt.label, None)?;
        let fits = drawn.lines().all(|line| wrap::columns(line) <= self.width);
        if fits || excerpt.label.is_empty() { Some(drawn) } else { draw("", Some(excerpt.label)) }
    }

    /// The excerpts of a finding: one for each file that it speaks of.
    fn windows(&self, finding: &Diagnostic, sources: &Sources, texts: &dyn SourceText, labels: Labels) -> Vec<Window> {
        let Some(primary) = &finding.primary else { return Vec::new() };
        let mut windows: Vec<(Span, Window)> = Vec::new();
        let all = std::iter::once((primary, true)).chain(finding.secondary.iter().map(|also| (also, false)));
        for (annotation, is_primary) in all {
            let Some(text) = texts.text(annotation.span.file) else { continue };
            let shown = match labels {
                Labels::All => true,
                Labels::OfOthers => !is_primary,
                Labels::None => false,
            };
            let label = if shown { annotation.label.as_str() } else { "" };
            let near = |span: Span| {
                span.file == annotation.span.file && span.start.line.abs_diff(annotation.span.start.line) < FAR
            };
            match windows.iter_mut().find(|(span, _)| near(*span)) {
                Some((_, window)) => {
                    window.add(&text, annotation.span, label, is_primary);
                }
                None => {
                    let path =
                        if is_primary { PATH.to_string() } else { sources.name(annotation.span.file).to_owned() };
                    let mut window = Window::new(Some(path), self.width);
                    if window.add(&text, annotation.span, label, is_primary).is_some() {
                        windows.push((annotation.span, window));
                    } else if is_primary {
                        return Vec::new();
                    }
                }
            }
        }
        windows.into_iter().map(|(_, window)| window).collect()
    }

    fn snippet<'w>(&self, window: &'w Window) -> Snippet<'w, annotate_snippets::Annotation<'w>> {
        let mut snippet = Snippet::source(window.source()).line_start(window.first_line()).fold(true);
        if let Some(path) = window.path() {
            snippet = snippet.path(path);
        }
        snippet.annotations(window.marks().iter().map(|mark| {
            let kind = match mark.is_primary {
                Some(true) => AnnotationKind::Primary,
                Some(false) => AnnotationKind::Context,
                None => AnnotationKind::Visible,
            };
            let annotation = kind.span(mark.bytes.clone());
            if mark.label.is_empty() { annotation } else { annotation.label(mark.label.as_str()) }
        }))
    }

    /// `policies.yaml:17:17  NetworkPolicy prod/api-allow  spec.ingress[0]`, on more lines if need be.
    fn place(&self, finding: &Diagnostic, sources: &Sources, span: Span) -> String {
        let mut place = format!("{}:{}", sources.name(span.file), span.start);
        let mut used = 6 + wrap::columns(&place);
        for part in [&finding.object, &finding.field].into_iter().flatten() {
            let columns = wrap::columns(part);
            if used + 2 + columns > self.width {
                place.push_str("\n      ");
                used = 6 + columns;
            } else {
                place.push_str("  ");
                used += 2 + columns;
            }
            place.push_str(part);
        }
        place
    }

    fn draw(&self, group: Group<'_>, place: Option<&str>) -> String {
        let renderer =
            if self.color { annotate_snippets::Renderer::styled() } else { annotate_snippets::Renderer::plain() };
        let style = if self.unicode { DecorStyle::Unicode } else { DecorStyle::Ascii };
        let drawn = renderer.decor_style(style).term_width(self.width).render(&[group]);
        match place {
            Some(place) => put_place(&drawn, place),
            None => drawn,
        }
    }
}

/// Which places have their words beside the carets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Labels {
    All,
    OfOthers,
    None,
}

/// The words of other places that are not beside the carets there.
fn elsewhere(finding: &Diagnostic, sources: &Sources, labels: Labels) -> Vec<String> {
    let others = finding.secondary.iter().filter(|other| labels == Labels::None && !other.label.is_empty());
    others.map(|other| format!("{}:{}: {}", sources.name(other.span.file), other.span.start, other.label)).collect()
}

/// Replaces the path that stands for the place, and the line and column that follow it.
fn put_place(drawn: &str, place: &str) -> String {
    let Some((before, after)) = drawn.split_once(PATH) else { return drawn.to_owned() };
    let rest = after.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
    format!("{before}{place}{rest}")
}

#[cfg(test)]
mod tests;

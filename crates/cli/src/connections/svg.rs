//! The answer as a picture: sources on the left, destinations on the right, boxes for namespaces.
//!
//! A destination has a line for each kind of traffic that it takes, and arrows end at these lines: so
//! no label lies on an arrow, whatever the number.

use std::collections::BTreeMap;

use super::graph::{Edge, Graph, Node, broken};

const LINE: usize = 18;
const PADDING: usize = 8;
const GAP: usize = 10;
const WIDTH: usize = 250;
const MARGIN: usize = 20;
/// Between the two columns.
const MIDDLE: usize = 240;
/// Colours of arrows, by the namespace of the source.
const COLOURS: usize = 8;

/// One end of arrows, laid out.
struct Item<'a> {
    node: usize,
    name: Vec<String>,
    namespace: Option<&'a str>,
    /// What is taken here, each with its sources.
    slots: BTreeMap<&'a str, Vec<usize>>,
    top: usize,
}

impl Item<'_> {
    fn height(&self) -> usize {
        (self.name.len() + self.slots.len()) * LINE + PADDING
    }

    /// The middle of the line of that number.
    fn line(&self, number: usize) -> usize {
        self.top + PADDING / 2 + number * LINE + LINE / 2
    }
}

/// The picture; `folded` when what nobody is isolated from is not in the graph.
pub(crate) fn picture(graph: &Graph, folded: bool) -> String {
    let mut slots: BTreeMap<usize, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    for Edge { from, to, label } in graph.edges() {
        slots.entry(*to).or_default().entry(label).or_default().push(*from);
    }
    let mut sources: BTreeMap<usize, BTreeMap<&str, Vec<usize>>> = BTreeMap::new();
    graph.edges().iter().for_each(|edge| _ = sources.entry(edge.from).or_default());
    let (left, left_bottom) = column(graph, sources, |item| vec![item.node]);
    let place: BTreeMap<usize, usize> = left.iter().map(|item| (item.node, item.top)).collect();
    // A destination stands beside those who reach it, as far as namespaces stay together.
    let (right, right_bottom) = column(graph, slots, |item| {
        let of = item.slots.values().flatten().filter_map(|node| place.get(node).copied());
        let (count, sum) = of.fold((0, 0), |(count, sum), top| (count + 1, sum + top));
        vec![sum.checked_div(count).unwrap_or(0), item.node]
    });
    let bottom = left_bottom.max(right_bottom) + if folded { 2 * LINE } else { 0 };
    let (width, height) = (2 * (WIDTH + MARGIN) + MIDDLE, bottom + MARGIN);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\">\n<title>Allowed connections</title>\n<style>{STYLE}</style>\n<rect class=\"page\" width=\"100%\" \
         height=\"100%\" rx=\"8\"/>\n"
    );
    let mut colours: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    for item in &left {
        let next = colours.len() % COLOURS;
        colours.entry(item.namespace).or_insert(next);
    }
    boxes(&mut text, &left, MARGIN);
    boxes(&mut text, &right, MARGIN + WIDTH + MIDDLE);
    arrows(&mut text, graph, &left, &right, &colours);
    items(&mut text, &left, MARGIN);
    items(&mut text, &right, MARGIN + WIDTH + MIDDLE);
    if folded {
        let note = "What is open only because nobody is isolated at either end is not drawn.";
        text.push_str(&format!("<text class=\"group\" x=\"{MARGIN}\" y=\"{}\">{note}</text>\n", height - MARGIN));
    }
    text.push_str("</svg>\n");
    text
}

/// The items of one side from top to bottom, namespaces together, and where they end.
fn column<'a>(
    graph: &'a Graph,
    of: BTreeMap<usize, BTreeMap<&'a str, Vec<usize>>>,
    order: impl Fn(&Item<'a>) -> Vec<usize>,
) -> (Vec<Item<'a>>, usize) {
    let items = of.into_iter().filter_map(|(node, slots)| {
        let Node { namespace, name } = graph.nodes().get(node)?;
        let name = broken(name, "\n").lines().map(str::to_owned).collect();
        Some(Item { node, name, namespace: namespace.as_deref(), slots, top: 0 })
    });
    let mut items: Vec<Item<'a>> = items.collect();
    // A namespace stands where its first member would.
    let mut first: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for item in &items {
        let mine = order(item);
        let known = first.entry(item.namespace).or_insert_with(|| mine.clone());
        *known = mine.min(known.clone());
    }
    items.sort_by_cached_key(|item| (first.get(&item.namespace).cloned(), item.namespace, order(item)));
    let mut top = MARGIN;
    let mut last: Option<Option<&str>> = None;
    for item in &mut items {
        if last != Some(item.namespace) {
            if last.is_some() {
                top += 3 * GAP;
            }
            if item.namespace.is_some() {
                top += LINE;
            }
            last = Some(item.namespace);
        }
        item.top = top;
        top += item.height() + GAP;
    }
    (items, top)
}

fn boxes(text: &mut String, items: &[Item<'_>], x: usize) {
    for group in items.chunk_by(|a, b| a.namespace == b.namespace) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let Some(namespace) = first.namespace else { continue };
        let (top, height) = (first.top - LINE, last.top + last.height() - first.top + LINE + GAP + GAP / 2);
        text.push_str(&format!(
            "<rect class=\"namespace\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{height}\" rx=\"8\"/><text class=\"group\" \
             x=\"{x}\" y=\"{}\">{}</text>\n",
            x - GAP,
            top - GAP / 2,
            WIDTH + 2 * GAP,
            top + LINE / 2,
            escaped(namespace)
        ));
    }
}

fn arrows(
    text: &mut String,
    graph: &Graph,
    left: &[Item<'_>],
    right: &[Item<'_>],
    colours: &BTreeMap<Option<&str>, usize>,
) {
    let sources: BTreeMap<usize, &Item<'_>> = left.iter().map(|item| (item.node, item)).collect();
    let called = |node: usize| graph.nodes().get(node).map(full_name).unwrap_or_default();
    let (x, end) = (MARGIN + WIDTH, MARGIN + WIDTH + MIDDLE);
    for to in right {
        for (number, (label, from)) in to.slots.iter().enumerate() {
            let y = to.line(to.name.len() + number);
            for from in from.iter().filter_map(|node| sources.get(node)) {
                let start = from.top + from.height() / 2;
                let colour = colours.get(&from.namespace).copied().unwrap_or(0);
                let (a, b) = (x + MIDDLE / 2, end - MIDDLE / 2);
                let title = format!("{} to {}: {label}", called(from.node), called(to.node));
                text.push_str(&format!(
                    "<path class=\"c{colour}\" d=\"M{x} {start}C{a} {start} {b} {y} {} {y}\"><title>{}</title></path>\n\
                     <path class=\"head c{colour}\" d=\"M{end} {y}l-9 -4v8z\"/>\n",
                    end - 8,
                    escaped(&title)
                ));
            }
        }
    }
}

fn items(text: &mut String, items: &[Item<'_>], x: usize) {
    for item in items {
        text.push_str(&format!(
            "<rect class=\"item\" x=\"{x}\" y=\"{}\" width=\"{WIDTH}\" height=\"{}\" rx=\"5\"/>\n",
            item.top,
            item.height()
        ));
        let names = item.name.iter().map(|line| ("name", line.as_str()));
        let slots = item.slots.keys().map(|label| ("slot", *label));
        for (number, (class, line)) in names.chain(slots).enumerate() {
            text.push_str(&format!(
                "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>\n",
                x + GAP,
                item.line(number) + 5,
                escaped(&crate::screen::clipped(line, 36))
            ));
        }
    }
}

fn full_name(node: &Node) -> String {
    node.namespace.as_ref().map_or(node.name.clone(), |namespace| format!("{namespace}/{}", node.name))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2937}.name{font-weight:600}\
.slot,.group{font-size:12px;fill:#5b6472}.page{fill:#fff}.namespace{fill:#f4f6fa;stroke:#d7dce5}\
.item{fill:#fff;stroke:#aab4c5}path{fill:none;stroke-width:1.6;opacity:.85}path:hover{stroke-width:3.5;opacity:1}\
.c0{stroke:#2f6fd0}.c1{stroke:#c2571a}.c2{stroke:#1d8a55}.c3{stroke:#9333b8}.c4{stroke:#b3274c}.c5{stroke:#0e7f8c}\
.c6{stroke:#8a6a10}.c7{stroke:#566270}.head{stroke:none}.head.c0{fill:#2f6fd0}.head.c1{fill:#c2571a}\
.head.c2{fill:#1d8a55}.head.c3{fill:#9333b8}.head.c4{fill:#b3274c}.head.c5{fill:#0e7f8c}.head.c6{fill:#8a6a10}\
.head.c7{fill:#566270}@media(prefers-color-scheme:dark){text{fill:#dfe5f0}.slot,.group{fill:#9aa6ba}.page{fill:#14171f}\
.namespace{fill:#1b202b;stroke:#303949}.item{fill:#222938;stroke:#4a566b}path{filter:brightness(1.5)}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrow_ends_at_a_line_of_its_own() {
        let edges = [
            ("a/web", "b/db", "TCP 5432"),
            ("a/job", "b/db", "TCP 5432"),
            ("a/job", "b/db", "TCP 9090"),
            ("<x>", "b/api", "TCP 80"),
        ];
        let text = picture(&Graph::of(&edges), true);
        assert_eq!(text, picture(&Graph::of(&edges), true));
        assert_eq!(text.matches("class=\"head").count(), edges.len());
        assert_eq!(text.matches(">TCP 5432</text>").count(), 1, "one line for both sources");
        assert_eq!(text.matches("class=\"namespace\"").count(), 2, "one of sources, one of destinations");
        assert!(text.contains("<title>a/job to b/db: TCP 9090</title>"), "{text}");
        assert!(!text.contains("<x>") && text.contains(">&lt;x&gt;</text>"), "{text}");
        assert!(text.contains("is not drawn") && !picture(&Graph::of(&edges), false).contains("is not drawn"));
        for tag in ["text", "title", "style", "path"] {
            let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
            let single = text.lines().filter(|line| line.starts_with(&open) && line.ends_with("/>")).count();
            assert_eq!(text.matches(&open).count() - single, text.matches(&close).count(), "{tag}");
        }
    }

    #[test]
    fn names_are_no_markup() {
        assert_eq!(escaped("</text><script>\"&"), "&lt;/text&gt;&lt;script&gt;&quot;&amp;");
    }
}

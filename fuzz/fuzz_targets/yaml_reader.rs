//! Any text: parts are handed out until the text ends, and every node has a place in the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_manifest::yaml::{Head, Node, Part, Plan, Stream, View};

fuzz_target!(|text: &str| {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split(['\n', '\r']).count() as u32;
    for plan in [Plan::WHOLE, Plan { split: |head: Head<'_>| head.kind.is_none_or(|kind| kind.ends_with("List")), skip: |_| false }]
    {
        let mut stream = Stream::new(text, plan);
        let mut again = false;
        let mut parts = 0;
        while let Some(part) = stream.next_part() {
            parts += 1;
            assert!(parts <= 3 * text.len() + 3, "more parts than text");
            for problem in stream.take_problems() {
                assert!(problem.start <= problem.end, "{problem}");
                assert!(problem.start.line <= lines, "{problem}");
            }
            match part {
                Part::Item { node, .. } => walk(stream.tree().node(node), lines, &mut 0),
                Part::Document { root, split } => {
                    walk(stream.tree().node(root), lines, &mut 0);
                    // Once for each text: whoever asks again for ever gets no further.
                    if split && !again {
                        again = true;
                        stream.again(false);
                    }
                }
                Part::Broken(error) => assert!(error.start.line <= lines, "{error}"),
            }
        }
    }
});

fn walk(node: Node<'_>, lines: u32, seen: &mut usize) {
    *seen += 1;
    // Aliases may make a tree larger than its text, within the budget.
    if *seen > 100_000 {
        return;
    }
    assert!(node.start() <= node.end(), "{} {}", node.start(), node.end());
    assert!(node.start().line >= 1 && node.start().column >= 1 && node.start().line <= lines);
    match node.view() {
        View::Scalar(_) => {
            let _ = node.value();
        }
        View::Sequence(items) => items.iter().for_each(|item| walk(item, lines, seen)),
        View::Mapping(entries) => {
            for (key, value) in entries.iter() {
                walk(key, lines, seen);
                walk(value, lines, seen);
            }
        }
    }
}

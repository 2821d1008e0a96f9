//! Documents, lists, aliases, duplicates, limits and places.

use super::*;

fn is_list(head: Head<'_>) -> bool {
    head.kind.is_none_or(|kind| kind.ends_with("List"))
}

const LISTS: Plan = Plan { split: is_list, skip: |_| false };

/// A node in the form of JSON, to be compared.
fn shown(node: Node<'_>) -> String {
    match node.view() {
        View::Scalar(scalar) => match node.value() {
            Some(Value::String(text)) => format!("{text:?}"),
            Some(Value::Null) => "null".to_owned(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Float(number)) => format!("{number:?}"),
            _ => format!("?{}", scalar.text),
        },
        View::Sequence(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
        View::Mapping(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}:{}", shown(key), shown(value))).collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

/// Every part of a text, and every problem, one a line.
fn parts(text: &str, plan: Plan) -> Vec<String> {
    let mut stream = Stream::new(text, plan);
    let mut told = Vec::new();
    while let Some(part) = stream.next_part() {
        for problem in stream.take_problems() {
            told.push(format!("problem {problem}"));
        }
        told.push(match part {
            Part::Item { index, node } => format!("item {index} {}", shown(stream.tree().node(node))),
            Part::Document { root, split } => {
                format!("{} {}", if split { "list" } else { "document" }, shown(stream.tree().node(root)))
            }
            Part::Broken(error) => format!("broken {error}"),
        });
    }
    told
}

fn whole(text: &str) -> Vec<String> {
    parts(text, Plan::WHOLE)
}

#[test]
fn documents_one_after_the_other() {
    assert_eq!(whole("a: 1\n---\n- b\n...\n---\n"), [r#"document {"a":1}"#, r#"document ["b"]"#, "document null"]);
    assert_eq!(whole(""), [] as [&str; 0]);
    assert_eq!(whole("# only this\n"), [] as [&str; 0]);
    assert_eq!(whole("---\n# only this\n"), ["document null"]);
}

#[test]
fn json_with_tabs_and_without_separators() {
    assert_eq!(whole("{\n\t\"a\": 1,\n\t\"b\": [\n\t\t\"x\"]\n}\n"), [r#"document {"a":1,"b":["x"]}"#]);
    assert_eq!(
        whole("{\"a\":1}\n{\"b\":2}{\"c\":3}\n"),
        [r#"document {"a":1}"#, r#"document {"b":2}"#, r#"document {"c":3}"#]
    );
    let told = whole("{\"a\":1}{\"b\":[}{\"c\":3}\n---\nd: 4\n");
    assert_eq!(told.last().unwrap(), r#"document {"d":4}"#, "{told:?}");
    assert_eq!(
        whole("{a: 1} {b: 2}\n---\nc: 3\n"),
        [r#"document {"a":1}"#, r#"document {"b":2}"#, r#"document {"c":3}"#]
    );
    assert_eq!(whole("{\"a\":\"\\ud83d\\ude00\\/\\n\"}"), [r#"document {"a":"😀/\n"}"#]);
}

#[test]
fn lists_come_item_by_item() {
    let expected = [r#"item 0 {"a":1}"#, "item 1 null", "item 2 [2]"];
    let told = parts("kind: List\nitems:\n- a: 1\n-\n- [2]\nmetadata: {}\n", LISTS);
    assert_eq!(told[..3], expected);
    assert_eq!(told[3], r#"list {"kind":"List","items":null,"metadata":{}}"#);
    // kubectl's order, and JSON.
    assert_eq!(parts("apiVersion: v1\nitems:\n- a: 1\n-\n- [2]\nkind: List\n", LISTS)[..3], expected);
    assert_eq!(parts(r#"{"items":[{"a":1},null,[2]],"kind":"List"}"#, LISTS)[..3], expected);
    // Only the document's own `items`, and only a sequence.
    assert_eq!(parts("a: {items: [1]}\n", LISTS), [r#"document {"a":{"items":[1]}}"#]);
    assert_eq!(parts("items: {a: 1}\n", LISTS), [r#"document {"items":{"a":1}}"#]);
    assert_eq!(parts("kind: Thing\nitems: [1]\n", LISTS), [r#"document {"kind":"Thing","items":[1]}"#]);
}

#[test]
fn a_document_can_be_read_again() {
    let text = "x: 0\n---\nitems: [1, 2]\nkind: Thing\n---\ny: 0\n";
    let mut stream = Stream::new(text, LISTS);
    let mut told = Vec::new();
    while let Some(part) = stream.next_part() {
        if let Part::Document { root, split } = part {
            told.push(shown(stream.tree().node(root)));
            if split {
                stream.again(false);
            }
        }
    }
    assert_eq!(
        told,
        [r#"{"x":0}"#, r#"{"items":null,"kind":"Thing"}"#, r#"{"items":[1,2],"kind":"Thing"}"#, r#"{"y":0}"#]
    );
}

#[test]
fn places_are_right_when_a_document_is_read_again() {
    let mut stream = Stream::new("a: 1\n---\nitems: [1]\nk: v\n", LISTS);
    let mut last = None;
    while let Some(part) = stream.next_part() {
        if let Part::Document { root, split } = part {
            let place = stream.tree().node(root).get("k").map(|node| (node.start(), node.end()));
            last = place;
            if split {
                stream.again(false);
            }
        }
    }
    let (start, end) = last.unwrap();
    assert_eq!((start.to_string(), end.to_string()), ("4:4".to_owned(), "4:5".to_owned()));
}

#[test]
fn anchors_and_merge_keys() {
    assert_eq!(whole("a: &x {k: 1}\nb: *x\n"), [r#"document {"a":{"k":1},"b":{"k":1}}"#]);
    assert_eq!(whole("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n"), [r#"document {"a":{"k":1,"l":2},"b":{"k":3,"l":2}}"#]);
    let two = "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc:\n  <<: [*x, *y]\n  m: 3\n";
    assert_eq!(whole(two), [r#"document {"a":{"k":1},"b":{"k":2,"l":2},"c":{"m":3,"k":1,"l":2}}"#]);
    assert_eq!(whole("\"<<\": 1\n"), [r#"document {"<<":1}"#]);
    assert_eq!(whole("a: {<<: 1}\n")[0], "problem 1:9: only a mapping, or a list of mappings, can be merged with `<<`");
    // Within a list, an anchor of one item serves the next.
    assert_eq!(parts("items:\n- &x {a: 1}\n- *x\n", LISTS)[1], r#"item 1 {"a":1}"#);
    // A later anchor of the same name counts from there on.
    assert_eq!(whole("- &x 1\n- &x 2\n- *x\n"), ["document [1,2,2]"]);
}

#[test]
fn aliases_that_lead_nowhere() {
    assert_eq!(
        whole("a: *x\n---\nb: 1\n"),
        ["broken 1:4: no anchor of this name is written before it", r#"document {"b":1}"#]
    );
    assert_eq!(
        whole("a: &x [*x]\n---\nb: 1\n"),
        ["broken 1:8: an alias inside of its own anchor would never end", r#"document {"b":1}"#]
    );
}

#[test]
fn alias_bombs_are_refused_and_honest_reuse_is_not() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (now, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        bomb += &format!("{now}: &{now} [{}]\n", vec![format!("*{before}"); 9].join(","));
    }
    assert!(whole(&bomb)[0].contains("many times larger"));
    // One after the other in many small documents is no way around the budget.
    let small = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n---\n";
    assert!(whole(&small.repeat(2000)).iter().any(|part| part.contains("many times larger")));
    let honest: String = (0..500).map(|i| format!("k{i}: *x\n")).collect();
    assert!(whole(&format!("base: &x {{a: 1, b: 2, c: [1, 2, 3]}}\n{honest}"))[0].starts_with("document"));
}

#[test]
fn keys_written_twice() {
    assert_eq!(whole("a: 1\nb: 2\na: 3\n")[0], "problem 3:1: the key `a` is written twice");
    assert_eq!(whole("x: {a: 1, \"a\": 2}\n")[0], "problem 1:11: the key `a` is written twice");
    let many: String = (0..100).map(|i| format!("k{i}: v\n")).collect();
    assert_eq!(whole(&format!("{many}k7: again\n"))[0], "problem 101:1: the key `k7` is written twice");
    assert_eq!(whole("~: a\n")[0], "problem 1:1: a key must not be null");
    assert_eq!(whole("? [a]\n: b\n")[0], "problem 1:3: a key must be a plain word, not a list or a mapping");
}

#[test]
fn mistakes_end_a_document_and_not_the_text() {
    let told = whole("a: [1\n---\nb: 2\n--- \nc: 'x\n---\nd: 4\n");
    assert!(told[0].starts_with("broken"), "{told:?}");
    assert!(told.contains(&r#"document {"d":4}"#.to_owned()), "{told:?}");
}

#[test]
fn depth_is_limited() {
    let indented: String = (0..300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(whole(&indented)[0].starts_with("broken"));
    for open in ["[", "{a: ", "- ", "? "] {
        let told = whole(&open.repeat(100_000));
        assert!(told[0].starts_with("broken"), "{open}");
    }
    let deep = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    assert!(whole(&deep)[0].starts_with("document"));
}

#[test]
fn quoting_and_tags() {
    assert_eq!(
        whole("[no, 'no', !!str no, ! 1, !!int '1', !x 1, 0x10, 1_0, ~, '', !!int x]"),
        [r#"document [false,"no","no","1",1,"1",16,10,null,"",?x]"#]
    );
    assert_eq!(whole("a:\nb: ~\n"), [r#"document {"a":null,"b":null}"#]);
    assert_eq!(whole("{cidr: ::/0}")[0], "problem 1:8: inside braces and brackets a value cannot start with a colon");
    assert_eq!(whole("cidr: ::/0\n"), [r#"document {"cidr":"::/0"}"#]);
}

#[test]
fn places_cover_what_was_written() {
    let text = "é: 'ü'\nlist:\n- a: b\n  c:\n    d: |\n      x\n- [1, 2 ]\nend: \"x\"\n";
    let mut stream = Stream::new(text, Plan::WHOLE);
    let Some(Part::Document { root, .. }) = stream.next_part() else { panic!("a document") };
    let root = stream.tree().node(root);
    let place = |node: Node<'_>| format!("{}-{}", node.start(), node.end());
    assert_eq!(place(root), "1:1-8:9");
    assert_eq!(place(root.get("é").unwrap()), "1:4-1:7");
    assert_eq!(place(root.get("end").unwrap()), "8:6-8:9");
    let list = root.get("list").unwrap();
    // A list begins with its first item, behind the dash.
    assert_eq!(place(list), "3:3-7:10");
    let View::Sequence(items) = list.view() else { panic!("a list") };
    let items: Vec<_> = items.iter().map(place).collect();
    assert_eq!(items, ["3:3-7:1", "7:3-7:10"]);
}

//! What the edits of fixes make of texts.

use crate::{ReadOptions, Safety, read_text};

use super::*;

const HEAD: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec:\n";

/// Makes the fixes of what is found, the safe ones and no others, and reads again, until none is left.
fn fixed(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..10 {
        let reading = read_text("p.yaml", &text, &ReadOptions::default());
        let found: Vec<&Fix> = reading.diagnostics.iter().filter_map(|finding| finding.fix.as_ref()).collect();
        let safe: Vec<&Fix> = found.into_iter().filter(|fix| fix.is_wanted(false)).collect();
        let edits: Vec<Vec<Edit>> = resolve(&text, &safe).into_iter().filter_map(Result::ok).collect();
        match apply(&text, &edits) {
            Some(applied) => text = applied.text,
            None => return text,
        }
    }
    panic!("does not come to an end:\n{text}");
}

/// One change of the object that is the whole text.
fn changed(text: &str, change: impl Fn(Span) -> Change) -> Result<String, Refusal> {
    let reading = read_text("p.yaml", text, &ReadOptions::default());
    let object = reading.inventory.policies[0].at.unwrap();
    let fix = Fix::new(Safety::Safe, "", change(object));
    let edits = resolve(text, &[&fix]).remove(0)?;
    Ok(apply(text, &[edits]).expect("edits that keep the text a text").text)
}

fn removed(text: &str, field: &str) -> Result<String, Refusal> {
    changed(text, |object| Change::Remove { object, field: field.to_owned() })
}

fn added(text: &str, field: &str, value: &Value) -> Result<String, Refusal> {
    changed(text, |object| Change::Add {
        object,
        field: field.to_owned(),
        value: value.clone(),
        after: Some("podSelector"),
    })
}

#[track_caller]
fn spec(before: &str, after: &str) {
    assert_eq!(fixed(&format!("{HEAD}{before}")), format!("{HEAD}{after}"));
}

#[test]
fn scalars_keep_their_quotes_and_comments() {
    spec(
        "  ingress: # who comes in\n  - ports:\n    - protocol: 'tcp' # web\n      port: \"80\"   # quoted\n      endport: 90\n",
        "  ingress: # who comes in\n  - ports:\n    - protocol: 'TCP' # web\n      port: 80   # quoted\n      endPort: 90\n",
    );
    spec("  policyTypes: [\"ingress\", egress]\r\n", "  policyTypes: [\"Ingress\", Egress]\r\n");
    spec(
        "  podSelector: {matchLabel: {a: no, on: \"1\", b: 1.10}}\n",
        "  podSelector: {matchLabels: {a: \"no\", \"on\": \"1\", b: \"1.10\"}}\n",
    );
    spec("  podSelector: {matchLabels: {a: y, b: n}}\n", "  podSelector: {matchLabels: {a: \"y\", b: \"n\"}}\n");
}

#[test]
fn networks_are_written_as_they_are_read() {
    for (before, after) in [
        ("10.1.2.3/24", "10.1.2.0/24"),
        ("\"010.1.2.0/24\"", "\"10.1.2.0/24\""),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("' 10.0.0.0/8'", "'10.0.0.0/8'"),
        ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        ("0::1/8", "\"::/8\""),
    ] {
        let block = |cidr: &str| format!("  ingress: [{{from: [{{ipBlock: {{cidr: {cidr}, except: []}}}}]}}]\n");
        spec(&block(before), &block(after));
    }
    // What was meant is a guess.
    let guess = "  ingress: [{from: [{ipBlock: {cidr: 10.0.0.1}}]}]\n";
    spec(guess, guess);
}

#[test]
fn what_may_mean_two_things_stays() {
    for same in [
        "  ingress: [{ports: [{port: 80, endport: 90, endPort: 91}]}]\n",
        "  ingress: [{ports: [{port: 80, endport: 90, endports: 91}]}]\n",
        "  ingress: [{ports: [{protocol: TPC}]}]\n",
        "  ingress: [{ports: [{protocol: &a tcp}, {protocol: *a}]}]\n",
        "  ingress: [{ports: [{protocol: !!str tcp}]}]\n",
        "  ingress:\n  - ports:\n    - protocol: |-\n        tcp\n",
    ] {
        spec(same, same);
    }
}

#[test]
fn old_versions_and_kinds() {
    let old = |version: &str, kind: &str| {
        format!("apiVersion: {version} # old\nkind: {kind}\nmetadata: {{name: a}}\nspec: {{podSelector: {{}}}}\n")
    };
    let new = old("networking.k8s.io/v1", "NetworkPolicy");
    assert_eq!(fixed(&old("extensions/v1beta1", "NetworkPolicy")), new);
    assert_eq!(fixed(&old("networking.k8s.io/v1", "networkPolicy")), new);
    let other = "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}\n";
    assert_eq!(fixed(other), other);
}

#[test]
fn json_and_lists_stay_what_they_are() {
    let policy = r#"{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"a"},"spec":{"podSelector":{"matchLabels":{"a":true}},"policyTypes":["egress"],"ingress":[{"ports":[{"port":"80"}]}]}}"#;
    let after = policy.replace("true", "\"true\"").replace("egress", "Egress").replace("\"80\"", "80");
    assert_eq!(fixed(policy), after);
    serde_json::from_str::<serde_json::Value>(&after).unwrap();
    let list = format!(
        "apiVersion: v1\nitems:\n- {}\n- apiVersion: v1\n  kind: Namespace\n  metadata: {{name: a, labels: {{x: on}}}}\nkind: List\n",
        after.replace("Egress", "egress")
    );
    let expected = list.replace("egress", "Egress").replace(": on}", ": \"on\"}");
    assert_eq!(fixed(&list), expected);
}

#[test]
fn a_place_behind_letters_of_several_bytes() {
    spec(
        "  # größer 日本\n  podSelector: {matchLabels: {\"é日\": ä, b: yes}}\n",
        "  # größer 日本\n  podSelector: {matchLabels: {\"é日\": ä, b: \"yes\"}}\n",
    );
    let marked = format!("\u{feff}{HEAD}  policyTypes: [ingress]\n");
    let reading = read_text("p.yaml", &marked, &ReadOptions::default());
    let fix = reading.diagnostics[0].fix.as_ref().unwrap();
    assert!(resolve(&marked, &[fix]).remove(0).is_ok());
}

#[test]
fn items_leave_lists() {
    let with =
        |list: &str| format!("{HEAD}  podSelector: {{}}\n  ingress:\n  - ports:\n{list}  policyTypes: [Ingress]\n");
    let first = "spec.ingress[0].ports[0]";
    assert_eq!(removed(&with("    - port: 1\n    - port: 2\n"), first).unwrap(), with("    - port: 2\n"));
    assert_eq!(
        removed(&with("    # one\n    - port: 1 # web\n      protocol: TCP\n    # two\n    - port: 2\n"), first)
            .unwrap(),
        with("    # one\n    # web\n    # two\n    - port: 2\n")
    );
    let below = with("    - # one\n      port: 1\n    -\n\n      port: 2\n");
    assert_eq!(removed(&below, first).unwrap(), with("    # one\n    -\n\n      port: 2\n"));
    assert_eq!(removed(&below, "spec.ingress[0].ports[1]").unwrap(), with("    - # one\n      port: 1\n"));
    let flow = |list: &str| format!("{HEAD}  ingress: [{{ports: {list}}}]\n");
    assert_eq!(removed(&flow("[{port: 1}, {port: 2}]"), first).unwrap(), flow("[{port: 2}]"));
    assert_eq!(removed(&flow("[{port: 1}, {port: 2}]"), "spec.ingress[0].ports[1]").unwrap(), flow("[{port: 1}]"));
    assert_eq!(removed(&flow("[ {port: 1} ]"), first).unwrap(), flow("[  ]"));
    assert!(matches!(removed(&flow("[{port: 1}, # a\n {port: 2}]"), first), Err(Refusal::Layout(_))));
    assert_eq!(removed(&flow("[{port: 1}]"), "spec.ingress[0].ports[1]"), Err(Refusal::NotFound));
    assert!(matches!(removed(&with("    - port: 1\n"), first), Err(Refusal::Layout(_))));
    // The last line of a text that ends without a line end.
    let last = format!("{HEAD}  ingress:\n  - ports:\n    - port: 1\n    - port: 2");
    assert_eq!(removed(&last, "spec.ingress[0].ports[1]").unwrap(), last.trim_end_matches("\n    - port: 2"));
}

#[test]
fn a_list_without_items_goes_with_its_key() {
    let text = |except: &str| {
        format!("{HEAD}  ingress:\n  - from:\n    - ipBlock:\n        cidr: 10.0.0.0/8\n{except}        # end\n")
    };
    let before = text("        except: # not these\n        - 10.1.0.0/16\n");
    let after = text("        # not these\n");
    assert_eq!(removed(&before, "spec.ingress[0].from[0].ipBlock.except[0]").unwrap(), after);
}

#[test]
fn new_fields_and_items() {
    let types = Value::List(vec![Value::text("Ingress"), Value::text("Egress")]);
    let text = |rest: &str| format!("{HEAD}  podSelector: {{}} # all\n{rest}  # out\n  egress: []\n");
    assert_eq!(added(&text(""), "spec.policyTypes", &types).unwrap(), text("  policyTypes: [Ingress, Egress]\n"));
    let rule = Value::map([
        ("to", Value::List(vec![Value::map([("podSelector", Value::Map(Vec::new()))])])),
        ("ports", Value::List(vec![Value::map([("port", Value::Number(53)), ("protocol", Value::text("UDP"))])])),
    ]);
    let flow = "[{to: [{podSelector: {}}], ports: [{port: 53, protocol: UDP}]}]";
    assert_eq!(added(&text(""), "spec.egress[]", &rule).unwrap(), text("").replace("[]", flow));
    let block = "- to:\n  DD- podSelector: {}\n  ports:\n  DD- port: 53\n  DD  protocol: UDP\n";
    for offset in ["", "  "] {
        let block: String = block.replace("DD", offset).lines().map(|line| format!("  {offset}{line}\n")).collect();
        let list =
            |rest: &str| format!("{HEAD}  policyTypes:\n  {offset}- Egress\n  egress:\n  {offset}- {{}}\n{rest}");
        assert_eq!(added(&list(""), "spec.egress[]", &rule).unwrap(), list(&block));
        let none = |rest: &str| format!("{HEAD}  policyTypes:\n  {offset}- Egress\n{rest}");
        assert_eq!(added(&none(""), "spec.egress[]", &rule).unwrap(), none(&format!("  egress:\n{block}")));
    }
    let json = |rest: &str| {
        format!(
            "{{\n  \"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \"NetworkPolicy\",\n  \"metadata\": {{\"name\": \"a\"}},\n  \"spec\": {{\n    \"podSelector\": {{}}{rest}\n  }}\n}}\n"
        )
    };
    let types_in_json = json(",\n    \"policyTypes\": [\"Ingress\", \"Egress\"]");
    assert_eq!(added(&json(""), "spec.policyTypes", &types).unwrap(), types_in_json);
    assert!(matches!(added(&types_in_json, "spec.policyTypes", &types), Err(Refusal::Layout(_))));
}

#[test]
fn of_edits_that_meet_the_first_is_made() {
    let at = |from: u32, to: u32| Span {
        file: palisade_engine::model::Sources::default().add("x"),
        start: Position { line: 1, column: from },
        end: Position { line: 1, column: to },
    };
    let edit = |from, to, text: &str| vec![Edit { at: at(from, to), text: text.to_owned() }];
    let made = |edits: &[Vec<Edit>]| apply("a: [b, c, d]", edits).map(|applied| (applied.text, applied.made));
    assert_eq!(made(&[edit(5, 6, "x"), edit(5, 6, "y")]), Some(("a: [x, c, d]".to_owned(), vec![0])));
    assert_eq!(made(&[edit(6, 9, ""), edit(9, 12, "")]), Some(("a: [b]".to_owned(), vec![0, 1])));
    assert_eq!(made(&[edit(5, 6, "x"), edit(6, 6, "y")]), Some(("a: [x, c, d]".to_owned(), vec![0])));
    let two = [edit(5, 6, "x"), edit(8, 9, "y")].concat();
    assert_eq!(made(&[edit(8, 9, "z"), two]), Some(("a: [b, z, d]".to_owned(), vec![0])), "all of it or nothing");
    assert_eq!(made(&[edit(12, 13, "")]), None, "the bracket is never closed");
    assert_eq!(made(&[edit(90, 91, "")]), None);
}

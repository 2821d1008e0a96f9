//! The page of `connections -o html`: what is in it, and what it does in a browser.
//!
//! The browser is headless Chromium. A test adds its script to a copy of the page; the page has none of it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    path::Path,
    process::Command,
    str::FromStr as _,
    time::{Duration, Instant},
};

use ipnet::IpNet;
use palisade_engine::sets::PrefixSet;
use serde_json::Value;
use support::{Folder, palisade, said};

const SHOP: &str = "examples/e-commerce";

/// Nobody should wait longer for a page of 10,000 pods. A loaded machine may take longer, so a test
/// fails at ten times as much only, and prints what it measured.
const GOAL: Duration = Duration::from_secs(3);

fn connections(input: &Path, form: &str) -> String {
    let output = palisade().args(["connections", "-o", form, "-f"]).arg(input).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once("type=\"application/json\">").unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

/// The browser, if this machine has one.
fn browser() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.into_iter().find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        println!("skipped: chromium is not installed (apt-get install chromium)");
    }
    found
}

/// Opens a page, runs a script at its end, and returns what that hands to `report`.
fn run(browser: &str, page: &str, script: &str) -> Value {
    let report = "function report(value) { const result = document.createElement('script'); \
                  result.type = 'application/json'; result.id = 'result'; \
                  result.textContent = JSON.stringify(value).replaceAll('<', '\\\\u003c'); document.body.append(result); }";
    let guarded =
        format!("<script>{report}\ntry {{ {script} }} catch (error) {{ report({{error: error.stack}}) }}</script>");
    let page = page.replace("</body>", &format!("{guarded}</body>"));
    let folder = Folder::with(&[("page.html", &page)]);
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    let output = command.arg(format!("file://{}", folder.path().join("page.html").display())).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    let Some((_, result)) = shown.rsplit_once("id=\"result\">") else { panic!("no result\n{}", said(&output)) };
    let result: Value = serde_json::from_str(result.split_once("</script>").unwrap().0).unwrap();
    assert!(result.get("error").is_none(), "{result:#}");
    result
}

#[test]
fn the_page_is_whole() {
    let page = connections(Path::new(SHOP), "html");
    for outside in ["http://", "https://", "src=", "@import", "url(", "{{"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let data = data(&page);
    assert_eq!(data["groups"].as_array().unwrap().len(), 6, "four namespaces, the nodes, the outside");
    assert_eq!(data["policies"].as_array().unwrap().len(), 6);
    assert!(data.get("possible").is_none(), "all addresses are known");
    let narrowed = palisade().args(["connections", "-o", "html", "--port", "80", "-f", SHOP]).output().unwrap();
    assert_eq!(narrowed.status.code(), Some(2), "{}", said(&narrowed));
}

/// File names are not checked by anybody, and are in the page.
const HOSTILE: &str = "<script>hurt=1<!--<img src=x onerror=hurt=1>.yaml";

fn hostile() -> (Folder, String) {
    let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p, namespace: n}\n\
                  spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]}\n---\n\
                  apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: n}\n---\n\
                  apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: n}\n";
    let folder = Folder::with(&[(HOSTILE, policy)]);
    let page = connections(folder.path(), "html");
    (folder, page)
}

#[test]
fn names_are_no_markup() {
    let (_folder, page) = hostile();
    assert!(data(&page).to_string().contains("<script>hurt"), "the name is there");
    assert_eq!(page.matches("<script").count(), 2, "the data and the code");
    assert!(!page.contains("<img"));
    let Some(browser) = browser() else { return };
    let result = run(
        browser,
        &page,
        "const unit = (name) => model.units.find((unit) => unit.name === name);
         explainPair(unit('a'), unit('b')); select('list'); select('workloads'); search('<img'); select('matrix');
         report({hurt: typeof hurt, text: by('panel').textContent, images: document.images.length})",
    );
    assert_eq!(result["hurt"], "undefined");
    assert_eq!(result["images"], 0);
    assert!(result["text"].as_str().unwrap().contains(HOSTILE), "{result:#}");
}

#[test]
fn search_explanation_and_folding() {
    let Some(browser) = browser() else { return };
    let page = connections(Path::new(SHOP), "html");
    let script = r#"
        const names = () => [...document.querySelectorAll('.row .name')].map((name) => name.textContent);
        const press = (target, key) => target.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
        const ask = (text) => { by('query').value = text; by('search').requestSubmit(); return names(); };
        const cell = (from, to) => [...document.querySelectorAll('.cell')]
            .find((cell) => (cell.getAttribute('aria-label') || '').startsWith(`${from} to ${to}:`));
        const result = {};
        by('fold').click(); result.folded = names();
        document.querySelector('.row .name').click(); result.unfolded = names();
        document.querySelector('.row .name').click(); result.again = names();
        result.group = cell('namespace ecommerce', 'namespace kube-system').className;
        cell('namespace ecommerce', 'namespace kube-system').click(); result.groupPanel = by('panel').innerText;
        by('unfold').click();
        cell('ecommerce/web', 'ecommerce/postgres').click(); result.denied = by('panel').innerText;
        result.address = location.hash;
        cell('ecommerce/api', 'ecommerce/postgres').click(); result.allowed = by('panel').innerText;
        press(document.activeElement, 'ArrowDown'); press(document.activeElement, 'ArrowLeft');
        press(document.activeElement, 'Enter'); result.keys = by('panel').innerText;
        result.name = ask('ecommerce/postgres'); result.port = ask('6379 ecommerce'); result.arrow = ask('web -> api');
        select('list'); ask('ecommerce 6379'); result.list = [...by('list').querySelectorAll('tbody tr')].map((row) => row.innerText);
        select('workloads'); ask(''); result.isolation = by('workloads').innerText;
        select('matrix'); result.all = names(); ask('nosuchname'); result.nothing = by('hits').textContent;
        report(result);"#;
    let result = run(browser, &page, script);
    let text = |key: &str| result[key].as_str().unwrap();
    let list = |key: &str| -> Vec<&str> { result[key].as_array().unwrap().iter().filter_map(Value::as_str).collect() };
    assert_eq!(list("folded"), ["ecommerce", "ingress-nginx", "kube-system", "monitoring", "nodes", "outside"]);
    assert_eq!(list("unfolded")[..4], ["ecommerce", "api", "elasticsearch", "postgres"]);
    assert_eq!(list("again"), list("folded"));
    assert!(text("group").contains("some"), "{result:#}");
    assert!(text("groupPanel").starts_with("×SOME UDP 53") || text("groupPanel").contains("SOME UDP 53"), "{result:#}");
    assert!(text("groupPanel").contains("ecommerce/api → kube-system/kube-dns"), "{result:#}");
    for words in [
        "DENIED everything",
        "egress of ecommerce/web: isolated, no rule allows it",
        "ecommerce/default-deny-all policies.yaml:2",
        "policies.yaml:138 postgres-policy ingress[0]",
        "from pods app=api of namespace ecommerce, TCP 5432",
        "None of them means ecommerce/web, which has app=web.",
    ] {
        assert!(text("denied").contains(words), "{words}\n{result:#}");
    }
    assert!(text("address").contains("ecommerce%2Fpostgres"), "{result:#}");
    for words in ["ALLOWED TCP 5432", "policies.yaml:80 api-policy egress[0]", "allows TCP 5432"] {
        assert!(text("allowed").contains(words), "{words}\n{result:#}");
    }
    assert!(text("keys").contains("ecommerce/elasticsearch → ecommerce/elasticsearch"), "{result:#}");
    assert_eq!(list("name"), ["ecommerce", "api", "postgres"]);
    assert_eq!(list("port"), ["ecommerce", "api"]);
    assert_eq!(list("arrow"), ["ecommerce", "web"]);
    assert_eq!(list("list"), ["ecommerce/api\tecommerce/redis\tTCP 6379"]);
    assert!(text("isolation").contains("isolated, allowed none by default-deny-all"), "{result:#}");
    assert!(list("all").len() > 15);
    assert_eq!(text("nothing"), "nothing found");
}

/// Every cell of a page as `from, to, traffic`, and every cell that its own rules contradict.
const EVERY_CELL: &str = "
    const [cells, wrong] = [[], []];
    const name = (unit) => unit.group.kind === 0 ? `${unit.group.name}/${unit.kind}/${unit.name.split('/').pop()}` : model.fullName(unit);
    for (const a of model.units) for (const b of model.units) {
        const {state, cells: found} = model.pair(a, b);
        if (found.length) cells.push([name(a), name(b), model.unionText(found), state]);
        for (const x of a.ends) for (const y of b.ends) {
            if (!model.judged(x, y)) continue;
            const cell = model.sources(y)[x];
            const [looked, derived] = [cell ? model.texts[cell - 1] : 'nothing', model.explain(x, y).text];
            if (looked !== derived && wrong.length < 5) wrong.push([name(a), name(b), looked, derived]);
        }
    }
    report({cells, wrong, outside: model.units.filter((unit) => unit.group.kind === 2).map((unit) => unit.name)});";

#[test]
fn every_cell_is_what_the_command_says() {
    let Some(browser) = browser() else { return };
    let examples = support::folders(&support::root().join("examples"));
    assert!(examples.len() > 5, "{examples:?}");
    for folder in examples {
        let result = run(browser, &connections(&folder, "html"), EVERY_CELL);
        assert_eq!(result["wrong"].as_array().unwrap().len(), 0, "the rules say otherwise: {:#}", result["wrong"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let outside: Vec<String> = result["outside"].as_array().unwrap().iter().map(text).collect();
        // The command names parts of the outside together, the page each by itself.
        let each = |end: &str| -> Vec<String> {
            let whole = [IpNet::from_str("0.0.0.0/0").unwrap(), IpNet::from_str("::/0").unwrap()];
            let set = if end == "outside" { whole.iter().copied().collect() } else { block(end) };
            match outside.iter().filter(|part| set.contains(a_member(part))).cloned().collect::<Vec<_>>() {
                parts if parts.is_empty() => vec![end.to_owned()],
                parts => parts,
            }
        };
        let mut expected: BTreeSet<[String; 3]> = BTreeSet::new();
        for line in connections(&folder, "csv").lines().skip(1) {
            let [from, to, traffic] = fields(line);
            for from in each(&from) {
                expected.extend(each(&to).into_iter().map(|to| [from.clone(), to, traffic.clone()]));
            }
        }
        let cells = result["cells"].as_array().unwrap();
        let found: BTreeSet<[String; 3]> = cells.iter().map(|cell| [0, 1, 2].map(|index| text(&cell[index]))).collect();
        let (more, less): (Vec<_>, Vec<_>) =
            (found.difference(&expected).collect(), expected.difference(&found).collect());
        assert!(more.is_empty() && less.is_empty(), "{}: {more:#?} instead of {less:#?}", folder.display());
        assert!(!found.is_empty());
    }
}

/// The addresses of `10.0.0.0/8 (without 10.1.0.0/16, 10.2.0.0/16), 192.168.0.0/16`; none for what is no such text.
fn block(text: &str) -> PrefixSet {
    let nets =
        |list: &str| list.split([',', ';']).map(|net| net.trim().parse::<IpNet>()).collect::<Result<Vec<_>, _>>();
    let mut set = PrefixSet::empty();
    for part in text.split_inclusive(')') {
        let (inside, without) = part.trim_start_matches([',', ';', ' ']).split_once(" (without ").unwrap_or((part, ""));
        let without = without.trim_end_matches(')');
        let inside = inside.trim_matches([',', ';', ' ']);
        let (Ok(mut inside), Ok(without)) =
            (nets(inside), if without.is_empty() { Ok(Vec::new()) } else { nets(without) })
        else {
            return PrefixSet::empty();
        };
        // What is left out is left out of the last.
        let last = inside.pop().unwrap();
        set = set.union(&inside.into_iter().collect()).union(&PrefixSet::block(last, &without));
    }
    set
}

fn a_member(part: &str) -> IpAddr {
    let set = block(part);
    set.prefixes().next().unwrap_or_else(|| panic!("{part}")).addr()
}

/// The three fields of a line of CSV.
fn fields(line: &str) -> [String; 3] {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields.try_into().unwrap()
}

/// 200 namespaces of five workloads of ten pods each: default denies, each layer to the next, monitoring, DNS.
fn large() -> Folder {
    let mut text = String::new();
    for namespace in 0..200 {
        let meta = |name: &str| format!("metadata: {{name: {name}, namespace: n{namespace}}}\n");
        text.push_str(&format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: n{namespace}, labels: {{team: t{}}}}}\n---\n",
            namespace % 20
        ));
        for app in 0..5 {
            for pod in 0..10 {
                let address = format!("10.{namespace}.{app}.{pod}");
                text.push_str(&format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: app{app}-{pod}, namespace: n{namespace}, labels: {{app: app{app}}}, \
                     ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: app{app}, controller: true, uid: u}}]}}\n\
                     status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}\n---\n"
                ));
            }
            let policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n";
            let next = (app + 1) % 5;
            text.push_str(&format!(
                "{policy}{}spec:\n  podSelector: {{matchLabels: {{app: app{app}}}}}\n  policyTypes: [Ingress, Egress]\n  ingress:\n  \
                 - from: [{{podSelector: {{matchLabels: {{app: app{next}}}}}}}]\n    ports: [{{port: 80{app}}}]\n  - from: \
                 [{{namespaceSelector: {{matchLabels: {{team: t{}}}}}}}]\n    ports: [{{port: 9090}}]\n  egress:\n  - to: \
                 [{{podSelector: {{}}}}]\n  - to: [{{ipBlock: {{cidr: 10.{}.0.0/16, except: [10.{}.1.0/24]}}}}]\n---\n",
                meta(&format!("app{app}")),
                (namespace + app) % 20,
                (namespace + 1) % 200,
                (namespace + 1) % 200
            ));
        }
    }
    Folder::with(&[("cluster.yaml", &text)])
}

#[test]
fn ten_thousand_pods_load_and_fold() {
    let Some(browser) = browser() else { return };
    let page = connections(large().path(), "html");
    let script = "
        const loaded = performance.now();
        const time = (act) => { const start = performance.now(); act(); by('grid').getBoundingClientRect(); return performance.now() - start; };
        const result = {loaded, cells: document.querySelectorAll('.cell').length};
        result.unfold = time(() => document.querySelector('.row .name').click());
        result.fold = time(() => document.querySelector('.row .name').click());
        result.unfoldAll = time(() => by('unfold').click());
        result.cellsUnfolded = document.querySelectorAll('.cell').length;
        result.scroll = time(() => { by('grid').scrollTop = 9000; by('grid').scrollLeft = 9000; matrix.draw(); });
        result.search = time(() => search('n17/app3 9090'));
        result.explain = time(() => document.querySelector('.row .cell').click());
        result.foldAll = time(() => { search(''); by('fold').click(); });
        result.rows = document.querySelectorAll('.row .name').length;
        report(result);";
    let start = Instant::now();
    let result = run(browser, &page, script);
    let wall = start.elapsed();
    println!("{} KiB, browser included {:.1} s, in ms: {result}", page.len() / 1024, wall.as_secs_f64());
    let took = ["loaded", "unfold", "fold"].map(|key| result[key].as_f64().unwrap()).iter().sum::<f64>();
    println!("loaded and folded in {:.2} s (the goal is {} s)", took / 1000.0, GOAL.as_secs());
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    assert!(took < GOAL.as_secs_f64() * 10.0 * 1000.0, "{result:#}");
    for key in ["cells", "cellsUnfolded"] {
        assert!((100..5000).contains(&result[key].as_u64().unwrap()), "only what is in sight: {result:#}");
    }
    assert!(result["rows"].as_u64().unwrap() > 10, "{result:#}");
}

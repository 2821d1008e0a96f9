//! Tiny manifests, and what is found in them.

use palisade_engine::PolicyProgram;
use palisade_lint::{Finding, Subject, find};
use palisade_manifest::{
    ReadOptions, Safety, ServerVersion,
    fix::{apply, resolve},
    read_text,
};

/// What the rule `code` finds in these documents.
pub(crate) fn findings(code: &str, documents: &[String]) -> Vec<Finding> {
    findings_on(ServerVersion::default(), code, documents)
}

/// The same by the rules of a version of the API server.
pub(crate) fn findings_on(server: ServerVersion, code: &str, documents: &[String]) -> Vec<Finding> {
    let text = documents.join("---\n");
    let reading = read_text("test.yaml", &text, &ReadOptions { server, ..ReadOptions::default() });
    assert!(!reading.has_errors(), "{:?}\n{text}", reading.diagnostics);
    let cluster = reading.inventory.into_cluster().unwrap();
    let program = PolicyProgram::compile(&cluster);
    find(code).unwrap().check(&Subject::new(&cluster, &program).with(&reading.wishes, &reading.networks))
}

/// The documents after the one finding of the rule is mended; `None` when it has no fix.
pub(crate) fn mended(code: &str, documents: &[String]) -> Option<(Safety, String)> {
    let found = findings(code, documents);
    assert_eq!(found.len(), 1, "{found:#?}");
    let fix = found[0].fix.as_ref()?;
    let text = documents.join("---\n");
    let edits = resolve(&text, &[fix]).remove(0).unwrap_or_else(|why| panic!("{why}\n{text}"));
    let after = apply(&text, &[edits]).unwrap_or_else(|| panic!("edits that break the text:\n{text}")).text;
    assert!(findings(code, std::slice::from_ref(&after)).is_empty(), "still there:\n{after}");
    Some((fix.safety, after))
}

/// The rule finds one thing: at this field, in this line. Returns what it says, help included.
#[track_caller]
pub(crate) fn finds(code: &str, documents: &[String], field: &str, line: u32) -> String {
    let found = findings(code, documents);
    let places: Vec<_> = found.iter().map(|f| (f.field.as_deref().unwrap(), f.at.unwrap().start.line)).collect();
    assert_eq!(places, [(field, line)], "{found:#?}");
    assert!(!found[0].message.contains("! ") && !found[0].message.ends_with('.'), "{}", found[0].message);
    format!("{}\n{}", found[0].message, found[0].help.join("\n"))
}

/// The rule finds nothing.
#[track_caller]
pub(crate) fn quiet(code: &str, documents: &[String]) {
    let found = findings(code, documents);
    assert!(found.is_empty(), "{found:#?}");
}

/// A policy of namespace prod; `spec` begins in line 5, or after those of the documents before it.
pub(crate) fn policy(name: &str, spec: &str) -> String {
    let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n";
    format!("{head}metadata: {{name: {name}, namespace: prod}}\nspec:\n{spec}\n")
}

/// A pod without ports and addresses; `id` is `namespace/name`, `labels` such as `app: web`.
pub(crate) fn pod(id: &str, labels: &str) -> String {
    pod_with(id, labels, "", "")
}

/// A pod with more in its spec (`hostNetwork: true`) and status (`podIPs: […]`).
pub(crate) fn pod_with(id: &str, labels: &str, spec: &str, status: &str) -> String {
    let (namespace, name) = id.split_once('/').unwrap();
    let spec = if spec.is_empty() { "containers: [{name: c, image: i}]".to_owned() } else { spec.to_owned() };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}\n\
         spec: {{{spec}}}\nstatus: {{{status}}}\n"
    )
}

/// A pod that declares ports: `{name: http, containerPort: 8080}`.
pub(crate) fn listening(id: &str, labels: &str, ports: &str) -> String {
    pod_with(id, labels, &format!("containers: [{{name: c, image: i, ports: [{ports}]}}]"), "")
}

/// A pod at these addresses: `10.0.0.1`, or two with a comma between.
pub(crate) fn at(id: &str, labels: &str, addresses: &str) -> String {
    let ips: Vec<String> = addresses.split(',').map(|ip| format!("{{ip: \"{}\"}}", ip.trim())).collect();
    pod_with(id, labels, "", &format!("podIPs: [{}]", ips.join(", ")))
}

/// A Namespace.
pub(crate) fn namespace(name: &str, labels: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n")
}

/// A Service for `app: web` of namespace prod.
pub(crate) fn service(name: &str, address: &str, ports: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: prod}}\n\
         spec: {{clusterIP: {address}, selector: {{app: web}}, ports: [{ports}]}}\n"
    )
}

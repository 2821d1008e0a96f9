//! What the questions about a whole cluster say where cluster-wide policies are: `examples/cluster-wide`.
#![allow(clippy::unwrap_used, reason = "helpers of tests may fail as tests do")]

mod support;

use serde_json::{Value, json};
use support::{Folder, can_namespace, palisade, root, said};

fn ask(arguments: &[&str], example: &str) -> String {
    let folder = format!("examples/cluster-wide/{example}");
    let output = palisade().args(arguments).args(["-f", &folder]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?} {example}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Each row as `from | to | ports`.
fn exposed(folder: &str) -> Vec<String> {
    let output = palisade().args(["connections", "--exposed", "-o", "json", "-f", folder]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{folder}: {}", said(&output));
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |row: &Value| {
        let to: Vec<&str> = row["to"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{} | {} | {}", row["from"].as_str().unwrap(), to.join(", "), row["text"].as_str().unwrap())
    };
    rows.as_array().unwrap().iter().map(text).collect()
}

#[test]
fn what_a_tier_denies_is_not_exposed() {
    let example = |name: &str| exposed(&format!("examples/cluster-wide/{name}"));
    insta::assert_debug_snapshot!(["strict-deny", "default-deny", "monitoring"].map(example));
}

#[test]
fn the_tiers_are_asked_in_order() {
    let base = "apiVersion: v1\nkind: Namespace\nmetadata: {name: prod, labels: {team: red}}\n---\n\
                apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: prod, labels: {app: web}}\n\
                spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIP: 10.0.0.1}\n";
    let wide = |tier: &str, rules: &str| {
        format!(
            "---\napiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\n\
             metadata: {{name: {}}}\nspec: {{tier: {tier}, priority: 5, subject: {{namespaces: {{}}}}, ingress: {rules}}}\n",
            tier.to_lowercase()
        )
    };
    let own = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: own, namespace: prod}\n\
               spec: {podSelector: {}, ingress: [{from: [{podSelector: {matchLabels: {app: a}}}]}]}\n";
    let deny = "{action: Deny, from: [{namespaces: {}}]}";
    let port = |action: &str, port: u16| {
        format!(
            "{{action: {action}, from: [{{namespaces: {{}}}}], protocols: [{{tcp: {{destinationPort: {{number: {port}}}}}}}]}}"
        )
    };
    let of = |more: &[&str]| {
        let text = format!("{base}{}", more.concat());
        exposed(&Folder::with(&[("all.yaml", &text)]).path().display().to_string())
    };
    let (all, nobody) = ("anyone | prod/web | everything", "anyone who is no pod | prod/web | everything");
    assert_eq!(of(&[]), [all]);
    assert_eq!(of(&[&wide("Admin", &format!("[{deny}]"))]), [nobody]);
    // Behind a policy that isolates, the Baseline tier is not asked; before it, a Pass leaves the rest to it.
    assert_eq!(
        of(&[own, &wide("Baseline", &format!("[{deny}]"))]),
        ["pods app=a of namespace prod | prod/web | everything"]
    );
    let passing = wide("Admin", &format!("[{}, {deny}]", port("Pass", 80)));
    assert_eq!(of(&[own, &passing]), ["pods app=a of namespace prod | prod/web | TCP 80"]);
    // What any pod may do is not told of some of them again.
    let accepting = wide("Admin", &format!("[{}]", port("Accept", 80)));
    let said = of(&[own, &accepting]);
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said.contains(&"any pod of any namespace | prod/web | TCP 80".to_owned()), "{said:#?}");
    // A rule of the namespace's own that the Admin tier knows by the namespace's labels.
    let red =
        wide("Admin", &format!("[{{action: Pass, from: [{{namespaces: {{matchLabels: {{team: red}}}}}}]}}, {deny}]"));
    assert_eq!(of(&[own, &red]), ["pods app=a of namespace prod | prod/web | everything"]);
    // Who is denied is taken out of those who are let in.
    let evil = "{action: Deny, from: [{namespaces: {matchLabels: {team: evil}}}]}";
    let some = wide("Admin", &format!("[{evil}]"));
    assert_eq!(of(&[&some]), ["anyone but any pod of namespaces team=evil | prod/web | everything"]);
    assert_eq!(of(&[own, &some]), ["pods app=a of namespace prod | prod/web | everything"], "prod is not evil");
    let accepting = wide("Admin", &format!("[{evil}, {}]", port("Accept", 80)));
    assert_eq!(
        of(&[own, &accepting]),
        [
            "any pod of any namespace but any pod of namespaces team=evil | prod/web | TCP 80",
            "pods app=a of namespace prod | prod/web | TCP 0-79, 81-65535, UDP, SCTP, traffic without ports (ICMP)"
        ]
    );
    // Those whom a rule passes on, and only those, are let in by a rule of the next tier.
    let others = "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: own, namespace: prod}\n\
                  spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: \
                  {app: a}}}, {ipBlock: {cidr: 192.0.2.0/24}}]}]}\n";
    let blue =
        wide("Admin", &format!("[{{action: Pass, from: [{{namespaces: {{matchLabels: {{team: blue}}}}}}]}}, {deny}]"));
    assert_eq!(
        of(&[others, &blue]),
        [
            "192.0.2.0/24 but any pod of any namespace | prod/web | everything",
            "any pod of namespaces team=blue at 192.0.2.0/24 | prod/web | everything",
            "pods app=a of namespaces team=blue | prod/web | everything"
        ]
    );
    // A Deny of nobody in particular who could come takes nothing away, and one of all leaves nothing.
    let halves = wide(
        "Admin",
        "[{action: Deny, from: [{namespaces: {matchExpressions: [{key: team, operator: Exists}]}}]}, \
         {action: Deny, from: [{namespaces: {matchExpressions: [{key: team, operator: DoesNotExist}]}}]}]",
    );
    assert_eq!(of(&[own, &halves]), [] as [&str; 0]);
}

#[test]
fn what_closes_counts_as_coverage() {
    let report: Value = serde_json::from_str(&ask(&["coverage", "-o", "json"], "default-deny")).unwrap();
    assert_eq!(report["percent"], json!(50.0));
    let find = |workload: &str, direction: &str| {
        let namespaces = report["namespaces"].as_array().unwrap().iter();
        let mut all = namespaces.flat_map(|one| one["workloads"].as_array().unwrap());
        all.find(|one| one["name"] == workload).unwrap()[direction].clone()
    };
    assert_eq!(find("app", "ingress"), json!({"state": "isolated", "isolated": 1, "policies": ["default"]}));
    // The policy of its namespace isolates it: what is behind that has nothing to say.
    assert_eq!(find("api", "ingress"), json!({"state": "isolated", "isolated": 1, "policies": ["api"]}));
    assert_eq!(find("app", "egress")["state"], "open");
    // A Deny of some alone leaves the others open.
    let said = ask(&["coverage"], "tenants");
    assert!(said.contains("0.0 %"), "{said}");
}

#[test]
fn egress_is_covered_where_addresses_are() {
    let text = |to: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: prod}}\n\
             spec: {{containers: [{{name: c, image: i}}]}}\nstatus: {{phase: Running, podIP: 10.0.0.1}}\n---\n\
             apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {{name: out}}\n\
             spec: {{tier: Baseline, priority: 5, subject: {{namespaces: {{}}}}, egress: [{{action: Deny, to: [{to}]}}]}}\n"
        )
    };
    for (to, percent) in [("{namespaces: {}}", "0.0 %"), ("{networks: [0.0.0.0/0]}", "50.0 %")] {
        let folder = Folder::with(&[("all.yaml", &text(to))]);
        let output = palisade().arg("coverage").arg("-f").arg(folder.path()).output().unwrap();
        assert!(said(&output).contains(percent), "{to}: {}", said(&output));
    }
}

#[test]
fn one_is_described_by_its_name() {
    let all = ask(&["describe"], "strict-deny");
    let one = ask(&["describe", "seal-sensitive"], "strict-deny");
    assert!(all.ends_with(&one), "{all}\n{one}");
    insta::assert_snapshot!(one);
    for name in ["cnp/seal-sensitive", "clusternetworkpolicies/seal-sensitive"] {
        assert_eq!(ask(&["describe", name], "strict-deny"), one, "{name}");
    }
    let object: Value =
        serde_json::from_str(&ask(&["describe", "cnp/seal-sensitive", "-o", "json"], "strict-deny")).unwrap();
    assert_eq!(object["kind"], "ClusterNetworkPolicy");
    for (name, hint) in [
        ("seal-sensitve", "did you mean ClusterNetworkPolicy seal-sensitive?"),
        ("anp/seal-sensitive", "there is no AdminNetworkPolicy `seal-sensitive`; there is: the input has none"),
        ("cnp/seal", "there is no ClusterNetworkPolicy `seal`; there is: seal-sensitive"),
    ] {
        let output = palisade().args(["describe", name, "-f", "examples/cluster-wide/strict-deny"]).output().unwrap();
        let flat = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(output.status.code() == Some(2) && flat.contains(hint), "{name}: {flat}");
    }
}

#[test]
fn namesakes_are_told_apart() {
    let cluster = std::fs::read_to_string(root().join("examples/cluster-wide/strict-deny/cluster.yaml")).unwrap();
    let head = |version: &str, kind: &str| {
        format!("---\napiVersion: policy.networking.k8s.io/{version}\nkind: {kind}\nmetadata: {{name: default}}\n")
    };
    let policies = [
        head("v1alpha2", "ClusterNetworkPolicy"),
        "spec: {tier: Admin, priority: 5, subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}]}]}\n".to_owned(),
        head("v1alpha1", "AdminNetworkPolicy"),
        "spec: {priority: 9, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n".to_owned(),
        head("v1alpha1", "BaselineAdminNetworkPolicy"),
        "spec: {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n".to_owned(),
    ];
    let folder = Folder::with(&[("cluster.yaml", &cluster), ("policies.yaml", &policies.concat())]);
    let output = palisade().args(["explain", "shop/web", "vault/keys:8080", "-f"]).arg(folder.path()).output().unwrap();
    let flat = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["Admin cnp/default ingress[0] passes", "Baseline banp/default ingress[0] denies"] {
        assert!(flat.contains(words), "{words}: {flat}");
    }
    // It is also how one is asked for.
    let output = palisade().args(["describe", "banp/default", "-f"]).arg(folder.path()).output().unwrap();
    assert!(said(&output).contains("BaselineAdminNetworkPolicy") && !said(&output).contains("Admin, priority"));
}

#[test]
fn the_lab_says_how_to_tell_a_name() {
    if let Err(why) = can_namespace() {
        eprintln!("skipped: no lab here: {why}");
        return;
    }
    let folder = "examples/cluster-wide/names";
    let flows = format!("{folder}/flows.tsv");
    let run = |resolve: &[&str]| {
        let output = palisade().args(["lab", "run", "-f", folder, "--flows", &flows]).args(resolve).output().unwrap();
        (output.status.code(), said(&output).split_whitespace().collect::<Vec<_>>().join(" "))
    };
    let (code, text) = run(&[]);
    assert!(
        code == Some(1) && text.contains("resolves to nothing that --resolve NAME=ADDRESS does not tell"),
        "{text}"
    );
    let told =
        ["api.payments.example=203.0.113.9", "api.payments.example=2001:db8::9", "*.parcels.example=198.51.100.7"];
    let (code, text) = run(&told.map(|one| ["--resolve", one]).concat());
    assert!(code == Some(0) && !text.contains("resolves to nothing"), "{text}");
    // The command that explains knows of them, too.
    assert!(text.contains("'*.parcels.example=198.51.100.7'"), "{text}");
}

#[test]
fn every_form_in_words() {
    let text = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\n\
                spec:\n  tier: Admin\n  priority: 5\n  subject: {pods: {podSelector: {matchLabels: {app: web}}}}\n  egress:\n  \
                - action: Accept\n    to: [{nodes: {}}, {nodes: {matchLabels: {pool: a}}}, {networks: [10.0.0.0/8]}, {domainNames: [\"*.example.org\"]}]\n    \
                protocols: [{tcp: {destinationPort: {range: {start: 80, end: 90}}}}, {destinationNamedPort: http}, {udp: {destinationPort: {number: 53}}}]\n  \
                - {action: Pass, to: [{pods: {namespaceSelector: {matchLabels: {team: red}}, podSelector: {}}}]}\n---\n\
                apiVersion: policy.networking.k8s.io/v1alpha1\nkind: BaselineAdminNetworkPolicy\nmetadata: {name: default}\n\
                spec:\n  subject: {namespaces: {}}\n  ingress: [{action: Deny, from: [{namespaces: {}}]}]\n";
    let folder = Folder::with(&[("all.yaml", text)]);
    let output = palisade().arg("describe").arg("-f").arg(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    insta::assert_snapshot!(
        String::from_utf8(output.stdout).unwrap().replace(&folder.path().display().to_string(), "")
    );
}

//! A lab that stays up, used as a person uses it: every recipe by hand, names, Services, node ports, pings,
//! and nothing left of it afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use support::{Folder, can_namespace, folders, palisade, root, said};

/// The pods of most texts: a web server, and somebody who tries to reach it.
const WEB: &str = "
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: test, labels: {app: foo}}
spec: {containers: [{name: c, image: alpine}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80}]}
";

/// A lab that is down when this is.
struct Lab {
    name: String,
}

impl Lab {
    /// Brings one up; none where this machine can have none, or lacks one of `tools`.
    fn up(name: &str, input: &Path, more: &[&str], tools: &[&str]) -> Option<Self> {
        if let Err(why) = can_namespace() {
            eprintln!("skipped: no lab here: {why}");
            return None;
        }
        for tool in tools {
            if !std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(tool).is_file()) {
                eprintln!("skipped: {tool} is not installed");
                return None;
            }
        }
        let lab = Self { name: format!("{name}-{}", std::process::id()) };
        let output = palisade()
            .args(["lab", "up", "--detach", "--name", &lab.name, "-f"])
            .arg(input)
            .args(more)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", said(&output));
        Some(lab)
    }

    fn command(&self, who: &str, command: &[&str]) -> Command {
        let mut exec = palisade();
        exec.args(["lab", "exec", "--name", &self.name, who, "--"]).args(command);
        exec
    }

    fn exec(&self, who: &str, command: &[&str]) -> Output {
        self.command(who, command).output().unwrap()
    }

    /// What a command prints that must succeed.
    fn prints(&self, who: &str, command: &[&str]) -> String {
        let output = self.exec(who, command);
        assert!(output.status.success(), "{who} {command:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// How a command fails that must fail.
    fn fails(&self, who: &str, command: &[&str]) -> String {
        let output = self.exec(who, command);
        assert!(!output.status.success(), "{who} {command:?}: {}", said(&output));
        flat(&said(&output))
    }

    fn change(&self, verb: &str, text: &str) -> String {
        self.change_with(verb, text, &[])
    }

    fn change_with(&self, verb: &str, text: &str, more: &[&str]) -> String {
        let mut child = palisade()
            .args(["lab", verb, "--name", &self.name, "-f", "-"])
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        said(&child.wait_with_output().unwrap())
    }
}

/// In one line, however wide the terminal.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Drop for Lab {
    fn drop(&mut self) {
        _ = palisade().args(["lab", "down", "--name", &self.name]).output();
    }
}

fn input(text: &str) -> Folder {
    Folder::with(&[("cluster.yaml", text)])
}

/// The commands of the first recipes, as their texts type them (GNU wget tries again and again without -t1).
#[test]
fn the_recipes_as_they_are_typed() {
    let folder = input(WEB);
    let Some(lab) = Lab::up("typed", folder.path(), &[], &["wget", "ping"]) else { return };
    let wget = |host: &'static str| ["wget", "-qO-", "-t1", "--timeout=2", host];
    assert!(lab.prints("test", &wget("http://web")).starts_with("default/web answers "));
    assert!(lab.prints("test", &wget("http://google.com")).starts_with("203.0.113.9 answers "));

    // 5.1: deny all traffic to an application.
    let deny = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web-deny-all},
                spec: {podSelector: {matchLabels: {app: web}}, ingress: []}}";
    let told = lab.change("apply", deny);
    assert!(told.contains("NetworkPolicy default/web-deny-all created\nthe rules of 1 node changed"), "{told}");
    lab.fails("test", &wget("http://web"));
    let told = lab.change("delete", deny);
    assert!(told.contains("NetworkPolicy default/web-deny-all deleted"), "{told}");
    lab.prints("test", &wget("http://web"));

    // 5.8: a node port, from outside.
    let node = lab.prints("node/lab-node", &["ip", "-4", "-o", "address", "show", "up0"]);
    let address = node.split_whitespace().nth(3).unwrap().trim_end_matches("/32").to_owned();
    let url = format!("http://{address}:30000");
    assert!(lab.prints("203.0.113.9", &["wget", "-qO-", "-t1", "--timeout=2", &url]).starts_with("default/web"));

    // 5.11: nothing out of an application: its names go first; then DNS alone.
    let egress = |rules: &str| {
        format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: foo-deny-egress}},
              spec: {{podSelector: {{matchLabels: {{app: foo}}}}, policyTypes: [Egress], egress: {rules}}}}}"
        )
    };
    lab.prints("test", &["ping", "-c1", "-W5", "google.com"]);
    lab.change("apply", &egress("[]"));
    lab.fails("test", &["getent", "hosts", "web"]);
    lab.fails("test", &["ping", "-c1", "-W1", "203.0.113.9"]);
    let told = lab.change("apply", &egress("[{ports: [{port: 53, protocol: TCP}, {port: 53, protocol: UDP}]}]"));
    assert!(told.contains("NetworkPolicy default/foo-deny-egress configured"), "{told}");
    lab.prints("test", &["getent", "hosts", "web"]);
    lab.prints("test", &["getent", "hosts", "google.com"]);
    lab.fails("test", &wget("http://web"));
    lab.fails("test", &["ping", "-c1", "-W1", "google.com"]);
}

/// Every recipe: without its policies everything is reached, with them what its table says.
#[test]
fn every_recipe_by_hand() {
    for (number, folder) in folders(&root().join("examples/recipes")).iter().enumerate() {
        let cluster = folder.join("cluster.yaml");
        let Some(lab) = Lab::up(&format!("recipe-{number}"), &cluster, &[], &["nc", "ping"]) else { return };
        let addresses = addresses(&cluster);
        let table = fs::read_to_string(folder.join("flows.tsv")).unwrap();
        let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split('\t').collect()).collect();
        // The lab has other hosts outside than those at these two addresses only where policies name some.
        let known = |end: &str| end.contains('/') || end == "203.0.113.9" || end == "2001:db8::9";
        let rows: Vec<&Vec<&str>> =
            rows.iter().filter(|row| known(row[0]) && known(row[1]) && row[2] != "SCTP").collect();
        assert!(rows.len() >= 3, "{folder:?}");
        let tried = |wanted: &dyn Fn(&[&str]) -> bool| {
            let children: Vec<Child> = rows.iter().map(|row| try_row(&lab, &addresses, row, wanted(row))).collect();
            for (row, child) in rows.iter().zip(children) {
                let output = child.wait_with_output().unwrap();
                let reached = output.status.success() && (row[2] != "UDP" || !output.stdout.is_empty());
                assert_eq!(reached, wanted(row), "{folder:?}: {row:?}: {}", said(&output));
            }
        };
        tried(&|_| true);
        let policies = fs::read_to_string(folder.join("policies.yaml")).unwrap();
        let told = lab.change("apply", &policies);
        assert!(told.starts_with("exit code Some(0)"), "{told}");
        tried(&|row| row[4] == "allow");
        let told = lab.change("delete", &policies);
        assert!(told.starts_with("exit code Some(0)"), "{told}");
        tried(&|_| true);
    }
}

/// The first address of each pod of a manifest that names all of them.
fn addresses(cluster: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(cluster).unwrap();
    let field = |document: &str, name: &str| {
        document.lines().find_map(|line| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned()))
    };
    let pods = text.split("---\n").filter(|document| document.contains("kind: Pod"));
    pods.map(|pod| {
        let (name, namespace) = (field(pod, "name:").unwrap(), field(pod, "namespace:").unwrap());
        (format!("{namespace}/{name}"), field(pod, "podIP:").unwrap())
    })
    .collect()
}

/// Starts what tries a row: with patience where it must succeed.
fn try_row(lab: &Lab, addresses: &BTreeMap<String, String>, row: &[&str], wanted: bool) -> Child {
    let to = addresses.get(row[1]).map_or(row[1], String::as_str);
    let wait = if wanted { "20" } else { "1" };
    let udp;
    let command: Vec<&str> = match row[2] {
        "TCP" => vec!["nc", "-z", "-w", wait, to, row[3]],
        "UDP" => {
            // A question for the name `a`, which resolvers answer and all others send back.
            let question = r"\253\315\001\000\000\001\000\000\000\000\000\000\001a\000\000\001\000\001";
            udp = format!(
                "for i in 1 2 3; do printf '{question}' | timeout {wait} nc -u -w 1 {to} {} | grep -q . && echo ok && exit 0; done; exit 1",
                row[3]
            );
            vec!["sh", "-c", &udp]
        }
        _ => vec!["ping", "-c", "1", "-W", wait, to],
    };
    lab.command(row[0], &command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Names, several behind one Service, a pod that comes and goes, in both wirings.
#[test]
fn services_and_pods_that_come_and_go() {
    for wiring in ["routed", "bridged"] {
        if wiring == "bridged" && !Path::new("/proc/sys/net/bridge").exists() {
            eprintln!("skipped: no br_netfilter, so nothing runs bridged");
            continue;
        }
        let folder = input(WEB);
        let Some(lab) = Lab::up(wiring, folder.path(), &["--wiring", wiring], &["curl"]) else { return };
        let second = "{apiVersion: v1, kind: Pod, metadata: {name: web2, labels: {app: web}},
                       spec: {containers: [{name: c, image: nginx, ports: [{containerPort: 80}]}]}}";
        // Twice, the second time at an address that others may remember.
        for _ in 0..2 {
            let told = lab.change("apply", second);
            assert!(told.contains("Pod default/web2 created\npod default/web2 came"), "{told}");
            let both = "for i in $(seq 40); do curl -sS --max-time 20 http://web; done | cut -d' ' -f1 | sort -u";
            assert_eq!(lab.prints("test", &["sh", "-c", both]), "default/web\ndefault/web2\n");
            let told = lab.change("delete", second);
            assert!(told.contains("pod default/web2 went"), "{told}");
            assert!(lab.fails("web2", &["true"]).contains("or default/web?"));
        }
        // A pod that reaches itself through its Service comes from its node.
        for family in ["-4", "-6"] {
            let curl = ["curl", family, "-sS", "--max-time", "20", "http://web"];
            assert!(lab.prints("web", &curl).starts_with("default/web answers "));
            assert!(
                lab.prints(
                    "test",
                    &["getent", if family == "-4" { "ahostsv4" } else { "ahostsv6" }, "web.default.svc"]
                )
                .contains("96")
            );
        }
        assert!(lab.fails("test", &["getent", "hosts", "nobody.default"]).contains("exit code Some(2)"));
        let bad = lab.change("apply", "{apiVersion: v1, kind: Node, metadata: {name: other}}");
        assert!(flat(&bad).contains("the nodes would change"), "{bad}");
        lab.prints("test", &["curl", "-sS", "--max-time", "20", "http://web"]);
    }
}

/// A policy by domain names: the resolver, the rules and the hosts outside know what is told of them.
#[test]
fn names_resolve_to_what_is_told() {
    let policy = "
---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: {name: out}
spec:
  tier: Admin
  priority: 10
  subject: {namespaces: {matchLabels: {kubernetes.io/metadata.name: default}}}
  egress:
  - {action: Accept, to: [{domainNames: [api.example.com, '*.cdn.example.com']}]}
  - {action: Accept, to: [{namespaces: {}}]}
  - {action: Deny, to: [{networks: [0.0.0.0/0, '::/0']}]}
";
    let folder = input(&format!("{WEB}{policy}"));
    let told = ["--resolve", "api.example.com=198.51.100.7", "--resolve", "*.cdn.example.com=198.51.100.8"];
    let Some(lab) = Lab::up("told", folder.path(), &told, &["curl"]) else { return };
    let get = |url: &'static str| ["curl", "-sS", "--max-time", "3", url];
    assert!(lab.prints("test", &get("http://api.example.com")).starts_with("198.51.100.7 answers "));
    assert!(lab.prints("test", &get("http://a.b.cdn.example.com")).starts_with("198.51.100.8 answers "));
    // A name that no policy names: it resolves, and is closed.
    lab.fails("test", &get("http://www.example.com"));
    // What is told later takes the place of what was told: of the resolver, the rules, and the hosts.
    let said = lab.change_with("apply", WEB, &["--resolve", "api.example.com=198.51.100.9"]);
    assert!(said.contains("api.example.com resolves to 198.51.100.9\nthe rules of 1 node changed"), "{said}");
    assert!(lab.prints("test", &get("http://api.example.com")).starts_with("198.51.100.9 answers "));
    lab.fails("test", &get("http://198.51.100.7"));
    assert!(lab.prints("test", &get("http://a.b.cdn.example.com")).starts_with("198.51.100.8 answers "));
}

#[test]
fn what_goes_wrong_is_said() {
    let folder = input(WEB);
    let Some(lab) = Lab::up("wrong", folder.path(), &[], &[]) else { return };
    let code = |command: &[&str]| lab.exec("test", command).status.code();
    assert_eq!(code(&["sh", "-c", "exit 42"]), Some(42));
    assert_eq!(code(&["sh", "-c", "kill -TERM $$"]), Some(143));
    assert_eq!(code(&["/etc"]), Some(126));
    let missing = lab.exec("test", &["no-such-program"]);
    assert_eq!(missing.status.code(), Some(127));
    assert!(flat(&said(&missing)).contains("no-such-program is not installed on this machine"), "{}", said(&missing));
    let nobody = lab.exec("tset", &["true"]);
    assert_eq!(nobody.status.code(), Some(2));
    assert!(flat(&said(&nobody)).contains("did you mean default/test"), "{}", said(&nobody));
    assert!(lab.fails("198.51.100.1", &["true"]).contains("hosts outside are at 2"));

    let twice = palisade().args(["lab", "up", "--name", &lab.name, "-f"]).arg(folder.path()).output().unwrap();
    assert_eq!(twice.status.code(), Some(2));
    assert!(flat(&said(&twice)).contains("is up already"), "{}", said(&twice));
    let other = palisade().args(["lab", "exec", "--name", "no-such-lab", "test", "--", "true"]).output().unwrap();
    assert!(flat(&said(&other)).contains("no lab `no-such-lab` is up; there is"), "{}", said(&other));
    let mistake = lab.change(
        "apply",
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: x}, spec: {podSelektor: {}}}",
    );
    assert!(mistake.contains("podSelektor") && mistake.contains("exit code Some(2)"), "{mistake}");
}

/// Whatever ends the process that holds a lab: its pods are gone, and what ran in them.
#[test]
fn nothing_is_left() {
    for end in ["down", "kill"] {
        let folder = input(WEB);
        let Some(lab) = Lab::up(end, folder.path(), &[], &[]) else { return };
        let mut inside = lab.command("test", &["sleep", "1000"]).stderr(Stdio::null()).spawn().unwrap();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let patience = Instant::now() + Duration::from_secs(30);
        let there = |id: u32| fs::read_link(format!("/proc/{id}/ns/net")).is_ok_and(|ns| ns != own);
        while !there(inside.id()) {
            assert!(Instant::now() < patience, "the command never began");
            sleep(Duration::from_millis(10));
        }
        let holder = holder(&lab.name);
        if end == "kill" {
            assert!(Command::new("kill").args(["-9", &holder.to_string()]).status().unwrap().success());
        } else {
            assert!(palisade().args(["lab", "down", "--name", &lab.name]).status().unwrap().success());
        }
        assert_eq!(inside.wait().unwrap().code(), Some(137), "it ends with the lab");
        while Path::new(&format!("/proc/{holder}/ns/net")).exists() {
            assert!(Instant::now() < patience, "the holder is left");
            sleep(Duration::from_millis(10));
        }
        let has_socket = |sockets: &str| sockets.lines().any(|line| line.ends_with(&format!("/{}", lab.name)));
        while has_socket(&fs::read_to_string("/proc/net/unix").unwrap()) {
            assert!(Instant::now() < patience, "the socket is left");
            sleep(Duration::from_millis(10));
        }
    }
}

/// The process that holds a lab: the one whose arguments name it and say that it is apart.
fn holder(name: &str) -> u32 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let is_it = |id: &u32| {
        let arguments = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
        arguments.contains(&name.as_bytes()) && arguments.contains(&&b"--detached"[..])
    };
    ids.find(is_it).unwrap()
}

/// The same as an ordinary user, when the tests run as root.
#[test]
fn without_root() {
    let is_root = fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t"));
    let user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let can =
        Command::new("setpriv").args(user).args(["unshare", "--user", "--map-root-user", "--net", "true"]).output();
    if !is_root || !can.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: not root, or no namespaces for other users: the other tests are without root then");
        return;
    }
    let folder = input(WEB);
    let program = folder.path().join("palisade");
    fs::copy(env!("CARGO_BIN_EXE_palisade"), &program).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command
            .args(user)
            .arg(&program)
            .args(["lab"])
            .args(arguments)
            .current_dir("/")
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    };
    let name = format!("rootless-{}", std::process::id());
    let cluster = folder.path().join("cluster.yaml");
    let up = run(&["up", "--detach", "--name", &name, "-f", cluster.to_str().unwrap()]);
    assert!(said(&up).contains("is up without root: 3 pods"), "{}", said(&up));
    let names = run(&["exec", "--name", &name, "test", "--", "getent", "ahostsv4", "web"]);
    let down = run(&["down", "--name", &name]);
    assert!(said(&names).contains("10.96.0."), "{}", said(&names));
    assert!(down.status.success(), "{}", said(&down));
    let again = run(&["down", "--name", &name]);
    assert_eq!(again.status.code(), Some(2));
}

//! How long reading a large dump takes, beside what the bare YAML parser takes for the same bytes.
//!
//! ```text
//! cargo run --release --example reading -p palisade-manifest            20 MB of each shape
//! cargo run --release --example reading -p palisade-manifest -- FILE…   these files
//! ```
//!
//! The promise: at most twice the CPU time of draining the parser's events. Times are of this thread
//! on the CPU, the best of five.

use std::{env, fmt::Write as _, fs, time::Duration, time::Instant};

use palisade_manifest::{ReadOptions, Reading, read_text};

const MEGABYTES: usize = 20;
const ROUNDS: usize = 5;

fn main() {
    let files: Vec<String> = env::args().skip(1).collect();
    println!("{:<28} {:>6} {:>10} {:>10} {:>6}  objects", "input", "MB", "parser", "reading", "ratio");
    if files.is_empty() {
        for (name, text) in [
            ("documents, pods", documents(MEGABYTES << 20)),
            ("kubectl List, pods", list(MEGABYTES << 20)),
            ("JSON PodList, raw", json_list(MEGABYTES << 20)),
            ("documents, policies", policies(MEGABYTES << 20)),
        ] {
            measure(name, &text);
        }
    }
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => measure(&file, &text),
            Err(error) => eprintln!("{file}: {error}"),
        }
    }
}

fn measure(name: &str, text: &str) {
    let options = ReadOptions::default();
    let (parser, _) = best(|| drain(text));
    let (reading, read) = best(|| read_text(name, text, &options));
    let Reading { inventory, diagnostics, .. } = &read;
    let objects = inventory.pods.len() + inventory.policies.len();
    println!(
        "{name:<28} {:>6.1} {:>7.0} ms {:>7.0} ms {:>6.2}  {objects}",
        text.len() as f64 / 1e6,
        parser.as_secs_f64() * 1e3,
        reading.as_secs_f64() * 1e3,
        reading.as_secs_f64() / parser.as_secs_f64()
    );
    if let Some(first) = diagnostics.first() {
        println!("    {} findings, the first: {} {}", diagnostics.len(), first.code, first.message);
    }
}

/// Draws every event out of the parser, as it is used here.
fn drain(text: &str) -> usize {
    let options = granit_parser::options! { emit_comments: false };
    let mut events = 0;
    for event in granit_parser::Parser::new_from_str_with_options(text, options) {
        if event.is_err() {
            break;
        }
        events += 1;
    }
    events
}

fn best<T>(mut work: impl FnMut() -> T) -> (Duration, T) {
    let mut fastest = Duration::MAX;
    let mut result = None;
    for _ in 0..ROUNDS {
        drop(result.take());
        let (started, on_cpu) = (Instant::now(), on_cpu());
        let done = work();
        let took = on_cpu.zip(self::on_cpu()).map_or(started.elapsed(), |(before, after)| after - before);
        fastest = fastest.min(took);
        result = Some(done);
    }
    match result {
        Some(result) => (fastest, result),
        None => (fastest, work()),
    }
}

/// This thread's time on a CPU so far, where the system tells it.
fn on_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split_whitespace().next()?.parse().ok()?))
}

fn pod(number: usize) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata:
  annotations:
    cni.projectcalico.org/podIP: 10.{b}.{c}.{d}/32
  creationTimestamp: \"2026-01-01T00:00:00Z\"
  generateName: web-6f{hash}-
  labels:
    app: web-{app}
    pod-template-hash: 6f{hash}
    tier: frontend
  name: web-6f{hash}-{number}
  namespace: team-{app}
  ownerReferences:
  - apiVersion: apps/v1
    blockOwnerDeletion: true
    controller: true
    kind: ReplicaSet
    name: web-6f{hash}
    uid: 23850fa2-f87c-4cfa-91c3-c9d5aa9b1d37
  resourceVersion: \"{number}\"
  uid: 57a1b2c3-0000-4cfa-91c3-{number:012}
spec:
  containers:
  - env:
    - name: LOG_LEVEL
      value: info
    - name: POD_NAME
      valueFrom:
        fieldRef:
          apiVersion: v1
          fieldPath: metadata.name
    image: registry.example.org/team/web:1.2.3
    imagePullPolicy: IfNotPresent
    name: web
    ports:
    - containerPort: 8080
      name: http
      protocol: TCP
    - containerPort: 9090
      name: metrics
      protocol: TCP
    resources:
      limits:
        cpu: 500m
        memory: 128Mi
    volumeMounts:
    - mountPath: /var/run/secrets/kubernetes.io/serviceaccount
      name: kube-api-access-7xk2p
      readOnly: true
  dnsPolicy: ClusterFirst
  nodeName: node-{d}
  restartPolicy: Always
  tolerations:
  - effect: NoExecute
    key: node.kubernetes.io/not-ready
    operator: Exists
    tolerationSeconds: 300
status:
  conditions:
  - lastProbeTime: null
    lastTransitionTime: \"2026-01-01T00:00:00Z\"
    status: \"True\"
    type: Ready
  hostIP: 172.18.0.{d}
  hostIPs:
  - ip: 172.18.0.{d}
  phase: Running
  podIP: 10.{b}.{c}.{d}
  podIPs:
  - ip: 10.{b}.{c}.{d}
  qosClass: Burstable
",
        b = number / 62500 % 250,
        c = number / 250 % 250,
        d = 1 + number % 250,
        app = number % 200,
        hash = number % 977,
    )
}

fn documents(bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() > bytes {
            break;
        }
        text += &pod(number);
        text += "---\n";
    }
    text
}

fn list(bytes: usize) -> String {
    let mut text = "apiVersion: v1\nitems:\n".to_owned();
    for number in 0.. {
        if text.len() > bytes {
            break;
        }
        for (place, line) in pod(number).lines().enumerate() {
            text += if place == 0 { "- " } else { "  " };
            text += line;
            text.push('\n');
        }
    }
    text + "kind: List\nmetadata:\n  resourceVersion: \"\"\n"
}

/// As `kubectl get --raw` prints it: the kind first, and items that name none.
fn json_list(bytes: usize) -> String {
    let mut text = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":["#.to_owned();
    for number in 0.. {
        if text.len() > bytes {
            break;
        }
        if number > 0 {
            text.push(',');
        }
        let (b, c, d) = (number / 62500 % 250, number / 250 % 250, 1 + number % 250);
        let _ = write!(
            text,
            concat!(
                r#"{{"metadata":{{"name":"web-{}","namespace":"team-{}","uid":"57a1b2c3-0000-4cfa-91c3-{:012}","#,
                r#""labels":{{"app":"web","pod-template-hash":"6f"}},"managedFields":[{{"manager":"kubelet","#,
                r#""operation":"Update","fieldsV1":{{"f:status":{{"f:phase":{{}},"f:podIP":{{}},"#,
                r#""f:podIPs":{{".":{{}},"k:{{\"ip\":\"10.0.0.1\"}}":{{".":{{}},"f:ip":{{}}}}}}}}}}}}]}},"#,
                r#""spec":{{"containers":[{{"name":"web","image":"web:1","ports":[{{"containerPort":8080}}]}}],"#,
                r#""nodeName":"node-{}"}},"status":{{"phase":"Running","podIP":"10.{}.{}.{}"}}}}"#
            ),
            number,
            number % 200,
            number,
            d,
            b,
            c,
            d
        );
    }
    text + "]}\n"
}

fn policies(bytes: usize) -> String {
    let mut text = String::new();
    for number in 0.. {
        if text.len() > bytes {
            break;
        }
        let _ = write!(
            text,
            "---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: policy-{number}
  namespace: team-{}
spec:
  podSelector:
    matchLabels:
      app: web-{number}
  policyTypes:
  - Ingress
  - Egress
  ingress:
  - from:
    - podSelector:
        matchLabels:
          tier: frontend
      namespaceSelector:
        matchExpressions:
        - key: team
          operator: In
          values: [a, b]
    - ipBlock:
        cidr: 10.0.0.0/8
        except:
        - 10.1.0.0/16
    ports:
    - protocol: TCP
      port: 8080
    - port: 9000
      endPort: 9100
  egress:
  - to:
    - namespaceSelector: {{}}
    ports:
    - protocol: UDP
      port: 53
",
            number % 200
        );
    }
    text
}

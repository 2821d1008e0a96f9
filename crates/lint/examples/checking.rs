//! How long all rules take on a large dump, beside what reading it takes.
//!
//! ```text
//! cargo run --release --example checking -p palisade-lint            50 MB: 100,000 pods, 20,000 policies
//! cargo run --release --example checking -p palisade-lint -- FILE…   these files
//! ```
//!
//! The promise: reading and all rules together take at most three times the CPU time of reading alone,
//! and little memory beside the model. Times are of this thread on the CPU.

use std::{env, fmt::Write as _, fs, time::Duration, time::Instant};

use palisade_engine::PolicyProgram;
use palisade_lint::{REGISTRY, Subject};
use palisade_manifest::{ReadOptions, read_text};

const PODS: usize = 100_000;
const POLICIES: usize = 20_000;
const NAMESPACES: usize = 1_000;

fn main() {
    let files: Vec<String> = env::args().skip(1).collect();
    if files.is_empty() {
        measure("generated", dump());
    }
    for file in files {
        match fs::read_to_string(&file) {
            Ok(text) => measure(&file, text),
            Err(error) => eprintln!("{file}: {error}"),
        }
    }
}

fn measure(name: &str, text: String) {
    let megabytes = text.len() as f64 / 1e6;
    let (reading, read) = timed(|| read_text(name, &text, &ReadOptions::default()));
    drop(text);
    let (pods, policies) = (read.inventory.pods.len(), read.inventory.policies.len());
    println!("{name}: {megabytes:.1} MB, {pods} pods, {policies} policies, {} mistakes", read.diagnostics.len());
    let after_reading = peak();
    let (indexing, cluster) = timed(|| read.inventory.into_cluster());
    let Ok(cluster) = cluster else {
        eprintln!("two objects of one name, or two pods of one address");
        return;
    };
    let (compiling, program) = timed(|| PolicyProgram::compile(&cluster));
    let (listing, subject) = timed(|| Subject::new(&cluster, &program).with(&read.wishes, &read.networks));
    let mut rules = listing;
    let mut each: Vec<(Duration, &str, &str, usize)> = Vec::new();
    for lint in REGISTRY {
        let (took, found) = timed(|| lint.check(&subject).len());
        rules += took;
        each.push((took, lint.code, lint.name, found));
    }
    each.sort();
    for (took, code, name, found) in each.iter().rev().take(6) {
        println!("    {:>7.0} ms  {code} {name}: {found} findings", took.as_secs_f64() * 1e3);
    }
    let all = reading + indexing + compiling + rules;
    println!(
        "  reading {:.0} ms, model {:.0} ms, compiling {:.0} ms, rules {:.0} ms: together {:.2} times reading",
        reading.as_secs_f64() * 1e3,
        indexing.as_secs_f64() * 1e3,
        compiling.as_secs_f64() * 1e3,
        rules.as_secs_f64() * 1e3,
        all.as_secs_f64() / reading.as_secs_f64()
    );
    if let (Some(before), Some(after)) = (after_reading, peak()) {
        println!("  most memory: {before} MB after reading, {after} MB in the end");
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let (started, before) = (Instant::now(), on_cpu());
    let done = work();
    (before.zip(on_cpu()).map_or(started.elapsed(), |(before, after)| after - before), done)
}

/// This thread's time on a CPU so far, where the system tells it.
fn on_cpu() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(stat.split_whitespace().next()?.parse().ok()?))
}

/// The most memory so far, in MB, where the system tells it.
fn peak() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}

/// As `kubectl get -o yaml` prints a cluster of many teams, each with its policies.
fn dump() -> String {
    let mut text = "apiVersion: v1\nitems:\n".to_owned();
    for number in 0..NAMESPACES {
        let _ = write!(
            text,
            "- apiVersion: v1\n  kind: Namespace\n  metadata:\n    labels:\n      \
             kubernetes.io/metadata.name: team-{number}\n      stage: {}\n    name: team-{number}\n",
            one_of(STAGES, number)
        );
    }
    for number in 0..PODS {
        pod(&mut text, number);
    }
    for number in 0..POLICIES {
        policy(&mut text, number % NAMESPACES, number / NAMESPACES);
    }
    text + "kind: List\nmetadata:\n  resourceVersion: \"\"\n"
}

const STAGES: [&str; 3] = ["dev", "test", "prod"];
const TIERS: [&str; 3] = ["front", "back", "data"];
const APPS: usize = 25;

/// Each in its turn.
fn one_of(words: [&'static str; 3], number: usize) -> &'static str {
    words.into_iter().cycle().nth(number % 3).unwrap_or_default()
}

fn pod(text: &mut String, number: usize) {
    let (team, app) = (number % NAMESPACES, number / NAMESPACES % APPS);
    let (b, c, d) = (number / 62_500, number / 250 % 250, 1 + number % 250);
    let tier = one_of(TIERS, app);
    let _ = write!(
        text,
        "- apiVersion: v1
  kind: Pod
  metadata:
    labels:
      app: app-{app}
      pod-template-hash: 6f{team}c{app}
      tier: {tier}
    name: app-{app}-{number}
    namespace: team-{team}
  spec:
    containers:
    - image: example.org/app-{app}:1.2.3
      name: app
      ports:
      - containerPort: 8080
        name: http
        protocol: TCP
    nodeName: node-{d}
  status:
    phase: Running
    podIPs:
    - ip: 10.{b}.{c}.{d}
"
    );
}

fn policy(text: &mut String, team: usize, app: usize) {
    let (next, stage) = ((app + 1) % APPS, one_of(STAGES, team));
    let _ = write!(
        text,
        "- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata:
    name: app-{app}
    namespace: team-{team}
  spec:
    egress:
    - ports:
      - port: 53
        protocol: UDP
      - port: 53
        protocol: TCP
      to:
      - namespaceSelector:
          matchLabels:
            kubernetes.io/metadata.name: kube-system
    - ports:
      - port: 8080
      to:
      - podSelector:
          matchLabels:
            app: app-{next}
    ingress:
    - from:
      - podSelector:
          matchLabels:
            app: app-{next}
      - namespaceSelector:
          matchLabels:
            stage: {stage}
        podSelector:
          matchLabels:
            tier: front
      ports:
      - port: http
    podSelector:
      matchLabels:
        app: app-{app}
    policyTypes:
    - Ingress
    - Egress
"
    );
}

//! Property: `--fix` leaves nothing to fix, keeps comments, and changes nothing of what is allowed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use std::{collections::BTreeSet, fs};

use palisade_engine::{
    Outcome, PolicyProgram,
    model::{
        Cluster, Direction, Endpoint, Family, Flow, NetworkPolicy, Peer, PolicyTypes, PortMatch, Protocol, Traffic,
    },
};
use palisade_manifest::{ReadOptions, read_text};
use palisade_oracle::{generate::Generator, yaml::to_yaml};
use serde_json::Value;
use support::{Folder, palisade, said};

const SEEDS: u64 = 120;

/// Numbers from a seed (the mixer of SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    /// Writes one of some items a second time, somewhere behind.
    fn repeat<T: Clone>(&mut self, items: &mut Vec<T>) {
        if !items.is_empty() && self.one_in(3) {
            let again = items[usize::try_from(self.roll(items.len() as u64)).unwrap()].clone();
            items.push(again);
        }
    }
}

/// What says the same at greater length: items twice, excepts twice, types left to the default.
fn wordy(policy: &mut NetworkPolicy, dice: &mut Dice) {
    for rules in [&mut policy.ingress, &mut policy.egress] {
        for rule in rules.iter_mut() {
            dice.repeat(&mut rule.ports);
            dice.repeat(&mut rule.peers);
            for peer in &mut rule.peers {
                if let Peer::IpBlock(block) = peer {
                    dice.repeat(&mut block.except);
                }
            }
        }
        dice.repeat(rules);
    }
    let default = PolicyTypes { ingress: true, egress: !policy.egress.is_empty() };
    if policy.policy_types == Some(default) {
        policy.policy_types = None;
    }
}

/// Mistakes whose meaning is beyond doubt, line by line, and comments at the ends of lines.
fn mistaken(text: &str, dice: &mut Dice) -> String {
    let mut out = String::new();
    let mut comments = 0;
    let mut is_policy = false;
    for document in text.split_inclusive("---\n") {
        let policy = document.contains("kind: NetworkPolicy");
        for line in document.lines() {
            let mut line = line.to_owned();
            is_policy |= policy;
            if policy && dice.one_in(2) {
                line = mistake(&line, dice);
            }
            if line.trim().len() > 1 && line != "---" && dice.one_in(4) {
                comments += 1;
                line.push_str(&format!(" # comment {comments}"));
            }
            out.push_str(&line);
            out.push('\n');
        }
    }
    assert_eq!(is_policy, text.contains("kind: NetworkPolicy"));
    out
}

fn mistake(line: &str, dice: &mut Dice) -> String {
    let (key, value) = line.split_once(": ").unwrap_or((line, ""));
    let name = key.trim_start_matches([' ', '-']);
    match name {
        "protocol" => line.replace(value, &value.to_lowercase()),
        "port" | "endPort" if value.parse::<u16>().is_ok() => {
            let quoted = format!("{key}: \"{value}\"");
            if name == "endPort" && dice.one_in(2) { quoted.replace("endPort", "endport") } else { quoted }
        }
        "policyTypes" => line.replace("Ingress", "ingress").replace("Egress", "EGRESS"),
        "operator" => line.replace(value, &value.to_uppercase()),
        "apiVersion" => line.replace("networking.k8s.io/v1", "extensions/v1beta1"),
        "cidr" => format!("{key}: {}", odd(value, dice)),
        _ if line.ends_with("matchLabels:") => {
            line.replace("matchLabels", ["matchLabel", "matchlabels"][dice.roll(2) as usize])
        }
        _ => line.to_owned(),
    }
}

/// A network as older servers take it.
fn odd(network: &str, dice: &mut Dice) -> String {
    let text = network.trim_matches('"');
    let Ok(ipnet::IpNet::V4(net)) = text.parse::<ipnet::IpNet>() else { return network.to_owned() };
    match dice.roll(3) {
        0 if net.prefix_len() < 32 => format!("{}/{}", net.broadcast(), net.prefix_len()),
        1 => format!("\"::ffff:{}/{}\"", net.addr(), net.prefix_len() + 96),
        _ => {
            let octets: Vec<String> = net.addr().octets().iter().map(|octet| format!("{octet:03}")).collect();
            format!("'{}/{}'", octets.join("."), net.prefix_len())
        }
    }
}

/// The documents as `kubectl get -o yaml` prints them: items of one list.
fn as_list(text: &str) -> String {
    let mut out = "apiVersion: v1\nitems:\n".to_owned();
    for document in text.split("---\n").filter(|document| !document.trim().is_empty()) {
        for (number, line) in document.lines().enumerate() {
            out.push_str(&format!("{}{line}\n", if number == 0 { "- " } else { "  " }));
        }
    }
    out + "kind: List\n"
}

fn read(text: &str) -> Cluster {
    let reading = read_text("fixed", text, &ReadOptions::default());
    assert!(!reading.has_errors(), "{:#?}\n{text}", reading.diagnostics);
    reading.inventory.into_cluster().unwrap()
}

/// Every number at which a rule of the cluster begins or ends, with its neighbours.
fn ports(cluster: &Cluster) -> BTreeSet<u16> {
    let mut ports = BTreeSet::from([1, 53, 65535]);
    let rules = cluster.policies().flat_map(|(_, policy)| Direction::ALL.map(|direction| policy.rules(direction)));
    for port in rules.flatten().flat_map(|rule| &rule.ports) {
        if let PortMatch::Range(range) = port.port {
            for number in [range.first(), range.last()] {
                ports.extend([number.saturating_sub(1).max(1), number, number.saturating_add(1)]);
            }
        }
    }
    ports.extend(cluster.pods().flat_map(|(_, pod)| &pod.ports).map(|port| port.port));
    ports
}

/// Random flows, outside ends among them, and every pair of pods at every port that matters.
fn flows(seed: u64, cluster: &Cluster) -> Vec<Flow> {
    let mut flows = Generator::new(seed).flows(cluster, 400);
    let ports = ports(cluster);
    for family in Family::ALL {
        let sides: Vec<_> = cluster.pods().filter_map(|(id, _)| cluster.side_of_pod(id, family)).collect();
        for from in &sides {
            for to in sides.iter().filter(|to| matches!(to.endpoint, Endpoint::Pod(_))) {
                for protocol in Protocol::ALL {
                    let traffic = ports.iter().map(|port| Traffic::Port(protocol, *port)).chain([Traffic::Portless]);
                    flows.extend(traffic.filter_map(|traffic| Flow::new(*from, *to, traffic).ok()));
                }
            }
        }
    }
    flows
}

fn fixes_left(text: &str, folder: &Folder) -> Vec<Value> {
    let output = palisade().current_dir(folder.path()).args(["check", "-o", "json", "-f", "c.yaml"]).output().unwrap();
    let findings: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}\n{text}", said(&output)));
    let findings = findings.as_array().unwrap().iter();
    findings.filter(|finding| finding["fix"]["safety"] == "safe").cloned().collect()
}

#[test]
fn fixes_are_complete_and_change_nothing_of_what_is_allowed() {
    let (mut fixed, mut compared, mut removed) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice(seed);
        // What cannot be written is not compared: the text is the beginning.
        let plain = to_yaml(&Generator::new(seed).cluster());
        let before = read(&plain);
        let mut reading = read_text("wordy", &plain, &ReadOptions::default());
        reading.inventory.policies.iter_mut().for_each(|policy| wordy(policy, &mut dice));
        let wordy = mistaken(&to_yaml(&reading.inventory.into_cluster().unwrap()), &mut dice);
        let text = if seed % 2 == 0 { wordy } else { as_list(&wordy) };
        let folder = Folder::with(&[("c.yaml", &text)]);
        let mistakes = fixes_left(&text, &folder).len();

        let output = palisade().current_dir(folder.path()).args(["check", "--fix", "-f", "c.yaml"]).output().unwrap();
        let after = fs::read_to_string(folder.path().join("c.yaml")).unwrap();
        let left = fixes_left(&after, &folder);
        assert!(left.is_empty(), "seed {seed}: {left:#?}\n{}\n{text}\n=====\n{after}", said(&output));
        assert!(mistakes == 0 || after != text, "seed {seed}: nothing was fixed");
        for comment in text.lines().filter_map(|line| line.split_once(" # ").map(|(_, comment)| comment)) {
            let kept = after.lines().any(|line| line.ends_with(&format!("# {comment}")));
            assert!(kept, "seed {seed}: `{comment}` is lost\n{text}\n=====\n{after}");
        }

        let now = read(&after);
        let (program, program_now) = (PolicyProgram::compile(&before), PolicyProgram::compile(&now));
        for flow in flows(seed, &before) {
            let (was, is) = (program.verdict(&before, &flow).outcome(), program_now.verdict(&now, &flow).outcome());
            // Of an end without address a shorter union of networks may tell more; never the opposite.
            let unknown = flow.from().address.is_none() || flow.to().address.is_none();
            let clearer = unknown && was == Outcome::Undetermined;
            assert!(was == is || clearer, "seed {seed}: {was:?} {is:?} {flow:?}\n{plain}\n=====\n{after}");
            compared += 1;
        }
        fixed += mistakes;
        let rules =
            |cluster: &Cluster| -> usize { cluster.policies().map(|(_, p)| p.ingress.len() + p.egress.len()).sum() };
        removed += usize::from(rules(&now) < rules(&before));
    }
    // A property of nothing would hold too.
    assert!(fixed > 1_000 && compared > 100_000 && removed > 5, "{fixed} fixes, {compared} flows, {removed}");
}

//! The look of `kubectl describe`, with what that leaves out: what a missing direction means, what
//! the defaults are, where each rule was written, and whom it is about today.

use std::{cell::RefCell, collections::BTreeMap};

use palisade_engine::{
    PolicyProgram,
    compile::{BlockId, Identity, IdentityId, Peers, Rule, RulePeer, SelectorId},
    model::{
        Cluster, Direction, Mode, Name, NetworkPolicy, PodId, PolicyId, PolicyPort, PolicyRule, PortMatch, Protocol,
        Span,
    },
};

use super::{object::type_name, words};
use crate::{input::Excerpts, screen::hanging};

/// Where the values begin.
const COLUMN: usize = 14;
/// How many pods are named.
const NAMED: usize = 3;

/// Writes policies in lines of `width`.
pub(super) struct Printer<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) program: &'a PolicyProgram,
    excerpts: &'a Excerpts,
    width: usize,
    anywhere: RefCell<BTreeMap<(Name, Protocol), Option<String>>>,
}

impl<'a> Printer<'a> {
    /// For the policies of `program`, which is that of `cluster`.
    pub(super) fn new(cluster: &'a Cluster, program: &'a PolicyProgram, excerpts: &'a Excerpts, width: usize) -> Self {
        Self { cluster, program, excerpts, width, anywhere: RefCell::default() }
    }

    /// One policy.
    pub(super) fn policy(&self, id: PolicyId) -> String {
        let policy = self.cluster.policy(id);
        let mut out = String::new();
        self.line(&mut out, "Name:", &policy.id.name);
        self.line(&mut out, "Namespace:", &policy.id.namespace);
        if let Some(place) = self.place(policy.at) {
            self.line(&mut out, "Written at:", &place);
        }
        if self.cluster.mode_of(id.into()) == Mode::Audit {
            let whose = if policy.mode.is_none() { "by its namespace: " } else { "" };
            self.line(&mut out, "Audited:", &format!("{whose}it denies nothing yet, what it would deny is told"));
        }
        self.line(&mut out, "Policy types:", &self.types(id, policy));
        self.line(&mut out, "Selects:", &self.selects(id, policy));
        for direction in Direction::ALL {
            self.direction(&mut out, id, policy, direction);
        }
        out
    }

    fn types(&self, id: PolicyId, policy: &NetworkPolicy) -> String {
        let types = Direction::ALL.into_iter().filter(|direction| self.program.affects(id, *direction));
        let types = types.map(type_name).collect::<Vec<_>>().join(", ");
        let is_listed = policy.policy_types.is_some_and(|types| types.ingress || types.egress);
        if is_listed { types } else { format!("{types} (by default)") }
    }

    fn selects(&self, id: PolicyId, policy: &NetworkPolicy) -> String {
        let who = if policy.subject.is_everything() {
            format!("every pod of namespace {}", policy.id.namespace)
        } else {
            words::conditions(&policy.subject)
        };
        match self.program.subjects_of(id) {
            Some(subjects) if self.has_pods() => format!("{who} ({})", self.today(subjects)),
            _ => who,
        }
    }

    /// `3 pods today: prod/web-1, …`; pods that are only thought of are their workload's.
    pub(super) fn today(&self, subjects: SelectorId) -> String {
        let pods: Vec<PodId> =
            self.program.selected(subjects).flat_map(|identity| self.program.identity(identity).pods.clone()).collect();
        let (future, real): (Vec<PodId>, Vec<PodId>) =
            pods.into_iter().partition(|pod| self.cluster.pod(*pod).stand_in);
        let future = match self.names(&future, " and ") {
            (0, _) => None,
            (_, names) => Some(format!("the pods of {names}")),
        };
        let real = match self.names(&real, ", ") {
            (0, _) => None,
            (1, names) => Some(format!("1 pod today: {names}")),
            (many, names) => Some(format!("{many} pods today: {names}")),
        };
        match (real, future) {
            (Some(real), Some(future)) => format!("{real}; and {future}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "no pod today".to_owned(),
        }
    }

    fn direction(&self, out: &mut String, id: PolicyId, policy: &NetworkPolicy, direction: Direction) {
        let label = format!("{}:", type_name(direction));
        let rules = policy.rules(direction);
        if !self.program.affects(id, direction) {
            self.line(out, &label, "does not affect it");
            for (index, rule) in rules.iter().enumerate() {
                let place = self.place(rule.at).map(|place| format!("{place}, ")).unwrap_or_default();
                let text = format!("{place}without effect: the policy types do not list {}", type_name(direction));
                self.line(out, &format!("  {direction}[{index}]"), &text);
            }
            return;
        }
        let says = match rules.len() {
            0 => "isolates; nothing is allowed by it".to_owned(),
            1 => "isolates; allows".to_owned(),
            many => format!("isolates; allows what any of {many} rules allows"),
        };
        self.line(out, &label, &says);
        for (index, rule) in rules.iter().enumerate() {
            let place = self.place(rule.at).unwrap_or_default();
            self.line(out, &format!("  {direction}[{index}]"), &place);
            let compiled = self.program.rule_of(id, direction, index).map(|rule| self.program.rule(rule));
            self.peers(out, policy, direction, rule, compiled);
            let ports: Vec<String> = rule.ports.iter().map(|port| self.port(port, id, direction, compiled)).collect();
            let ports = if ports.is_empty() { words::ALL_TRAFFIC.to_owned() } else { words::alternatives(&ports) };
            self.line(out, "    Ports:", &ports);
        }
    }

    /// One line a peer, so that what is within a line belongs together.
    fn peers(
        &self,
        out: &mut String,
        policy: &NetworkPolicy,
        direction: Direction,
        rule: &PolicyRule,
        compiled: Option<&Rule>,
    ) {
        let label = match direction {
            Direction::Ingress => "    From:",
            Direction::Egress => "    To:",
        };
        if rule.peers.is_empty() {
            self.line(out, label, words::ANYONE);
        }
        let peers = rule.peers.iter().map(|peer| words::peer(peer, &policy.id.namespace));
        self.each_peer(out, label, peers, compiled);
    }

    /// The peers of a rule, each in words, and of which there is no pod today.
    pub(super) fn each_peer(
        &self,
        out: &mut String,
        mut label: &'static str,
        peers: impl Iterator<Item = String>,
        compiled: Option<&Rule>,
    ) {
        for (index, mut text) in peers.enumerate() {
            if let Some(RulePeer::Pods { members, .. }) = compiled.and_then(|rule| items(rule).get(index))
                && self.has_pods()
                && self.program.selected(*members).next().is_none()
            {
                text.push_str(" (no pod today)");
            }
            self.line(out, label, &text);
            label = "      or";
        }
    }

    /// A port; of one by name, what it is on the pods that the rule leads to.
    fn port(&self, port: &PolicyPort, id: PolicyId, direction: Direction, rule: Option<&Rule>) -> String {
        let text = words::port(port);
        let (PortMatch::Named(name), Some(rule)) = (&port.port, rule) else { return text };
        if !self.has_pods() {
            return text;
        }
        let here = match direction {
            Direction::Ingress => {
                let members = self.program.subjects_of(id).into_iter().flat_map(|id| self.program.selected(id));
                self.numbers(&members.collect::<Vec<_>>(), name, port.protocol, true)
            }
            Direction::Egress if matches!(rule.peers, Peers::Any) => self.anywhere(name, port.protocol),
            Direction::Egress => {
                let all = self.program.identities().map(|(id, _)| id);
                let members: Vec<IdentityId> = all.filter(|identity| self.is_peer(*identity, rule)).collect();
                self.numbers(&members, name, port.protocol, false)
            }
        };
        let by_address = direction == Direction::Egress && items(rule).iter().any(|p| matches!(p, RulePeer::Block(_)));
        match here {
            Some(here) => format!("{text} (here {here})"),
            None if by_address => format!("{text} (no pod whose address is known has it today)"),
            None => format!("{text} (no pod has it today)"),
        }
    }

    /// What a port by name is on all pods: many rules may ask.
    fn anywhere(&self, name: &Name, protocol: Protocol) -> Option<String> {
        let numbers = || {
            let all: Vec<IdentityId> = self.program.identities().map(|(id, _)| id).collect();
            self.numbers(&all, name, protocol, false)
        };
        self.anywhere.borrow_mut().entry((name.clone(), protocol)).or_insert_with(numbers).clone()
    }

    /// Whether a rule with peers means an identity.
    fn is_peer(&self, identity: IdentityId, rule: &Rule) -> bool {
        let matches = |peer: &RulePeer| match peer {
            RulePeer::Pods { members, .. } => self.program.selects(*members, identity),
            RulePeer::Block(block) | RulePeer::Names { known: block, .. } => {
                self.is_in(self.program.identity(identity), *block)
            }
            RulePeer::Nodes { .. } => false,
        };
        items(rule).iter().any(matches)
    }

    fn is_in(&self, identity: &Identity, block: BlockId) -> bool {
        let addresses = identity.pods.iter().flat_map(|pod| self.cluster.pod(*pod).addresses.iter());
        addresses.into_iter().any(|address| self.program.block(block).contains(address))
    }

    /// `8080 on prod/web-1; 9090 on prod/web-2; not on prod/web-3`; the last only when
    /// `also_without`. `None` when no pod has such a port.
    fn numbers(&self, members: &[IdentityId], name: &Name, protocol: Protocol, also_without: bool) -> Option<String> {
        let mut pods: BTreeMap<&[u16], Vec<PodId>> = BTreeMap::new();
        for identity in members.iter().map(|id| self.program.identity(*id)) {
            pods.entry(identity.port_numbers(name, protocol)).or_default().extend(&identity.pods);
        }
        let without = pods.remove(&[][..]).filter(|_| also_without);
        if pods.is_empty() {
            return None;
        }
        let on = |pods: &[PodId]| self.names(pods, ", ").1;
        let mut texts: Vec<String> = Vec::new();
        for (numbers, pods) in &pods {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            texts.push(format!("{} on {}", numbers.join(", "), on(pods)));
        }
        texts.extend(without.map(|pods| format!("not on {}", on(&pods))));
        Some(texts.join("; "))
    }

    /// How many there are, and the first few: each pod, or the workload that it stands for, once.
    fn names(&self, pods: &[PodId], joint: &str) -> (usize, String) {
        let mut pods = pods.to_vec();
        pods.sort_unstable();
        let mut last = None;
        let mut count = 0;
        let mut shown: Vec<String> = Vec::new();
        for pod in pods.into_iter().map(|pod| self.cluster.pod(pod)) {
            let workload = pod.workload.as_ref().filter(|_| pod.stand_in);
            let key =
                (&pod.id.namespace, workload.map_or(&pod.id.name, |(_, name)| name), workload.map(|(kind, _)| kind));
            if last.replace(key) == Some(key) {
                continue;
            }
            count += 1;
            if shown.len() < NAMED {
                shown.push(
                    workload.map_or_else(
                        || pod.id.to_string(),
                        |(kind, name)| format!("{}/{kind}/{name}", pod.id.namespace),
                    ),
                );
            }
        }
        let text = match count - shown.len() {
            0 => shown.join(joint),
            rest => format!("{} and {rest} more", shown.join(", ")),
        };
        (count, text)
    }

    pub(super) fn has_pods(&self) -> bool {
        self.cluster.pods().len() > 0
    }

    pub(super) fn place(&self, at: Option<Span>) -> Option<String> {
        let at = at?;
        let file = self.cluster.sources().name(at.file);
        Some(format!("{}:{}", self.excerpts.short(file), at.start.line))
    }

    pub(super) fn line(&self, out: &mut String, label: &str, text: &str) {
        let lead = if label.len() < COLUMN { format!("{label:<COLUMN$}") } else { format!("{label} ") };
        out.push_str(hanging(&lead, text, COLUMN, self.width).trim_end());
        out.push('\n');
    }
}

/// The peers of a rule that has some.
pub(super) fn items(rule: &Rule) -> &[RulePeer] {
    match &rule.peers {
        Peers::Any => &[],
        Peers::Of(items) => items,
    }
}

//! What became of every test, in words: the text and the data are made from it.

use palisade_engine::{
    connections::{By, EndSet, Groups, Members},
    model::{Family, PodId},
    sets::TrafficSet,
};

use super::{
    file::{Assertion, EndSpec, Form, Test},
    judge::{Found, Judge, Question, Wrong},
    who::Missing,
    why::{Part, Reason},
};
use crate::{connections::Namer, screen::shortened};

/// How many names stand in one pair of braces.
const IN_BRACES: usize = 6;

/// A test and what became of it.
pub(super) struct Outcome<'f> {
    pub(super) test: &'f Test,
    pub(super) assertions: Vec<(&'f Assertion, Vec<Failure>)>,
}

/// One thing that is not as asserted.
#[derive(Debug, Default)]
pub(super) struct Failure {
    /// For programs.
    pub(super) kind: &'static str,
    /// In a sentence.
    pub(super) message: String,
    /// The connections that it is about, if any.
    pub(super) from: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) family: Option<Family>,
    pub(super) traffic: Option<TrafficSet>,
    pub(super) reasons: Vec<Reason>,
}

impl Outcome<'_> {
    /// Whether all of it holds.
    pub(super) fn holds(&self) -> bool {
        self.assertions.iter().all(|(_, failures)| failures.is_empty())
    }

    /// How many of its assertions fail.
    pub(super) fn failed(&self) -> usize {
        self.assertions.iter().filter(|(_, failures)| !failures.is_empty()).count()
    }
}

/// Puts what was found into words.
pub(super) struct Teller<'a> {
    pub(super) judge: &'a Judge<'a>,
    groups: Groups,
}

impl<'a> Teller<'a> {
    pub(super) fn new(judge: &'a Judge<'a>) -> Self {
        Self { groups: Groups::new(judge.cluster, judge.program, By::Workload), judge }
    }

    /// Everything that is not as a question asserts.
    pub(super) fn failures(&self, question: &Question, assertion: &Assertion) -> Vec<Failure> {
        let wrong = self.judge.judge(question, assertion.allow_empty);
        wrong.iter().flat_map(|wrong| self.told(wrong, assertion)).collect()
    }

    fn told(&self, wrong: &Wrong<'_>, assertion: &Assertion) -> Vec<Failure> {
        let one = |kind, message| vec![Failure { kind, message, ..Failure::default() }];
        match wrong {
            Wrong::Connections(found) => {
                let parts = self.judge.reasons(found).into_iter();
                parts.map(|part| self.connections(found, part)).collect()
            }
            Wrong::NoFamily(found) => {
                let (from, to) = self.ends(found, &found.rectangle.from, &found.rectangle.to);
                let message = format!("{} and {} have no IP family in common", few(&from), few(&to));
                vec![Failure { from, to, ..Failure { kind: "no-common-family", message, ..Failure::default() } }]
            }
            Wrong::NothingJudged => one(
                "nothing-judged",
                "no policy judges any of it: a pod always reaches itself and its own node, and nobody judges between \
                 two ends that are no pods, or that have no IP family in common"
                    .to_owned(),
            ),
            Wrong::NobodyLeft => {
                let key = if assertion.form == Form::OnlyTo { "to" } else { "from" };
                one("nobody-left", format!("everyone is in `{key}`, so it asserts nothing"))
            }
            Wrong::OwnNode { node, pods, node_sends } => {
                let (node, pods) = (format!("node/{}", self.judge.cluster.node(*node).name), self.pods(pods));
                let (from, to) = if *node_sends { (vec![node], pods) } else { (pods, vec![node]) };
                let message = format!(
                    "{} -> {} is allowed: a pod and the node it runs on always reach each other",
                    few(&from),
                    few(&to)
                );
                vec![Failure { from, to, ..Failure { kind: "own-node", message, ..Failure::default() } }]
            }
            Wrong::NotIsolated { pods, direction } => {
                let names = self.pods(pods);
                let message = format!("no policy isolates {} for {direction}", few(&names));
                one("not-isolated", message)
            }
            Wrong::NoPods { nodes, outside } => {
                let mut who: Vec<String> =
                    nodes.iter().map(|node| format!("node/{}", self.judge.cluster.node(*node).name)).collect();
                if *outside {
                    who.push("the outside".to_owned());
                }
                let who = few(&who);
                one("no-pod", format!("no policy can isolate {who}: only pods with a network of their own"))
            }
        }
    }

    fn connections(&self, found: &Found<'_>, part: Part) -> Failure {
        let (from, to) = self.ends(found, &part.from, &part.to);
        let traffic = &found.rectangle.traffic;
        let mut what = format!("{} -> {} {traffic}", few(&from), few(&to));
        if let Some(family) = found.rectangle.family {
            what.push_str(&format!(" over {family}"));
        }
        let (kind, verdict) = match (found.certain, found.allowed) {
            (true, true) => ("allowed", "is allowed"),
            (true, false) => ("denied", "is denied"),
            (false, _) => ("not-certain", "is not certain: an address that is not known yet would tell"),
        };
        Failure {
            kind,
            message: format!("{what} {verdict}"),
            from,
            to,
            family: found.rectangle.family,
            traffic: Some(traffic.clone()),
            reasons: part.reasons,
        }
    }

    fn ends(&self, found: &Found<'_>, from: &EndSet, to: &EndSet) -> (Vec<String>, Vec<String>) {
        (self.names(found.from, from), self.names(found.to, to))
    }

    /// Some ends as `connections` calls them; where only some pods of an end are meant, these.
    fn names(&self, who: &super::who::Who, set: &EndSet) -> Vec<String> {
        let Judge { cluster, program, connections, .. } = self.judge;
        let mut pods: Vec<PodId> = Vec::new();
        let mut whole = true;
        for (id, end) in connections.ends().members(set) {
            if let palisade_engine::connections::End::Pods(identity) = end {
                let before = pods.len();
                pods.extend(who.pods_at(connections, program, id));
                whole = whole && pods.len() - before == program.identity(*identity).pods.len();
            }
        }
        if whole {
            return self.texts(&self.groups, &self.groups.name(connections, set));
        }
        let groups = Groups::of_pods(cluster, program, By::Pod, &pods);
        self.texts(&groups, &groups.name(connections, set))
    }

    fn pods(&self, pods: &[PodId]) -> Vec<String> {
        let groups = Groups::of_pods(self.judge.cluster, self.judge.program, By::Pod, pods);
        let identities = pods.iter().filter_map(|pod| self.judge.program.identity_of(*pod));
        let set: EndSet =
            identities.map(|identity| self.judge.connections.ends().of_identity(identity).number()).collect();
        self.texts(&groups, &groups.name(self.judge.connections, &set))
    }

    fn texts(&self, groups: &Groups, members: &Members) -> Vec<String> {
        Namer::new(self.judge.cluster, groups).texts(members)
    }
}

/// What to say of an end that nobody is.
pub(super) fn missing(key: &str, missing: &Missing) -> Failure {
    let message = match missing {
        Missing::Nobody { text, why } => format!("`{key}`: {text} selects nobody: {why}"),
        Missing::Ambiguous { why, .. } => why.clone(),
    };
    Failure { kind: "selects-nobody", message, ..Failure::default() }
}

/// The key under which the ends of an assertion are written.
pub(super) fn key(form: Form, spec: &EndSpec, assertion: &Assertion) -> &'static str {
    let is_from = assertion.from.as_ref().is_some_and(|from| std::ptr::eq(from, spec));
    match (form, is_from) {
        (Form::Isolated(_), true) => "egress",
        (Form::Isolated(_), false) => "ingress",
        (_, true) => "from",
        (_, false) => "to",
    }
}

/// Names for a sentence: the first few, and of `prod/{a,b,c,d,e,f,g,h}` and `namespaces a, b, c` too.
fn few(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| fewer(text)).collect();
    shortened(&texts, ", ", IN_BRACES)
}

fn fewer(text: &str) -> String {
    if let Some(names) = text.strip_prefix("namespaces ") {
        return format!("namespaces {}", shortened(&names.split(", ").collect::<Vec<_>>(), ", ", IN_BRACES));
    }
    let Some((before, rest)) = text.split_once('{') else { return text.to_owned() };
    let Some((names, after)) = rest.split_once('}') else { return text.to_owned() };
    let all: Vec<&str> = names.split(',').collect();
    let more = all.len().saturating_sub(IN_BRACES);
    if more == 0 {
        return text.to_owned();
    }
    let shown: Vec<&str> = all.into_iter().take(IN_BRACES).collect();
    format!("{before}{{{} and {more} more}}{after}", shown.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut() {
        let texts = ["prod/{a,b,c,d,e,f,g,h}", "namespaces a, b", "outside"].map(ToOwned::to_owned);
        assert_eq!(few(&texts), "prod/{a,b,c,d,e,f and 2 more}, namespaces a, b, outside");
        assert_eq!(few(&vec!["x".to_owned(); 9]), "x, x, x, x, x, x and 3 more");
    }
}

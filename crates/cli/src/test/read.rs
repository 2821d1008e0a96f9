//! From a file to tests: every mistake with its place and what is accepted.

use std::{
    io::{ErrorKind, Read as _},
    path::Path,
};

use palisade_engine::model::{Direction, FileId, Sources, Span};
use palisade_manifest::{
    Diagnostic,
    texts::Texts,
    yaml::{Node, Part, Plan, Stream, Value, View},
};

use super::{
    ends,
    file::{API_VERSION, Assertion, EndSpec, Form, KIND, PortSpec, Ports, Test},
    ports,
};
use crate::endpoint::distance;

/// The code of findings in test files.
const CODE: &str = "TEST";

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) tests: Vec<Test>,
    pub(super) findings: Vec<Diagnostic>,
    pub(super) sources: Sources,
    pub(super) texts: Texts,
}

impl Files {
    /// Reads test files; `-` is standard input.
    pub(super) fn read<P: AsRef<Path>>(paths: &[P]) -> Self {
        let mut files = Self::default();
        for path in paths {
            let path = path.as_ref();
            let is_stdin = path == Path::new("-");
            let name = if is_stdin { "<stdin>".to_owned() } else { path.display().to_string() };
            let bytes = if is_stdin {
                let mut bytes = Vec::new();
                std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
            } else {
                std::fs::read(path)
            };
            let file = files.sources.add(name.as_str());
            let text = match bytes.map(String::from_utf8) {
                Ok(Ok(text)) => text,
                Ok(Err(error)) => {
                    let at = error.utf8_error().valid_up_to();
                    files.findings.push(Diagnostic::error(CODE, format!("{name} is not UTF-8: byte {at} is none")));
                    continue;
                }
                Err(error) => {
                    let what = match error.kind() {
                        ErrorKind::NotFound => "there is no such file".to_owned(),
                        ErrorKind::IsADirectory => "it is a folder; name the file".to_owned(),
                        _ => error.to_string(),
                    };
                    files.findings.push(Diagnostic::error(CODE, format!("cannot read {name}: {what}")));
                    continue;
                }
            };
            files.add(file, &name, text);
        }
        files
    }

    /// Reads a text that is no file.
    pub(super) fn of_text(name: &str, text: &str) -> Self {
        let mut files = Self::default();
        let file = files.sources.add(name);
        files.add(file, name, text.to_owned());
        files
    }

    fn add(&mut self, file: FileId, name: &str, text: String) {
        let text = text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text);
        let mut reader = Reader { file, findings: Vec::new() };
        let tests = reader.documents(&text);
        if tests.is_empty() && reader.findings.is_empty() {
            reader.findings.push(Diagnostic::error(CODE, format!("{name} asserts nothing: it has no tests")));
        }
        self.tests.extend(tests);
        self.findings.append(&mut reader.findings);
        // As it was when it was judged.
        self.texts.keep(file, text);
    }
}

/// Reads one file.
pub(super) struct Reader {
    file: FileId,
    findings: Vec<Diagnostic>,
}

impl Reader {
    fn documents(&mut self, text: &str) -> Vec<Test> {
        let mut stream = Stream::new(text, Plan::WHOLE);
        let mut tests = Vec::new();
        while let Some(part) = stream.next_part() {
            let mut broken = stream.take_problems();
            let fine = broken.is_empty();
            match part {
                Part::Broken(error) => broken.push(error),
                Part::Document { root, .. } if fine => {
                    let root = stream.tree().node(root);
                    if !root.is_null() {
                        tests.extend(self.document(root));
                    }
                }
                Part::Document { .. } | Part::Item { .. } => {}
            }
            for error in broken {
                let finding = Diagnostic::error(CODE, error.mistake.to_string());
                let finding = finding.at(Span { file: self.file, start: error.start, end: error.end }, "");
                self.findings.push(match error.earlier {
                    Some((start, end)) => finding.also(Span { file: self.file, start, end }, "first here"),
                    None => finding,
                });
            }
        }
        tests
    }

    fn document(&mut self, root: Node<'_>) -> Vec<Test> {
        let version = root.get("apiVersion").and_then(|node| node.text());
        if let Some(kind) = root.get("kind")
            && let Some(other) = kind.text().filter(|kind| *kind != KIND)
            && version.is_some_and(|version| version.split('/').next() != API_VERSION.split('/').next())
        {
            // Another kind of file: what is missing in it is not what is wrong.
            self.error(kind, format!("kind `{other}` is not {KIND}"), "manifests are given with -f");
            return Vec::new();
        }
        if !self.keys(root, "a test file", &["apiVersion", "kind", "metadata", "tests"]) {
            return Vec::new();
        }
        for (key, wanted) in [("apiVersion", API_VERSION), ("kind", KIND)] {
            match root.get(key) {
                None => self.error(root, format!("this document has no `{key}`"), format!("write `{key}: {wanted}`")),
                Some(node) if node.text() == Some(wanted) => {}
                Some(node) => {
                    let found = node.text().unwrap_or("something else");
                    self.error(node, format!("{key} `{found}` is not {wanted}"), format!("write `{wanted}`"));
                }
            }
        }
        let metadata = root.get("metadata").filter(|node| !node.is_null());
        if let Some(metadata) = metadata {
            self.keys(metadata, "metadata", &["name", "namespace", "labels", "annotations"]);
        }
        let namespace = metadata.and_then(|metadata| metadata.get("namespace"));
        let namespace = namespace.and_then(|node| self.string(node, "a namespace"));
        let Some(list) = root.get("tests") else {
            self.error(root, "this document has no `tests`", "a list of tests is needed");
            return Vec::new();
        };
        let View::Sequence(items) = list.view() else {
            if !list.is_null() {
                self.error(list, "`tests` must be a list", "write `- name: …` for each test");
            }
            return Vec::new();
        };
        items.iter().filter_map(|item| self.test(item, namespace)).collect()
    }

    fn test(&mut self, node: Node<'_>, namespace: Option<&str>) -> Option<Test> {
        let at = self.span(node);
        if !self.keys(node, "a test", &["name", "allow", "deny", "only", "onlyTo", "isolated"]) {
            return None;
        }
        let name = match node.get("name") {
            Some(name) => self.string(name, "a name"),
            None => {
                self.error(node, "this test has no `name`", "say what should be so");
                None
            }
        };
        let mut assertions = Vec::new();
        if let View::Mapping(entries) = node.view() {
            for (key, value) in entries.iter() {
                let form = match key.text() {
                    Some("allow") => Form::Allow,
                    Some("deny") => Form::Deny,
                    Some("only") => Form::Only,
                    Some("onlyTo") => Form::OnlyTo,
                    Some("isolated") => Form::Isolated(Direction::Ingress),
                    _ => continue,
                };
                let at = self.span(key);
                match value.view() {
                    View::Sequence(items) => {
                        if items.iter().len() == 0 {
                            self.error(value, format!("`{}` is empty", form.key()), "it asserts nothing");
                        }
                        for item in items.iter() {
                            let at = self.span(item);
                            assertions.extend(self.assertion(item, form, at));
                        }
                    }
                    View::Scalar(_) | View::Mapping(_) => assertions.extend(self.assertion(value, form, at)),
                }
            }
        }
        let asserts = ["allow", "deny", "only", "onlyTo", "isolated"].iter().any(|key| node.get(key).is_some());
        if !asserts {
            let what = "one or more of allow, deny, only, onlyTo, isolated";
            self.error(node, "this test asserts nothing", format!("write {what}"));
        }
        Some(Test { name: name?.to_owned(), at, namespace: namespace.map(ToOwned::to_owned), assertions })
    }

    fn assertion(&mut self, node: Node<'_>, form: Form, at: Span) -> Vec<Assertion> {
        if form.key() == "isolated" {
            return self.isolated(node, at);
        }
        if !self.keys(node, &format!("`{}`", form.key()), &["from", "to", "ports", "exceptPorts", "allowEmpty"]) {
            return Vec::new();
        }
        let from = self.required_end(node, "from");
        let to = self.required_end(node, "to");
        let ports = self.ports(node);
        let allow_empty = self.flag(node, "allowEmpty");
        vec![Assertion { form, at, from, to, ports, allow_empty }]
    }

    fn isolated(&mut self, node: Node<'_>, at: Span) -> Vec<Assertion> {
        if !self.keys(node, "`isolated`", &["ingress", "egress", "allowEmpty"]) {
            return Vec::new();
        }
        let allow_empty = self.flag(node, "allowEmpty");
        let mut assertions = Vec::new();
        for direction in Direction::ALL {
            let Some(value) = node.get(&direction.to_string()) else { continue };
            let end = ends::read(self, value);
            let (from, to) = match direction {
                Direction::Ingress => (None, end),
                Direction::Egress => (end, None),
            };
            assertions.push(Assertion {
                form: Form::Isolated(direction),
                at,
                from,
                to,
                ports: Ports::All,
                allow_empty,
            });
        }
        if assertions.is_empty() {
            self.error(node, "`isolated` names no pods", "write `ingress:` or `egress:`, and whose pods");
        }
        assertions
    }

    fn required_end(&mut self, node: Node<'_>, key: &str) -> Option<EndSpec> {
        match node.get(key) {
            Some(value) => ends::read(self, value),
            None => {
                self.error(node, format!("there is no `{key}`"), format!("`{key}: anyone` means everyone"));
                None
            }
        }
    }

    fn ports(&mut self, node: Node<'_>) -> Ports {
        match (node.get("ports"), node.get("exceptPorts")) {
            (None, None) => Ports::All,
            (Some(list), None) => Ports::These(self.port_list(list, "ports")),
            (None, Some(list)) => Ports::AllBut(self.port_list(list, "exceptPorts")),
            (Some(_), Some(list)) => {
                self.error(list, "`ports` and `exceptPorts` do not go together", "leave one of them out");
                Ports::All
            }
        }
    }

    fn port_list(&mut self, list: Node<'_>, key: &str) -> Vec<PortSpec> {
        let nodes: Vec<Node<'_>> = match list.view() {
            View::Sequence(items) => items.iter().collect(),
            View::Scalar(_) if !list.is_null() => vec![list],
            View::Scalar(_) | View::Mapping(_) => {
                self.error(list, format!("`{key}` must be a list of ports"), ports::ACCEPTED);
                return Vec::new();
            }
        };
        if nodes.is_empty() {
            self.error(list, format!("`{key}` is empty"), "leave it out to mean all traffic");
        }
        let mut found = Vec::new();
        for node in nodes {
            let Some(text) = node.text() else {
                self.error(node, "a port must be a number or a name", ports::ACCEPTED);
                continue;
            };
            match ports::parse(text) {
                Ok(port) => found.push(port),
                Err(wrong) => self.error(node, wrong, ""),
            }
        }
        found
    }

    fn flag(&mut self, node: Node<'_>, key: &str) -> bool {
        match node.get(key).map(|node| (node, node.value())) {
            None => false,
            Some((_, Some(Value::Bool(flag)))) => flag,
            Some((node, _)) => {
                self.error(node, format!("`{key}` must be true or false"), "write `true`");
                false
            }
        }
    }

    /// Whether `node` is a mapping; its keys must be among `known`.
    pub(super) fn keys(&mut self, node: Node<'_>, what: &str, known: &[&str]) -> bool {
        let View::Mapping(entries) = node.view() else {
            self.error(node, format!("{what} must be a mapping"), format!("with {}", known.join(", ")));
            return false;
        };
        for (key, _) in entries.iter() {
            let Some(name) = key.text() else { continue };
            if known.contains(&name) {
                continue;
            }
            let meant = near(name, known).map(|meant| format!("did you mean `{meant}`?"));
            let label = meant.unwrap_or_else(|| format!("there are {}", known.join(", ")));
            self.error(key, format!("{what} has no key `{name}`"), label);
        }
        true
    }

    /// The text of a node that must be a string.
    pub(super) fn string<'n>(&mut self, node: Node<'n>, what: &str) -> Option<&'n str> {
        match node.value() {
            Some(Value::String("")) => self.error(node, format!("{what} is needed here, and this is empty"), ""),
            Some(Value::String(text)) => return Some(text),
            Some(other) => {
                let written = node.text().unwrap_or_default();
                let label = if written.is_empty() { String::new() } else { format!("write \"{written}\", in quotes") };
                self.error(node, format!("{what} must be a string, not {}", other.type_name()), label);
            }
            None => self.error(node, format!("{what} must be a string, not a list or a mapping"), ""),
        }
        None
    }

    /// Keeps a finding about a node.
    pub(super) fn error(&mut self, node: Node<'_>, message: impl Into<String>, label: impl Into<String>) {
        let at = self.span(node);
        self.findings.push(Diagnostic::error(CODE, message).at(at, label));
    }

    pub(super) fn span(&self, node: Node<'_>) -> Span {
        Span { file: self.file, start: node.start(), end: node.end() }
    }
}

/// A finding about a place of a test file.
pub(super) fn finding(at: Span, message: String) -> Diagnostic {
    Diagnostic::error(CODE, message).at(at, "")
}

/// The key that was probably meant.
fn near<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let far = |key: &str| distance(&name.to_lowercase(), &key.to_lowercase());
    let nearest = known.iter().min_by_key(|key| far(key))?;
    (far(nearest) <= (name.len() / 3).max(1)).then_some(nearest)
}

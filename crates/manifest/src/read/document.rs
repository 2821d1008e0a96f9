//! One text: its documents, and each object by its kind.

use palisade_engine::model::{FileId, ObjectKind, Span};

use super::{Reader, Wish, list::List, mistakes};
use crate::{
    context::Context,
    diagnostic::{Diagnostic, code},
    field::Field,
    fix::{Fix, Safety},
    objects::{
        kind::{self, Class},
        metadata, namespace_and_node, pod, service, slice, workload,
    },
    policy,
    texts::Lines,
    yaml::{Head, Node, NodeId, Part, Plan, Stream, View, YamlError},
};

/// The annotation by which an object opts out of findings: `NP103: reason`, several separated by `;`.
const IGNORE: &str = "palisade.dev/ignore";

/// The kind of a list's items and their `apiVersion`, where the list says it.
pub(super) type Defaults<'a> = Option<(&'a str, &'a str)>;

/// Lists are read item by item; of what is passed over no tree is made.
const PLAN: Plan = Plan { split: is_list, skip: is_passed_over };

fn is_list(head: Head<'_>) -> bool {
    // Before `kind` is known, `items` is most probably a list's (kubectl sorts `items` before `kind`).
    head.kind.is_none_or(kind::is_list)
}

fn is_passed_over(head: Head<'_>) -> bool {
    let (Some(version), Some(kind)) = (head.api_version, head.kind) else { return false };
    kind::classify(version, kind) == Class::PassOver && !may_be_policy(version)
}

/// An object of this group may be a NetworkPolicy under a wrong kind.
fn may_be_policy(version: &str) -> bool {
    kind::group(version) == kind::group(kind::api_version(ObjectKind::NetworkPolicy))
}

impl Reader<'_> {
    /// Reads every document of a text.
    pub(super) fn documents(&mut self, file: FileId, text: &Lines<'_>) {
        let mut stream = Stream::new(text.text, PLAN);
        let mut list = List::default();
        while let Some(part) = stream.next_part() {
            let problems = stream.take_problems();
            match part {
                Part::Item { index, node } => self.list_item(file, text, &stream, &mut list, index, node, problems),
                Part::Document { root, split: true } => {
                    if let Some(split) = self.list_end(file, text, &stream, &mut list, root, problems) {
                        stream.again(split);
                    }
                }
                Part::Document { root, split: false } => {
                    list = List::default();
                    self.root(file, text, stream.tree().node(root), problems);
                }
                Part::Broken(error) => {
                    list = List::default();
                    let known = mistakes::findings(file, text, &problems);
                    let told = known.hopeless && mistakes::is_template(text, &error);
                    self.keep_all(known.findings);
                    if !told {
                        self.keep(mistakes::finding(file, text, &error));
                    }
                }
            }
        }
        if let Some((finding, more)) = self.bool_letters.take() {
            let finding = if more > 0 { finding.help(format!("{more} more of these in this file")) } else { finding };
            self.keep(finding);
        }
    }

    /// A document that is no list read item by item.
    fn root(&mut self, file: FileId, text: &Lines<'_>, root: Node<'_>, problems: Vec<YamlError>) {
        if root.is_null() && problems.is_empty() {
            return;
        }
        self.object(file, text, root, None, problems);
    }

    /// One object, or a list inside of a list.
    pub(super) fn object(
        &mut self,
        file: FileId,
        text: &Lines<'_>,
        node: Node<'_>,
        defaults: Defaults<'_>,
        problems: Vec<YamlError>,
    ) {
        self.objects += 1;
        let before = self.reading.diagnostics.len();
        let known = mistakes::findings(file, text, &problems);
        let has_mistakes = !known.findings.is_empty();
        self.keep_all(known.findings);
        let span = Span { file, start: node.start(), end: node.end() };
        if !matches!(node.view(), View::Mapping(_)) {
            if !known.hopeless {
                self.keep(not_an_object(span, node));
            }
            return;
        }
        let Some((version, kind)) = self.head(span, node, defaults, known.hopeless) else { return };
        let title = metadata::title(node, kind, &self.options.default_namespace);
        for finding in self.reading.diagnostics.iter_mut().skip(before) {
            finding.object = Some(title.clone());
        }
        if known.hopeless {
            return;
        }
        match kind::classify(version, kind) {
            Class::Read(kind) => self.read(file, node, kind, title, !has_mistakes),
            Class::List => self.nested_list(file, text, node, version, kind),
            // Assertions, which may stand in the same folder, are for `palisade test`.
            Class::PassOver if version.starts_with("palisade.dev/") => {}
            Class::PassOver => {
                if may_be_policy(version) && looks_like_policy(node) {
                    let finding = Diagnostic::error(code::API, format!("`{kind}` has no policy rules"));
                    let finding = at_key(file, node, "kind", finding, "is this a NetworkPolicy?");
                    self.keep(finding);
                }
                *self.reading.passed_over.entry((version.to_owned(), kind.to_owned())).or_default() += 1;
            }
            Class::WrongVersion(right) => {
                let finding = Diagnostic::error(code::API, format!("there is no {kind} in apiVersion `{version}`"));
                let mut finding = at_key(file, node, "apiVersion", finding, &format!("write `{right}`"));
                finding.object = Some(title);
                // Policies have had one form since their first version; other kinds have fields that changed.
                let is_policy = kind == kind::name(ObjectKind::NetworkPolicy);
                finding.fix = rewritten(file, node, "apiVersion", right).filter(|_| is_policy);
                self.keep(finding);
            }
            Class::Misspelt(right) => {
                let finding = Diagnostic::error(code::API, format!("there is no kind `{kind}` in `{version}`"));
                let mut finding = at_key(file, node, "kind", finding, &format!("did you mean `{right}`?"));
                finding.object = Some(title);
                finding.fix = rewritten(file, node, "kind", right).filter(|_| kind.eq_ignore_ascii_case(right));
                self.keep(finding);
            }
        }
    }

    /// `apiVersion` and `kind`, its own or else its list's; reports what is missing.
    fn head<'n>(
        &mut self,
        span: Span,
        node: Node<'n>,
        defaults: Defaults<'n>,
        hopeless: bool,
    ) -> Option<(&'n str, &'n str)> {
        let mut found = [None, None];
        let inherited = [defaults.map(|(version, _)| version), defaults.map(|(_, kind)| kind)];
        for ((name, place), inherited) in ["apiVersion", "kind"].into_iter().zip(&mut found).zip(inherited) {
            let field = node.get(name).filter(|field| !field.is_null() && field.text() != Some(""));
            match field.map(|field| (field, field.value())) {
                Some((_, Some(crate::yaml::Value::String(text)))) => *place = Some(text),
                Some((field, _)) => {
                    let span = Span { start: field.start(), end: field.end(), ..span };
                    let finding = Diagnostic::error(code::API, format!("`{name}` must be a string"));
                    self.keep(finding.at(span, "a string is needed here"));
                    return None;
                }
                None if inherited.is_some() => *place = inherited,
                None => {}
            }
        }
        if let [Some(version), Some(kind)] = found {
            return Some((version, kind));
        }
        if hopeless {
            return None;
        }
        let missing = match found {
            [None, None] => "no `apiVersion` and no `kind`",
            [None, _] => "no `apiVersion`",
            _ => "no `kind`",
        };
        let mut finding = Diagnostic::error(code::API, format!("this object has {missing}"));
        let first_line = span.end.line == span.start.line;
        let place = match node.view() {
            View::Mapping(entries) => entries.iter().next().filter(|_| !first_line).map(|(key, _)| key),
            View::Scalar(_) | View::Sequence(_) => None,
        };
        let span = place.map_or(span, |key| Span { start: key.start(), end: key.end(), ..span });
        finding = finding.at(span, "what is it?");
        finding.field = Some(if found.first() == Some(&None) { "apiVersion" } else { "kind" }.to_owned());
        let meant = match found {
            [None, None] => Some("if this is no manifest, name the files to read instead of their folder".to_owned()),
            [_, Some(kind)] => kind::version_of(kind).map(|version| format!("write `apiVersion: {version}`")),
            _ => None,
        };
        finding.help.extend(meant);
        self.keep(finding);
        None
    }

    /// An object of a kind that is read. It joins the inventory only if all of it was understood.
    fn read(&mut self, file: FileId, node: Node<'_>, kind: ObjectKind, title: String, is_whole: bool) {
        let annotations = node.get("metadata").and_then(|metadata| metadata.get("annotations"));
        if let Some(text) = annotations.and_then(|all| all.get(IGNORE)).and_then(Node::text) {
            let at = Span { file, start: node.start(), end: node.end() };
            self.reading.wishes.push(Wish { object: title.clone(), at, text: text.to_owned() });
        }
        let mut cx = Context {
            file,
            default_namespace: &self.options.default_namespace,
            server: self.options.server,
            names: &mut self.names,
            generated: &mut self.generated,
            diagnostics: &mut self.reading.diagnostics,
            networks: &mut self.reading.networks,
            object: Some(title),
            bool_letters: &mut self.bool_letters,
            beyond: None,
            failed: !is_whole,
        };
        let root = Field::root(node);
        let inventory = &mut self.reading.inventory;
        let fail_closed = self.options.fail_closed;
        macro_rules! add {
            ($list:ident, $object:expr) => {{
                let object = $object;
                if !cx.failed {
                    inventory.$list.extend(object);
                }
            }};
        }
        match kind {
            ObjectKind::Namespace => add!(namespaces, namespace_and_node::namespace(&mut cx, &root)),
            ObjectKind::Node => add!(nodes, namespace_and_node::node(&mut cx, &root)),
            ObjectKind::Pod => add!(pods, pod::read(&mut cx, &root)),
            ObjectKind::Workload(kind) => add!(workloads, workload::read(&mut cx, &root, kind)),
            ObjectKind::Service => add!(services, service::read(&mut cx, &root)),
            ObjectKind::EndpointSlice => add!(endpoint_slices, slice::read(&mut cx, &root)),
            ObjectKind::NetworkPolicy => add!(policies, policy::read(&mut cx, &root)),
            ObjectKind::ClusterPolicy(kind) => {
                let policy = policy::cluster::read(&mut cx, &root, kind);
                inventory.cluster_policies.extend(policy.filter(|_| fail_closed || !cx.failed));
            }
        }
    }
}

/// A finding at the value of one of the object's own fields.
fn at_key(file: FileId, node: Node<'_>, name: &str, finding: Diagnostic, label: &str) -> Diagnostic {
    let value = node.get(name).unwrap_or(node);
    let mut finding = finding.at(Span { file, start: value.start(), end: value.end() }, label);
    finding.field = Some(name.to_owned());
    finding
}

/// Other words for the value of one of the object's own fields.
fn rewritten(file: FileId, node: Node<'_>, name: &str, text: &str) -> Option<Fix> {
    let value = node.get(name)?;
    Some(Fix::write(Safety::Safe, Span { file, start: value.start(), end: value.end() }, text))
}

fn looks_like_policy(node: Node<'_>) -> bool {
    let spec = node.get("spec");
    ["podSelector", "policyTypes"].into_iter().any(|name| spec.is_some_and(|spec| spec.get(name).is_some()))
}

fn not_an_object(span: Span, node: Node<'_>) -> Diagnostic {
    let first = Span { end: span.end.min(palisade_engine::model::Position { column: u32::MAX, ..span.start }), ..span };
    match node.view() {
        View::Sequence(_) => Diagnostic::error(code::YAML, "an object is needed here, not a list of them")
            .at(first, "a list")
            .help("write the objects one after the other, with `---` between them, or as `items` of `kind: List`"),
        _ => {
            let finding = Diagnostic::error(code::YAML, "an object is needed here, with `apiVersion` and `kind`");
            let finding = finding.at(first, "not an object");
            match node.text() {
                Some(text) if text.contains("{{") => finding.help(super::TEMPLATE_HELP),
                _ => finding,
            }
        }
    }
}

/// The node of a part, named for what it is there for.
pub(super) fn node<'s>(stream: &'s Stream<'_>, id: NodeId) -> Node<'s> {
    stream.tree().node(id)
}

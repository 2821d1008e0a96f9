//! Lists, item by item.
//!
//! `kubectl get -o yaml` prints `apiVersion`, `items`, `kind`: the items come before the list says
//! that it is one. So items that name their own kind are read as they come, and if the document then
//! turns out to be something else, or to be a `PodList` whose items name no kind, they are taken back
//! and the document is read once more, now knowing what it is.

use std::collections::BTreeMap;

use palisade_engine::model::{FileId, Inventory, Span};

use super::{Reader, document, mistakes};
use crate::{
    diagnostic::{Diagnostic, Severity, code},
    objects::kind,
    texts::Lines,
    yaml::{Node, NodeId, Stream, View, YamlError},
};

/// The list that is being read.
#[derive(Default)]
pub(super) struct List {
    /// Its `apiVersion` and `kind`, from an earlier reading of the same document.
    known: Option<(String, String)>,
    /// What there was before its first item.
    before: Option<Before>,
    /// Whether an item could not be read without knowing the list's kind.
    unclear: bool,
}

/// How much had been read at one moment.
pub(super) struct Before {
    inventory: [usize; 8],
    diagnostics: usize,
    wishes: usize,
    networks: usize,
    objects: usize,
    generated: u32,
    bool_letters: Option<(Diagnostic, usize)>,
    passed_over: BTreeMap<(String, String), usize>,
}

impl Reader<'_> {
    /// One item.
    #[expect(clippy::too_many_arguments, reason = "one caller; a struct of these would be no clearer")]
    pub(super) fn list_item(
        &mut self,
        file: FileId,
        text: &Lines<'_>,
        stream: &Stream<'_>,
        list: &mut List,
        index: usize,
        item: NodeId,
        problems: Vec<YamlError>,
    ) {
        if index == 0 {
            list.before = Some(self.before());
            list.unclear = false;
        }
        if list.unclear {
            return;
        }
        let item = document::node(stream, item);
        let head = stream.head();
        let known = list.known.as_ref().map(|(version, kind)| (version.as_str(), kind.as_str()));
        match known.or(head.kind.map(|kind| (head.api_version.unwrap_or("v1"), kind))) {
            Some((version, kind)) => {
                let defaults = kind::item_kind(kind).map(|kind| (version, kind));
                self.item(file, text, item, defaults, problems);
            }
            None if says_what_it_is(item) => self.object(file, text, item, None, problems),
            None => list.unclear = true,
        }
    }

    fn item(
        &mut self,
        file: FileId,
        text: &Lines<'_>,
        item: Node<'_>,
        defaults: document::Defaults<'_>,
        problems: Vec<YamlError>,
    ) {
        // Somebody else's kind that only ends in `List` may have any items.
        let foreign = defaults.is_some_and(|(version, kind)| kind::classify(version, kind) == kind::Class::PassOver);
        if foreign && !matches!(item.view(), View::Mapping(_)) {
            return;
        }
        self.object(file, text, item, defaults, problems);
    }

    /// The end of a document whose items were handed out. `Some` when it must be read again: item by
    /// item, or whole.
    pub(super) fn list_end(
        &mut self,
        file: FileId,
        text: &Lines<'_>,
        stream: &Stream<'_>,
        list: &mut List,
        root: NodeId,
        problems: Vec<YamlError>,
    ) -> Option<bool> {
        let node = document::node(stream, root);
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default();
        let is_list = kind::is_list(kind);
        let again = !is_list || (list.unclear && list.known.is_none());
        if again {
            let version = node.get("apiVersion").and_then(Node::text).unwrap_or("v1");
            let known = is_list.then(|| (version.to_owned(), kind.to_owned()));
            if let Some(before) = list.before.take() {
                self.restore(before);
            }
            *list = List { known, ..List::default() };
            return Some(is_list);
        }
        *list = List::default();
        self.objects += 1;
        self.keep_all(mistakes::findings(file, text, &problems).findings);
        self.list_fields(file, node, kind);
        None
    }

    /// A list that was read whole: an item of another list, say.
    pub(super) fn nested_list(&mut self, file: FileId, text: &Lines<'_>, node: Node<'_>, version: &str, kind: &str) {
        self.list_fields(file, node, kind);
        let defaults = kind::item_kind(kind).map(|kind| (version, kind));
        let Some(items) = node.get("items").filter(|items| !items.is_null()) else {
            if kind != "List" {
                // Some kinds only end like a list's.
                *self.reading.passed_over.entry((version.to_owned(), kind.to_owned())).or_default() += 1;
            }
            return;
        };
        match items.view() {
            View::Sequence(items) => {
                for item in items.iter() {
                    self.item(file, text, item, defaults, Vec::new());
                }
            }
            View::Scalar(_) | View::Mapping(_) => {
                let span = Span { file, start: items.start(), end: items.end() };
                let mut finding =
                    Diagnostic::error(code::API, "`items` must be a list").at(span, "put `- ` before each item");
                finding.field = Some("items".to_owned());
                self.keep(finding);
            }
        }
    }

    /// What a list itself says.
    fn list_fields(&mut self, file: FileId, node: Node<'_>, kind: &str) {
        let span = |node: Node<'_>| Span { file, start: node.start(), end: node.end() };
        if node.get("apiVersion").is_none_or(Node::is_null)
            && let Some(place) = node.get("kind")
        {
            let mut finding = Diagnostic::error(code::API, "this list has no `apiVersion`");
            finding.field = Some("apiVersion".to_owned());
            self.keep(finding.at(span(place), "`apiVersion: v1` is missing"));
        }
        let token = node.get("metadata").and_then(|metadata| metadata.get("continue"));
        if let Some(token) = token.filter(|token| token.text().is_some_and(|text| !text.is_empty())) {
            let message = format!("this {kind} is one page of several: objects are missing");
            let finding = Diagnostic::new(Severity::Warning, code::PARTIAL_LIST, message);
            let finding = finding.at(span(token), "more pages follow");
            self.keep(finding.help("`kubectl get -o yaml` fetches all pages"));
        }
    }

    pub(super) fn before(&self) -> Before {
        let Inventory {
            namespaces, nodes, pods, workloads, services, endpoint_slices, policies, cluster_policies, ..
        } = &self.reading.inventory;
        Before {
            inventory: [
                namespaces.len(),
                nodes.len(),
                pods.len(),
                workloads.len(),
                services.len(),
                endpoint_slices.len(),
                policies.len(),
                cluster_policies.len(),
            ],
            diagnostics: self.reading.diagnostics.len(),
            wishes: self.reading.wishes.len(),
            networks: self.reading.networks.len(),
            objects: self.objects,
            generated: self.generated,
            bool_letters: self.bool_letters.clone(),
            passed_over: self.reading.passed_over.clone(),
        }
    }

    pub(super) fn restore(&mut self, before: Before) {
        let Inventory {
            namespaces, nodes, pods, workloads, services, endpoint_slices, policies, cluster_policies, ..
        } = &mut self.reading.inventory;
        let [a, b, c, d, e, f, g, h] = before.inventory;
        namespaces.truncate(a);
        nodes.truncate(b);
        pods.truncate(c);
        workloads.truncate(d);
        services.truncate(e);
        endpoint_slices.truncate(f);
        policies.truncate(g);
        cluster_policies.truncate(h);
        self.reading.diagnostics.truncate(before.diagnostics);
        self.reading.wishes.truncate(before.wishes);
        self.reading.networks.truncate(before.networks);
        self.objects = before.objects;
        self.generated = before.generated;
        self.bool_letters = before.bool_letters;
        self.reading.passed_over = before.passed_over;
    }
}

fn says_what_it_is(item: Node<'_>) -> bool {
    ["apiVersion", "kind"].into_iter().all(|name| item.get(name).is_some_and(|field| !field.is_null()))
}

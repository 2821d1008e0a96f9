//! Cluster-wide policies: ClusterNetworkPolicy (`policy.networking.k8s.io/v1alpha2`, both channels), and
//! AdminNetworkPolicy and BaselineAdminNetworkPolicy (v1alpha1), with the validation of their CRDs.
//!
//! ```text
//! kind ──► Fields    what the fields are called, how many there may be, what the actions are
//! spec ──► tier, priority ──► subject ──► rules: action, peers, ports
//! ```
//!
//! The CRDs let through what no implementation can follow: selectors and names of ports are not looked at
//! at all. What is refused here beyond them has a code of its own. Each part that was not understood leaves
//! its form that fails closed in the policy.

mod peers;
mod ports;
mod rules;
mod subject;

use palisade_engine::model::{
    Action, ClusterMatch, ClusterPolicy, ClusterPolicyKind, ClusterRule, ClusterTier, Direction, ObjectKind,
};

use super::{metadata_fields, unknown};
use crate::{
    check::near,
    context::Context,
    field::Field,
    objects::{metadata, mode},
};

/// What the kinds differ in.
#[derive(Clone, Copy)]
struct Fields {
    kind: ClusterPolicyKind,
    /// How an accepting action is spelt.
    accept: &'static str,
    /// Whether a rule may pass.
    passes: bool,
    /// The name of the list of ports.
    ports: &'static str,
    /// How many rules, peers and ports there may be.
    most: usize,
    /// Whether `pods` needs a `namespaceSelector`.
    needs_namespaces: bool,
    /// Whether there are `domainNames`.
    names: bool,
}

impl Fields {
    fn of(kind: ClusterPolicyKind) -> Self {
        let old = Self {
            kind,
            accept: "Allow",
            passes: true,
            ports: "ports",
            most: 100,
            needs_namespaces: true,
            names: true,
        };
        match kind {
            ClusterPolicyKind::Cluster => {
                Self { accept: "Accept", ports: "protocols", most: 25, needs_namespaces: false, ..old }
            }
            ClusterPolicyKind::Admin => old,
            ClusterPolicyKind::BaselineAdmin => Self { passes: false, names: false, ..old },
        }
    }

    fn spec(self) -> &'static [&'static str] {
        match self.kind {
            ClusterPolicyKind::Cluster => &["tier", "priority", "subject", "ingress", "egress"],
            ClusterPolicyKind::Admin => &["priority", "subject", "ingress", "egress"],
            ClusterPolicyKind::BaselineAdmin => &["subject", "ingress", "egress"],
        }
    }
}

/// Reads and validates a policy.
pub(crate) fn read(cx: &mut Context<'_>, root: &Field<'_>, kind: ClusterPolicyKind) -> Option<ClusterPolicy> {
    let fields = Fields::of(kind);
    unknown::report(cx, root, &["apiVersion", "kind", "metadata", "spec", "status"]);
    let metadata = metadata::read(cx, root, ObjectKind::ClusterPolicy(kind));
    let annotations = cx.harmless(|cx| metadata_fields::check(cx, root));
    let mode = mode::read(cx, root);
    if let (ClusterPolicyKind::BaselineAdmin, Some(metadata)) = (kind, &metadata)
        && metadata.id.name.as_str() != "default"
    {
        let name = root.get("metadata");
        let at = name.as_ref().and_then(|metadata| metadata.get("name"));
        let finding = cx.error(at.as_ref().unwrap_or(root), "there is one BaselineAdminNetworkPolicy, named `default`");
        cx.report(finding.label("write `default`"));
    }
    let Some(spec) = root.get("spec") else {
        let finding = cx.missing(root, "spec", format!("this {kind} has no `spec`"));
        cx.report(finding.label("`spec` is missing"));
        return None;
    };
    if !cx.expect_mapping(&spec) {
        return None;
    }
    unknown::report(cx, &spec, fields.spec());
    let tier = match kind {
        ClusterPolicyKind::Cluster => tier(cx, &spec),
        ClusterPolicyKind::Admin => Some(ClusterTier::Admin),
        ClusterPolicyKind::BaselineAdmin => Some(ClusterTier::Baseline),
    };
    let priority = match kind {
        ClusterPolicyKind::BaselineAdmin => Some(None),
        ClusterPolicyKind::Cluster | ClusterPolicyKind::Admin => priority(cx, &spec).map(Some),
    };
    let subject = subject::read(cx, &spec, fields);
    let ingress = rules::read(cx, &spec, fields, Direction::Ingress, tier);
    let egress = rules::read(cx, &spec, fields, Direction::Egress, tier);
    let at = Some(cx.value_span(root));
    let name = metadata?.id.name;
    Some(match (tier, priority) {
        (Some(tier), Some(priority)) => {
            ClusterPolicy { kind, name, annotations, mode, tier, priority, subject, ingress, egress, at }
        }
        // Without a priority it is asked first in its tier, and without a tier in the first one.
        _ => {
            let (tier, ingress, egress) = (tier.unwrap_or(ClusterTier::Admin), closed(ingress), closed(egress));
            ClusterPolicy { kind, name, annotations, mode, tier, priority: None, subject, ingress, egress, at }
        }
    })
}

/// The rules of a policy of which it is not known when it is asked. Nothing is allowed by them: an Accept might have
/// come behind others that deny. What they deny stays denied, and what they pass on might have been denied there.
fn closed(mut rules: Vec<ClusterRule>) -> Vec<ClusterRule> {
    for rule in &mut rules {
        match rule.action {
            Action::Accept => rule.matches = ClusterMatch::NotUnderstood,
            Action::Deny => {}
            Action::Pass => rule.action = Action::Deny,
        }
    }
    rules
}

fn tier(cx: &mut Context<'_>, spec: &Field<'_>) -> Option<ClusterTier> {
    let spellings = ClusterTier::ALL.map(|tier| tier.to_string());
    let spellings: Vec<&str> = spellings.iter().map(String::as_str).collect();
    let field = required(cx, spec, "tier", "Admin or Baseline")?;
    let text = cx.text(&field)?;
    let found = ClusterTier::ALL.into_iter().find(|tier| tier.to_string() == text);
    if found.is_none() {
        let meant = near::nearest(text, &spellings);
        let fix = meant.and_then(|meant| cx.write(field.node, meant, meant.eq_ignore_ascii_case(text)));
        let label = meant.map_or_else(|| "not a tier".to_owned(), |meant| format!("write `{meant}`"));
        let finding = cx.error(&field, format!("tier `{text}` is not one of {}", spellings.join(", ")));
        cx.report(finding.label(label).fix(fix));
    }
    found
}

fn priority(cx: &mut Context<'_>, spec: &Field<'_>) -> Option<u16> {
    let field = required(cx, spec, "priority", "a number from 0 to 1000; the smallest is asked first")?;
    let number = cx.integer(&field)?;
    let priority = u16::try_from(number).ok().filter(|number| *number <= 1000);
    if priority.is_none() {
        let finding = cx.error(&field, format!("priority {number} is not between 0 and 1000"));
        cx.report(finding.label("the smallest is asked first"));
    }
    priority
}

/// A field that must be there and not null; reports it if not.
fn required<'f>(cx: &mut Context<'_>, of: &'f Field<'_>, name: &'static str, what: &str) -> Option<Field<'f>> {
    let found = of.get(name);
    if found.is_none() {
        let finding = cx.missing(of, name, format!("`{name}` is missing"));
        cx.report(finding.label(format!("write `{name}`: {what}")));
    }
    found
}

/// Reports a list that has more items than it may have.
fn at_most(cx: &mut Context<'_>, list: &Field<'_>, most: usize) {
    let count = list.items().count();
    if count > most {
        let name = list.name().unwrap_or("the list");
        let finding = cx.error(list, format!("`{name}` has {count} items, and at most {most} are possible"));
        cx.report(finding.label("make two policies of it"));
    }
}

/// Reports an empty list, and returns whether it has items.
fn has_items(cx: &mut Context<'_>, list: &Field<'_>, advice: &str) -> bool {
    if list.items().next().is_some() {
        return true;
    }
    let name = list.name().unwrap_or("the list");
    let finding = cx.error(list, format!("`{name}` is empty"));
    cx.report(finding.label(advice));
    false
}

/// The one entry that a mapping must have (null ones do not count); reports none and several.
fn only(cx: &mut Context<'_>, field: &Field<'_>, known: &'static [&'static str]) -> Option<&'static str> {
    let others = unknown::report(cx, field, known);
    let given: Vec<&'static str> = known.iter().copied().filter(|name| field.get(name).is_some()).collect();
    match given.as_slice() {
        [one] => Some(one),
        [] => {
            if !others {
                let finding = cx.error(field, format!("one of {} is needed here", list(known)));
                cx.report(finding.label("this says nothing"));
            }
            None
        }
        several => {
            let finding = cx.error(field, format!("only one of {} can be given", list(several)));
            cx.report(finding.label("make an item of each"));
            None
        }
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

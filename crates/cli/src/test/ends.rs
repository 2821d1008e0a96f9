//! Ends of connections as they are written in a test file.

use ipnet::IpNet;
use palisade_engine::{
    model::{LabelSelector, Operator, Requirement},
    sets::PrefixSet,
};
use palisade_manifest::yaml::{Node, View};

use super::{
    file::{EndSpec, Item, Meant, Namespaces},
    read::Reader,
};
use crate::endpoint::parse_end;

const OPERATORS: [&str; 4] = ["In", "NotIn", "Exists", "DoesNotExist"];

/// Reads an end, or a list of them.
pub(super) fn read(reader: &mut Reader, node: Node<'_>) -> Option<EndSpec> {
    let items: Vec<Item> = match node.view() {
        View::Sequence(items) => {
            if items.iter().len() == 0 {
                reader.error(node, "this list of ends is empty", "leave out what nobody is to be");
            }
            items.iter().filter_map(|node| item(reader, node)).collect()
        }
        View::Scalar(_) | View::Mapping(_) => item(reader, node).into_iter().collect(),
    };
    (!items.is_empty()).then_some(EndSpec { items })
}

fn item(reader: &mut Reader, node: Node<'_>) -> Option<Item> {
    let at = reader.span(node);
    let (meant, text) = match node.view() {
        View::Mapping(_) if node.get("cidr").is_some() || node.get("except").is_some() => block(reader, node)?,
        View::Mapping(_) => pods(reader, node)?,
        View::Scalar(_) => {
            let text = reader.string(node, "an end")?;
            (named(reader, node, text)?, text.to_owned())
        }
        View::Sequence(_) => {
            reader.error(node, "an end must be a name, an address or a mapping, not a list in a list", "");
            return None;
        }
    };
    Some(Item { meant, text, at })
}

fn named(reader: &mut Reader, node: Node<'_>, text: &str) -> Option<Meant> {
    match text {
        "anyone" => return Some(Meant::Anyone),
        "outside" => return Some(Meant::Outside),
        _ => {}
    }
    if text.parse::<IpNet>().is_ok() {
        return Some(Meant::Network(std::iter::once(network(reader, node, text)?).collect()));
    }
    match parse_end(text) {
        Ok(end) => Some(Meant::Named(end)),
        Err(_) if text.contains(':') => {
            reader.error(node, format!("`{text}` is no end: ports are not written here"), "ports stand under `ports`");
            None
        }
        Err(error) => {
            let help = "or `ns/NAMESPACE`, a network, `outside`, `anyone`";
            reader.error(node, error.to_string(), help);
            None
        }
    }
}

/// `{cidr, except}`
fn block(reader: &mut Reader, node: Node<'_>) -> Option<(Meant, String)> {
    reader.keys(node, "an end by address", &["cidr", "except"]);
    let Some(cidr) = node.get("cidr") else {
        reader.error(node, "`except` without `cidr`", "take it away from which network?");
        return None;
    };
    let text = reader.string(cidr, "a network")?;
    let cidr = network(reader, cidr, text)?;
    let mut except = Vec::new();
    let list = node.get("except").filter(|list| !list.is_null());
    if let Some(list) = list {
        let View::Sequence(items) = list.view() else {
            reader.error(list, "`except` must be a list of networks", "");
            return None;
        };
        for item in items.iter() {
            let text = reader.string(item, "a network")?;
            let net = network(reader, item, text)?;
            if !cidr.contains(&net) {
                reader.error(item, format!("{net} is not in {cidr}"), "only what is in `cidr` can be taken away");
                return None;
            }
            except.push(net);
        }
    }
    let mut words = cidr.to_string();
    if !except.is_empty() {
        let list: Vec<String> = except.iter().map(IpNet::to_string).collect();
        words.push_str(&format!(" without {}", list.join(", ")));
    }
    Some((Meant::Network(PrefixSet::block(cidr, &except)), words))
}

fn network(reader: &mut Reader, node: Node<'_>, text: &str) -> Option<IpNet> {
    match text.parse::<IpNet>() {
        Ok(net) if net == net.trunc() => Some(net),
        Ok(net) => {
            let right = net.trunc();
            reader.error(node, format!("`{text}` has bits after its prefix"), format!("write {right}"));
            None
        }
        Err(_) => {
            reader.error(node, format!("`{text}` is no network"), "as 10.0.0.0/8 or 2001:db8::/32");
            None
        }
    }
}

/// `{namespace | namespaceSelector, podSelector}`
fn pods(reader: &mut Reader, node: Node<'_>) -> Option<(Meant, String)> {
    let known = ["namespace", "namespaceSelector", "podSelector", "cidr", "except"];
    reader.keys(node, "an end", &known);
    let [namespace, namespaces, pods] = ["namespace", "namespaceSelector", "podSelector"].map(|key| node.get(key));
    let namespaces = match (namespace, namespaces) {
        (Some(_), Some(selector)) => {
            reader.error(selector, "`namespace` and `namespaceSelector` do not go together", "leave one of them out");
            return None;
        }
        (Some(name), None) => Namespaces::Named(reader.string(name, "a namespace")?.to_owned()),
        (None, Some(node)) => Namespaces::Matching(selector(reader, node)?),
        (None, None) if pods.is_some() => Namespaces::Own,
        (None, None) => {
            reader.error(node, "this end is nobody", "write namespace, namespaceSelector, podSelector or cidr");
            return None;
        }
    };
    let pods = match pods {
        Some(node) => selector(reader, node)?,
        None => LabelSelector::everything(),
    };
    let who = if pods.is_everything() { "any pod".to_owned() } else { format!("pods {pods}") };
    let text = match &namespaces {
        Namespaces::Own => who,
        Namespaces::Named(name) => format!("{who} of namespace {name}"),
        Namespaces::Matching(selector) if selector.is_everything() => format!("{who} of any namespace"),
        Namespaces::Matching(selector) => format!("{who} of namespaces {selector}"),
    };
    Some((Meant::Pods { namespaces, pods }, text))
}

/// A label selector as in a NetworkPolicy; `{}` selects everything.
fn selector(reader: &mut Reader, node: Node<'_>) -> Option<LabelSelector> {
    if !reader.keys(node, "a label selector", &["matchLabels", "matchExpressions"]) {
        return None;
    }
    let mut requirements: Vec<Requirement> = Vec::new();
    if let Some(labels) = node.get("matchLabels").filter(|labels| !labels.is_null()) {
        let View::Mapping(entries) = labels.view() else {
            reader.error(labels, "`matchLabels` must be a mapping of labels", "as `app: web`");
            return None;
        };
        for (key, value) in entries.iter() {
            let (key, value) = (key.text()?, label_value(reader, value)?);
            requirements.push(Requirement::equals(key, value));
        }
    }
    if let Some(list) = node.get("matchExpressions").filter(|list| !list.is_null()) {
        let View::Sequence(items) = list.view() else {
            reader.error(list, "`matchExpressions` must be a list", "of key, operator and values");
            return None;
        };
        for item in items.iter() {
            requirements.push(expression(reader, item)?);
        }
    }
    Some(requirements.into_iter().collect())
}

fn expression(reader: &mut Reader, node: Node<'_>) -> Option<Requirement> {
    if !reader.keys(node, "an expression", &["key", "operator", "values"]) {
        return None;
    }
    let (Some(key), Some(operator)) = (node.get("key"), node.get("operator")) else {
        reader.error(node, "an expression needs `key` and `operator`", format!("one of {}", OPERATORS.join(", ")));
        return None;
    };
    let key = reader.string(key, "a label's key")?;
    let mut values = Vec::new();
    if let Some(list) = node.get("values").filter(|list| !list.is_null()) {
        let View::Sequence(items) = list.view() else {
            reader.error(list, "`values` must be a list", "");
            return None;
        };
        for item in items.iter() {
            values.push(label_value(reader, item)?.into());
        }
    }
    let operator = match (operator.text().unwrap_or_default(), values.is_empty()) {
        ("In", false) => Operator::In(values),
        ("NotIn", false) => Operator::NotIn(values),
        ("Exists", true) => Operator::Exists,
        ("DoesNotExist", true) => Operator::DoesNotExist,
        (name @ ("In" | "NotIn"), true) => {
            reader.error(operator, format!("`{name}` needs `values`"), "which values?");
            return None;
        }
        (name @ ("Exists" | "DoesNotExist"), false) => {
            let label = "leave `values` out, or write `In` or `NotIn`";
            reader.error(operator, format!("`{name}` looks at the key alone and takes no values"), label);
            return None;
        }
        (other, _) => {
            let accepted = OPERATORS.join(", ");
            reader.error(operator, format!("operator `{other}` is not one of {accepted}"), "");
            return None;
        }
    };
    Some(Requirement::new(key, operator))
}

/// A label's value may be empty.
fn label_value<'n>(reader: &mut Reader, node: Node<'n>) -> Option<&'n str> {
    use palisade_manifest::yaml::Value;
    if node.value() == Some(Value::String("")) { Some("") } else { reader.string(node, "a label's value") }
}

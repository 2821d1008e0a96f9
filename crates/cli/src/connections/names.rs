//! Sets of ends in the words that people read.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use ipnet::IpNet;
use palisade_engine::{
    connections::{Groups, Members, OutsideMembers, Part, PodMembers, UnitId, UnitKind},
    model::{Cluster, Name},
    sets::PrefixSet,
};

/// How many of a long list are told before the rest is counted.
const NAMED: usize = 12;

/// Calls sets by name.
pub(crate) struct Namer<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) groups: &'a Groups,
    /// Each group's name within its namespace.
    short: Vec<String>,
}

impl<'a> Namer<'a> {
    pub(crate) fn new(cluster: &'a Cluster, groups: &'a Groups) -> Self {
        let mut taken: HashMap<(&Name, &Name), usize> = HashMap::new();
        for unit in groups.units() {
            if let UnitKind::Pod(name) | UnitKind::Workload(_, name) = &unit.kind {
                *taken.entry((&unit.namespace, name)).or_default() += 1;
            }
        }
        let short = groups.units().iter().map(|unit| match &unit.kind {
            UnitKind::Namespace => format!("namespace {}", unit.namespace),
            UnitKind::Workload(kind, name) if taken.get(&(&unit.namespace, name)).is_some_and(|count| *count > 1) => {
                format!("{kind}/{name}")
            }
            UnitKind::Pod(name) | UnitKind::Workload(_, name) => name.to_string(),
        });
        Self { cluster, groups, short: short.collect() }
    }

    /// `ecommerce/{api,web}`, `namespace kube-system`, `all pods (but prod/db)`, `outside`: one text each.
    pub(crate) fn texts(&self, members: &Members) -> Vec<String> {
        let has_nodes = self.cluster.nodes().len() > 0;
        if let PodMembers::AllBut(but) = &members.pods
            && (members.nodes.is_none() || !has_nodes)
            && members.outside == OutsideMembers::All
        {
            return match but.as_slice() {
                [] => vec!["everyone".to_owned()],
                but => vec![format!("everyone but {}", self.parts(but).join(", "))],
            };
        }
        let mut texts = self.pods(&members.pods);
        match &members.nodes {
            None if has_nodes => texts.push("all nodes".to_owned()),
            None => {}
            Some(nodes) => texts.extend(nodes.iter().map(|node| format!("node/{}", self.cluster.node(*node).name))),
        }
        match &members.outside {
            OutsideMembers::None => {}
            OutsideMembers::All => texts.push("outside".to_owned()),
            OutsideMembers::Prefixes(set) => texts.extend(prefixes(set)),
        }
        texts
    }

    /// The same with every group by itself, for pictures.
    pub(crate) fn singles(&self, members: &Members) -> Vec<String> {
        let PodMembers::Parts(parts) = &members.pods else { return self.texts(members) };
        let rest = Members { pods: PodMembers::None, ..members.clone() };
        let pods = parts.iter().flat_map(|part| self.parts(std::slice::from_ref(part)));
        pods.chain(self.texts(&rest)).collect()
    }

    /// One group, by its place in [`Groups::units`]: `prod/web`.
    pub(crate) fn unit(&self, index: usize) -> String {
        let unit = self.groups.units().get(index);
        let namespace = unit.map_or("", |unit| unit.namespace.as_str());
        format!("{namespace}/{}", self.short.get(index).map_or("", String::as_str))
    }

    /// Them all in one line.
    pub(crate) fn line(&self, members: &Members) -> String {
        let texts = self.texts(members);
        let rest = texts.len().saturating_sub(NAMED);
        let mut line = texts.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
        if rest > 0 {
            line.push_str(&format!(" and {rest} more"));
        }
        line
    }

    fn pods(&self, pods: &PodMembers) -> Vec<String> {
        match pods {
            PodMembers::None => Vec::new(),
            PodMembers::AllBut(but) if but.is_empty() => vec!["all pods".to_owned()],
            PodMembers::AllBut(but) => vec![format!("all pods (but {})", self.parts(but).join(", "))],
            PodMembers::Parts(parts) => self.parts(parts),
        }
    }

    fn parts(&self, parts: &[Part]) -> Vec<String> {
        let (mut namespaces, mut some_of) = (Vec::new(), Vec::new());
        let mut units: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for part in parts {
            match part {
                Part::Namespace(name) => namespaces.push(name.to_string()),
                Part::Unit(id) => match &self.groups.unit(*id).kind {
                    UnitKind::Namespace => namespaces.push(self.groups.unit(*id).namespace.to_string()),
                    UnitKind::Pod(_) | UnitKind::Workload(..) => {
                        units.entry(&self.groups.unit(*id).namespace).or_default().push(self.short(*id));
                    }
                },
                Part::Some(id, pods) => {
                    let unit = self.groups.unit(*id);
                    let text = format!("{} ({pods} of {} pods)", self.short(*id), unit.pods.len());
                    match unit.kind {
                        UnitKind::Namespace => some_of.push(text),
                        UnitKind::Pod(_) | UnitKind::Workload(..) => {
                            units.entry(&unit.namespace).or_default().push(text);
                        }
                    }
                }
            }
        }
        let mut texts = match namespaces.as_slice() {
            [] => Vec::new(),
            [one] => vec![format!("namespace {one}")],
            several => vec![format!("namespaces {}", several.join(", "))],
        };
        texts.append(&mut some_of);
        texts.extend(units.into_iter().map(|(namespace, mut names)| {
            names.sort();
            match names.as_slice() {
                [one] => format!("{namespace}/{one}"),
                several => format!("{namespace}/{{{}}}", several.join(",")),
            }
        }));
        texts
    }

    fn short(&self, id: UnitId) -> String {
        self.short.get(id.index()).cloned().unwrap_or_default()
    }
}

/// Addresses as few prefixes, each without some where that is shorter.
pub(crate) fn prefixes(set: &PrefixSet) -> Vec<String> {
    let whole = ["0.0.0.0/0", "::/0"].into_iter().filter_map(|all| all.parse::<IpNet>().ok());
    whole.flat_map(|all| shortest(all, set)).map(|part| part.to_string()).collect()
}

/// A prefix, without some of it.
struct PrefixPart {
    prefix: IpNet,
    without: Vec<IpNet>,
}

impl fmt::Display for PrefixPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.prefix)?;
        if !self.without.is_empty() {
            let without: Vec<String> = self.without.iter().map(IpNet::to_string).collect();
            write!(f, " (without {})", without.join(", "))?;
        }
        Ok(())
    }
}

/// What of `within` is in a set: either it without the rest, or what its halves come to.
fn shortest(within: IpNet, set: &PrefixSet) -> Vec<PrefixPart> {
    let all: PrefixSet = std::iter::once(within).collect();
    let inside = set.intersection(&all);
    if inside.is_empty() {
        return Vec::new();
    }
    let without: Vec<IpNet> = all.difference(&inside).prefixes().collect();
    if without.is_empty() {
        return vec![PrefixPart { prefix: within, without }];
    }
    let halves = within.subnets(within.prefix_len() + 1).into_iter().flatten();
    let halves: Vec<PrefixPart> = halves.flat_map(|half| shortest(half, &inside)).collect();
    let cost: usize = halves.iter().map(|part| 1 + part.without.len()).sum();
    if 1 + without.len() < cost { vec![PrefixPart { prefix: within, without }] } else { halves }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(block: &str, except: &[&str]) -> String {
        let except: Vec<IpNet> = except.iter().map(|net| net.parse().unwrap()).collect();
        prefixes(&PrefixSet::block(block.parse().unwrap(), &except)).join("; ")
    }

    #[test]
    fn prefixes_are_told_the_short_way() {
        assert_eq!(shown("0.0.0.0/0", &[]), "0.0.0.0/0");
        assert_eq!(
            shown("0.0.0.0/0", &["10.0.0.0/8", "172.16.0.0/12"]),
            "0.0.0.0/0 (without 10.0.0.0/8, 172.16.0.0/12)"
        );
        assert_eq!(shown("2001:db8::/32", &["2001:db8:1::/48"]), "2001:db8::/32 (without 2001:db8:1::/48)");
        assert_eq!(shown("10.0.0.0/8", &["10.128.0.0/9"]), "10.0.0.0/9");
        assert_eq!(shown("203.0.113.7/32", &[]), "203.0.113.7/32");
    }
}

//! Who somebody may be, as sets with an exact algebra: what is told of an audience holds also of pods and namespaces
//! that do not exist yet.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    model::{Family, Name, Operator},
    sets::PrefixSet,
};

/// Whose labels are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Labelled {
    Namespace,
    Pod,
    Node,
}

/// What somebody may be, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const POD: Self = Self(1);
    pub(super) const NODE: Self = Self(2);
    /// Pods, nodes, and whoever is outside.
    pub(super) const ALL: Self = Self(7);
}

/// The values that a label may have.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    /// Whether the label may be missing.
    absent: bool,
    /// Whether `named` are those that it may not have.
    all_but: bool,
    named: BTreeSet<Name>,
}

impl Values {
    fn of(operator: &Operator) -> Self {
        let (absent, all_but, named) = match operator {
            Operator::In(values) => (false, false, values.iter().cloned().collect()),
            Operator::NotIn(values) => (true, true, values.iter().cloned().collect()),
            Operator::Exists => (false, true, BTreeSet::new()),
            Operator::DoesNotExist => (true, false, BTreeSet::new()),
        };
        Self { absent, all_but, named }
    }

    /// The label as it is.
    fn exactly(value: Option<&Name>) -> Self {
        Self { absent: value.is_none(), all_but: false, named: value.into_iter().cloned().collect() }
    }

    fn is_empty(&self) -> bool {
        !self.absent && !self.all_but && self.named.is_empty()
    }

    fn complement(&self) -> Self {
        Self { absent: !self.absent, all_but: !self.all_but, named: self.named.clone() }
    }

    fn intersection(&self, other: &Self) -> Self {
        let named = match (self.all_but, other.all_but) {
            (false, false) => self.named.intersection(&other.named).cloned().collect(),
            (false, true) => self.named.difference(&other.named).cloned().collect(),
            (true, false) => other.named.difference(&self.named).cloned().collect(),
            (true, true) => self.named.union(&other.named).cloned().collect(),
        };
        Self { absent: self.absent && other.absent, all_but: self.all_but && other.all_but, named }
    }
}

/// Somebody of whom all of this holds; there is always one who it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    kinds: Kinds,
    /// Without an entry any value, or none.
    labels: BTreeMap<(Labelled, Name), Values>,
    /// `None`: any.
    addresses: Option<PrefixSet>,
}

impl Who {
    /// Anyone of these kinds.
    pub(super) fn of(kinds: Kinds) -> Self {
        Self { kinds, labels: BTreeMap::new(), addresses: None }
    }

    /// Those who come from an address of these families.
    pub(super) fn of_families(self, families: &[Family]) -> Self {
        Self { addresses: Some(everywhere(families)), ..self }
    }

    /// The keys of the labels that are asked for.
    pub(super) fn keys(&self, of: Labelled) -> impl Iterator<Item = &Name> {
        self.labels.keys().filter(move |(labelled, _)| *labelled == of).map(|(_, key)| key)
    }

    /// The only value that a label may have.
    pub(super) fn only(&self, of: Labelled, key: &str) -> Option<&Name> {
        let values = self.labels.get(&(of, Name::from(key)))?;
        let mut named = values.named.iter();
        let only = named.next().filter(|_| !values.absent && !values.all_but)?;
        named.next().is_none().then_some(only)
    }

    /// Those whose address is one of these.
    pub(super) fn at(self, addresses: &PrefixSet) -> Option<Self> {
        let addresses = self.addresses.as_ref().map_or_else(|| addresses.clone(), |own| own.intersection(addresses));
        (!addresses.is_empty()).then_some(Self { addresses: Some(addresses), ..self })
    }

    /// Those of whose label this holds, too.
    pub(super) fn asked(self, of: Labelled, key: &Name, operator: &Operator) -> Option<Self> {
        self.narrowed((of, key.clone()), &Values::of(operator))
    }

    /// Those whose label is just this, too; `None`: who do not have it.
    pub(super) fn labelled(self, of: Labelled, key: &Name, value: Option<&Name>) -> Option<Self> {
        self.narrowed((of, key.clone()), &Values::exactly(value))
    }

    fn narrowed(mut self, key: (Labelled, Name), values: &Values) -> Option<Self> {
        let values = self.labels.get(&key).map_or_else(|| values.clone(), |own| own.intersection(values));
        let is_somebody = !values.is_empty();
        self.labels.insert(key, values);
        is_somebody.then_some(self)
    }

    /// Whether somebody may be both.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let of_both = |(key, values): (&(Labelled, Name), &Values)| {
            self.labels.get(key).is_none_or(|own| !own.intersection(values).is_empty())
        };
        self.kinds.0 & other.kinds.0 != 0
            && other.labels.iter().all(of_both)
            && match (&self.addresses, &other.addresses) {
                (Some(own), Some(other)) => !own.intersection(other).is_empty(),
                _ => true,
            }
    }

    /// Those who are both.
    pub(super) fn intersection(&self, other: &Self) -> Option<Self> {
        let kinds = Kinds(self.kinds.0 & other.kinds.0);
        let mut both = (kinds.0 != 0).then(|| Self { kinds, ..self.clone() })?;
        for (key, values) in &other.labels {
            both = both.narrowed(key.clone(), values)?;
        }
        match &other.addresses {
            Some(addresses) => both.at(addresses),
            None => Some(both),
        }
    }

    /// Those who are not the other, in parts without anybody in common.
    fn difference(&self, other: &Self) -> Vec<Self> {
        let mut parts = Vec::new();
        let kinds = Kinds(self.kinds.0 & !other.kinds.0);
        if kinds.0 != 0 {
            parts.push(Self { kinds, ..self.clone() });
        }
        let mut rest = Self { kinds: Kinds(self.kinds.0 & other.kinds.0), ..self.clone() };
        if rest.kinds.0 == 0 {
            return parts;
        }
        for (key, values) in &other.labels {
            parts.extend(rest.clone().narrowed(key.clone(), &values.complement()));
            match rest.narrowed(key.clone(), values) {
                Some(narrowed) => rest = narrowed,
                None => return parts,
            }
        }
        if let Some(addresses) = &other.addresses {
            let own = rest.addresses.clone().unwrap_or_else(|| everywhere(&Family::ALL));
            let outside = own.difference(addresses);
            if !outside.is_empty() {
                parts.push(Self { addresses: Some(outside), ..rest });
            }
        }
        parts
    }

    /// Whether everyone who it may be is one of the others.
    pub(super) fn is_among<'w>(&self, others: impl IntoIterator<Item = &'w Self>) -> bool {
        let others: Vec<&Self> = others.into_iter().filter(|other| self.meets(other)).collect();
        self.is_covered(&others)
    }

    /// As [`Self::is_among`]: it ends with the first whom no other covers.
    fn is_covered(&self, others: &[&Self]) -> bool {
        let Some(next) = others.iter().position(|other| self.meets(other)) else { return false };
        let (Some(first), Some(rest)) = (others.get(next), others.get(next + 1..)) else { return false };
        self.difference(first).iter().all(|part| part.is_covered(rest))
    }
}

fn everywhere(families: &[Family]) -> PrefixSet {
    let all = families.iter().map(|family| match family {
        Family::V4 => IpNet::from(Ipv4Net::default()),
        Family::V6 => IpNet::from(Ipv6Net::default()),
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(asked: &[(&str, Operator)]) -> Who {
        asked.iter().fold(Who::of(Kinds::POD), |who, (key, operator)| {
            who.asked(Labelled::Pod, &Name::from(*key), operator).unwrap()
        })
    }

    fn one_of(values: &[&str]) -> Operator {
        Operator::In(values.iter().copied().map(Name::from).collect())
    }

    fn none_of(values: &[&str]) -> Operator {
        Operator::NotIn(values.iter().copied().map(Name::from).collect())
    }

    #[test]
    fn what_several_mean_together_is_found_out() {
        let all = pods(&[]);
        let (with, without) = (pods(&[("app", Operator::Exists)]), pods(&[("app", Operator::DoesNotExist)]));
        assert!(all.is_among([&with, &without]) && !all.is_among([&with]) && !with.meets(&without));
        let (a, rest) = (pods(&[("app", one_of(&["a"]))]), pods(&[("app", none_of(&["a"]))]));
        assert!(all.is_among([&rest, &a]));
        assert!(pods(&[("app", one_of(&["a", "b"]))]).is_among([&a, &pods(&[("app", one_of(&["b"]))])]));
        // Two labels: the four quarters, and three of them.
        let quarters: Vec<Who> = [("1", "1"), ("1", "0"), ("0", "1"), ("0", "0")]
            .map(|(x, y)| {
                let has = |one: &str| if one == "1" { Operator::Exists } else { Operator::DoesNotExist };
                pods(&[("x", has(x)), ("y", has(y))])
            })
            .into();
        assert!(all.is_among(&quarters) && !all.is_among(quarters.iter().skip(1)));
    }

    #[test]
    fn addresses_and_kinds_count() {
        let block = |net: &str| Who::of(Kinds::ALL).at(&PrefixSet::block(net.parse().unwrap(), &[])).unwrap();
        let anyone = Who::of(Kinds::ALL);
        assert!(anyone.is_among([&block("0.0.0.0/1"), &block("128.0.0.0/1"), &block("::/0")]));
        assert!(!anyone.is_among([&block("0.0.0.0/0")]));
        assert!(!block("10.0.0.0/8").is_among([&pods(&[])]), "somebody outside may have such an address");
        let both = block("10.0.0.0/8").intersection(&pods(&[("app", Operator::Exists)])).unwrap();
        assert!(both.is_among([&pods(&[])]) && both.is_among([&block("10.0.0.0/9"), &block("10.128.0.0/9")]));
        assert!(block("10.0.0.0/8").intersection(&block("::/0")).is_none());
    }
}

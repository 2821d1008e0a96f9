//! Labels and selectors, over so few keys and values that they meet.

use palisade_engine::model::{LabelSelector, Labels, Name, Operator, Requirement};

use super::random::Rng;

/// A key with the values that it may have.
pub(crate) type Key = (&'static str, &'static [&'static str]);

/// The labels of pods. `env` is a key of namespaces too: whoever mixes the two up is found out.
pub(crate) const POD_KEYS: [Key; 3] =
    [("app", &["web", "api", "db"]), ("tier", &["front", "back"]), ("env", &["prod", "dev"])];

/// The labels of namespaces, besides their name.
pub(crate) const NAMESPACE_KEYS: [Key; 2] = [("team", &["red", "blue"]), ("env", &["prod", "dev"])];

/// The labels of nodes.
pub(crate) const NODE_KEYS: [Key; 2] = [("role", &["worker", "infra"]), ("zone", &["a", "b"])];

/// The label that every namespace carries (1.5).
pub(crate) const METADATA_NAME: &str = "kubernetes.io/metadata.name";

/// Random labels; a key may be missing.
pub(crate) fn labels(rng: &mut Rng, keys: &[Key]) -> Labels {
    let mut labels = Labels::default();
    for (key, values) in keys {
        if rng.chance(72)
            && let Some(value) = rng.pick(values)
        {
            labels.set(*key, *value);
        }
    }
    labels
}

/// A selector of pods, often one that holds for `like`.
pub(crate) fn pod_selector(rng: &mut Rng, like: Option<&Labels>) -> LabelSelector {
    let count = rng.weighted([(14, 0), (60, 1), (21, 2), (5, 3)]);
    let like = like.filter(|_| rng.chance(65));
    in_order((0..count).filter_map(|_| requirement(rng, &POD_KEYS, like)).collect())
}

/// A selector of namespaces, often one that holds for `like`; `names` are those there are.
pub(crate) fn namespace_selector(rng: &mut Rng, names: &[Name], like: Option<&Labels>) -> LabelSelector {
    if rng.chance(30)
        && let Some(requirement) = by_name(rng, names)
    {
        return in_order(vec![requirement]);
    }
    let count = rng.weighted([(28, 0), (60, 1), (12, 2)]);
    let like = like.filter(|_| rng.chance(65));
    in_order((0..count).filter_map(|_| requirement(rng, &NAMESPACE_KEYS, like)).collect())
}

/// A selector of nodes, often one that holds for `like`.
pub(crate) fn node_selector(rng: &mut Rng, like: Option<&Labels>) -> LabelSelector {
    let count = rng.weighted([(25, 0), (65, 1), (10, 2)]);
    let like = like.filter(|_| rng.chance(65));
    in_order((0..count).filter_map(|_| requirement(rng, &NODE_KEYS, like)).collect())
}

/// 1.5: namespaces by the label that nobody has to write.
fn by_name(rng: &mut Rng, names: &[Name]) -> Option<Requirement> {
    let name = rng.pick(names)?.clone();
    let other = rng.pick(names)?.clone();
    let operator = match rng.below(10) {
        0..=5 => Operator::In(vec![name]),
        6..=7 if other != name => Operator::In(vec![name, other]),
        _ => Operator::NotIn(vec![name]),
    };
    Some(Requirement::new(METADATA_NAME, operator))
}

/// One requirement; it holds for `like` when that is given and has a label of these keys.
fn requirement(rng: &mut Rng, keys: &[Key], like: Option<&Labels>) -> Option<Requirement> {
    let (key, values) = *rng.pick(keys)?;
    let own = like.and_then(|labels| labels.get(key));
    let random = *rng.pick(values)?;
    let kind = rng.below(100);
    let operator = match (like.is_some(), own) {
        (true, Some(own)) => match kind {
            0..=54 => Operator::In(vec![own.clone()]),
            55..=74 => Operator::In(with_another(rng, own.clone(), values)),
            75..=86 => Operator::Exists,
            _ => Operator::NotIn(values.iter().filter(|v| **v != own.as_str()).map(|v| Name::from(*v)).collect()),
        },
        (true, None) if kind < 50 => Operator::DoesNotExist,
        (true, None) => Operator::NotIn(vec![Name::from(random)]),
        (false, _) => match kind {
            0..=44 => Operator::In(vec![Name::from(random)]),
            45..=64 => Operator::In(with_another(rng, Name::from(random), values)),
            65..=79 => Operator::NotIn(vec![Name::from(random)]),
            80..=89 => Operator::Exists,
            _ => Operator::DoesNotExist,
        },
    };
    Some(Requirement::new(key, operator))
}

/// The value and another one (which may be one that nobody has), in random order.
fn with_another(rng: &mut Rng, value: Name, values: &[&str]) -> Vec<Name> {
    let others: Vec<&str> = values.iter().copied().filter(|other| *other != value.as_str()).collect();
    let other = if rng.chance(15) { None } else { rng.pick(&others).copied() };
    let other = Name::from(other.unwrap_or("nobody"));
    if rng.chance(50) { vec![value, other] } else { vec![other, value] }
}

/// As the model has them: first the entries of `matchLabels` (one value each, no key twice), then
/// `matchExpressions`.
fn in_order(requirements: Vec<Requirement>) -> LabelSelector {
    let (mut labels, mut expressions): (Vec<Requirement>, Vec<Requirement>) = (Vec::new(), Vec::new());
    for requirement in requirements {
        let one_value = matches!(&requirement.operator, Operator::In(values) if values.len() == 1);
        if one_value && labels.iter().all(|label| label.key != requirement.key) {
            labels.push(requirement);
        } else {
            expressions.push(requirement);
        }
    }
    labels.into_iter().chain(expressions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selectors::selects;

    #[test]
    fn selectors_select_some_and_not_all() {
        let mut rng = Rng::new(1, 1);
        let hits = (0..2000)
            .filter(|_| {
                let pod = labels(&mut rng, &POD_KEYS);
                selects(&pod_selector(&mut rng, None), &pod)
            })
            .count();
        assert!((600..1400).contains(&hits), "{hits} of 2000");
    }

    #[test]
    fn no_operator_is_without_the_values_it_needs() {
        let mut rng = Rng::new(2, 1);
        for _ in 0..2000 {
            let pod = labels(&mut rng, &POD_KEYS);
            for requirement in pod_selector(&mut rng, Some(&pod)).requirements {
                if let Operator::In(values) | Operator::NotIn(values) = requirement.operator {
                    assert!(!values.is_empty());
                }
            }
        }
    }
}

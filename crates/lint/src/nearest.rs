//! What somebody may have meant.

use palisade_engine::model::{LabelSelector, Labels, Operator};

/// The label that objects carry and that is nearest to one of a selector's equalities which none of
/// them meets: the same key with the nearest value, else the nearest key with that value.
pub(crate) fn nearest_label(selector: &LabelSelector, labels: &[&Labels]) -> Option<String> {
    let equalities = selector.requirements.iter().filter_map(|requirement| match &requirement.operator {
        Operator::In(values) => Some((&requirement.key, values.first()?)),
        Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
    });
    for (key, value) in equalities {
        if labels.iter().any(|labels| labels.get(key) == Some(value)) {
            continue;
        }
        let same_key = labels
            .iter()
            .filter_map(|labels| labels.get(key))
            .map(|found| (distance(found, value), format!("{key}: {found}")));
        let same_value = labels.iter().flat_map(|labels| labels.iter()).filter(|(_, found)| *found == value);
        let same_value = same_value.map(|(found, value)| (distance(found, key), format!("{found}: {value}")));
        let near = same_key.chain(same_value).filter(|(distance, _)| *distance <= 1 + value.len().max(key.len()) / 3);
        if let Some((_, near)) = near.min() {
            return Some(near);
        }
    }
    None
}

/// Edits between two words: insertions, deletions, replacements, and neighbours that changed places.
fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(a, b)
}

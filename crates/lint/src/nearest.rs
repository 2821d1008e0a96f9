//! What somebody may have meant.

use palisade_engine::model::{LabelSelector, Name, Operator};

/// The label that objects carry and that is nearest to one of a selector's equalities which none of
/// them meets: the same key with the nearest value, else the nearest key with that value.
pub(crate) fn nearest_label<'l, I: Iterator<Item = (&'l Name, &'l Name)>>(
    selector: &LabelSelector,
    labels: impl Fn() -> I,
) -> Option<String> {
    let equalities = selector.requirements.iter().filter_map(|requirement| match &requirement.operator {
        Operator::In(values) => Some((&requirement.key, values.first()?)),
        Operator::NotIn(_) | Operator::Exists | Operator::DoesNotExist => None,
    });
    for (key, value) in equalities {
        if labels().any(|label| label == (key, value)) {
            continue;
        }
        let near = labels().filter_map(|(found_key, found)| {
            let (wrong, meant, length) = match (found_key == key, found == value) {
                (true, _) => (found, value, value.len()),
                (false, true) => (found_key, key, key.len()),
                (false, false) => return None,
            };
            let distance = strsim::osa_distance(wrong, meant);
            // One letter is not near another: `a` is no misspelt `b`.
            (distance < length && distance <= 1 + length / 4).then(|| (distance, format!("{found_key}: {found}")))
        });
        if let Some((_, near)) = near.min() {
            return Some(near);
        }
    }
    None
}

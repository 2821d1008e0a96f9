//! What somebody may have meant.

use std::collections::HashMap;

use palisade_engine::model::{LabelSelector, Name, Operator};

/// Selectors for which a hint is looked for: whoever has more of them does not go through them one by one.
const MOST_HINTS: usize = 1_000;

/// Hints found so far. In a dump thousands of policies ask for the same label that nobody carries.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    found: HashMap<String, Option<String>>,
}

impl Hints {
    /// The hint for what `about` tells from everything else; `find` finds it the first time.
    pub(crate) fn of(&mut self, about: String, find: impl FnOnce() -> Option<String>) -> Option<String> {
        if let Some(known) = self.found.get(&about) {
            return known.clone();
        }
        let hint = if self.found.len() < MOST_HINTS { find() } else { None };
        self.found.insert(about, hint.clone());
        hint
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_is_found_once_and_not_for_thousands() {
        let mut hints = Hints::default();
        assert_eq!(hints.of("a".to_owned(), || Some("b".to_owned())).as_deref(), Some("b"));
        assert_eq!(hints.of("a".to_owned(), || panic!("a second time")).as_deref(), Some("b"));
        for number in 0..MOST_HINTS {
            hints.of(number.to_string(), || None);
        }
        assert_eq!(hints.of("last".to_owned(), || panic!("one too many")), None);
        assert_eq!(hints.of("a".to_owned(), || None).as_deref(), Some("b"));
    }
}

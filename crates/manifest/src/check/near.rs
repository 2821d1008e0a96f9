//! "Did you mean …?"

/// The candidate that `word` was probably meant to be: the same but for case, or a typing mistake or
/// two away, or the longer or shorter form of it (`matchLabel`, `cidrs`).
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    if let Some(same) = candidates.iter().find(|candidate| candidate.eq_ignore_ascii_case(word)) {
        return Some(same);
    }
    let lower = word.to_lowercase();
    let allowed = match word.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        5..=8 => 2,
        9..=64 => 3,
        _ => 0,
    };
    candidates
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate that `word` was meant to be, when no other one is as near.
pub(crate) fn only<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let meant = nearest(word, candidates)?;
    let to = |candidate: &str| distance(&word.to_lowercase(), &candidate.to_lowercase());
    let others = candidates.iter().filter(|candidate| **candidate != meant);
    others.into_iter().all(|other| to(other) > to(meant)).then_some(meant)
}

/// Insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, x) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX - 1);
            let replace = at(&row, j) + usize::from(x != *y);
            let mut best = replace.min(at(&row, j + 1) + 1).min(at(&next, j) + 1);
            let swapped = j > 0 && last == Some(*y) && b.get(j - 1) == Some(&x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            next.push(best);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(x);
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant() {
        let fields = ["port", "endPort", "protocol"];
        assert_eq!(nearest("endport", &fields), Some("endPort"));
        assert_eq!(nearest("ports", &fields), Some("port"));
        assert_eq!(nearest("protcol", &fields), Some("protocol"));
        assert_eq!(nearest("prot", &fields), Some("port"));
        assert_eq!(nearest("description", &fields), None);
        assert_eq!(nearest("x", &fields), None);
        assert_eq!(nearest("matchLabel", &["matchLabels", "matchExpressions"]), Some("matchLabels"));
    }

    #[test]
    fn of_two_as_near_neither_is_meant() {
        assert_eq!(only("endport", &["port", "endPort", "protocol"]), Some("endPort"));
        assert_eq!(nearest("bat", &["cat", "hat"]), Some("cat"));
        assert_eq!(only("bat", &["cat", "hat"]), None);
    }

    #[test]
    fn counts_edits() {
        assert_eq!(distance("abc", "abc"), 0);
        assert_eq!(distance("abc", "acb"), 1);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

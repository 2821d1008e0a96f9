//! Edits made in a text.

use super::{Edit, layout::Layout};
use crate::yaml;

/// A text with some fixes made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The text now.
    pub text: String,
    /// Which of the fixes were made, by their places in the list; the others meet one of these.
    pub made: Vec<usize>,
}

/// Makes those fixes that do not meet an earlier one, each as a whole. `None` when none is made, or when
/// the text would have more mistakes than before, which means that an edit was wrong.
pub fn apply(text: &str, fixes: &[Vec<Edit>]) -> Option<Applied> {
    let layout = Layout::new(text);
    let mut taken: Vec<(usize, usize, &str)> = Vec::new();
    let mut made = Vec::new();
    for (index, edits) in fixes.iter().enumerate() {
        let places: Option<Vec<(usize, usize, &str)>> = edits
            .iter()
            .map(|edit| Some((layout.byte(edit.at.start)?, layout.byte(edit.at.end)?, edit.text.as_str())))
            .collect();
        let Some(places) = places.filter(|places| !places.is_empty()) else { continue };
        if places.iter().any(|new| taken.iter().any(|old| meet(*old, *new))) {
            continue;
        }
        taken.extend(places);
        made.push(index);
    }
    taken.sort_by_key(|(start, end, _)| (*start, *end));
    let mut result = String::with_capacity(text.len());
    let mut done = 0;
    for (start, end, new) in taken {
        result.push_str(text.get(done..start)?);
        result.push_str(new);
        done = end;
    }
    result.push_str(text.get(done..)?);
    (!made.is_empty() && yaml::mistakes(&result) <= yaml::mistakes(text)).then_some(Applied { text: result, made })
}

/// Whether two edits have anything to do with each other. Two stretches may touch; at the edge of a
/// stretch nothing is inserted.
fn meet((start, end, _): (usize, usize, &str), (other, last, _): (usize, usize, &str)) -> bool {
    let inserts = start == end || other == last;
    if inserts { start <= last && other <= end } else { start < last && other < end }
}

//! Labels and the selectors over them.

use std::{fmt, sync::Arc};

use super::{Name, Span};

/// The labels of one object, ordered by key; one value a key. Cheap to clone: replicas may share theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[(Name, Name)]>);

impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Name> {
        let index = self.0.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
        self.0.get(index).map(|(_, value)| value)
    }

    /// Sets `key` to `value`, whatever it was before.
    pub fn set(&mut self, key: impl Into<Name>, value: impl Into<Name>) {
        let added = std::iter::once((key.into(), value.into()));
        *self = self.0.iter().cloned().chain(added).collect();
    }

    /// Whether other objects have the very same ones.
    pub fn are_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// Every key with its value, ordered by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Name)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<Name>, V: Into<Name>> FromIterator<(K, V)> for Labels {
    /// Of a key given twice the last value stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        let mut labels: Vec<(Name, Name)> = iter.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        labels.reverse();
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        labels.dedup_by(|(a, _), (b, _)| a == b);
        Self(labels.into())
    }
}

/// A label selector (`metav1.LabelSelector`): all its requirements must hold; none selects everything.
#[derive(Clone, Debug, Default)]
pub struct LabelSelector {
    /// First the entries of `matchLabels`, each an [`Operator::In`] of one value, then those of
    /// `matchExpressions`, as written.
    pub requirements: Vec<Requirement>,
    /// Where the selector was written.
    pub at: Option<Span>,
}

impl LabelSelector {
    /// The selector that selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Whether it has no requirement, and so selects everything.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl FromIterator<Requirement> for LabelSelector {
    fn from_iter<I: IntoIterator<Item = Requirement>>(iter: I) -> Self {
        Self { requirements: iter.into_iter().collect(), at: None }
    }
}

impl fmt::Display for LabelSelector {
    /// As kubectl writes selectors: `app=web,tier in (a,b),!legacy`; `everything` when empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_everything() {
            return f.write_str("everything");
        }
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{requirement}")?;
        }
        Ok(())
    }
}

/// One condition of a selector.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// The label's key.
    pub key: Name,
    /// What must hold of its value.
    pub operator: Operator,
    /// Where it was written.
    pub at: Option<Span>,
}

impl Requirement {
    /// `key` must have one of the operator's values, or be there, or not.
    pub fn new(key: impl Into<Name>, operator: Operator) -> Self {
        Self { key: key.into(), operator, at: None }
    }

    /// `key=value`, an entry of `matchLabels`.
    pub fn equals(key: impl Into<Name>, value: impl Into<Name>) -> Self {
        Self::new(key, Operator::In(vec![value.into()]))
    }
}

/// The operator of a requirement, with its values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operator {
    /// The key is there with one of these values.
    In(Vec<Name>),
    /// The key is not there, or has none of these values.
    NotIn(Vec<Name>),
    /// The key is there.
    Exists,
    /// The key is not there.
    DoesNotExist,
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[Name]| values.iter().map(Name::as_str).collect::<Vec<_>>().join(",");
        match &self.operator {
            Operator::In(values) => match values.as_slice() {
                [value] => write!(f, "{}={value}", self.key),
                values => write!(f, "{} in ({})", self.key, list(values)),
            },
            Operator::NotIn(values) => match values.as_slice() {
                [value] => write!(f, "{}!={value}", self.key),
                values => write!(f, "{} notin ({})", self.key, list(values)),
            },
            Operator::Exists => write!(f, "{}", self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
        }
    }
}

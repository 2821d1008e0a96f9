//! Yes, no, or: only an address that is not known could tell (1.2).

/// Whether something matches. Ordered: of alternatives the greatest counts, of conditions the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Maybe {
    /// It does not match, whatever the unknown address is.
    No,
    /// It depends on an address that is not known.
    Unknown,
    /// It matches, whatever the unknown address is.
    Yes,
}

impl Maybe {
    /// One of the alternatives is enough; none at all is `No`.
    pub(crate) fn any(alternatives: impl Iterator<Item = Self>) -> Self {
        alternatives.max().unwrap_or(Self::No)
    }

    /// Both conditions must hold.
    pub(crate) fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

impl From<bool> for Maybe {
    fn from(certain: bool) -> Self {
        if certain { Self::Yes } else { Self::No }
    }
}

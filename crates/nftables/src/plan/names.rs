//! Names made from content: equal content has one name, in this run and the next.

/// `prefix-` and 16 hexadecimal digits that stand for `content` (FNV-1a, 64 bits).
pub(super) fn content_name(prefix: &str, content: &str) -> String {
    let hash = content
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{prefix}-{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_what_it_is() {
        // The published test vector of FNV-1a.
        assert_eq!(content_name("p4", "foobar"), "p4-85944171f73967e8");
    }
}

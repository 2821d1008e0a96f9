//! What [drops cut connections](crate::cut) into the kernel, whole.

use super::error::{ApplyError, ReadError};
use super::socket::Kernel;
use super::uapi::{chain, expression as uapi};
use crate::cut::{CHAIN, MARK, TABLE};
use crate::ruleset::Verdict;

/// The forward hook (`enum nf_inet_hooks`), before nft's `priority filter`.
const ENTRY: (&str, u32, i32) = ("filter", chain::FORWARD, chain::PRIORITY_FILTER - 1);

impl Kernel {
    /// Drops what belongs to cut connections from now on, or does not any more. The one that is there before
    /// is replaced, and its counter begins anew.
    ///
    /// # Errors
    /// When the kernel refuses; all is as before then.
    pub fn drop_cut(&mut self, wanted: bool) -> Result<(), ApplyError> {
        if !wanted {
            return self.replace_table(TABLE, None);
        }
        self.replace_table(
            TABLE,
            Some(&|batch| {
                batch.chain(CHAIN, Some(ENTRY));
                batch.rule(CHAIN, "connections that a change of policy has cut", |rule| {
                    rule.ct(uapi::CT_MARK);
                    rule.mask(MARK);
                    rule.compare(uapi::CMP_EQ, &MARK.to_ne_bytes());
                    rule.add("counter", |_| ());
                    rule.verdict(&Verdict::Drop);
                });
            }),
        )
    }

    /// Whether cut connections are dropped.
    ///
    /// # Errors
    /// When the kernel gives no answer.
    pub fn drops_cut(&mut self) -> Result<bool, ReadError> {
        let mut found = false;
        self.rules_of(TABLE, CHAIN, |_| found = true)?;
        Ok(found)
    }
}

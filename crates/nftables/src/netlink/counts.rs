//! What the counters of single chains have counted: cheap enough to ask every few seconds.
//!
//! A dump of all rules costs what the rules are many; this one names a chain, which the kernel finds by a
//! hash. Rules of a chain that denies never change while it has its name, so nothing can be torn.

use rustix::io::Errno;

use super::attribute::Attributes;
use super::error::ReadError;
use super::listing;
use super::socket::Kernel;
use super::uapi::{nfnetlink, request, rule};
use crate::ruleset::TABLE;

impl Kernel {
    /// How many packets the counters of a chain's rules have counted since the chain was made; `None` when
    /// there is no such chain, or no counter in it.
    ///
    /// # Errors
    /// When the kernel gives no answer.
    pub fn packets_counted(&mut self, chain: &str) -> Result<Option<u64>, ReadError> {
        let mut counted = None;
        self.rules_of(TABLE, chain, |rule| {
            if let Some((_, packets)) = rule.get(rule::EXPRESSIONS).and_then(listing::counted) {
                counted = Some(counted.unwrap_or(0) + packets);
            }
        })?;
        Ok(counted)
    }

    /// Shows each rule of one chain of a table to `visit`; none where there is no such chain.
    pub(super) fn rules_of(
        &mut self,
        table: &str,
        chain: &str,
        mut visit: impl FnMut(&Attributes<'_>),
    ) -> Result<(), ReadError> {
        let asked = self.ask(
            request::GET_RULE,
            true,
            |writer| {
                writer.text(rule::TABLE, table);
                writer.text(rule::CHAIN, chain);
            },
            |message| {
                let attributes = message.attributes();
                // Kernels that do not know the filter give other rules too.
                let is = |attribute, name: &str| attributes.text(attribute).as_deref() == Some(name);
                if message.family() == Some(nfnetlink::INET) && is(rule::TABLE, table) && is(rule::CHAIN, chain) {
                    visit(&attributes);
                }
            },
        );
        match asked {
            // A transaction of somebody meanwhile: of one chain there is nothing to overtake.
            Ok(_) | Err(Errno::INTR | Errno::NOENT) => Ok(()),
            Err(errno) => Err(ReadError::Refused { what: format!("the rules of {table} {chain}"), errno }),
        }
    }
}

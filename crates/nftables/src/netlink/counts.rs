//! What the counters of single chains have counted: cheap enough to ask every few seconds.
//!
//! A dump of all rules costs what the rules are many; this one names a chain, which the kernel finds by a
//! hash. Rules of a chain that denies never change while it has its name, so nothing can be torn.

use rustix::io::Errno;

use super::error::ReadError;
use super::listing;
use super::socket::Kernel;
use super::uapi::{request, rule};
use crate::ruleset::TABLE;

impl Kernel {
    /// How many packets the counters of a chain's rules have counted since the chain was made; `None` when
    /// there is no such chain, or no counter in it.
    ///
    /// # Errors
    /// When the kernel gives no answer.
    pub fn packets_counted(&mut self, chain: &str) -> Result<Option<u64>, ReadError> {
        let mut counted = None;
        let asked = self.ask(
            request::GET_RULE,
            true,
            |writer| {
                writer.text(rule::TABLE, TABLE);
                writer.text(rule::CHAIN, chain);
            },
            |message| {
                let attributes = message.attributes();
                // Kernels that do not know the filter give other rules too.
                let is = |attribute, name: &str| attributes.text(attribute).as_deref() == Some(name);
                if is(rule::TABLE, TABLE)
                    && is(rule::CHAIN, chain)
                    && let Some((_, packets)) = attributes.get(rule::EXPRESSIONS).and_then(listing::counted)
                {
                    counted = Some(counted.unwrap_or(0) + packets);
                }
            },
        );
        match asked {
            // A transaction of somebody meanwhile: of one chain there is nothing to overtake.
            Ok(_) | Err(Errno::INTR) => Ok(counted),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(ReadError::Refused { what: format!("the counters of {chain}"), errno }),
        }
    }
}

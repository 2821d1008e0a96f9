//! Reading our table back from the kernel.
//!
//! A dump that changes overtake comes out torn, often without a mark (NLM_F_DUMP_INTR). So the
//! generation of nf_tables is asked for around each dump, and a dump is repeated until it has the same
//! one before and after. That alone is not enough: the kernel counts the generation up when it begins
//! to commit a transaction, and moves rules about after that; what stands in line to be committed shifts
//! the elements of a dump, too. Hence the order
//!
//! ```text
//! generation   wait for transactions   dump   wait for transactions   generation
//! ```
//!
//! The dumps of a snapshot may have different generations: they would only fit badly together if
//! somebody else changed our table, and strangers who change theirs every second must not keep us from
//! reading ours.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno;

use super::attribute::{Attributes, Writer, attributes};
use super::element::{Reader, kind, read_learned};
use super::error::ReadError;
use super::listing;
use super::message::Message;
use super::snapshot::{ChainState, Entry, RuleCounter, RuleState, SetState, Snapshot};
use super::socket::Kernel;
use super::uapi::{LIST_ELEMENT, chain, element, generation, nfnetlink, request, rule, set, table};
use crate::difference::Learned;
use crate::ruleset::{Name, Passing, Ruleset, TABLE};

/// How often a dump is tried.
const ATTEMPTS: usize = 50;

/// How often what differs is read again, and after how long.
const READINGS: usize = 10;
const BETWEEN_READINGS: Duration = Duration::from_millis(20);

impl Kernel {
    /// What the rules with counters have counted, in the order of the kernel's chains and rules;
    /// nothing when the table is not there. Of a rule with several counters it is the first.
    pub fn counters(&mut self) -> Result<Vec<RuleCounter>, ReadError> {
        let mut before = self.generation()?;
        self.rules(&mut before, |chain, attributes| {
            let (bytes, packets) = listing::counted(attributes.get(rule::EXPRESSIONS)?)?;
            let comment = attributes.comment(rule::USERDATA, rule::COMMENT);
            Some(RuleCounter { chain, comment, packets, bytes })
        })
    }

    /// Everything in the table, and in what it differs from `wanted`. What differs is read again until two
    /// readings agree: for some milliseconds after a set has grown, while the kernel still moves its elements
    /// to a larger hash table, a listing can miss some.
    pub fn compare(&mut self, wanted: &Ruleset) -> Result<(Snapshot, Vec<String>), ReadError> {
        let mut found = self.compare_once(wanted)?;
        for _ in 0..READINGS {
            if found.1.is_empty() {
                break;
            }
            std::thread::sleep(BETWEEN_READINGS);
            let again = self.compare_once(wanted)?;
            let agree = again.1 == found.1;
            found = again;
            if agree {
                break;
            }
        }
        Ok(found)
    }

    fn compare_once(&mut self, wanted: &Ruleset) -> Result<(Snapshot, Vec<String>), ReadError> {
        let snapshot = self.snapshot()?;
        let differences = snapshot.differences(wanted);
        Ok((snapshot, differences))
    }

    /// Everything in the table. It costs about what making the table cost; not for the steady state.
    pub fn snapshot(&mut self) -> Result<Snapshot, ReadError> {
        let mut generation = self.generation()?;
        let first = generation;
        let mut snapshot = Snapshot::default();
        match self.flags()? {
            Some(flags) => (snapshot.exists, snapshot.is_dormant) = (true, flags & table::DORMANT != 0),
            None => return Ok(snapshot),
        }
        snapshot.chains = self
            .settled(
                &mut generation,
                "the chains",
                request::GET_CHAIN,
                |_| (),
                |message| {
                    let attributes = message.attributes();
                    // The kernel gives the chains of every table of the family.
                    let ours = message.family() == Some(nfnetlink::INET)
                        && attributes.text(chain::TABLE).as_deref() == Some(TABLE);
                    let name = attributes.text(chain::NAME).filter(|_| ours)?;
                    Some((name, ChainState { entry: entry(&attributes), rules: Vec::new() }))
                },
            )?
            .into_iter()
            .collect();
        let rules = self.rules(&mut generation, |chain, attributes| {
            let comment = attributes.comment(rule::USERDATA, rule::COMMENT);
            let expressions = attributes.get(rule::EXPRESSIONS).unwrap_or_default().to_vec();
            Some((chain, RuleState { comment, expressions }))
        })?;
        for (chain, rule) in rules {
            snapshot.chains.entry(chain).or_default().rules.push(rule);
        }
        snapshot.sets = self
            .settled(&mut generation, "the sets", request::GET_SET, ours(set::TABLE), |message| {
                let attributes = message.attributes();
                let flags = attributes.be32(set::FLAGS).unwrap_or(0);
                let state = SetState {
                    kind: attributes.be32(set::KEY_TYPE).and_then(|key_type| kind(key_type, flags)),
                    is_map: flags & set::MAP != 0,
                    comment: attributes.comment(set::USERDATA, set::COMMENT),
                    passing: passing(&attributes, flags),
                    ..SetState::default()
                };
                Some((attributes.text(set::NAME)?, state))
            })?
            .into_iter()
            .collect();
        for (name, state) in &mut snapshot.sets {
            self.elements(&mut generation, name, state)?;
        }
        snapshot.is_one_moment = self.generation()? == first;
        Ok(snapshot)
    }

    /// The addresses in every set of [learned](Passing::LEARNED) ones, by the set's name.
    ///
    /// # Errors
    /// When the kernel cannot be asked, or changes the sets all the time.
    pub fn learned(&mut self) -> Result<BTreeMap<Name, Vec<Learned>>, ReadError> {
        let mut generation = self.generation()?;
        let names = self.settled(&mut generation, "the sets", request::GET_SET, ours(set::TABLE), |message| {
            let attributes = message.attributes();
            let is_learned = passing(&attributes, attributes.be32(set::FLAGS).unwrap_or(0)) == Some(Passing::LEARNED);
            is_learned.then(|| attributes.text(set::NAME)).flatten()
        })?;
        let mut learned = BTreeMap::new();
        for name in names {
            let parts = self.members(&mut generation, &name)?;
            let members = parts.iter().flat_map(|part| attributes(part)).filter(|member| member.kind == LIST_ELEMENT);
            let addresses = members.filter_map(|member| read_learned(&attributes(member.value))).collect();
            learned.insert(name, addresses);
        }
        Ok(learned)
    }

    fn elements(&mut self, generation: &mut u32, name: &str, state: &mut SetState) -> Result<(), ReadError> {
        let (Some(kind), None) = (state.kind, state.passing) else { return Ok(()) };
        let parts = self.members(generation, name)?;
        let mut reader = Reader::new(kind);
        for part in &parts {
            let members = attributes(part).filter(|member| member.kind == LIST_ELEMENT);
            members.for_each(|member| reader.member(&attributes(member.value)));
        }
        let (elements, strange) = reader.finish();
        (state.elements, state.strange) = (elements.into(), strange);
        Ok(())
    }

    /// The lists of a set's members, to be decoded: only when a dump is over is it known to be whole.
    fn members(&mut self, generation: &mut u32, name: &str) -> Result<Vec<Vec<u8>>, ReadError> {
        let content = |writer: &mut Writer| {
            writer.text(element::LIST_TABLE, TABLE);
            writer.text(element::LIST_SET, name);
        };
        self.settled(generation, &format!("set {name}"), request::GET_ELEMENT, content, |message| {
            Some(message.attributes().get(element::LIST_ELEMENTS)?.to_vec())
        })
    }

    fn rules<T>(
        &mut self,
        generation: &mut u32,
        read: impl Fn(Name, Attributes<'_>) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        self.settled(generation, "the rules", request::GET_RULE, ours(rule::TABLE), |message| {
            let attributes = message.attributes();
            // Kernels that do not know the filter give the rules of other tables too.
            if attributes.text(rule::TABLE).as_deref() != Some(TABLE) {
                return None;
            }
            read(attributes.text(rule::CHAIN)?, attributes)
        })
    }

    /// A dump during which nothing changed. `generation` is the one before, and the one after when
    /// it returns.
    fn settled<T>(
        &mut self,
        generation: &mut u32,
        what: &str,
        request: u16,
        content: impl Fn(&mut Writer),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        for _ in 0..ATTEMPTS {
            let mut items = Vec::new();
            let failed = |errno| ReadError::Refused { what: what.to_owned(), errno };
            self.wait_for_others().map_err(failed)?;
            let undisturbed = match self.ask(request, true, &content, |message| items.extend(read(message))) {
                Ok(undisturbed) => undisturbed,
                // Our table is not there, or no longer.
                Err(Errno::NOENT) => true,
                // The kernel saw a change and gave up.
                Err(Errno::INTR | Errno::AGAIN) => false,
                Err(errno) => return Err(failed(errno)),
            };
            self.wait_for_others().map_err(failed)?;
            let after = self.generation()?;
            let same = *generation == after;
            *generation = after;
            if same && undisturbed {
                return Ok(items);
            }
        }
        Err(ReadError::Unsettled { what: what.to_owned(), attempts: ATTEMPTS })
    }

    /// A number that every transaction in the network namespace changes.
    fn generation(&mut self) -> Result<u32, ReadError> {
        let mut id = None;
        let asked = self.ask(
            request::GET_GENERATION,
            false,
            |_| (),
            |message| {
                id = message.attributes().be32(generation::ID);
            },
        );
        let failed = |errno| ReadError::Refused { what: "the generation".to_owned(), errno };
        asked.map_err(failed)?;
        id.ok_or_else(|| failed(Errno::PROTO))
    }

    /// The table's flags; `None`: there is no such table.
    fn flags(&mut self) -> Result<Option<u32>, ReadError> {
        let mut flags = None;
        match self.ask(request::GET_TABLE, false, ours(table::NAME), |message| {
            flags = Some(message.attributes().be32(table::FLAGS).unwrap_or(0));
        }) {
            Ok(_) => Ok(flags),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(ReadError::Refused { what: "the flags".to_owned(), errno }),
        }
    }
}

/// Asks for what is in our table.
fn ours(attribute: u16) -> impl Fn(&mut Writer) {
    move |writer| writer.text(attribute, TABLE)
}

/// What the kernel says of a set whose elements come and go.
fn passing(attributes: &Attributes<'_>, flags: u32) -> Option<Passing> {
    let milliseconds = attributes.be64(set::TIMEOUT).unwrap_or(0);
    (flags & set::TIMEOUT_FLAG != 0).then(|| Passing {
        seconds: u32::try_from(milliseconds / 1_000).unwrap_or(u32::MAX),
        at_most: attributes.nested(set::DESCRIPTION).be32(set::DESCRIPTION_SIZE).unwrap_or(0),
        by_rules: flags & set::DYNAMIC != 0,
    })
}

fn entry(attributes: &Attributes<'_>) -> Option<Entry> {
    let hook = attributes.nested(chain::HOOK);
    Some(Entry {
        hook: hook.be32(chain::HOOK_NUMBER)?,
        priority: hook.be32(chain::HOOK_PRIORITY)?.cast_signed(),
        policy: attributes.be32(chain::POLICY).unwrap_or(chain::POLICY_ACCEPT),
        kind: attributes.text(chain::TYPE).unwrap_or_default(),
    })
}

//! What can go wrong between a ruleset and the kernel, in words for whoever can mend it.

use std::fmt;

use rustix::io::Errno;

/// What [`Kernel::apply`](super::Kernel::apply) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Transactions that are in force.
    pub transactions: usize,
    /// Bytes that were sent for them.
    pub bytes: usize,
    /// Changes of the difference that are complete with them.
    pub changes: usize,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes in {} transactions, {} bytes", self.changes, self.transactions, self.bytes)
    }
}

/// The parts of a [`Difference`](crate::difference::Difference).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Filling what nothing refers to yet.
    Prepare,
    /// Taking effect.
    Switch,
    /// Removing what nothing refers to any more.
    Clean,
}

impl Stage {
    /// What the kernel enforces when this stage failed.
    fn in_force(self) -> &'static str {
        match self {
            Self::Prepare | Self::Switch => "the rules in force are the old ones",
            Self::Clean => "the new rules are in force, but old ones were left behind",
        }
    }
}

/// Why nf_tables is out of reach.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot open a netlink socket to the kernel's nf_tables: {step}: {}", name(*errno))]
pub struct OpenError {
    /// What was being done.
    pub step: &'static str,
    /// What the kernel answered.
    pub errno: Errno,
}

/// Why a difference is not in force, or not completely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// What must be one transaction does not fit into the socket's send buffer. Nothing was sent.
    #[error(
        "the change takes {bytes} bytes in one transaction and this process may send {limit}: raise net.core.wmem_max \
         (`sudo sysctl -w net.core.wmem_max={}`), or run with CAP_NET_ADMIN in the initial user namespace",
        bytes.next_power_of_two()
    )]
    TooLarge {
        /// What it takes.
        bytes: usize,
        /// What can be sent.
        limit: usize,
    },
    /// A change has no form in netlink: a mistake in the plan. Nothing was sent.
    #[error("cannot {change}: {why} (please report this)")]
    NotEncodable {
        /// The change in words.
        change: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel refused a transaction, so nothing of it is in force.
    #[error(
        "the kernel refused the ruleset ({}{}): {}",
        stage.in_force(),
        before(applied),
        Refusals(refusals)
    )]
    Refused {
        /// The part of the difference that failed.
        stage: Stage,
        /// What was refused, in order; the later ones may be consequences of the first.
        refusals: Vec<Refusal>,
        /// What is in force of the transactions before.
        applied: Applied,
    },
    /// A transaction could not be sent, so nothing of it is in force.
    #[error("cannot send to the kernel ({}{}): {}", stage.in_force(), before(applied), name(*errno))]
    Send {
        /// The part of the difference that failed.
        stage: Stage,
        /// What the kernel answered.
        errno: Errno,
        /// What is in force of the transactions before.
        applied: Applied,
    },
    /// A transaction was sent and the answer is lost: it is in force as a whole or not at all. Read back.
    #[error(
        "the kernel's answer to a transaction of {changes} changes is lost{}: whether it is in force must be read back{}",
        errno.map(|errno| format!(" ({})", name(errno))).unwrap_or_default(),
        before(applied)
    )]
    NoAnswer {
        /// The part of the difference that it was of.
        stage: Stage,
        /// How many changes it had.
        changes: usize,
        /// What receiving came back with, if not just silence.
        errno: Option<Errno>,
        /// What is in force of the transactions before.
        applied: Applied,
    },
}

/// What was done already, if anything.
fn before(applied: &Applied) -> String {
    if applied.transactions == 0 { String::new() } else { format!("; before that: {applied}") }
}

/// One message that the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The change in words.
    pub change: String,
    /// The part of it that the kernel points at, in words.
    pub part: Option<String>,
    /// Where the kernel points at, in bytes from the message's beginning.
    pub offset: Option<u32>,
    /// What the kernel answered.
    pub errno: Errno,
    /// The kernel's own words, which it seldom has.
    pub text: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.change, name(self.errno))?;
        if let Some(text) = &self.text {
            write!(f, ": {text}")?;
        }
        match (&self.part, self.offset) {
            (Some(part), _) => write!(f, ", at {part}"),
            (None, Some(offset)) => write!(f, ", at byte {offset} of its message"),
            (None, None) => Ok(()),
        }
    }
}

struct Refusals<'a>(&'a [Refusal]);

impl fmt::Display for Refusals<'_> {
    /// The first three and how many more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        for (position, refusal) in self.0.iter().take(SHOWN).enumerate() {
            let separator = if position == 0 { "" } else { "; " };
            write!(f, "{separator}{refusal}")?;
        }
        match self.0.len().checked_sub(SHOWN) {
            Some(more) if more > 0 => write!(f, "; and {more} more"),
            _ => Ok(()),
        }
    }
}

/// Why the kernel's state cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The kernel refused the request, or the socket failed.
    #[error("cannot read {what} of table inet palisade back from the kernel: {}", name(*errno))]
    Refused {
        /// What was to be read.
        what: String,
        /// What the kernel answered.
        errno: Errno,
    },
    /// Something changed nftables rules during every attempt.
    #[error(
        "cannot read {what} of table inet palisade back from the kernel: nftables rules in this network namespace were \
         changed during each of {attempts} attempts; find out what changes them (`nft monitor`)"
    )]
    Unsettled {
        /// What was to be read.
        what: String,
        /// How often it was tried.
        attempts: usize,
    },
}

/// An errno in words, with its name and, where it has one here, its usual cause.
pub(super) fn name(errno: Errno) -> String {
    let (symbol, cause) = match errno {
        Errno::PERM => {
            ("EPERM", "CAP_NET_ADMIN is missing in this network namespace, or another process owns the table")
        }
        Errno::NOENT => (
            "ENOENT",
            "it or what it refers to is not there: somebody else changed table inet palisade, or the kernel lacks \
             this expression's module",
        ),
        Errno::EXIST => ("EEXIST", "it is there already: somebody else changed table inet palisade"),
        Errno::BUSY => ("EBUSY", "something still refers to it"),
        Errno::INVAL => ("EINVAL", "the kernel does not know this form"),
        Errno::OPNOTSUPP => {
            ("EOPNOTSUPP", "the kernel lacks this, try `modprobe nf_tables nft_ct nft_fib_inet nft_log nft_limit`")
        }
        Errno::PROTONOSUPPORT => ("EPROTONOSUPPORT", "the kernel has no netfilter netlink, try `modprobe nf_tables`"),
        Errno::RANGE => ("ERANGE", "too long or too large"),
        Errno::MLINK => ("EMLINK", "chains that jump in a circle, or more than 16 deep"),
        Errno::NOMEM => ("ENOMEM", "the kernel has no memory left, or the cgroup's limit is reached"),
        Errno::NOBUFS => ("ENOBUFS", "the receive buffer was too small for the answers"),
        Errno::MSGSIZE => ("EMSGSIZE", "larger than the send buffer"),
        Errno::INTR => ("EINTR", "interrupted by a signal"),
        Errno::TIMEDOUT => ("ETIMEDOUT", "no answer in time"),
        _ => return errno.to_string(),
    };
    let words = errno.to_string();
    let words = words.split(" (os error").next().unwrap_or_default();
    format!("{words} ({symbol}; {cause})")
}

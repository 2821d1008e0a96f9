//! The socket to nf_tables, and transactions through it.

use std::fmt;
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send, sockopt};

use super::answer::Answers;
use super::attribute::Writer;
use super::batch::{Transaction, transactions};
use super::error::{Applied, ApplyError, OpenError};
use super::message::{Message, batch_mark, message, messages};
use super::uapi::{netlink, nfnetlink};
use crate::difference::Difference;

/// The send buffer that is asked for, in bytes. The kernel gives what `net.core.wmem_max` allows,
/// or all of it to who has CAP_NET_ADMIN in the initial user namespace.
const SEND_BUFFER: usize = 16 << 20;

/// The receive buffer that is asked for, in bytes: errors of a broken transaction come all at once.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The kernel refuses a message that is not some 40 bytes smaller than the send buffer.
const SEND_OVERHEAD: usize = 64;

/// Longer than any datagram of a dump, which the kernel keeps to 32 KiB.
const DATAGRAM: usize = 128 * 1024;

/// The kernel answers before `send` returns; this only bounds a surprise.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The nf_tables of one network namespace.
///
/// One process has one of these: the kernel shows no half transaction to anybody, but two writers
/// would not know of each other's.
pub struct Kernel {
    socket: Socket,
    limit: usize,
    sequence: u32,
    buffer: Vec<u8>,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("limit", &self.limit).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Kernel {
    /// Opens nf_tables of the network namespace that the calling thread is in; it stays that one
    /// wherever the thread goes. Needs no privilege yet: changes do (CAP_NET_ADMIN in that namespace).
    pub fn open() -> Result<Self, OpenError> {
        Self::open_with_send_buffer(SEND_BUFFER)
    }

    /// As [`open`](Self::open), with `SO_SNDBUF` set to `bytes` as far as the kernel allows. It keeps
    /// twice that, which bounds a transaction ([`transaction_limit`](Self::transaction_limit)).
    pub fn open_with_send_buffer(bytes: usize) -> Result<Self, OpenError> {
        let failed = |step| move |errno| OpenError { step, errno };
        let from_io = |step| {
            move |error: std::io::Error| OpenError {
                step,
                errno: error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error),
            }
        };
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(from_io("socket"))?;
        socket.bind_auto().map_err(from_io("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(from_io("connect"))?;
        // Errors say which attribute they are about, and do not repeat the whole request.
        socket.set_ext_ack(true).map_err(from_io("NETLINK_EXT_ACK"))?;
        socket.set_cap_ack(true).map_err(from_io("NETLINK_CAP_ACK"))?;
        // The forced size passes the sysctl, and is refused to the rootless.
        if sockopt::set_socket_send_buffer_size_force(&socket, bytes).is_err() {
            sockopt::set_socket_send_buffer_size(&socket, bytes).map_err(failed("SO_SNDBUF"))?;
        }
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER).map_err(failed("SO_RCVBUF"))?;
        }
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_WITHIN))
            .map_err(failed("SO_RCVTIMEO"))?;
        let buffer = sockopt::socket_send_buffer_size(&socket).map_err(failed("SO_SNDBUF"))?;
        let limit = buffer.saturating_sub(SEND_OVERHEAD);
        Ok(Self { socket, limit, sequence: 1, buffer: vec![0; DATAGRAM] })
    }

    /// The longest transaction that can be sent, in bytes.
    pub fn transaction_limit(&self) -> usize {
        self.limit
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    pub(super) fn next_sequence(&self) -> u32 {
        self.sequence
    }

    pub(super) fn set_sequence(&mut self, next: u32) {
        self.sequence = next;
    }

    /// Brings a difference into force: `prepare` and `clean` in as many transactions as it takes,
    /// `switch` in one. The first that fails ends it; it has no effect, those before it do, and the
    /// error says which they are.
    ///
    /// An [`ApplyError::TooLarge`] or [`ApplyError::NotEncodable`] comes before anything is sent.
    pub fn apply(&mut self, difference: &Difference) -> Result<Applied, ApplyError> {
        let first = self.sequence;
        self.sequence = transactions(difference, self.limit, first, &mut |_| Ok(()))?;
        let mut applied = Applied::default();
        transactions(difference, self.limit, first, &mut |transaction| {
            self.commit(&transaction, applied)?;
            applied.transactions += 1;
            applied.bytes += transaction.bytes.len();
            applied.changes += transaction.changes;
            Ok(())
        })?;
        Ok(applied)
    }

    fn commit(&mut self, transaction: &Transaction<'_>, applied: Applied) -> Result<(), ApplyError> {
        let stage = transaction.stage;
        match send(&self.socket, &transaction.bytes, SendFlags::empty()) {
            Ok(_) => {}
            Err(errno) => return Err(ApplyError::Send { stage, errno, applied }),
        }
        let mut answers = Answers::default();
        let mut overrun = None;
        // The kernel has done its work and queued every answer when `send` returns.
        loop {
            match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    let datagram = self.buffer.get(..length).unwrap_or_default();
                    messages(datagram).for_each(|message| answers.take(&message, transaction));
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                // Answers were dropped, which says nothing about the transaction; what is queued can
                // still be read.
                Err(Errno::NOBUFS) if overrun.is_none() => overrun = Some(Errno::NOBUFS),
                Err(errno) => {
                    overrun = Some(errno);
                    break;
                }
            }
        }
        if answers.in_force(overrun.is_some()) {
            Ok(())
        } else if answers.refusals.is_empty() {
            Err(ApplyError::NoAnswer { stage, changes: transaction.changes, errno: overrun, applied })
        } else {
            Err(ApplyError::Refused { stage, refusals: answers.refusals, applied })
        }
    }

    /// Waits until no transaction of anybody is under way: the kernel takes its lock for an empty one
    /// too, which changes nothing and which nobody sees.
    pub(super) fn wait_for_others(&mut self) -> Result<(), Errno> {
        let mut writer = Writer::default();
        for kind in [nfnetlink::BATCH_BEGIN, nfnetlink::BATCH_END] {
            batch_mark(&mut writer, kind, 0, self.sequence);
            self.sequence = self.sequence.wrapping_add(1);
        }
        send(&self.socket, writer.bytes(), SendFlags::empty()).map(|_| ())
    }

    /// Asks for everything of a kind (`dump`) or for one thing, and shows each answer to `visit`.
    /// `Ok(false)`: the kernel says that something changed meanwhile.
    pub(super) fn ask(
        &mut self,
        request: u16,
        dump: bool,
        content: impl FnOnce(&mut Writer),
        mut visit: impl FnMut(&Message<'_>),
    ) -> Result<bool, Errno> {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        let mut writer = Writer::default();
        message(&mut writer, request, if dump { netlink::DUMP } else { 0 }, sequence, content);
        send(&self.socket, writer.bytes(), SendFlags::empty())?;
        let mut undisturbed = true;
        loop {
            let length = match recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((length, whole)) if whole > length => return Err(Errno::MSGSIZE),
                Ok((length, _)) => length,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
                Err(errno) => return Err(errno),
            };
            let datagram = self.buffer.get(..length).unwrap_or_default();
            // Answers to something before are passed over.
            for message in messages(datagram).filter(|message| message.sequence == sequence) {
                undisturbed &= message.flags & netlink::DUMP_INTR == 0;
                match (message.kind, message.code()) {
                    (netlink::ERROR | netlink::DONE, Some(code)) if code != 0 => {
                        return Err(Errno::from_raw_os_error(code.saturating_neg()));
                    }
                    (netlink::ERROR | netlink::DONE, _) => return Ok(undisturbed),
                    (kind, _) if kind >> 8 == nfnetlink::NFTABLES => visit(&message),
                    _ => {}
                }
                if !dump {
                    return Ok(undisturbed);
                }
            }
        }
    }
}

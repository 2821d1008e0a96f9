//! The connections that a namespace tracks: how many, and none of them any more.

use std::io;

use anyhow::{Context as _, Result, bail};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use palisade_linux::{netns::Hopper, sysctl};

/// NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_DELETE: without a tuple it means all.
const DELETE: u16 = 1 << 8 | 2;
/// NLM_F_REQUEST | NLM_F_ACK.
const REQUEST_ACK: u16 = 1 | 4;
const NLMSG_ERROR: u16 = 2;

/// The connection tracking of one namespace.
pub(crate) struct Conntrack(Socket);

impl Conntrack {
    /// Of the namespace that the thread is in.
    pub(crate) fn open_here() -> Result<Self> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            io::Result::Ok(socket)
        };
        Ok(Self(open().context("cannot open a netlink socket")?))
    }

    /// Forgets every connection.
    pub(crate) fn flush(&self) -> Result<()> {
        let mut message = Vec::with_capacity(20);
        message.extend_from_slice(&20_u32.to_ne_bytes());
        message.extend_from_slice(&DELETE.to_ne_bytes());
        message.extend_from_slice(&REQUEST_ACK.to_ne_bytes());
        // Sequence, port, and struct nfgenmsg: any family.
        message.extend_from_slice(&[0; 12]);
        self.0.send(&message, 0).context("cannot ask the kernel to forget connections")?;
        let mut answer = [0_u8; 256];
        let length = self.0.recv(&mut &mut answer[..], 0).context("no answer about forgetting connections")?;
        let answer = answer.get(..length).unwrap_or_default();
        let kind = answer.get(4..).and_then(|rest| rest.first_chunk().copied()).map(u16::from_ne_bytes);
        let code = answer.get(16..).and_then(|rest| rest.first_chunk().copied()).map(i32::from_ne_bytes);
        match (kind, code) {
            (Some(NLMSG_ERROR), Some(0)) => Ok(()),
            (Some(NLMSG_ERROR), Some(code)) => {
                Err(io::Error::from_raw_os_error(code.saturating_neg())).context("the kernel forgets no connections")
            }
            _ => bail!("the kernel answers something else than asked about forgetting connections"),
        }
    }
}

/// How many connections the namespace tracks that the thread is in.
pub(crate) fn count(hopper: &Hopper) -> Result<u64> {
    let count = sysctl::read(hopper, "netfilter.nf_conntrack_count")?;
    count.parse().with_context(|| format!("nf_conntrack_count is {count:?}"))
}

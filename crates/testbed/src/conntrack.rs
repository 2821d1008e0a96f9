//! Emptying a namespace's conntrack table, which no setting does.

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use palisade_linux::netns::NetNs;

use crate::Result;

/// `NLMSG_ERROR`, with which also a success is acknowledged.
const ANSWER: u16 = 2;

/// Forgets every connection (`IPCTNL_MSG_CT_DELETE` without a tuple, linux/netfilter/nfnetlink_conntrack.h).
///
/// # Errors
/// When the kernel refuses.
pub fn flush(namespace: &NetNs) -> Result {
    namespace.run(|| {
        let socket = Socket::new(NETLINK_NETFILTER)?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // nlmsghdr: length, subsystem 1 with message 2, REQUEST | ACK, sequence, port; nfgenmsg: any family.
        let mut message = Vec::new();
        message.extend(20_u32.to_ne_bytes());
        message.extend([0x0102_u16, 0x0005].map(u16::to_ne_bytes).concat());
        message.extend([0; 12]);
        socket.send(&message, 0)?;
        let (answer, _) = socket.recv_from_full()?;
        let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
        let errno = answer.get(16..20).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        match (kind, errno) {
            (Some(ANSWER), Some(0)) => Ok(()),
            (_, errno) => Err(format!("the kernel does not empty the conntrack table: errno {errno:?}").into()),
        }
    })?
}

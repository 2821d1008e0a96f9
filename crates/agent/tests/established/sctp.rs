//! SCTP by hand, over raw sockets: as much as conntrack has to see of an association.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

use palisade_linux::netns::NetNs;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with, sockopt,
};

use super::Fallible;

const DATA: u8 = 0;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
const COOKIE_ECHO: u8 = 10;
const COOKIE_ACK: u8 = 11;
/// A state cookie: type 7, eight bytes with this header.
const COOKIE: [u8; 8] = [0, 7, 0, 8, b'P', b'L', b'S', b'D'];

/// One end of an association.
pub(crate) struct End {
    socket: OwnedFd,
    v6: bool,
    port: u16,
    peer: SocketAddr,
    /// The tag that packets to the peer must bear.
    tag: u32,
}

/// An association from a client to a server.
pub(crate) fn associate(
    (client, client_address): (&NetNs, SocketAddr),
    (server, server_address): (&NetNs, SocketAddr),
) -> Fallible<(End, End)> {
    let (client_tag, server_tag) = (0x1111_1111_u32, 0x2222_2222_u32);
    let mut client = End::open(client, client_address, server_address, 0)?;
    let server = End::open(server, server_address, client_address, client_tag)?;
    client.send(INIT, &initiation(client_tag))?;
    server.expect(INIT)?;
    server.send(INIT_ACK, &[initiation(server_tag).as_slice(), &COOKIE].concat())?;
    client.expect(INIT_ACK)?;
    client.tag = server_tag;
    client.send(COOKIE_ECHO, &COOKIE[4..])?;
    server.expect(COOKIE_ECHO)?;
    server.send(COOKIE_ACK, &[])?;
    client.expect(COOKIE_ACK)?;
    Ok((client, server))
}

/// Initiate tag, receiver window, streams out and in, first TSN.
fn initiation(tag: u32) -> Vec<u8> {
    [tag.to_be_bytes(), 65_536_u32.to_be_bytes(), [0, 1, 0, 1], 1_u32.to_be_bytes()].concat()
}

impl End {
    fn open(namespace: &NetNs, own: SocketAddr, peer: SocketAddr, tag: u32) -> Fallible<Self> {
        let v6 = own.is_ipv6();
        let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
        let protocol = std::num::NonZero::new(132_u32).map(Protocol::from_raw);
        let address = SocketAddr::new(own.ip(), 0);
        let socket = namespace.run(|| {
            let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            bind(&socket, &address)?;
            sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(Duration::from_millis(50)))?;
            Ok::<_, rustix::io::Errno>(socket)
        })??;
        Ok(Self { socket, v6, port: own.port(), peer, tag })
    }

    /// A DATA chunk of eight bytes.
    pub(crate) fn send_data(&self, number: u32) -> io::Result<()> {
        let chunk = [number.to_be_bytes(), [0; 4], [0; 4], *b"palisade".first_chunk().unwrap(), *b"sctp"];
        self.send(DATA, &chunk.concat())
    }

    /// Whether a DATA chunk came; after 50 ms, none did.
    pub(crate) fn receive_data(&self) -> io::Result<bool> {
        self.receive(DATA)
    }

    fn expect(&self, kind: u8) -> Fallible<()> {
        for _ in 0..100 {
            if self.receive(kind)? {
                return Ok(());
            }
        }
        Err(format!("no chunk of type {kind} came").into())
    }

    fn receive(&self, wanted: u8) -> io::Result<bool> {
        let mut buffer = [0; 512];
        let length = match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno.into()),
        };
        let packet = &buffer[..length];
        let packet = if self.v6 { packet } else { &packet[usize::from(packet[0] & 0x0f) * 4..] };
        Ok(packet[..4] == [self.peer.port().to_be_bytes(), self.port.to_be_bytes()].concat() && packet[12] == wanted)
    }

    fn send(&self, kind: u8, body: &[u8]) -> io::Result<()> {
        let mut bytes = [self.port.to_be_bytes(), self.peer.port().to_be_bytes()].concat();
        bytes.extend(self.tag.to_be_bytes());
        bytes.extend([0; 4]);
        // All of a message in one DATA chunk: flags B and E.
        bytes.extend([kind, if kind == DATA { 3 } else { 0 }]);
        bytes.extend((4 + body.len() as u16).to_be_bytes());
        bytes.extend(body);
        let checksum = crc32c(&bytes).to_le_bytes();
        bytes[8..12].copy_from_slice(&checksum);
        let to: IpAddr = self.peer.ip();
        sendto(&self.socket, &bytes, SendFlags::empty(), &SocketAddr::new(to, 0))?;
        Ok(())
    }
}

/// CRC32c (Castagnoli), bit by bit: conntrack takes a packet with a wrong one for invalid.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

//! Packets that say they come from somebody else: real datagrams with another pod's source address.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use palisade_linux::{
    links::{Request, Rtnetlink},
    netns::NetNs,
};
use palisade_testbed::{Result, Setup, Testbed};

use crate::stage::{setup, up};

/// The index of a pod's own interface in crate lab's wiring.
const POD_LINK: u32 = 100;

pub(crate) fn source_addresses() -> Result {
    // Without knowing which interfaces lead to pods, an agent goes by the address alone: the test can see it.
    let bed = up(Setup { pod_interfaces: false, ..setup() })?;
    assert_eq!(forged(&bed)?, [true, true], "nothing was forged, so this proves nothing");
    let mut bed = up(setup())?;
    let before = dropped(&mut bed)?;
    assert_eq!(forged(&bed)?, [false, false]);
    assert!(dropped(&mut bed)? >= before + 2, "it was not the rule against it that dropped them");
    // Whoever really has the address is not disturbed.
    for is_ipv4 in [true, false] {
        assert!(arrives(&bed, "prod/web", "prod/web", is_ipv4)?);
        assert!(!arrives(&bed, "other/far", "other/far", is_ipv4)?);
    }
    Ok(())
}

/// Whether datagrams of `far`, from the web's node and with the web's address, reach the database, in IPv4
/// and IPv6.
fn forged(bed: &Testbed) -> Result<[bool; 2]> {
    for is_ipv4 in [true, false] {
        let ((near, _), (_, forged)) = (bed.end("other/far", is_ipv4)?, bed.end("prod/web", is_ipv4)?);
        Rtnetlink::open(near)?.submit(&[Request::host_address(forged, POD_LINK)])?;
    }
    Ok([arrives(bed, "other/far", "prod/web", true)?, arrives(bed, "other/far", "prod/web", false)?])
}

/// Whether a datagram that a pod sends with the address of another arrives at the database.
fn arrives(bed: &Testbed, from: &str, source: &str, is_ipv4: bool) -> Result<bool> {
    let ((near, _), (_, source)) = (bed.end(from, is_ipv4)?, bed.end(source, is_ipv4)?);
    let (far, destination) = bed.end("prod/db", is_ipv4)?;
    let server = bound(far, destination, 80)?;
    server.set_read_timeout(Some(Duration::from_millis(700)))?;
    bound(near, source, 0)?.send_to(b"new", (destination, 80))?;
    Ok(server.recv(&mut [0; 8]).is_ok())
}

fn bound(namespace: &NetNs, address: IpAddr, port: u16) -> Result<UdpSocket> {
    Ok(namespace.run(|| UdpSocket::bind((address, port)))??)
}

/// What the rule against forged sources has dropped on the node of the forger.
fn dropped(bed: &mut Testbed) -> Result<u64> {
    let counters = bed.kernel(1)?.counters()?;
    let forged = counters.iter().filter(|counter| counter.comment.as_deref() == Some("forged source address"));
    Ok(forged.map(|counter| counter.packets).sum())
}

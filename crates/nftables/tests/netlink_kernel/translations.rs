//! Services of the lab: what nft says of the table that was written, and that it is replaced as a whole.

use std::net::SocketAddr;
use std::process::Command;

use palisade_engine::model::{Family, Protocol};
use palisade_nftables::netlink::Kernel;
use palisade_nftables::translation::{Door, DoorAddress, Translation};

use super::{HAS_NFT, Outcome};

fn door(at: DoorAddress, protocol: Protocol, port: u16, behind: &[&str]) -> Door {
    let behind = behind.iter().map(|address| address.parse::<SocketAddr>().unwrap()).collect();
    Door { at, protocol, port, behind, comment: "default/web".to_owned() }
}

pub(super) fn services() -> Outcome {
    let service = DoorAddress::Service("10.96.0.5".parse()?);
    let service6 = DoorAddress::Service("fd00:10:96::5".parse()?);
    let translation = Translation {
        own: vec!["172.18.0.2".parse()?, "fd00:172:18::2".parse()?],
        doors: vec![
            door(service, Protocol::Tcp, 80, &["10.244.0.2:8080", "10.244.0.3:8080", "10.244.0.4:8081"]),
            door(service6, Protocol::Udp, 53, &["[fd00::2]:5353"]),
            door(DoorAddress::Node(Family::V4), Protocol::Tcp, 30080, &["10.244.0.2:8080"]),
            door(service, Protocol::Sctp, 9, &[]),
        ],
    };
    let mut kernel = Kernel::open()?;
    kernel.translate(&translation)?;
    if !*HAS_NFT {
        return Ok(());
    }
    let listed = || -> Result<String, std::io::Error> {
        let output = Command::new("nft").args(["list", "table", "inet", "palisade-lab"]).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let text = listed()?;
    for expected in [
        "ip daddr 10.96.0.5 tcp dport 80 goto door-0",
        "ip6 daddr fd00:10:96::5 udp dport 53 goto door-1",
        "fib daddr type local",
        "numgen random mod 3 0 dnat ip to 10.244.0.2:8080",
        "numgen random mod 2 0 dnat ip to 10.244.0.3:8080",
        "dnat ip to 10.244.0.4:8081",
        "dnat ip6 to [fd00::2]:5353",
        "ip saddr 10.244.0.3 ip daddr 10.244.0.3 snat ip to 172.18.0.2",
        "type nat hook prerouting priority dstnat; policy accept;",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert!(!text.contains("door-3"), "nobody is behind the last door\n{text}");

    kernel.translate(&Translation::default())?;
    assert!(!listed()?.contains("door-"), "{}", listed()?);
    Ok(())
}

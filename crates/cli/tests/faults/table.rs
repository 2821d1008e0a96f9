//! A reboot, a hand that meddles, a full conntrack table.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use palisade_nftables::difference::Change;
use palisade_testbed::{Result, Setup, Testbed, conntrack, until};

use crate::stage::{expect, only, rows, setup, up};

pub(crate) fn reboot() -> Result {
    let mut bed = up(setup())?;
    for round in 0..2 {
        for node in 0..bed.nodes() {
            bed.kill_agents(node)?;
            bed.meddle(node, vec![Change::DeleteTable])?;
        }
        // The pods are there before the agent is: everything is open until it has settled.
        bed.all_arrive(&rows(&[]), true)?;
        let from = if round == 0 { "far" } else { "web" };
        bed.api().apply(&only("db", from, "db", &[]))?;
        bed.start_agents()?;
        bed.settle()?;
        expect(&mut bed, &[if round == 0 { "other/far" } else { "prod/web" }])?;
    }
    Ok(())
}

pub(crate) fn a_hand_meddles() -> Result {
    let mut bed = up(Setup { audit_every: 1, ..setup() })?;
    let wanted = bed.fresh(|_| {})?;
    let ruleset = wanted.first().cloned().flatten().ok_or("node-1 has no ruleset")?;
    let mut hands = vec![
        ("the table deleted", vec![Change::DeleteTable]),
        ("the table flushed", ruleset.chains.keys().cloned().map(Change::FlushChain).collect()),
        ("a foreign chain", vec![Change::AddChain { name: "odd".to_owned(), is_base: true }]),
    ];
    for (name, set) in &ruleset.sets {
        if let Some(key) = set.elements.keys().next() {
            let delete = Change::DeleteElements { set: name.clone(), kind: set.kind, keys: vec![*key] };
            hands.push(("an element removed", vec![delete]));
        }
    }
    assert!(hands.len() > 6, "{hands:?}");
    for (what, hand) in hands {
        let before = bed.metric(0, "palisade_drift_total")?;
        bed.meddle(0, hand)?;
        assert!(!bed.differences(&wanted)?.is_empty(), "{what}");
        bed.settle().map_err(|error| format!("{what}: {error}"))?;
        until("the agent counts it", || {
            let drift = bed.metric(0, "palisade_drift_total")?;
            if drift > before { Ok(()) } else { Err(format!("{what}: {drift} after {before}").into()) }
        })?;
    }
    expect(&mut bed, &["prod/web"])
}

/// The longest table that is filled: a million entries are 300 MB.
const LARGEST: usize = 1 << 20;

pub(crate) fn full_conntrack() -> Result {
    let mut bed = up(setup())?;
    let text = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max");
    let limit = text.ok().and_then(|text| text.trim().parse::<usize>().ok());
    let limit = match limit {
        Some(limit) if limit <= LARGEST => limit,
        // It is the whole machine's: a namespace cannot have a smaller one.
        other => {
            println!("skipped: nf_conntrack_max is {other:?}, and is only filled up to {LARGEST}");
            return Ok(());
        }
    };
    // However long the filling takes, what came first is to be there at its end.
    bed.node(0)?.run(|| std::fs::write("/proc/sys/net/netfilter/nf_conntrack_udp_timeout", "3600"))??;
    fill(&bed, limit)?;
    // The rules follow all the same, and nothing that is denied gets through.
    bed.api().apply(&only("db", "far", "db", &[]))?;
    bed.settle()?;
    assert!(!arrives(&bed, "prod/web")? && !arrives(&bed, "other/near")?, "denied, and it arrives");
    // Entries that nobody answered make room, for what is allowed.
    until("what is allowed arrives", || if arrives(&bed, "other/far")? { Ok(()) } else { Err("not".into()) })?;
    conntrack::flush(bed.node(0)?)?;
    expect(&mut bed, &["other/far"])
}

/// New connections through node 0, each of one datagram, until its table is full.
fn fill(bed: &Testbed, limit: usize) -> Result {
    let (near, source) = bed.end("prod/db", true)?;
    // On the same node: that of the other one stays as it is.
    let (_, destination) = bed.end("other/near", true)?;
    let node = bed.node(0)?;
    let entries = || -> Result<usize> {
        let text = node.run(|| std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count"))??;
        Ok(text.trim().parse()?)
    };
    for _ in 0..limit / 10_000 {
        let socket = near.run(|| UdpSocket::bind((source, 0)))??;
        for port in 1024..61_024 {
            // A port where nobody listens answers with an error, which the next datagram reports.
            _ = socket.send_to(b"x", SocketAddr::new(destination, port));
        }
        // Room is made for new ones at the cost of old ones a little before the limit.
        if entries()? * 100 >= limit * 98 {
            println!("{} of {limit} entries", entries()?);
            return Ok(());
        }
    }
    Err(format!("only {} of {limit} entries", entries()?).into())
}

/// Whether one datagram of a new connection arrives at the database.
fn arrives(bed: &Testbed, from: &str) -> Result<bool> {
    let ((near, source), (far, destination)) = (bed.end(from, true)?, bed.end("prod/db", true)?);
    let server = far.run(|| UdpSocket::bind((destination, 80)))??;
    server.set_read_timeout(Some(Duration::from_millis(500)))?;
    let client = near.run(|| UdpSocket::bind((source, 0)))??;
    client.send_to(b"new", (destination, 80))?;
    Ok(server.recv(&mut [0; 8]).is_ok())
}

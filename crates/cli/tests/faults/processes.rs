//! Agents that are killed while connections go on, and two of one node.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread::sleep,
    time::{Duration, Instant},
};

use palisade_testbed::{Result, Testbed, stream::Stream, until};

use crate::stage::{expect, number, only, pod, setup, up};

/// Numbers that look random, the same in every run.
struct Dice(AtomicU64);

impl Dice {
    fn below(&self, limit: u64) -> u64 {
        let next = |state: u64| state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let state = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| Some(next(state)));
        (state.unwrap_or_default() >> 33) % limit
    }
}

/// A change that the rules of both streams' ends follow: their profiles are other ones each time, and allow
/// the streams in each.
fn change(bed: &Testbed, number: u64) -> Result {
    let port = 10_000 + u16::try_from(number % 20_000)?;
    match number % 4 {
        0 | 2 => bed.api().apply(&only("db", "web", "db", &[port])),
        1 => bed.api().apply(&only("second", "near", "db", &[port])),
        _ => bed.api().apply(&pod("other/near", &format!("near-{number}"), 1, 3)),
    }
}

/// What goes on all the time: nothing of it may be lost, and the last must not arrive.
fn streams(bed: &Testbed) -> Result<Vec<(&'static str, Stream)>> {
    let (web, far, db) = ("prod/web", "other/far", "prod/db");
    Ok(vec![
        ("one UDP connection", bed.udp(web, db, 80, true)?),
        ("one TCP connection", bed.tcp(web, db, 80, true)?),
        ("one UDP connection in IPv6", bed.udp(web, db, 80, false)?),
        ("one TCP connection in IPv6", bed.tcp(web, db, 80, false)?),
        ("new connections", bed.udp_anew(web, db, 81, true)?),
        ("new connections in IPv6", bed.udp_anew(web, db, 81, false)?),
        ("what is denied", bed.udp_never(far, db, 82, true)?),
        ("what is denied in IPv6", bed.udp_never(far, db, 82, false)?),
    ])
}

/// One more round trip now that all is done, and then its end; how many messages there were.
fn goes_on(stream: Stream) -> Result<u64> {
    let before = stream.answered();
    until(
        "it goes on",
        || if stream.answered() > before || stream.is_over() { Ok(()) } else { Err("not yet".into()) },
    )?;
    stream.finish()
}

/// `PALISADE_POLICY_CHANGES` (1,000 in the nightly run) and `PALISADE_RESTARTS` (100 there) scale it.
pub(crate) fn killed_at_any_moment() -> Result {
    let mut bed = up(setup())?;
    let (changes, restarts) = (number("PALISADE_POLICY_CHANGES", 60), number("PALISADE_RESTARTS", 8));
    let streams = streams(&bed)?;
    let dice = Dice(AtomicU64::new(1));
    let begin = Instant::now();
    let mut done = 0;
    for restart in 1..=restarts {
        // From the first moment of a start to long after it has settled.
        sleep(Duration::from_millis(dice.below(400)));
        while done < changes * restart / restarts {
            change(&bed, done)?;
            done += 1;
            sleep(Duration::from_micros(dice.below(5_000)));
        }
        let node = usize::try_from(restart % 2)?;
        bed.kill_agents(node)?;
        bed.start_agent(node)?;
    }
    bed.settle()?;
    for (what, stream) in streams {
        let messages = goes_on(stream).map_err(|error| format!("{what}: {error}"))?;
        println!("{what}: {messages} messages through {changes} changes and {restarts} restarts");
    }
    println!("that took {:.1?}", begin.elapsed());
    expect(&mut bed, &["prod/web"])
}

/// Two of one node, as for a moment in an update gone wrong: both follow, and neither undoes the other's work.
pub(crate) fn two_at_once() -> Result {
    let mut bed = up(palisade_testbed::Setup { audit_every: 1, ..setup() })?;
    bed.start_agent(0)?;
    bed.ready()?;
    let streams = streams(&bed)?;
    for number in 0..30 {
        change(&bed, number)?;
        if number % 10 == 0 {
            bed.settle()?;
        }
    }
    bed.settle()?;
    // One audit of each later there is nothing to repair, nor at any later one.
    let audits = |bed: &Testbed, more: f64| -> Result {
        let begin = bed.metric(0, "palisade_audits_total")?;
        until("the audits come", || {
            let now = bed.metric(0, "palisade_audits_total")?;
            if now >= begin + more { Ok(()) } else { Err(format!("{now} after {begin}").into()) }
        })
    };
    audits(&bed, 4.0)?;
    let before = bed.metric(0, "palisade_transactions_total")?;
    audits(&bed, 4.0)?;
    assert_eq!(bed.metric(0, "palisade_transactions_total")?.to_bits(), before.to_bits(), "they fight");
    bed.settle()?;
    for (what, stream) in streams {
        goes_on(stream).map_err(|error| format!("{what}: {error}"))?;
    }
    expect(&mut bed, &["prod/web"])?;
    // When both go and one comes back, nothing is left of the other.
    bed.kill_agents(0)?;
    bed.start_agent(0)?;
    bed.settle()
}

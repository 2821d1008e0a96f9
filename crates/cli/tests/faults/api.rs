//! The API server is away, cuts, forgets, refuses.

use std::{thread::sleep, time::Duration};

use palisade_testbed::{Result, Testbed};
use palisade_watch::{
    Watched,
    fake::{FakeServer, Fault},
};

use crate::stage::{expect, number, only, pod, setup, up};

fn fake(bed: &Testbed) -> Result<&FakeServer> {
    Ok(bed.api().fake().ok_or("not the fake server")?)
}

/// Changes of every kind: another may reach the database, one pod goes, one moves to another label.
fn changes(bed: &Testbed) -> Result {
    let api = bed.api();
    api.delete(Watched::NetworkPolicies, "prod/db")?;
    api.apply(&only("db-from-near", "near", "db", &[443]))?;
    api.delete(Watched::Pods, "prod/web")?;
    api.apply(&pod("other/far", "farther", 2, 3))?;
    api.apply("{apiVersion: v1, kind: Namespace, metadata: {name: other, labels: {team: another}}}")?;
    api.apply(&only("db-from-farther", "farther", "db", &[]))
}

/// What [`changes`] leads to. The web is not there any more: nobody knows its address.
const AFTERWARDS: [&str; 2] = ["other/near", "other/far"];

pub(crate) fn away_during_changes() -> Result {
    let mut bed = up(setup())?;
    let before = bed.fresh(|_| {})?;
    bed.api_goes_away();
    changes(&bed)?;
    // A minute in the nightly run; the waits between tries are the agent's own ones.
    sleep(Duration::from_secs(number("PALISADE_API_AWAY_SECONDS", 3)));
    // What was in force stays so, whole.
    assert_eq!(bed.differences(&before)?, Vec::<String>::new());
    expect(&mut bed, &["prod/web"])?;
    bed.api_comes_back()?;
    bed.settle()?;
    expect(&mut bed, &AFTERWARDS)
}

pub(crate) fn cut_all_the_time() -> Result {
    let mut bed = up(setup())?;
    for round in 0..12_u16 {
        bed.api().apply(&only("db", "web", "db", &[8000 + round]))?;
        // The fake server itself cuts every other watch in the middle of an event.
        match bed.api().fake() {
            Some(fake) if round % 2 == 0 => fake.cut_watches(),
            _ => bed.cut_connections(),
        }
        bed.api().apply(&pod("other/near", &format!("near-{round}"), 1, 3))?;
        if round % 3 == 0 {
            bed.settle()?;
        }
    }
    bed.api().apply(&pod("other/near", "near", 1, 3))?;
    changes(&bed)?;
    bed.settle()?;
    expect(&mut bed, &AFTERWARDS)
}

pub(crate) fn gone_410() -> Result {
    let mut bed = up(setup())?;
    let lists = |bed: &Testbed| -> Result<usize> {
        let all = fake(bed)?.requests();
        Ok(all.iter().filter(|line| line.contains("/pods?") && !line.contains("watch=")).count())
    };
    // Forgotten while the agents were away: what was deleted meanwhile is told by no event any more.
    bed.api_goes_away();
    changes(&bed)?;
    fake(&bed)?.compact();
    let before = lists(&bed)?;
    bed.api_comes_back()?;
    // Not before each agent has begun anew: the fresh compile lists, too.
    palisade_testbed::until("both agents list again", || {
        if lists(&bed)? >= before + 2 { Ok(()) } else { Err("they do not".into()) }
    })?;
    bed.settle()?;
    expect(&mut bed, &AFTERWARDS)?;
    // Told on the open watch, and told again on the next list's second page.
    fake(&bed)?.fail(Fault::expired("pods").times(2));
    for plural in ["namespaces", "nodes", "pods", "networkpolicies"] {
        fake(&bed)?.send_error(plural, 410);
    }
    bed.api().apply(&only("db-from-near", "nobody", "db", &[]))?;
    bed.settle()?;
    expect(&mut bed, &["other/far"])
}

pub(crate) fn refuses() -> Result {
    let mut bed = up(setup())?;
    for fault in [
        Fault::status("pods", 500).on_watches().times(4),
        Fault::status("networkpolicies", 429).times(3),
        Fault::forbidden("namespaces").on_watches().times(3),
        Fault::text("nodes", 502, "<html>bad gateway</html>").on_watches().times(3),
        Fault::closed("pods").times(3),
        Fault::error_event("networkpolicies", 500).times(3),
    ] {
        fake(&bed)?.fail(fault);
    }
    fake(&bed)?.cut_watches();
    changes(&bed)?;
    // The faults are used up by the agents, not by the fresh compile's own lists.
    sleep(Duration::from_secs(2));
    fake(&bed)?.forgive();
    bed.settle()?;
    expect(&mut bed, &AFTERWARDS)
}

//! Both benchmarks, small: that they measure what they say, with real packets and a real table. No time is judged.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};

/// The table that a benchmark prints, as lines of cells; `None`, having said why, where it cannot run.
fn table(program: &str) -> Result<Option<Vec<Vec<String>>>> {
    let Output { status, stdout, stderr } = Command::new(program).arg("--quick").output()?;
    let (out, err) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    if status.code() == Some(2) && err.contains("cannot enter new namespaces") {
        ensure!(std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_none(), "{err}");
        eprintln!("skipped: {program} was not run: {err}");
        return Ok(None);
    }
    ensure!(status.success(), "{status}\n{out}\n{err}");
    Ok(Some(out.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()))
}

/// The cells of every row under a heading.
fn column<'t>(table: &'t [Vec<String>], name: &str) -> Result<Vec<&'t str>> {
    let (head, rows) = table.split_first().context("no table")?;
    let place = head.iter().position(|cell| cell == name).with_context(|| format!("no column {name} in {head:?}"))?;
    rows.iter().map(|row| Ok(row.get(place).with_context(|| format!("{row:?} is short"))?.as_str())).collect()
}

#[test]
fn packets_are_measured_in_both_families_beside_conntrack_alone() -> Result<()> {
    let Some(table) = table(env!("CARGO_BIN_EXE_dataplane"))? else { return Ok(()) };
    let (rules, what) = (column(&table, "rules")?, column(&table, "what")?);
    for family in ["IPv4", "IPv6"] {
        for expected in ["established packet, TCP", "established packet, UDP", "new connection", "connections"] {
            for name in [
                "no netfilter",
                "conntrack again",
                "palisade",
                "palisade, one pod",
                "palisade, half audited",
                "one rule a policy",
            ] {
                let families = column(&table, "family")?;
                let found = rules.iter().zip(&what).zip(&families);
                let found = found.filter(|((rules, what), of)| (**rules, **what, **of) == (name, expected, family));
                ensure!(found.count() == 1, "{name}, {expected}, {family}: {table:?}");
            }
        }
    }
    for ratio in column(&table, "ratio")? {
        let ratio: f64 = ratio.parse()?;
        ensure!(ratio.is_finite() && ratio > 0.0, "{table:?}");
    }
    ensure!(column(&table, "ok")?.iter().all(|ok| *ok == "-"), "--quick judges nothing");
    Ok(())
}

/// It also compares what is in the kernel at the end with a fresh compile.
#[test]
fn every_change_is_enforced_and_every_size_compared() -> Result<()> {
    let Some(table) = table(env!("CARGO_BIN_EXE_agent"))? else { return Ok(()) };
    let what = column(&table, "what")?;
    for expected in [
        "first sync",
        "pod added",
        "pod removed",
        "local pod added",
        "local pod removed",
        "pod relabelled",
        "policy added",
        "policy removed",
        "policy changed",
        "namespace label changed",
        "burst",
        "burst, undone",
        "memory at most",
    ] {
        ensure!(what.iter().filter(|what| **what == expected).count() == 2, "{expected}: {table:?}");
    }
    ensure!(column(&table, "ok")?.iter().all(|ok| *ok == "-"), "--quick judges nothing");
    Ok(())
}

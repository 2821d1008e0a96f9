//! Makes flow-log lines, reads and folds them, and prints how fast and in how much memory.
//!
//! ```text
//! cargo run --release -p palisade-flows --example fold -- [LINES] [CONNECTIONS]
//! ```
//!
//! Lines are made one by one and forgotten, as they would come from a file: all that grows is the fold.

use std::{error::Error, fmt::Write as _, time::Instant};

use palisade_flows::{By, Fold, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |or| arguments.next().map_or(Ok(or), |text| text.parse::<u64>());
    let (lines, connections) = (number(10_000_000)?, number(10_000)?);
    let mut fold = Fold::new(By::Workload, 1_000_000);
    let mut line = String::new();
    let before = peak()?;
    let (begin, mut reading, mut bytes) = (Instant::now(), 0.0, 0);
    for index in 0..lines {
        // A connection that has nothing to do with the one before: an odd multiplier visits all of them.
        let which = index.wrapping_mul(2_654_435_761) % connections;
        line.clear();
        make(&mut line, index, which)?;
        bytes += line.len();
        let at = Instant::now();
        match read(&line) {
            Ok(entry) => fold.take(entry),
            Err(why) => return Err(format!("{line}: {why}").into()),
        }
        reading += at.elapsed().as_secs_f64();
    }
    let (folded, tally) = fold.finish();
    println!(
        "{lines} lines ({} MB) of {} connections, {} of them beyond the bound: {:.0} lines a second read and folded \
         ({reading:.1} s of {:.1} s with making them)",
        bytes / 1_000_000,
        folded.len(),
        tally.beyond,
        lines as f64 / reading,
        begin.elapsed().as_secs_f64(),
    );
    println!("peak memory {} kB, {before} kB of it before the first line", peak()?);
    Ok(())
}

/// A line as an agent writes it: pods come and go, their workloads stay.
fn make(line: &mut String, index: u64, which: u64) -> Result<(), std::fmt::Error> {
    let (source, destination, port) = (which % 97, which / 97, 80 + which % 3);
    let (millisecond, second) = (index % 1_000, index / 1_000 % 60);
    let (day, hour, minute) = (1 + index / 400_000_000, index / 3_600_000 % 24, index / 60_000 % 60);
    let replica = index / 1_000 % 10_000;
    let verdict = if index.is_multiple_of(50) { "denied" } else { "accepted" };
    write!(
        line,
        r#"{{"v":1,"time":"2026-03-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z","verdict":"{verdict}","direction":"egress","protocol":"TCP","src":{{"namespace":"shop-{}","pod":"web-{source}-7c9f6d-{replica:05}","workload":"deploy/web-{source}","node":"node-{}","ip":"10.244.{}.{}","port":{}}},"dst":{{"namespace":"data","pod":"db-{destination}-0","workload":"sts/db-{destination}","node":"node-3","ip":"10.245.0.9","port":{port}}},"node":"node-{}","isolatedBy":["shop/web"],"decidedBy":[{{"policy":"shop/web","rule":"egress[0]"}}],"nearest":null,"suppressed":0}}"#,
        source % 7,
        index % 40,
        replica / 250,
        replica % 250,
        1_024 + index % 60_000,
        index % 40,
    )
}

/// The most memory that this process has had, in kB (`VmHWM`, proc(5)).
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|rest| rest.split_whitespace().next()).ok_or("no VmHWM in /proc/self/status")?;
    Ok(kilobytes.parse()?)
}

//! What the questions about a cluster cost, beside reading its files.
//!
//! ```text
//! cargo run -p palisade-benches --release --bin questions              the three sizes
//! cargo run -p palisade-benches --release --bin questions -- --check   and exit 1 if it is too much
//! ```
//!
//! Every step is a process of its own, which first reads the files: so its memory is what a command
//! would need that comes to this step, and its ratio is to a reading of the same run. User CPU is the
//! least of the rounds; in each round every step has its turn.

mod clock;
mod step;

use std::{
    env, fs,
    io::{self, IsTerminal as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use palisade_benches::{Cluster, Size};

use self::step::{Measured, Step, measure};

/// The sizes of the promise: pods and policies.
const SIZES: [(usize, usize); 3] = [(1_000, 500), (10_000, 5_000), (100_000, 20_000)];

/// The most memory that the largest of them may take.
const MOST_MIB: f64 = 2048.0;

/// Measure reading, compiling, explaining and all connections on clusters of three sizes.
#[derive(Parser)]
struct Arguments {
    /// Exit 1 when compiling and all connections cost more than reading at any size, or any step more
    /// than 2 GiB.
    #[arg(long)]
    check: bool,
    /// Another size than the three, as PODS/POLICIES; may be given several times.
    #[arg(long = "size", value_name = "PODS/POLICIES", value_parser = size)]
    sizes: Vec<(usize, usize)>,
    /// How often every step is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// What the clusters come from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Be the process that measures this step on the files of FOLDER.
    #[arg(long, hide = true, requires = "folder")]
    step: Option<Step>,
    #[arg(long, hide = true)]
    folder: Option<PathBuf>,
}

fn size(text: &str) -> Result<(usize, usize)> {
    let (pods, policies) = text.split_once('/').context("write PODS/POLICIES, for example 1000/500")?;
    Ok((pods.parse()?, policies.parse()?))
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(step), Some(folder)) = (arguments.step, &arguments.folder) {
        println!("{}", measure(step, folder)?);
        return Ok(ExitCode::SUCCESS);
    }
    let sizes = if arguments.sizes.is_empty() { SIZES.to_vec() } else { arguments.sizes };
    println!("pods/policies\tstep\tuser CPU s\tpeak MiB\tratio to read");
    let mut too_much = Vec::new();
    for (pods, policies) in sizes {
        let size = Size { pods, policies, seed: arguments.seed, dual_stack: true };
        let files = Files::of(size)?;
        let rows = rounds(&files.folder, arguments.rounds)?;
        too_much.extend(print(size, files.bytes, &rows)?);
    }
    for line in &too_much {
        println!("too much\t{line}");
    }
    Ok(ExitCode::from(u8::from(arguments.check && !too_much.is_empty())))
}

/// A generated cluster in a folder, which goes when this goes.
struct Files {
    folder: PathBuf,
    bytes: u64,
}

impl Files {
    fn of(size: Size) -> Result<Self> {
        let folder = env::temp_dir().join(format!("palisade-questions-{}", std::process::id()));
        let mut files = Self { folder, bytes: 0 };
        files.bytes = Cluster::new(size)?.write_folder(&files.folder)?;
        Ok(files)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("{} stays: {error}", self.folder.display());
        }
    }
}

/// The least of what each step took in any round.
fn rounds(folder: &Path, rounds: u32) -> Result<Vec<(Step, Measured)>> {
    let mut best: Vec<(Step, Measured)> = Vec::new();
    for round in 0..rounds {
        for step in Step::ALL {
            let measured = child(step, folder)?;
            match best.iter_mut().find(|(known, _)| *known == step) {
                Some((_, best)) => {
                    best.read = best.read.min(measured.read);
                    best.step = best.step.min(measured.step);
                    best.peak = best.peak.max(measured.peak);
                }
                None => best.push((step, measured)),
            }
            if io::stderr().is_terminal() {
                eprint!("\rround {} of {rounds}: {:<16}\r", round + 1, step.words());
            }
        }
    }
    Ok(best)
}

fn child(step: Step, folder: &Path) -> Result<Measured> {
    let name = clap::ValueEnum::to_possible_value(&step).map(|value| value.get_name().to_owned());
    let mut command = Command::new(env::current_exe()?);
    command.arg("--step").arg(name.unwrap_or_default()).arg("--folder").arg(folder);
    let output = command.output().context("this program cannot be started again")?;
    if !output.status.success() {
        bail!("{}: {}", step.words(), String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8(output.stdout)?.trim().parse()
}

/// Prints the rows of a size; returns what is more than was promised.
fn print(size: Size, bytes: u64, rows: &[(Step, Measured)]) -> Result<Vec<String>> {
    // Every process read the files; the least is nearest to what reading takes.
    let read = rows.iter().map(|(_, row)| row.read).fold(f64::INFINITY, f64::min);
    ensure!(read.is_finite() && read > 0.0, "reading took no time");
    let name = format!("{}/{}", size.pods, size.policies);
    let (mut counted, mut all_peaks) = (0.0, 0.0f64);
    for (step, row) in rows {
        let taken = if *step == Step::Read { read } else { row.step };
        let peak = row.peak as f64 / 1024.0;
        println!("{name}\t{}\t{}\t{peak:.0}\t{}", step.words(), digits(taken), digits(taken / read));
        counted += if Step::COUNTED.contains(step) { taken } else { 0.0 };
        all_peaks = all_peaks.max(peak);
    }
    let found = |place: usize| rows.iter().filter_map(|(_, row)| row.found.get(place)).max().copied().unwrap_or(0);
    let words: Vec<&str> = Step::COUNTED.iter().map(|step| step.words()).collect();
    println!("{name}\t{}\t{}\t{all_peaks:.0}\t{}", words.join(" + "), digits(counted), digits(counted / read));
    println!(
        "{name}\tinput: {:.1} MiB of YAML, seed {}; {} identities, {} distinct rows of connections",
        bytes as f64 / f64::from(1 << 20),
        size.seed,
        found(0),
        found(1)
    );
    Ok(excess(&name, counted / read, all_peaks))
}

/// What is more than was promised.
fn excess(name: &str, ratio: f64, mib: f64) -> Vec<String> {
    let mut excess = Vec::new();
    if ratio > 1.0 {
        let words: Vec<&str> = Step::COUNTED.iter().map(|step| step.words()).collect();
        excess.push(format!("{name}: {} take {ratio:.2} of reading", words.join(" and ")));
    }
    if mib > MOST_MIB {
        excess.push(format!("{name}: {mib:.0} MiB, more than {MOST_MIB:.0}"));
    }
    excess
}

/// Three digits that say something, whatever the size.
fn digits(number: f64) -> String {
    if number < 0.001 { format!("{number:.2e}") } else { format!("{number:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_is_no_excess() {
        assert!(excess("n", 1.0, 2048.0).is_empty());
        assert_eq!(
            excess("n", 1.5, 2049.0),
            ["n: compile and all connections take 1.50 of reading", "n: 2049 MiB, more than 2048"]
        );
    }

    #[test]
    fn a_child_is_understood() -> Result<()> {
        let said = Measured { read: 1.5, step: 2.5e-7, peak: 4096, found: [3, 4] };
        assert_eq!(said.to_string().parse::<Measured>()?.to_string(), said.to_string());
        assert!("1.5 2".parse::<Measured>().is_err());
        Ok(())
    }
}

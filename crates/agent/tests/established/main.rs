//! Established connections against the real kernel: cut when they are denied, in both directions, and
//! alive again when that is undone; what stays allowed loses nothing.
//!
//! Not under libtest's harness: it starts threads before the first test, and a process with threads
//! cannot enter a user namespace.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails so; clippy does not see that this is one, since it has no harness"
)]

mod sctp;
mod stream;
#[path = "../support/mod.rs"]
mod support;
mod trials;
mod world;

use std::{error::Error, process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_linux::sandbox::Sandbox;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Far more than it takes: only a failure waits so long.
const PATIENCE: Duration = Duration::from_secs(60);

type Test = fn() -> Fallible<()>;

const TRIALS: &[(&str, Test)] = &[
    ("a_denied_connection_stops_and_goes_on_when_it_is_allowed_again", trials::to_and_fro),
    ("labels_of_pods_and_namespaces_count_as_policies_do", trials::labels),
    ("a_connection_through_a_service_is_judged_by_where_it_goes", trials::through_a_service),
    ("an_idle_connection_stays_cut", trials::idle),
    ("what_a_run_left_undone_the_next_one_does", trials::restart),
    ("what_drops_them_is_there_while_one_is_cut", trials::dropped_by),
    ("keeping_lets_them_live", trials::keep),
    ("what_stays_allowed_loses_nothing", trials::nothing_is_lost),
    ("a_crowded_conntrack_table_keeps_nothing_alive", trials::crowded),
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(1);
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no established connection was tried: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = TRIALS.iter().map(|&(name, test)| {
        Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
            .with_ignored_flag(entered.is_err())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

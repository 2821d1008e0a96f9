//! The `main` of a test binary whose tests need namespaces.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_linux::{
    links::{LOOPBACK, Request, Rtnetlink},
    netns::NetNs,
    sandbox::Sandbox,
};

use crate::{Error, Result};

/// A test: its name, and what it does.
pub type Test = (String, Box<dyn FnOnce() -> Result + Send>);

/// Enters a sandbox and runs the tests, `side_by_side` of them at a time unless the arguments say otherwise.
/// Where there is no sandbox, every test is ignored, and that is said (a failure with
/// `PALISADE_REQUIRE_NAMESPACES`).
pub fn run_all(side_by_side: usize, tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(side_by_side);
    // Before anything starts a thread: a process with threads gets no user namespace.
    let entered = Sandbox::enter().map_err(Error::from).and_then(|_| loopback_up());
    if let Err(error) = &entered {
        eprintln!("skipped: no agent was run in namespaces: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    let trials = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || test().map_err(|error| Failed::from(error.to_string())))
            .with_ignored_flag(entered.is_err())
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// The API server listens there.
fn loopback_up() -> Result {
    let here = NetNs::current("of the tests")?;
    Ok(Rtnetlink::open(&here)?.submit(&[Request::Up { link: LOOPBACK }])?)
}

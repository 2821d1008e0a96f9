//! What `netlink` does to a kernel, tried on the one that runs the tests, and compared with what nft
//! does to it.
//!
//! Not under libtest's harness: it starts threads before the first test, and a process with threads
//! cannot enter a user namespace. `libtest-mimic` runs after `Sandbox::enter`, and speaks the same
//! language to cargo and nextest. Every test has a network namespace of its own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails so; clippy does not see that this is one, since it has no harness"
)]

mod against_nft;
mod changes;
mod cut;
mod drift;
mod names;
mod refusals;
mod rulesets;
mod size;
mod translations;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::sync::LazyLock;

use libtest_mimic::{Arguments, Failed, Trial};
use palisade_linux::netns::NetNs;
use palisade_linux::sandbox::Sandbox;
use palisade_nftables::difference::Difference;
use palisade_nftables::netlink::Kernel;
use palisade_nftables::ruleset::Ruleset;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;
type Test = fn() -> Outcome;

const TRIALS: &[(&str, Test)] = &[
    ("an_empty_kernel_has_no_table", changes::an_empty_kernel),
    ("everything_reads_back_as_it_was_wanted", changes::everything_reads_back),
    ("nft_lists_the_same_as_after_loading_the_text", against_nft::nft_lists_the_same),
    ("the_kernel_holds_the_same_expressions_as_after_loading_the_text", against_nft::nft_holds_the_same),
    ("differences_lead_to_the_wanted_state", changes::differences_lead_there),
    ("ranges_are_split_joined_and_moved", changes::ranges_change),
    ("a_broken_switch_is_named_and_changes_nothing", refusals::a_broken_switch),
    ("each_refused_thing_is_named", refusals::refusals_are_named),
    ("more_errors_than_the_socket_holds_are_still_a_failure", refusals::a_flood_of_errors),
    ("a_stranger_who_changes_the_table_is_seen", drift::a_stranger_is_seen),
    ("rules_count_packets", drift::rules_count),
    ("a_snapshot_is_never_torn", drift::reading_is_never_torn),
    ("large_sets_pass_an_ordinary_send_buffer", size::large_sets),
    ("what_is_too_large_for_one_transaction_is_not_sent", size::too_large),
    ("services_are_translated", translations::services),
    ("learned_addresses_are_kept_and_are_no_drift", names::what_is_learned),
    ("answers_are_held_for_some_pods", names::answers_are_held),
    ("cut_connections_are_dropped_while_there_are_some", cut::comes_and_goes),
    ("without_privilege_the_error_says_what_is_missing", refusals::without_privilege),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let entered = Sandbox::enter();
    if let Err(error) = &entered {
        eprintln!("skipped: no test of crates/nftables that needs a kernel was run: {error}");
        if std::env::var_os("PALISADE_REQUIRE_NAMESPACES").is_some() {
            return ExitCode::FAILURE;
        }
    }
    if entered.is_ok() && !*HAS_NFT {
        eprintln!("skipped: nft is not installed, so nothing was compared with it (apt-get install nftables)");
    }
    let trials = TRIALS
        .iter()
        .map(|&(name, test)| {
            Trial::test(name, move || {
                let namespace = NetNs::create(name).map_err(|error| Failed::from(error.to_string()))?;
                let result = namespace.run(test).map_err(|error| Failed::from(error.to_string()))?;
                result.map_err(|error| Failed::from(error.to_string()))
            })
            .with_ignored_flag(entered.is_err())
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

static HAS_NFT: LazyLock<bool> =
    LazyLock::new(|| Command::new("nft").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());

/// Applies and says what is then different from `new`.
fn to(kernel: &mut Kernel, old: Option<&Ruleset>, new: &Ruleset) -> Outcome {
    kernel.apply(&Difference::between(old, new))?;
    assert_eq!(kernel.snapshot()?.differences(new), Vec::<String>::new());
    Ok(())
}

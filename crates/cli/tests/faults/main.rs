//! What goes wrong around an agent, each as a test: agents as processes on two nodes, real packets. After
//! each fault, every node's kernel has exactly what a fresh compile of the API's objects gives.
//!
//! ```text
//! api        the server is away, cuts, forgets, refuses
//! objects    events in every order, an address of two pods, what comes again, what cannot be understood
//! table      a reboot, a hand that meddles, a full conntrack table
//! forged     packets that say they are somebody else's
//! names      domain names: first packets, time, hostile answers, no agent
//! audited    a shop under audit, enforced, and under audit again; connections that stand when a policy comes
//! unknown    a pod's first packets, before it is known and after
//! processes  kill -9 while connections go on, two agents at once
//! ```
//!
//! Netlink that fails at its n-th message is in crates/agent/tests/failing.rs.

mod api;
mod audited;
mod forged;
mod names;
mod objects;
mod processes;
mod stage;
mod table;
mod unknown;

use std::process::ExitCode;

use palisade_testbed::{Brand, Result, Test, run_all};

/// Tests at a time: they mostly wait.
const SIDE_BY_SIDE: usize = 4;

/// A fault; the second: whether only the fake server can do it.
type Fault = (&'static str, bool, fn() -> Result);

const FAULTS: &[Fault] = &[
    ("the_api_is_away_during_changes", false, api::away_during_changes),
    ("connections_are_cut_all_the_time", false, api::cut_all_the_time),
    ("the_api_has_forgotten_what_was", true, api::gone_410),
    ("the_api_refuses_for_a_while", true, api::refuses),
    ("events_in_every_order", true, objects::every_order),
    ("an_address_goes_from_pod_to_pod", false, objects::address_reuse),
    ("a_pod_comes_before_its_namespace", true, objects::pod_before_namespace),
    ("deleted_and_created_again", false, objects::deleted_and_created_again),
    ("a_policy_that_cannot_be_understood", true, objects::poison_policy),
    ("a_cluster_wide_policy_without_a_place", true, objects::policy_without_a_place),
    ("cluster_wide_policies", true, objects::cluster_policies),
    ("a_node_reboots", false, table::reboot),
    ("a_hand_meddles", false, table::a_hand_meddles),
    ("a_full_conntrack_table", false, table::full_conntrack),
    ("forged_source_addresses", false, forged::source_addresses),
    ("the_first_packet_to_a_name_passes", true, names::first_syn),
    ("names_have_their_time_and_are_not_believed_blindly", true, names::time_and_trust),
    ("a_shop_is_audited_and_enforced", false, audited::shop),
    ("nodes_that_audit", false, audited::nodes),
    ("what_stands_under_audit_is_told_and_then_cut", false, audited::standing_cut),
    ("what_stands_under_audit_is_told_and_then_kept", false, audited::standing_kept),
    ("a_pod_is_closed_until_it_is_known", false, unknown::closed_until_known),
    ("killed_at_any_moment", false, processes::killed_at_any_moment),
    ("two_agents_at_once", false, processes::two_at_once),
];

fn main() -> ExitCode {
    let brand = Brand::of_environment();
    brand.say();
    let tests = FAULTS.iter().map(|&(name, only_fake, test)| -> Test {
        let test = move || {
            if only_fake && brand == Brand::Real {
                println!("skipped: {name}: a real API server does not do that on demand");
                return Ok(());
            }
            test()
        };
        (name.to_owned(), Box::new(test))
    });
    run_all(SIDE_BY_SIDE, tests.collect())
}

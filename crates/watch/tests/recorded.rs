//! The bytes of a real server's watch (`../shared/api-traces`, where they are there), followed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests may fail as tests do"
)]

mod support;

use palisade_watch::{Watched, fake::FakeServer};
use support::{
    follow::{Follower, wait},
    root,
};

#[test]
fn a_recorded_watch_is_followed() {
    let file = root().join("../shared/api-traces/watch-pods-changes.body");
    let Ok(recorded) = std::fs::read_to_string(&file) else {
        println!("skipped: {} is not there", file.display());
        return;
    };
    let server = FakeServer::start().unwrap();
    let mut follower = Follower::synced(&server);
    let mut told = 0;
    for line in recorded.lines() {
        server.send_line("pods", line);
        if line.starts_with("{\"type\":\"BOOKMARK\"") {
            continue;
        }
        // What is gone and never came (the recording begins in the middle) is not said.
        told += 1;
        follower
            .until("the event came", |state| state.said.iter().filter(|said| said.contains(" Pod ")).count() == told);
        let state = &follower.state;
        // A pod deleted at once is re-created under its name, without an address, and then gets one that
        // another pod has by then, too: both are as the server says.
        match told {
            2 => assert!(state.has(Watched::Pods, "trace-b/p4", "v4: None")),
            3 => assert!(state.has(Watched::Pods, "trace-b/p4", "10.244.1.14")),
            4 => assert!(state.has(Watched::Pods, "trace-b/p3", "10.244.1.13")),
            5 => assert!(state.get(Watched::Pods, "trace-b/p3").is_none()),
            6 => assert!(state.has(Watched::Pods, "trace-b/p3", "v4: None")),
            7 => assert!(state.has(Watched::Pods, "trace-b/p3", "10.244.1.14")),
            _ => {}
        }
    }
    assert_eq!(told, 23);
    assert!(follower.state.objects.keys().all(|key| key.of != Watched::Pods), "all are deleted in the end");
    assert!(follower.state.troubles.is_empty() && follower.state.poison.is_empty());
    // The next watch begins at the last bookmark, once that has come.
    let last = recorded.lines().last().unwrap();
    wait("a watch begins at the bookmark", || {
        server.send_line("pods", last);
        std::thread::sleep(std::time::Duration::from_millis(20));
        server.cut_watches();
        server.requests().iter().any(|line| line.contains("/pods?") && line.contains("resourceVersion=1545"))
    });
}

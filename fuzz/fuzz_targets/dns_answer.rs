//! Any bytes as the answer of a name server: what is learned is of the one name that was asked for, and bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_agent::names::read;

fuzz_target!(|bytes: &[u8]| {
    if let Some(answer) = read(bytes) {
        assert!(!answer.name.is_pattern());
        assert!((1..=256).contains(&answer.addresses.len()));
        assert!(answer.addresses.iter().all(|address| !address.is_loopback() && !address.is_unspecified()));
    }
});

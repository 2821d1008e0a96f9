//! Any bytes: they are read, all that is found can be drawn, and what was read becomes a cluster.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_manifest::{Diagnostic, ReadOptions, read_bytes, render::Renderer, texts::ReadAgain};

fuzz_target!(|bytes: &[u8]| {
    let reading = read_bytes("fuzz", bytes, &ReadOptions::default());
    let sources = reading.inventory.sources.clone();
    let texts = ReadAgain::new(&sources, &reading.texts);
    for finding in reading.diagnostics.iter().take(20) {
        assert!(!finding.message.is_empty());
        let drawn = Renderer::new(80, false, false).diagnostic(finding, &sources, &texts);
        assert!(drawn.starts_with(&finding.severity.to_string()));
        let _ = Renderer::new(40, true, true).diagnostic(finding, &sources, &texts);
    }
    if let Err(conflicts) = reading.inventory.into_cluster() {
        for conflict in conflicts.iter().take(5) {
            let _ = Renderer::new(80, false, true).diagnostic(&Diagnostic::from(conflict), &sources, &texts);
        }
    }
});

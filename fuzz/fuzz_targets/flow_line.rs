//! Any text as a line of a flow log, of whichever form: what can be read can be folded, written, and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use palisade_flows::{By, Entry, Fold, read, record::Line};

fuzz_target!(|text: &str| {
    let mut fold = Fold::new(By::Pod, 8);
    for line in text.lines() {
        match read(line) {
            Ok(entry) => {
                if let Entry::Record(record) = &entry {
                    let written = Line::Flow(record.clone()).to_json();
                    assert_eq!(read(&written).as_ref(), Ok(&entry), "{written}");
                }
                fold.take(entry);
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
    let (connections, _) = fold.finish();
    assert!(connections.len() <= 8);
    for connection in connections {
        let line = Line::Connection(Box::new(connection.clone())).to_json();
        assert_eq!(read(&line), Ok(Entry::Connection(Box::new(connection))), "{line}");
    }
});

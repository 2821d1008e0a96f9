//! The agent's own log: one line for each event, on standard error.

use tracing_subscriber::{
    Layer as _, Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
};

use crate::args::{JournalArguments, JournalFormat, JournalLevel};

/// Begins to write what the agent says of itself.
pub(super) fn begin(arguments: &JournalArguments) {
    let level = match arguments.log_level {
        JournalLevel::Error => LevelFilter::ERROR,
        JournalLevel::Warn => LevelFilter::WARN,
        JournalLevel::Info => LevelFilter::INFO,
        JournalLevel::Debug => LevelFilter::DEBUG,
    };
    // What the libraries say of a failure, our own event says with its fields.
    let others = if level == LevelFilter::DEBUG { level } else { LevelFilter::OFF };
    let wanted = Targets::new().with_default(others).with_target("palisade", level);
    let journal = tracing_subscriber::fmt::layer().with_target(false).with_writer(std::io::stderr);
    // That somebody else writes it already is no reason not to enforce.
    _ = match arguments.log_format {
        JournalFormat::Text => {
            let journal = journal.with_ansi(false).with_filter(wanted);
            tracing::subscriber::set_global_default(Registry::default().with(journal))
        }
        JournalFormat::Json => {
            let journal = journal.json().flatten_event(true).with_current_span(false).with_span_list(false);
            tracing::subscriber::set_global_default(Registry::default().with(journal.with_filter(wanted)))
        }
    };
}

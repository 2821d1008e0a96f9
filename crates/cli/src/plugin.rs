//! `kubectl palisade`: the same command under the name by which kubectl finds its plugins.

use std::{ffi::OsStr, path::Path};

use clap::FromArgMatches as _;

use crate::args::{self, Arguments};

/// What kubectl looks for.
const PLUGIN: &str = "kubectl-palisade";

/// Parses what was typed; help and examples say `kubectl palisade` where that was typed.
pub(crate) fn parse() -> Arguments {
    let mut command = args::command();
    if is_plugin(std::env::args_os().next().as_deref()) {
        let renamed = |text: &str| text.replace("palisade ", "kubectl palisade ");
        command = args::with_texts(command, &renamed).bin_name("kubectl palisade");
    }
    let matches = command.get_matches_mut();
    Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

fn is_plugin(program: Option<&OsStr>) -> bool {
    let name = program.map(Path::new).and_then(Path::file_stem);
    name.is_some_and(|name| name == PLUGIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides() {
        for (program, expected) in
            [("kubectl-palisade", true), ("/usr/bin/kubectl-palisade", true), ("palisade", false), ("", false)]
        {
            assert_eq!(is_plugin(Some(OsStr::new(program))), expected, "{program}");
        }
    }
}

//! Completions and man pages, made from the same definition as the parser.

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::{
    args::{self, Completion, Man},
    screen,
};

/// Prints a completion script.
pub(crate) fn completion(arguments: &Completion) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut args::command(), "palisade", &mut script);
    screen::out_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a man page.
pub(crate) fn man(arguments: &Man) -> Result<ExitCode> {
    let mut command = args::command();
    command.build();
    let mut title = "palisade".to_owned();
    for name in &arguments.command {
        let found = command.find_subcommand(name).cloned();
        command = found.with_context(|| format!("`{title}` has no command `{name}`; see `{title} --help`"))?;
        title = format!("{title} {name}");
    }
    let source = concat!("palisade ", env!("CARGO_PKG_VERSION"));
    let page = clap_mangen::Man::new(command).title(title.replace(' ', "-")).source(source);
    let mut text = Vec::new();
    page.render(&mut text).context("cannot make the page")?;
    screen::out_bytes(&text)?;
    Ok(ExitCode::SUCCESS)
}

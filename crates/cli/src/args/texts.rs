//! The texts behind the options of a command's help.

use clap::{Command, CommandFactory as _};

use super::Arguments;

/// The command as the parser knows it. Its texts are broken into lines where the terminal ends, and not where
/// the source does as well.
pub(crate) fn command() -> Command {
    with_texts(Arguments::command(), &run_on)
}

/// The command with its text made another one, and those below it.
pub(crate) fn with_texts(command: Command, make: &dyn Fn(&str) -> String) -> Command {
    let text = command.get_after_help().map(|text| make(&text.to_string()));
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let command = names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |command| with_texts(command, make)));
    match text {
        Some(text) => command.after_help(text),
        None => command,
    }
}

/// Lines of a paragraph become one. Indented ones are examples, and stay.
fn run_on(text: &str) -> String {
    let mut joined = String::new();
    let mut open = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        if !joined.is_empty() {
            joined.push(if open && is_prose { ' ' } else { '\n' });
        }
        joined.push_str(line);
        open = is_prose;
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_run_on_and_examples_stay() {
        let text = "One line\nand its end.\n\nExamples:\n  one\n  two\nThe rest\nof it.";
        assert_eq!(run_on(text), "One line and its end.\n\nExamples:\n  one\n  two\nThe rest of it.");
    }
}

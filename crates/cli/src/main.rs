//! The command `palisade`: one file a subcommand, each from arguments to an exit code.
//!
//! Exit codes, of every subcommand: 0 yes, clean, the same; 1 no, findings, different; 2 could not be answered.

mod agent;
mod args;
mod breaks;
mod check;
mod completion;
mod connections;
mod coverage;
mod describe;
mod diff;
mod doctor;
mod endpoint;
mod explain;
mod flow_log;
mod flows;
mod generate;
mod input;
mod lab;
mod live;
mod observed;
mod plugin;
mod reach;
mod ready;
mod ruleset;
mod screen;
mod suggest;
mod test;
mod verdicts;

use std::process::ExitCode;

use crate::args::{Command, LabCommand};

fn main() -> ExitCode {
    let arguments = plugin::parse();
    let result = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Verdicts(arguments) => verdicts::run(&arguments),
        Command::Connections(arguments) => connections::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
        Command::Reach(arguments) => reach::run(&arguments),
        Command::Coverage(arguments) => coverage::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Describe(arguments) => describe::run(&arguments),
        Command::Lab(LabCommand::Run(arguments)) => lab::run(&arguments),
        Command::Lab(LabCommand::Up(arguments)) => lab::up(&arguments),
        Command::Lab(LabCommand::Exec(arguments)) => lab::exec(&arguments),
        Command::Lab(LabCommand::Apply(arguments)) => lab::apply(&arguments),
        Command::Lab(LabCommand::Delete(arguments)) => lab::delete(&arguments),
        Command::Lab(LabCommand::List(arguments)) => lab::list(&arguments),
        Command::Lab(LabCommand::Down(arguments)) => lab::down(&arguments),
        Command::Ruleset(arguments) => ruleset::run(&arguments),
        Command::Agent(arguments) => agent::run(&arguments),
        Command::Flows(arguments) => flow_log::run(&arguments),
        Command::Suggest(arguments) => suggest::run(&arguments),
        Command::Ready(arguments) => ready::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Completion(arguments) => completion::completion(&arguments),
        Command::Man(arguments) => completion::man(&arguments),
    };
    result.unwrap_or_else(|error| {
        screen::error(&error);
        ExitCode::from(2)
    })
}

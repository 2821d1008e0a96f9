//! `palisade diff`: the connections that a change gains and loses, and the lines that cause it.

mod causes;
mod data;
mod flows;
mod rows;
mod text;

use std::{path::Path, process::ExitCode};

use anyhow::{Result, bail};
use palisade_engine::diff::{Difference, State};

use self::{rows::Rows, text::Printer};
use crate::{
    args::{DiffArguments, DiffFormat, Input},
    input::{self, Read},
    screen,
};

/// Runs the subcommand.
pub(crate) fn run(arguments: &DiffArguments) -> Result<ExitCode> {
    let (old, new) = states(arguments)?;
    let programs = [&old.cluster, &new.cluster].map(|cluster| arguments.audited.compile(cluster));
    let [old_program, new_program] = &programs;
    let old_state = State { cluster: &old.cluster, program: old_program };
    let new_state = State { cluster: &new.cluster, program: new_program };
    if let Some(path) = &arguments.flows {
        let side = |read, program| flows::Side { read, program };
        return flows::run(arguments, path, &side(&old, old_program), &side(&new, new_program));
    }
    let difference = Difference::new(old_state, new_state);
    let rows = Rows::new(&difference, old_state, new_state, arguments.by.into());
    let printer = Printer { old: &old, new: &new, width: screen::width() };
    match arguments.output {
        DiffFormat::Text => screen::out(&printer.text(&rows))?,
        DiffFormat::Md => screen::out_bytes(printer.markdown(&rows).as_bytes())?,
        DiffFormat::Json => screen::out_json(&data::answer(&rows, &old, &new))?,
    }
    Ok(ExitCode::from(u8::from(!rows.is_same())))
}

/// The two states: two inputs, or the cluster that is there beside what would be applied to it.
fn states(arguments: &DiffArguments) -> Result<(Read, Read)> {
    let of = |path: &Path| Input { paths: vec![path.to_owned()], ..arguments.input.clone() };
    match arguments.states.as_slice() {
        [old, new] if arguments.input.paths.is_empty() => {
            if [old, new].iter().all(|path| path.as_os_str() == "-") {
                bail!("standard input can be read only once: give one of the two states as a file");
            }
            Ok((input::cluster_with_pods(&of(old))?, input::cluster_with_pods(&of(new))?))
        }
        [] if !arguments.input.paths.is_empty() => input::beside_the_cluster(&arguments.input),
        [] => bail!("which states? `palisade diff OLD NEW`, or `palisade diff -f NEW` for the cluster beside NEW"),
        [one] => bail!("{} beside what? Give OLD and NEW, or -f {0} for the cluster beside it", one.display()),
        _ => bail!("either OLD and NEW, or -f NEW for the cluster beside it: not both"),
    }
}

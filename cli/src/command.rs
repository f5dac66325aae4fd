//! The commands: each reads as the sentence it carries out.

mod ca;
mod capture;
mod completions;
mod demo;
mod diagnose;
mod diff;
mod doctor;
mod export;
mod gc;
mod grep;
mod import;
mod index;
mod inspect;
mod ls;
mod replay;
mod runs;
mod scrub;
mod serve;
mod show;
mod test;
mod verify;

use crate::{
    args::{Cli, Command},
    console::Console,
    exit::Exit,
    trouble::Trouble,
};

/// Carries out the command that was asked for.
pub(crate) fn run(cli: Cli, console: &Console) -> Result<Exit, Trouble> {
    let as_json = cli.common.json;
    match cli.command {
        Command::Capture(args) => capture::capture(*args, as_json, console),
        Command::Ls(args) => ls::ls(&args, as_json, console),
        Command::Grep(args) => grep::grep(&args, as_json, console),
        Command::Show(args) => show::show(&args, as_json, console),
        Command::Export(args) => export::export(&args, as_json, console),
        Command::Import(args) => import::import(&args, as_json, console),
        Command::Gc(args) => gc::gc(&args, as_json, console),
        Command::Scrub(args) => scrub::scrub(&args, as_json, console),
        Command::Verify(args) => verify::verify(&args, as_json, console),
        Command::Index(args) => index::index(&args, as_json, console),
        Command::Inspect(args) => inspect::inspect(&args, as_json, console),
        Command::Diff(args) => diff::diff(&args, as_json, console),
        Command::Diagnose(args) => diagnose::diagnose(&args, as_json, console),
        Command::Runs(args) => runs::runs(&args, as_json, console),
        Command::Completions(args) => Ok(completions::completions(&args, console)),
        Command::Man(args) => completions::manual(&args, console),
        Command::Replay(args) => replay::replay(&args, as_json, console),
        Command::Test(args) => test::test(&args, as_json, console),
        Command::Serve(args) => serve::serve(&args, as_json, console),
        Command::Doctor(args) => doctor::doctor(&args, as_json, console),
        Command::Ca(args) => ca::ca(&args, as_json, console),
        Command::Demo(args) => demo::demo(&args, console),
    }
}

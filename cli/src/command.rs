//! The commands: each reads as the sentence it carries out.

mod completions;

use crate::{
    args::{Cli, Command},
    console::Console,
    exit::Exit,
    trouble::Trouble,
};

/// Carries out the command that was asked for.
pub(crate) fn run(cli: Box<Cli>, console: &Console) -> Result<Exit, Trouble> {
    match cli.command {
        Command::Completions(args) => Ok(completions::completions(&args, console)),
        Command::Man(args) => completions::manual(&args, console),
        _ => Err(Trouble::new("this command is not built yet")),
    }
}

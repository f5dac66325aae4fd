//! The command itself: reads arguments, wires the crates together, chooses the exit code.
//!
//! The same binary runs outside and, as its init, inside a replayed container; which of the two it is gets decided first
//! of all, before any runtime or thread exists.

mod again;
mod args;
mod authority;
mod bucket;
mod clock;
mod command;
mod console;
mod env_file;
mod exit;
mod export_log;
mod html;
mod messages;
mod noise;
mod rules_file;
mod sealed;
mod select;
mod settings;
mod source;
mod trouble;

use std::{ffi::OsString, process::ExitCode};

use crate::{console::Console, exit::Exit};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == init::WORD) {
        return init::main(&arguments[2..]);
    }
    let (settled, console) = match settings::settle(&arguments) {
        Ok(settings::Settled::Run(cli)) => {
            let console = Console::new(cli.common.color);
            (cli, console)
        }
        Ok(settings::Settled::Said(text)) => return Console::default().finish(text).into(),
        Err(settings::Refusal::Clap(error)) => return usage(&error),
        Err(settings::Refusal::Trouble(trouble)) => return Console::default().complain(&trouble).into(),
    };
    match command::run(*settled, &console) {
        Ok(exit) => exit.into(),
        Err(trouble) => console.complain(&trouble).into(),
    }
}

/// What clap has to say: help and version on stdout with code 0, anything else on stderr with code 2.
fn usage(error: &clap::Error) -> ExitCode {
    let exit = if error.use_stderr() { Exit::Trouble } else { Exit::Passed };
    // Nobody is left to tell when the message cannot be written.
    drop(error.print());
    exit.into()
}

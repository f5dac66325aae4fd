//! What a command-line tool is expected to have: completion scripts and manual pages.

use std::{fs, io, path::Path};

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs, ManArgs},
    console::Console,
    exit::Exit,
    trouble::Trouble,
};

/// Prints the completion script for a shell.
pub(crate) fn completions(args: &CompletionsArgs, console: &Console) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "retake", &mut script);
    console.finish(String::from_utf8_lossy(&script).into_owned())
}

/// Prints the manual page of `retake`, or writes one page a command into a folder.
pub(crate) fn manual(args: &ManArgs, console: &Console) -> Result<Exit, Trouble> {
    let mut command = Cli::command();
    command.build();
    match &args.out {
        None => Ok(console.finish(String::from_utf8_lossy(&page(&command)?).into_owned())),
        Some(folder) => {
            write_pages(&command, folder)?;
            Ok(Exit::Passed)
        }
    }
}

fn write_pages(command: &clap::Command, folder: &Path) -> Result<(), Trouble> {
    let cannot =
        |error: io::Error| Trouble::of(&error).while_doing(format!("cannot write into `{}`", folder.display()));
    fs::create_dir_all(folder).map_err(cannot)?;
    fs::write(folder.join("retake.1"), page(command)?).map_err(cannot)?;
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("retake-{}", sub.get_name());
        fs::write(folder.join(format!("{name}.1")), page(&sub.clone().name(name))?).map_err(cannot)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

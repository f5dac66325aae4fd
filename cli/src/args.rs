//! The whole command line as types: what may be asked, with which words, and the help that explains it.
//!
//! In: nothing but definitions. Out: [`Cli`], from which clap reads arguments. Values from the environment and from
//! `retake.toml` come in by `settings`; what the commands do is in `command`.

mod bring;
mod diagnose;
mod keep;
mod look;
mod play;
mod record;
mod test;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

pub(crate) use bring::ImportArgs;
pub(crate) use diagnose::{DiagnoseArgs, Failure};
pub(crate) use keep::{GcArgs, ScrubArgs};
pub(crate) use look::{
    CompletionsArgs, DiffArgs, DoctorArgs, ExportArgs, ExportFormat, GrepArgs, IndexArgs, InspectArgs, LsArgs, ManArgs,
    RunsArgs, Select, ShowArgs, ShowAs, VerifyArgs,
};
pub(crate) use play::{Alike, Bridge, DemoArgs, MissAnswer, ReplayArgs, ReplayLoop, ReplayOrder, Reset, ServeArgs};
pub(crate) use record::{CaArgs, CaptureArgs};
pub(crate) use test::TestArgs;
pub(crate) use values::level;

use crate::again::DEFAULT_STORE;

/// Records what an AI service really did, and makes it do it again.
///
/// `capture` is a proxy in front of a service and on the way to its dependencies. `replay` starts the pinned container
/// image again, without any network, feeds it the recorded requests, answers its dependency calls from the recording, and
/// says field by field where the answers differ from production.
#[derive(Debug, Parser)]
#[command(
    name = "retake",
    version,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "\
Examples:
  retake demo                                              the whole job in a minute, narrated
  retake capture --upstream http://127.0.0.1:9000 --container triage
  retake capture -- python app.py                          record a local app's model calls
  retake export .retake -o case.retake --with-image
  retake replay case.retake --ignore /id

Exit codes: 0 passed, 1 something changed, 2 trouble, 3 inconclusive.
Settings also come from RETAKE_… variables and `retake.toml`; see `retake --help`.",
    after_long_help = "\
Examples:
  retake demo                                              the whole job in a minute, narrated
  retake capture --upstream http://127.0.0.1:9000 --container triage
  retake capture -- python app.py                          record a local app's model calls
  retake export .retake -o case.retake --with-image
  retake replay case.retake --ignore /id

SOURCE is a bundle file, a store folder, a run, or the first digits (at least 4) of an id in the store.

Exit codes:
  0  everything compared and passed
  1  something changed, diverged, failed or broke a gate
  2  usage or environment trouble, or damage
  3  inconclusive: void, or something could not be judged

Settings: flags beat the environment, the environment beats the file, the file beats the defaults; \
`--print-settings` shows which one won. A flag `--body-max` of `retake capture` is `body-max` in the table `[capture]` \
of `retake.toml`, and RETAKE_CAPTURE_BODY_MAX in the environment (a list: one value a line). `store`, `identity` and \
`color` stand above the tables, as RETAKE_STORE, RETAKE_IDENTITY and RETAKE_COLOR. A switch that is on there is turned off with `--no-` before its \
name."
)]
pub(crate) struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub(crate) common: Common,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Results as JSON, for machines; the schema's name and version are in the first field
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Read settings from this file instead of `retake.toml`
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Show each setting of the command and where its value comes from, and do nothing else
    #[arg(long, global = true)]
    pub(crate) print_settings: bool,
    /// When to colour; NO_COLOR is honoured
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto", hide_possible_values = true)]
    pub(crate) color: When,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    #[default]
    Auto,
    /// Always, also into a pipe.
    Always,
    /// Never.
    Never,
}

/// Where captures and runs are kept.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreArgs {
    /// Folder that captures and runs are kept in
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STORE, value_hint = ValueHint::DirPath)]
    #[arg(value_parser = values::folder())]
    pub(crate) store: PathBuf,
}

/// What encrypted bundles are opened with.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct KeyArgs {
    /// Open an encrypted bundle with this private key, a file of `age-keygen` or `ssh-keygen` (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) identity: Vec<PathBuf>,
}

/// What runs in place of what was recorded.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct InsteadArgs {
    /// Run this image instead of the recorded one, and see what differs
    #[arg(long, value_name = "REF", conflicts_with_all = ["process", "target"])]
    pub(crate) image: Option<String>,
    /// Run this command instead, as a child process
    #[arg(long, value_name = "CMD", conflicts_with = "target")]
    pub(crate) process: Option<String>,
    /// Send the requests to a service that is already running, and whose dependencies are its own
    #[arg(long, value_name = "URL")]
    pub(crate) target: Option<String>,
}

/// Rules by hand: what is no finding, and how messages are read.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct RuleArgs {
    /// Leave this field out of the comparison, or 'POST /tickets /id' for one route; uses are counted (repeatable)
    #[arg(long, value_name = "POINTER")]
    pub(crate) ignore: Vec<String>,
    /// How near numbers need to be: `/score=abs:1e-6`, `rel:0.01`, `ulp:4`, `cos:0.999` for vectors (repeatable)
    #[arg(long, value_name = "POINTER=KIND:SIZE")]
    pub(crate) tolerance: Vec<String>,
    /// Rules from a file, each with its reason and its last day (docs/noise.md) (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) rules: Vec<PathBuf>,
    /// Compare messages of protobuf by the names of their fields, with what `protoc --include_imports --descriptor_set_out=FILE`
    /// says of them (docs/diff.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) descriptors: Option<PathBuf>,
    /// … as this type, `package.Message` [default: what the method answers that the request's path names]
    #[arg(long, value_name = "TYPE", requires = "descriptors")]
    pub(crate) message: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Record a service: a proxy in front of it and on the way to its dependencies
    Capture(Box<CaptureArgs>),
    /// List exchanges
    Ls(LsArgs),
    /// Find text in heads and bodies
    Grep(GrepArgs),
    /// Show one exchange, whole
    Show(ShowArgs),
    /// Seal a selection of exchanges into a bundle file, or write it as an HTTP archive
    Export(ExportArgs),
    /// Take in what another tool recorded: an HTTP archive (HAR 1.2)
    Import(ImportArgs),
    /// Check every hash and frame of a bundle, a store or a run
    Verify(VerifyArgs),
    /// Make the index of each file again from its records
    Index(IndexArgs),
    /// Remove from a store what is old or too much, and what was left half-written
    Gc(GcArgs),
    /// Take a person's data out of a store and out of bundles
    Scrub(ScrubArgs),
    /// Say what is in a recording, and what a replay of it needs
    Inspect(InspectArgs),
    /// Run again what was recorded, and compare with production
    Replay(Box<ReplayArgs>),
    /// Replay every bundle of a folder as a regression test
    Test(Box<TestArgs>),
    /// Answer dependency calls from a recording, for developing offline
    Serve(ServeArgs),
    /// Compare two runs, two bundles, or two files
    Diff(DiffArgs),
    /// Say why a workflow failed: where flakiness comes from
    Diagnose(DiagnoseArgs),
    /// List the runs of a store
    Runs(RunsArgs),
    /// Say what this machine offers, what is missing, and how to get it
    Doctor(DoctorArgs),
    /// Make and show the local certificate authority for recording TLS
    Ca(CaArgs),
    /// See the whole job done on a shipped example
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write all of them into a folder
    #[command(hide = true)]
    Man(ManArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_argument_definitions_do_not_contradict_one_another() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_that_begins_with_its_name() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let start = format!("retake {}", command.get_name());
            assert!(help.contains("Examples:") && help.contains(&start), "no example in `{start} --help`");
        }
    }
}

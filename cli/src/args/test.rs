//! Arguments of `test`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};

use super::{InsteadArgs, KeyArgs, StoreArgs, values};

/// Arguments of `retake test`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake test cases                                        is everything still what it was?
  retake test cases --image triage:next --junit junit.xml
  retake test cases --only 'checkout/*' --only BUG-1234
  retake test cases --process './triage --port 9000' -- --determinism 2
  retake test cases --changed-since origin/main --summary summary.md
  retake test cases --shard 2/4 --results shard-2.json
  retake test --merge shard-*.json --junit junit.xml
  retake test cases --only BUG-1234 --image triage:next --update
  retake test cases --list

Every bundle in DIR and its folders is a case. A file of the same name with the ending `.toml` says what it is for and how \
it is replayed (docs/testing.md):

  ticket = \"BUG-1234\"                  why = \"an urgent ticket lost its priority\"
  owner = \"team-triage\"                run-book = \"https://wiki.example/triage\"
  ignore = [\"/id\", { pointer = \"/created\", reason = \"the answer's time\", until = 2027-06-30 }]
  repeat = 20                          flaky-max = 0.1

Exit codes: 0 all passed, 1 something differs, 2 trouble or damage, 3 something could not be judged.")]
pub(crate) struct TestArgs {
    /// Folder of cases, or one bundle
    #[arg(value_name = "DIR", value_hint = ValueHint::AnyPath, required_unless_present = "merge")]
    pub(crate) folder: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Only these cases: a name, a folder, a ticket, `tag:WORD`, or a pattern with `*` (repeatable)
    #[arg(long, value_name = "PATTERN")]
    pub(crate) only: Vec<String>,
    /// Only the cases that did not pass when they were last tested with this store
    #[arg(long)]
    pub(crate) failed: bool,
    /// Only the cases whose bundle, file or folder's file differs from where this branch left REF, by git
    #[arg(long, alias = "since", value_name = "REF")]
    pub(crate) changed_since: Option<String>,
    /// Only part I of N of the cases: which one a case is in depends on its bundle's content alone
    #[arg(long, value_name = "I/N", value_parser = values::shard)]
    pub(crate) shard: Option<values::Shard>,
    /// Even out the parts by how long the cases took in this results file; all parts have to be given the same one
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "shard")]
    pub(crate) balance: Option<PathBuf>,
    /// Put the results of parts together and report on all, instead of testing
    #[arg(long, value_name = "FILE", num_args = 1.., value_hint = ValueHint::FilePath,
        conflicts_with_all = ["folder", "only", "failed", "changed_since", "shard", "image", "process", "target", "list", "update",
            "jobs", "cpus", "timeout", "replay"])]
    pub(crate) merge: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) instead: InsteadArgs,
    /// Most cases at a time [default: as many as --cpus lets]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) jobs: Option<u16>,
    /// Processors for all cases together; a case takes one, or what its file says under `cpus` [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) cpus: Option<u16>,
    /// How long a case may take where its file does not say; then it is stopped, and what is left of it was not judged
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = values::duration)]
    pub(crate) timeout: Duration,
    /// Show the cases, and run none
    #[arg(long)]
    pub(crate) list: bool,
    /// Where answers changed, show how, ask, and make them the expected ones: each bundle is written again, and says which it
    /// replaces
    #[arg(long, conflicts_with_all = ["list", "shard"])]
    pub(crate) update: bool,
    /// Do not ask
    #[arg(long, short, requires = "update")]
    pub(crate) yes: bool,
    /// Write the results here, as --json prints them: for --merge and --balance
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) results: Option<PathBuf>,
    /// Write a summary for a pull request here, in Markdown
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) summary: Option<PathBuf>,
    /// Write a page for a browser here: all cases, exchange by exchange, in one file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: Option<PathBuf>,
    /// Write JUnit XML here
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) junit: Option<PathBuf>,
    /// Flags of `retake replay` for every case, over what its file says
    #[arg(last = true, value_name = "FLAGS OF REPLAY")]
    pub(crate) replay: Vec<String>,
}

//! Arguments of `diagnose`.

use clap::{Args, ValueEnum, ValueHint};

use super::{KeyArgs, StoreArgs};

/// Arguments of `retake diagnose`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake replay case.retake --repeat 300
  retake diagnose flakiness 5f0c1a                         where does it come from?
  retake diagnose flakiness 5f0c1a 9be244                  the same at another order, or on another machine

Exit codes: 0 steady, 1 something is flaky or depends on the environment, 2 trouble or damage, 3 too few repeats to say.")]
pub(crate) struct DiagnoseArgs {
    /// What to look for
    #[arg(value_name = "WHAT", value_enum)]
    pub(crate) what: Failure,
    /// Runs, best with repeats: files, or the first digits of their ids in `--store`
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::AnyPath)]
    pub(crate) runs: Vec<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// A way in which a workflow fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Failure {
    /// Equal requests are answered in more than one way
    Flakiness,
}

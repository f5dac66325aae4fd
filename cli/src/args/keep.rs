//! Arguments of `retake gc`.

use std::time::Duration;

use clap::Args;

use super::{StoreArgs, values};

/// Arguments of `retake gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake gc --older-than 30d --dry-run
  retake gc --older-than 30d --max-size 20GiB
  retake gc                                 what a killed capture or replay left half-written

What ended longer ago than TIME goes, and its log lines and events; a file of which all goes is removed, one of which part \
goes is written again. Above SIZE whole files go, the oldest first. A dependency call goes with the request that caused it, a \
run as a whole. What a capture or a replay writes to stays, and so does what is damaged; runs that stay and repeat what goes \
are named. Of replays that were killed, the temporary folders go (docs/retention.md).

Exit codes: 0 done, or planned; 2 trouble: what was done before stays done.")]
pub(crate) struct GcArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Remove what ended longer ago: 30d, 12h
    #[arg(long, value_name = "TIME", value_parser = values::age)]
    pub(crate) older_than: Option<Duration>,
    /// Remove whole files, the oldest first, until the store has no more than this
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) max_size: Option<u64>,
    /// Say what would go, and remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

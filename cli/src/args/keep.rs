//! Arguments of `retake gc` and `retake scrub`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueHint};

use super::{Select, StoreArgs, values};

/// Arguments of `retake gc`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake gc --older-than 30d --dry-run
  retake gc --older-than 30d --max-size 20GiB
  retake gc --stale-noise                   noise learned of versions that are not here any more
  retake gc                                 what a killed capture or replay left half-written

What ended longer ago than TIME goes, and its log lines and events; a file of which all goes is removed, one of which part \
goes is written again. Above SIZE whole files go, the oldest first. A dependency call goes with the request that caused it, a \
run as a whole. What a capture or a replay writes to stays, and so does what is damaged; runs that stay and repeat what goes \
are named. Of replays that were killed, containers, volumes, services and temporary folders go, without a store too (docs/retention.md); \
the run itself stays, and can be gone on with (`retake replay --resume`).

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
    /// Remove the noise that `retake diff --learn` kept of versions of which no capture and no run is left in the store; `retake inspect` lists it
    #[arg(long)]
    pub(crate) stale_noise: bool,
    /// Say what would go, and remove nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
}

/// Arguments of `retake scrub`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake scrub --value ann@example.com --dry-run
  retake scrub --value ann@example.com --value +4930123456 --reason 'request 17' --yes
  retake scrub case.retake --where customer=4711 --value 4711 --yes

An exchange goes with the request that caused it and with all calls that this made, a run as a whole; of bodies, what nobody \
else uses. Log lines and events with a value go too. Ids, time and reason stay. Afterwards the values are looked for in all that is \
kept, decoded. A segment that a capture writes to is not touched: scrub again when that has ended (docs/retention.md).

Exit codes: 0 gone, and nothing of it is left, or planned; 1 something is left, and named; 2 trouble, or --yes is missing.")]
pub(crate) struct ScrubArgs {
    /// Sealed bundles to write again, beside the store
    #[arg(value_name = "BUNDLE", value_hint = ValueHint::FilePath)]
    pub(crate) bundles: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// What tells of the person: text that stands in heads, bodies, log lines or events (repeatable)
    #[arg(long = "value", value_name = "TEXT")]
    pub(crate) values: Vec<String>,
    /// Kept with the ids of what went
    #[arg(long, value_name = "TEXT", default_value = "not told")]
    pub(crate) reason: String,
    /// Say what would go, and change nothing
    #[arg(short = 'n', long)]
    pub(crate) dry_run: bool,
    /// Do it: what goes cannot be had back
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// This exchange, by the first digits of its id (repeatable)
    #[arg(long = "id", value_name = "ID", value_parser = values::id_prefix, help_heading = "Which exchanges")]
    pub(crate) ids: Vec<String>,
    #[command(flatten)]
    pub(crate) select: Select,
}

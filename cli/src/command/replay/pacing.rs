//! When exchanges are sent, as the replayer has it.

use replayer::{Loop, Pacing, Timing};

use crate::{
    args::{ReplayArgs, ReplayLoop, ReplayOrder},
    trouble::Trouble,
};

/// What is asked for, where it can be had together.
pub(super) fn asked(args: &ReplayArgs) -> Result<Pacing, Trouble> {
    if args.waits.is_some() && args.timing == Timing::Asap {
        return Err(Trouble::new("`--loop` says what waits for what where exchanges have times, and they have none")
            .help("say `--timing recorded` too, or a speed such as `--timing x2`"));
    }
    let is_serial = args.order == ReplayOrder::Serial;
    if is_serial && args.load > 1 {
        return Err(Trouble::new("`--order serial` sends one exchange at a time, and `--load` several at once")
            .help("leave one of them out"));
    }
    if is_serial && args.waits == Some(ReplayLoop::Open) {
        return Err(Trouble::new(
            "`--order serial` sends one exchange at a time, and an open loop whatever is in flight",
        )
        .help("leave one of them out"));
    }
    let waits = match args.waits {
        Some(ReplayLoop::Closed) => Loop::Closed,
        None if is_serial => Loop::Closed,
        Some(ReplayLoop::Open) | None => Loop::Open,
    };
    Ok(Pacing { timing: args.timing, waits })
}

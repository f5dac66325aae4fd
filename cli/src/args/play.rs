//! Arguments of `replay`, `serve` and `demo`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};
use replayer::{Timing, determinism::Control};

use super::{InsteadArgs, KeyArgs, RuleArgs, StoreArgs, values};
use crate::settings::Said;

/// Arguments of `retake replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake replay case.retake                                is it still what it was?
  retake replay case.retake --ignore /id --ignore '/choices/*/created'
  retake replay case.retake --image triage:next            what would this image have answered?
  retake replay case.retake --only 3fa9c1 --repeat 300     how often does it fail?
  retake replay --resume 81d0                              go on with what Ctrl-C or a crash cut off
  retake replay case.retake --repeat 30 --determinism 0    what is noise: later replays know it
  retake replay .retake --only 3fa9c1 --process ./target/debug/triage
  DOCKER_HOST=tcp://10.0.0.7:2375 retake replay case.retake    in an engine elsewhere, all copied in
  retake replay case.retake --mount /models=./models --env API_TOKEN --secrets secrets.txt
  retake replay case.retake --order serial --require-determinism
  retake replay case.retake --timing recorded --load x4    from four times as many clients
  retake replay case.retake --timing recorded              as it was sent, and how late that was
  retake replay case.retake --beside db=postgres:16,dump=shop.sql,env=POSTGRES_PASSWORD=x

The recorded image runs without any network; its dependency calls are answered from the recording. Another image \
than the recorded one is refused unless named with --image. Where the service's container changed while it was recorded, \
the exchanges of each environment are replayed in it, one after the other, with a receipt for each; --json writes each on \
a line of its own.

Exit codes: 0 same, 1 changed, 2 trouble or damage, 3 inconclusive.")]
pub(crate) struct ReplayArgs {
    /// Bundle files, store folders, runs, or the first digits of an id in `--store`
    #[arg(required_unless_present_any = ["require_determinism", "resume"], value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) sources: Vec<String>,
    /// Go on with a run that was cut off or interrupted, by the first digits of its id or its file: with its SOURCE and its flags,
    /// and only what is not done yet (docs/repeats.md)
    #[arg(long, value_name = "RUN", conflicts_with = "sources", value_hint = ValueHint::AnyPath)]
    pub(crate) resume: Option<String>,
    /// With --resume: go on with a run that this store did not make, by the command that it names and that is shown without this
    #[arg(long, requires = "resume")]
    pub(crate) trust: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Replay this exchange alone, by the first digits of its id (repeatable, or several with commas)
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    #[command(flatten)]
    pub(crate) instead: InsteadArgs,
    /// Replay so many times, and say how often each exchange fails (docs/repeats.md)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=REPEATS_MAX))]
    pub(crate) repeat: Option<u32>,
    /// Between repeats: the service started anew in its container, which is kept unless the service wrote to it; a fresh
    /// container each time; or nothing, which is fastest and lets the service remember
    #[arg(long, value_name = "HOW", value_enum, default_value = "process")]
    pub(crate) reset: Reset,
    /// End with the first repeat in which an exchange is neither same nor noise
    #[arg(long, requires = "repeat")]
    pub(crate) until_failure: bool,
    /// The confidence of intervals and bounds over repeats, between 0.5 and 1
    #[arg(long, value_name = "C", default_value = "0.95", value_parser = values::confidence)]
    pub(crate) confidence: stats::Confidence,
    #[command(flatten)]
    pub(crate) by_hand: RuleArgs,
    /// Noise that was measured in answers, and in what dependencies are asked: a run or bundle with its profiles (repeatable),
    /// or `none` [default: profiles of the recorded version, in the recording and in the runs of the store] (docs/noise.md)
    #[arg(long, value_name = "RUN|FILE|none")]
    pub(crate) noise: Vec<String>,
    /// The service's port [default: that of the recorded port mapping, else of the recorded upstream]
    #[arg(long, value_name = "N")]
    pub(crate) port: Option<u16>,
    /// Ready means that a GET of this path is answered with a status below 400 [default: its HEALTHCHECK, else its port]
    #[arg(long, value_name = "PATH", value_parser = values::path_of_url)]
    pub(crate) ready: Option<String>,
    /// How long the service may take until it is ready
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    pub(crate) ready_timeout: Duration,
    /// The way into the container: a socket in a folder that it shares with this machine, or an exec's streams, which also work
    /// where the engine sees other files (remote, docker-in-docker); auto takes what works
    #[arg(long, value_name = "WAY", value_enum, default_value = "auto")]
    pub(crate) bridge: Bridge,
    /// How deterministic the replay is to be: 0 the image and its dependencies, 1 also variables, 2 also the order of answers,
    /// 3 also clock, random numbers and addresses. What cannot be had here is said, and the replay goes on without it
    #[arg(long, value_name = "LEVEL", default_value_t = replayer::determinism::LEVEL_MAX, value_parser = values::level)]
    pub(crate) determinism: u8,
    /// Refuse to judge below this level [default: that of --determinism]
    #[arg(long, value_name = "LEVEL", num_args = 0..=1, default_missing_value = "asked")]
    pub(crate) require_determinism: Option<String>,
    /// Leave off one control of a level (repeatable, or several with commas)
    #[arg(long, value_name = "CONTROL", value_parser = values::control(), value_delimiter = ',')]
    pub(crate) without: Vec<Control>,
    /// Add a control that is part of no level, or of a level above: `monotonic` has the clocks that only go on stand still until the
    /// service is ready, which hangs what waits before that; `tsc` gives the processor's counter, at 50 µs for each reading (repeatable)
    #[arg(long, value_name = "CONTROL", value_parser = values::control(), value_delimiter = ',', hide_possible_values = true)]
    pub(crate) with: Vec<Control>,
    /// What the replay is to be alike to: production, whose numbers of threads it takes, or itself, with one thread and the
    /// paths of numeric libraries that are the same everywhere
    #[arg(long, value_name = "WHAT", value_enum, default_value = "production")]
    pub(crate) alike: Alike,
    /// What all that is random in the service is derived from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) random: u64,
    /// What answers a call that was not recorded: an error that explains it, the nearest recording, or the real dependency that
    /// --live names. The exchange is diverged all the same
    #[arg(long, value_name = "WHAT", value_enum, default_value = "fail")]
    pub(crate) on_miss: MissAnswer,
    /// Pass calls to this dependency that were not recorded on to a real one: the run is not hermetic, and the receipt says so
    /// (repeatable)
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) live: Vec<String>,
    /// Set this seed in requests whose format has one (OpenAI's `seed`, `options.seed` of Ollama, `generationConfig.seed` of
    /// Gemini, `parameters.seed` of TGI, `random_seed` where it is there); the receipt counts them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=2_147_483_647))]
    pub(crate) seed: Option<u32>,
    /// In which order exchanges are sent: as recorded, where what overlapped overlaps, or one after the other
    #[arg(long, value_name = "ORDER", value_enum, default_value = "recorded")]
    pub(crate) order: ReplayOrder,
    /// When exchanges are sent, and recorded answers given: as soon as the order allows (`asap`), at production's times
    /// (`recorded`), or so many times as fast (`x2`, `x0.5`); the receipt says how late they were (docs/timing.md)
    #[arg(long, value_name = "WHEN", default_value = "asap")]
    pub(crate) timing: Timing,
    /// With --timing: wait for earlier answers of the same conversation alone (open), or for all that came before, and then as
    /// long as the client had taken (closed)
    #[arg(long = "loop", value_name = "LOOP", value_enum)]
    pub(crate) waits: Option<ReplayLoop>,
    /// Send so many copies of each session (connection, conversation) at once, each with exchanges of its own: x4 is four times
    /// as many clients; the receipt says what was in flight
    #[arg(long, value_name = "xN", default_value = "x1", value_parser = values::load)]
    pub(crate) load: u32,
    /// Refuse to judge where anything of the environment differs (CPU model, kernel, limits, a variable); not for names that
    /// lead to recorded answers, nor for secrets and mounts that are given and are the recorded ones
    #[arg(long)]
    pub(crate) strict_env: bool,
    /// A variable that was recorded as a secret: its value, or that of your own environment (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// The same from a file of NAME=VALUE lines, as `docker run --env-file` takes them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) env_file: Option<PathBuf>,
    /// What stands in for a recorded mount: a file or folder of this machine, whose content is checked; `PATH=none` leaves it
    /// out (repeatable)
    #[arg(long = "mount", value_name = "PATH=HERE")]
    pub(crate) mounts: Vec<String>,
    /// Run this image beside the service, on the same loopback and as fresh each time: a real database, with its dump. What is
    /// asked of it is not compared (repeatable)
    #[arg(long, value_name = "NAME=IMAGE[,port=N][,dump=PATH[,at=PATH]][,env=NAME[=VALUE]]…")]
    pub(crate) beside: Vec<String>,
    /// Write all of it into FILE as one page for a browser, which asks for nothing (docs/report.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: Option<PathBuf>,
    /// Secrets that the recording knows by pseudonym, as PSEUDONYM=VALUE lines; `retake inspect` lists them
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) secrets: Option<PathBuf>,
    /// All of it in words; `None` where it is no command line of its own.
    #[arg(skip)]
    pub(crate) said: Option<Said>,
}

/// Most repeats of one run. A choice: what is kept of each is held in memory.
const REPEATS_MAX: i64 = 100_000;

/// What is done between repeats: as `replayer::Reset` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Reset {
    None,
    Process,
    Container,
}

/// The way into a container: as `replayer::BridgeWay` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Bridge {
    Auto,
    Socket,
    Exec,
}

/// What a replay is to be alike to: as `replayer::determinism::Alike` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Alike {
    Production,
    Itself,
}

/// In which order exchanges are sent: as `replayer::Order` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayOrder {
    Recorded,
    Serial,
}

/// What answers a call that was not recorded: as `replayer::OnMiss` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MissAnswer {
    Fail,
    Nearest,
    Live,
}

/// What an exchange that has a time waits for: as `replayer::Loop` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplayLoop {
    Open,
    Closed,
}

/// Arguments of `retake serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake serve case.retake                                 on the recorded addresses
  retake serve case.retake --listen model=127.0.0.1:8000

A call that was not recorded gets an answer that says what was asked and what the nearest recording was; nothing is \
ever passed on to the real dependency.")]
pub(crate) struct ServeArgs {
    /// Bundle file, store folder, run, or the first digits of an id in `--store`
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Serve this dependency here instead of at its recorded address (repeatable)
    #[arg(long, value_name = "NAME=ADDR")]
    pub(crate) listen: Vec<String>,
    /// Leave this field out when calls are matched, such as `dep:llm:/messages/0` (repeatable)
    #[arg(long, value_name = "dep:NAME:POINTER")]
    pub(crate) ignore: Vec<String>,
}

/// Arguments of `retake demo`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake demo
  retake demo --keep             leave its folder in place, to look around with `ls` and `show`")]
pub(crate) struct DemoArgs {
    /// Leave the demo's folder in place and say where it is
    #[arg(long)]
    pub(crate) keep: bool,
}

//! Arguments of the commands that read: `ls`, `show`, `export`, `verify`, `diff`, `runs`; and of `completions` and `man`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::{KeyArgs, RuleArgs, StoreArgs, values, values::Moment};
use crate::settings::Said;

/// Which exchanges of a source.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which exchanges")]
pub(crate) struct Select {
    /// Of this method and path, `*` for one segment: 'POST /tickets/*', or a path alone (repeatable)
    #[arg(long = "route", value_name = "PATTERN")]
    pub(crate) routes: Vec<String>,
    /// With this status: 404, or 5xx (repeatable)
    #[arg(long = "status", value_name = "CODE", value_parser = values::status_range)]
    pub(crate) statuses: Vec<values::StatusRange>,
    /// Calls to this dependency (repeatable)
    #[arg(long = "dependency", value_name = "NAME")]
    pub(crate) dependencies: Vec<String>,
    /// Calls of clients only, without the service's own
    #[arg(long, conflicts_with = "dependencies")]
    pub(crate) ingress: bool,
    /// Where this name was given to this value (`--annotate`): 'label=billing' (repeatable)
    #[arg(long = "where", value_name = "NAME=VALUE", value_parser = values::name_and_value)]
    pub(crate) wheres: Vec<(String, String)>,
    /// Turns of this conversation, by its id or how that begins
    #[arg(long, value_name = "ID")]
    pub(crate) conversation: Option<String>,
    /// Of this model, as the request or the answer names it (repeatable)
    #[arg(long = "model", value_name = "NAME")]
    pub(crate) models: Vec<String>,
    /// Begun at this time or later: '2h' or '30d' ago, '2026-11-27', '2026-11-27T08:00Z'
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub(crate) since: Option<Moment>,
    /// Begun before this time
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub(crate) until: Option<Moment>,
    /// That took this long or longer, from the request's first byte to the answer's end: '2s', '300ms'
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) slower_than: Option<Duration>,
    /// Without a complete answer, or with a status of 500 or more
    #[arg(long)]
    pub(crate) failed: bool,
}

impl Select {
    /// True when any option was given.
    pub(crate) fn is_any(&self) -> bool {
        !self.words().is_empty()
    }

    /// The options, as they were typed.
    pub(crate) fn words(&self) -> Vec<String> {
        let statuses = self.statuses.iter().map(|range| match (range.start(), range.end()) {
            (from, to) if from == to => format!("--status {from}"),
            (from, _) => format!("--status {}xx", from / 100),
        });
        let routes = self.routes.iter().map(|route| format!("--route {route}"));
        let dependencies = self.dependencies.iter().map(|name| format!("--dependency {name}"));
        let wheres = self.wheres.iter().map(|(name, value)| format!("--where {name}={value}"));
        let conversation = self.conversation.iter().map(|id| format!("--conversation {id}"));
        let models = self.models.iter().map(|name| format!("--model {name}"));
        let since = self.since.iter().map(|moment| format!("--since {moment}"));
        let until = self.until.iter().map(|moment| format!("--until {moment}"));
        let slower = self.slower_than.iter().map(|least| format!("--slower-than {}ms", least.as_millis()));
        let flags = [(self.ingress, "--ingress"), (self.failed, "--failed")];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| (*flag).to_owned());
        let named = routes.chain(statuses).chain(dependencies).chain(wheres).chain(conversation).chain(models);
        named.chain(since).chain(until).chain(slower).chain(flags).collect()
    }
}

/// Arguments of `retake ls`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake ls                                  what is in ./.retake
  retake ls case.retake --failed
  retake ls --where tenant=acme --where label=billing
  retake ls --since 2h --slower-than 5s --model gpt-4o-mini
  retake ls --route 'POST /tickets' --json | jq -r '.exchanges[].id'

A dependency call stands under the exchange on whose behalf it was made. How that is known: nothing where the trace \
context says so, `~` where that was the only one in flight, `?` where several were.")]
pub(crate) struct LsArgs {
    /// Bundle file, store folder, run, or the first digits of an id in `--store` [default: the store]
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) select: Select,
}

/// Arguments of `retake index`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake index                  all files of ./.retake
  retake index case.retake

The index of a sealed file says nothing that its records do not. One that is damaged is written again, to the byte as it \
was sealed; nothing else is changed. Exit code 2: the records of a file are damaged too.")]
pub(crate) struct IndexArgs {
    /// Bundle file or store folder [default: the store]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Arguments of `retake grep`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake grep 'card ending in 4[0-9]{3}'     in heads and bodies of all that is in ./.retake
  retake grep --at /choices/*/finish_reason length case.retake
  retake grep -F 'order [7]' --route 'POST /chat' --ingress
  retake grep -l refund | xargs -n 1 retake show

Bodies are searched as they were before gzip and the like, JSON as it was written; with `--at` the value at that place, a \
text without its quotes and escapes. What is found is printed as soon as it is. Exit code 0: something was found, 1: nothing.")]
pub(crate) struct GrepArgs {
    /// A regular expression (syntax of the `regex` crate: docs.rs/regex#syntax)
    #[arg(value_name = "PATTERN", allow_hyphen_values = true)]
    pub(crate) pattern: String,
    /// Bundle file, store folder, run, or the first digits of an id in `--store` [default: the store]
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<String>,
    /// Take the pattern as plain text
    #[arg(short = 'F', long)]
    pub(crate) fixed_strings: bool,
    /// Capitals and small letters are the same
    #[arg(short, long)]
    pub(crate) ignore_case: bool,
    /// Look at this place only, as `--annotate` takes it: a pointer into a JSON body, or a header field (repeatable)
    #[arg(long, value_name = "POINTER|header:NAME")]
    pub(crate) at: Vec<String>,
    /// Print ids alone, one a line
    #[arg(short = 'l', long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) select: Select,
}

/// Arguments of `retake show`.
#[derive(Debug, Args)]
#[command(
    allow_missing_positional = true,
    after_help = "\
Examples:
  retake show 3fa9c1
  retake show case.retake 3fa9c1 --as curl
  retake show 3fa9c1 --around                what the service logged and used meanwhile
  retake show 3fa9c1 --as raw > answer.bin   the response's body, byte for byte

Control characters of heads and bodies are made visible, except with `--as raw` into a file or pipe."
)]
pub(crate) struct ShowArgs {
    /// Bundle file, store folder or run to look in [default: the store]
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<String>,
    /// The exchange, by the first digits of its id (at least 4)
    #[arg(value_name = "ID", required = true)]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// How to show it
    #[arg(long = "as", value_name = "FORM", value_enum, default_value = "text")]
    pub(crate) form: ShowAs,
    /// One timeline of what surrounded it, from TIME before to TIME after: log, use of CPU and memory, calls, others in flight [default TIME: 10s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10s", value_parser = values::duration, conflicts_with = "form")]
    pub(crate) around: Option<Duration>,
}

/// How `retake show` shows an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShowAs {
    /// For reading: heads, bodies, times, and what surrounds them
    Text,
    /// A command that sends the request again
    Curl,
    /// An HTTP archive of one entry
    Har,
    /// The response's body as it was sent
    Raw,
    /// The whole record with both bodies; what --json gives
    Json,
}

/// Arguments of `retake export`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake export .retake -o case.retake --with-image
  retake export .retake 3fa9c1 77ab02 -o two.retake
  retake export .retake --failed --route 'POST /tickets' -o failed.retake
  retake export .retake --failed -o failed.har          for a browser's tools; or --format har -o -
  retake export .retake 3fa9c1 -o case.retake --encrypt-to @ann.pub --sign ~/.ssh/id_ed25519
  retake export .retake 3fa9c1 -o s3://cases/3fa9c1.retake     to object storage (docs/sharing.md)
  retake export .retake --failed -o s3://cases/team/           into a store there

The calls that a chosen exchange made, its session and its fingerprint come along. The same selection gives the same \
bytes. The key of the store's pseudonyms never enters a bundle. A HAR has exchanges alone; what it has no place for is \
said (docs/har.md).")]
pub(crate) struct ExportArgs {
    /// Bundle file, store folder, run, or the first digits of an id in `--store`
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: String,
    /// These exchanges, by the first digits of their ids [default: all that the options below choose]
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// The file to write; `-` for standard output, where it is a HAR
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: PathBuf,
    /// A bundle, or an HTTP archive (HAR 1.2) [default: har where FILE ends in `.har`, else bundle]
    #[arg(long, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<ExportFormat>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Put the recorded container image into the bundle, so that it replays where no registry is
    #[arg(long)]
    pub(crate) with_image: bool,
    /// What surrounded an exchange comes along from TIME before to TIME after it: log lines and samples
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = values::duration)]
    pub(crate) around: Duration,
    /// Encrypt the bundle to this public key (age1…, 'ssh-ed25519 …', 'ssh-rsa …'), or to those of @FILE; FILE gets the ending
    /// `.age` (repeatable)
    #[arg(long, value_name = "KEY|@FILE")]
    pub(crate) encrypt_to: Vec<String>,
    /// Sign what was written with this private key of SSH; the signature goes into FILE.sig
    #[arg(long, value_name = "KEYFILE", value_hint = ValueHint::FilePath)]
    pub(crate) sign: Option<PathBuf>,
    /// Replace FILE where it exists
    #[arg(short, long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) select: Select,
}

impl ExportArgs {
    /// What is written: as asked for, else as the file's name ends.
    pub(crate) fn format(&self) -> ExportFormat {
        let is_har = self.output.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("har"));
        self.format.unwrap_or(if is_har { ExportFormat::Har } else { ExportFormat::Bundle })
    }
}

/// What `retake export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// A sealed bundle
    Bundle,
    /// An HTTP archive
    Har,
}

/// Arguments of `retake verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake verify case.retake
  retake verify                  the store in ./.retake
  retake verify broken.retake --salvage saved.retake
  retake verify case.retake.age --identity key.txt --signed-by ann.pub

Exit codes: 0 whole, 2 damaged, salvaged or not, or not signed by whom it should be. A torn tail, where a capture was killed while it wrote, is named and is \
no damage. A salvage takes what holds to the last byte, as it was written; of a store it takes the captures, as runs are \
bundles of their own.")]
pub(crate) struct VerifyArgs {
    /// Bundle file, store folder or run [default: the store]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Write all that is whole into this new bundle, and say what is left out
    #[arg(long, value_name = "OUT", value_hint = ValueHint::FilePath)]
    pub(crate) salvage: Option<PathBuf>,
    /// Insist on a signature of the whole file by this public key of SSH, or by one of FILE: a `.pub`, or names and keys as
    /// `ssh-keygen -Y verify` takes them (repeatable)
    #[arg(long, value_name = "KEY|FILE")]
    pub(crate) signed_by: Vec<String>,
    /// The signature [default: PATH.sig]
    #[arg(long, value_name = "SIG", requires = "signed_by", value_hint = ValueHint::FilePath)]
    pub(crate) signature: Option<PathBuf>,
}

/// Arguments of `retake inspect`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake inspect case.retake
  retake inspect case.retake --all
  retake inspect case.retake --json | jq -r .replay
  retake inspect case.retake.age             without its key: to whom it is encrypted, and who signed it

Nothing of the recording is run. What a replay needs stands first: image, ports, mounts, variables that were secrets, \
credentials; the command to type stands last. Of the variables those are listed that name addresses, models or \
randomness, or were given when the container was started. JSON has everything.")]
pub(crate) struct InspectArgs {
    /// Bundle file, store folder, run, or the first digits of an id in `--store` [default: the store]
    #[arg(value_name = "SOURCE", value_hint = ValueHint::AnyPath)]
    pub(crate) source: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    /// Every variable and every package, not only what weighs in a replay
    #[arg(long)]
    pub(crate) all: bool,
}

/// Arguments of `retake diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake diff expected.json got.json --ignore /id
  retake diff one.json two.json --tolerance '/data/*/embedding=cos:0.9999'
  retake diff one.bin two.bin --descriptors chat.pb --message chat.v1.Answer
  retake diff 3fa9c1 77ab02              two runs of the store, by the first digits of their ids
  retake diff before.retake after.retake --ignore 'POST /tickets header:x-served-by'
  retake diff 3fa9c1 77ab02 --margin 0.02    … and is the second no worse than the first?
  retake diff primary.retake control.retake --learn
  retake diff --accept /usage/total_tokens --reason 'another tokenizer' --until 2027-03-31

Runs are paired by the exchange that they repeat, a run and what it replayed likewise; two bundles by request and \
order.

Exit codes: 0 same, 1 changed, 2 trouble, 3 something could not be compared.")]
pub(crate) struct DiffArgs {
    /// What was: a file, a bundle, a store, or the first digits of a run's id
    #[arg(value_name = "A", required_unless_present = "accept", value_hint = ValueHint::AnyPath)]
    pub(crate) recorded: Option<String>,
    /// What is
    #[arg(value_name = "B", required_unless_present = "accept", value_hint = ValueHint::AnyPath)]
    pub(crate) replayed: Option<String>,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
    #[command(flatten)]
    pub(crate) by_hand: RuleArgs,
    /// Write all of it into FILE as one page for a browser, which asks for nothing (docs/report.md)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: Option<PathBuf>,
    /// Noise that was measured: a run or bundle with its profile (repeatable), or `none` [default: profiles of the first
    /// one's version, in it and in the runs of the store] (docs/noise.md)
    #[arg(long, value_name = "RUN|FILE|none")]
    pub(crate) noise: Vec<String>,
    /// Learn noise from what differs in answers, and in what dependencies were asked: the two are of one version, control and
    /// primary. The profiles are kept in the store
    #[arg(long, conflicts_with_all = ["noise", "margin", "html"])]
    pub(crate) learn: bool,
    /// Ask whether B is no worse than A: by so many points its requests may fail more often, as a share (0.05). Exit code 1 where
    /// it has regressed, 3 where there are too few pairs
    #[arg(long, value_name = "SHARE", value_parser = values::share)]
    pub(crate) margin: Option<f64>,
    /// … and by such a share its requests may take longer
    #[arg(long, value_name = "SHARE", default_value = "0.25", value_parser = values::share)]
    pub(crate) latency_margin: f64,
    /// Memory for two files and what is read of them; JSON, HTML and events that need more are compared as text
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = values::size)]
    pub(crate) memory: u64,
    /// Show what a rule for this pointer would have hidden in the last runs of the store, ask, and write it into the file of
    /// --rules [default: rules.toml]
    #[arg(long, value_name = "POINTER", conflicts_with_all = ["recorded", "learn", "margin", "noise", "html"], requires = "reason", requires = "until")]
    pub(crate) accept: Option<String>,
    /// Why the rule is there
    #[arg(long, value_name = "TEXT", requires = "accept")]
    pub(crate) reason: Option<String>,
    /// The last day on which it holds
    #[arg(long, value_name = "YYYY-MM-DD", requires = "accept")]
    pub(crate) until: Option<String>,
    /// Whom to ask about it
    #[arg(long, value_name = "NAME", requires = "accept")]
    pub(crate) owner: Option<String>,
    /// Write it without asking
    #[arg(long, requires = "accept")]
    pub(crate) yes: bool,
    /// All of it in words.
    #[arg(skip)]
    pub(crate) said: Option<Said>,
}

/// Arguments of `retake runs`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake runs
  retake runs --store /var/lib/retake --json")]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// Arguments of `retake doctor`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake doctor
  DOCKER_HOST=tcp://127.0.0.1:2375 retake doctor
  retake doctor --json | jq '.checks[] | select(.state != \"fine\")'

Exit codes: 0 recorded containers can be replayed here, 2 something for that is missing.")]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// Do not try out whether a container without network can be run
    #[arg(long)]
    pub(crate) no_container: bool,
}

/// Arguments of `retake completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake completions bash > ~/.local/share/bash-completion/completions/retake
  retake completions zsh > \"${fpath[1]}/_retake\"
  retake completions fish > ~/.config/fish/completions/retake.fish")]
pub(crate) struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Arguments of `retake man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  retake man | man -l -
  retake man --out /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write one page a command into this folder
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) out: Option<PathBuf>,
}

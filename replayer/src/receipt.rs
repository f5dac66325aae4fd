//! What a replay can prove about itself. Every line of it is filled from what was observed, and says so where nothing was.

use diff::{RuleUse, Tally};
use exchange::{Digest, Id};
use serde::{Deserialize, Serialize};

pub use self::misses::{LiveCalls, MissesAnswered};
pub use self::punctuality::{Punctuality, Quantiles};
pub use self::repeats::{HeldPlace, HeldStill, NotStarted, RepeatsProof, Resets, Setting};
pub use crate::{
    determinism::{Control, Controlled, GateCounts, State},
    fitted::LeftOut,
    noise::{AlarmRate, NoiseProof, ProfileProof},
};

mod misses;
mod punctuality;
mod repeats;

/// The receipt of one replay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The run's id.
    pub run: Id,
    /// Why the replay as a whole could not be judged; `None` when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub void: Option<Void>,
    /// What was read.
    pub sources: Vec<SourceProof>,
    /// What ran, against what should have.
    pub pinned: Pinned,
    /// Digests of the fingerprints that the exchanges were recorded in: one, or several that differ in names and addresses alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recorded_in: Vec<Digest>,
    /// Exchanges among them of which it is not certain which environment answered: they ran while the container was changing, or
    /// behind several replicas.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uncertain: u64,
    /// Exchanges that were sent again.
    pub replayed: u64,
    /// Exchanges that were not, and why.
    pub skipped: Vec<Skipped>,
    /// Dependency calls and where their answers came from.
    pub answers: Answers,
    /// What answered calls that were not recorded, where that was more than an explanation.
    #[serde(default, skip_serializing_if = "MissesAnswered::is_empty")]
    pub misses: MissesAnswered,
    /// What tried to leave.
    pub egress: Egress,
    /// What the service looked for and did not find, since it was not recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<Absent>,
    /// How deterministic the run was made.
    pub determinism: Determinism,
    /// What was changed so that the service could run here: variables, addresses, header fields.
    pub replacements: Vec<String>,
    /// How it was known that the service was ready, and how long that took; `None` where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// What was put into the container beside the image.
    pub injected: Vec<String>,
    /// Real servers that ran beside the service. What it asked them was neither recorded nor compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Beside>,
    /// Where this environment differs from the recorded one.
    pub environment: Vec<EnvironmentDifference>,
    /// Rules by hand that were used, and how often.
    pub rules: Vec<RuleUse>,
    /// Noise that was measured: the profiles, and what they set apart; absent where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<Box<NoiseProof>>,
    /// Header fields that are never compared.
    pub headers_not_compared: Vec<String>,
    /// Where exchanges had times: how near they came to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub punctuality: Option<Box<Punctuality>>,
    /// Where it was repeated: how, and what the repeats say together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Box<RepeatsProof>>,
    /// Verdicts counted.
    pub tally: Tally,
    /// BLAKE3 over the canonical outcome of every exchange, fields under a rule taken out: two runs with the same digest
    /// gave the same answers and asked the same questions. `None` when nothing was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_digest: Option<Digest>,
    /// The service's exit status or signal where it ended before it was told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ended: Option<String>,
    /// True when the replay was interrupted before all was sent.
    #[serde(default)]
    pub interrupted: bool,
    /// How often it was gone on with after it had been cut off.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub resumed: u32,
    /// In a run's file: how many more were skipped than `skipped` has room for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped_more: u64,
    /// What of the results the run's file has no room for.
    #[serde(default, skip_serializing_if = "LeftOut::is_nothing")]
    pub left_out: LeftOut,
}

/// Why a whole replay could not be judged, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Void {
    /// What was wrong.
    pub reason: String,
    /// What the user can do next.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// The last lines that the service wrote, where that may be why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_lines: Vec<String>,
}

/// A bundle or store that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProof {
    /// As it was named.
    pub path: String,
    /// The bundle's digest; a store, which still grows, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// True when every byte was verified before the first request.
    pub verified: bool,
}

/// What ran, against what should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The recorded identity: an image's digest or an executable's; empty where none was recorded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub wanted: String,
    /// The identity of what ran; empty when nothing did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub used: String,
    /// How the two are related.
    pub relation: Relation,
}

/// How what ran is related to what was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// Nothing ran.
    #[default]
    NothingRan,
    /// The same image: equal configuration digest.
    SameConfigDigest,
    /// The same image: equal repository digest.
    SameRepositoryDigest,
    /// The same image: equal layers and run-time configuration, under another digest.
    SameLayers,
    /// The same executable and named files.
    SameExecutable,
    /// Another image, asked for with `--image`: its differences are the question.
    OtherImage,
    /// A command or address given with `--process` or `--target`: not pinned.
    NotPinned,
}

impl Relation {
    /// True when what ran is what was recorded.
    pub fn is_same(self) -> bool {
        matches!(self, Self::SameConfigDigest | Self::SameRepositoryDigest | Self::SameLayers | Self::SameExecutable)
    }

    /// A few words for the receipt.
    pub fn words(self) -> &'static str {
        match self {
            Self::NothingRan => "nothing ran",
            Self::SameConfigDigest => "same image, by its config digest",
            Self::SameRepositoryDigest => "same image, by its repository digest",
            Self::SameLayers => "same image, by its layers and run-time configuration",
            Self::SameExecutable => "same executable, by its digest",
            Self::OtherImage => "another image, as asked",
            Self::NotPinned => "not pinned",
        }
    }
}

/// An exchange that was not replayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which.
    pub id: Id,
    /// Its method and path.
    pub title: String,
    /// Why.
    pub reason: String,
}

/// Dependency calls of a run, and where their answers came from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// False when the service's calls did not come here at all (`--target`): the counts then mean nothing.
    pub observed: bool,
    /// Answered with a recording of the same parent, which the call's trace context named.
    pub served_by_parent: u64,
    /// Answered with a recording of the same parent, which was the only one in flight.
    pub served_by_inference: u64,
    /// Answered with an equal recording of another parent in the same conversation.
    #[serde(default)]
    pub served_by_conversation: u64,
    /// Turns of connections that are no HTTP, answered on the same recorded connection.
    #[serde(default, skip_serializing_if = "is_none")]
    pub served_by_connection: u64,
    /// Answered with an equal recording from elsewhere: weaker.
    pub served_anywhere: u64,
    /// Not in the recording.
    pub missed: u64,
    /// Recorded for a replayed exchange, and not asked for.
    pub never_asked: u64,
}

impl Answers {
    /// Adds those of another repeat.
    pub(crate) fn add(&mut self, other: &Self) {
        self.observed |= other.observed;
        for (count, more) in [
            (&mut self.served_by_parent, other.served_by_parent),
            (&mut self.served_by_inference, other.served_by_inference),
            (&mut self.served_by_conversation, other.served_by_conversation),
            (&mut self.served_by_connection, other.served_by_connection),
            (&mut self.served_anywhere, other.served_anywhere),
            (&mut self.missed, other.missed),
            (&mut self.never_asked, other.never_asked),
        ] {
            *count += more;
        }
    }

    /// All that were served.
    pub fn served(&self) -> u64 {
        self.served_by_parent
            + self.served_by_inference
            + self.served_by_conversation
            + self.served_by_connection
            + self.served_anywhere
    }
}

/// True for a count of nothing that only some recordings have.
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// Attempts to reach something that is not the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Egress {
    /// True when the service had no network to leave by.
    pub prevented: bool,
    /// Names that were asked of the resolver, each once; `None`: not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<Vec<String>>,
    /// Connections and datagrams that found no route, counted by the kernel. `None`: not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_route: Option<u64>,
    /// What the service connected to, and sent datagrams to by address, as far as a system call of its own processor's kind
    /// said so; recorded addresses too. `None`: not observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<Attempt>>,
    /// Attempts of which it could not be seen where they went.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts_unread: u64,
    /// True when there were more different attempts than are kept, or there may have been some at the end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub attempts_cut: bool,
}

impl Egress {
    /// The same, where something ran that was not seen to its end.
    #[must_use]
    pub(crate) fn not_all_seen(self) -> Self {
        let attempts = self.attempts.filter(|attempts| !attempts.is_empty());
        Self { names: None, without_route: None, attempts_cut: attempts.is_some(), attempts, ..self }
    }

    /// What both saw. What one of them did not observe was not observed.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        let both = |one: Option<Vec<String>>, other: Option<Vec<String>>| {
            let (mut one, other) = (one?, other?);
            one.extend(other);
            one.sort_unstable();
            one.dedup();
            Some(one)
        };
        let attempts = self.attempts.zip(other.attempts).map(|(mut all, more)| {
            more.into_iter().for_each(|attempt| add_attempt(&mut all, attempt));
            all
        });
        Self {
            prevented: self.prevented && other.prevented,
            names: both(self.names, other.names),
            without_route: self.without_route.zip(other.without_route).map(|(one, other)| one + other),
            attempts,
            attempts_unread: self.attempts_unread + other.attempts_unread,
            attempts_cut: self.attempts_cut || other.attempts_cut,
        }
    }
}

fn add_attempt(all: &mut Vec<Attempt>, attempt: Attempt) {
    let kind = |attempt: &Attempt| (attempt.transport, attempt.address.clone(), attempt.found);
    match all.iter_mut().find(|known| kind(known) == kind(&attempt)) {
        Some(known) => known.count += attempt.count,
        None => all.push(attempt),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_nothing(count: &u32) -> bool {
    *count == 0
}

/// Attempts of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How.
    pub transport: Transport,
    /// An address and port; for a unix socket its path, or `@` and its abstract name.
    pub address: String,
    /// What there was at that moment.
    pub found: Found,
    /// How often.
    pub count: u64,
}

/// How something is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// A UDP datagram, or a peer given to a UDP socket.
    Udp,
    /// A unix socket.
    Unix,
}

/// What there was where the service tried to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// A recorded dependency.
    Recorded,
    /// Something inside that listens: the service itself, or what it started.
    Inside,
    /// Nothing that listens, or no such path.
    Nothing,
    /// No network: the address is elsewhere.
    NoNetwork,
}

impl Found {
    /// True when nobody was there.
    pub fn is_nothing(self) -> bool {
        matches!(self, Self::Nothing | Self::NoNetwork)
    }
}

/// Something that the service looked for and did not find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// What it did, and what there was.
    pub what: String,
    /// What the user can do about it.
    pub help: String,
}

/// How deterministic a run was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Determinism {
    /// The level reached: 0 is the pinned image with recorded dependencies, and each further one holds where all its controls
    /// and those of the levels below are on. `None` where not even the image is pinned, and where nothing was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The level that was asked for.
    #[serde(default)]
    pub asked: u8,
    /// Why it is not the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<String>,
    /// Every control, lower levels first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub controls: Vec<Controlled>,
    /// How often answers of dependencies were held for their order; `None` where they were not to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<GateCounts>,
    /// What the level does not claim, as far as it can be known from outside, and what went wrong inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclusions: Vec<String>,
    /// `recorded`: what overlapped overlaps, what followed an answer follows it. `serial`: one after the other. `nothing was
    /// sent` where nothing was.
    pub order: String,
    /// `asap`: no waiting but for the order; else `recorded` or how many times as fast, and which loop. As above where nothing was
    /// sent.
    pub timing: String,
}

/// A real server that ran beside the service, fresh for this replay, in the same network without a way out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beside {
    /// What it was called.
    pub name: String,
    /// Its image, as it was named.
    pub image: String,
    /// The identity of that image: its digest.
    pub identity: String,
    /// Where it listened.
    pub port: u16,
    /// What it began with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<DumpProof>,
    /// The variables that it was given, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// How it was known that it was ready, and how long after its start; `None` where it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    /// Recorded calls to a dependency of its name, which were not compared.
    pub calls_not_compared: u64,
}

/// What a server began with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpProof {
    /// As it was named.
    pub path: String,
    /// Of its content: a file's, or a folder's with all that is in it (`docs/format.md`, mounts).
    pub digest: Digest,
    /// Where it was put.
    pub at: String,
}

/// Something that is different here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentDifference {
    /// What: `cpu model`, `kernel`, `memory limit`, a variable's name, …
    pub what: String,
    /// As recorded.
    pub recorded: String,
    /// As it is here.
    pub here: String,
}

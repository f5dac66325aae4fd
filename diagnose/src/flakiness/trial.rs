//! What is known of each repeat of each exchange.

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Digest, Id};

/// One run.
#[derive(Clone, Debug, Default)]
pub struct RunSeen {
    /// As a person names it: its short id.
    pub name: String,
    /// The environment it ran in: digest of all that is known of it, what ran in it included. `None` where nothing is: then it
    /// is like no other run's.
    pub environment: Option<Digest>,
    /// The machine's processor and kernel, in words.
    pub host: String,
    /// `recorded` or `serial`.
    pub order: String,
    /// By what it was judged: digest of the rules and of the noise that it left out. What fails by one may pass by
    /// another. `None` where the run does not say.
    pub judged: Option<Digest>,
    /// True where each repeat had a fresh service, and shared it with no copy of itself.
    pub resets: bool,
    /// What it held still.
    pub held: BTreeSet<Held>,
    /// The outcomes of each recorded exchange.
    pub outcomes: BTreeMap<Id, BTreeSet<OutcomeSeen>>,
    /// Its trials, in the order they were sent.
    pub trials: Vec<TrialSeen>,
}

/// Something that a replay holds still, and that can then not be seen to vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// The wall clock.
    Clock,
    /// Python's hash seed, by its variable.
    PythonHashSeed,
    /// Variables that have libraries add and compute in one way.
    Variables,
    /// Libraries start one thread.
    OneThread,
    /// Answers of dependencies were held until those were given that had ended before them.
    Answers,
    /// `/dev/urandom`.
    Urandom,
    /// `getrandom`, and the bytes that a program is started with.
    Entropy,
    /// Where memory lies.
    Addresses,
    /// C++'s `std::random_device`.
    RandomDevice,
    /// How long dependencies take to answer: they answered at once.
    Durations,
}

impl Held {
    /// The control's word; the variable's name where it is one of several.
    pub fn word(self) -> &'static str {
        match self {
            Self::Clock => "clock",
            Self::PythonHashSeed => "PYTHONHASHSEED",
            Self::Variables => "variables",
            Self::OneThread => "threads",
            Self::Answers => "answers",
            Self::Urandom => "urandom",
            Self::Entropy => "entropy",
            Self::Addresses => "addresses",
            Self::RandomDevice => "random-device",
            Self::Durations => "timing",
        }
    }
}

/// A kind of outcome of an exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutcomeSeen {
    /// Its verdict's word.
    pub verdict: String,
    /// Digests of what counts of the answer and of what was asked; `None` where the exchange was not repeated.
    pub content: Option<(Option<Digest>, Digest)>,
}

/// One repeat of one exchange.
#[derive(Clone, Debug)]
pub struct TrialSeen {
    /// The recorded exchange.
    pub original: Id,
    /// Method and path, what looks like an id as `*`.
    pub route: String,
    /// Method and path with query.
    pub title: String,
    /// Which repeat of its run, from 0.
    pub repeat: u32,
    /// True where it was changed, failed or diverged.
    pub failed: bool,
    /// When it was sent, in nanoseconds of the run's clock.
    pub started_ns: u64,
    /// When it had ended.
    pub ended_ns: u64,
    /// The wall clock's minute in which it was sent, since 1970.
    pub minute: u64,
    /// True where it ended by a time-out, or was answered with 408 or 504.
    pub timed_out: bool,
    /// Its calls, in the order they began.
    pub calls: Vec<CallSeen>,
    /// True where its answer has a value that is another's, which was in flight with it: whose, and where.
    pub leaked: Option<Leak>,
    /// True where its request names no seed, and its answer is a model's, or there is a temperature above 0.
    pub unseeded: bool,
}

/// A value of another exchange in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The place in the answer.
    pub pointer: String,
    /// Whose value it is.
    pub of: Id,
}

/// One call of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallSeen {
    /// The dependency.
    pub dependency: String,
    /// What was asked: the recorded call that answered, or what was asked where none did.
    pub asked: String,
    /// True where nothing recorded answered it, or its answer was cut or in time-out.
    pub failed: bool,
}

//! What is known of each repeat of each exchange.

use exchange::{Digest, Id};

/// One run.
#[derive(Clone, Debug, Default)]
pub struct RunSeen {
    /// As a person names it: its short id.
    pub name: String,
    /// The environment it ran in: what it names as host, digest of all that is known of it.
    pub environment: Option<Digest>,
    /// The machine's processor and kernel, in words.
    pub host: String,
    /// `recorded` or `serial`.
    pub order: String,
    /// True where each repeat had a fresh service.
    pub resets: bool,
    /// The level of determinism that it reached.
    pub level: Option<u8>,
    /// Its trials, in the order they were sent.
    pub trials: Vec<TrialSeen>,
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

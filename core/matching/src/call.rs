//! What goes in and out: recorded calls, calls that are made, and answers.

use std::fmt;

use content::json::Value;
use exchange::{Certainty, Digest, Head, Id};

/// The ingress exchange on whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Names the exchange: its trace id, or its id. Whoever fills a library uses one kind throughout.
    pub key: String,
    /// How the exchange is known. What is [`Certainty::Ambiguous`] has no scope at all.
    pub certainty: Certainty,
}

/// One recorded call to a dependency.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Its id.
    pub id: Id,
    /// The dependency's name.
    pub dependency: String,
    /// On whose behalf it was made; `None` where that is not known, or ambiguous.
    pub scope: Option<Scope>,
    /// The conversation that it belongs to, where something beside the call itself tells.
    pub conversation: Option<String>,
    /// The request's head.
    pub head: Head,
    /// The request's body as sent, all of it that was kept.
    pub body: Vec<u8>,
}

/// One call that the service makes now.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The dependency's name.
    pub dependency: &'a str,
    /// On whose behalf it is made; `None` where that cannot be told.
    pub scope: Option<&'a Scope>,
    /// The conversation that it belongs to, known as that of a recorded call is.
    pub conversation: Option<&'a str>,
    /// The request's head.
    pub head: &'a Head,
    /// The request's body as sent.
    pub body: &'a [u8],
}

/// What the library has for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A recording.
    Found(Found),
    /// None.
    Missed(Miss),
}

/// The recording that answers a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The recorded call.
    pub id: Id,
    /// How it was found.
    pub scope: MatchScope,
    /// True when it is one of several equal recordings there, served in recorded order.
    pub repeated: bool,
    /// True when the recording belongs to another exchange than the call: the call is one more than was recorded.
    pub borrowed: bool,
    /// Places that a rule left out and that differ: each is a use of the rule.
    pub left_out: Vec<LeftOut>,
}

/// By which scope a recording was found, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MatchScope {
    /// The same parent, named by trace context both times.
    Parent,
    /// The same parent, which was the only one in flight, then or now.
    Inferred,
    /// Another parent, or none known, in the same conversation.
    Conversation,
    /// The same recorded connection, whose turns came in their order: of what is no HTTP.
    Connection,
    /// An equal call from anywhere.
    Anywhere,
}

/// A call that no recording answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Dependency, method and target: `openai POST /v1/chat/completions`.
    pub asked: String,
    /// How many recordings equal the call and were served before; 0 when none equals it.
    pub exhausted: u64,
    /// The recording that comes nearest; absent when nothing was recorded for the dependency, or equal ones are used up.
    pub nearest: Option<Nearest>,
    /// Recordings of the same route that this call may be instead of, the nearest first: not those of other exchanges, nor what a
    /// call that equals it has already, nor those that equal this call. The first few say in words where they differ, of the others
    /// how many places do.
    pub near: Vec<Nearest>,
}

/// The recording that comes nearest to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Which.
    pub id: Id,
    /// Its method and target.
    pub title: String,
    /// Where it differs, in words, at most five: `/messages/1/content: recorded "yes", asked "no"`.
    pub differences: Vec<String>,
    /// Places that differ beyond those named.
    pub differences_more: u64,
    /// How far it is from the call.
    pub distance: Distance,
}

/// How far a recording is from a call; what compares less is nearer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    /// What is another about it as a whole.
    pub standing: Standing,
    /// Places that differ: of JSON its values, else the body is one; of a target its segments and fields.
    pub places: u64,
    /// Bytes of words that differ there.
    pub bytes: u64,
}

impl Distance {
    /// The same as numbers, when it does not matter any more what was asked for by then.
    pub fn numbers(&self) -> [u64; 3] {
        let Standing { other_route, other_exchange, other_path, other_method, is_taken: _, other_kind } = self.standing;
        let others = [other_route, other_exchange, other_path, other_method, other_kind];
        [others.into_iter().fold(0, |number, other| number << 1 | u64::from(other)), self.places, self.bytes]
    }
}

/// What is another about a recording as a whole: what stands first weighs more than all that follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// It has another method, or another path, ids apart.
    pub other_route: bool,
    /// It is not known to be of the same exchange.
    pub other_exchange: bool,
    /// An id in its path is another.
    pub other_path: bool,
    /// Its method is another.
    pub other_method: bool,
    /// It was asked for already.
    pub is_taken: bool,
    /// One body is JSON and the other is not.
    pub other_kind: bool,
}

/// Why there is no answer, in one sentence.
impl fmt::Display for Miss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        match (&self.nearest, self.exhausted) {
            (_, 1) => write!(formatter, "{asked} was asked once more than the 1 time it was recorded"),
            (_, count @ 2..) => write!(formatter, "{asked} was asked once more than the {count} times it was recorded"),
            (Some(nearest), _) => write!(formatter, "{asked} was not recorded; the nearest is {nearest}"),
            (None, _) => write!(formatter, "{asked} was not recorded, nor anything else of this dependency"),
        }
    }
}

/// The recording and where it differs.
impl fmt::Display for Nearest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({}): {}", self.id.short(), self.title, self.differences.join("; "))?;
        match self.differences_more {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

/// Makes a call comparable with a recorded one. Both go through it.
pub trait Normalise: Send + Sync {
    /// The target as it is compared: for example with secrets as they are in the recording.
    fn target(&self, _dependency: &str, target: &[u8]) -> Vec<u8> {
        target.to_vec()
    }

    /// Method and path, with what looks like an id in it as one: calls of one route ask for the same in general.
    fn route(&self, method: &str, target: &str) -> String {
        format!("{method} {}", target.split('?').next().unwrap_or_default())
    }

    /// Takes out of a JSON body what is not to be compared, and tells what that was, in the document's order.
    fn body(&self, _dependency: &str, _body: &mut Value) -> Vec<LeftOut> {
        Vec::new()
    }
}

/// Everything as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsRecorded;

impl Normalise for AsRecorded {}

/// Something that was taken out of a call's body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// The rule that says so.
    pub rule: String,
    /// Where it was.
    pub pointer: String,
    /// Digest of the canonical form of what was there.
    pub digest: Digest,
}

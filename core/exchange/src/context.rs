//! What is known of an exchange beside what was said: where it may have run, what its user calls by name in it, and the
//! conversation that it is a turn of.

use serde::{Deserialize, Serialize};

use crate::{Digest, Exchange, Imported};

/// What is known of an exchange beside what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Why its environment is not known, where there are several that it may have been. Absent where `fingerprint` names
    /// the one, or where none was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Values that the user named (`--annotate`), in the order they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    /// The conversation that it is a turn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// Set where another tool recorded it: what it came from, and what it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
}

impl Context {
    /// True when nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The value that was kept under this name.
    pub fn annotation(&self, name: &str) -> Option<&Annotation> {
        self.annotations.iter().find(|annotation| annotation.name == name)
    }
}

/// Why the environment of an exchange is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// It was in flight while the environment changed: digests of all fingerprints that held meanwhile, the first first.
    Uncertain(Vec<Digest>),
    /// It went to one of several replicas: digests of the fingerprints of all of them.
    OneOf(Vec<Digest>),
}

impl Doubt {
    /// Digests of the fingerprints that it may have been.
    pub fn candidates(&self) -> &[Digest] {
        match self {
            Self::Uncertain(digests) | Self::OneOf(digests) => digests,
        }
    }

    /// `uncertain` or `one of`, for a person.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Uncertain(_) => "uncertain",
            Self::OneOf(_) => "one of",
        }
    }
}

/// The environment of an exchange, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RanIn<'a> {
    /// None was seen.
    Unknown,
    /// This one.
    Known(&'a Digest),
    /// One of several, and why that cannot be told.
    OneOfSeveral(&'a Doubt),
}

impl<'a> RanIn<'a> {
    /// What `fingerprint` and `context.doubt` of an exchange, or of its entry in an index, say together.
    pub fn of(fingerprint: Option<&'a Digest>, context: &'a Context) -> Self {
        match (&context.doubt, fingerprint) {
            (Some(doubt), _) => Self::OneOfSeveral(doubt),
            (None, Some(digest)) => Self::Known(digest),
            (None, None) => Self::Unknown,
        }
    }

    /// Digests of all fingerprints that it may have been.
    pub fn candidates(self) -> &'a [Digest] {
        match self {
            Self::Unknown => &[],
            Self::Known(digest) => std::slice::from_ref(digest),
            Self::OneOfSeveral(doubt) => doubt.candidates(),
        }
    }
}

impl Exchange {
    /// The environment that it ran in, as far as that is known.
    pub fn ran_in(&self) -> RanIn<'_> {
        RanIn::of(self.fingerprint.as_ref(), &self.context)
    }
}

/// A value of request or response that the user named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// As the user calls it.
    pub name: String,
    /// The value as JSON, without white space, as it was written; a header's is a JSON text. `None` where it was there and
    /// is longer than is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// The conversation that an exchange is a turn of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Conversation {
    /// Equal for all turns of one conversation.
    pub id: String,
    /// How it is known.
    pub how: ConversationSource,
}

/// How a conversation is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConversationSource {
    /// The user said where its id stands (`--conversation`).
    Given,
    /// `gen_ai.conversation.id` of the `baggage` field.
    Baggage,
    /// Inferred: the turns begin with the same messages.
    Prefix,
}

impl ConversationSource {
    /// A few words for a page.
    pub fn words(self) -> &'static str {
        match self {
            Self::Given => "as --conversation says",
            Self::Baggage => "by its baggage",
            Self::Prefix => "inferred from its first messages",
        }
    }
}

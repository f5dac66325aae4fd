//! What is known of an exchange beside what was said: what its user calls by name in it, and the conversation that it is a
//! turn of.

use serde::{Deserialize, Serialize};

use crate::{Doubt, Imported};

/// What is known of an exchange beside what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Values that the user named (`--annotate`), in the order they were asked for, and [`Annotation::MODEL`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub annotations: Vec<Annotation>,
    /// The conversation that it is a turn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversation>,
    /// Set where another tool recorded it: what it came from, and what it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    /// What is not certain of the environment that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
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

/// A value of request or response that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// As the user calls it.
    pub name: String,
    /// The value as JSON, without white space, as it was written; a header's is a JSON text. `None` where it was there and
    /// is longer than is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Annotation {
    /// The name of the model, noted of each exchange that names one: what is noted stands in the index.
    pub const MODEL: &str = "model";
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

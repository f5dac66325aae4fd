//! What a comparison found: one entry for each difference, and what it could not look at.
//!
//! In: the comparing modules fill these. Out: values with documented, stable names, written to `--json` and into runs.

use std::fmt;

use content::json::{Node, ParseError};
use exchange::Digest;
use serde::{Deserialize, Serialize};

use crate::{Format, NoisyChange, RuleUse, Streams, VectorChange};

/// Longest text shown of a value, in characters. A choice: two of them fit on a few lines of a terminal.
pub const SHOWN_CHARS_MAX: usize = 200;

/// What is set aside at first for a value's canonical form, in bytes. A choice: most are shorter.
const CANONICAL_LEN_MOSTLY: usize = 1_024;

/// Most differences listed for one comparison. Beyond it they are counted only. A choice: nobody reads more.
pub const CHANGES_LEN_MAX: usize = 1_000;

/// The outcome of comparing one answer with another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Differences in the order of the document: status, header fields by name, then the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Differences beyond the first [`CHANGES_LEN_MAX`], which are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changes_more: u64,
    /// Rules by hand that hid a difference, and how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules_used: Vec<RuleUse>,
    /// Differences that lie within measured noise: not among `changes`, each with its evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noise: Vec<NoisyChange>,
    /// True when the recording holds a part of the answer only, and that part was compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded_part_only: bool,
    /// True when of the replayed answer only a part was kept, and that part was compared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed_part_only: bool,
    /// True when the bodies were too large or too unlike for a fine comparison: what is equal is equal, but a difference
    /// may be shown larger than it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coarse: bool,
    /// Why the recorded body was not read as the JSON that it is announced to be, or looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_not_json: Option<NotJson>,
    /// The same of the replayed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_not_json: Option<NotJson>,
    /// As what the bodies were compared.
    pub compared_as: ComparedAs,
    /// Where a message came as a stream: how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streams: Option<Streams>,
}

impl Comparison {
    /// True when nothing differs, or only what a rule covers or noise explains.
    pub fn is_equal(&self) -> bool {
        self.changes.is_empty()
    }

    /// All differences, listed or not.
    pub fn changes_count(&self) -> u64 {
        self.changes.len() as u64 + self.changes_more
    }

    /// The same comparison seen from the other side: recorded and replayed exchanged.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self {
            changes: self.changes.into_iter().map(Change::mirrored).collect(),
            noise: self.noise.into_iter().map(|it| NoisyChange { change: it.change.mirrored(), ..it }).collect(),
            recorded_part_only: self.replayed_part_only,
            replayed_part_only: self.recorded_part_only,
            recorded_not_json: self.replayed_not_json,
            replayed_not_json: self.recorded_not_json,
            streams: self.streams.map(Streams::mirrored),
            ..self
        }
    }
}

/// Why a body is not the JSON that is read here. Rules for places in it do not reach it, since it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotJson {
    /// What is wrong, in words. Keys stand in it: not escaped for a terminal.
    pub reason: String,
    /// Offset in the decoded body, in bytes.
    pub at: u64,
}

impl NotJson {
    pub(crate) fn of(error: &ParseError) -> Self {
        Self { reason: Shown::beginning_of(&error.what.to_string()).text, at: error.offset as u64 }
    }
}

impl fmt::Display for NotJson {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "not JSON: {} at byte {}", self.reason, self.at)
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// As what two bodies were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComparedAs {
    /// Neither had a body.
    #[default]
    Nothing,
    /// Member by member.
    Json,
    /// Event by event, each data that is JSON member by member.
    Events,
    /// By the message that the events of a provider's stream join to, member by member.
    Message,
    /// By the fields of a form.
    Form,
    /// By the parts of a body of several.
    Multipart,
    /// By the elements and texts of HTML.
    Html,
    /// By the fields of protobuf messages, in the framing of gRPC or alone.
    Protobuf,
    /// By what a picture is and its pixels; by size and digest where it cannot be decoded.
    Image,
    /// By what a sound is and its samples; by size and digest where it cannot be decoded.
    Audio,
    /// As text, by words and lines.
    Text,
    /// As bytes; so are bodies that are equal byte by byte, whatever they are.
    Bytes,
    /// By the digests of what they say, which are equal: neither was read.
    Digest,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Where: `status`, `header:NAME`, a JSON Pointer into the body (empty for the whole of it), or `sse:` and a pointer
    /// into an event's data; `sse:event`, `sse:id`, `sse:retry` and `sse:others` are an event's other fields,
    /// and `sse:end` is what ends the stream of a message, whose other pointers lead into the message. As a rule it covers just
    /// this. Indices are those of the recorded side, of the replayed one where something was added.
    pub pointer: String,
    /// The pointer on the replayed side, where what was inserted or left out before it gives it another index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_pointer: Option<String>,
    /// Number of the event, from 0, on the recorded side, or on the replayed one where it was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<u64>,
    /// Number of the event on the replayed side where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_event: Option<u64>,
    /// What kind of difference.
    pub kind: ChangeKind,
    /// What stood there; absent when something was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Shown>,
    /// What stands there now; absent when something was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Shown>,
    /// For two texts or two byte strings: where they part, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextChange>,
    /// For two vectors: how far apart they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector: Option<VectorChange>,
    /// What the values look like, where they look like something known. It hides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// True where the last step of the pointer looks like an index, and is the key of a member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub numbered_key: bool,
}

impl Change {
    /// A difference whose values are still to be filled in.
    pub(crate) fn at(pointer: impl Into<String>, kind: ChangeKind) -> Self {
        Self {
            pointer: pointer.into(),
            replayed_pointer: None,
            event: None,
            replayed_event: None,
            kind,
            recorded: None,
            replayed: None,
            text: None,
            vector: None,
            format: None,
            numbered_key: false,
        }
    }

    /// The same difference seen from the other side.
    #[must_use]
    pub fn mirrored(self) -> Self {
        let swap = |here: Option<u64>, there: Option<u64>| if there.is_some() { (there, here) } else { (here, None) };
        let (pointer, replayed_pointer) = match self.replayed_pointer {
            Some(replayed) => (replayed, Some(self.pointer)),
            None => (self.pointer, None),
        };
        let (event, replayed_event) = swap(self.event, self.replayed_event);
        Self {
            pointer,
            replayed_pointer,
            event,
            replayed_event,
            kind: self.kind.mirrored(),
            recorded: self.replayed,
            replayed: self.recorded,
            text: self.text.map(TextChange::mirrored),
            ..self
        }
    }
}

/// What kind of difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ChangeKind {
    /// There now, and not in the recording.
    Added,
    /// In the recording, and not there now.
    Removed,
    /// Another value of the same kind.
    Changed,
    /// A value of another kind: a string where a number was, a text where JSON was.
    TypeChanged,
    /// An element of an array that stands elsewhere among the others now. What else changed in it is listed beside it.
    Moved,
}

impl ChangeKind {
    /// The word for a table.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::TypeChanged => "type changed",
            Self::Moved => "moved",
        }
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Added => Self::Removed,
            Self::Removed => Self::Added,
            same => same,
        }
    }
}

/// A value as it is shown: JSON in canonical form, a header's value as sent, or what a body of bytes is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// At most [`SHOWN_CHARS_MAX`] characters; `…` stands where something was left out. Not escaped for a terminal.
    pub text: String,
    /// Length of all of it, in bytes.
    pub len: u64,
    /// BLAKE3 of all of it, where the text is not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl fmt::Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.text)
    }
}

impl Shown {
    /// The beginning of `text`.
    pub(crate) fn beginning_of(text: &str) -> Self {
        if text.len() <= SHOWN_CHARS_MAX {
            return Self { text: text.to_owned(), len: text.len() as u64, digest: None };
        }
        let mut characters = text.chars();
        let mut shown: String = characters.by_ref().take(SHOWN_CHARS_MAX).collect();
        let is_cut = characters.next().is_some();
        if is_cut {
            shown.pop();
            shown.push('…');
        }
        Self { text: shown, len: text.len() as u64, digest: is_cut.then(|| Digest::of(text.as_bytes())) }
    }

    /// True where the text is not all of the value.
    pub(crate) fn is_cut(&self) -> bool {
        self.digest.is_some()
    }

    /// The beginning of a value's canonical form: so that the order of members does not show either.
    pub(crate) fn of_json(node: Node<'_>) -> Self {
        if node.is_canonical() {
            return Self::beginning_of(node.raw());
        }
        let mut canonical = Vec::with_capacity(node.raw().len().min(CANONICAL_LEN_MOSTLY));
        node.write_canonical(&mut canonical);
        let text = String::from_utf8(canonical).expect("what is written of UTF-8 is UTF-8");
        if text.len() <= SHOWN_CHARS_MAX {
            return Self { len: text.len() as u64, text, digest: None };
        }
        Self::beginning_of(&text)
    }

    /// What is told of bytes that are no text.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        let (text, digest) = (format!("{} bytes", bytes.len()), Some(Digest::of(bytes)));
        Self { text, len: bytes.len() as u64, digest }
    }
}

/// Where two texts part, and how far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextChange {
    /// Words that both texts have in common before the first difference: the number of the word in which they part, from 0.
    /// Absent for bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_word: Option<u64>,
    /// Offset of the first difference, in bytes, the same on both sides. For texts it is a character's first byte.
    pub first_difference: u64,
    /// The surroundings of the first difference on the recorded side.
    pub recorded_excerpt: String,
    /// The surroundings of the first difference on the replayed side.
    pub replayed_excerpt: String,
    /// Words of the recording that are gone; absent when the texts were too long to compare by words, or are bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_removed: Option<u64>,
    /// Words that are new; absent when the texts were too long to compare by words, or are bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words_added: Option<u64>,
    /// The lines that differ, for texts of several lines; at most [`TextChange::HUNKS_LEN_MAX`] groups of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Hunk>,
    /// Groups of lines that differ beyond those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hunks_more: u64,
}

impl TextChange {
    /// Most groups of lines listed for one text. A choice.
    pub const HUNKS_LEN_MAX: usize = 20;

    fn mirrored(self) -> Self {
        Self {
            recorded_excerpt: self.replayed_excerpt,
            replayed_excerpt: self.recorded_excerpt,
            words_removed: self.words_added,
            words_added: self.words_removed,
            hunks: self.hunks.into_iter().map(Hunk::mirrored).collect(),
            ..self
        }
    }
}

/// Lines that stand where other lines stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// Number of the first line on the recorded side, from 1.
    pub recorded_line: u64,
    /// Number of the first line on the replayed side, from 1.
    pub replayed_line: u64,
    /// The lines that are gone, without their ends, each cut to [`SHOWN_CHARS_MAX`] characters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// The lines that are new, cut likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    /// Lines of this group that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines_more: u64,
}

impl Hunk {
    fn mirrored(self) -> Self {
        Self {
            recorded_line: self.replayed_line,
            replayed_line: self.recorded_line,
            removed: self.added,
            added: self.removed,
            lines_more: self.lines_more,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_at_a_character_and_tells_its_length() {
        let shown = Shown::beginning_of(&"é".repeat(300));
        assert_eq!(shown.text.chars().count(), SHOWN_CHARS_MAX);
        assert!(shown.text.ends_with('…'));
        assert_eq!(shown.len, 600);
        assert_eq!(Shown::beginning_of("short").text, "short");
    }
}

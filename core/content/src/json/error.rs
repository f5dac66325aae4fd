//! What can be wrong with a document.

use std::fmt;

use super::DEPTH_MAX;

/// Why some bytes are not the JSON we read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}: {what}")]
pub struct ParseError {
    /// Offset of the byte at which reading stopped; for a key given twice, that of its object's `{`.
    pub offset: usize,
    /// What is wrong there.
    pub what: Fault,
}

impl ParseError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self.what {
            Fault::DuplicateKey(_) => {
                Some("readers disagree on which of the two counts; such a body is compared as bytes")
            }
            Fault::TooDeep | Fault::TooManyValues => Some("such a body is compared as bytes"),
            Fault::ByteOrderMark => Some("write the document as UTF-8 without a byte order mark"),
            _ => None,
        }
    }
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A byte sequence that is not UTF-8.
    NotUtf8,
    /// A byte order mark at the start (RFC 8259, section 8.1, forbids to send one).
    ByteOrderMark,
    /// The document ends inside a value.
    UnexpectedEnd,
    /// A character that cannot stand here.
    Unexpected(char),
    /// A control character in a string that is not escaped.
    ControlCharacter,
    /// A backslash followed by something that is no escape.
    BadEscape,
    /// One half of a surrogate pair, escaped, without the other.
    LoneSurrogate,
    /// A number with a leading zero, without digits, or the like.
    BadNumber,
    /// More than [`DEPTH_MAX`] arrays and objects inside one another.
    TooDeep,
    /// More values than the caller allows.
    TooManyValues,
    /// The object that begins here has this key twice.
    DuplicateKey(String),
    /// Something follows the value.
    Trailing,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => formatter.write_str("not UTF-8"),
            Self::ByteOrderMark => formatter.write_str("a byte order mark"),
            Self::UnexpectedEnd => formatter.write_str("the document ends inside a value"),
            Self::Unexpected(found) => write!(formatter, "unexpected character {found:?}"),
            Self::ControlCharacter => formatter.write_str("a control character in a string must be escaped"),
            Self::BadEscape => formatter.write_str("not an escape that JSON knows"),
            Self::LoneSurrogate => formatter.write_str("one half of a surrogate pair"),
            Self::BadNumber => formatter.write_str("not a number as JSON writes it"),
            Self::TooDeep => write!(formatter, "more than {DEPTH_MAX} arrays and objects inside one another"),
            Self::TooManyValues => formatter.write_str("too many values"),
            Self::DuplicateKey(key) => write!(formatter, "the object that begins here has the key {key:?} twice"),
            Self::Trailing => formatter.write_str("something follows the value"),
        }
    }
}

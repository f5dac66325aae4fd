//! The seam between formats and the importer: what a format gives.

use std::{
    fmt,
    io::{self, Read, Write},
    sync::Arc,
};

use exchange::{Exchange, Head, Lack, Session};

use crate::Origin;

/// A format that recordings come in and go out in. [`crate::Har`] is the worked example: a format reads its own syntax and
/// fills [`Item`]s; ids, roles, redaction and digests are not its business.
pub trait Interchange {
    /// Its name, as an exchange that was imported has it: `har`.
    fn name(&self) -> &'static str;

    /// Reads `input` and gives each item to `take` as soon as it is whole, in the file's order, holding one at a time.
    ///
    /// # Errors
    /// Where the file is wrong. What was given before stays given.
    fn read(&self, input: &mut dyn Read, limits: Limits, take: &mut dyn FnMut(Item) -> Next) -> Result<Passed, Fault>;

    /// Begins a file of exchanges of these sessions, written by this version of the tool.
    ///
    /// # Errors
    /// Those of `out`.
    fn write<'a>(
        &self,
        out: &'a mut dyn Write,
        tool_version: &str,
        sessions: &[&Session],
    ) -> io::Result<Box<dyn Writing + 'a>>;
}

/// A file in the making, which holds one exchange at a time.
pub trait Writing {
    /// Writes one exchange.
    ///
    /// # Errors
    /// Those of the output.
    fn put(&mut self, telling: &Telling<'_>) -> io::Result<Told>;

    /// Ends the file.
    ///
    /// # Errors
    /// Those of the output.
    fn end(self: Box<Self>) -> io::Result<()>;
}

/// One exchange with its bodies as they were sent.
#[derive(Clone, Copy, Debug)]
pub struct Telling<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// Its session, for the wall clock.
    pub session: Option<&'a Session>,
    /// Where the service or dependency was, as a URL.
    pub upstream: &'a str,
    /// Kept bytes of the request's body; `None` where they are not to be told.
    pub request_body: Option<&'a [u8]>,
    /// Kept bytes of the response's body; `None` where they are not to be told.
    pub response_body: Option<&'a [u8]>,
}

/// What became of an exchange that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is in the file.
    Entry,
    /// It is no HTTP, for which the format has no place.
    NoHttp,
}

/// What Retake itself recorded of an item, beyond what the format has a place for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its record. A head is empty where the item's is the same to the byte; bodies have no recipes.
    pub exchange: Exchange,
    /// Its session.
    pub session: Arc<Session>,
}

/// Limits that keep a reader from growing without bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest item, in bytes of the file; the reader takes a few times as much memory. What stands between items counts
    /// as one, too.
    pub item_bytes_max: u64,
}

/// Whether to go on after an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the next one.
    GoOn,
    /// No more.
    Stop,
}

/// What was read and gave no item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Entries that are no HTTP (`data:`, `blob:`, `chrome-extension:`).
    pub not_http: u64,
}

/// One request and its answer, as far as the format tells them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its number among the file's entries, from 0, those that give no item counted.
    pub position: u64,
    /// When it began, in nanoseconds since 1970; `None` where that is not told.
    pub started_unix_ns: Option<u64>,
    /// From its beginning to the end of the request, the first byte of the answer, and its end, in nanoseconds.
    pub request_ended_ns: Option<u64>,
    /// See `request_ended_ns`.
    pub response_started_ns: Option<u64>,
    /// See `request_ended_ns`.
    pub ended_ns: u64,
    /// Where it went.
    pub origin: Origin,
    /// What was asked.
    pub request: ItemMessage,
    /// What came back; `None` where nothing did.
    pub response: Option<ItemMessage>,
    /// Why nothing came back, in the recording tool's words.
    pub failure: Option<String>,
    /// What the entry does not tell.
    pub lacks: Vec<Lack>,
    /// Set where Retake wrote the file.
    pub own: Option<Box<Own>>,
}

/// A head and its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemMessage {
    /// Made of what the format tells: first line and fields.
    pub head: Head,
    /// The bytes that are told, in the encoding that the head says.
    pub body: Vec<u8>,
    /// How many bytes passed, where more did than are told.
    pub len: u64,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Its line, from 1; 0 where that is not known.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "byte {}", self.offset),
            line => write!(formatter, "byte {}, line {line}", self.offset),
        }
    }
}

/// Where and why a file could not be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// True where the operating system refused, rather than the file being wrong.
    pub is_io: bool,
}

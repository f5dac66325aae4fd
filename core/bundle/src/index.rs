//! What a file holds and where: written at its end when it is sealed, made again by scanning when it is not.
//!
//! In: each record as it is written or scanned, with its place. Out: an [`Index`], the same from both, and its written form:
//! JSON, and exchanges by columns. Small records (sessions, their ends, clocks) are in the index themselves, so that a list
//! of exchanges needs no other block.

mod listing;

use std::{io, sync::Arc, time::Duration};

use exchange::{Certainty, ClockPair, Context, Digest, Doubt, Exchange, Id, Session, SessionEnd};
use serde::{Deserialize, Serialize};

use crate::{
    Record,
    layout::{INDEX_BYTES_MAX, INDEX_VALUE_BYTES},
    record::record_kind,
    rows::Keys,
    varint,
};

/// Longest title kept in an entry, in bytes; a longer one is cut. A choice: wider than any table.
const TITLE_BYTES_MAX: usize = 512;

/// Longest annotation kept in an entry, in bytes: labels and counts, no vectors. A choice.
const LISTED_VALUE_BYTES_MAX: usize = 256;

/// Bytes of manifest and index that one block comes to at most: a digest in hex, and the weight of five numbers.
pub(crate) const BLOCK_ENTRY_BYTES_MAX: u64 = 192;

/// Where a record stands. Written as `[block, offset, len]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "(u64, u32, u32)", into = "(u64, u32, u32)")]
pub(crate) struct Place {
    /// Where in the file its block's header begins.
    pub(crate) block: u64,
    /// Where in the block, decompressed, the record's header begins; of an exchange the number of its row.
    pub(crate) offset: u32,
    /// Length of its payload in bytes; of an exchange 0.
    pub(crate) len: u32,
}

impl From<(u64, u32, u32)> for Place {
    fn from((block, offset, len): (u64, u32, u32)) -> Self {
        Self { block, offset, len }
    }
}

impl From<Place> for (u64, u32, u32) {
    fn from(place: Place) -> Self {
        (place.block, place.offset, place.len)
    }
}

/// What a list of exchanges shows of one of them. Texts that many have in common are in memory once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its id.
    pub id: Id,
    /// The capture session or run it belongs to.
    pub session: Id,
    /// The session's counter when it began.
    pub sequence: u64,
    /// The dependency's name; `None` for an ingress exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dependency: Option<Arc<str>>,
    /// The ingress exchange that a dependency call is held to belong to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// How the parent is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certainty: Option<Certainty>,
    /// All that the parent may have been, when ambiguous.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Id>,
    /// Method and path; cut with `…` where it is longer than 512 bytes.
    pub title: Arc<str>,
    /// The response's status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How it ended, as [`exchange::End::word`] says it.
    pub end: &'static str,
    /// First byte of the request, in nanoseconds since the session's start.
    pub started_ns: u64,
    /// When it ended, in nanoseconds since the session's start.
    pub ended_ns: u64,
    /// Body bytes of the request as sent.
    pub request_len: u64,
    /// Body bytes of the response as sent; `None` where there was no response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_len: Option<u64>,
    /// True when every body byte that passed is kept.
    pub whole: bool,
    /// The environment it ran in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Digest>,
    /// What else is known of it, values longer than 256 bytes left out.
    #[serde(skip_serializing_if = "is_nothing")]
    pub context: Arc<Context>,
    /// In a run: the recorded exchange it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// In a run: the repeat's number, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<u32>,
}

impl Entry {
    /// From the first byte of the request to its end.
    pub fn took(&self) -> Duration {
        Duration::from_nanos(self.ended_ns.saturating_sub(self.started_ns))
    }

    /// What a list shows of this exchange.
    pub fn of(exchange: &Exchange) -> Self {
        let parent = exchange.role.parent();
        let response = exchange.response.as_ref();
        Self {
            id: exchange.id,
            session: exchange.session,
            sequence: exchange.sequence,
            dependency: exchange.role.dependency().map(Arc::from),
            parent: parent.map(|parent| parent.id),
            certainty: parent.map(|parent| parent.certainty),
            candidates: parent.map(|parent| parent.candidates.clone()).unwrap_or_default(),
            title: cut(exchange.title()).into(),
            status: exchange.status(),
            end: exchange.end.word(),
            started_ns: exchange.times.started_ns,
            ended_ns: exchange.times.ended_ns,
            request_len: exchange.request.body.len,
            response_len: response.map(|response| response.body.len),
            whole: exchange.request.body.is_whole() && response.is_none_or(|response| response.body.is_whole()),
            fingerprint: exchange.fingerprint,
            context: listed(&exchange.context).into(),
            original: exchange.repeats.as_ref().and_then(|repeats| repeats.original),
            repeat: exchange.repeats.as_ref().map(|repeats| repeats.repeat),
        }
    }

    /// The environment that it ran in, and those that it may have run in.
    pub fn environments(&self) -> impl Iterator<Item = Digest> + use<'_> {
        let doubted = self.context.doubt.as_ref().map(Doubt::environments).unwrap_or_default();
        self.fingerprint.into_iter().chain(doubted.iter().copied())
    }

    /// True for a dependency call that belongs, or may belong, to the exchange `id`.
    pub fn may_belong_to(&self, id: &Id) -> bool {
        self.parent.as_ref() == Some(id) || self.candidates.contains(id)
    }
}

fn is_nothing(context: &Arc<Context>) -> bool {
    context.is_empty()
}

/// What a list shows of this: short values alone.
fn listed(context: &Context) -> Context {
    let mut context = Context { imported: None, ..context.clone() };
    context.annotations.retain(|it| it.value.as_ref().is_some_and(|value| value.len() <= LISTED_VALUE_BYTES_MAX));
    context
}

/// A title of at most [`TITLE_BYTES_MAX`] bytes.
fn cut(mut title: String) -> String {
    if title.len() > TITLE_BYTES_MAX {
        title.truncate(title.floor_char_boundary(TITLE_BYTES_MAX - '…'.len_utf8()));
        title.push('…');
    }
    title
}

/// An exchange in the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexedExchange {
    /// Where its record stands.
    pub(crate) at: Place,
    /// What a list shows of it.
    pub(crate) entry: Entry,
}

/// A run in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexedRun {
    /// Its id.
    pub(crate) id: Id,
    /// Both clocks at its start.
    pub(crate) started: ClockPair,
    /// Where its record stands.
    pub(crate) at: Place,
}

/// A clock reading in the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexedClock {
    /// The session.
    pub(crate) session: Id,
    /// The reading.
    pub(crate) pair: ClockPair,
}

/// What a file holds and where, each list in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Index {
    pub(crate) sessions: Vec<Session>,
    pub(crate) session_ends: Vec<SessionEnd>,
    pub(crate) clocks: Vec<IndexedClock>,
    /// Written by columns.
    #[serde(skip)]
    pub(crate) exchanges: Vec<IndexedExchange>,
    pub(crate) runs: Vec<IndexedRun>,
    pub(crate) images: Vec<Place>,
    pub(crate) fingerprints: Vec<(Digest, Place)>,
    pub(crate) events: Vec<Place>,
    pub(crate) log_lines: Vec<(Id, Place)>,
    /// Records of other kinds, known to the writer or not, with their kinds.
    pub(crate) others: Vec<(u8, Place)>,
    /// The blocks with pieces: where each begins, and the number of its first piece.
    pub(crate) piece_blocks: Vec<(u64, u32)>,
}

impl Index {
    /// Takes a record that stands at `at`; `payload` is its written form. Returns what it adds to the index's weight.
    pub(crate) fn note(&mut self, record: &Record, payload: &[u8], at: Place) -> u64 {
        match record {
            Record::Session(session) => noted(&mut self.sessions, session.clone()),
            Record::SessionEnd(end) => noted(&mut self.session_ends, end.clone()),
            Record::Clock { session, pair } => noted(&mut self.clocks, IndexedClock { session: *session, pair: *pair }),
            Record::Exchange(exchange) => {
                let entry = Entry::of(exchange);
                let weight = weight_of_entry(&entry, weight_of_context(&entry.context));
                self.exchanges.push(IndexedExchange { at, entry });
                weight
            }
            Record::Run(run) => noted(&mut self.runs, IndexedRun { id: run.id, started: run.started, at }),
            Record::Image(_) => noted(&mut self.images, at),
            Record::Fingerprint(_) => noted(&mut self.fingerprints, (Digest::of(payload), at)),
            Record::Event(_) => noted(&mut self.events, at),
            Record::LogLines(lines) => noted(&mut self.log_lines, (lines.session, at)),
            Record::Noise(_) => noted(&mut self.others, (record_kind::NOISE, at)),
            Record::Unknown { kind, .. } => noted(&mut self.others, (*kind, at)),
        }
    }

    /// The block of a record that is not written yet.
    pub(crate) const NOT_WRITTEN: u64 = u64::MAX;

    /// The exchanges that were noted and not written stand in the block that begins at this byte.
    pub(crate) fn place_exchanges(&mut self, block: u64) {
        place(&mut self.exchanges, |it| &mut it.at, block);
    }

    /// The same of all other records.
    pub(crate) fn place_records(&mut self, block: u64) {
        place(&mut self.runs, |it| &mut it.at, block);
        place(&mut self.images, |it| it, block);
        place(&mut self.fingerprints, |it| &mut it.1, block);
        place(&mut self.events, |it| it, block);
        place(&mut self.log_lines, |it| &mut it.1, block);
        place(&mut self.others, |it| &mut it.1, block);
    }

    /// The index as it is written, and where in that it should be cut for compression. `keys` are what ids are derived with.
    ///
    /// # Errors
    /// None that an index could lead to.
    pub(crate) fn to_bytes(&self, keys: &Keys) -> io::Result<(Vec<u8>, Vec<usize>)> {
        let json = serde_json::to_vec(self)?;
        let mut bytes = Vec::new();
        varint::put(&mut bytes, json.len() as u64);
        bytes.extend_from_slice(&json);
        let json_end = bytes.len();
        varint::put(&mut bytes, self.exchanges.len() as u64);
        let mut cuts = listing::write(&self.exchanges, keys, &mut bytes)?;
        cuts.insert(0, json_end);
        cuts.dedup();
        Ok((bytes, cuts))
    }

    /// The index that was written so.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut rest = bytes;
        let len = varint::take(&mut rest).and_then(|len| usize::try_from(len).ok());
        let (json, mut rest) = len.and_then(|len| rest.split_at_checked(len)).ok_or("its JSON is cut short")?;
        let mut weight = Weight::default();
        weight.take(json);
        let mut weight = weight.total();
        if weight > INDEX_BYTES_MAX as u64 {
            return Err("it holds more values than an index may have".to_owned());
        }
        let mut index: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let count = varint::take(&mut rest).ok_or("its exchanges are cut short")?;
        let from = bytes.len() - rest.len();
        index.exchanges = listing::read(bytes, from, count, &mut weight, INDEX_BYTES_MAX as u64)?;
        if !index.is_in_file_order() {
            return Err("it is not in the file's order".to_owned());
        }
        Ok(index)
    }

    /// True when each list's places go strictly forward, as those of a written index do: reading a list then reads no
    /// record twice, whoever wrote it.
    fn is_in_file_order(&self) -> bool {
        self.exchanges.is_sorted_by(|one, next| one.at < next.at)
            && self.runs.is_sorted_by(|one, next| one.at < next.at)
            && self.images.is_sorted_by(|one, next| one < next)
            && self.fingerprints.is_sorted_by(|one, next| one.1 < next.1)
            && self.events.is_sorted_by(|one, next| one < next)
            && self.log_lines.is_sorted_by(|one, next| one.1 < next.1)
            && self.piece_blocks.is_sorted_by(|one, next| one.0 < next.0 && one.1 < next.1)
    }

    /// The block that has the piece of this number, and the number of its first piece; whether it has as many is not known.
    pub(crate) fn piece_block(&self, number: u32) -> Option<(u64, u32)> {
        let after = self.piece_blocks.partition_point(|(_, first)| *first <= number);
        Some(self.piece_blocks[after.checked_sub(1)?])
    }
}

/// Gives the new ones of a list the block that they stand in.
fn place<T>(list: &mut [T], at: fn(&mut T) -> &mut Place, block: u64) {
    let new = list.iter_mut().rev().map(at).take_while(|at| at.block == Index::NOT_WRITTEN);
    new.for_each(|at| at.block = block);
}

/// What an entry weighs in an index: what it would take in memory, about, if it had its texts for itself.
fn weight_of_entry(entry: &Entry, context: u64) -> u64 {
    let texts = entry.title.len() + entry.dependency.as_ref().map_or(0, |name| name.len());
    let fixed = size_of::<IndexedExchange>() + texts + entry.candidates.len() * size_of::<Id>();
    fixed as u64 + context
}

/// What the context of an entry weighs.
fn weight_of_context(context: &Context) -> u64 {
    if context.is_empty() { 0 } else { weight_of(context) }
}

/// Appends `item`, and says what its JSON and a comma weigh.
fn noted<T: Serialize>(list: &mut Vec<T>, item: T) -> u64 {
    let weight = weight_of(&item) + INDEX_VALUE_BYTES;
    list.push(item);
    weight
}

/// What the JSON of `value` weighs in an index.
pub(crate) fn weight_of<T: Serialize>(value: &T) -> u64 {
    let mut weight = Weight::default();
    serde_json::to_writer(&mut weight, value).expect("an index has no map whose keys are not texts");
    weight.total()
}

/// What some JSON weighs in an index: its length, or [`INDEX_VALUE_BYTES`] for each `,`, `[` and `{` in it where that is
/// more. Each value follows one of these; those in texts count too, since telling them apart costs more than it is worth.
#[derive(Default)]
pub(crate) struct Weight {
    bytes: u64,
    separators: u64,
}

impl Weight {
    /// Takes the next bytes.
    pub(crate) fn take(&mut self, json: &[u8]) {
        self.bytes += json.len() as u64;
        self.separators += json.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count() as u64;
    }

    /// The weight so far.
    pub(crate) fn total(&self) -> u64 {
        self.bytes.max(self.separators.saturating_mul(INDEX_VALUE_BYTES))
    }
}

impl io::Write for Weight {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.take(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

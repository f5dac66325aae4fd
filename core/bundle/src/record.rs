//! Typed records and their written form: kind, flags, length, payload.
//!
//! In: values of the vocabulary. Out: bytes inside a block, and the values again. A kind that this build does not know is
//! kept and skipped. Pieces are records too, but no [`Record`]: the writer takes and the archive gives plain bytes.

use std::io;

use exchange::{
    Body, ClockPair, Event, Exchange, Fingerprint, Id, ImageRecord, LogLines, NoiseProfile, Run, Session, SessionEnd,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::layout::{PIECE_BYTES_MAX, RECORD_BYTES_MAX, RECORD_HEADER_LEN, u32_at};

/// Numbers of the record kinds. 5 is not used: exchanges stand in blocks of their own. Tombstones are read by
/// `tombstone`.
pub(crate) mod record_kind {
    pub(crate) const PIECE: u8 = 1;
    pub(crate) const SESSION: u8 = 2;
    pub(crate) const SESSION_END: u8 = 3;
    pub(crate) const CLOCK: u8 = 4;
    pub(crate) const EVENT: u8 = 6;
    pub(crate) const LOG_LINES: u8 = 7;
    pub(crate) const FINGERPRINT: u8 = 8;
    pub(crate) const RUN: u8 = 9;
    pub(crate) const IMAGE: u8 = 10;
    pub(crate) const NOISE: u8 = 11;
    pub(crate) const TOMBSTONE: u8 = 12;
}

/// One record of a bundle.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// A capture session began.
    Session(Session),
    /// A capture session ended.
    SessionEnd(SessionEnd),
    /// Both clocks of a session, read once a minute.
    Clock {
        /// The session.
        session: Id,
        /// The reading.
        pair: ClockPair,
    },
    /// One exchange; the pieces of its bodies come before it.
    Exchange(Box<Exchange>),
    /// Something that happened beside the exchanges.
    Event(Event),
    /// Lines that the service logged.
    LogLines(LogLines),
    /// An environment, once per content.
    Fingerprint(Box<Fingerprint>),
    /// The outcome of a replay.
    Run(Box<Run>),
    /// An image carried by the bundle; the pieces of its archive come before it.
    Image(Box<ImageRecord>),
    /// What differs between answers of one version to the same request.
    Noise(NoiseProfile),
    /// A record of a kind, or with flags, that this build does not know.
    Unknown {
        /// Its kind.
        kind: u8,
        /// Its flags.
        flags: u8,
        /// Its payload.
        bytes: Vec<u8>,
    },
}

/// The JSON of a clock record.
#[derive(Serialize, Deserialize)]
struct ClockRecord {
    session: Id,
    pair: ClockPair,
}

impl Record {
    /// The number of its kind. An exchange has none.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Self::Session(_) => record_kind::SESSION,
            Self::SessionEnd(_) => record_kind::SESSION_END,
            Self::Clock { .. } => record_kind::CLOCK,
            Self::Exchange(_) => unreachable!("exchanges stand in blocks of their own"),
            Self::Event(_) => record_kind::EVENT,
            Self::LogLines(_) => record_kind::LOG_LINES,
            Self::Fingerprint(_) => record_kind::FINGERPRINT,
            Self::Run(_) => record_kind::RUN,
            Self::Image(_) => record_kind::IMAGE,
            Self::Noise(_) => record_kind::NOISE,
            Self::Unknown { kind, .. } => *kind,
        }
    }

    /// Its flags; those of kinds that are known are 0.
    pub(crate) fn flags(&self) -> u8 {
        match self {
            Self::Unknown { flags, .. } => *flags,
            _ => 0,
        }
    }

    /// The bodies that it has.
    pub(crate) fn bodies(&self) -> [Option<&Body>; 2] {
        match self {
            Self::Exchange(exchange) => {
                [Some(&exchange.request.body), exchange.response.as_ref().map(|response| &response.body)]
            }
            Self::Image(image) => [Some(&image.archive), None],
            _ => [None, None],
        }
    }

    /// The bodies that it has, to be changed.
    pub(crate) fn bodies_mut(&mut self) -> [Option<&mut Body>; 2] {
        match self {
            Self::Exchange(exchange) => {
                let Exchange { request, response, .. } = &mut **exchange;
                [Some(&mut request.body), response.as_mut().map(|response| &mut response.body)]
            }
            Self::Image(image) => [Some(&mut image.archive), None],
            _ => [None, None],
        }
    }

    /// Its payload: JSON, or the bytes of an unknown one. An exchange has none.
    pub(crate) fn payload(&self) -> io::Result<Vec<u8>> {
        match self {
            Self::Session(session) => json(session),
            Self::SessionEnd(end) => json(end),
            Self::Clock { session, pair } => json(&ClockRecord { session: *session, pair: *pair }),
            Self::Exchange(_) => unreachable!("exchanges stand in blocks of their own"),
            Self::Event(event) => json(event),
            Self::LogLines(lines) => json(lines),
            Self::Fingerprint(fingerprint) => json(fingerprint),
            Self::Run(run) => json(run),
            Self::Image(image) => json(image),
            Self::Noise(profile) => json(profile),
            Self::Unknown { bytes, .. } => Ok(bytes.clone()),
        }
    }

    /// The record that a payload of this kind is. Pieces have no such form and come back as unknown.
    ///
    /// # Errors
    /// Where a kind that is known has a payload that is not its JSON; the text says what and where.
    pub(crate) fn decode(raw: &RawRecord<'_>) -> Result<Self, String> {
        let RawRecord { kind, flags, payload, .. } = *raw;
        if flags != 0 {
            return Ok(Self::Unknown { kind, flags, bytes: payload.to_vec() });
        }
        Ok(match kind {
            record_kind::SESSION => Self::Session(value(kind, payload)?),
            record_kind::SESSION_END => Self::SessionEnd(value(kind, payload)?),
            record_kind::CLOCK => {
                let ClockRecord { session, pair } = value(kind, payload)?;
                Self::Clock { session, pair }
            }
            record_kind::EVENT => Self::Event(value(kind, payload)?),
            record_kind::LOG_LINES => Self::LogLines(value(kind, payload)?),
            record_kind::FINGERPRINT => Self::Fingerprint(value(kind, payload)?),
            record_kind::RUN => Self::Run(value(kind, payload)?),
            record_kind::IMAGE => Self::Image(value(kind, payload)?),
            record_kind::NOISE => Self::Noise(value(kind, payload)?),
            _ => Self::Unknown { kind, flags, bytes: payload.to_vec() },
        })
    }
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(value)?)
}

fn value<T: DeserializeOwned>(kind: u8, payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| format!("{} record: {error}", kind_word(kind)))
}

/// A record kind's name in errors.
pub(crate) fn kind_word(kind: u8) -> &'static str {
    match kind {
        record_kind::PIECE => "piece",
        record_kind::SESSION => "session",
        record_kind::SESSION_END => "session end",
        record_kind::CLOCK => "clock",
        record_kind::EVENT => "event",
        record_kind::LOG_LINES => "log lines",
        record_kind::FINGERPRINT => "fingerprint",
        record_kind::RUN => "run",
        record_kind::IMAGE => "image",
        record_kind::NOISE => "noise profile",
        record_kind::TOMBSTONE => "tombstone",
        _ => "record of an unknown kind",
    }
}

/// A record's header before its payload of `len` bytes.
pub(crate) fn record_header(kind: u8, flags: u8, len: u32) -> [u8; RECORD_HEADER_LEN] {
    let [first, second, third, fourth] = len.to_le_bytes();
    [kind, flags, first, second, third, fourth]
}

/// A record as it stands in a block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    /// Where its header begins in the block, in bytes.
    pub(crate) offset: u32,
    /// Its kind.
    pub(crate) kind: u8,
    /// Its flags.
    pub(crate) flags: u8,
    /// Its payload.
    pub(crate) payload: &'a [u8],
}

impl RawRecord<'_> {
    /// True for a piece, of whatever form.
    pub(crate) fn is_piece(&self) -> bool {
        self.kind == record_kind::PIECE
    }

    /// Longest payload that a record of this kind may have, in bytes.
    pub(crate) fn len_max(&self) -> usize {
        if self.is_piece() { PIECE_BYTES_MAX } else { RECORD_BYTES_MAX }
    }
}

/// The record that begins at `offset` of a block, or `None` where the block is too short for it.
pub(crate) fn record_at(raw: &[u8], offset: u32) -> Option<RawRecord<'_>> {
    let rest = raw.get(offset as usize..)?;
    let len = u32_at(rest, 2)? as usize;
    let payload = rest.get(RECORD_HEADER_LEN..RECORD_HEADER_LEN.checked_add(len)?)?;
    Some(RawRecord { offset, kind: rest[0], flags: rest[1], payload })
}

/// The records of a block, one after another, as far as they can be read.
pub(crate) struct RecordsOf<'a> {
    raw: &'a [u8],
    offset: usize,
}

impl<'a> RecordsOf<'a> {
    /// Those of the block that holds `raw`.
    pub(crate) fn of(raw: &'a [u8]) -> Self {
        Self { raw, offset: 0 }
    }
}

impl<'a> Iterator for RecordsOf<'a> {
    type Item = RawRecord<'a>;

    fn next(&mut self) -> Option<RawRecord<'a>> {
        let record = record_at(self.raw, u32::try_from(self.offset).ok()?)?;
        self.offset += RECORD_HEADER_LEN + record.payload.len();
        Some(record)
    }
}

/// Where the headers of a block's pieces begin, in order, as far as its records can be read.
pub(crate) fn pieces_of(raw: &[u8]) -> Vec<u32> {
    RecordsOf::of(raw).filter(RawRecord::is_piece).map(|record| record.offset).collect()
}

/// True where records fill a block exactly and are `count`.
pub(crate) fn are_records(raw: &[u8], count: u32) -> bool {
    let mut records = RecordsOf::of(raw);
    let found = records.by_ref().take(count as usize).count();
    found == count as usize && records.offset == raw.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(records: &[(u8, &[u8])]) -> Vec<u8> {
        let mut raw = Vec::new();
        for (kind, payload) in records {
            raw.extend_from_slice(&record_header(*kind, 0, u32::try_from(payload.len()).unwrap()));
            raw.extend_from_slice(payload);
        }
        raw
    }

    #[test]
    fn records_fill_their_block_exactly_or_are_none() {
        let raw = block(&[(1, b"abc"), (99, b"")]);
        let records: Vec<_> = RecordsOf::of(&raw).collect();
        assert_eq!((records[0].kind, records[0].payload, records[1].offset), (1, &b"abc"[..], 9));
        assert!(are_records(&raw, 2) && !are_records(&raw, 1) && !are_records(&raw, 3));
        assert!(!are_records(&raw[..raw.len() - 1], 2) && !are_records(&raw[..raw.len() - 1], 1));
        assert!(record_at(&raw, u32::MAX).is_none());
    }

    #[test]
    fn an_unknown_kind_and_unknown_flags_are_kept_and_a_known_kind_with_other_json_says_which() {
        let unknown = RawRecord { offset: 0, kind: 200, flags: 0, payload: b"\xff" };
        let kept = Record::Unknown { kind: 200, flags: 0, bytes: vec![0xff] };
        assert_eq!(Record::decode(&unknown), Ok(kept));
        let flagged = RawRecord { flags: 1, kind: record_kind::SESSION, ..unknown };
        assert!(matches!(Record::decode(&flagged), Ok(Record::Unknown { kind: 2, flags: 1, .. })));
        let broken = RawRecord { flags: 0, ..flagged };
        assert!(Record::decode(&broken).unwrap_err().starts_with("session record: "));
    }

    #[test]
    fn json_of_any_depth_is_refused_before_it_fills_the_stack() {
        let data = "[".repeat(1_000_000);
        let payload = format!(r#"{{"id":"{}","at_ns":1,"kind":"x","data":{data}"#, "0".repeat(32));
        let deep = RawRecord { offset: 0, kind: record_kind::EVENT, flags: 0, payload: payload.as_bytes() };
        assert!(Record::decode(&deep).unwrap_err().contains("recursion limit"));
    }
}

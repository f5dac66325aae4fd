//! The run as it is written: every replayed exchange and every call it made, as a bundle of its own.
//!
//! In: requests and answers with their times. Out: a `.retake` file. Whatever the service said is redacted with a key of
//! this run's own before it is written; what the recording already redacted is left as it is.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use bundle::{Record, Sealed, TakenUp, WriteError, Writer, take_up};
use content::redact::Redactor;
use exchange::{Body, Chunk, Digest, Event, Exchange, Fingerprint, Head, Id, LogLine, LogLines, NoiseProfile, Run};

use crate::{error::ReplayError, journal::Resumable, repeat::Repeating, select::Selection};

/// The run's file while it grows.
pub(crate) struct Ledger {
    run: Id,
    path: PathBuf,
    redactor: Redactor,
    written: Mutex<Written>,
}

/// Least time between two moments at which all that was written is handed to the system, in nanoseconds. A choice: so much of
/// its work a killed replay loses.
const KEPT_EVERY_NS: u64 = 1_000_000_000;

struct Written {
    /// The run that is gone on with, as long as its file is the old one.
    taken: Option<TakenUp>,
    /// When all of it was handed to the system.
    kept_ns: Option<u64>,
    has_judged: bool,
    /// `None` once it is sealed: what still comes after that is part of nothing.
    writer: Option<Writer>,
    failed: Option<WriteError>,
    sequence: u64,
}

impl Written {
    /// Puts a run that is gone on with in the place of what it was.
    fn place(&mut self) {
        let Some(taken) = self.taken.take() else { return };
        self.with_writer(|writer| {
            let path = writer.path().to_owned();
            let placed = taken.place(writer);
            placed.map_err(|error| WriteError::Create { path, source: std::io::Error::other(error) })
        });
    }

    /// What `write` gives; `None` where it failed, which is remembered, or where the run is sealed.
    fn with_writer<T>(&mut self, write: impl FnOnce(&mut Writer) -> Result<T, WriteError>) -> Option<T> {
        match write(self.writer.as_mut()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }
}

/// A body to be written.
pub(crate) struct BodyBytes<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) len: u64,
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) trailers: Vec<u8>,
}

impl Ledger {
    pub(crate) fn create(folder: &Path, run: Id, redactor: Redactor) -> Result<Self, WriteError> {
        let path = folder.join(format!("{run}.{}", bundle::EXTENSION));
        let writer = Writer::create(&path)?;
        Ok(Self::on(path, run, redactor, writer, 0))
    }

    /// Goes on with a run, without what was not judged of it.
    ///
    /// # Errors
    /// When it cannot be written again, or somebody writes to it.
    pub(crate) fn take_up(
        resumable: &Resumable,
        (selection, repeating): (&Selection, &Repeating),
        redactor: Redactor,
    ) -> Result<Self, ReplayError> {
        let (path, archive) = (resumable.path.clone(), &resumable.archive);
        let kept = resumable.kept(selection, repeating);
        let taken = take_up(&path, archive, &|entry| kept.has(entry), &|_| true)?;
        let (writer, taken) = taken.ok_or_else(|| ReplayError::RunInUse { path: path.clone() })?;
        // Each event had a number too.
        let events = archive.events().count() as u64;
        let sequence = archive.entries().iter().map(|entry| entry.sequence).max().unwrap_or_default();
        let ledger = Self::on(path, resumable.run, redactor, writer, sequence.saturating_add(events));
        ledger.written().taken = Some(taken);
        Ok(ledger)
    }

    fn on(path: PathBuf, run: Id, redactor: Redactor, writer: Writer, sequence: u64) -> Self {
        let written =
            Written { taken: None, kept_ns: None, has_judged: false, writer: Some(writer), failed: None, sequence };
        Self { run, path, redactor, written: Mutex::new(written) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// The next sequence number of the run.
    pub(crate) fn next_sequence(&self) -> u64 {
        let mut written = self.written();
        written.sequence += 1;
        written.sequence
    }

    /// The id of something in this run that repeats nothing recorded.
    pub(crate) fn id_of_new(&self, sequence: u64) -> Id {
        Id::of_item(&Digest::of(&self.run.0), sequence)
    }

    /// Writes a body's bytes and gives the record of it.
    pub(crate) fn put_body(&self, body: BodyBytes<'_>) -> Body {
        let parts = self.written().with_writer(|writer| writer.put_body_bytes(body.bytes)).unwrap_or_default();
        let gap = (parts.iter().map(|part| part.len).sum::<u64>() < body.len).then_some(exchange::Gap::OverLimit);
        Body { parts, len: body.len, chunks: body.chunks, trailers: body.trailers, gap }
    }

    pub(crate) fn append_exchange(&self, exchange: Exchange) {
        self.append(&Record::Exchange(Box::new(exchange)));
    }

    /// Writes an event of the run.
    pub(crate) fn append_event(&self, kind: &str, at_ns: u64, data: serde_json::Value) {
        let id = self.id_of_new(self.next_sequence());
        self.append(&Record::Event(Event {
            id,
            session: Some(self.run),
            at_ns,
            kind: kind.to_owned(),
            actor: String::new(),
            subject: String::new(),
            links: Vec::new(),
            data,
        }));
    }

    /// Hands all that was written to the system, so that it is there when this process is killed; not more often than
    /// once in [`KEPT_EVERY_NS`].
    pub(crate) fn keep(&self, now_ns: u64) {
        let mut written = self.written();
        if written.kept_ns.is_none_or(|kept_ns| now_ns.saturating_sub(kept_ns) >= KEPT_EVERY_NS) {
            written.with_writer(Writer::flush);
            written.kept_ns = Some(now_ns);
        }
    }

    /// As [`Self::keep`], at once.
    pub(crate) fn keep_all(&self) {
        self.written().with_writer(Writer::flush);
    }

    /// Says that something of what is written was judged.
    pub(crate) fn note_judged(&self) {
        let mut written = self.written();
        written.has_judged = true;
        written.place();
    }

    /// True where something of what is written was judged.
    pub(crate) fn has_judged(&self) -> bool {
        self.written().has_judged
    }

    pub(crate) fn put_fingerprint(&self, fingerprint: &Fingerprint) -> Option<Digest> {
        self.written().with_writer(|writer| writer.put_fingerprint(fingerprint))
    }

    pub(crate) fn append_noise(&self, profile: NoiseProfile) {
        self.append(&Record::Noise(profile));
    }

    pub(crate) fn append_logs(&self, lines: Vec<LogLine>) {
        for lines in lines.chunks(LOG_LINES_PER_RECORD) {
            self.append(&Record::LogLines(LogLines {
                session: self.run,
                subject: String::new(),
                lines: lines.to_vec(),
            }));
        }
    }

    /// Seals the run with its own record as the last. A connection of the service that is still being answered may come
    /// later; what it writes then is left out.
    ///
    /// # Errors
    /// The first error of any write since it was created.
    ///
    /// # Panics
    /// When it is sealed twice.
    pub(crate) fn seal(&self, run: Run) -> Result<Sealed, WriteError> {
        let mut written = self.written();
        written.with_writer(|writer| writer.append(&Record::Run(Box::new(run))));
        written.place();
        let writer = written.writer.take().expect("a run is sealed once");
        match written.failed.take() {
            Some(error) => Err(error),
            None => writer.seal(),
        }
    }

    fn append(&self, record: &Record) {
        self.written().with_writer(|writer| writer.append(record));
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Log lines that go into one record. A choice: far below a record's limit at the length that a line may have.
const LOG_LINES_PER_RECORD: usize = 256;

/// A head as it may be written: `kept` where the recording has it already, else redacted.
pub(crate) fn redacted_request(redactor: &Redactor, head: &Head) -> (Head, Vec<exchange::Redaction>) {
    let mut head = head.clone();
    let redactions = redactor.request_head(&mut head);
    (head, redactions)
}

/// As [`redacted_request`], for a response.
pub(crate) fn redacted_response(redactor: &Redactor, head: &Head) -> (Head, Vec<exchange::Redaction>) {
    let mut head = head.clone();
    let redactions = redactor.response_head(&mut head);
    (head, redactions)
}

//! The run as it is written: every replayed exchange and every call it made, as a bundle of its own.
//!
//! In: requests and answers with their times. Out: a `.retake` file. Whatever the service said is redacted with a key of
//! this run's own before it is written; what the recording already redacted is left as it is.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use bundle::{Record, Sealed, WriteError, Writer};
use content::redact::Redactor;
use exchange::{Body, Chunk, Digest, Exchange, Fingerprint, Head, Id, LogLine, LogLines, NoiseProfile, Run};

/// The run's file while it grows.
pub(crate) struct Ledger {
    run: Id,
    path: PathBuf,
    redactor: Redactor,
    written: Mutex<Written>,
}

struct Written {
    /// `None` once it is sealed: what still comes after that is part of nothing.
    writer: Option<Writer>,
    failed: Option<WriteError>,
    sequence: u64,
}

impl Written {
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
        let writer = Some(Writer::create(&path)?);
        Ok(Self { run, path, redactor, written: Mutex::new(Written { writer, failed: None, sequence: 0 }) })
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

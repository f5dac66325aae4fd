//! Writes a file of records again without some of them.
//!
//! In: a file, and what is to stay. Out: a sealed file under the same name. The new one is whole and synced before it takes
//! the name, in one step: whatever is cut off leaves the one or the other, and never neither. What nothing refers to any
//! more (pieces of bodies, environments) is not written.

use std::{collections::BTreeSet, fs::File, io, path::Path};

use exchange::{Digest, Event, Holding, Id, LogLine, LogLines};
use rustix::fs::FlockOperation;

use crate::{
    Archive, Entry, NewAnswers, OpenError, PruneError, Record, Sealed, Tombstone, Writer,
    export::{Temporary, put_again, put_exchange_again},
    index::{Index, Place},
    record::record_kind,
};

/// What stays of a file.
pub(crate) struct Stays<'a> {
    /// This exchange.
    pub(crate) exchange: &'a dyn Fn(&Entry) -> bool,
    /// This event.
    pub(crate) event: &'a dyn Fn(&Event) -> bool,
    /// This line of what was logged in this session.
    pub(crate) line: &'a dyn Fn(&Id, &LogLine) -> bool,
    /// This run, which the index names.
    pub(crate) run: &'a dyn Fn(&Id) -> bool,
    /// What was learned of noise.
    pub(crate) noise: bool,
    /// What tells of what does not.
    pub(crate) tombstone: Option<Tombstone>,
    /// Answers that take the place of recorded ones.
    pub(crate) answers: Option<&'a NewAnswers<'a>>,
    /// An event that comes on top.
    pub(crate) added: Option<Event>,
}

/// Holds a file against writers: none has it, and none gets it, for as long as this lives.
pub(crate) struct Held {
    _file: File,
}

impl Held {
    /// `None` where a writer has it, and where it is gone.
    pub(crate) fn of(path: &Path) -> Result<Option<Self>, OpenError> {
        let refused = |source| OpenError::Io { path: path.to_owned(), source };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(refused)?,
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            locked => locked.map(|()| Some(Self { _file: file })).map_err(|error| refused(error.into())),
        }
    }
}

/// Writes the file that `archive` was opened from again.
pub(crate) fn rewrite(archive: &Archive, path: &Path, stays: &Stays<'_>) -> Result<Sealed, PruneError> {
    let temporary = Temporary::beside(path)?;
    let writer = Writer::create(&temporary.path)?;
    let mut rewriting = Rewriting::new(archive, writer, stays);
    rewriting.put_all()?;
    rewriting.writer.sync()?;
    let sealed = rewriting.writer.seal()?;
    temporary.rename(path, true)?;
    Ok(Sealed { path: path.to_owned(), ..sealed })
}

/// A file in the making that has what stays of another.
pub(crate) struct Rewriting<'a> {
    archive: &'a Archive,
    writer: Writer,
    stays: &'a Stays<'a>,
    /// The environments of what stays.
    wanted: BTreeSet<Digest>,
}

impl<'a> Rewriting<'a> {
    pub(crate) fn new(archive: &'a Archive, writer: Writer, stays: &'a Stays<'a>) -> Self {
        Self { archive, writer, stays, wanted: BTreeSet::new() }
    }

    pub(crate) fn into_writer(self) -> Writer {
        self.writer
    }

    /// In an order in which what a record needs comes before it.
    pub(crate) fn put_all(&mut self) -> Result<(), PruneError> {
        let archive = self.archive;
        for session in archive.sessions() {
            self.writer.append(&Record::Session(session.clone()))?;
            for pair in archive.clocks(&session.id) {
                self.writer.append(&Record::Clock { session: session.id, pair: *pair })?;
            }
        }
        let staying: Vec<&Entry> = archive.entries().iter().filter(|entry| (self.stays.exchange)(entry)).collect();
        self.wanted = staying.iter().flat_map(|entry| entry.environments()).collect();
        for (number, segment) in archive.segments().iter().enumerate() {
            for (digest, place) in &segment.index.fingerprints {
                if self.wanted.contains(digest) {
                    self.copy(number, *place)?;
                }
            }
        }
        for entry in staying {
            let (segment, place) = archive.place_of(&entry.id).expect("an entry has a place");
            let mut read = archive.row(segment, place)?;
            let is_answered = match self.stays.answers {
                Some(answers) => answers.give(&mut read, &mut self.writer)?,
                None => false,
            };
            put_exchange_again(archive, &mut self.writer, read, is_answered)?;
        }
        self.put_events_and_lines()?;
        for (number, segment) in archive.segments().iter().enumerate() {
            for run in segment.index.runs.iter().filter(|run| (self.stays.run)(&run.id)) {
                self.copy(number, run.at)?;
            }
        }
        self.put_each(|index| index.images.clone())?;
        let is_staying = |kind: u8| self.stays.noise || kind != record_kind::NOISE;
        self.put_each(|index| index.others.iter().filter(|(kind, _)| is_staying(*kind)).map(|(_, at)| *at).collect())?;
        if let Some(event) = &self.stays.added {
            self.writer.append(&Record::Event(event.clone()))?;
        }
        if let Some(stone) = &self.stays.tombstone {
            self.writer.put_tombstone(stone)?;
        }
        for end in archive.session_ends() {
            self.writer.append(&Record::SessionEnd(end.clone()))?;
        }
        Ok(())
    }

    fn put_events_and_lines(&mut self) -> Result<(), PruneError> {
        let archive = self.archive;
        for (number, segment) in archive.segments().iter().enumerate() {
            for place in &segment.index.events {
                match archive.decoded(number, *place)? {
                    Record::Event(event) if self.is_kept(&event) => self.copy(number, *place)?,
                    _ => {}
                }
            }
        }
        for lines in archive.log_lines() {
            let LogLines { session, subject, mut lines } = lines?;
            lines.retain(|line| (self.stays.line)(&session, line));
            if !lines.is_empty() {
                self.writer.append(&Record::LogLines(LogLines { session, subject, lines }))?;
            }
        }
        Ok(())
    }

    /// From when to when an environment held is told as long as anything is there that ran in it, however long ago it began.
    fn is_kept(&self, event: &Event) -> bool {
        match Holding::of(event) {
            Some((_, holding)) => self.wanted.contains(&holding.fingerprint),
            None => (self.stays.event)(event),
        }
    }

    fn put_each(&mut self, pick: impl Fn(&Index) -> Vec<Place>) -> Result<(), PruneError> {
        let archive = self.archive;
        for (number, segment) in archive.segments().iter().enumerate() {
            for place in pick(&segment.index) {
                self.copy(number, place)?;
            }
        }
        Ok(())
    }

    fn copy(&mut self, segment: usize, place: Place) -> Result<(), PruneError> {
        let record = self.archive.decoded(segment, place)?;
        let payload = self.archive.record_in(segment, place)?.record().payload.to_vec();
        Ok(put_again(self.archive, &mut self.writer, record, &payload)?)
    }
}

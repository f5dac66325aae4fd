//! Writes all that is whole of a damaged bundle or store into a new bundle.
//!
//! In: a path, damaged or not, and the path of a new file. Out: a sealed bundle that verifies, and what was left out of it
//! and why. Nothing is repaired and nothing guessed: an exchange is taken when its record and every piece of its bodies
//! hold, and is named otherwise. Finding out what is damaged is `verify`'s work.

use std::path::{Path, PathBuf};

use exchange::Id;

use crate::{
    Archive, ExportError, OpenError, ReadError, Record, Sealed, Writer,
    export::{Temporary, put_again, put_exchange_again},
    index::{Index, Place},
    rows::RowRead,
};

/// What came of a salvage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// The new bundle; `None` where there was nothing to write: no record of the source is whole.
    pub sealed: Option<Sealed>,
    /// Exchanges that are known of and not whole, in the order they were recorded.
    pub left_out: Vec<LeftOut>,
    /// Other records (environments, events, log lines, runs, images) that are known of and not whole.
    pub records_left_out: u64,
}

/// An exchange that is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Which.
    pub id: Id,
    /// What does not hold.
    pub why: String,
}

/// Why nothing was salvaged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SalvageError {
    /// There is nothing that could be read as a bundle or store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The new bundle cannot be written.
    #[error(transparent)]
    Write(#[from] ExportError),
}

impl SalvageError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.help(),
            Self::Write(ExportError::Exists { .. }) => Some("name another file: a salvage never replaces one"),
            Self::Write(error) => error.help(),
        }
    }
}

/// Writes all that is whole at `path`, a bundle or the captures of a store, into the new bundle `out`. Records are copied as
/// they were written, so ids and digests stay. `progress` is told exchanges done and exchanges in all.
///
/// Of a file whose index holds, what is lost is known by name; without one, only what is there can be told. What a sealed
/// file holds after a torn or damaged place is looked for block by block.
///
/// # Errors
/// `Open` where there is nothing to read; `Write` where `out` exists or cannot be written.
pub fn salvage(path: &Path, out: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Salvaged, SalvageError> {
    if out.exists() {
        return Err(ExportError::Exists { path: out.to_owned() }.into());
    }
    let archive = Archive::open_damaged(path)?;
    let temporary = Temporary::beside(out)?;
    let writer = Writer::create(&temporary.path).map_err(ExportError::from)?;
    let mut salvaging = Salvaging { archive: &archive, writer, salvaged: Salvaged::default() };
    salvaging.put_all(progress)?;
    let Salvaging { writer, mut salvaged, .. } = salvaging;
    if !writer.is_empty() {
        salvaged.sealed = Some(placed(writer, temporary, out)?);
    }
    Ok(salvaged)
}

fn placed(writer: Writer, temporary: Temporary, out: &Path) -> Result<Sealed, ExportError> {
    let sealed = writer.seal()?;
    temporary.rename(out, false)?;
    Ok(Sealed { path: PathBuf::from(out), ..sealed })
}

/// A salvage under way.
struct Salvaging<'a> {
    archive: &'a Archive,
    writer: Writer,
    salvaged: Salvaged,
}

impl Salvaging<'_> {
    /// Puts everything in an order in which what a record needs comes before it.
    fn put_all(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ExportError> {
        let archive = self.archive;
        for session in archive.sessions() {
            self.writer.append(&Record::Session(session.clone()))?;
            for pair in archive.clocks(&session.id) {
                self.writer.append(&Record::Clock { session: session.id, pair: *pair })?;
            }
        }
        self.put_each(|index| index.fingerprints.iter().map(|(_, at)| *at).collect())?;
        self.put_exchanges(progress)?;
        self.put_each(|index| index.events.clone())?;
        self.put_each(|index| index.log_lines.iter().map(|(_, at)| *at).collect())?;
        self.put_each(|index| index.runs.iter().map(|run| run.at).collect())?;
        self.put_each(|index| index.images.clone())?;
        self.put_each(|index| index.others.iter().map(|(_, at)| *at).collect())?;
        for end in archive.session_ends() {
            self.writer.append(&Record::SessionEnd(end.clone()))?;
        }
        Ok(())
    }

    fn put_exchanges(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ExportError> {
        let entries = self.archive.entries();
        for (done, entry) in entries.iter().enumerate() {
            progress(done as u64, entries.len() as u64);
            let whole = match self.archive.place_of(&entry.id) {
                Some((segment, place)) => self.whole_exchange(segment, place),
                None => Err(ReadError::NoExchange { id: entry.id }),
            };
            match whole {
                Ok(whole) => put_exchange_again(self.archive, &mut self.writer, whole, false)?,
                Err(error) => self.salvaged.left_out.push(LeftOut { id: entry.id, why: error.to_string() }),
            }
        }
        progress(entries.len() as u64, entries.len() as u64);
        Ok(())
    }

    /// Puts the whole ones of the records that `pick` names, and counts the others.
    fn put_each(&mut self, pick: fn(&Index) -> Vec<Place>) -> Result<(), ExportError> {
        let archive = self.archive;
        for (number, segment) in archive.segments().iter().enumerate() {
            for place in pick(&segment.index) {
                match self.whole_record(number, place) {
                    Ok(whole) => self.put(whole)?,
                    Err(_) => self.salvaged.records_left_out += 1,
                }
            }
        }
        Ok(())
    }

    /// An exchange with all that it refers to, proved before any of it is written.
    fn whole_exchange(&self, segment: usize, place: Place) -> Result<RowRead, ReadError> {
        let read = self.archive.row(segment, place)?;
        let response = read.exchange.response.as_ref().map(|response| &response.body);
        for part in std::iter::once(&read.exchange.request.body).chain(response).flat_map(|body| &body.parts) {
            self.archive.part(part)?;
        }
        Ok(read)
    }

    /// A record with all that it refers to, proved before any of it is written.
    fn whole_record(&self, segment: usize, place: Place) -> Result<Whole, ReadError> {
        let record = self.archive.decoded(segment, place)?;
        let payload = self.archive.record_in(segment, place)?.record().payload.to_vec();
        for part in record.bodies().into_iter().flatten().flat_map(|body| &body.parts) {
            self.archive.part(part)?;
        }
        Ok(Whole { record, payload })
    }

    fn put(&mut self, whole: Whole) -> Result<(), ExportError> {
        put_again(self.archive, &mut self.writer, whole.record, &whole.payload)
    }
}

/// A record that holds, and so does all that it refers to.
struct Whole {
    record: Record,
    /// As it was written, with fields that this build does not know.
    payload: Vec<u8>,
}

#[cfg(test)]
mod tests;

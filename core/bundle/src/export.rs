//! Seals a selection of an archive as a bundle of its own.
//!
//! In: an archive, ids, and images to carry. Out: one sealed file with all that the selection depends on. The same selection
//! gives the same bytes, from whatever files it was read. Which exchanges to select is left to others.

mod shared;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
    io::{self, Read},
    path::{Path, PathBuf},
};

use exchange::{
    Body, Digest, Event, Holding, Id, ImageIdentity, ImageRecord, LogLines, NoiseProfile, Part, surroundings,
};
use serde_json::value::{RawValue, to_raw_value};

mod windows;

use self::windows::Windows;
use crate::{
    Archive, Entry, ExportError, PIECE_BYTES_MAX, ReadError, Record, Sealed, WriteError, Writer, disk,
    index::{Index, Place},
    rows::RowRead,
    segment::Segment,
};

/// What goes into the bundle beside the selection, and how it is written.
#[derive(Default)]
pub struct Extra<'a> {
    /// Images to carry.
    pub images: Vec<ImageSource<'a>>,
    /// Carry on the images that the archive carries.
    pub keep_images: bool,
    /// Replace a file that is there.
    pub overwrite: bool,
    /// How long before and after each exchange what surrounded it comes along, in nanoseconds.
    pub around_ns: u64,
    /// Noise profiles to carry.
    pub noise: Vec<NoiseProfile>,
}

/// An image to carry.
pub struct ImageSource<'a> {
    /// Which image.
    pub identity: ImageIdentity,
    /// The archive as `docker save` writes it.
    pub archive: &'a mut dyn Read,
}

/// Seals the exchanges `ids`, the dependency calls that belong or may belong to them, the connections that may have served
/// them, and what they all refer to: sessions with clocks and ends, fingerprints, runs, events linked to them, and what
/// surrounded them: what the service logged and used, and what happened to it, while one of them was under way and
/// `around_ns` before and after. `progress` is told exchanges done and exchanges in all.
///
/// The bundle is written beside `out` and renamed when it is sealed: there is never half of one under that name.
///
/// # Errors
/// See [`ExportError`].
pub fn export(
    archive: &Archive,
    ids: &[Id],
    out: &Path,
    extra: Extra<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Sealed, ExportError> {
    if !extra.overwrite && out.exists() {
        return Err(ExportError::Exists { path: out.to_owned() });
    }
    let selection = Selection::of(archive, ids, extra.around_ns)?;
    let temporary = Temporary::beside(out)?;
    let mut exporting = Exporting { archive, writer: Writer::create(&temporary.path)?, selection };
    exporting.put_surroundings()?;
    exporting.put_exchanges(progress)?;
    exporting.put_what_is_linked()?;
    exporting.put_images(extra.images, extra.keep_images)?;
    for profile in extra.noise {
        exporting.writer.append(&Record::Noise(profile))?;
    }
    let sealed = exporting.writer.seal()?;
    temporary.rename(out, extra.overwrite)?;
    Ok(Sealed { path: out.to_owned(), ..sealed })
}

/// What is exported.
struct Selection<'a> {
    entries: Vec<&'a Entry>,
    /// When those others were in flight.
    others: Vec<Event>,
    ids: BTreeSet<Id>,
    sessions: BTreeSet<Id>,
    fingerprints: BTreeSet<Digest>,
    windows: Windows,
}

impl<'a> Selection<'a> {
    fn of(archive: &'a Archive, ids: &[Id], around_ns: u64) -> Result<Self, ReadError> {
        let chosen: BTreeSet<Id> = ids.iter().copied().collect();
        if let Some(id) = chosen.iter().find(|id| archive.entry(id).is_none()) {
            return Err(ReadError::NoExchange { id: *id });
        }
        let belongs = |entry: &Entry| {
            let parents = entry.parent.iter().chain(&entry.candidates);
            chosen.contains(&entry.id) || parents.into_iter().any(|parent| chosen.contains(parent))
        };
        let connections = shared::connections(archive, &chosen)?;
        let shared: BTreeSet<Id> = connections.iter().map(|entry| entry.id).collect();
        let is_taken = |entry: &&Entry| belongs(entry) || shared.contains(&entry.id);
        let entries: Vec<_> = archive.entries().iter().filter(is_taken).collect();
        Ok(Self {
            // Connections that others were served on as well say nothing of when this was.
            windows: Windows::of(entries.iter().copied().filter(|entry| !shared.contains(&entry.id)), around_ns),
            others: shared::others_in_flight(archive, &connections, &chosen),
            ids: entries.iter().map(|entry| entry.id).collect(),
            sessions: entries.iter().map(|entry| entry.session).collect(),
            fingerprints: entries.iter().flat_map(|entry| entry.environments()).collect(),
            entries,
        })
    }
}

/// An export under way.
struct Exporting<'a> {
    archive: &'a Archive,
    writer: Writer,
    selection: Selection<'a>,
}

impl Exporting<'_> {
    /// Sessions, clocks and fingerprints: what exchanges need comes before them.
    fn put_surroundings(&mut self) -> Result<(), ExportError> {
        for session in self.archive.sessions().iter().filter(|session| self.selection.sessions.contains(&session.id)) {
            self.writer.append(&Record::Session(session.clone()))?;
        }
        for session in self.selection.sessions.clone() {
            for pair in self.archive.clocks(&session) {
                self.writer.append(&Record::Clock { session, pair: *pair })?;
            }
        }
        for digest in self.selection.fingerprints.clone() {
            self.put_fingerprint(&digest)?;
        }
        Ok(())
    }

    /// Copies a fingerprint as it was written, so that its digest stays.
    fn put_fingerprint(&mut self, digest: &Digest) -> Result<(), ExportError> {
        for (number, segment) in self.archive.segments().iter().enumerate() {
            if let Some((_, place)) = segment.index.fingerprints.iter().find(|(other, _)| other == digest) {
                return self.copy(number, *place);
            }
        }
        Ok(())
    }

    fn put_exchanges(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<(), ExportError> {
        let ids: Vec<Id> = self.selection.entries.iter().map(|entry| entry.id).collect();
        for (done, id) in ids.iter().enumerate() {
            progress(done as u64, ids.len() as u64);
            let (segment, place) = self.archive.place_of(id).ok_or(ReadError::NoExchange { id: *id })?;
            put_exchange_again(self.archive, &mut self.writer, self.archive.row(segment, place)?, false)?;
        }
        progress(ids.len() as u64, ids.len() as u64);
        Ok(())
    }

    /// Events, log lines, runs and session ends.
    fn put_what_is_linked(&mut self) -> Result<(), ExportError> {
        let archive = self.archive;
        for (number, place) in places(archive, |index| index.events.clone()) {
            match archive.decoded(number, place)? {
                Record::Event(event) if self.is_wanted(&event) => self.copy(number, place)?,
                _ => {}
            }
        }
        for event in std::mem::take(&mut self.selection.others) {
            self.writer.append(&Record::Event(event))?;
        }
        for lines in archive.log_lines() {
            if let Some(lines) = self.wanted_lines(lines?) {
                self.writer.append(&Record::LogLines(lines))?;
            }
        }
        for (number, place) in places(archive, |index| index.runs.iter().map(|run| run.at).collect()) {
            match archive.decoded(number, place)? {
                Record::Run(run) if self.selection.sessions.contains(&run.id) => self.copy(number, place)?,
                _ => {}
            }
        }
        for end in archive.session_ends().iter().filter(|end| self.selection.sessions.contains(&end.session)) {
            self.writer.append(&Record::SessionEnd(end.clone()))?;
        }
        Ok(())
    }

    /// True for an event that belongs to something selected, or surrounded it.
    fn is_wanted(&self, event: &Event) -> bool {
        let is_linked = event.links.iter().any(|link| self.selection.ids.contains(link));
        let surrounds = || {
            let (session, last_ns) = (event.session?, surroundings::last_ns(event)?);
            Some(self.selection.windows.meet(&session, event.at_ns, last_ns))
        };
        let holds = || {
            let (session, holding) = Holding::of(event)?;
            let Selection { sessions, fingerprints, .. } = &self.selection;
            Some(sessions.contains(&session) && fingerprints.contains(&holding.fingerprint))
        };
        is_linked || surrounds().or_else(holds).unwrap_or_default()
    }

    /// The lines that were logged around something selected.
    fn wanted_lines(&self, mut lines: LogLines) -> Option<LogLines> {
        let windows = &self.selection.windows;
        lines.lines.retain(|line| windows.meet(&lines.session, line.at_ns, line.at_ns));
        (!lines.lines.is_empty()).then_some(lines)
    }

    fn put_images(&mut self, given: Vec<ImageSource<'_>>, keep: bool) -> Result<(), ExportError> {
        if keep {
            for image in self.archive.images()? {
                let record = Record::Image(Box::new(image));
                let payload = record.payload().map_err(|source| WriteError::Encode { kind: "image", source })?;
                put_again(self.archive, &mut self.writer, record, &payload)?;
            }
        }
        for image in given {
            let archive = self.put_stream(image.archive)?;
            self.writer.append(&Record::Image(Box::new(ImageRecord { identity: image.identity, archive })))?;
        }
        Ok(())
    }

    /// Puts all that `reader` gives.
    fn put_stream(&mut self, reader: &mut dyn Read) -> Result<Body, ExportError> {
        let mut body = Body::default();
        let mut piece = Vec::with_capacity(PIECE_BYTES_MAX);
        loop {
            piece.clear();
            let read = reader.take(PIECE_BYTES_MAX as u64).read_to_end(&mut piece);
            if read.map_err(|source| ExportError::Image { source })? == 0 {
                return Ok(body);
            }
            body.parts.push(self.writer.put_piece(&piece)?);
            body.len += piece.len() as u64;
        }
    }

    /// Copies a record as it was written, fields that this build does not know included.
    fn copy(&mut self, segment: usize, place: Place) -> Result<(), ExportError> {
        let found = self.archive.record_in(segment, place)?;
        let record = self.archive.decoded(segment, place)?;
        put_again(self.archive, &mut self.writer, record, found.record().payload)
    }
}

/// Puts a record of an archive and the bodies that it has, whose pieces get other numbers there. `payload` is the record as
/// it was written: fields that this build does not know stay.
///
/// # Errors
/// As [`export`].
pub(crate) fn put_again(
    archive: &Archive,
    writer: &mut Writer,
    mut record: Record,
    payload: &[u8],
) -> Result<(), ExportError> {
    let Record::Image(image) = &mut record else { return Ok(writer.append_encoded(&record, payload)?) };
    put_body_again(archive, writer, &mut image.archive, true)?;
    let encode = |error: serde_json::Error| WriteError::Encode { kind: "image", source: error.into() };
    let mut written: Fields = serde_json::from_slice(payload).map_err(encode)?;
    put_parts(&mut written, &image.archive).map_err(encode)?;
    let payload = serde_json::to_vec(&written).map_err(encode)?;
    Ok(writer.append_encoded(&record, &payload)?)
}

/// The same of an exchange; the body of its answer is left as it is where it `is_answered` with what `writer` has already.
///
/// # Errors
/// As [`export`].
pub(crate) fn put_exchange_again(
    archive: &Archive,
    writer: &mut Writer,
    read: RowRead,
    is_answered: bool,
) -> Result<(), ExportError> {
    let RowRead { mut exchange, rest, key } = read;
    put_body_again(archive, writer, &mut exchange.request.body, false)?;
    if let Some(response) = exchange.response.as_mut().filter(|_| !is_answered) {
        put_body_again(archive, writer, &mut response.body, false)?;
    }
    if let Some(key) = key {
        writer.derive_ids(exchange.session, key);
    }
    Ok(writer.put_exchange(&Record::Exchange(Box::new(exchange)), Some(&rest))?)
}

/// Puts the bytes of a body, and gives it the parts that they are there: cut by structure, or pieces of an image as they were.
fn put_body_again(archive: &Archive, writer: &mut Writer, body: &mut Body, is_image: bool) -> Result<(), ExportError> {
    let mut parts = Vec::new();
    // A stranger's record may repeat one piece tens of thousands of times.
    let mut known: HashMap<(u32, u64), Vec<Part>> = HashMap::new();
    for part in &body.parts {
        let of_part = match known.entry((part.piece, part.len)) {
            hash_map::Entry::Occupied(entry) => entry.into_mut(),
            hash_map::Entry::Vacant(entry) => {
                let bytes = archive.part(part)?;
                let is_piece = is_image && bytes.len() <= PIECE_BYTES_MAX;
                entry.insert(if is_piece { vec![writer.put_piece(&bytes)?] } else { writer.put_body_bytes(&bytes)? })
            }
        };
        parts.extend_from_slice(of_part);
    }
    body.parts = parts;
    Ok(())
}

/// A JSON object whose values stay as they are written.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Gives a written image the parts of its archive.
fn put_parts(image: &mut Fields, archive: &Body) -> Result<(), serde_json::Error> {
    let Some(written) = image.get_mut("archive") else { return Ok(()) };
    let mut fields: Fields = serde_json::from_str(written.get())?;
    fields.remove("parts");
    if !archive.parts.is_empty() {
        fields.insert("parts".to_owned(), to_raw_value(&archive.parts)?);
    }
    *written = to_raw_value(&fields)?;
    Ok(())
}

fn places(archive: &Archive, pick: fn(&Index) -> Vec<Place>) -> Vec<(usize, Place)> {
    let of_segment = |(number, segment): (usize, &Segment)| {
        pick(&segment.index).into_iter().map(move |at| (number, at)).collect::<Vec<_>>()
    };
    archive.segments().iter().enumerate().flat_map(of_segment).collect()
}

/// A file in the making, removed unless it is renamed.
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
}

impl Temporary {
    /// A name beside `out` that nothing has.
    pub(crate) fn beside(out: &Path) -> Result<Self, ExportError> {
        let refused = |source| ExportError::Rename { path: out.to_owned(), source };
        let name = out.file_name().ok_or_else(|| refused(io::ErrorKind::InvalidInput.into()))?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| refused(io::Error::from(error)))?;
        let name = format!(".{}.{:016x}.tmp", name.to_string_lossy(), u64::from_le_bytes(random));
        Ok(Self { path: out.with_file_name(name) })
    }

    /// Gives the file its name.
    pub(crate) fn rename(self, out: &Path, overwrite: bool) -> Result<(), ExportError> {
        // A link refuses a name that is taken; where the file system knows no links, the earlier look has to do.
        let renamed = match disk::link(&self.path, out) {
            Err(error) if overwrite || error.kind() != io::ErrorKind::AlreadyExists => disk::rename(&self.path, out),
            linked => linked,
        };
        let synced = renamed.and_then(|()| disk::sync_folder_of(out));
        synced.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => ExportError::Exists { path: out.to_owned() },
            _ => ExportError::Rename { path: out.to_owned(), source },
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already where it was renamed; where it cannot be removed, its name says what it is.
        disk::remove(&self.path).ok();
    }
}

#[cfg(test)]
mod tests;

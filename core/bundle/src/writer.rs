//! One growing file, and its sealing.
//!
//! In: records and the bytes of bodies. Out: whole blocks at the end of a file, and an index and a manifest when it is
//! sealed. A block that cannot be written is kept and the file is cut back to where it was to begin, so that the same call
//! may be repeated when there is space again. Where files go and when they are sealed is left to others.

use std::{
    collections::HashSet,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use exchange::{Digest, Fingerprint, Id, Part};

use crate::{
    Counts, Record, WriteError,
    block::{BlockMaker, RawBlock},
    disk::{self, Storage, sync_folder_of},
    index::{BLOCK_ENTRY_BYTES_MAX, Index, Place},
    layout::{
        BLOCK_BYTES_CLOSE, Footer, INDEX_BYTES_MAX, NEWEST, OPENING_LEN, PART_BYTES_MAX, RECORD_HEADER_LEN, block_kind,
        opening,
    },
    manifest::{Manifest, Span},
    names::Names,
    recipe::{Form, Name, PIECES_MAX, Shelf, put_body},
    record::{RawRecord, kind_word, record_header, record_kind},
    rows::{Keys, RowsMaker, SessionKey},
};

/// Settings of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterOptions {
    /// Bytes of index at which the file is full. The writer's memory grows with it, to about twice as much.
    pub index_bytes_max: u64,
    /// Bytes of memory for finding what came before. What falls out of it costs space when it comes again.
    pub dedup_bytes_max: u64,
}

impl Default for WriterOptions {
    /// An index of 64 MiB, some 100,000 exchanges, and 64 MiB of memory, over a million pieces. Choices.
    fn default() -> Self {
        Self { index_bytes_max: 64 << 20, dedup_bytes_max: 64 << 20 }
    }
}

/// One growing file (a segment, a run, a bundle in the making).
pub struct Writer {
    path: PathBuf,
    storage: Box<dyn Storage>,
    maker: BlockMaker,
    options: WriterOptions,
    /// Length of the file up to its last whole block.
    len: u64,
    /// The blocks in the making: bodies and what tells of them are not alike, and each is smaller by itself.
    pieces: Pending,
    records: Pending,
    exchanges: RowsMaker,
    keys: Keys,
    /// Pieces in the blocks that were written, and all pieces: the number of the next one.
    written_pieces: u32,
    next_piece: u32,
    spans: Vec<Span>,
    index: Index,
    index_bytes: u64,
    names: Names,
    fingerprints: HashSet<Digest>,
    counts: Counts,
    sync_failed: bool,
}

/// A block in the making.
#[derive(Default)]
struct Pending {
    raw: Vec<u8>,
    records: u32,
}

/// A sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The file.
    pub path: PathBuf,
    /// The bundle's digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub len: u64,
    /// What it holds.
    pub counts: Counts,
}

impl Writer {
    /// Makes a new file of mode 0600, locked against recovery for as long as the writer lives.
    ///
    /// # Errors
    /// Where the file exists, or the operating system refuses.
    pub fn create(path: &Path) -> Result<Self, WriteError> {
        Self::create_with(path, WriterOptions::default())
    }

    /// Like [`Writer::create`], with other settings.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_with(path: &Path, options: WriterOptions) -> Result<Self, WriteError> {
        let refused = |source| WriteError::Create { path: path.to_owned(), source };
        let file = disk::create_new(path).map_err(refused)?;
        let writer = Self::on_new_file(path, file, options);
        if writer.is_err() {
            // A file that holds nothing would only be in the way of the next attempt.
            disk::remove(path).ok();
        }
        writer
    }

    fn on_new_file(path: &Path, file: File, options: WriterOptions) -> Result<Self, WriteError> {
        let refused = |source| WriteError::Create { path: path.to_owned(), source };
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).map_err(|error| refused(error.into()))?;
        sync_folder_of(path).map_err(refused)?;
        Self::on(path, disk::storage(path, file), options)
    }

    /// A writer of an empty storage.
    pub(crate) fn on(path: &Path, mut storage: Box<dyn Storage>, options: WriterOptions) -> Result<Self, WriteError> {
        let refused = |source| WriteError::Create { path: path.to_owned(), source };
        let opening = opening(NEWEST);
        storage.write_at(&opening, 0).map_err(refused)?;
        Ok(Self {
            path: path.to_owned(),
            storage,
            maker: BlockMaker::new().map_err(refused)?,
            options,
            len: OPENING_LEN,
            pieces: Pending::default(),
            records: Pending::default(),
            exchanges: RowsMaker::default(),
            keys: Keys::new(),
            written_pieces: 0,
            next_piece: 0,
            spans: vec![Span { offset: 0, len: OPENING_LEN, digest: Digest::of(&opening) }],
            index: Index::default(),
            index_bytes: 0,
            names: Names::within(options.dedup_bytes_max),
            fingerprints: HashSet::new(),
            counts: Counts::default(),
            sync_failed: false,
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Says that the file was given another name.
    pub(crate) fn is_now_at(&mut self, path: &Path) {
        path.clone_into(&mut self.path);
    }

    /// Length of the file in bytes, what is not flushed left out.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True when nothing was put into it.
    pub fn is_empty(&self) -> bool {
        self.counts.records == 0
    }

    /// What was put into it so far, what is not flushed included.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What its index and manifest weigh: bytes that they will have at most. At `index_bytes_max` the file is full.
    pub fn index_bytes(&self) -> u64 {
        self.index_bytes
    }

    /// Says what a session derives the ids of its exchanges with ([`Id::derive`]): an id that this leads to, and a trace that a
    /// capture made, take no space in what is put from now on.
    pub fn derive_ids(&mut self, session: Id, key: SessionKey) {
        self.keys.insert(session, key);
    }

    /// Puts bytes as one piece, unless this file is known to have it, and gives the part of a body that they are. Nothing
    /// is looked for in them: for what is compressed already, and for beginnings of what is not whole.
    ///
    /// # Errors
    /// `TooLong` beyond [`crate::PIECE_BYTES_MAX`]; `Full`; `Write` where a block that was full could not be written: the
    /// piece was not taken, the call may be repeated.
    pub fn put_piece(&mut self, bytes: &[u8]) -> Result<Part, WriteError> {
        let piece = self.put_named(Name::of(bytes), Form::Data, bytes)?;
        Ok(Part { file: 0, piece, len: bytes.len() as u64 })
    }

    /// Puts the bytes of a body, of which only what is new takes space, and gives its parts: one, or of a body of more than
    /// [`PART_BYTES_MAX`] as many as that makes; none for an empty one.
    ///
    /// # Errors
    /// As [`Writer::put_piece`], never `TooLong`. What was put before stays, and is found when the call is repeated.
    pub fn put_body_bytes(&mut self, bytes: &[u8]) -> Result<Vec<Part>, WriteError> {
        let part = |bytes: &[u8]| {
            let piece = put_body(bytes, self)?;
            Ok(Part { file: 0, piece, len: bytes.len() as u64 })
        };
        bytes.chunks(PART_BYTES_MAX).map(part).collect()
    }

    /// Puts a fingerprint, unless this file has it. Its digest is the BLAKE3 of its record's JSON.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn put_fingerprint(&mut self, fingerprint: &Fingerprint) -> Result<Digest, WriteError> {
        let record = Record::Fingerprint(Box::new(fingerprint.clone()));
        let payload = self.payload_of(&record)?;
        self.append_encoded(&record, &payload)?;
        Ok(Digest::of(&payload))
    }

    /// Puts one record. A fingerprint that this file has is not put again.
    ///
    /// # Errors
    /// `TooLong` beyond [`crate::RECORD_BYTES_MAX`]; `Full`; `Write` where a block that was full could not be written: the record
    /// was not taken, the call may be repeated.
    pub fn append(&mut self, record: &Record) -> Result<(), WriteError> {
        match record {
            Record::Exchange(_) => self.put_exchange(record, None),
            _ => {
                let payload = self.payload_of(record)?;
                self.append_encoded(record, &payload)
            }
        }
    }

    /// Puts an exchange. `rest` is what has no column, as it was written elsewhere, with fields that this build does not know.
    pub(crate) fn put_exchange(&mut self, record: &Record, rest: Option<&str>) -> Result<(), WriteError> {
        let Record::Exchange(exchange) = record else { unreachable!("it is one") };
        self.check_room()?;
        if self.exchanges.is_full() {
            self.flush()?;
        }
        let row = self.exchanges.put(exchange, rest, &self.keys)?;
        let place = Place { block: Index::NOT_WRITTEN, offset: row, len: 0 };
        self.index_bytes += self.index.note(record, &[], place);
        self.counts.records += 1;
        self.counts.exchanges += 1;
        Ok(())
    }

    /// Puts one record whose written form is `payload`, which may have fields that this build does not know.
    pub(crate) fn append_encoded(&mut self, record: &Record, payload: &[u8]) -> Result<(), WriteError> {
        let is_fingerprint = matches!(record, Record::Fingerprint(_));
        if is_fingerprint && self.fingerprints.contains(&Digest::of(payload)) {
            return Ok(());
        }
        let place = self.put_record(&RawRecord { offset: 0, kind: record.kind(), flags: record.flags(), payload })?;
        self.index_bytes += self.index.note(record, payload, place);
        if is_fingerprint {
            self.fingerprints.insert(Digest::of(payload));
        }
        Ok(())
    }

    fn payload_of(&self, record: &Record) -> Result<Vec<u8>, WriteError> {
        record.payload().map_err(|source| WriteError::Encode { kind: kind_word(record.kind()), source })
    }

    /// Puts a record into its block in the making, which is written first where it is full. The place is not known before
    /// that is written.
    fn put_record(&mut self, record: &RawRecord<'_>) -> Result<Place, WriteError> {
        let len = self.allowed_len(record)?;
        self.check_room()?;
        let is_full = |pending: &Pending| pending.raw.len() >= BLOCK_BYTES_CLOSE;
        let pending = if record.is_piece() {
            if is_full(&self.pieces) {
                self.flush_pieces()?;
            }
            &mut self.pieces
        } else {
            if is_full(&self.records) {
                self.flush()?;
            }
            &mut self.records
        };
        let offset = u32::try_from(pending.raw.len()).expect("a block in the making is shorter than its limit");
        pending.raw.reserve(RECORD_HEADER_LEN + record.payload.len());
        pending.raw.extend_from_slice(&record_header(record.kind, record.flags, len));
        pending.raw.extend_from_slice(record.payload);
        pending.records += 1;
        self.counts.records += 1;
        if record.is_piece() {
            self.next_piece += 1;
            self.counts.pieces += 1;
            self.counts.piece_bytes += record.payload.len() as u64;
        }
        Ok(Place { block: Index::NOT_WRITTEN, offset, len })
    }

    fn check_room(&self) -> Result<(), WriteError> {
        let index_bytes_max = self.options.index_bytes_max;
        if self.next_piece >= PIECES_MAX || self.index_bytes >= index_bytes_max.min(INDEX_BYTES_MAX as u64 / 2) {
            return Err(WriteError::Full { path: self.path.clone(), index_bytes_max });
        }
        Ok(())
    }

    fn allowed_len(&self, record: &RawRecord<'_>) -> Result<u32, WriteError> {
        let len_max = record.len_max();
        let len = record.payload.len();
        let too_long = WriteError::TooLong { kind: kind_word(record.kind), len: len as u64, len_max: len_max as u64 };
        u32::try_from(len).ok().filter(|_| len <= len_max).ok_or(too_long)
    }

    /// Closes the blocks in the making and writes them: what records refer to before the records.
    ///
    /// # Errors
    /// `Write`, with the file cut back to where a block was to begin, and that kept for the next attempt.
    pub fn flush(&mut self) -> Result<(), WriteError> {
        self.flush_pieces()?;
        self.flush_records()?;
        if self.exchanges.rows() == 0 {
            return Ok(());
        }
        let offset = self.len;
        let (raw, cuts) = self.exchanges.raw();
        self.write_block(block_kind::EXCHANGES, self.exchanges.rows(), &raw, &cuts)?;
        self.index.place_exchanges(offset);
        self.exchanges = RowsMaker::default();
        Ok(())
    }

    fn flush_records(&mut self) -> Result<(), WriteError> {
        if self.records.records == 0 {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.records);
        let offset = self.len;
        let written = self.write_block(block_kind::RECORDS, pending.records, &pending.raw, &[]);
        if written.is_ok() {
            self.index.place_records(offset);
            pending.clear();
        }
        self.records = pending;
        written
    }

    fn flush_pieces(&mut self) -> Result<(), WriteError> {
        if self.pieces.records == 0 {
            return Ok(());
        }
        let mut pending = std::mem::take(&mut self.pieces);
        let offset = self.len;
        let written = self.write_block(block_kind::RECORDS, pending.records, &pending.raw, &[]);
        if written.is_ok() {
            self.index.piece_blocks.push((offset, self.written_pieces));
            self.written_pieces = self.next_piece;
            pending.clear();
        }
        self.pieces = pending;
        written
    }

    /// Writes all that was put, and returns when it is on the disk.
    ///
    /// # Errors
    /// `Write` as [`Writer::flush`]; `Sync` where the disk did not confirm: what was written since the last `sync` may be
    /// lost, and every later call fails likewise.
    pub fn sync(&mut self) -> Result<(), WriteError> {
        self.flush()?;
        self.storage.sync().map_err(|source| {
            self.sync_failed = true;
            WriteError::Sync { path: self.path.clone(), source }
        })
    }

    /// Adds index, manifest and footer. Nothing can be put into the file any more.
    ///
    /// # Errors
    /// As [`Writer::sync`]; the file then ends after its records, and is whole but not sealed.
    pub fn seal(mut self) -> Result<Sealed, WriteError> {
        self.flush()?;
        let records_end = self.len;
        let sealed = self.write_ending();
        if sealed.is_err() {
            // Best effort: an ending that stays is recognised as unfinished by whoever reads the file.
            self.storage.cut(records_end).ok();
        }
        sealed
    }

    fn write_ending(&mut self) -> Result<Sealed, WriteError> {
        let index = std::mem::take(&mut self.index);
        let (index_bytes, cuts) = written(index.to_bytes(&self.keys), "index", |(bytes, _)| bytes.len())?;
        self.write_block(block_kind::INDEX, 0, &index_bytes, &cuts)?;
        let manifest_offset = self.len;
        let manifest = Manifest::new(self.counts, std::mem::take(&mut self.spans));
        let manifest_json = written(serde_json::to_vec(&manifest).map_err(io::Error::from), "manifest", Vec::len)?;
        self.write_block(block_kind::MANIFEST, 0, &manifest_json, &[])?;
        let digest = Digest::of(&manifest_json);
        let footer = Footer { manifest_offset, manifest_len: self.len - manifest_offset, digest };
        self.write(&footer.to_bytes())?;
        self.sync()?;
        sync_folder_of(&self.path).map_err(|source| WriteError::Sync { path: self.path.clone(), source })?;
        Ok(Sealed { path: self.path.clone(), digest, len: self.len, counts: self.counts })
    }

    fn write_block(&mut self, kind: u8, record_count: u32, raw: &[u8], cuts: &[usize]) -> Result<(), WriteError> {
        let block = RawBlock { kind, offset: self.len, record_count, first_piece: self.written_pieces, raw, cuts };
        let bytes = self.maker.make(&block).map_err(|source| WriteError::Encode { kind: "block", source })?;
        let offset = self.len;
        self.write(&bytes)?;
        self.spans.push(Span { offset, len: bytes.len() as u64, digest: Digest::of(&bytes) });
        self.index_bytes += BLOCK_ENTRY_BYTES_MAX;
        Ok(())
    }

    /// Writes at the end of the file; a failure leaves the end where it was.
    fn write(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let (offset, len) = (self.len, bytes.len() as u64);
        if self.sync_failed {
            let source = io::Error::other("an earlier attempt to sync it failed");
            return Err(WriteError::Sync { path: self.path.clone(), source });
        }
        self.storage.write_at(bytes, offset).map_err(|source| {
            // Best effort: the next attempt writes over what may be left, and a reader takes it for a torn tail.
            self.storage.cut(offset).ok();
            WriteError::Write { path: self.path.clone(), offset, len, source }
        })?;
        self.len += len;
        Ok(())
    }
}

impl Pending {
    /// Empties it and keeps its memory.
    fn clear(&mut self) {
        self.raw.clear();
        self.records = 0;
    }
}

impl Shelf for Writer {
    fn find(&mut self, name: &Name) -> Option<u32> {
        self.names.find(name)
    }

    fn next(&self) -> u32 {
        self.next_piece
    }

    fn put(&mut self, name: Option<Name>, form: Form, payload: &[u8]) -> Result<u32, WriteError> {
        let number = self.next_piece;
        self.put_record(&RawRecord { offset: 0, kind: record_kind::PIECE, flags: form as u8, payload })?;
        if let Some(name) = name {
            self.names.remember(name, number);
        }
        Ok(number)
    }
}

/// What an ending block holds, where that is not too long.
fn written<T>(holds: io::Result<T>, kind: &'static str, len_of: fn(&T) -> usize) -> Result<T, WriteError> {
    let holds = holds.map_err(|source| WriteError::Encode { kind, source })?;
    if len_of(&holds) > INDEX_BYTES_MAX {
        return Err(WriteError::TooLong { kind, len: len_of(&holds) as u64, len_max: INDEX_BYTES_MAX as u64 });
    }
    Ok(holds)
}

#[cfg(test)]
mod crash;
#[cfg(test)]
mod tests;

//! Makes the index of a file from its records, and finds what is wrong with them.
//!
//! In: a file, sealed or not. Out: the index that sealing it writes, which bodies lack pieces, damage, and the torn tail,
//! which is never looked into. No body is put together for that: how long a piece is follows from those before it.

use std::{io, ops::Range, path::Path};

use exchange::Digest;

use crate::{
    Counts, Damage, ReadAt, Record, TornTail,
    block::open_frame,
    index::{BLOCK_ENTRY_BYTES_MAX, Index, Place},
    layout::{BlockHeader, HEADER_LEN, INDEX_BYTES_MAX, block_kind},
    manifest::Span,
    pieces::{Lack, PieceTable},
    record::{RawRecord, RecordsOf, are_records, kind_word},
    rows::{Keys, Rows},
    walk::{Bounds, Step, walk},
};

/// Places listed as damaged in one file at most: a hostile one could have billions.
const DAMAGE_LISTED_MAX: usize = 1000;

/// What scanning a file found.
#[derive(Default)]
pub(crate) struct Scanned {
    /// What it holds and where.
    pub(crate) index: Index,
    /// How much of it.
    pub(crate) counts: Counts,
    /// The blocks that hold.
    pub(crate) spans: Vec<Span>,
    /// What is wrong, in the order of the file.
    pub(crate) damage: Vec<Damage>,
    /// What the index weighs, at least.
    index_bytes: u64,
    /// The tail, where it is no block.
    pub(crate) torn: Option<TornTail>,
    /// Its pieces.
    pub(crate) pieces: PieceTable,
    /// What the sessions of its exchanges derive ids with.
    pub(crate) keys: Keys,
    /// Where the last block that holds ended.
    held_end: u64,
}

/// What scanning tells while it goes on.
pub(crate) trait Watch {
    /// A record that is no piece, its place, and what its bodies lack.
    fn record(&mut self, record: &Record, place: Place, lack: Option<Lack>);
    /// The scan has come to this byte.
    fn reached(&mut self, offset: u64);
}

/// Watches nothing.
impl Watch for () {
    fn record(&mut self, _: &Record, _: Place, _: Option<Lack>) {}
    fn reached(&mut self, _: u64) {}
}

/// Scans the blocks in `range` of a file.
///
/// # Errors
/// The operating system's; whatever else is wrong is part of what it found.
pub(crate) fn scan(file: &dyn ReadAt, path: &Path, range: Range<u64>, watch: &mut dyn Watch) -> io::Result<Scanned> {
    let mut scanned = Scanned { held_end: range.start, ..Scanned::default() };
    let mut bounds = Bounds::from(range.start);
    let end = walk(file, range.clone(), &mut |step| {
        bounds.take(&step);
        match step {
            Step::Block { header, bytes } => scanned.take_block(path, &header, bytes, watch),
            Step::Damage { range, what, .. } => scanned.push_damage(path, range, what),
        }
        Ok(())
    })?;
    if end < range.end {
        scanned.take_tail(path, end..range.end, &bounds);
    }
    watch.reached(range.end);
    Ok(scanned)
}

impl Scanned {
    fn take_block(&mut self, path: &Path, header: &BlockHeader, bytes: &[u8], watch: &mut dyn Watch) {
        let range = header.offset..header.end();
        self.spans.push(Span { offset: header.offset, len: bytes.len() as u64, digest: Digest::of(bytes) });
        watch.reached(range.end);
        if !block_kind::has_records(header.kind) {
            return;
        }
        match open_frame(header, &bytes[HEADER_LEN as usize..]) {
            Ok(raw) if header.kind == block_kind::EXCHANGES => self.take_exchanges(path, header, &raw, watch),
            Ok(raw) => self.take_records(path, header, &raw, watch),
            Err(what) => self.push_damage(path, range, &what),
        }
    }

    fn take_exchanges(&mut self, path: &Path, header: &BlockHeader, raw: &[u8], watch: &mut dyn Watch) {
        let range = header.offset..header.end();
        let rows = match Rows::of(raw, header.record_count) {
            Ok(rows) => rows,
            Err(what) => return self.push_damage(path, range, &format!("its exchanges: {what}")),
        };
        if !self.take_first_piece(path, header) {
            return;
        }
        for row in 0..rows.len() {
            let place = Place { block: header.offset, offset: row, len: 0 };
            self.counts.records += 1;
            self.counts.exchanges += 1;
            let taken = self.check_room().and_then(|()| rows.get(raw, row));
            match taken {
                Ok(read) => {
                    self.keys.extend(read.key.map(|key| (read.exchange.session, key)));
                    self.take_decoded(&Record::Exchange(Box::new(read.exchange)), &[], place, watch);
                }
                Err(what) => self.push_damage(path, range.clone(), &format!("exchange {row} of the block: {what}")),
            }
        }
        self.index_bytes += BLOCK_ENTRY_BYTES_MAX;
    }

    /// Takes the number of a block's first piece. A higher one than was to come tells how many pieces are damaged.
    fn take_first_piece(&mut self, path: &Path, header: &BlockHeader) -> bool {
        let before = self.held_end..header.offset;
        let is_gap = header.first_piece > self.pieces.next();
        if header.first_piece < self.pieces.next() || (is_gap && before.is_empty()) {
            let what = "its pieces have other numbers than those before them lead to";
            self.push_damage(path, header.offset..header.end(), what);
            return false;
        }
        if is_gap {
            self.pieces.skip_to(header.first_piece, before);
        }
        self.held_end = header.end();
        true
    }

    fn take_records(&mut self, path: &Path, header: &BlockHeader, raw: &[u8], watch: &mut dyn Watch) {
        let range = header.offset..header.end();
        if !are_records(raw, header.record_count) {
            return self.push_damage(path, range, "its records do not fill it, or are not as many as it says");
        }
        if !self.take_first_piece(path, header) {
            return;
        }
        let first_piece = self.pieces.next();
        for record in RecordsOf::of(raw) {
            let Ok(len) = u32::try_from(record.payload.len()) else { continue };
            let place = Place { block: header.offset, offset: record.offset, len };
            self.counts.records += 1;
            if let Err(what) = self.take_record(&record, place, watch) {
                self.push_damage(path, range.clone(), &format!("at byte {} of the block: {what}", place.offset));
            }
        }
        self.index_bytes += BLOCK_ENTRY_BYTES_MAX;
        if self.pieces.next() > first_piece {
            self.index.piece_blocks.push((header.offset, first_piece));
        }
    }

    fn take_record(&mut self, raw: &RawRecord<'_>, place: Place, watch: &mut dyn Watch) -> Result<(), String> {
        let len_max = raw.len_max();
        if raw.payload.len() > len_max {
            return Err(format!("{} is longer than {len_max} bytes", kind_word(raw.kind)));
        }
        self.check_room()?;
        if raw.is_piece() {
            self.counts.pieces += 1;
            self.counts.piece_bytes += raw.payload.len() as u64;
            return self.pieces.take(raw.flags, raw.payload);
        }
        self.take_decoded(&Record::decode(raw)?, raw.payload, place, watch);
        Ok(())
    }

    fn take_decoded(&mut self, record: &Record, payload: &[u8], place: Place, watch: &mut dyn Watch) {
        self.index_bytes += self.index.note(record, payload, place);
        let lack = self.pieces.lack_of(record);
        watch.record(record, place, lack);
    }

    fn check_room(&self) -> Result<(), String> {
        if self.index_bytes > INDEX_BYTES_MAX as u64 {
            return Err("the file holds more records than an index may list".to_owned());
        }
        Ok(())
    }

    /// Lists damage, and of too much of it only that there is more.
    fn push_damage(&mut self, path: &Path, range: Range<u64>, what: &str) {
        let what = match self.damage.len() {
            0..DAMAGE_LISTED_MAX => what,
            DAMAGE_LISTED_MAX => "there is more damage from here on",
            _ => return,
        };
        self.damage.push(Damage { path: path.to_owned(), range, what: what.to_owned(), costs: Vec::new() });
    }

    /// Takes what follows the last block.
    fn take_tail(&mut self, path: &Path, tail: Range<u64>, bounds: &Bounds) {
        if bounds.is_footer(&tail) {
            self.push_damage(path, tail, "the footer is not what was written");
        } else {
            self.torn = Some(TornTail { path: path.to_owned(), offset: tail.start, len: tail.end - tail.start });
        }
    }
}

#[cfg(test)]
mod tests;

//! Puts bodies together from pieces.
//!
//! In: a body of a record. Out: its kept bytes. Each block that they come from was checked; what a stranger's pieces claim is
//! bounded: bytes by what the body's part says it has, depth, and the bytes decompressed on the way.

use std::{cell::Cell, io::Write};

use exchange::{Body, Part};

use crate::{
    Archive, PART_BYTES_MAX, ReadError,
    index::Place,
    recipe::{Form, PIECES_DEEP, Recipe, Step, restore_events},
    segment::Segment,
};

/// What may be decompressed for a part, in bytes: this, and [`READ_FOR_BYTE`] for each byte of it. Choices: a part whose
/// pieces are spread over all of a file that was written block by block stays far below.
const READ_BYTES: u64 = 256 << 20;
const READ_FOR_BYTE: u64 = 1024;

impl Archive {
    /// The kept bytes of a body.
    ///
    /// # Errors
    /// `TooLong` where there are more than `len_max`, before anything is allocated; `NoPiece`, `Damaged`, `Io`.
    pub fn body(&self, body: &Body, len_max: u64) -> Result<Vec<u8>, ReadError> {
        let kept_len = body.kept_len();
        if kept_len > len_max {
            return Err(ReadError::TooLong { kept_len, len_max });
        }
        if let [part] = body.parts[..] {
            return self.part(&part);
        }
        let mut bytes = Vec::new();
        for part in &body.parts {
            bytes.extend_from_slice(&self.part(part)?);
        }
        Ok(bytes)
    }

    /// Copies the kept bytes of a body, one part at a time, and says how many they are.
    ///
    /// # Errors
    /// `Output` where `out` refuses; `NoPiece`, `Damaged`, `Io`.
    pub fn copy_body(&self, body: &Body, out: &mut dyn Write) -> Result<u64, ReadError> {
        for part in &body.parts {
            out.write_all(&self.part(part)?).map_err(|source| ReadError::Output { source })?;
        }
        Ok(body.kept_len())
    }

    /// The bytes of a part.
    pub(crate) fn part(&self, part: &Part) -> Result<Vec<u8>, ReadError> {
        let (file, number) = (part.file as usize, part.piece);
        let segment = self.segments().get(file).ok_or(ReadError::NoPiece { piece: number })?;
        let len = usize::try_from(part.len).ok().filter(|len| *len <= PART_BYTES_MAX);
        let damaged = |what: &str| wrong(segment, number, what);
        let len = len.ok_or_else(|| damaged("a part of a body is longer than it may be"))?;
        let read = READ_BYTES + READ_FOR_BYTE * part.len;
        let reading = Reading { archive: self, segment, file, left: Cell::new(read) };
        let mut bytes = Vec::new();
        reading.put_together(number, 0, len, &mut bytes)?;
        if bytes.len() == len { Ok(bytes) } else { Err(damaged("it is shorter than the body's part says")) }
    }
}

/// A part that is being put together.
struct Reading<'a> {
    archive: &'a Archive,
    segment: &'a Segment,
    file: usize,
    /// Bytes that may yet be decompressed.
    left: Cell<u64>,
}

impl Reading<'_> {
    /// Appends the bytes of a piece, as long as there are no more than `len_max` in all.
    fn put_together(&self, number: u32, depth: usize, len_max: usize, out: &mut Vec<u8>) -> Result<(), ReadError> {
        let damaged = |what: &str| wrong(self.segment, number, what);
        if depth >= PIECES_DEEP {
            return Err(damaged("pieces refer to pieces too deeply"));
        }
        let (offset, first) = self.segment.index.piece_block(number).ok_or(ReadError::NoPiece { piece: number })?;
        let block = self.archive.blocks().get((self.file, offset), || {
            let raw = self.segment.block(offset)?;
            let left = self.left.get().checked_sub(raw.raw.len() as u64);
            self.left.set(left.ok_or_else(|| damaged("far more has to be read for it than it has bytes"))?);
            Ok(raw)
        })?;
        let record = block.piece(number - first).ok_or(ReadError::NoPiece { piece: number })?;
        let form = Form::of(record.flags).ok_or_else(|| damaged("it has a form that this build does not know"))?;
        let before = out.len();
        let Some(recipe) = Recipe::of(form, number, record.payload).map_err(damaged)? else {
            append(record.payload, len_max, out).map_err(damaged)?;
            return Ok(());
        };
        let control = recipe.control();
        let mut data = Vec::new();
        let target = if control.is_some() { &mut data } else { &mut *out };
        for step in recipe {
            match step.map_err(damaged)? {
                Step::Bytes(bytes) => append(bytes, len_max, target).map_err(damaged)?,
                Step::Piece { separator, number } => {
                    append(separator, len_max, target).map_err(damaged)?;
                    self.put_together(number, depth + 1, len_max, target)?;
                }
            }
        }
        if let Some(control) = control {
            let events = restore_events(control, &data, len_max.saturating_sub(before)).map_err(damaged)?;
            out.extend_from_slice(&events);
        }
        if out.len() == before { Err(damaged("it has no bytes")) } else { Ok(()) }
    }
}

fn append(bytes: &[u8], len_max: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    if bytes.len() > len_max.saturating_sub(out.len()) {
        return Err("it is longer than the body's part says");
    }
    out.extend_from_slice(bytes);
    Ok(())
}

/// The error for something wrong with a piece.
fn wrong(segment: &Segment, number: u32, what: &str) -> ReadError {
    let block = segment.index.piece_block(number).map_or(0, |(offset, _)| offset);
    segment.damaged_at(Place { block, offset: 0, len: 0 }, format!("piece {number}: {what}"))
}

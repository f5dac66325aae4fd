//! Pieces: what is new in a body, and how the body is put together from pieces that were there before.
//!
//! In: the bytes of a body. Out: the number of a piece. A piece is bytes as they are, a list of steps (bytes, and pieces with
//! lower numbers), or events coded against each other; `docs/format.md` has the written forms. Bodies are cut by structure before anything looks for
//! repeats: at the elements of lists and at long texts of JSON, at the events of a stream, and by content where there is no
//! structure to see. Pieces refer by numbers, which are small, and not by hashes, which no compression shortens.

mod events;
mod json;
mod steps;
#[cfg(test)]
mod tests;

use crate::{WriteError, layout::PIECE_BYTES_MAX, varint};

pub(crate) use self::steps::Step;
use self::steps::{INLINE_BYTES_MAX, Steps};

/// Most pieces of a file. A choice: whoever verifies it keeps four bytes for each.
pub(crate) const PIECES_MAX: u32 = 1 << 26;

/// Pieces inside one another at most. A writer makes six: events, their text, its chunks, and groups between.
pub(crate) const PIECES_DEEP: usize = 16;

/// Longest body that is looked up as a whole. A choice: a longer one that comes again is a few steps anyway.
const WHOLE_BYTES_MAX: usize = 4 << 10;

/// Lengths of chunks that content defines. A choice, as are those of restic and borg: half of what is cut without structure
/// is found again when some of it changes, and a chunk costs what a few words do.
const CHUNK_BYTES: [usize; 3] = [2 << 10, 8 << 10, 64 << 10];

/// How a piece is written: the flags of its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Bytes as they are.
    Data = 0,
    /// Steps.
    List = 1,
    /// Events: a control, and steps that give the bytes that it orders.
    Events = 2,
}

impl Form {
    /// The form with these flags.
    pub(crate) fn of(flags: u8) -> Option<Self> {
        [Self::Data, Self::List, Self::Events].into_iter().find(|form| *form as u8 == flags)
    }
}

/// What tells equal pieces: the first 16 bytes of a BLAKE3. Two pieces of different bytes with one name cannot be made on
/// purpose, and by chance not before 2^64 of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name(pub(crate) [u8; 16]);

impl Name {
    /// The name of bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::cut(blake3::hash(bytes))
    }

    /// The name of pieces one after another, each with its separator: none that bytes have.
    fn of_group(pieces: impl Iterator<Item = (u8, u32)>) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 group of pieces");
        for (separator, number) in pieces {
            hasher.update(&[separator]).update(&number.to_le_bytes());
        }
        Self::cut(hasher.finalize())
    }

    fn cut(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes().first_chunk().expect("a BLAKE3 is longer than a name"))
    }
}

/// Where pieces are put.
pub(crate) trait Shelf {
    /// The piece of this name, where it is remembered.
    fn find(&mut self, name: &Name) -> Option<u32>;

    /// The number of the piece that is put next.
    fn next(&self) -> u32;

    /// Puts a piece, and remembers its name.
    ///
    /// # Errors
    /// As [`crate::Writer::append`]: the piece was not put.
    fn put(&mut self, name: Option<Name>, form: Form, payload: &[u8]) -> Result<u32, WriteError>;

    /// The piece of this name, put where it is not remembered.
    fn put_named(&mut self, name: Name, form: Form, payload: &[u8]) -> Result<u32, WriteError> {
        match self.find(&name) {
            Some(number) => Ok(number),
            None => self.put(Some(name), form, payload),
        }
    }
}

/// Puts a body that is not empty, and gives the number of its piece.
///
/// # Errors
/// The shelf's. What was put before stays, and is found again when the call is repeated.
pub(crate) fn put_body(bytes: &[u8], shelf: &mut impl Shelf) -> Result<u32, WriteError> {
    let name = (bytes.len() <= WHOLE_BYTES_MAX).then(|| Name::of(bytes));
    if let Some(number) = name.and_then(|name| shelf.find(&name)) {
        return Ok(number);
    }
    if let Some(coded) = events::code(bytes) {
        return put_events(name, bytes, &coded, shelf);
    }
    let mut steps = Steps::of(bytes);
    if matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[')) {
        json::cut(bytes, 0, 0, &mut steps, shelf)?;
    }
    put_steps(name, bytes, steps, shelf)
}

fn put_events(
    name: Option<Name>,
    bytes: &[u8],
    coded: &events::Coded,
    shelf: &mut impl Shelf,
) -> Result<u32, WriteError> {
    let finished = coded.steps(shelf)?.finish(shelf)?;
    let mut payload = Vec::new();
    varint::put(&mut payload, coded.control.len() as u64);
    payload.extend_from_slice(&coded.control);
    finished.write(shelf.next(), &mut payload);
    if payload.len() > PIECE_BYTES_MAX {
        return put_steps(name, bytes, Steps::of(bytes), shelf);
    }
    shelf.put(name, Form::Events, &payload)
}

/// Puts the piece that these steps of `text` make, by chunks alone where they are too many.
fn put_steps(name: Option<Name>, text: &[u8], steps: Steps<'_>, shelf: &mut impl Shelf) -> Result<u32, WriteError> {
    if steps.is_plain() && text.len() <= INLINE_BYTES_MAX {
        return shelf.put(name, Form::Data, text);
    }
    let finished = steps.finish(shelf)?;
    let mut payload = Vec::new();
    finished.write(shelf.next(), &mut payload);
    if payload.len() > PIECE_BYTES_MAX {
        let chunked = Steps::of(text).finish(shelf)?;
        payload.clear();
        chunked.write(shelf.next(), &mut payload);
    }
    shelf.put(name, Form::List, &payload)
}

/// The chunks of bytes without a structure, cut where content says so (FastCDC 2020).
fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let [min, mean, max] = CHUNK_BYTES;
    let is_long = bytes.len() > INLINE_BYTES_MAX;
    let chunker = is_long.then(|| fastcdc::v2020::FastCDC::new(bytes, min, mean, max));
    let whole = (!is_long).then_some(bytes);
    let cut = chunker.into_iter().flatten().map(|chunk| &bytes[chunk.offset..chunk.offset + chunk.length]);
    whole.into_iter().chain(cut)
}

/// A written piece, taken apart.
pub(crate) struct Recipe<'a> {
    own: u32,
    control: Option<&'a [u8]>,
    rest: &'a [u8],
    expected: i64,
}

impl<'a> Recipe<'a> {
    /// The recipe that the piece `own` is; `None` for one that is bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn of(form: Form, own: u32, payload: &'a [u8]) -> Result<Option<Self>, &'static str> {
        let mut rest = payload;
        let control = match form {
            Form::Data => return Ok(None),
            Form::List => None,
            Form::Events => {
                let len = varint::take(&mut rest).and_then(|len| usize::try_from(len).ok());
                let len = len.filter(|len| *len <= rest.len()).ok_or("the events' control is cut short")?;
                let (control, steps) = rest.split_at(len);
                rest = steps;
                Some(control)
            }
        };
        if rest.is_empty() {
            return Err("a recipe has no step");
        }
        Ok(Some(Self { own, control, rest, expected: i64::from(own) }))
    }

    /// The control of events, for [`restore_events`].
    pub(crate) fn control(&self) -> Option<&'a [u8]> {
        self.control
    }
}

impl<'a> Iterator for Recipe<'a> {
    type Item = Result<Step<'a>, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let step = steps::take(&mut self.rest, self.own, &mut self.expected);
        if step.is_err() {
            self.rest = &[];
        }
        Some(step)
    }
}

/// How long the events are that a control and data of this length are, in bytes.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn events_len(control: &[u8], data_len: usize) -> Result<usize, &'static str> {
    events::restored_len(control, data_len)
}

/// The events that a control and its data are, of at most `len_max` bytes.
///
/// # Errors
/// What is wrong with them, or that they are longer.
pub(crate) fn restore_events(control: &[u8], data: &[u8], len_max: usize) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    events::restore(control, data, len_max, &mut |piece| bytes.extend_from_slice(piece))?;
    Ok(bytes)
}

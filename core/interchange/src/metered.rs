//! Counts bytes on their way to a parser and refuses more of them than one item may have.

use std::{
    cell::Cell,
    io::{self, Read},
};

/// Lines whose beginnings are remembered. A parser that found a fault may read a little further before it says so.
const LINES_KEPT: usize = 64;

/// What was read, and what may be read until the next item.
#[derive(Debug)]
pub(crate) struct Meter {
    offset: Cell<u64>,
    left: Cell<u64>,
    item_bytes_max: u64,
    has_refused: Cell<bool>,
    /// The line that is being read, from 1.
    line: Cell<usize>,
    /// Where the latest lines begin, each at its number's remainder.
    line_starts: [Cell<u64>; LINES_KEPT],
}

impl Meter {
    pub(crate) fn new(item_bytes_max: u64) -> Self {
        Self {
            offset: Cell::new(0),
            left: Cell::new(item_bytes_max),
            item_bytes_max,
            has_refused: Cell::new(false),
            line: Cell::new(1),
            line_starts: std::array::from_fn(|_| Cell::new(0)),
        }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> u64 {
        self.offset.get()
    }

    /// How many bytes stand before a place that a parser gives by line and column, or all that were read where the line
    /// is long past.
    pub(crate) fn offset_of(&self, line: usize, column: usize) -> u64 {
        let is_kept = line <= self.line.get() && line + LINES_KEPT > self.line.get() && line > 0;
        let offset = self.line_starts[line % LINES_KEPT].get().saturating_add(column as u64);
        if is_kept { offset.min(self.offset.get()) } else { self.offset.get() }
    }

    fn take(&self, bytes: &[u8]) {
        let begins = bytes.iter().zip(self.offset.get() + 1..).filter(|(byte, _)| **byte == b'\n');
        for (_, next) in begins {
            self.line.set(self.line.get() + 1);
            self.line_starts[self.line.get() % LINES_KEPT].set(next);
        }
        self.offset.set(self.offset.get() + bytes.len() as u64);
        self.left.set(self.left.get() - bytes.len() as u64);
    }

    /// The next item begins.
    pub(crate) fn begin_item(&self) {
        self.left.set(self.item_bytes_max);
    }

    /// True when an item was longer than allowed.
    pub(crate) fn has_refused(&self) -> bool {
        self.has_refused.get()
    }

    /// Takes bytes that stand before the first line.
    pub(crate) fn skip(&self, len: u64) {
        self.offset.set(self.offset.get() + len);
        self.line_starts[self.line.get() % LINES_KEPT].set(self.offset.get());
    }
}

/// A reader whose bytes are counted.
pub(crate) struct Metered<'a, R> {
    pub(crate) inner: R,
    pub(crate) meter: &'a Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let meter = self.meter;
        if meter.left.get() == 0 && !buffer.is_empty() {
            meter.has_refused.set(true);
            return Err(io::Error::other(format!("an entry is longer than {} bytes", meter.item_bytes_max)));
        }
        let allowed = usize::try_from(meter.left.get()).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.inner.read(&mut buffer[..allowed])?;
        meter.take(&buffer[..read]);
        Ok(read)
    }
}

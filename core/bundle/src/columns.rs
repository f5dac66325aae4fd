//! Rows written by columns: what is alike stands side by side, and compresses.
//!
//! In: numbers, bytes and texts, each for a column. Out: the columns one after another, and the same values again in the
//! order in which they were put. What a column means is left to whoever puts and takes. `docs/format.md` lists them.

use std::{borrow::Borrow, collections::HashMap, hash::Hash, ops::Range};

use crate::varint;

/// A column and its number in a file. A number is never given to another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    Session = 1,
    Sessions = 2,
    Sequence = 3,
    Id = 4,
    Dependency = 5,
    Dependencies = 6,
    Parent = 7,
    Certainty = 8,
    Candidates = 9,
    Ids = 10,
    Started = 11,
    RequestEnded = 12,
    ResponseStarted = 13,
    Ended = 14,
    Ending = 15,
    Fingerprint = 16,
    Fingerprints = 17,
    RequestHead = 18,
    RequestHeads = 19,
    RequestParts = 20,
    RequestPieces = 21,
    RequestPartLen = 22,
    RequestLen = 23,
    RequestChunks = 24,
    RequestChunkLen = 25,
    RequestChunkLenHigh = 26,
    RequestChunkTime = 27,
    RequestChunkTimeHigh = 28,
    ResponseHead = 29,
    ResponseHeads = 30,
    ResponseParts = 31,
    ResponsePieces = 32,
    ResponsePartLen = 33,
    ResponseLen = 34,
    ResponseChunks = 35,
    ResponseChunkLen = 36,
    ResponseChunkLenHigh = 37,
    ResponseChunkTime = 38,
    ResponseChunkTimeHigh = 39,
    Trace = 40,
    Digests = 41,
    RequestDigests = 42,
    ResponseDigests = 43,
    Rest = 44,
    Rests = 45,
    Title = 46,
    Titles = 47,
    Status = 48,
    Block = 49,
    Row = 50,
}

/// One more than the highest number of a column.
const COLUMNS: usize = Column::Row as usize + 1;

/// Length from which a column is compressed with tables of its own, in bytes. A choice: they take some fifty bytes.
const APART_BYTES_MIN: usize = 1 << 10;

/// Columns in the making.
pub(crate) struct Columns {
    columns: [Vec<u8>; COLUMNS],
}

impl Default for Columns {
    fn default() -> Self {
        Self { columns: [const { Vec::new() }; COLUMNS] }
    }
}

impl Columns {
    fn column(&mut self, column: Column) -> &mut Vec<u8> {
        &mut self.columns[column as usize]
    }

    /// Puts a number.
    pub(crate) fn put(&mut self, column: Column, number: u64) {
        varint::put(self.column(column), number);
    }

    /// Puts how far `number` is from `base`: little where it is near, whichever comes first.
    pub(crate) fn put_from(&mut self, column: Column, base: u64, number: u64) {
        self.put(column, varint::zigzag(number.wrapping_sub(base).cast_signed()));
    }

    /// Puts a number as [`Columns::put_from`], its lowest seven bits in a column of their own: where most numbers are larger,
    /// what is chance and what is not stand apart.
    pub(crate) fn put_split_from(&mut self, [low, high]: [Column; 2], base: u64, number: u64) {
        let number = varint::zigzag(number.wrapping_sub(base).cast_signed());
        self.column(low).push(number as u8 & 0x7f);
        self.put(high, number >> 7);
    }

    /// Puts bytes whose number whoever takes them knows.
    pub(crate) fn put_bytes(&mut self, column: Column, bytes: &[u8]) {
        self.column(column).extend_from_slice(bytes);
    }

    /// Puts a text and how many bytes it has.
    pub(crate) fn put_text(&mut self, column: Column, text: &str) {
        self.put(column, text.len() as u64);
        self.put_bytes(column, text.as_bytes());
    }

    /// Length of all columns in bytes.
    pub(crate) fn len(&self) -> usize {
        self.columns.iter().map(Vec::len).sum()
    }

    /// Appends each column that is not empty: its number, a byte; its length; its bytes. Gives where in `out` long ones begin
    /// and end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) -> Vec<usize> {
        let mut cuts = Vec::new();
        for (number, column) in self.columns.iter().enumerate().filter(|(_, column)| !column.is_empty()) {
            out.push(number as u8);
            varint::put(out, column.len() as u64);
            if column.len() >= APART_BYTES_MIN {
                cuts.extend([out.len(), out.len() + column.len()]);
            }
            out.extend_from_slice(column);
        }
        cuts.retain(|cut| *cut < out.len());
        cuts
    }
}

/// Columns that are read, from the first value of each to its last.
#[derive(Clone)]
pub(crate) struct Reading<'a> {
    bytes: &'a [u8],
    /// What is left of each.
    columns: [Range<usize>; COLUMNS],
}

impl<'a> Reading<'a> {
    /// The columns that begin at `from` of `bytes` and fill the rest; those of numbers that this build does not know are
    /// passed over.
    pub(crate) fn of(bytes: &'a [u8], from: usize) -> Result<Self, String> {
        let mut columns = [const { 0..0 }; COLUMNS];
        let mut rest = bytes.get(from..).ok_or("the columns are cut short")?;
        let mut next = 0;
        while let Some((&number, after)) = rest.split_first() {
            rest = after;
            let len = varint::take(&mut rest).and_then(|len| usize::try_from(len).ok());
            let len = len.filter(|len| *len <= rest.len()).ok_or_else(|| format!("column {number} is cut short"))?;
            if number < next || len == 0 {
                return Err(format!("column {number} is not where it should be, or empty"));
            }
            next = number.checked_add(1).ok_or("there are too many columns")?;
            let start = bytes.len() - rest.len();
            rest = &rest[len..];
            if let Some(known) = columns.get_mut(usize::from(number)) {
                *known = start..start + len;
            }
        }
        Ok(Self { bytes, columns })
    }

    /// Where in the bytes the next value of a column stands.
    pub(crate) fn at(&self, column: Column) -> usize {
        self.columns[column as usize].start
    }

    /// The same columns, one of them from another place on.
    pub(crate) fn with(mut self, column: Column, at: usize) -> Self {
        self.columns[column as usize] = at..self.bytes.len();
        self
    }

    /// No columns of these bytes: what stands where is known already.
    pub(crate) fn nothing_of(bytes: &'a [u8]) -> Self {
        Self { bytes, columns: [const { 0..0 }; COLUMNS] }
    }

    /// Takes a number.
    #[inline]
    pub(crate) fn take(&mut self, column: Column) -> Result<u64, String> {
        let range = &mut self.columns[column as usize];
        // Most numbers are small.
        if let Some(&number) = self.bytes[range.clone()].first().filter(|number| **number < 0x80) {
            range.start += 1;
            return Ok(u64::from(number));
        }
        let mut rest = &self.bytes[range.clone()];
        let number = varint::take(&mut rest).ok_or_else(|| lacking(column))?;
        range.start = range.end - rest.len();
        Ok(number)
    }

    /// Takes what [`Columns::put_from`] put.
    pub(crate) fn take_from(&mut self, column: Column, base: u64) -> Result<u64, String> {
        Ok(base.wrapping_add_signed(varint::unzigzag(self.take(column)?)))
    }

    /// Takes what [`Columns::put_split_from`] put.
    pub(crate) fn take_split_from(&mut self, [low, high]: [Column; 2], base: u64) -> Result<u64, String> {
        let [lowest] = self.take_array(low)?;
        let number = self.take(high)?;
        if lowest > 0x7f || number > u64::MAX >> 7 {
            return Err(format!("a number of column {} is too large", low as u8));
        }
        Ok(base.wrapping_add_signed(varint::unzigzag(number << 7 | u64::from(lowest))))
    }

    /// Takes this many bytes.
    pub(crate) fn take_bytes(&mut self, column: Column, len: u64) -> Result<&'a [u8], String> {
        let range = &mut self.columns[column as usize];
        let len = usize::try_from(len).ok().filter(|len| *len <= range.len()).ok_or_else(|| lacking(column))?;
        let bytes = &self.bytes[range.start..range.start + len];
        range.start += len;
        Ok(bytes)
    }

    /// Takes an array of bytes.
    pub(crate) fn take_array<const N: usize>(&mut self, column: Column) -> Result<[u8; N], String> {
        let bytes = self.take_bytes(column, N as u64)?;
        Ok(bytes.try_into().expect("as many were taken"))
    }

    /// Takes bytes that [`Columns::put_text`] put, which have to be UTF-8.
    pub(crate) fn take_text(&mut self, column: Column) -> Result<&'a str, String> {
        let len = self.take(column)?;
        let bytes = self.take_bytes(column, len)?;
        std::str::from_utf8(bytes).map_err(|_| format!("a text of column {} is not UTF-8", column as u8))
    }

    /// # Errors
    /// Where a column that is known has more than was taken.
    pub(crate) fn finish(&self) -> Result<(), String> {
        match self.columns.iter().position(|column| !column.is_empty()) {
            Some(number) => Err(format!("column {number} has more than its rows need")),
            None => Ok(()),
        }
    }
}

fn lacking(column: Column) -> String {
    format!("column {} has less than its rows need", column as u8)
}

/// Numbers for what may come again: 0 is nothing, 1 is new and stands in a column of its own, and *n* + 2 is the *n*th that
/// was new.
pub(crate) struct Known<T> {
    numbers: HashMap<T, u64>,
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<T: Eq + Hash> Known<T> {
    /// The number of `item`, 1 where it is new.
    pub(crate) fn number<Q: Eq + Hash + ?Sized + ToOwned<Owned = T>>(&mut self, item: &Q) -> u64
    where
        T: Borrow<Q>,
    {
        if let Some(number) = self.numbers.get(item) {
            return number + 2;
        }
        self.numbers.insert(item.to_owned(), self.numbers.len() as u64);
        1
    }
}

/// The other side of [`Known`].
pub(crate) struct Listed<T> {
    items: Vec<T>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T> Listed<T> {
    /// Which item this number is, if any; a new one is what `read` gives.
    pub(crate) fn take(
        &mut self,
        number: u64,
        read: impl FnOnce() -> Result<T, String>,
    ) -> Result<Option<usize>, String> {
        match number {
            0 => Ok(None),
            1 => {
                self.items.push(read()?);
                Ok(Some(self.items.len() - 1))
            }
            _ => {
                let at = usize::try_from(number - 2).ok().filter(|at| *at < self.items.len());
                Ok(Some(at.ok_or("a row refers to something that was not there before")?))
            }
        }
    }

    /// The item.
    pub(crate) fn get(&self, at: usize) -> &T {
        &self.items[at]
    }

    /// All of them, in the order in which they were new.
    pub(crate) fn into_items(self) -> Vec<T> {
        self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_in_the_order_they_were_put_and_no_column_has_more() {
        let mut columns = Columns::default();
        columns.put(Column::Session, 300);
        columns.put_from(Column::Started, 10, 3);
        columns.put_from(Column::Started, 3, u64::MAX);
        columns.put_split_from([Column::RequestChunkTime, Column::RequestChunkTimeHigh], 500, 300);
        columns.put_text(Column::Rests, "text");
        columns.put_bytes(Column::Ids, &[7; 16]);
        let mut bytes = Vec::new();
        columns.write(&mut bytes);
        let mut reading = Reading::of(&bytes, 0).unwrap();
        assert_eq!(reading.take(Column::Session), Ok(300));
        assert_eq!(reading.take_from(Column::Started, 10), Ok(3));
        assert_eq!(reading.take_from(Column::Started, 3), Ok(u64::MAX));
        let split = [Column::RequestChunkTime, Column::RequestChunkTimeHigh];
        assert_eq!(reading.take_split_from(split, 500), Ok(300));
        assert_eq!(reading.take_text(Column::Rests), Ok("text"));
        assert!(reading.finish().unwrap_err().starts_with("column 10 "));
        assert_eq!(reading.take_array::<16>(Column::Ids), Ok([7; 16]));
        assert_eq!(reading.finish(), Ok(()));
        assert!(reading.take(Column::Session).is_err());
    }

    #[test]
    fn an_unknown_column_is_passed_over_and_one_out_of_order_or_cut_is_refused() {
        assert!(Reading::of(&[200, 2, 1, 1], 0).is_ok());
        assert!(Reading::of(&[3, 1, 0, 2, 1, 0], 0).is_err());
        assert!(Reading::of(&[3, 1, 0, 3, 1, 0], 0).is_err());
        assert!(Reading::of(&[3, 0], 0).is_err());
        assert!(Reading::of(&[3, 9, 0], 0).is_err());
        assert!(Reading::of(&[3], 0).is_err());
    }

    #[test]
    fn what_comes_again_is_a_number() {
        let mut known = Known::<String>::default();
        assert_eq!(["a", "b", "a"].map(|text| known.number(text)), [1, 1, 2]);
        let mut listed = Listed::default();
        let mut take = |number| listed.take(number, || Ok(number));
        assert_eq!([take(0), take(1), take(2)], [Ok(None), Ok(Some(0)), Ok(Some(0))]);
        assert!(take(3).is_err());
    }
}

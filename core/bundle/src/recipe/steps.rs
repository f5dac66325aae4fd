//! The steps of a recipe: bytes as they are, and pieces by their numbers.
//!
//! In: which ranges of a text are pieces. Out: the written form, in which runs of pieces that come again are groups of their
//! own; and its steps again.

use std::ops::Range;

use super::{Form, Name, PIECES_MAX, Shelf, chunks};
use crate::{WriteError, varint};

/// Fewest and most steps of a group, and what ends one between: the piece after which about one in eight does. Groups
/// depend on their own pieces alone, so that a history that has grown has the groups that it had, and one more.
const GROUP_STEPS_MIN: usize = 4;
const GROUP_STEPS_MAX: usize = 64;
const GROUP_END_BITS: u32 = 3;

/// Longest run of bytes that stands in a recipe; of a longer one chunks are made. A choice, as the design says.
pub(super) const INLINE_BYTES_MAX: usize = 16 << 10;

/// What stands before a piece: lists have it between their elements, and their first element has nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Separator {
    Nothing = 0,
    Comma = 1,
    CommaSpace = 2,
}

impl Separator {
    const ALL: [Self; 3] = [Self::Nothing, Self::Comma, Self::CommaSpace];

    /// Its bytes.
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Self::Nothing => b"",
            Self::Comma => b",",
            Self::CommaSpace => b", ",
        }
    }

    /// The separator that these bytes are.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|separator| separator.bytes() == bytes)
    }
}

/// One step of a written recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// A separator and the bytes of a piece.
    Piece {
        /// What comes before.
        separator: &'static [u8],
        /// The piece's number; lower than the recipe's own.
        number: u32,
    },
}

/// A recipe in the making.
pub(super) struct Steps<'a> {
    text: &'a [u8],
    steps: Vec<Made>,
    /// Where in the text the steps end.
    end: usize,
}

#[derive(Clone, Debug)]
enum Made {
    Bytes(Range<usize>),
    Piece(Separator, u32),
}

impl<'a> Steps<'a> {
    /// No step yet.
    pub(super) fn of(text: &'a [u8]) -> Self {
        Self { text, steps: Vec::new(), end: 0 }
    }

    /// These bytes of the text are a piece; what stands between the step before and them is bytes.
    pub(super) fn piece(&mut self, range: Range<usize>, number: u32) {
        let between = &self.text[self.end..range.start];
        let separator = match self.steps.last() {
            Some(Made::Piece(..)) => Separator::of(between),
            _ => None,
        };
        let separator = separator.unwrap_or_else(|| {
            self.bytes_until(range.start);
            Separator::Nothing
        });
        self.steps.push(Made::Piece(separator, number));
        self.end = range.end;
    }

    /// True where no part of the text is a piece.
    pub(super) fn is_plain(&self) -> bool {
        self.steps.is_empty()
    }

    fn bytes_until(&mut self, end: usize) {
        if end > self.end {
            self.steps.push(Made::Bytes(self.end..end));
            self.end = end;
        }
    }

    /// Makes chunks of what is long, and groups of what may come again.
    ///
    /// # Errors
    /// The shelf's.
    pub(super) fn finish(mut self, shelf: &mut impl Shelf) -> Result<Finished<'a>, WriteError> {
        self.bytes_until(self.text.len());
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in std::mem::take(&mut self.steps) {
            match step {
                Made::Bytes(range) if range.len() > INLINE_BYTES_MAX => {
                    for chunk in chunks(&self.text[range]) {
                        steps.push(Made::Piece(
                            Separator::Nothing,
                            shelf.put_named(Name::of(chunk), Form::Data, chunk)?,
                        ));
                    }
                }
                step => steps.push(step),
            }
        }
        Ok(Finished { text: self.text, steps: grouped(steps, shelf)? })
    }
}

/// A recipe whose steps are final.
pub(super) struct Finished<'a> {
    text: &'a [u8],
    steps: Vec<Made>,
}

impl Finished<'_> {
    /// Appends the written form, for the recipe with the number `own`.
    pub(super) fn write(&self, own: u32, bytes: &mut Vec<u8>) {
        let mut expected = i64::from(own);
        for step in &self.steps {
            match step {
                Made::Bytes(range) => {
                    varint::put(bytes, (range.len() as u64) << 1);
                    bytes.extend_from_slice(&self.text[range.clone()]);
                }
                Made::Piece(separator, number) => {
                    let number = i64::from(*number);
                    let distance = varint::zigzag(number - expected);
                    varint::put(bytes, distance << 3 | (*separator as u64) << 1 | 1);
                    expected = number + 1;
                }
            }
        }
    }
}

fn grouped(steps: Vec<Made>, shelf: &mut impl Shelf) -> Result<Vec<Made>, WriteError> {
    let mut out = Vec::with_capacity(steps.len());
    let mut run: Vec<(Separator, u32)> = Vec::new();
    for step in steps {
        let Made::Piece(separator, number) = step else {
            out.extend(run.drain(..).map(|(separator, number)| Made::Piece(separator, number)));
            out.push(step);
            continue;
        };
        run.push((separator, number));
        if run.len() >= GROUP_STEPS_MAX || (run.len() >= GROUP_STEPS_MIN && ends_group(number)) {
            out.push(Made::Piece(Separator::Nothing, group(&run, shelf)?));
            run.clear();
        }
    }
    out.extend(run.drain(..).map(|(separator, number)| Made::Piece(separator, number)));
    Ok(out)
}

/// True for about one number in eight, spread evenly (Knuth's multiplicative hashing).
fn ends_group(number: u32) -> bool {
    number.wrapping_mul(0x9E37_79B1) >> (u32::BITS - GROUP_END_BITS) == 0
}

/// The piece that is these pieces one after another.
fn group(run: &[(Separator, u32)], shelf: &mut impl Shelf) -> Result<u32, WriteError> {
    let name = Name::of_group(run.iter().map(|(separator, number)| (*separator as u8, *number)));
    if let Some(number) = shelf.find(&name) {
        return Ok(number);
    }
    let steps = run.iter().map(|(separator, number)| Made::Piece(*separator, *number)).collect();
    let mut payload = Vec::new();
    Finished { text: b"", steps }.write(shelf.next(), &mut payload);
    shelf.put(Some(name), Form::List, &payload)
}

/// Takes the next step of a written recipe off `bytes`; `own` is the recipe's number and `expected` begins with it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn take<'a>(bytes: &mut &'a [u8], own: u32, expected: &mut i64) -> Result<Step<'a>, &'static str> {
    let head = varint::take(bytes).ok_or("a step's number is cut short")?;
    if head & 1 == 0 {
        let len = usize::try_from(head >> 1).ok().filter(|len| (1..=bytes.len()).contains(len));
        let (step, rest) = bytes.split_at(len.ok_or("a step has no bytes, or more than there are")?);
        *bytes = rest;
        return Ok(Step::Bytes(step));
    }
    let separator = Separator::ALL.get((head >> 1 & 3) as usize).ok_or("a step has a separator that is none")?;
    let number = expected.checked_add(varint::unzigzag(head >> 3)).ok_or("a step leads too far")?;
    if !(0..i64::from(own.min(PIECES_MAX))).contains(&number) {
        return Err("a step leads to a piece that does not come before");
    }
    *expected = number + 1;
    Ok(Step::Piece { separator: separator.bytes(), number: number as u32 })
}

//! What a file's pieces come to, without putting any together.
//!
//! In: each piece as it is written, in order. Out: how long the bytes are that it gives, which of the pieces before it are
//! missing where it has none, and what the bodies of a record lack.

use std::{collections::BTreeSet, ops::Range};

use exchange::Part;

use crate::{
    PART_BYTES_MAX, Record,
    recipe::{Form, PIECES_DEEP, PIECES_MAX, Recipe, Step, events_len},
};

/// Missing pieces that are named of one that needs them, at most. A choice: they stand in a few blocks.
const MISSING_NAMED_MAX: usize = 64;

/// Pieces of which it is remembered what they miss, at most; of others it is that they are not whole. A choice: a stranger's
/// file has millions of them for nothing.
const LOST_NAMED_MAX: usize = 1 << 16;

/// The pieces of a file, as far as they were read.
#[derive(Default)]
pub(crate) struct PieceTable {
    /// Those that were read, in stretches that begin with these numbers.
    stretches: Vec<(u32, Vec<Known>)>,
    /// Those that were not.
    gaps: Vec<Gap>,
    /// What is missing of those that are not whole for what they refer to, by their numbers, which rise.
    missing: Vec<(u32, Box<[u32]>)>,
    next: u32,
    /// Steps that were looked at, and pieces that were named as missing: what all of it took.
    #[cfg(test)]
    work: usize,
}

/// Pieces that could not be read.
struct Gap {
    pieces: Range<u32>,
    /// Where in the file they were.
    bytes: Range<u64>,
}

/// What is known of a piece: length in the upper 24 bits, depth in the lower 8; [`Known::LOST`] of one that is not whole.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Known(u32);

impl Known {
    const LOST: Self = Self(u32::MAX);

    fn whole(len: usize, depth: usize) -> Self {
        Self((len as u32) << 8 | depth as u32)
    }

    fn len(self) -> usize {
        (self.0 >> 8) as usize
    }

    fn depth(self) -> usize {
        (self.0 & 0xff) as usize
    }
}

/// What keeps the bodies of a record from being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lack {
    /// Pieces that are not here, or wrong in themselves.
    pub(crate) missing: BTreeSet<u32>,
    /// What it comes to, in words.
    pub(crate) what: String,
}

impl PieceTable {
    /// The number of the piece that comes next.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// The pieces up to this number could not be read; they were at these bytes of the file.
    pub(crate) fn skip_to(&mut self, number: u32, bytes: Range<u64>) {
        self.gaps.push(Gap { pieces: self.next..number, bytes });
        self.next = number;
    }

    /// Where a piece was that could not be read.
    pub(crate) fn bytes_of_missing(&self, number: u32) -> Option<Range<u64>> {
        let after = self.gaps.partition_point(|gap| gap.pieces.end <= number);
        self.gaps.get(after).filter(|gap| gap.pieces.contains(&number)).map(|gap| gap.bytes.clone())
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// What is wrong with it in itself; it is counted all the same.
    pub(crate) fn take(&mut self, flags: u8, payload: &[u8]) -> Result<(), String> {
        if self.next >= PIECES_MAX {
            return Err("the file holds more pieces than a file may have".to_owned());
        }
        let own = self.next;
        let known = self.known_of(own, flags, payload);
        let (known, said) = match known {
            Ok(known) => (known, Ok(())),
            Err(what) => (Known::LOST, Err(format!("piece {own}: {what}"))),
        };
        match self.stretches.last_mut() {
            Some((first, stretch)) if *first as usize + stretch.len() == own as usize => stretch.push(known),
            _ => self.stretches.push((own, vec![known])),
        }
        self.next += 1;
        said
    }

    fn known_of(&mut self, own: u32, flags: u8, payload: &[u8]) -> Result<Known, &'static str> {
        // What a later release writes cannot be looked into; whoever wants its bytes is told.
        let form = Form::of(flags).ok_or("it has a form that this build does not know")?;
        let Some(recipe) = Recipe::of(form, own, payload)? else {
            return if payload.is_empty() { Err("it has no bytes") } else { Ok(Known::whole(payload.len(), 0)) };
        };
        let control = recipe.control();
        let (mut len, mut depth) = (0, 0);
        let mut missing = BTreeSet::new();
        let mut is_whole = true;
        for step in recipe {
            self.count(1);
            len += match step? {
                Step::Bytes(bytes) => bytes.len(),
                Step::Piece { separator, number } => match self.known(number) {
                    Some(known) if known != Known::LOST => {
                        depth = depth.max(known.depth() + 1);
                        separator.len() + known.len()
                    }
                    _ => {
                        is_whole = false;
                        if self.missing.len() < LOST_NAMED_MAX {
                            self.add_missing(number, &mut missing);
                        }
                        0
                    }
                },
            };
            if len > PART_BYTES_MAX {
                return Err("it is longer than a part of a body may be");
            }
        }
        if !is_whole {
            if !missing.is_empty() {
                self.count(missing.len());
                self.missing.push((own, missing.into_iter().collect()));
            }
            return Ok(Known::LOST);
        }
        if let Some(control) = control {
            len = events_len(control, len)?;
        }
        if len == 0 || len > PART_BYTES_MAX || depth >= PIECES_DEEP {
            return Err("it has no bytes, or more than a part of a body may have, or refers to pieces too deeply");
        }
        Ok(Known::whole(len, depth))
    }

    fn known(&self, number: u32) -> Option<Known> {
        let after = self.stretches.partition_point(|(first, _)| *first <= number);
        let (first, stretch) = self.stretches.get(after.checked_sub(1)?)?;
        stretch.get((number - first) as usize).copied()
    }

    /// Adds what is missing of a piece that is not whole: itself, or what it refers to.
    fn add_missing(&self, number: u32, missing: &mut BTreeSet<u32>) {
        let of_it = self.missing.binary_search_by_key(&number, |(own, _)| *own);
        let of_it = of_it.ok().map(|at| &self.missing[at].1[..]);
        let all = of_it.into_iter().flatten().copied().chain(of_it.is_none().then_some(number));
        let room = MISSING_NAMED_MAX.saturating_sub(missing.len());
        missing.extend(all.take(room));
    }

    #[cfg(test)]
    fn count(&mut self, work: usize) {
        self.work += work;
    }

    #[cfg(not(test))]
    fn count(&mut self, _: usize) {}

    /// What the bodies of a record lack; the pieces of a record come before it.
    pub(crate) fn lack_of(&self, record: &Record) -> Option<Lack> {
        let mut missing = BTreeSet::new();
        let mut what = None;
        for Part { piece, len, .. } in record.bodies().into_iter().flatten().flat_map(|body| &body.parts) {
            match self.known(*piece) {
                Some(Known::LOST) | None => {
                    self.add_missing(*piece, &mut missing);
                    what.get_or_insert_with(|| format!("piece {piece}, which is not here or not whole"));
                }
                Some(known) if known.len() as u64 != *len => {
                    let said = || format!("piece {piece} as one of {len} bytes, and it has {}", known.len());
                    what.get_or_insert_with(said);
                }
                Some(_) => {}
            }
        }
        what.map(|what| Lack { missing, what })
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Body, ImageIdentity, ImageRecord};

    use super::*;
    use crate::recipe::Form;

    const DATA: u8 = Form::Data as u8;
    const LIST: u8 = Form::List as u8;

    fn image(parts: &[(u32, u64)]) -> Record {
        let parts = parts.iter().map(|part| Part::from(*part)).collect();
        let archive = Body { parts, ..Body::default() };
        Record::Image(Box::new(ImageRecord { identity: ImageIdentity::default(), archive }))
    }

    /// Steps that lead from the piece `own` to these.
    fn list(own: u32, to: &[u32]) -> Vec<u8> {
        let mut expected = own;
        let step = |&to: &u32| {
            let back = expected - to;
            expected = to + 1;
            // Zigzag of a negative distance, no separator, a reference; below 16 in one byte.
            ((2 * back as u8 - 1) << 3) | 1
        };
        to.iter().map(step).collect()
    }

    #[test]
    fn what_a_body_lacks_is_named_through_all_that_refers_to_it() {
        let mut pieces = PieceTable::default();
        pieces.take(DATA, b"abc").unwrap();
        pieces.skip_to(2, 100..200);
        pieces.take(DATA, b"de").unwrap();
        pieces.take(LIST, &list(3, &[0])).unwrap();
        pieces.take(LIST, &list(4, &[1])).unwrap();
        pieces.take(LIST, &list(5, &[4])).unwrap();
        assert_eq!(pieces.lack_of(&image(&[(0, 3), (2, 2), (3, 3)])), None);
        let lack = pieces.lack_of(&image(&[(0, 3), (5, 9)])).unwrap();
        assert_eq!((lack.missing, &lack.what[..]), (BTreeSet::from([1]), "piece 5, which is not here or not whole"));
        assert_eq!((pieces.bytes_of_missing(1), pieces.bytes_of_missing(2)), (Some(100..200), None));
        let lack = pieces.lack_of(&image(&[(3, 4)])).unwrap();
        assert_eq!((lack.missing.len(), &lack.what[..]), (0, "piece 3 as one of 4 bytes, and it has 3"));
        assert!(pieces.lack_of(&image(&[(77, 4)])).is_some());
    }

    #[test]
    fn a_piece_that_is_wrong_in_itself_is_said_and_missing_from_what_refers_to_it() {
        let mut pieces = PieceTable::default();
        assert!(pieces.take(DATA, b"").unwrap_err().contains("no bytes"));
        assert!(pieces.take(9, b"x").unwrap_err().contains("does not know"));
        assert!(pieces.take(LIST, &[1]).unwrap_err().contains("does not come before"));
        pieces.take(LIST, &list(3, &[2])).unwrap();
        assert_eq!(pieces.lack_of(&image(&[(3, 1)])).unwrap().missing, BTreeSet::from([2]));
    }

    /// What is too deep is not gone into again by what refers to it.
    #[test]
    fn a_chain_of_a_million_pieces_takes_a_look_at_each_and_names_few() {
        const COUNT: usize = 1_000_000;
        let mut pieces = PieceTable::default();
        pieces.take(DATA, b"x").unwrap();
        // One step that leads to the piece before.
        let refused = (0..COUNT).filter(|_| pieces.take(LIST, &[1 << 3 | 1]).is_err()).count();
        assert_eq!((refused, pieces.missing.len()), (1, LOST_NAMED_MAX));
        assert!(pieces.work <= COUNT + LOST_NAMED_MAX, "{}", pieces.work);
    }

    /// A piece that refers to many that are not whole, in their turn, names a bounded number of what they miss.
    #[test]
    fn what_misses_much_of_much_takes_a_bounded_look() {
        let mut pieces = PieceTable::default();
        pieces.skip_to(1000, 0..1);
        for own in 1000..2000_u32 {
            let to: Vec<u32> = (0..1000).map(|step| if own < 1100 { step } else { own - 100 + step % 100 }).collect();
            pieces.take(LIST, &long_list(own, &to)).unwrap();
        }
        assert!(pieces.missing.iter().all(|(_, missing)| missing.len() <= MISSING_NAMED_MAX));
        assert!(pieces.work <= 1000 * (1000 + MISSING_NAMED_MAX), "{}", pieces.work);
    }

    /// As `list`, of any distance.
    fn long_list(own: u32, to: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut expected = i64::from(own);
        for &to in to {
            crate::varint::put(&mut bytes, crate::varint::zigzag(i64::from(to) - expected) << 3 | 1);
            expected = i64::from(to) + 1;
        }
        bytes
    }

    #[test]
    fn pieces_that_double_those_before_them_end_at_the_longest_part_and_the_depth() {
        let mut pieces = PieceTable::default();
        pieces.take(DATA, &[0; 1 << 19]).unwrap();
        let doubled: Vec<_> = (1..20).map(|own| pieces.take(LIST, &list(own, &[own - 1, own - 1]))).collect();
        assert!(doubled[..4].iter().all(Result::is_ok));
        assert!(doubled[4].as_ref().unwrap_err().contains("longer"));
        let mut pieces = PieceTable::default();
        pieces.take(DATA, b"x").unwrap();
        let deeper: Vec<_> = (1..20).map(|own| pieces.take(LIST, &list(own, &[own - 1]))).collect();
        assert_eq!(deeper.iter().take_while(|taken| taken.is_ok()).count(), PIECES_DEEP - 1);
    }
}

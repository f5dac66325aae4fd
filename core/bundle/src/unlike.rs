//! Where in a block of pieces something else begins that compresses better by itself.
//!
//! In: what a block holds. Out: places to end a block of its zstd frame at. One such block has one table for its literals:
//! an array of floats between bodies that are compressed already finds none of its own, and takes more than alone. Whether
//! it is worth it is seen by whoever compresses; nothing here looks at repeats.

use crate::{
    layout::RECORD_HEADER_LEN,
    record::{RawRecord, RecordsOf},
};

/// Shortest piece that is looked at by itself. A choice: a shorter one saves less than a table takes.
const PIECE_BYTES_MIN: usize = 256;

/// What the head of a block of a frame takes, in bits, and a table of literals: up to 128 bytes (RFC 8878, section 4.2.1).
const HEAD_BITS: u64 = 3 * 8;
const TABLE_BITS: u64 = 128 * 8;

/// What a table has to save for zstd to use one: a 64th of the bytes (its `ZSTD_minGain`).
const SAVED_SHIFT: u32 = 6;

/// Fixed point of logarithms, in bits.
const FRACTION_BITS: u32 = 16;

/// Where in `raw`, a block of records, something begins that is unlike what came before it: strictly forward, none at an end.
pub(crate) fn cuts(raw: &[u8]) -> Vec<usize> {
    let mut cuts = Vec::new();
    let mut run = Counts::default();
    let mut run_bits = 0;
    for RawRecord { offset, payload, .. } in RecordsOf::of(raw) {
        let piece = Counts::of(payload);
        let both = run.and(&piece);
        let (piece_bits, both_bits) = (piece.bits(), both.bits());
        let from = offset as usize;
        if payload.len() >= PIECE_BYTES_MIN && from > 0 && run_bits + piece_bits < both_bits {
            cuts.push(from);
            (run, run_bits) = (piece, piece_bits);
        } else {
            (run, run_bits) = (both, both_bits);
        }
    }
    debug_assert!(cuts.iter().all(|&cut| cut + RECORD_HEADER_LEN < raw.len()));
    cuts
}

/// How often each byte stands in bytes.
#[derive(Clone)]
struct Counts([u32; 256]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl Counts {
    fn of(bytes: &[u8]) -> Self {
        let mut counts = Self::default();
        bytes.iter().for_each(|&byte| counts.0[usize::from(byte)] += 1);
        counts
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.0.iter_mut().zip(other.0).for_each(|(count, other)| *count += other);
        both
    }

    /// What the bytes take as a block of their own, in bits: each a code by how often it stands there (Shannon 1948), and the
    /// table of these, or as they are where that saves too little. In whole numbers, so that every machine cuts alike.
    fn bits(&self) -> u64 {
        let weighed = |count: u64| count * log2(count);
        let all: u64 = self.0.iter().map(|&count| u64::from(count)).sum();
        let each: u64 = self.0.iter().map(|&count| weighed(u64::from(count))).sum();
        let coded = TABLE_BITS + (weighed(all).saturating_sub(each) >> FRACTION_BITS);
        HEAD_BITS + if coded < 8 * (all - (all >> SAVED_SHIFT)) { coded } else { 8 * all }
    }
}

/// The logarithm of a number, to 0.008 in [`FRACTION_BITS`]: 0 of 0. Between powers of two it is a parabola through both.
fn log2(number: u64) -> u64 {
    const ONE: u64 = 1 << FRACTION_BITS;
    /// 0.344, which is off least.
    const BEND: u64 = ONE * 344 / 1000;
    let Some(whole) = number.checked_ilog2() else { return 0 };
    let part = (number << FRACTION_BITS >> whole) - ONE;
    let bent = (((part * (ONE - part)) >> FRACTION_BITS) * BEND) >> FRACTION_BITS;
    (u64::from(whole) << FRACTION_BITS) + part + bent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{record::record_header, sample::noise};

    fn block(pieces: &[Vec<u8>]) -> Vec<u8> {
        let put = |piece: &Vec<u8>| [&record_header(1, 0, piece.len() as u32)[..], piece].concat();
        pieces.iter().flat_map(put).collect()
    }

    fn digits(seed: u64, len: usize) -> Vec<u8> {
        noise(seed, len).into_iter().map(|byte| b'0' + byte % 10).collect()
    }

    #[test]
    fn it_cuts_where_bytes_are_unlike_and_not_among_those_that_are_alike_or_few() {
        let alike = block(&(0..20).map(|seed| noise(seed, 1000)).collect::<Vec<_>>());
        assert!(cuts(&alike).is_empty());
        assert!(cuts(&block(&[digits(1, 900), digits(2, 900), digits(3, 100)])).is_empty());
        let unlike = block(&[noise(1, 1000), noise(2, 1000), digits(3, 1000), digits(4, 1000), noise(5, 1000)]);
        assert_eq!(cuts(&unlike), [2 * 1006, 4 * 1006]);
        let few = block(&[noise(1, 1000), digits(2, 100), noise(3, 1000)]);
        assert!(cuts(&few).is_empty() && cuts(b"").is_empty());
    }

    #[test]
    fn a_logarithm_in_whole_numbers_is_off_by_little() {
        for number in (1..5000_u64).chain([1 << 23, (1 << 23) - 1, 3 << 21]) {
            let exact = (number as f64).log2();
            let found = log2(number) as f64 / f64::from(1 << FRACTION_BITS);
            assert!((exact - found).abs() < 0.01, "{number}: {exact} and {found}");
        }
        assert_eq!(log2(0), 0);
    }
}

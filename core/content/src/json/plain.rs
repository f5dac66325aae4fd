//! How far a string goes on with characters that stand for themselves.

/// Bytes that are looked at in one step.
const BLOCK: usize = 16;

/// Length up to the first quote, backslash or control character: what may stand in a string as it is.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    match bytes.first_chunk().map(first_in) {
        Some(Some(at)) => at,
        Some(None) => BLOCK + plain_len_of_more(&bytes[BLOCK..]),
        None => plain_len_one_by_one(bytes),
    }
}

/// The same for what is mostly longer than a block.
fn plain_len_of_more(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks();
    for (number, block) in blocks.iter().enumerate() {
        if let Some(at) = first_in(block) {
            return BLOCK * number + at;
        }
    }
    BLOCK * blocks.len() + plain_len_one_by_one(rest)
}

#[inline(never)]
fn plain_len_one_by_one(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

/// The first quote, backslash or control character in a block.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instructions are there on every x86-64, which the compiler wants to be told")]
fn first_in(block: &[u8; BLOCK]) -> Option<usize> {
    // SAFETY: SSE2 is part of x86-64 itself.
    let found = unsafe { marked_in(block) };
    (found != 0).then(|| found.trailing_zeros() as usize)
}

/// A bit for each quote, backslash or control character in a block.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse2")]
#[inline]
fn marked_in(block: &[u8; BLOCK]) -> i32 {
    use std::arch::x86_64::{
        _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
    };
    let [low, high] = [0, 8].map(|at| i64::from_le_bytes(std::array::from_fn(|byte| block[at + byte])));
    let block = _mm_set_epi64x(high, low);
    let is_quote = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
    let is_backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
    let is_control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
    _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_quote, is_backslash), is_control))
}

/// The first quote, backslash or control character in a block.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn first_in(block: &[u8; BLOCK]) -> Option<usize> {
    const ONES: u128 = u128::from_le_bytes([1; BLOCK]);
    const HIGHS: u128 = u128::from_le_bytes([0x80; BLOCK]);
    let block = u128::from_le_bytes(*block);
    // The lowest byte whose high bit is set in one of these is one that was looked for (Mycroft's test for zero bytes).
    let is_quote = (block ^ (ONES * u128::from(b'"'))).wrapping_sub(ONES);
    let is_backslash = (block ^ (ONES * u128::from(b'\\'))).wrapping_sub(ONES);
    let is_control = block.wrapping_sub(ONES * 0x20);
    let found = (is_quote | is_backslash | is_control) & !block & HIGHS;
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_of_any_length_end_where_the_first_byte_is_that_is_looked_for(
            len in 0_usize..300,
            at in 0_usize..300,
            byte in prop_oneof![Just(b'"'), Just(b'\\'), 0_u8..0x20],
            plain in prop::sample::select(vec![b' ', b'!', b'#', b'[', b']', b'a', 0x7f, 0x80, 0xa2, 0xdc, 0xff]),
        ) {
            let mut bytes = vec![plain; len];
            prop_assert_eq!(plain_len(&bytes), len);
            if let Some(found) = bytes.get_mut(at) {
                *found = byte;
                prop_assert_eq!(plain_len(&bytes), at);
            }
        }
    }
}

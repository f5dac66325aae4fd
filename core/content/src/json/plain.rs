//! Sixteen bytes in one step: how far a string goes on with characters that stand for themselves, which bytes are digits, how
//! much two texts have in common.

/// Bytes that are looked at in one step.
pub(super) const BLOCK: usize = 16;

/// The next quote, backslash or control character from here on, or the end: up to there a string stands for itself.
#[inline]
pub(super) fn plain_end(bytes: &[u8], begin: usize) -> usize {
    let mut rest = &bytes[begin..];
    while let Some((block, behind)) = rest.split_first_chunk() {
        let marked = marked_in(block);
        if marked != 0 {
            return bytes.len() - rest.len() + marked.trailing_zeros() as usize;
        }
        rest = behind;
    }
    bytes.len() - rest.len() + plain_len_one_by_one(rest)
}

/// The bytes that are looked at in one step, if there are as many.
#[inline]
pub(super) fn block_at(bytes: &[u8], at: usize) -> Option<&[u8; BLOCK]> {
    bytes.get(at..at + BLOCK)?.first_chunk()
}

#[inline(never)]
fn plain_len_one_by_one(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    bytes.iter().position(ends).unwrap_or(bytes.len())
}

/// How many bytes two blocks have in common at their beginning.
#[inline]
pub(super) fn common_len(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> usize {
    // No bit is set behind the block.
    (!equal_in(one, other)).trailing_zeros() as usize
}

/// A bit for each quote, backslash or control character in a block.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instructions are there on every x86-64, which the compiler wants to be told")]
fn marked_in(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: SSE2 is part of x86-64 itself.
    unsafe { sse2::marked_in(block) }
}

/// A bit for each digit in a block.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instructions are there on every x86-64, which the compiler wants to be told")]
pub(super) fn digits_in(block: &[u8; BLOCK]) -> u32 {
    // SAFETY: SSE2 is part of x86-64 itself.
    unsafe { sse2::digits_in(block) }
}

/// A bit for each byte that is the same in both blocks.
#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "the instructions are there on every x86-64, which the compiler wants to be told")]
fn equal_in(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
    // SAFETY: SSE2 is part of x86-64 itself.
    unsafe { sse2::equal_in(one, other) }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_or_si128, _mm_set_epi64x, _mm_set1_epi8,
        _mm_sub_epi8,
    };

    use super::BLOCK;

    #[target_feature(enable = "sse2")]
    #[inline]
    fn loaded(block: &[u8; BLOCK]) -> __m128i {
        let [low, high] = [0, 8].map(|at| i64::from_le_bytes(std::array::from_fn(|byte| block[at + byte])));
        _mm_set_epi64x(high, low)
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn marked_in(block: &[u8; BLOCK]) -> u32 {
        let block = loaded(block);
        let is_quote = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'"' as i8));
        let is_backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8(b'\\' as i8));
        let is_control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(is_quote, is_backslash), is_control)) as u32
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn digits_in(block: &[u8; BLOCK]) -> u32 {
        let digits = _mm_sub_epi8(loaded(block), _mm_set1_epi8(b'0' as i8));
        _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(digits, _mm_set1_epi8(9)), digits)) as u32
    }

    #[target_feature(enable = "sse2")]
    #[inline]
    pub(super) fn equal_in(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
        _mm_movemask_epi8(_mm_cmpeq_epi8(loaded(one), loaded(other))) as u32
    }
}

/// A bit for each quote, backslash or control character in a block.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn marked_in(block: &[u8; BLOCK]) -> u32 {
    bits(block, |byte| matches!(byte, b'"' | b'\\') || byte < 0x20)
}

/// A bit for each digit in a block.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(super) fn digits_in(block: &[u8; BLOCK]) -> u32 {
    bits(block, |byte| byte.is_ascii_digit())
}

/// A bit for each byte that is the same in both blocks.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn equal_in(one: &[u8; BLOCK], other: &[u8; BLOCK]) -> u32 {
    one.iter().zip(other).rev().fold(0, |bits, (one, other)| bits << 1 | u32::from(one == other))
}

/// A bit for each byte of which that is true.
#[cfg(any(test, not(target_arch = "x86_64")))]
#[inline]
fn bits(block: &[u8; BLOCK], is: impl Fn(u8) -> bool) -> u32 {
    block.iter().rev().fold(0, |bits, byte| bits << 1 | u32::from(is(*byte)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_of_a_block_are_told_as_one_by_one(one in any::<[u8; BLOCK]>(), two in any::<[u8; BLOCK]>(), at in 0..BLOCK) {
            prop_assert_eq!(marked_in(&one), bits(&one, |byte| matches!(byte, b'"' | b'\\') || byte < 0x20));
            prop_assert_eq!(digits_in(&one), bits(&one, |byte| byte.is_ascii_digit()));
            let mut other = one;
            other[at..].copy_from_slice(&two[at..]);
            let common = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            prop_assert_eq!(common_len(&one, &other), common);
        }

        #[test]
        fn strings_of_any_length_end_where_the_first_byte_is_that_is_looked_for(
            len in 0_usize..300,
            at in 0_usize..300,
            byte in prop_oneof![Just(b'"'), Just(b'\\'), 0_u8..0x20],
            plain in prop::sample::select(vec![b' ', b'!', b'#', b'[', b']', b'a', 0x7f, 0x80, 0xa2, 0xdc, 0xff]),
        ) {
            let mut bytes = vec![plain; len];
            prop_assert_eq!(plain_end(&bytes, 0), len);
            if let Some(found) = bytes.get_mut(at) {
                *found = byte;
                prop_assert_eq!(plain_end(&bytes, 0), at);
            }
        }
    }
}

//! How far a string goes on with characters that stand for themselves.

/// Words of a string that are looked at one by one before blocks are: most strings are short. A choice.
const WORDS_FIRST: usize = 4;

/// Length up to the first quote, backslash or control character: what may stand in a string as it is.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let Some((word, rest)) = bytes.split_first_chunk() else { return plain_len_of_more(bytes) };
    if let Some(at) = first_in(word) {
        return at;
    }
    match rest.first_chunk().and_then(first_in) {
        Some(at) => 8 + at,
        None => 8 + plain_len_of_more(rest),
    }
}

/// The same for what is mostly longer than a word.
fn plain_len_of_more(bytes: &[u8]) -> usize {
    let mut len = 0;
    for word in bytes.as_chunks::<8>().0.iter().take(WORDS_FIRST) {
        if let Some(at) = first_in(word) {
            return len + at;
        }
        len += 8;
    }
    for block in bytes[len..].as_chunks::<64>().0 {
        if !is_plain(block) {
            break;
        }
        len += 64;
    }
    for word in bytes[len..].as_chunks::<8>().0 {
        if let Some(at) = first_in(word) {
            return len + at;
        }
        len += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    len + bytes[len..].iter().position(ends).unwrap_or(bytes.len() - len)
}

/// True where none of these bytes is one that is looked for; written so that compilers make vectors of it.
#[inline]
fn is_plain(block: &[u8; 64]) -> bool {
    block.iter().fold(true, |plain, &byte| plain & (byte != b'"') & (byte != b'\\') & (byte >= 0x20))
}

/// The first quote, backslash or control character in eight bytes.
#[inline]
fn first_in(word: &[u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let word = u64::from_le_bytes(*word);
    // The lowest byte whose high bit is set in one of these is one that was looked for (Mycroft's test for zero bytes).
    let is_quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let is_backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let is_control = word.wrapping_sub(ONES * 0x20);
    let found = (is_quote | is_backslash | is_control) & !word & HIGHS;
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

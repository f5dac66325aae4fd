//! Keys of one object: none may stand twice.

use std::borrow::Cow;

/// Objects up to this many members are searched pairwise for a key given twice, longer ones by sorting. A choice.
const PAIRWISE_MEMBERS_MAX: usize = 8;

/// Tells objects that surely have no key twice from those that have to be looked at.
#[derive(Default)]
pub(super) struct Keys {
    /// One bit for each hash that was there.
    seen: [u64; 4],
    pub(super) may_have_twins: bool,
}

impl Keys {
    /// Takes the text of the next key.
    #[inline]
    pub(super) fn take(&mut self, key: &[u8]) {
        let hash = hash(key);
        let (word, bit) = ((hash >> 6) as usize, 1 << (hash & 63));
        let seen = &mut self.seen[word];
        self.may_have_twins |= *seen & bit != 0;
        *seen |= bit;
    }
}

/// Eight bits of a key's first and last bytes and its length.
#[inline]
fn hash(key: &[u8]) -> u8 {
    let ends = if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29)
    } else if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
    } else if let [first, .., last] = key {
        u64::from(*first) | u64::from(key[key.len() / 2]) << 8 | u64::from(*last) << 16
    } else {
        key.first().copied().map_or(0, u64::from)
    };
    // The upper bits of a product with an odd constant (Fibonacci hashing).
    ((ends ^ (key.len() as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

/// A key that stands twice.
pub(super) fn twin<'k>(keys: &'k [Cow<'_, str>]) -> Option<&'k str> {
    if keys.len() <= PAIRWISE_MEMBERS_MAX {
        return (1..keys.len()).find(|&at| keys[..at].contains(&keys[at])).map(|at| &*keys[at]);
    }
    let mut sorted: Vec<&str> = keys.iter().map(|key| &**key).collect();
    sorted.sort_unstable();
    sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

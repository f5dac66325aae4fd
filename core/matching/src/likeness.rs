//! How alike two bodies are that nothing reads by field, and two values: by the words that only one of them has.
//!
//! In: bytes, of text or not. Out: in how many bytes they differ, of what lies between the beginning and the end that they have in
//! common; and a sketch of a body, by which those that may be alike are found among many without reading any.

/// Most of either side whose words are compared, in bytes. A choice that bounds the work of a service that asks in vain in a loop:
/// what lies behind counts as another.
pub(crate) const WORDS_BYTES_MAX: usize = 16 << 10;

/// Least words of a sketch: the more there are, the finer it tells.
const SKETCH_LEN: usize = 32;

/// Bytes compared at once.
const BLOCK_BYTES: usize = 4096;

/// How many bytes differ: of words that only one has, each side's counted. Equal ones have 0, others 1 at least.
pub(crate) fn bytes_unlike(one: &[u8], other: &[u8]) -> u64 {
    let from = shared_len(one, other);
    let (one, other) = (&one[from..], &other[from..]);
    let to = shared_end_len(one, other);
    let (one, other) = (&one[..one.len() - to], &other[..other.len() - to]);
    if one.is_empty() || other.is_empty() {
        return one.len().max(other.len()) as u64;
    }
    let behind = one.len().max(other.len()).saturating_sub(WORDS_BYTES_MAX) as u64;
    let within = |bytes: &[u8]| bytes.len().min(WORDS_BYTES_MAX);
    let unlike = words_unlike(&one[..within(one)], &other[..within(other)]);
    // The same words in another order differ all the same.
    (unlike + behind).max(1)
}

/// The bytes of words that only one side has, each as often as it has it more.
fn words_unlike(one: &[u8], other: &[u8]) -> u64 {
    let sorted = |bytes| {
        let mut words: Vec<&[u8]> = words(bytes).collect();
        words.sort_unstable();
        words.into_iter().peekable()
    };
    let (mut one, mut other) = (sorted(one), sorted(other));
    let mut unlike = 0;
    loop {
        let next = match (one.peek(), other.peek()) {
            (None, None) => return unlike,
            (Some(was), Some(is)) if was == is => {
                one.next();
                other.next();
                continue;
            }
            (Some(was), Some(is)) if was > is => other.next(),
            (None, Some(_)) => other.next(),
            (Some(_), _) => one.next(),
        };
        unlike += next.map_or(0, |word| word.len() as u64);
    }
}

/// Runs of letters and digits; every other character by itself.
fn words(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let first = bytes.first()?;
        let goes_on = |byte: &&u8| match first {
            0x80.. => (0x80..0xc0).contains(*byte),
            first => first.is_ascii_alphanumeric() && byte.is_ascii_alphanumeric(),
        };
        let len = 1 + bytes[1..].iter().take_while(goes_on).count();
        let (word, rest) = bytes.split_at(len);
        bytes = rest;
        Some(word)
    })
}

/// Some words of a body, chosen by what they are alone: bodies alike have most of them in common (A. Broder, "On the resemblance
/// and containment of documents", 1997; in one permutation as P. Li, A. Owen, C.-H. Zhang, 2012).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sketch([u32; SKETCH_LEN]);

impl Sketch {
    /// The sketch of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut least = [u32::MAX; SKETCH_LEN];
        for word in words(bytes) {
            let hash = hash_of(word);
            let place = &mut least[(hash >> 32) as usize % SKETCH_LEN];
            *place = (*place).min(hash as u32);
        }
        Self(least)
    }

    /// In how many places it is another: 0 for equal bodies, and for few others.
    pub(crate) fn unlike(&self, other: &Self) -> u8 {
        self.0.iter().zip(&other.0).map(|(one, other)| u8::from(one != other)).sum()
    }
}

/// FNV-1a, its bits mixed once more so that each half is as good as the other (finaliser of MurmurHash3).
fn hash_of(word: &[u8]) -> u64 {
    let hash = word
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^ (hash >> 33)
}

/// How many bytes both begin with.
pub(crate) fn shared_len(one: &[u8], other: &[u8]) -> usize {
    // By blocks first: what is said may be long, and is looked at again with every read.
    let equal_blocks = one.chunks_exact(BLOCK_BYTES).zip(other.chunks_exact(BLOCK_BYTES));
    let from = equal_blocks.take_while(|(one, other)| one == other).count() * BLOCK_BYTES;
    from + one[from..].iter().zip(&other[from..]).take_while(|(one, other)| one == other).count()
}

/// How many bytes both end with.
fn shared_end_len<'a>(one: &'a [u8], other: &'a [u8]) -> usize {
    let equal_blocks = one.rchunks_exact(BLOCK_BYTES).zip(other.rchunks_exact(BLOCK_BYTES));
    let to = equal_blocks.take_while(|(one, other)| one == other).count() * BLOCK_BYTES;
    let before = |bytes: &'a [u8]| bytes[..bytes.len() - to].iter().rev();
    to + before(one).zip(before(other)).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unlike(one: &str, other: &str) -> u64 {
        bytes_unlike(one.as_bytes(), other.as_bytes())
    }

    #[test]
    fn what_differs_is_counted_in_bytes_of_words() {
        assert_eq!(unlike("the cat sat on the mat", "the cat sat on the mat"), 0);
        assert_eq!(unlike("the cat sat", "the cat sat down"), 5);
        assert_eq!(unlike("a cat sat here", "a dog sat here"), 6);
        assert_eq!(unlike("one and two", "two and one"), 1, "only the order differs");
        assert!(
            unlike("my invoice is wrong", "my invoice is right") < unlike("where is my parcel", "my invoice is right")
        );
        assert_eq!(unlike("", "abc"), 3);
        assert_eq!(unlike("año", "año!"), 1);
    }

    #[test]
    fn what_lies_behind_the_bound_counts_as_another() {
        let long = |first: char, last: char| format!("{first}{}{last}", "x ".repeat(WORDS_BYTES_MAX));
        assert_eq!(unlike(&long('a', 'b'), &long('a', 'c')), 2);
        assert!(unlike(&long('a', 'b'), &long('c', 'd')) >= WORDS_BYTES_MAX as u64);
    }

    #[test]
    fn a_sketch_tells_bodies_alike_from_others() {
        let text = |topic: &str| (0..200).map(|at| format!("{topic}{at} ")).collect::<String>();
        let sketch = |text: &str| Sketch::of(text.as_bytes());
        let near = sketch(&text("cat").replacen("cat7 ", "dog ", 1));
        assert_eq!(sketch(&text("cat")).unlike(&sketch(&text("cat"))), 0);
        assert!(near.unlike(&sketch(&text("cat"))) < near.unlike(&sketch(&text("bird"))) / 4);
    }

    proptest! {
        #[test]
        fn it_is_the_same_from_both_sides_and_never_more_than_all(one: Vec<u8>, other: Vec<u8>) {
            let unlike = bytes_unlike(&one, &other);
            prop_assert_eq!(unlike, bytes_unlike(&other, &one));
            prop_assert_eq!(unlike == 0, one == other);
            prop_assert!(unlike <= (one.len() + other.len()) as u64);
        }

        #[test]
        fn words_are_all_of_the_bytes(bytes: Vec<u8>) {
            prop_assert_eq!(words(&bytes).collect::<Vec<_>>().concat(), bytes);
        }
    }
}

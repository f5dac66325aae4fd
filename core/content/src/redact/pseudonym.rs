//! Values of the same length and alphabet, from a key and the value they stand in for.

/// How often another pseudonym is tried when one is equal to the value: for a single digit one in ten is, so that all
/// of these are once in 10^32.
const ATTEMPTS_MAX: u8 = 32;

/// Bytes of the keyed stream for each byte replaced; 16 bits make the preference for some characters negligible.
const STREAM_BYTES_EACH: usize = 2;

/// The pseudonym of `value`, its first `kept_len` bytes kept.
pub(super) fn of(key: &[u8; 32], value: &[u8], kept_len: usize) -> Vec<u8> {
    let classes = classes(value, kept_len);
    let mut pseudonym = value.to_vec();
    if classes.iter().all(Option::is_none) {
        return pseudonym;
    }
    for attempt in 0..ATTEMPTS_MAX {
        let mut stream = vec![0; value.len() * STREAM_BYTES_EACH];
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&[attempt]).update(value).finalize_xof().fill(&mut stream);
        for ((byte, class), random) in pseudonym.iter_mut().zip(&classes).zip(stream.chunks_exact(STREAM_BYTES_EACH)) {
            if let Some(class) = class {
                *byte = class.pick(u16::from_le_bytes([random[0], random[1]]));
            }
        }
        if pseudonym != value {
            break;
        }
    }
    pseudonym
}

/// Bytes that may stand in for one another: `count` of them from `first` on.
#[derive(Clone, Copy)]
struct Class {
    first: u8,
    count: u8,
}

impl Class {
    fn pick(self, random: u16) -> u8 {
        // Less than `count`, which is a byte.
        self.first + (random % u16::from(self.count)) as u8
    }
}

/// The class of each byte, `None` where it is kept.
fn classes(value: &[u8], kept_len: usize) -> Vec<Option<Class>> {
    let is_utf8 = std::str::from_utf8(value).is_ok();
    let class_at = |at: usize| {
        if at < kept_len {
            return None;
        }
        match value[at] {
            b'0'..=b'9' => Some(Class { first: b'0', count: 10 }),
            b'a'..=b'z' => Some(Class { first: b'a', count: 26 }),
            b'A'..=b'Z' => Some(Class { first: b'A', count: 26 }),
            0x80..=0xbf if is_utf8 => continuation_class(value[at - 1]),
            0xa0..=0xff if !is_utf8 => Some(Class { first: 0xa0, count: 96 }),
            _ => None,
        }
    };
    (0..value.len()).map(class_at).collect()
}

/// Any continuation byte stands in for any other, save after a first byte that allows some of them only (RFC 3629).
fn continuation_class(before: u8) -> Option<Class> {
    match before {
        0xe0 | 0xed | 0xf0 | 0xf4 => None,
        _ => Some(Class { first: 0x80, count: 64 }),
    }
}

//! Objects in a row mostly have the same keys in the same order: those of one are looked for in the next.

use super::{Entry, Keys, Kind, NO_ESCAPE, Parser, offset};

/// The members of the object before that are still to come. As long as all keys are those, none stands twice.
#[derive(Default)]
pub(super) struct Pattern {
    /// The entry of the next key.
    at: u32,
    end: u32,
    is_left: bool,
}

impl Pattern {
    /// True, once, when it has just been left.
    #[inline]
    pub(super) fn is_left(&mut self) -> bool {
        std::mem::take(&mut self.is_left)
    }
}

impl<const ALIKE: bool> Parser<'_, ALIKE> {
    /// The keys of the element before, where that is an object. A document that has another one to be like needs no pattern.
    #[inline]
    pub(super) fn pattern(&self, before: Option<u32>) -> Pattern {
        match before.filter(|_| !ALIKE).map(|at| (at, &self.table.entries[at as usize])) {
            Some((at, Entry { kind: Kind::Object, next, .. })) => Pattern { at: at + 1, end: *next, is_left: false },
            _ => Pattern::default(),
        }
    }

    /// Reads the key of the pattern, where that stands here; gives where it ends. Else the pattern is left.
    #[inline]
    pub(super) fn key_of_pattern(&mut self, at: usize, pattern: &mut Pattern) -> Option<usize> {
        if ALIKE || pattern.end == 0 {
            return None;
        }
        if pattern.at < pattern.end {
            let key = self.table.entries[pattern.at as usize];
            if key.next == NO_ESCAPE && self.is_written(key, at) {
                let end = at + (key.end - key.start) as usize;
                self.push(at, end, Kind::String, NO_ESCAPE, true);
                pattern.at = offset(self.behind_member(pattern.at as usize));
                return Some(end);
            }
        }
        *pattern = Pattern { is_left: true, ..Pattern::default() };
        None
    }

    /// True where the string that this entry is stands here too.
    #[inline]
    fn is_written(&self, entry: Entry, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let (start, end) = (entry.start as usize, entry.end as usize);
        if let (Some(one), Some(other)) = (bytes[start..].first_chunk(), bytes[at..].first_chunk())
            && end - start <= 8
        {
            let unlike = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
            return unlike << (64 - 8 * (end - start)) == 0;
        }
        bytes[at..].starts_with(&bytes[start..end])
    }

    /// Takes the keys that an object has so far.
    #[inline(never)]
    pub(super) fn take_keys(&self, object_at: usize, keys: &mut Keys) {
        let mut at = object_at + 1;
        while at < self.table.entries.len() {
            keys.take(self.key_text(at).as_bytes());
            at = self.behind_member(at);
        }
    }
}

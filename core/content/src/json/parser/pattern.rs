//! Objects in a row mostly have the same keys in the same order: what stands between the values of one is looked for in the
//! next.

use super::{Keys, Kind, NO_ESCAPE, Parser, Refused};

/// Bytes that are compared in one step.
const BLOCK: usize = 16;

/// Most members of a pattern, which bounds the memory for it. A choice: objects in rows mostly have fewer.
const MEMBERS_MAX: usize = 64;

/// What stands before a value in an object that was read: the key, and all between it and the value before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// Its first bytes, and which of these count.
    begin: u128,
    counts: u128,
    /// Where it stands in the text, and its length.
    at: u32,
    len: u32,
    /// Where the key is in it, and its length, quotes included.
    key_at: u32,
    key_len: u32,
}

/// The members of an object that the next one may be like: a part of [`Parser::patterns`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pattern {
    begin: usize,
    end: usize,
}

impl Pattern {
    pub(super) fn is_empty(self) -> bool {
        self.begin == self.end
    }
}

impl<const ALIKE: bool> Parser<'_, ALIKE> {
    /// What the next element of an array may be like, if the one before is an object. A document that has another one to be like
    /// does not need this.
    pub(super) fn pattern_of(&mut self, element_at: Option<u32>) -> Pattern {
        let begin = self.patterns.len();
        if let Some(object_at) = element_at.filter(|_| !ALIKE).map(|at| at as usize)
            && let object = self.table.entries[object_at]
            && object.kind == Kind::Object
        {
            let (mut key_at, mut between_at) = (object_at + 1, object.start);
            while key_at < object.next as usize && self.patterns.len() - begin < MEMBERS_MAX {
                let (key, value) = (self.table.entries[key_at], self.table.entries[key_at + 1]);
                if key.next != NO_ESCAPE {
                    break;
                }
                let len = value.start - between_at;
                let (block, counts) = match self.text.as_bytes()[between_at as usize..].first_chunk() {
                    Some(block) if (1..BLOCK as u32).contains(&len) => (*block, (1_u128 << (8 * len)) - 1),
                    Some(block) => (*block, u128::MAX),
                    None => break,
                };
                let (key_at_in, key_len) = (key.start - between_at, key.end - key.start);
                let begin = u128::from_le_bytes(block) & counts;
                self.patterns.push(Between { begin, counts, at: between_at, len, key_at: key_at_in, key_len });
                between_at = value.end;
                key_at = self.behind_member(key_at);
            }
        }
        Pattern { begin, end: self.patterns.len() }
    }

    /// Reads the members of the object whose bracket stands here, as long as what stands between their values is written as in
    /// the pattern, which has no key twice: nor have those that are read so. Gives where the last of them ends; `None` where
    /// there is none.
    #[inline]
    pub(super) fn members_as_before(&mut self, begin: usize, pattern: Pattern) -> Result<Option<usize>, Refused> {
        let mut end = None;
        for number in pattern.begin..pattern.end {
            let between = &self.patterns[number];
            let at = end.unwrap_or(begin);
            if !self.is_written(between, at) {
                break;
            }
            let (key_at, key_len) = (at + between.key_at as usize, between.key_len as usize);
            let behind = at + between.len as usize;
            self.push(key_at, key_at + key_len, Kind::String, NO_ESCAPE, true);
            let value_at = self.behind_space(behind);
            end = Some(self.value(value_at, None, Pattern::default())?);
        }
        Ok(end)
    }

    /// True where this stands here too.
    #[inline]
    fn is_written(&self, between: &Between, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(block) if u128::from_le_bytes(*block) & between.counts != between.begin => false,
            Some(_) if between.len as usize <= BLOCK => true,
            _ => self.is_written_whole(between, at),
        }
    }

    #[inline(never)]
    fn is_written_whole(&self, between: &Between, at: usize) -> bool {
        let bytes = self.text.as_bytes();
        let (other, len) = (between.at as usize, between.len as usize);
        bytes[at..].starts_with(&bytes[other..other + len])
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

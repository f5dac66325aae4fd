//! Takes over from another document what is written alike.

use super::{Entry, Kind, Parser, Tree, offset, unescaped};

/// Most members that are passed over to find one of another key. A choice.
const PASSED_MAX: usize = 8;

/// Longest key, in bytes as written, that is looked at for escapes: a key is held against many. A choice; a longer one that is
/// written in two ways is read as any other.
const ESCAPED_BYTES_MAX: usize = 128;

/// The entries inside an array or object of the other document that are still to come: for an object, a key and its value
/// by turns. They only ever go on, so that none is taken over twice.
#[derive(Default)]
pub(super) struct Others {
    at: u32,
    end: u32,
}

impl Others {
    /// The next one.
    #[inline]
    pub(super) fn next(&mut self, like: Option<&Tree<'_>>) -> Option<u32> {
        let at = self.at;
        if at >= self.end {
            return None;
        }
        self.at = like?.behind(at);
        Some(at)
    }

    /// Behind a key that is another one: the value of this key, if it comes soon.
    pub(super) fn find(&mut self, like: Option<&Tree<'_>>, written: &str) -> Option<u32> {
        let like = like.filter(|_| self.at < self.end)?;
        let mut value_at = self.at;
        for _ in 0..PASSED_MAX {
            if value_at >= self.end {
                break;
            }
            let key_at = like.behind(value_at);
            if key_at < self.end && is_key(like, key_at, written) {
                self.at = like.behind(key_at + 1);
                return Some(key_at + 1);
            }
            value_at = key_at + 1;
        }
        // One that the other document does not have: its own key comes again.
        self.at = self.at.saturating_sub(1);
        None
    }
}

/// Bytes that are compared in one step. A choice.
const STEP: usize = 256;

/// How many bytes two texts have in common at their ends, or some fewer.
pub(super) fn common_end_len(one: &[u8], other: &[u8]) -> usize {
    let is_alike = |(one, other): &(&[u8], &[u8])| one == other;
    STEP * one.rchunks_exact(STEP).zip(other.rchunks_exact(STEP)).take_while(is_alike).count()
}

/// True where this entry is the key that is written so between its quotes.
fn is_key(like: &Tree<'_>, key_at: u32, written: &str) -> bool {
    let Some([b'"', other @ .., b'"']) = like.table.entries.get(key_at as usize).map(|key| like.written(key)) else {
        return false;
    };
    let is_short = |bytes: &[u8]| bytes.len() <= ESCAPED_BYTES_MAX;
    let escapes = |bytes: &[u8]| bytes.contains(&b'\\');
    other == written.as_bytes()
        || is_short(other)
            && is_short(written.as_bytes())
            && (escapes(other) || escapes(written.as_bytes()))
            && std::str::from_utf8(other).is_ok_and(|other| unescaped(other) == unescaped(written))
}

impl<const ALIKE: bool> Parser<'_, ALIKE> {
    /// What is inside the other document's entry, where it is of this kind.
    #[inline]
    pub(super) fn inside(&self, alike: Option<u32>, kind: Kind) -> Others {
        match (self.like.filter(|_| ALIKE), alike) {
            (Some(like), Some(at)) if like.table.entries[at as usize].kind == kind => {
                Others { at: at + 1, end: like.behind(at) }
            }
            _ => Others::default(),
        }
    }

    /// Takes over all elements of an array that are still to come, where both documents are written alike from here to their ends.
    /// Gives where the last of them ends.
    #[inline]
    pub(super) fn rest_taken_over(&mut self, at: usize, others: &mut Others) -> Option<usize> {
        let like = self.like.filter(|_| ALIKE && others.at < others.end)?;
        let entries = &like.table.entries[..others.end as usize];
        let (len, start) = (self.text.len() - at, entries[others.at as usize].start);
        let is_alike = len <= self.common_end_len && like.text.len() - start as usize == len;
        if !is_alike || self.values_left < self.text.len() {
            return None;
        }
        let by = offset(at).wrapping_sub(start);
        let mut end = at;
        while others.at < others.end {
            let (entry, number) = (entries[others.at as usize], others.at);
            others.at = like.behind(number);
            self.table.elsewhere += (others.at - number - 1) as usize;
            let (start, entry_end) = (entry.start.wrapping_add(by), entry.end.wrapping_add(by));
            self.table.entries.push(Entry { start, end: entry_end, next: number, is_taken_over: true, ..entry });
            end = entry_end as usize;
        }
        Some(end)
    }

    /// Takes over the other document's entry with all that is in it, where it is written here too; it stands as deep as what
    /// is read here. Gives where it ends.
    pub(super) fn taken_over(&mut self, at: usize, alike: u32) -> Option<usize> {
        let like = self.like?;
        let entry = like.table.entries[alike as usize];
        let written = like.written(&entry);
        let rest = &self.text.as_bytes()[at..];
        if !rest.starts_with(written) {
            return None;
        }
        let goes_on = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
        if entry.kind == Kind::Number && rest.get(written.len()).is_some_and(goes_on) {
            return None;
        }
        let behind = like.behind(alike);
        // No text has more values than bytes, and mostly there may be more.
        if self.values_left < self.text.len() {
            let entries = &like.table.entries[alike as usize..behind as usize];
            let values = entries.iter().filter(|entry| !entry.is_key).count();
            self.values_left = self.values_left.checked_sub(values)?;
        }
        let end = at + written.len();
        self.table.elsewhere += (behind - alike - 1) as usize;
        self.table.entries.push(Entry {
            start: offset(at),
            end: offset(end),
            next: alike,
            is_taken_over: true,
            ..entry
        });
        Some(end)
    }
}

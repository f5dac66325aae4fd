//! Takes over from another document what is written alike.

use super::{Entry, Kind, NO_ESCAPE, Parser, Tree, offset};

/// Most members that are passed over to find one of another key. A choice.
const PASSED_MAX: usize = 8;

/// The entries inside an array or object of the other document that are still to come: for an object, a key and its value
/// by turns.
pub(super) struct Others {
    at: u32,
    end: u32,
}

impl Others {
    /// The next one.
    pub(super) fn next(&mut self, like: Option<&Tree<'_>>) -> Option<u32> {
        let at = self.at;
        if at >= self.end {
            return None;
        }
        self.at = behind(like?, at);
        Some(at)
    }

    /// Behind a key that is another one: the value of this key, if it comes soon.
    pub(super) fn find(&mut self, like: Option<&Tree<'_>>, key: &str) -> Option<u32> {
        let like = like.filter(|_| self.at < self.end)?;
        let mut value_at = self.at;
        for _ in 0..PASSED_MAX {
            if value_at >= self.end {
                break;
            }
            let key_at = behind(like, value_at);
            if key_at < self.end && like.key_text(key_at) == key {
                self.at = behind(like, key_at + 1);
                return Some(key_at + 1);
            }
            value_at = key_at + 1;
        }
        // One that the other document does not have: its own key comes again.
        self.at = self.at.saturating_sub(1);
        None
    }
}

/// The entry behind this one and all that is in it.
fn behind(tree: &Tree<'_>, at: u32) -> u32 {
    let entry = &tree.entries[at as usize];
    if matches!(entry.kind, Kind::Array | Kind::Object) { entry.next } else { at + 1 }
}

impl Parser<'_, '_> {
    /// What is inside the other document's entry, where it is of this kind.
    pub(super) fn inside(&self, alike: Option<u32>, kind: Kind) -> Others {
        match (self.like, alike) {
            (Some(like), Some(at)) if like.entries[at as usize].kind == kind => {
                Others { at: at + 1, end: like.entries[at as usize].next }
            }
            _ => Others { at: 0, end: 0 },
        }
    }

    /// Takes over the other document's entry with all that is in it, where it is written here too; it stands as deep as what
    /// is read here.
    pub(super) fn takes_over(&mut self, alike: u32) -> bool {
        let Some(like) = self.like else { return false };
        let Entry { start, end, kind, .. } = like.entries[alike as usize];
        let written = &like.text.as_bytes()[start as usize..end as usize];
        let rest = &self.text.as_bytes()[self.at..];
        if !rest.starts_with(written) {
            return false;
        }
        let goes_on = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-');
        if kind == Kind::Number && rest.get(written.len()).is_some_and(goes_on) {
            return false;
        }
        if !matches!(kind, Kind::Array | Kind::Object) {
            return self.takes_over_scalar(like, alike, written.len());
        }
        let entries = &like.entries[alike as usize..behind(like, alike) as usize];
        let values = entries.iter().filter(|entry| !entry.is_key).count();
        let Some(values_left) = self.values_left.checked_sub(values) else { return false };
        self.values_left = values_left;
        let (text_shift, entry_shift) =
            (offset(self.at).wrapping_sub(start), offset(self.entries.len()).wrapping_sub(alike));
        self.entries.reserve(entries.len());
        for entry in entries {
            let next = match (entry.kind, entry.next) {
                (Kind::Array | Kind::Object, next) => next.wrapping_add(entry_shift),
                (_, NO_ESCAPE) => NO_ESCAPE,
                (_, at) => self.take_over_text(like, at),
            };
            self.entries.push(Entry {
                start: entry.start.wrapping_add(text_shift),
                end: entry.end.wrapping_add(text_shift),
                next,
                ..*entry
            });
        }
        self.at += written.len();
        true
    }

    /// The same for what has nothing inside.
    fn takes_over_scalar(&mut self, like: &Tree<'_>, alike: u32, len: usize) -> bool {
        let entry = like.entries[alike as usize];
        let Some(values_left) = self.values_left.checked_sub(usize::from(!entry.is_key)) else { return false };
        self.values_left = values_left;
        let next = if entry.next == NO_ESCAPE { NO_ESCAPE } else { self.take_over_text(like, entry.next) };
        let start = self.at;
        self.at += len;
        self.entries.push(Entry { start: offset(start), end: offset(self.at), next, ..entry });
        true
    }

    fn take_over_text(&mut self, like: &Tree<'_>, at: u32) -> u32 {
        let (start, end) = like.texts[at as usize];
        let begin = offset(self.unescaped.len());
        self.unescaped.push_str(&like.unescaped[start as usize..end as usize]);
        self.texts.push((begin, offset(self.unescaped.len())));
        offset(self.texts.len() - 1)
    }
}

//! Elements of an array mostly have the same members in the same order: where all that stands between the scalars of one is
//! written again in the next, the next has the same entries, only elsewhere.

use super::{Entry, NO_ESCAPE, Parser, Table, offset, pattern::Places};
use crate::json::{scalar::scalar, tree::Kind};

/// Most entries of an element that the next one is held against, which bounds the work where it is another one. A choice: elements
/// of long lists mostly have fewer.
const ENTRIES_MAX: usize = 256;

/// How many elements more may be of another form than of that of the one before, until no more are held against it as a whole. A choice.
const OTHERS_MAX: usize = 2;

/// The element of an array that stands before the one that is read.
#[derive(Default)]
pub(super) struct Before {
    /// Its first entry. No element has that of the document.
    entry_at: usize,
    /// How many entries it has, where the next one is held against it as a whole; else 0.
    entries_len: usize,
    /// How many values it has, itself included.
    values: usize,
    /// How many elements more were of another form than the one before than were of the same.
    others: usize,
}

impl Before {
    /// Its entry, where it is an object with members.
    #[inline]
    pub(super) fn object(&self, table: &Table) -> Option<usize> {
        let Entry { kind, next, .. } = table.entries[self.entry_at];
        (self.entry_at > 0 && kind == Kind::Object && next as usize > self.entry_at + 1).then_some(self.entry_at)
    }
}

impl<const ALIKE: bool> Parser<'_, ALIKE> {
    /// Notes an element that was not of the form of the one before.
    #[inline]
    pub(super) fn note_element(&mut self, before: &mut Before, entry_at: usize, values: usize) {
        let others = before.others + usize::from(before.entries_len > 0);
        let len = self.table.entries.len() - entry_at;
        let entries_len = if (3..=ENTRIES_MAX).contains(&len) && others < OTHERS_MAX { len } else { 0 };
        *before = Before { entry_at, entries_len, values, others };
    }

    /// Reads the element that begins here, where it is written as the one before but for its scalars. It has the same keys, none
    /// of them twice then, and is as deep. Gives where it ends; `None`, and nothing was read, where it is of another form.
    #[inline]
    pub(super) fn element_again(&mut self, begin: usize, before: &mut Before) -> Option<usize> {
        if before.entries_len == 0 {
            return None;
        }
        let values_left = self.values_left.checked_sub(before.values)?;
        let (entry_at, escaped) = (self.table.entries.len(), self.table.escaped);
        let Some(end) = self.entries_again(offset(begin), before) else {
            self.table.entries.truncate(entry_at);
            self.table.escaped = escaped;
            return None;
        };
        self.values_left = values_left;
        (before.entry_at, before.others) = (entry_at, before.others.saturating_sub(1));
        Some(end as usize)
    }

    #[inline(never)]
    fn entries_again(&mut self, begin: u32, before: &Before) -> Option<u32> {
        let text = self.text;
        let Table { entries, escaped, .. } = &mut self.table;
        let (first, model) = (entries.len(), before.entry_at..before.entry_at + before.entries_len);
        entries.extend_from_within(model.clone());
        let (before, entries) = entries.split_at_mut(first);
        let (moved, before) = (offset(first - model.start), &before[model]);
        let mut places = Places { before: before[0].start, here: begin };
        let mut container = 0;
        for (number, entry) in entries.iter_mut().enumerate() {
            if entry.is_key {
                (entry.start, entry.end) = (places.moved(entry.start), places.moved(entry.end));
                if entry.next != NO_ESCAPE {
                    entry.next = next_of(escaped);
                }
            } else if matches!(entry.kind, Kind::Array | Kind::Object) {
                entry.start = places.moved(entry.start);
                // Until it is known, the end is the container before this one.
                entry.end = std::mem::replace(&mut container, offset(number));
                entry.next += moved;
            } else {
                if !places.are_alike_up_to(entry.start, text) {
                    return None;
                }
                entry.start = places.moved(entry.start);
                let scalar = scalar(text, entry.start as usize).ok()?;
                places = Places { before: entry.end, here: offset(scalar.end) };
                (entry.end, entry.kind) = (places.here, scalar.kind);
                entry.next = if scalar.has_escape { next_of(escaped) } else { NO_ESCAPE };
            }
        }
        if !places.are_alike_up_to(before[0].end, text) {
            return None;
        }
        close(entries, before, first, container as usize);
        Some(entries[0].end)
    }
}

/// Puts in where arrays and objects end, the last of which is `container`: behind the last value in it each goes on as the one
/// before does.
fn close(entries: &mut [Entry], before: &[Entry], first: usize, mut container: usize) {
    loop {
        let Entry { start, end, next, .. } = entries[container];
        let last = next as usize - first - 1;
        let places = if last > container {
            Places { before: before[last].end, here: entries[last].end }
        } else {
            Places { before: before[container].start, here: start }
        };
        entries[container].end = places.moved(before[container].end);
        if container == 0 {
            break;
        }
        container = end as usize;
    }
}

/// The next number of a string with escapes.
#[inline]
fn next_of(escaped: &mut u32) -> u32 {
    std::mem::replace(escaped, *escaped + 1)
}

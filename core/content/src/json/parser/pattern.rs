//! Objects in a row mostly have the same members in the same order: what stands between the values of one is looked for in the
//! next.

use super::{Entry, NO_ESCAPE, Parser, Refused, offset};
use crate::json::{
    plain::{block_at, common_len},
    tree::Kind,
};

/// What corresponds: in the object before, and in this one.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) before: u32,
    pub(super) here: u32,
}

impl<const ALIKE: bool> Parser<'_, ALIKE> {
    /// Reads the members of the object whose bracket stands here, as long as what stands between their values is written as in
    /// the object that has the entry `model`, which has no key twice: nor have those that are read so. Gives where the last of
    /// them ends; `None` where there is none.
    #[inline]
    pub(super) fn members_again(&mut self, begin: usize, model: usize) -> Result<Option<usize>, Refused> {
        let Entry { start, next, .. } = self.table.entries[model];
        let mut places = Places { before: start, here: offset(begin) };
        let (mut key_at, mut end) = (model + 1, None);
        while key_at < next as usize {
            let (key, value) = (self.table.entries[key_at], self.table.entries[key_at + 1]);
            if !places.are_alike_up_to(value.start, self.text) {
                break;
            }
            let escaped = u32::from(key.next != NO_ESCAPE);
            let next = if key.next == NO_ESCAPE { NO_ESCAPE } else { self.table.escaped };
            self.table.escaped += escaped;
            self.push(places.moved(key.start) as usize, places.moved(key.end) as usize, Kind::String, next, true);
            let value_at = self.behind_space(places.moved(value.start) as usize);
            let here = self.value(value_at, None, None)?;
            places = Places { before: value.end, here: offset(here) };
            end = Some(here);
            key_at = value.behind(offset(key_at + 1)) as usize;
        }
        Ok(end)
    }
}

impl Places {
    /// Where here is what stands there in the object before, as long as both are written alike.
    #[inline(always)]
    pub(super) fn moved(self, before: u32) -> u32 {
        before.wrapping_add(self.here.wrapping_sub(self.before))
    }

    /// True where all up to this place of the object before is written here too.
    #[inline(always)]
    pub(super) fn are_alike_up_to(self, before_end: u32, text: &str) -> bool {
        let (bytes, len) = (text.as_bytes(), (before_end - self.before) as usize);
        let (before, here) = (self.before as usize, self.here as usize);
        match (block_at(bytes, before), block_at(bytes, here)) {
            (Some(before), Some(here)) if common_len(before, here) >= len => true,
            _ => is_written_again(bytes, before, here, len),
        }
    }
}

#[inline(never)]
fn is_written_again(bytes: &[u8], before: usize, here: usize, len: usize) -> bool {
    bytes.get(here..here + len) == Some(&bytes[before..before + len])
}

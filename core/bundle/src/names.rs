//! Which pieces a file has, by name, in bounded memory.
//!
//! In: names and numbers. Out: the number of a name that was used lately. What is forgotten costs space when it comes
//! again, and nothing else.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::recipe::Name;

/// What one name takes in memory, in bytes: it and its number, in a table that is between half and nearly full.
const ENTRY_BYTES: u64 = 40;

/// Names in two generations: when the younger one is full, the older one is forgotten, and the younger one is the older.
pub(crate) struct Names {
    young: Table,
    old: Table,
    /// Names of one generation at most.
    generation_max: usize,
}

type Table = HashMap<Name, u32, BuildHasherDefault<NameHasher>>;

impl Names {
    /// A memory of about this many bytes.
    pub(crate) fn within(bytes: u64) -> Self {
        let generation_max = usize::try_from(bytes / ENTRY_BYTES / 2).unwrap_or(usize::MAX).max(1);
        Self { young: Table::default(), old: Table::default(), generation_max }
    }

    /// The number of a name that is remembered; it is remembered for longer then.
    pub(crate) fn find(&mut self, name: &Name) -> Option<u32> {
        if let Some(&number) = self.young.get(name) {
            return Some(number);
        }
        let number = self.old.remove(name)?;
        self.remember(*name, number);
        Some(number)
    }

    /// Remembers a name.
    pub(crate) fn remember(&mut self, name: Name, number: u32) {
        if self.young.len() >= self.generation_max {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(name, number);
    }
}

/// A name is a hash already: its first eight bytes will do.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().take(8).enumerate() {
            self.0 ^= u64::from(*byte) << (8 * at);
        }
    }

    /// The length of the array, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u32) -> Name {
        Name::of(&number.to_le_bytes())
    }

    #[test]
    fn what_is_used_is_remembered_and_what_is_not_is_forgotten() {
        let mut names = Names::within(20 * ENTRY_BYTES);
        for number in 0..1000 {
            names.remember(name(number), number);
            assert_eq!(names.find(&name(0)), Some(0), "after {number}");
            assert_eq!(names.find(&name(number)), Some(number));
        }
        let remembered = (1..1000).filter(|number| names.find(&name(*number)).is_some()).count();
        assert!((5..=20).contains(&remembered), "{remembered}");
        assert!(names.young.len() + names.old.len() <= 20);
    }
}

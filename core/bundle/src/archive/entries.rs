//! What is listed of an archive's exchanges: a view, since each file's own stay where they were read.

use std::ops::Index;

use crate::{Archive, Entry};

/// The exchanges of an archive, in its order.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    pub(super) archive: &'a Archive,
}

impl<'a> Entries<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.archive.order.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.archive.order.is_empty()
    }

    /// One after another.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a Entry> + ExactSizeIterator + Clone + use<'a> {
        let archive = self.archive;
        archive.order.iter().map(|listed| &archive.indexed(*listed).entry)
    }
}

impl Index<usize> for Entries<'_> {
    type Output = Entry;

    fn index(&self, number: usize) -> &Entry {
        &self.archive.indexed(self.archive.order[number]).entry
    }
}

impl<'a> IntoIterator for Entries<'a> {
    type Item = &'a Entry;
    type IntoIter = Box<dyn Iterator<Item = &'a Entry> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

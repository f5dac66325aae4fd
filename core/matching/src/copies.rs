//! The recorded calls of several copies of the same sessions, and which copy's recording answers a call.
//!
//! In: calls, each with the copies that may have made it. Out: what a [`Library`] gives, and the copy whose recording that is.
//! Copies are alike: whose a call really was is nobody's concern as long as each recording of each copy is asked for once. So a
//! call whose copy is not known takes any recording that is left, and where another call has that already which may have been a
//! third copy's, that one gives way: a call is missed only where no way of sharing them out answers all calls so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use exchange::Id;

use crate::{Answer, Call, Found, Library, Miss};

/// What answers the calls of all copies.
pub struct Copies {
    libraries: Vec<Library>,
    /// Recordings that answered a call which several copies may have made, by copy and recording, with those copies.
    shared: BTreeMap<(usize, Id), BTreeSet<usize>>,
}

impl Copies {
    /// `count` copies, each with all recordings of `library`.
    pub fn new(library: Library, count: u32) -> Self {
        Self { libraries: vec![library; count as usize], shared: BTreeMap::new() }
    }

    /// Finds what answers a call that one of the copies `made_by` makes, and remembers that it was served. Gives the copy whose
    /// recording it is; of a miss, none.
    ///
    /// # Panics
    /// Where `made_by` is empty, or names a copy that there is not.
    pub fn ask(&mut self, call: Call<'_>, made_by: &[u32]) -> (Option<u32>, Answer) {
        let made_by: BTreeSet<usize> = made_by.iter().map(|&copy| copy as usize).collect();
        let mut missed: Option<Miss> = None;
        for &copy in &made_by {
            match self.libraries[copy].ask(call) {
                Answer::Found(found) => {
                    self.serve(copy, found.id, made_by);
                    return (number(copy), Answer::Found(found));
                }
                Answer::Missed(miss) => missed = missed.or(Some(miss)),
            }
        }
        let missed = missed.expect("a call is made by one copy at least");
        if missed.exhausted == 0 || self.shared.is_empty() {
            return (None, Answer::Missed(missed));
        }
        self.ask_others(call, made_by).unwrap_or((None, Answer::Missed(missed)))
    }

    /// Serves a recording of the first of the copies `made_by` that has it left to a call that does not equal it: see
    /// [`Library::serve_unequal`].
    ///
    /// # Panics
    /// As [`Self::ask`].
    pub fn serve_unequal(&mut self, id: Id, call: Call<'_>, made_by: &[u32]) -> Option<(u32, Found)> {
        let (copy, found) = made_by.iter().find_map(|&copy| {
            let found = self.libraries[copy as usize].serve_unequal(id, call)?;
            Some((copy, found))
        })?;
        self.serve(copy as usize, id, made_by.iter().map(|&copy| copy as usize).collect());
        Some((copy, found))
    }

    /// As [`Self::ask`] of the first copy, but what is used up begins anew: see [`Library::ask_anew`].
    pub fn ask_anew(&mut self, call: Call<'_>) -> Answer {
        self.libraries[0].ask_anew(call)
    }

    /// Forgets what was served: all recordings may be asked for again.
    pub fn begin_anew(&mut self) {
        self.libraries.iter_mut().for_each(Library::begin_anew);
        self.shared.clear();
    }

    /// As [`Library::never_asked`], of one copy.
    pub fn never_asked(&self, copy: u32) -> Vec<Id> {
        self.libraries[copy as usize].never_asked()
    }

    /// Looks for a copy with a recording left that takes over a call of another, which takes over a call of another, and so on,
    /// until one of `made_by` has a recording left: an augmenting path, breadth first.
    fn ask_others(&mut self, call: Call<'_>, made_by: BTreeSet<usize>) -> Option<(Option<u32>, Answer)> {
        let equal = self.libraries[0].equal_to(call);
        // For each copy that was reached: from which, over which of its recordings.
        let mut reached: BTreeMap<usize, Option<(usize, Id)>> = made_by.iter().map(|&copy| (copy, None)).collect();
        let mut next: VecDeque<usize> = made_by.iter().copied().collect();
        while let Some(copy) = next.pop_front() {
            for &id in &equal {
                for other in self.shared.get(&(copy, id)).into_iter().flatten().copied().collect::<Vec<_>>() {
                    if reached.contains_key(&other) {
                        continue;
                    }
                    reached.insert(other, Some((copy, id)));
                    if let Answer::Found(found) = self.libraries[other].ask(call) {
                        self.give_way(&reached, (other, found.id), made_by);
                        return Some((number(other), Answer::Found(found)));
                    }
                    next.push_back(other);
                }
            }
        }
        None
    }

    /// Moves each call on the way to the recording that was `left` to the next one, and the new call to the first.
    fn give_way(
        &mut self,
        reached: &BTreeMap<usize, Option<(usize, Id)>>,
        mut left: (usize, Id),
        made_by: BTreeSet<usize>,
    ) {
        while let Some(Some(before)) = reached.get(&left.0) {
            if let Some(moved) = self.shared.remove(before) {
                self.shared.insert(left, moved);
            }
            left = *before;
        }
        self.serve(left.0, left.1, made_by);
    }

    fn serve(&mut self, copy: usize, id: Id, made_by: BTreeSet<usize>) {
        if made_by.len() > 1 {
            self.shared.insert((copy, id), made_by);
        }
    }
}

fn number(copy: usize) -> Option<u32> {
    u32::try_from(copy).ok()
}

#[cfg(test)]
mod tests;

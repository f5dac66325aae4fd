//! The recorded calls of several copies of the same sessions, and which copy's recording answers a call.
//!
//! In: calls, each with the copies that may have made it. Out: what a [`Library`] gives, and the copy whose recording that is.
//! Copies are alike: whose a call really was is nobody's concern as long as each recording of each copy is asked for once. So a
//! call whose copy is not known takes any recording that is left, and where another call has that already which may have been a
//! third copy's, that one gives way: a call is missed only where no way of sharing them out answers all calls so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use exchange::Id;

use crate::{
    Asked, Call, Found, Library, Looked, Moved, Reader, Unanswered,
    stand_in::{StandIn, StandIns},
};

/// What answers the calls of all copies.
pub struct Copies {
    libraries: Vec<Library>,
    /// Recordings that answered a call which several copies may have made, by copy and recording, with those copies.
    shared: BTreeMap<(usize, Id), BTreeSet<usize>>,
    /// Of each copy the calls that stand in for recordings which they do not equal.
    stand_ins: Vec<StandIns>,
}

/// What there is for a call.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The copy whose recording it is; of a miss, none.
    pub copy: Option<u32>,
    /// The recording, where there is one.
    pub looked: Looked,
    /// Calls that stood in for a recording and gave way, for this one to have its own.
    pub moved: Vec<Moved>,
}

/// A call that stands in for a recording which it does not equal.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The copy whose recording it is.
    pub copy: u32,
    /// The recording.
    pub found: Found,
    /// Calls that stood in for a recording and stand in for another one now.
    pub moved: Vec<Moved>,
}

impl Copies {
    /// `count` copies, each with all recordings of `library`.
    pub fn new(library: Library, count: u32) -> Self {
        let stand_ins = vec![StandIns::default(); count as usize];
        Self { libraries: vec![library; count as usize], shared: BTreeMap::new(), stand_ins }
    }

    /// What reads calls for these.
    pub fn reader(&self) -> Reader {
        self.libraries[0].reader()
    }

    /// Finds what answers a call that one of the copies `made_by` makes, and remembers that it was served.
    ///
    /// # Panics
    /// Where `made_by` is empty, or names a copy that there is not.
    pub fn ask(&mut self, call: Call<'_>, asked: &Asked, made_by: &[u32]) -> Reply {
        let only = if let [only] = made_by { Some(*only as usize) } else { None };
        let claimed = only.and_then(|copy| {
            let own = self.libraries[copy].own_used_up(asked, call.scope);
            self.claim(copy, &own, call, asked)
        });
        if let Some(claimed) = claimed {
            return claimed;
        }
        let made_by: BTreeSet<usize> = made_by.iter().map(|&copy| copy as usize).collect();
        let mut missed: Option<Unanswered> = None;
        for &copy in &made_by {
            match self.libraries[copy].look(call, asked) {
                Looked::Found(found) => {
                    self.serve(copy, found.id, made_by);
                    return Reply::found(copy, found);
                }
                Looked::Unanswered(unanswered) => missed = missed.or(Some(unanswered)),
            }
        }
        let missed = missed.expect("a call is made by one copy at least");
        let is_exhausted = missed.exhausted > 0;
        let claimed = only.filter(|_| is_exhausted).and_then(|copy| {
            let equal = self.libraries[copy].equal_and_not_of_another(asked, call.scope);
            self.claim(copy, &equal, call, asked)
        });
        let others =
            || (is_exhausted && !self.shared.is_empty()).then(|| self.ask_others(call, asked, made_by)).flatten();
        let missed = || Reply { copy: None, looked: Looked::Unanswered(missed), moved: Vec::new() };
        claimed.or_else(others).unwrap_or_else(missed)
    }

    /// Has a call stand in for one of the recordings that `would_do`, the nearest first, though it equals none: of the first of the
    /// copies `made_by` that has one left. Where that is one copy alone, others that stand in for one of these give way as long as
    /// there is another for them. `number` is what it is called by when it gives way itself.
    ///
    /// # Panics
    /// As [`Self::ask`].
    pub fn stand_in(
        &mut self,
        number: u64,
        (call, asked): (Call<'_>, &Asked),
        would_do: &[Id],
        made_by: &[u32],
    ) -> Option<Placed> {
        if let [copy] = made_by {
            let call = StandIn {
                number,
                asked: asked.without_body(),
                scope: call.scope.cloned(),
                conversation: call.conversation.map(str::to_owned),
                would_do: would_do.to_vec(),
            };
            let mut moved = self.place(*copy as usize, call).into_iter();
            let found = moved.next()?.to?;
            return Some(Placed { copy: *copy, found, moved: moved.collect() });
        }
        let left = made_by.iter().find_map(|&copy| {
            let library = &mut self.libraries[copy as usize];
            let id = *would_do.iter().find(|id| library.may_serve_unequal(**id, call.scope))?;
            Some((copy, library.serve_anyhow(id, asked, call.scope, call.conversation)?))
        });
        let (copy, found) = left?;
        self.serve(copy as usize, found.id, made_by.iter().map(|&copy| copy as usize).collect());
        Some(Placed { copy, found, moved: Vec::new() })
    }

    /// Takes one of these recordings, which equal a call, from one that stands in for it.
    fn claim(&mut self, copy: usize, equal: &[Id], call: Call<'_>, asked: &Asked) -> Option<Reply> {
        let id = *equal.iter().find(|id| self.stand_ins[copy].has(id))?;
        let gone = self.stand_ins[copy].remove(&id)?;
        let found = self.libraries[copy].serve_anyhow(id, asked, call.scope, call.conversation)?;
        let number = gone.number;
        let moved = self.place(copy, gone);
        let moved = if moved.is_empty() { vec![Moved { number, to: None }] } else { moved };
        Some(Reply { moved, ..Reply::found(copy, found) })
    }

    /// Finds a recording for a call that equals none: it and who gives way for it, each with what it stands in for now.
    fn place(&mut self, copy: usize, call: StandIn) -> Vec<Moved> {
        let library = &mut self.libraries[copy];
        let is_free = |id: Id, call: &StandIn| library.may_serve_unequal(id, call.scope.as_ref());
        let placed = self.stand_ins[copy].place(call, is_free);
        let moved = placed.into_iter().map(|(id, call)| {
            let StandIn { number, asked, scope, conversation, .. } = call;
            Moved { number: *number, to: library.serve_anyhow(id, asked, scope.as_ref(), conversation.as_deref()) }
        });
        moved.collect()
    }

    /// As [`Self::ask`] of the first copy, but what is used up begins anew: see [`Library::look_anew`].
    pub fn ask_anew(&mut self, call: Call<'_>, asked: &Asked) -> Looked {
        self.libraries[0].look_anew(call, asked)
    }

    /// Forgets what was served: all recordings may be asked for again.
    pub fn begin_anew(&mut self) {
        self.libraries.iter_mut().for_each(Library::begin_anew);
        self.shared.clear();
        self.stand_ins.fill(StandIns::default());
    }

    /// As [`Library::never_asked`], of one copy.
    pub fn never_asked(&self, copy: u32) -> Vec<Id> {
        self.libraries[copy as usize].never_asked()
    }

    /// Looks for a copy with a recording left that takes over a call of another, which takes over a call of another, and so on,
    /// until one of `made_by` has a recording left: an augmenting path, breadth first.
    fn ask_others(&mut self, call: Call<'_>, asked: &Asked, made_by: BTreeSet<usize>) -> Option<Reply> {
        let equal = self.libraries[0].ids_equal_to(asked);
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
                    if let Looked::Found(found) = self.libraries[other].look(call, asked) {
                        self.give_way(&reached, (other, found.id), made_by);
                        return Some(Reply::found(other, found));
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

impl Reply {
    fn found(copy: usize, found: Found) -> Self {
        Self { copy: u32::try_from(copy).ok(), looked: Looked::Found(found), moved: Vec::new() }
    }
}

#[cfg(test)]
mod tests;

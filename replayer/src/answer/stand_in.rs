//! Calls that stand in for recordings which they do not equal: all that differs is measured noise.
//!
//! In: a call that was missed, and the recordings that come near. Out: the recording in whose place it is answered. It gives way to a call
//! that equals that one, and then stands in for another, or is one more than was recorded. For the gates its answer is always that of the
//! recording in whose place it is now.

use std::sync::Arc;

use diff::{CallRequest, NoisyChange};
use exchange::Id;
use matching::{Asked, Call, Found, Miss, Moved};

use super::{
    Answerer, Arrival, Behalf, Note, State,
    compared::{READ_LEN_MAX, is_for, recorded_request, within_bounds},
};
use crate::determinism::Gates;

/// A call that stands in for a recording, or did.
pub(super) struct StandIn {
    /// All that would do, the nearest first, and where the call differs from each.
    would_do: Vec<(Id, Vec<NoisyChange>)>,
    /// What is said where none is left for it.
    miss: Miss,
    /// The recording in whose place it is; `None` where it is one more than was recorded.
    pub(super) now: Option<Found>,
    /// True once its answer has been handed over.
    is_given: bool,
}

impl StandIn {
    /// Writes into a note what answers the call, and where that differs.
    pub(super) fn tell(&self, note: &mut Note) {
        note.outcome = self.now.clone().ok_or_else(|| self.miss.clone());
        note.noise = self.noise();
    }

    fn noise(&self) -> Vec<NoisyChange> {
        let now = self.now.as_ref().map(|found| found.id);
        let noise = self.would_do.iter().find(|(id, _)| Some(*id) == now);
        noise.map(|(_, noise)| noise.clone()).unwrap_or_default()
    }
}

/// Recordings whose answers count otherwise since calls gave way.
#[derive(Default)]
struct Regiven {
    /// Those in whose place an answer was given that is another's now.
    no_more: Vec<Id>,
    /// Those in whose place one is given now.
    instead: Vec<Id>,
}

impl State {
    /// Calls that gave way stand in for others, or are more than were recorded.
    fn move_on(&mut self, moved: Vec<Moved>) -> Regiven {
        let mut given = Regiven::default();
        for Moved { number, to } in moved {
            let Some(stand_in) = self.stand_ins.get_mut(&number) else { continue };
            let before = std::mem::replace(&mut stand_in.now, to);
            if stand_in.is_given {
                given.no_more.extend(before.map(|found| found.id));
                given.instead.extend(stand_in.now.as_ref().map(|found| found.id));
            }
            if let Some(note) = self.notes.get_mut(&number) {
                stand_in.tell(note);
            }
        }
        given
    }

    /// Whether a call may still give way: it stands in for another, and its exchange goes on.
    pub(super) fn may_give_way(&self, number: u64, copy: u32) -> bool {
        let parent = self.notes.get(&number).and_then(|note| note.parent);
        self.stand_ins.contains_key(&number) && parent.is_some_and(|parent| self.in_flight.contains(&(copy, parent)))
    }
}

impl Answerer {
    /// Lets calls of a copy give way. Answers that they were given by now count as those of the recordings for which they stand in now,
    /// and no more as those of the others.
    pub(super) fn move_on(&self, state: &mut State, copy: Option<u32>, moved: Vec<Moved>) {
        let given = state.move_on(moved);
        if let Some((gates, copy)) = self.gates.as_ref().zip(copy) {
            let gates = &gates[copy as usize];
            // Where one moved to what another left, that is given.
            given.no_more.into_iter().for_each(|call| gates.is_given_no_more(call));
            given.instead.into_iter().for_each(|call| gates.was_given(call));
        }
    }

    /// What is to be held until a call's answer, that of `found`, has been handed over; letting go of it opens the gates of others.
    pub(super) fn handing_over(self: &Arc<Self>, number: u64, found: Id, gates: &Arc<Gates>) -> HandingOver {
        HandingOver { answerer: Arc::clone(self), gates: Arc::clone(gates), number, found }
    }

    /// A recording for a call that was missed, where all that differs is noise. What was served to others by now, while it was
    /// compared, it does not get.
    pub(super) fn answer_within_noise(
        &self,
        arrival: &Arrival<'_>,
        (call, read): (Call<'_>, &Asked),
        miss: &Miss,
        behalf: &Behalf,
    ) -> Option<(u32, Found, Vec<NoisyChange>)> {
        let asked = CallRequest { dependency: call.dependency, head: call.head, body: call.body };
        let would_do = self.would_do(&asked, miss, behalf.parent);
        if would_do.is_empty() {
            return None;
        }
        let ids: Vec<Id> = would_do.iter().map(|(id, _)| *id).collect();
        let mut state = self.state();
        let placed = state.library.stand_in(arrival.number, (call, read), &ids, &behalf.copies)?;
        let mut miss = without_near(miss.clone());
        miss.near.truncate(READ_LEN_MAX);
        let stand_in = StandIn { would_do, miss, now: Some(placed.found.clone()), is_given: false };
        let noise = stand_in.noise();
        state.stand_ins.insert(arrival.number, stand_in);
        self.move_on(&mut state, Some(placed.copy), placed.moved);
        Some((placed.copy, placed.found, noise))
    }

    /// The recordings from which a call differs in noise alone, the nearest first, each with that.
    fn would_do(&self, asked: &CallRequest<'_>, miss: &Miss, parent: Option<Id>) -> Vec<(Id, Vec<NoisyChange>)> {
        let mut would_do: Vec<(Id, Vec<NoisyChange>)> = Vec::new();
        if miss.near.is_empty() || !self.noise.knows_call(&asked.route()) {
            return would_do;
        }
        let own = miss.near.iter().filter_map(|near| self.calls.get(&near.id)).filter(|call| is_for(call, parent));
        for recorded in within_bounds(own) {
            let Ok((head, body)) = recorded_request(&self.archive, &self.secrets, recorded) else { continue };
            let was = CallRequest { head: &head, body: &body, ..*asked };
            let noise = self.noise.of_call(&was, asked, &self.rules, recorded.id);
            would_do.extend(noise.map(|noise| (recorded.id, noise)));
        }
        would_do
    }
}

/// Says, when it is dropped, that an answer has been handed over.
pub(super) struct HandingOver {
    answerer: Arc<Answerer>,
    gates: Arc<Gates>,
    number: u64,
    found: Id,
}

impl Drop for HandingOver {
    fn drop(&mut self) {
        // To the end: it could give way in between.
        let mut state = self.answerer.state();
        let given = match state.stand_ins.get_mut(&self.number) {
            // It may have given way while it waited, and be one more than was recorded.
            Some(stand_in) => {
                stand_in.is_given = true;
                stand_in.now.as_ref().map(|found| found.id)
            }
            // What is not noted was asked in a repeat that is over.
            None => state.notes.contains_key(&self.number).then_some(self.found),
        };
        given.into_iter().for_each(|call| self.gates.was_given(call));
    }
}

/// A call that was asked more often than it was recorded is that, and none instead of another.
pub(super) fn without_near(miss: Miss) -> Miss {
    let near = if miss.exhausted > 0 { Vec::new() } else { miss.near };
    Miss { near, ..miss }
}

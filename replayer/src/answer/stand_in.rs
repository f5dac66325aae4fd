//! Calls that stand in for recordings which they do not equal: all that differs is measured noise.
//!
//! In: a call that was missed, and the recordings that come near. Out: the recording in whose place it is answered. It gives way to a call
//! that equals that one, and then stands in for another, or is one more than was recorded.

use diff::{CallRequest, NoisyChange};
use exchange::Id;
use matching::{Asked, Call, Found, Miss, Moved};

use super::{
    Answerer, Arrival, Behalf, Note, State,
    compared::{READ_LEN_MAX, is_for, recorded_request, within_bounds},
};

/// A call that stands in for a recording, or did.
pub(super) struct StandIn {
    /// All that would do, the nearest first, and where the call differs from each.
    would_do: Vec<(Id, Vec<NoisyChange>)>,
    /// What is said where none is left for it.
    miss: Miss,
    /// The recording in whose place it is; `None` where it is one more than was recorded.
    pub(super) now: Option<Found>,
    /// True once its answer is given.
    is_answered: bool,
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

impl State {
    /// Calls that gave way stand in for others, or are more than were recorded. Gives the recordings in whose place an answer was
    /// given already.
    fn move_on(&mut self, moved: Vec<Moved>) -> Vec<Id> {
        let mut given = Vec::new();
        for Moved { number, to } in moved {
            let Some(stand_in) = self.stand_ins.get_mut(&number) else { continue };
            stand_in.now = to;
            given.extend(stand_in.now.as_ref().filter(|_| stand_in.is_answered).map(|found| found.id));
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
    /// Lets calls of a copy give way. Answers that they were given by now count as those of the recordings for which they stand in now.
    pub(super) fn move_on(&self, state: &mut State, copy: Option<u32>, moved: Vec<Moved>) {
        let given = state.move_on(moved);
        if let Some((gates, copy)) = self.gates.as_ref().zip(copy) {
            given.into_iter().for_each(|call| gates[copy as usize].was_given(call));
        }
    }

    /// The recording in whose place a call is answered from now on: it may have given way while it waited. Nothing where it is one more
    /// than was recorded.
    pub(super) fn answers_now(&self, number: u64, found: Id) -> Option<Id> {
        match self.state().stand_ins.get_mut(&number) {
            Some(stand_in) => {
                stand_in.is_answered = true;
                stand_in.now.as_ref().map(|found| found.id)
            }
            None => Some(found),
        }
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
        let stand_in = StandIn { would_do, miss, now: Some(placed.found.clone()), is_answered: false };
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

/// A call that was asked more often than it was recorded is that, and none instead of another.
pub(super) fn without_near(miss: Miss) -> Miss {
    let near = if miss.exhausted > 0 { Vec::new() } else { miss.near };
    Miss { near, ..miss }
}

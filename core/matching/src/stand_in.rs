//! Calls that stand in for recordings that they do not equal, because somebody knows that they are the same call all the same.
//!
//! In: such calls, each with all recordings that it may stand in for, and recordings that are claimed by a call that equals them.
//! Out: which stands in for which, now. Calls come one by one, and which recording is a later one's is not known: so whoever stands
//! in gives way to a call that equals the recording, and to one that has no other, as long as there is another for itself. A call is
//! without a recording only where no way of dealing them out has one for each (augmenting paths: C. Berge, 1957).

use std::collections::{BTreeMap, VecDeque};

use exchange::Id;

use crate::{Asked, Found, Scope};

/// A call that stands in for a recording.
#[derive(Clone, Debug)]
pub(crate) struct StandIn {
    /// Its number, by which whoever asked knows it.
    pub(crate) number: u64,
    pub(crate) asked: Asked,
    pub(crate) scope: Option<Scope>,
    pub(crate) conversation: Option<String>,
    /// The recordings that would do, the nearest first.
    pub(crate) would_do: Vec<Id>,
}

/// A call that stood in for a recording and gave way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its number.
    pub number: u64,
    /// The recording that it stands in for now; `None` where there is no other: it is one more than was recorded.
    pub to: Option<Found>,
}

/// Who stands in for which recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct StandIns {
    by_recording: BTreeMap<Id, StandIn>,
}

impl StandIns {
    pub(crate) fn has(&self, recording: &Id) -> bool {
        self.by_recording.contains_key(recording)
    }

    /// Who stood in for a recording, and does no more.
    pub(crate) fn remove(&mut self, recording: &Id) -> Option<StandIn> {
        self.by_recording.remove(recording)
    }

    /// Finds a recording for a call, the others that give way included: each with the recording that is its now, the call itself
    /// first. Nothing where there is none.
    pub(crate) fn place(&mut self, call: StandIn, is_free: impl Fn(Id, &StandIn) -> bool) -> Vec<(Id, &StandIn)> {
        // Recordings that were reached, each over the one whose stand-in would take it.
        let mut reached: BTreeMap<Id, Option<Id>> = BTreeMap::new();
        let mut next: VecDeque<Id> = VecDeque::new();
        let mut free = reach(&call, None, &is_free, &mut reached, &mut next);
        while let (None, Some(taken)) = (free, next.pop_front()) {
            let Some(holder) = self.by_recording.get(&taken) else { continue };
            free = reach(holder, Some(taken), &is_free, &mut reached, &mut next);
        }
        let Some(mut free) = free else { return Vec::new() };
        let mut placed = Vec::new();
        while let Some(Some(taken)) = reached.get(&free) {
            let holder = self.by_recording.remove(taken).expect("what was reached over it has a stand-in");
            self.by_recording.insert(free, holder);
            placed.push(free);
            free = *taken;
        }
        self.by_recording.insert(free, call);
        placed.push(free);
        placed.iter().rev().map(|recording| (*recording, &self.by_recording[recording])).collect()
    }
}

/// Reaches what would do for a call; gives the first that is free.
fn reach(
    call: &StandIn,
    over: Option<Id>,
    is_free: &impl Fn(Id, &StandIn) -> bool,
    reached: &mut BTreeMap<Id, Option<Id>>,
    next: &mut VecDeque<Id>,
) -> Option<Id> {
    for &id in &call.would_do {
        if reached.contains_key(&id) {
            continue;
        }
        reached.insert(id, over);
        if is_free(id, call) {
            return Some(id);
        }
        next.push_back(id);
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{AsRecorded, Call, Reader};

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    fn call(number: u64, would_do: &[u8]) -> StandIn {
        let head = exchange::Head::new("POST /chat HTTP/1.1\r\n\r\n");
        let call = Call { dependency: "llm", scope: None, conversation: None, head: &head, body: b"" };
        let asked = Reader(std::sync::Arc::new(AsRecorded)).read(call);
        let would_do = would_do.iter().map(|&number| id(number)).collect();
        StandIn { number, asked, scope: None, conversation: None, would_do }
    }

    /// True where each call can have a recording of its own: tries all ways.
    fn can_be_dealt_out(calls: &[Vec<u8>], taken: &mut Vec<u8>) -> bool {
        let Some((first, others)) = calls.split_first() else { return true };
        first.iter().any(|&recording| {
            if taken.contains(&recording) {
                return false;
            }
            taken.push(recording);
            let can = can_be_dealt_out(others, taken);
            taken.pop();
            can
        })
    }

    proptest! {
        #[test]
        fn a_call_has_no_recording_exactly_where_no_way_of_dealing_them_out_has_one_for_each(
            calls in prop::collection::vec(prop::collection::vec(0..6_u8, 1..4), 0..9),
            equal in prop::collection::btree_set(0..6_u8, 0..3),
        ) {
            let mut stand_ins = StandIns::default();
            let mut placed: Vec<Vec<u8>> = Vec::new();
            for (number, would_do) in (0..).zip(&calls) {
                let served: Vec<Id> = stand_ins.by_recording.keys().copied().collect();
                let is_free = |it: Id, _: &StandIn| !served.contains(&it) && !equal.contains(&it.0[0]);
                let has_one = !stand_ins.place(call(number, would_do), is_free).is_empty();
                let all = [&placed[..], std::slice::from_ref(would_do)].concat();
                let mut taken = equal.iter().copied().collect();
                prop_assert_eq!(has_one, can_be_dealt_out(&all, &mut taken));
                placed = if has_one { all } else { placed };
                prop_assert_eq!(stand_ins.by_recording.len(), placed.len());
                prop_assert!(stand_ins.by_recording.iter().all(|(it, call)| call.would_do.contains(it)));
            }
        }
    }
}

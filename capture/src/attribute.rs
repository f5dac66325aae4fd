//! Which ingress exchange a dependency call belongs to.
//!
//! In: the ingress exchanges as they begin and end, and a call's trace. Out: its parent, and how it is known. Pure: the
//! times are arguments.

use std::collections::VecDeque;

use exchange::{Certainty, Id, Parent};

/// How long after its end an exchange may still be the parent of a call that carries its trace, in nanoseconds: work that a
/// service does after it has answered. A choice.
const AFTERMATH_NS: u64 = 5_000_000_000;

/// Most candidates named of an ambiguous parent, as `exchange::Parent` says.
const CANDIDATES_MAX: usize = 16;

/// Most exchanges remembered after their end, the youngest ones: what is kept here is outside the capture's budget of memory.
/// A choice: 13,000 a second for as long as [`AFTERMATH_NS`].
const ENDED_MAX: usize = 65_536;

/// Ingress exchanges in flight, and those that ended a moment ago.
///
/// Every request comes by here, so that what it costs must not grow with how many ended before.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    /// In the order in which they began.
    flying: Vec<Entry>,
    /// In the order in which they ended.
    ended: VecDeque<(u64, Entry)>,
    begun: u64,
}

#[derive(Debug)]
struct Entry {
    /// How many had begun before.
    number: u64,
    id: Id,
    trace_id: Option<String>,
}

impl InFlight {
    /// An ingress exchange began, carrying this trace.
    pub(crate) fn begin(&mut self, id: Id, trace_id: Option<&str>, now_ns: u64) {
        while self.ended.front().is_some_and(|(ended_ns, _)| !is_recent(*ended_ns, now_ns)) {
            self.ended.pop_front();
        }
        self.flying.push(Entry { number: self.begun, id, trace_id: trace_id.map(str::to_owned) });
        self.begun += 1;
    }

    /// An ingress exchange ended.
    pub(crate) fn end(&mut self, id: Id, now_ns: u64) {
        let Some(at) = self.flying.iter().position(|entry| entry.id == id) else { return };
        let entry = self.flying.remove(at);
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back((now_ns, entry));
    }

    /// The parent of a call that begins now and carries this trace.
    pub(crate) fn parent_of(&self, trace_id: Option<&str>, now_ns: u64) -> Option<Parent> {
        let of_trace = |entry: &&Entry| trace_id.is_some() && entry.trace_id.as_deref() == trace_id;
        let traced_flying = ids(self.flying.iter().filter(of_trace));
        if !traced_flying.is_empty() {
            return parent(traced_flying, Certainty::Recorded);
        }
        let recent = self.ended.iter().filter(|(ended_ns, _)| is_recent(*ended_ns, now_ns)).map(|(_, entry)| entry);
        let traced_recent = ids(recent.filter(of_trace));
        if !traced_recent.is_empty() {
            return parent(traced_recent, Certainty::Recorded);
        }
        parent(ids(self.flying.iter()), Certainty::Inferred)
    }
}

fn is_recent(ended_ns: u64, now_ns: u64) -> bool {
    ended_ns.saturating_add(AFTERMATH_NS) >= now_ns
}

/// Their ids in the order in which they began.
fn ids<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Id> {
    let mut entries: Vec<&Entry> = entries.collect();
    entries.sort_by_key(|entry| entry.number);
    entries.into_iter().map(|entry| entry.id).collect()
}

/// The parent among these, known like this when it is the only one.
fn parent(mut candidates: Vec<Id>, when_alone: Certainty) -> Option<Parent> {
    let id = *candidates.first()?;
    if candidates.len() == 1 {
        return Some(Parent { id, certainty: when_alone, candidates: Vec::new() });
    }
    candidates.truncate(CANDIDATES_MAX);
    Some(Parent { id, certainty: Certainty::Ambiguous, candidates })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> Id {
        Id::derive(&[1; 32], number)
    }

    fn known(parent: Option<Parent>) -> Option<(Id, Certainty)> {
        parent.map(|parent| (parent.id, parent.certainty))
    }

    #[test]
    fn a_trace_names_the_parent_whatever_else_is_in_flight() {
        let mut flight = InFlight::default();
        flight.begin(id(1), Some("a"), 0);
        flight.begin(id(2), Some("b"), 0);
        assert_eq!(known(flight.parent_of(Some("b"), 1)), Some((id(2), Certainty::Recorded)));
    }

    #[test]
    fn without_a_trace_the_only_one_in_flight_is_inferred_and_one_of_several_is_ambiguous() {
        let mut flight = InFlight::default();
        assert_eq!(flight.parent_of(None, 0), None);
        flight.begin(id(1), Some("a"), 0);
        assert_eq!(known(flight.parent_of(None, 1)), Some((id(1), Certainty::Inferred)));
        assert_eq!(known(flight.parent_of(Some("x"), 1)), Some((id(1), Certainty::Inferred)));
        flight.begin(id(2), None, 1);
        let ambiguous = flight.parent_of(None, 2).unwrap();
        assert_eq!(
            (ambiguous.id, ambiguous.certainty, ambiguous.candidates),
            (id(1), Certainty::Ambiguous, vec![id(1), id(2)])
        );
    }

    #[test]
    fn two_requests_of_one_trace_are_ambiguous() {
        let mut flight = InFlight::default();
        flight.begin(id(1), Some("a"), 0);
        flight.begin(id(2), Some("a"), 0);
        assert_eq!(known(flight.parent_of(Some("a"), 1)), Some((id(1), Certainty::Ambiguous)));
        flight.end(id(1), 1);
        assert_eq!(known(flight.parent_of(Some("a"), 2)), Some((id(2), Certainty::Recorded)));
    }

    #[test]
    fn a_call_made_after_the_answer_belongs_to_it_by_its_trace_for_a_while() {
        let mut flight = InFlight::default();
        flight.begin(id(1), Some("a"), 0);
        flight.end(id(1), 10);
        assert_eq!(known(flight.parent_of(Some("a"), 10 + AFTERMATH_NS)), Some((id(1), Certainty::Recorded)));
        assert_eq!(flight.parent_of(Some("a"), 11 + AFTERMATH_NS), None);
        assert_eq!(flight.parent_of(None, 11), None, "without a trace only what is in flight counts");
    }

    #[test]
    fn the_first_of_those_that_ended_is_the_one_that_began_first() {
        let mut flight = InFlight::default();
        flight.begin(id(1), Some("a"), 0);
        flight.begin(id(2), Some("a"), 0);
        flight.end(id(2), 1);
        flight.end(id(1), 2);
        let parent = flight.parent_of(Some("a"), 3).unwrap();
        assert_eq!((parent.certainty, parent.candidates), (Certainty::Ambiguous, vec![id(1), id(2)]));
    }

    #[test]
    fn what_has_ended_is_forgotten_after_a_while_and_never_too_much_of_it_is_kept() {
        let mut flight = InFlight::default();
        for number in 0..ENDED_MAX as u64 + 10 {
            flight.begin(id(number), Some("a"), 0);
            flight.end(id(number), 0);
        }
        assert_eq!((flight.flying.len(), flight.ended.len()), (0, ENDED_MAX));
        flight.begin(id(0), None, AFTERMATH_NS + 1);
        assert_eq!((flight.flying.len(), flight.ended.len()), (1, 0));
    }

    #[test]
    fn at_most_sixteen_candidates_are_named() {
        let mut flight = InFlight::default();
        (0..40).for_each(|number| flight.begin(id(number), None, 0));
        assert_eq!(flight.parent_of(None, 1).unwrap().candidates.len(), CANDIDATES_MAX);
    }
}

//! Which ingress exchange a dependency call belongs to.
//!
//! In: the ingress exchanges as they begin and end, and a call's trace. Out: its parent, and how it is known. Pure: the
//! times are arguments.

use exchange::{Certainty, Id, Parent};

/// How long after its end an exchange may still be the parent of a call that carries its trace, in nanoseconds: work that a
/// service does after it has answered. A choice.
const AFTERMATH_NS: u64 = 5_000_000_000;

/// Most candidates named of an ambiguous parent, as `exchange::Parent` says.
const CANDIDATES_MAX: usize = 16;

/// Ingress exchanges in flight, and those that ended a moment ago, in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    id: Id,
    trace_id: Option<String>,
    ended_ns: Option<u64>,
}

impl InFlight {
    /// An ingress exchange began, carrying this trace.
    pub(crate) fn begin(&mut self, id: Id, trace_id: Option<&str>, now_ns: u64) {
        self.entries
            .retain(|entry| entry.ended_ns.is_none_or(|ended_ns| ended_ns.saturating_add(AFTERMATH_NS) >= now_ns));
        self.entries.push(Entry { id, trace_id: trace_id.map(str::to_owned), ended_ns: None });
    }

    /// An ingress exchange ended.
    pub(crate) fn end(&mut self, id: Id, now_ns: u64) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) {
            entry.ended_ns = Some(now_ns);
        }
    }

    /// The parent of a call that begins now and carries this trace.
    pub(crate) fn parent_of(&self, trace_id: Option<&str>, now_ns: u64) -> Option<Parent> {
        let recent =
            |entry: &&Entry| entry.ended_ns.is_none_or(|ended_ns| ended_ns.saturating_add(AFTERMATH_NS) >= now_ns);
        let flying = |entry: &&Entry| entry.ended_ns.is_none();
        let of_trace = |entry: &&Entry| trace_id.is_some() && entry.trace_id.as_deref() == trace_id;
        let traced_flying = self.ids(|entry| of_trace(entry) && flying(entry));
        if !traced_flying.is_empty() {
            return parent(traced_flying, Certainty::Recorded);
        }
        let traced_recent = self.ids(|entry| of_trace(entry) && recent(entry));
        if !traced_recent.is_empty() {
            return parent(traced_recent, Certainty::Recorded);
        }
        parent(self.ids(flying), Certainty::Inferred)
    }

    fn ids(&self, wanted: impl Fn(&&Entry) -> bool) -> Vec<Id> {
        self.entries.iter().filter(wanted).map(|entry| entry.id).collect()
    }
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
    fn at_most_sixteen_candidates_are_named() {
        let mut flight = InFlight::default();
        (0..40).for_each(|number| flight.begin(id(number), None, 0));
        assert_eq!(flight.parent_of(None, 1).unwrap().candidates.len(), CANDIDATES_MAX);
    }
}

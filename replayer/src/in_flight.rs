//! Whose a moment was: the exchanges that were in flight when something was said on a connection that serves them all.
//!
//! In: when each client's exchange of a recording began and ended. Out: for a moment of a session, all that it may belong to.
//! Chosen for a replay or not makes no difference: what was said for another is not expected of this one.

use std::collections::BTreeMap;

use bundle::{Archive, ReadError};
use exchange::{Event, Id, OTHERS_IN_FLIGHT};

/// When the exchanges of a recording were in flight.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    sessions: BTreeMap<Id, Vec<Flight>>,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    started_ns: u64,
    ended_ns: u64,
    /// The latest end of this and of all that began before it.
    latest_end_ns: u64,
    /// `None` for one that is not in the recording: it was left out when a part was sealed.
    id: Option<Id>,
}

/// Who was in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flying {
    /// Those that are in the recording.
    pub(crate) ids: Vec<Id>,
    /// True when there were others, of which nothing is known.
    pub(crate) and_others: bool,
}

impl Flying {
    /// The one whose the moment was, where there was only one.
    pub(crate) fn only(&self) -> Option<Id> {
        match self.ids[..] {
            [only] if !self.and_others => Some(only),
            _ => None,
        }
    }
}

impl InFlight {
    /// The flights of an archive.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub(crate) fn of(archive: &Archive) -> Result<Self, ReadError> {
        let clients = archive.entries().iter().filter(|entry| entry.dependency.is_none());
        let known = clients.map(|entry| (entry.session, entry.started_ns, entry.ended_ns, Some(entry.id)));
        let mut flights: Vec<_> = known.collect();
        for event in archive.events() {
            flights.extend(others(&event?));
        }
        Ok(Self::among(flights))
    }

    fn among(mut flights: Vec<(Id, u64, u64, Option<Id>)>) -> Self {
        flights.sort_unstable();
        let mut sessions: BTreeMap<Id, Vec<Flight>> = BTreeMap::new();
        for (session, started_ns, ended_ns, id) in flights {
            let flights = sessions.entry(session).or_default();
            let before_ns = flights.last().map_or(0, |flight| flight.latest_end_ns);
            flights.push(Flight { started_ns, ended_ns, latest_end_ns: before_ns.max(ended_ns), id });
        }
        Self { sessions }
    }

    /// Who was in flight at a moment of a session.
    pub(crate) fn at(&self, session: &Id, at_ns: u64) -> Flying {
        self.between(session, at_ns, at_ns)
    }

    /// Who was in flight at any time from one moment to another.
    pub(crate) fn between(&self, session: &Id, from_ns: u64, to_ns: u64) -> Flying {
        let flights = self.sessions.get(session).map(Vec::as_slice).unwrap_or_default();
        let begun = &flights[..flights.partition_point(|flight| flight.started_ns <= to_ns)];
        // From the last one back, as long as any that began before may still have been in flight.
        let maybe = begun.iter().rev().take_while(|flight| flight.latest_end_ns >= from_ns);
        let mut flying = Flying::default();
        for flight in maybe.filter(|flight| flight.ended_ns >= from_ns) {
            match flight.id {
                Some(id) => flying.ids.push(id),
                None => flying.and_others = true,
            }
        }
        flying
    }
}

/// When others were in flight, as an event tells it that was written when a part was sealed.
fn others(event: &Event) -> Vec<(Id, u64, u64, Option<Id>)> {
    let Some(session) = event.session.filter(|_| event.kind == OTHERS_IN_FLIGHT) else { return Vec::new() };
    let spans: Vec<(u64, u64)> = serde_json::from_value(event.data["spans"].clone()).unwrap_or_default();
    spans.into_iter().map(|(from_ns, to_ns)| (session, from_ns, to_ns, None)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    #[test]
    fn a_moment_is_somebodys_only_when_nobody_else_was_in_flight() {
        let session = id(9);
        let flights = InFlight::among(vec![
            (session, 10, 20, Some(id(1))),
            (session, 15, 30, Some(id(2))),
            (session, 40, 50, None),
        ]);
        assert_eq!(flights.at(&session, 12).only(), Some(id(1)));
        assert_eq!(flights.at(&session, 17).only(), None);
        assert_eq!(flights.at(&session, 25).only(), Some(id(2)));
        assert_eq!(flights.at(&session, 35), Flying::default());
        assert_eq!(flights.at(&session, 45), Flying { ids: Vec::new(), and_others: true });
        assert_eq!(flights.at(&id(8), 12), Flying::default(), "another session has another clock");
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_look_at_all_finds(
            spans in proptest::collection::vec((0..30_u64, 0..30_u64), 0..20), from in 0..30_u64, len in 0..10_u64
        ) {
            let all: Vec<_> = spans.iter().enumerate().map(|(at, (start, len))| (*start, start + len, id(at as u8))).collect();
            let flights = InFlight::among(all.iter().map(|(start, end, it)| (id(99), *start, *end, Some(*it))).collect());
            let mut slow: Vec<Id> =
                all.iter().filter(|(start, end, _)| *start <= from + len && *end >= from).map(|(_, _, it)| *it).collect();
            let mut fast = flights.between(&id(99), from, from + len).ids;
            slow.sort_unstable();
            fast.sort_unstable();
            prop_assert_eq!(fast, slow);
        }
    }
}

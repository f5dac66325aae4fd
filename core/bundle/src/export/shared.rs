//! Connections that serve one exchange after another: what is no HTTP belongs to whoever was in flight when it was said.
//!
//! In: an archive and the exchanges that were chosen from it. Out: the connections that may have served them, which go with
//! them whole, and when others were in flight that do not: without that, what was said for those would seem to be theirs.

use std::collections::BTreeSet;

use exchange::{Digest, Event, Id, OTHERS_IN_FLIGHT, Transport};

use super::windows::{Windows, join};
use crate::{Archive, Entry, ReadError};

/// Most stretches of time that one event lists. More are joined over the pauses between them, which claims less than is
/// known, never more. A choice: far below what a record may hold.
const SPANS_MAX: usize = 4096;

/// The connections without a parent that were open while something chosen was in flight.
pub(super) fn connections<'a>(archive: &'a Archive, chosen: &BTreeSet<Id>) -> Result<Vec<&'a Entry>, ReadError> {
    let entries = archive.entries();
    let in_flight = Windows::of(entries.iter().filter(|it| it.dependency.is_none() && chosen.contains(&it.id)), 0);
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| may_be_shared(entry) && !chosen.contains(&entry.id)) {
        let overlaps = in_flight.meet(&entry.session, entry.started_ns, entry.ended_ns);
        if overlaps && archive.exchange(&entry.id)?.transport == Transport::Raw {
            found.push(entry);
        }
    }
    Ok(found)
}

fn may_be_shared(entry: &Entry) -> bool {
    entry.dependency.is_some() && entry.parent.is_none() && entry.candidates.is_empty()
}

/// For each session of these connections an event that says when exchanges were in flight that are not chosen.
pub(super) fn others_in_flight(archive: &Archive, connections: &[&Entry], chosen: &BTreeSet<Id>) -> Vec<Event> {
    let sessions: BTreeSet<Id> = connections.iter().map(|entry| entry.session).collect();
    let open = Windows::of(connections.iter().copied(), 0);
    let event = |session: Id| {
        let others = archive.entries().iter().filter(|it| it.dependency.is_none() && it.session == session);
        let left_out = others.filter(|entry| !chosen.contains(&entry.id));
        let was_served = left_out.filter(|other| open.meet(&session, other.started_ns, other.ended_ns));
        let spans = joined(was_served.map(|entry| (entry.started_ns, entry.ended_ns)).collect());
        let (first, _) = *spans.first()?;
        let data = serde_json::json!({ "spans": spans });
        Some(Event {
            id: Id::of_item(&Digest::of(format!("{OTHERS_IN_FLIGHT} {session} {data}").as_bytes()), 0),
            session: Some(session),
            at_ns: first,
            kind: OTHERS_IN_FLIGHT.to_owned(),
            actor: String::new(),
            subject: String::new(),
            links: connections.iter().filter(|entry| entry.session == session).map(|entry| entry.id).collect(),
            data,
        })
    };
    sessions.into_iter().filter_map(event).collect()
}

/// The same time as few stretches, at most [`SPANS_MAX`].
fn joined(mut spans: Vec<(u64, u64)>) -> Vec<(u64, u64)> {
    let mut pause_ns: u64 = 0;
    loop {
        join(&mut spans, pause_ns);
        if spans.len() <= SPANS_MAX {
            return spans;
        }
        pause_ns = pause_ns.saturating_mul(2).max(1_000_000);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_are_one_and_too_many_are_joined_over_their_pauses() {
        assert_eq!(joined(vec![(5, 9), (1, 3), (3, 4), (2, 2)]), [(1, 4), (5, 9)]);
        let many = (0..10_000).map(|at| (at * 10_000_000, at * 10_000_000 + 1)).collect();
        let few = joined(many);
        assert!(few.len() <= SPANS_MAX);
        assert_eq!((few[0].0, few.last().unwrap().1), (0, 9_999 * 10_000_000 + 1));
        assert_eq!(joined(vec![(0, u64::MAX), (7, 8)]), [(0, u64::MAX)]);
    }
}

//! On whose behalf the service makes a call.
//!
//! In: the head of a call, and the exchanges in flight. Out: the exchange where it can be told, by its trace or by being the only one,
//! and else all that it may be.

use std::collections::BTreeSet;

use exchange::{Certainty, Head, Id, Trace};
use matching::Scope;

use super::Answerer;

/// On whose behalf a call is made.
pub(crate) struct Behalf {
    /// The exchange, where it can be told.
    pub(crate) parent: Option<Id>,
    pub(super) scope: Option<Scope>,
    /// All that it may be.
    pub(crate) candidates: Vec<Id>,
    /// The copies of sessions that it may be of, one at least.
    pub(crate) copies: Vec<u32>,
}

#[cfg(test)]
impl Behalf {
    pub(crate) fn of(parent: Option<Id>, candidates: Vec<Id>) -> Self {
        Self { parent, scope: None, candidates, copies: vec![0] }
    }
}

impl Answerer {
    /// The exchange that a recorded call was made for, where that is known and is one of these: what equals its call is its own.
    pub(super) fn recorded_among(&self, call: &Id, candidates: &[Id]) -> Option<Id> {
        let parent = self.calls.get(call)?.role.parent()?;
        (parent.certainty != Certainty::Ambiguous && candidates.contains(&parent.id)).then_some(parent.id)
    }

    /// By trace context, else by being the only one in flight, of whatever copy.
    pub(super) fn on_behalf_of(&self, head: &Head, in_flight: &BTreeSet<(u32, Id)>) -> Behalf {
        let known = trace_id_of(head).and_then(|trace_id| self.traces.get(trace_id));
        if let Some((copy, key)) = known {
            let ids = &self.of_trace[key];
            let flying: Vec<Id> = ids.iter().copied().filter(|id| in_flight.contains(&(*copy, *id))).collect();
            let parent = if let [only] = ids[..] { Some(only) } else { (flying.len() == 1).then(|| flying[0]) };
            let scope = Some(Scope { key: key.clone(), certainty: Certainty::Recorded });
            let candidates = if flying.is_empty() { ids.clone() } else { flying };
            return Behalf { parent, scope, candidates, copies: vec![*copy] };
        }
        let candidates: BTreeSet<Id> = in_flight.iter().map(|(_, id)| *id).collect();
        let candidates: Vec<Id> = candidates.into_iter().collect();
        let copies: BTreeSet<u32> = in_flight.iter().map(|(copy, _)| *copy).collect();
        let copies = if copies.is_empty() { vec![0] } else { copies.into_iter().collect() };
        let parent = if let [only] = candidates[..] { Some(only) } else { None };
        let scope = parent
            .and_then(|id| self.trace_of.get(&id))
            .map(|key| Scope { key: key.clone(), certainty: Certainty::Inferred });
        Behalf { parent, scope, candidates, copies }
    }
}

fn trace_id_of(head: &Head) -> Option<&str> {
    let mut parts = head.text_of("traceparent")?.split('-');
    let (_version, trace_id) = (parts.next()?, parts.next()?);
    (trace_id.len() == 32).then_some(trace_id)
}

pub(super) fn trace_of_head(head: &Head) -> Option<Trace> {
    let mut parts = head.text_of("traceparent")?.split('-').skip(1);
    let (trace_id, span_id) = (parts.next()?, parts.next()?);
    (trace_id.len() == 32 && span_id.len() == 16).then(|| Trace {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        made: false,
    })
}

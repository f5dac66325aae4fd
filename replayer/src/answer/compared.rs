//! How a call differs from recorded ones, and from the first of its repeats.
//!
//! In: a call, and what `matching` found. Out: differences by field where it names the whole of a body, and what is kept of a
//! call to be held against later repeats.

use std::collections::BTreeSet;

use bundle::Archive;
use diff::{CallRequest, Change, Route, compare_calls, fresh_form, with_indices_as_stars};
use exchange::{Certainty, Exchange, Head, Id};
use matching::{Found, Miss, Nearest};

use super::{Answerer, CALL_BODY_BYTES_MAX};
use crate::{
    baseline::{LookedCall, Over},
    secrets::Secrets,
};

/// How `matching` tells of bodies that it compares as a whole.
const WHOLE_BODY: &str = "body: ";

/// How it tells of targets.
const TARGET: &str = "target: ";

/// Most differences named of a call: as many as `matching` names.
const FIELDS_NAMED_MAX: usize = 5;

/// Most recorded calls that are read to be held against one call, and most bytes of their bodies where they are several. Choices:
/// they bound the work of a service that asks for much that was not recorded.
pub(super) const READ_LEN_MAX: usize = 16;
const READ_BYTES_MAX: u64 = 8 << 20;

impl Answerer {
    /// A miss whose body is no JSON, with what differs in it by field: `matching` reads neither messages nor forms.
    pub(super) fn told_by_field(&self, mut miss: Miss, asked: &CallRequest<'_>) -> Miss {
        let is_of_whole = |words: &String| words.starts_with(WHOLE_BODY);
        let named = miss.nearest.iter().chain(&miss.near).filter(|it| it.differences.iter().any(is_of_whole));
        let ids: Vec<Id> = named.map(|nearest| nearest.id).collect();
        let mut seen = BTreeSet::new();
        let recorded = ids.iter().filter(|id| seen.insert(**id)).filter_map(|id| self.calls.get(id));
        for recorded in within_bounds(recorded) {
            let Some(changes) = self.body_changes(recorded, asked) else { continue };
            let same = |nearest: &&mut Nearest| nearest.id == recorded.id;
            for nearest in miss.nearest.iter_mut().chain(&mut miss.near).filter(same) {
                nearest.differences.retain(|words| !is_of_whole(words));
                let room = FIELDS_NAMED_MAX.saturating_sub(nearest.differences.len());
                nearest.differences_more += changes.len().saturating_sub(room) as u64;
                nearest.differences.extend(changes.iter().take(room).cloned());
            }
        }
        miss
    }

    /// Where the body of a call differs from a recorded one, in words; `None` where that is the whole of it.
    fn body_changes(&self, recorded: &Exchange, asked: &CallRequest<'_>) -> Option<Vec<String>> {
        let (head, body) = recorded_request(&self.archive, &self.secrets, recorded).ok()?;
        let was = CallRequest { head: &head, body: &body, ..*asked };
        let changes = compare_calls(&was, asked, &self.rules)?;
        let begin = format!("dep:{}:/", asked.dependency);
        let words = |change: &Change| {
            let place = &change.pointer[change.pointer.starts_with(&begin).then_some(begin.len() - 1)?..];
            Some(match (&change.recorded, &change.replayed) {
                (Some(was), Some(is)) => format!("{place}: recorded {was}, asked {is}"),
                (Some(was), None) => format!("{place}: recorded {was}, not asked"),
                (None, is) => format!("{place}: not recorded, asked {}", is.as_ref()?),
            })
        };
        Some(changes.iter().filter_map(words).collect::<Vec<_>>()).filter(|words| !words.is_empty())
    }

    /// Holds a call against the first one in the place of the same recorded call; of several in a repeat the first one.
    pub(super) fn look(
        &self,
        asked: &CallRequest<'_>,
        outcome: &Result<Found, Miss>,
        (parent, copies): (Option<Id>, &[u32]),
    ) -> Option<Over> {
        let (baseline, [copy]) = (self.state().baseline.clone()?, copies) else { return None };
        let call = match outcome {
            Ok(found) => Some(found.id).filter(|_| !found.borrowed)?,
            Err(miss) => miss.nearest.as_ref()?.id,
        };
        let route = asked.route();
        let recorded = self.calls.get(&call).filter(|recorded| is_for(recorded, parent))?;
        let is_of_route = |call: &Exchange| {
            call.role.dependency() == Some(asked.dependency)
                && format!("{} {}", asked.dependency, Route::of(&call.request.head)) == route
        };
        // Where bodies or targets differ as a whole, which of several recordings is meant is not known.
        let is_of_whole = |words: &String| words.starts_with(WHOLE_BODY) || words.starts_with(TARGET);
        let told = outcome.as_ref().err().and_then(|miss| miss.nearest.as_ref()).map(|nearest| &nearest.differences);
        let like = || self.calls.values().filter(|call| is_for(call, parent) && is_of_route(call));
        if told.is_some_and(|told| told.iter().any(is_of_whole)) && like().nth(1).is_some() {
            return None;
        }
        if !is_of_route(recorded) || !self.state().looked_at.insert((*copy, call)) {
            return None;
        }
        let Some(places) = baseline.look_at_call(call, asked) else { return Some(Over::First(call)) };
        let unlike = if outcome.is_err() { self.unlike(recorded, asked) } else { Vec::new() };
        Some(Over::Later(LookedCall { call, route, places: places?, unlike }))
    }

    /// Where a call has another value than a recorded one, of a kind that clock or chance makes, with the form of both.
    fn unlike(&self, recorded: &Exchange, asked: &CallRequest<'_>) -> Vec<(String, String)> {
        let Ok((head, body)) = recorded_request(&self.archive, &self.secrets, recorded) else { return Vec::new() };
        let was = CallRequest { head: &head, body: &body, ..*asked };
        let changes = compare_calls(&was, asked, &self.rules).unwrap_or_default();
        let fresh = |change: &Change| Some((with_indices_as_stars(&change.pointer), fresh_form(change)?));
        changes.iter().filter_map(fresh).collect()
    }
}

/// True where a recorded call is known to have been made for this exchange.
pub(super) fn is_for(recorded: &Exchange, parent: Option<Id>) -> bool {
    let known = recorded.role.parent().filter(|of| of.certainty != Certainty::Ambiguous);
    known.is_some_and(|of| Some(of.id) == parent)
}

/// What a recorded call asked, with pseudonyms in place of secrets that are known.
pub(super) fn recorded_request(
    archive: &Archive,
    secrets: &Secrets,
    call: &Exchange,
) -> Result<(Head, Vec<u8>), bundle::ReadError> {
    let (mut head, mut body) = (call.request.head.clone(), archive.body(&call.request.body, CALL_BODY_BYTES_MAX)?);
    secrets.conceal_message(&mut head, &mut body, &mut Vec::new());
    Ok((head, body))
}

/// The first of these calls, and more of them as long as all are not too much to read for one call.
pub(super) fn within_bounds<'a>(calls: impl Iterator<Item = &'a Exchange>) -> impl Iterator<Item = &'a Exchange> {
    let mut bytes = 0;
    calls
        .take(READ_LEN_MAX)
        .enumerate()
        .take_while(move |(at, call)| {
            bytes += call.request.body.len;
            *at == 0 || bytes <= READ_BYTES_MAX
        })
        .map(|(_, call)| call)
}

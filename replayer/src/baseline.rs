//! The first answer to each exchange, and the first call in the place of each recorded one, so that later ones can be held against
//! it.
//!
//! In: answers and calls as they come, over all repeats. Out: where a later one parts from the first. What no longer fits into memory
//! is not looked at, and counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use bundle::{Archive, ReadError};
use diff::{Apart, CallRequest, Output, Route, Rules, places_apart, places_of_calls_apart};
use exchange::{Head, Id};

/// Memory for first answers, in bytes, and as much for first calls. A choice: a thousand answers of a quarter of a megabyte.
const KEPT_BYTES_MAX: usize = 256 << 20;

/// The first answers and calls of a run with repeats.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    answers: Mutex<Kept>,
    /// By recorded call.
    calls: Mutex<Kept>,
    /// How messages are read.
    rules: Rules,
}

#[derive(Debug, Default)]
struct Kept {
    answers: BTreeMap<Id, Answer>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Answer {
    head: Head,
    body: Vec<u8>,
    complete: bool,
    whole: bool,
}

/// A later answer, held against the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// Offset of the first byte of the body that differs.
    pub(crate) first_divergence: Option<u64>,
    /// The places that differ.
    pub(crate) places: Vec<Apart>,
}

/// What is known of a call over repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It is the first in the place of this recorded call.
    First(Id),
    /// It was held against the first one.
    Later(LookedCall),
}

/// A call of a later repeat, held against the first one in the place of the same recorded call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookedCall {
    /// The recorded call.
    pub(crate) call: Id,
    /// Dependency, method and path.
    pub(crate) route: String,
    /// The places that differ.
    pub(crate) places: Vec<Apart>,
    /// Where nothing answered it: places at which production's value is another, each one that clock or chance makes, with the form of
    /// both.
    pub(crate) unlike: Vec<(String, String)>,
}

impl Baseline {
    /// None yet.
    pub(crate) fn new(rules: &Rules) -> Self {
        Self { rules: rules.clone(), ..Self::default() }
    }

    /// The first answers of a run that is gone on with: those in its file that were judged; and its first calls, by the recorded ones in
    /// whose places they are.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) fn of_run(
        archive: &Archive,
        judged: &BTreeSet<Id>,
        first_calls: &BTreeMap<Id, Id>,
        rules: &Rules,
    ) -> Result<Self, ReadError> {
        let mut firsts: BTreeMap<Id, (u32, Id)> = BTreeMap::new();
        for entry in archive.entries().iter().filter(|entry| judged.contains(&entry.id)) {
            let Some((original, repeat)) = entry.original.zip(entry.repeat) else { continue };
            let first = firsts.entry(original).or_insert((repeat, entry.id));
            *first = (*first).min((repeat, entry.id));
        }
        let mut kept = Kept::default();
        for (original, (_, id)) in firsts {
            let exchange = archive.exchange(&id)?;
            let Some(response) = &exchange.response else { continue };
            if response.body.kept_len() > KEPT_BYTES_MAX as u64 {
                continue;
            }
            let body = archive.body(&response.body, KEPT_BYTES_MAX as u64)?;
            let (complete, whole) = (exchange.end.is_complete(), response.body.is_whole());
            kept.keep(original, &Output { head: &response.head, body: &body, complete, whole });
        }
        let mut calls = Kept::default();
        for (call, id) in first_calls.iter().filter(|(_, id)| archive.entry(id).is_some()) {
            let request = archive.exchange(id)?.request;
            if request.body.is_whole() && request.body.kept_len() <= KEPT_BYTES_MAX as u64 {
                let body = archive.body(&request.body, KEPT_BYTES_MAX as u64)?;
                calls.keep(*call, &Output { head: &request.head, body: &body, complete: true, whole: true });
            }
        }
        Ok(Self { answers: Mutex::new(kept), calls: Mutex::new(calls), ..Self::new(rules) })
    }

    /// Keeps the first answer to an exchange; holds a later one against it. `None` for the first, and where the first is
    /// not kept.
    pub(crate) fn look(&self, exchange: Id, route: &Route, answer: &Output<'_>) -> Option<Looked> {
        let Some(first) = first(&self.answers, exchange, answer)? else { return Some(Looked::default()) };
        let Answer { head, body, complete, whole } = &first;
        let first = Output { head, body, complete: *complete, whole: *whole };
        let places = places_apart(&first, answer, route, &self.rules);
        let first_divergence = stats::first_divergence(body, answer.body).map(|offset| offset as u64);
        Some(Looked { first_divergence, places })
    }

    /// As [`Self::look`], for what is asked in the place of a recorded call; `Some(None)` where that is not to be compared.
    pub(crate) fn look_at_call(&self, call: Id, asked: &CallRequest<'_>) -> Option<Option<Vec<Apart>>> {
        let request = Output { head: asked.head, body: asked.body, complete: true, whole: true };
        let Some(first) = first(&self.calls, call, &request)? else { return Some(Some(Vec::new())) };
        let first = CallRequest { head: &first.head, body: &first.body, ..*asked };
        Some(places_of_calls_apart(&first, asked, &self.rules))
    }
}

/// Keeps what is the first. `None` then, else the first, and of an equal one nothing.
fn first(kept: &Mutex<Kept>, id: Id, message: &Output<'_>) -> Option<Option<Answer>> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.answers.get(&id) {
        None => {
            kept.keep(id, message);
            None
        }
        Some(first) if first.body == message.body && first.head == *message.head => Some(None),
        // Comparing takes its time: others need not wait.
        Some(first) => Some(Some(first.clone())),
    }
}

impl Kept {
    fn keep(&mut self, exchange: Id, answer: &Output<'_>) {
        let bytes = answer.body.len() + answer.head.bytes.len();
        if self.bytes.saturating_add(bytes) > KEPT_BYTES_MAX {
            return;
        }
        self.bytes += bytes;
        let Output { head, body, complete, whole } = *answer;
        self.answers.insert(exchange, Answer { head: head.clone(), body: body.to_vec(), complete, whole });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_answer_is_held_against_the_first_one() {
        let baseline = Baseline::default();
        let head = Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned());
        let look = |body: &str| {
            let answer = Output { head: &head, body: body.as_bytes(), complete: true, whole: true };
            baseline.look(Id([1; 16]), &Route::default(), &answer)
        };
        assert_eq!(look(r#"{"id":1,"a":2}"#), None);
        assert_eq!(look(r#"{"id":1,"a":2}"#), Some(Looked::default()));
        let looked = look(r#"{"id":7,"a":2}"#).unwrap();
        assert_eq!(looked.first_divergence, Some(6));
        assert_eq!(looked.places.len(), 1);
        assert_eq!(looked.places[0].pointer, "/id");
    }
}

//! Writes the calls that were answered into the run.
//!
//! In: a call and its answer. Out: an exchange of the run, as the repeat of the recording that answered it. One that may still give
//! way to another call is kept until it is known which that is.

use exchange::{Certainty, Digests, End, Exchange, Head, Id, Parent, Repeats, Request, Response, Role, Times};
use wire::server::{Answer, Incoming};

use super::{Answerer, Note, State, behalf::trace_of_head};
use crate::ledger::{BodyBytes, redacted_request, redacted_response};

impl Answerer {
    /// Writes what a call asked and was answered; once it can give way no more.
    pub(super) fn write(&self, (number, note): (u64, &Note), dependency: &str, incoming: &Incoming, answer: &Answer) {
        let Some(ledger) = &self.ledger else { return };
        let sequence = ledger.next_sequence();
        let copy = note.copies.first().copied().unwrap_or_default();
        let (request_head, mut redactions) = redacted_request(ledger.redactor(), &incoming.head);
        let request_body = ledger.put_body(BodyBytes {
            bytes: &incoming.body,
            len: incoming.body_len,
            chunks: incoming.chunks.clone(),
            trailers: incoming.trailers.clone(),
        });
        let answered: Vec<u8> = answer.pieces.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
        let (response_head, more) = redacted_response(ledger.redactor(), &Head::new(answer.head.clone()));
        redactions.extend(more);
        let response_digest = content::canonical::response_digest(&response_head, &answered);
        let response_body = ledger.put_body(BodyBytes {
            bytes: &answered,
            len: answered.len() as u64,
            chunks: Vec::new(),
            trailers: answer.trailers.clone(),
        });
        let parent = note.parent.map(|original| Parent {
            id: self.id_of_repeat(original, copy),
            certainty: note.certainty.unwrap_or(Certainty::Inferred),
            candidates: Vec::new(),
        });
        let exchange = Exchange {
            id: ledger.id_of_new(sequence),
            session: self.run,
            sequence,
            role: Role::Dependency { name: dependency.to_owned(), parent },
            transport: incoming.transport,
            trace: trace_of_head(&request_head),
            request: Request { head: request_head, body: request_body },
            interim: Vec::new(),
            response: (!answer.head.is_empty()).then_some(Response { head: response_head, body: response_body }),
            end: answer.cut.map_or(End::Complete, |_| End::UpstreamReset),
            times: Times {
                started_ns: incoming.started_ns,
                request_ended_ns: Some(incoming.ended_ns),
                response_started_ns: None,
                ended_ns: (self.clock)(),
            },
            seeds: Vec::new(),
            fingerprint: None,
            context: exchange::Context::default(),
            digests: Digests { request: Some(note.digest), response: Some(response_digest) },
            redactions,
            repeats: Some(Repeats {
                original: None,
                repeat: self.repeat(copy),
                target: self.target.clone(),
                replacements: Vec::new(),
            }),
        };
        let mut state = self.state();
        if state.may_give_way(number, copy) {
            state.unwritten.insert(number, (copy, exchange));
            return;
        }
        let original = note.outcome.as_ref().ok().map(|found| found.id);
        let exchange = self.named(&mut state, (number, copy), original, exchange);
        drop(state);
        ledger.append_exchange(exchange);
    }

    /// A call's record as the repeat of a recording, where one answered it.
    fn named(
        &self,
        state: &mut State,
        (number, copy): (u64, u32),
        answered_by: Option<Id>,
        mut exchange: Exchange,
    ) -> Exchange {
        let original = match state.stand_ins.get(&number) {
            Some(stand_in) => stand_in.now.as_ref().map(|found| found.id),
            None => answered_by,
        };
        // A recording may answer more than one call: another exchange's, or one that equals it after one that does not.
        let is_first = original.is_some_and(|original| state.written.insert((copy, original)));
        if let Some(repeats) = &mut exchange.repeats {
            repeats.original = original;
            // It may be another repeat by now.
            let id = original.filter(|_| is_first).map(|original| Id::of_repeat(self.run, original, repeats.repeat));
            exchange.id = id.unwrap_or(exchange.id);
        }
        if let Some(note) = state.notes.get_mut(&number) {
            note.written = Some(exchange.id);
        }
        exchange
    }

    /// Writes the records of calls that cannot give way any more, or of `all` that were held back.
    pub(super) fn write_rest(&self, all: bool) {
        let Some(ledger) = &self.ledger else { return };
        let mut state = self.state();
        let is_settled = |(number, (copy, _)): &(&u64, &(u32, Exchange))| all || !state.may_give_way(**number, *copy);
        let settled: Vec<u64> = state.unwritten.iter().filter(is_settled).map(|(number, _)| *number).collect();
        let mut exchanges = Vec::with_capacity(settled.len());
        for number in settled {
            let Some((copy, exchange)) = state.unwritten.remove(&number) else { continue };
            exchanges.push(self.named(&mut state, (number, copy), None, exchange));
        }
        drop(state);
        exchanges.into_iter().for_each(|exchange| ledger.append_exchange(exchange));
    }
}

impl Drop for Answerer {
    fn drop(&mut self) {
        self.write_rest(true);
    }
}

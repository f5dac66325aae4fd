//! The recorded connections to dependencies that are no HTTP, made ready to answer.
//!
//! In: a recording. Out: for `matching` the turns of each connection, credentials masked, each with the exchange on whose
//! behalf it was said where only one was in flight; for whoever serves them the server's bytes and how the connection ended;
//! for the judge what cannot be answered from recorded bytes, and why.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{Archive, ReadError};
use bytes::Bytes;
use content::{redact::spoken::Spoken, unrepeatable};
use exchange::{Body, End, Exchange, Id, Transport};
use matching::conversation::{Conversation, Conversations, Heard, Piece, turns_of};
use wire::{Scheme, Upstream};

use crate::{in_flight::InFlight, secrets::Secrets, select::Selection, unanswerable};

/// Most bytes of all recorded connections that are held, both ways. A choice: far below memory.
const HELD_BYTES_MAX: u64 = 1 << 30;

/// The recorded connections.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    /// Dependencies that speak no HTTP.
    names: BTreeSet<String>,
    recorded: BTreeMap<Id, Recorded>,
    unusable: Vec<Unusable>,
    in_flight: InFlight,
}

/// One recorded connection, but for what was asked.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) dependency: String,
    pub(crate) session: Id,
    /// What the server said.
    pub(crate) answers: Bytes,
    pub(crate) ending: Ending,
}

/// What became of a connection when its last turn was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It rested until the service ended it, or the capture.
    Stays,
    /// The server hung up.
    Closes,
    /// It broke off, or could not be made.
    Breaks,
}

/// A stretch of a recorded connection that answers nothing.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) dependency: String,
    /// Which, and why.
    pub(crate) words: String,
    session: Id,
    from_ns: u64,
    to_ns: u64,
}

impl Connections {
    /// Those of a selection, and the turns that they are made of.
    ///
    /// # Errors
    /// When what was said on one cannot be read.
    pub(crate) fn of(
        archive: &Archive,
        selection: &Selection,
        secrets: &Secrets,
        reuses: bool,
    ) -> Result<(Self, Conversations), ReadError> {
        let mut connections = Self { names: raw_names(archive), in_flight: InFlight::of(archive)?, ..Self::default() };
        let mut conversations = Conversations::new(reuses);
        let mut room = HELD_BYTES_MAX;
        for call in &selection.calls {
            let name = call.role.dependency().unwrap_or_default();
            if call.transport != Transport::Raw || !connections.names.contains(name) {
                continue;
            }
            if let Some(conversation) = connections.read(archive, call, secrets, &mut room)? {
                conversations.add(conversation);
            }
        }
        Ok((connections, conversations))
    }

    /// True for a dependency that speaks no HTTP.
    pub(crate) fn has(&self, dependency: &str) -> bool {
        self.names.contains(dependency)
    }

    /// A recorded connection, if it answers anything.
    pub(crate) fn recorded(&self, id: &Id) -> Option<&Recorded> {
        self.recorded.get(id)
    }

    /// When the exchanges of the recording were in flight.
    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Why something of this dependency cannot be answered, if so.
    pub(crate) fn why_unusable(&self, dependency: &str) -> Option<&str> {
        self.unusable.iter().find(|it| it.dependency == dependency).map(|it| it.words.as_str())
    }

    /// The exchanges that may have needed what cannot be answered, and why it cannot.
    pub(crate) fn needed_the_unusable(&self) -> impl Iterator<Item = (Id, &str)> {
        self.unusable.iter().flat_map(|it| {
            let flying = self.in_flight.between(&it.session, it.from_ns, it.to_ns);
            flying.ids.into_iter().map(|id| (id, it.words.as_str()))
        })
    }

    /// Takes a connection in; gives its turns where it has any that can be answered.
    fn read(
        &mut self,
        archive: &Archive,
        call: &Exchange,
        secrets: &Secrets,
        room: &mut u64,
    ) -> Result<Option<Conversation>, ReadError> {
        let empty = Body::default();
        let answered = call.response.as_ref().map_or(&empty, |response| &response.body);
        let len = call.request.body.kept_len().saturating_add(answered.kept_len());
        if len > *room {
            self.give_up(call, call.times.started_ns, "is one of more than are held for a replay");
            return Ok(None);
        }
        *room -= len;
        let said = archive.body(&call.request.body, HELD_BYTES_MAX)?;
        let answers = archive.body(answered, HELD_BYTES_MAX)?;
        let mut spoken = Spoken::default();
        let mut said_masked = spoken.hear(&said).masked();
        said_masked.extend(spoken.flush().masked());
        if let Some(why) = unrepeatable::of_connection(&spoken, &said, &answers) {
            self.give_up(call, call.times.started_ns, why.words());
            return Ok(None);
        }
        conceal(secrets, &mut said_masked);
        let lost_ns = lost_from(&call.request.body).into_iter().chain(lost_from(answered)).min();
        let (said_pieces, answer_pieces) = (pieces(&call.request.body, lost_ns), pieces(answered, lost_ns));
        let said_len = kept_until(&call.request.body, said_masked.len(), lost_ns);
        let answers_len = kept_until(answered, answers.len(), lost_ns);
        let (greeting, mut turns) = turns_of(
            Heard { bytes: &said_masked[..said_len], pieces: &said_pieces },
            Heard { bytes: &answers[..answers_len], pieces: &answer_pieces },
        );
        if let Some(lost_ns) = lost_ns {
            // The last one may go on in what was lost.
            turns.pop();
            self.give_up(call, lost_ns, unanswerable::CUT);
        }
        for turn in &mut turns {
            turn.owner = self.in_flight.at(&call.session, turn.at_ns).only();
        }
        let dependency = call.role.dependency().unwrap_or_default().to_owned();
        let ending = if lost_ns.is_some() { Ending::Stays } else { ending_of(call) };
        let recorded =
            Recorded { dependency: dependency.clone(), session: call.session, answers: answers.into(), ending };
        self.recorded.insert(call.id, recorded);
        Ok(Some(Conversation { id: call.id, dependency, greeting, turns }))
    }

    fn give_up(&mut self, call: &Exchange, from_ns: u64, why: &str) {
        let dependency = call.role.dependency().unwrap_or_default().to_owned();
        let words = format!(
            "the connection to `{dependency}` ({}) {why}, and cannot be answered from what was recorded: run a real \
             one beside a container, `--beside {dependency}=IMAGE`, or replay with `--target URL`",
            call.id.short()
        );
        let to_ns = call.times.ended_ns.max(from_ns);
        self.unusable.push(Unusable { dependency, words, session: call.session, from_ns, to_ns });
    }
}

/// The dependencies that were recorded as bytes.
pub(crate) fn raw_names(archive: &Archive) -> BTreeSet<String> {
    let listeners = archive.sessions().iter().flat_map(|session| &session.listeners);
    let raw =
        listeners.filter(|listener| listener.upstream.parse::<Upstream>().is_ok_and(|it| it.scheme == Scheme::Tcp));
    raw.filter_map(|listener| listener.dependency.clone()).collect()
}

/// Puts pseudonyms for secrets where that changes no length: what was read when is told by offsets.
pub(crate) fn conceal(secrets: &Secrets, said: &mut Vec<u8>) {
    let mut concealed = said.clone();
    secrets.conceal(&mut concealed);
    if concealed.len() == said.len() {
        *said = concealed;
    }
}

/// What each read delivered, up to what was lost.
fn pieces(body: &Body, lost_ns: Option<u64>) -> Vec<Piece> {
    let kept_len = body.kept_len();
    let kept = body.chunks.iter().filter(|chunk| chunk.offset < kept_len);
    let before = kept.take_while(|chunk| lost_ns.is_none_or(|lost_ns| chunk.at_ns < lost_ns));
    let mut pieces: Vec<Piece> = before
        .filter_map(|chunk| Some(Piece { offset: usize::try_from(chunk.offset).ok()?, at_ns: chunk.at_ns }))
        .collect();
    // A recording may claim any offsets: they go forward, and the first piece begins where the bytes do.
    pieces.sort_by_key(|piece| piece.offset);
    if let Some(first) = pieces.first_mut() {
        first.offset = 0;
    }
    pieces
}

/// How many bytes had come before anything was lost.
fn kept_until(body: &Body, len: usize, lost_ns: Option<u64>) -> usize {
    let Some(lost_ns) = lost_ns else { return len };
    let next = body.chunks.iter().find(|chunk| chunk.at_ns >= lost_ns);
    next.and_then(|chunk| usize::try_from(chunk.offset).ok()).unwrap_or(len).min(len)
}

/// When the first byte was read that was not kept, if any.
fn lost_from(body: &Body) -> Option<u64> {
    body.gap?;
    let kept_len = body.kept_len();
    let holder = body.chunks.iter().rev().find(|chunk| chunk.offset <= kept_len).or(body.chunks.first());
    Some(holder.map_or(0, |chunk| chunk.at_ns))
}

fn ending_of(call: &Exchange) -> Ending {
    match call.end {
        End::Complete if call.times.request_ended_ns.is_none() => Ending::Closes,
        End::UpstreamReset | End::Unreachable { .. } => Ending::Breaks,
        End::Complete | End::ClientGone | End::TimedOut | End::CaptureStopped => Ending::Stays,
    }
}

#[cfg(test)]
mod tests {
    use exchange::{Chunk, Gap, Part};

    use super::*;

    #[test]
    fn of_a_connection_that_was_not_kept_whole_what_came_before_the_loss_is_left() {
        let chunks = [(0, 10), (4, 20), (8, 30)].map(|(offset, at_ns)| Chunk { offset, at_ns });
        let mut body = Body { chunks: chunks.to_vec(), len: 12, parts: vec![whole(6)], ..Body::default() };
        assert_eq!(lost_from(&body), None);
        body.gap = Some(Gap::OverLimit);
        assert_eq!(lost_from(&body), Some(20));
        assert_eq!(pieces(&body, Some(20)), [Piece { offset: 0, at_ns: 10 }]);
        assert_eq!((kept_until(&body, 6, Some(20)), kept_until(&body, 6, None)), (4, 6));
    }

    fn whole(len: u64) -> Part {
        Part::from((0, len))
    }
}

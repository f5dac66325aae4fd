//! Answers what is said on connections that are no HTTP: what is known of the whole run.
//!
//! In: what a connection has said by now. Out: a recorded turn's answer or a miss, noted as calls are; at its end the
//! connection as an exchange of the run. Reading and writing the socket is `converse`'s.

use bytes::Bytes;
use exchange::{Chunk, Digest, Digests, End, Exchange, Head, Id, Repeats, Request, Response, Role, Times, Transport};
use matching::{
    Found,
    conversation::{Answered, Caller, NeverAsked, Reply},
};

use super::{Answerer, Behalf, Note, TurnOf};
use crate::{
    connections::{Connections, Ending, conceal},
    ledger::BodyBytes,
};

/// What is to be done next on a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This is answered; there may be more.
    Say(Bytes),
    /// This is answered, and the connection ends as it did.
    SayAndEnd(Bytes, Ending),
    /// Nothing, until more is said.
    Listen,
    /// It was not recorded: the connection ends, with these words where its protocol has room for them.
    Miss(Bytes),
}

/// A connection that was served, for the run's record.
pub(crate) struct Conversed<'a> {
    pub(crate) dependency: &'a str,
    pub(crate) original: Option<Id>,
    /// What the service said, credentials masked, as far as it is kept.
    pub(crate) said: &'a [u8],
    pub(crate) said_len: u64,
    pub(crate) said_chunks: Vec<Chunk>,
    /// What it was answered, as far as it is kept.
    pub(crate) answered: &'a [u8],
    pub(crate) answered_len: u64,
    pub(crate) answered_chunks: Vec<Chunk>,
    pub(crate) started_ns: u64,
    pub(crate) end: End,
}

impl Answerer {
    /// The recorded connections that are no HTTP.
    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The recorded turns that were not asked for.
    pub(crate) fn turns_never_asked(&self) -> Vec<NeverAsked> {
        self.state().turns.never_asked()
    }

    /// A connection is made to a dependency that speaks no HTTP: what it is told before it says anything.
    pub(crate) fn connected(&self, dependency: &str) -> (Caller, Next) {
        let mut state = self.state();
        let (caller, greeting) = state.turns.connect(dependency);
        let is_silent = state.turns.followed(&caller).is_some_and(|id| state.turns.is_silent(&id));
        let Some((id, range)) = greeting else { return (caller, Next::Listen) };
        let Some(recorded) = self.connections.recorded(&id) else { return (caller, Next::Listen) };
        let greeting = self.reveal(&recorded.answers, range);
        match recorded.ending {
            Ending::Stays if greeting.is_empty() => (caller, Next::Listen),
            Ending::Closes | Ending::Breaks if is_silent => (caller, Next::SayAndEnd(greeting, recorded.ending)),
            _ => (caller, Next::Say(greeting)),
        }
    }

    /// Takes what was said, credentials masked.
    pub(crate) fn takes(&self, caller: &mut Caller, mut said: Vec<u8>) -> Vec<u8> {
        conceal(&self.secrets, &mut said);
        caller.says(&said);
        said
    }

    /// What is to be done about what a connection has said; `at_last` where nothing more comes for now.
    pub(crate) fn next(&self, dependency: &str, caller: &mut Caller, at_last: bool) -> Next {
        let mut state = self.state();
        let behalf = self.on_behalf_of(&Head::default(), &state.in_flight);
        let reply = match at_last {
            true => state.turns.reply_at_last(caller, behalf.parent),
            false => state.turns.reply(caller, behalf.parent),
        };
        let (next, note) = match reply {
            Reply::Wait => return Next::Listen,
            Reply::Answered(answered) => {
                let is_own = state.turns.followed(caller) == Some(answered.id);
                (self.answer_with(&answered, is_own), note_of(dependency, behalf, answered))
            }
            Reply::Missed(miss) => {
                let turn = Some(TurnOf { dependency: dependency.to_owned(), opens: false });
                let (title, digest) = (miss.asked.clone(), digest_of(dependency, caller.pending()));
                (
                    Next::Miss(explanation(&miss, caller.pending())),
                    Note { turn, ..note(behalf, title, Err(miss), digest) },
                )
            }
        };
        if !self.reuse {
            state.note(note);
        }
        next
    }

    fn answer_with(&self, answered: &Answered, is_own: bool) -> Next {
        let Some(recorded) = self.connections.recorded(&answered.id) else { return Next::Miss(Bytes::new()) };
        let answer = self.reveal(&recorded.answers, answered.answer.clone());
        match recorded.ending {
            Ending::Closes | Ending::Breaks if answered.is_last && is_own => Next::SayAndEnd(answer, recorded.ending),
            _ => Next::Say(answer),
        }
    }

    fn reveal(&self, answers: &Bytes, range: std::ops::Range<usize>) -> Bytes {
        let end = range.end.min(answers.len());
        self.secrets.reveal_piece(&answers.slice(range.start.min(end)..end))
    }

    /// The recorded connection that a caller repeats.
    pub(crate) fn followed(&self, caller: &Caller) -> Option<Id> {
        self.state().turns.followed(caller)
    }

    /// Writes a connection into the run.
    pub(crate) fn conversed(&self, conversed: Conversed<'_>) {
        let Some(ledger) = &self.ledger else { return };
        let sequence = ledger.next_sequence();
        let original = conversed.original.filter(|id| self.state().repeated.insert(*id));
        let request = ledger.put_body(BodyBytes {
            bytes: conversed.said,
            len: conversed.said_len,
            chunks: conversed.said_chunks,
            trailers: Vec::new(),
        });
        let has_answer = conversed.answered_len > 0;
        let response = ledger.put_body(BodyBytes {
            bytes: conversed.answered,
            len: conversed.answered_len,
            chunks: conversed.answered_chunks,
            trailers: Vec::new(),
        });
        ledger.append_exchange(Exchange {
            id: original.map_or_else(|| ledger.id_of_new(sequence), |original| self.id_of_repeat(original, 0)),
            session: self.run,
            sequence,
            role: Role::Dependency { name: conversed.dependency.to_owned(), parent: None },
            transport: Transport::Raw,
            trace: None,
            request: Request { head: Head::default(), body: request },
            interim: Vec::new(),
            response: has_answer.then(|| Response { head: Head::default(), body: response }),
            end: conversed.end,
            times: Times {
                started_ns: conversed.started_ns,
                request_ended_ns: None,
                response_started_ns: None,
                ended_ns: (self.clock)(),
            },
            seeds: Vec::new(),
            fingerprint: None,
            context: exchange::Context::default(),
            digests: Digests::default(),
            redactions: Vec::new(),
            repeats: Some(Repeats {
                original,
                repeat: self.repeat(0),
                target: self.target.clone(),
                replacements: Vec::new(),
            }),
        });
    }
}

fn note_of(dependency: &str, behalf: Behalf, answered: Answered) -> Note {
    let turn = Some(TurnOf { dependency: dependency.to_owned(), opens: answered.opens });
    let digest = digest_of(dependency, &answered.asked);
    let found = Found {
        id: answered.id,
        scope: answered.scope,
        repeated: false,
        borrowed: answered.borrowed,
        left_out: Vec::new(),
    };
    Note { turn, ..note(behalf, format!("{dependency} {}", answered.title), Ok(found), digest) }
}

fn note(behalf: Behalf, title: String, outcome: Result<Found, matching::Miss>, digest: Digest) -> Note {
    Note {
        parent: behalf.parent,
        certainty: behalf.scope.map(|scope| scope.certainty),
        candidates: behalf.candidates,
        copies: vec![0],
        title,
        outcome,
        digest,
        turn: None,
        noise: Vec::new(),
        over: None,
        written: None,
    }
}

/// What a client of Redis is told of a miss: there an error is an answer as any other.
fn explanation(miss: &matching::Miss, said: &[u8]) -> Bytes {
    match said {
        [b'*', b'0'..=b'9', ..] => Bytes::from(format!("-ERR retake: {miss}\r\n")),
        _ => Bytes::new(),
    }
}

fn digest_of(dependency: &str, asked: &[u8]) -> Digest {
    Digest::of(&[dependency.as_bytes(), b"\0", asked].concat())
}

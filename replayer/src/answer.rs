//! Answers the service's calls to its dependencies from the recording.
//!
//! In: calls as they arrive on the listeners. Out: the recorded answer with its chunks and the way it ended, or an answer
//! that says what was asked and what the nearest recording was. Never a call to the outside. Which recording belongs to a
//! call is `matching`'s to find; whether that is a divergence is judged later, from the notes kept here.
//!
//! `behalf` tells on whose behalf a call is made, `compared` how it differs from recorded ones, `stand_in` which stand in for one
//! that they do not equal, `replies` makes the answer, `records` writes it into the run; `turns` answers what is no HTTP.

mod behalf;
mod compared;
mod records;
mod replies;
mod stand_in;
pub(crate) mod turns;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bundle::Archive;
use bytes::Bytes;
use diff::{CallRequest, Noise, NoisyChange, Rules};
use exchange::{Certainty, Digest, Exchange, Head, Id};
use matching::{Asked, Call, Copies, Found, Library, Looked, Miss, Reader, Recorded, Scope};
use tokio::sync::watch;
use wire::{
    bridge,
    client::Clock,
    server::{Answer, Handler, Hold, Incoming},
};

pub(crate) use self::{
    behalf::Behalf,
    replies::{error_answer, why_unanswerable},
};
use self::{
    compared::recorded_request,
    replies::{damaged_answer, miss_answer},
    stand_in::{StandIn, without_near},
};
use crate::{
    baseline::{Baseline, Over},
    connections::Connections,
    conversations::Conversations,
    copies,
    determinism::{GateCounts, Gates},
    forward::Forward,
    ledger::Ledger,
    on_miss::Misses,
    rules::MatchingRules,
    secrets::Secrets,
    select::{Selection, scope_of_call},
    timing::Speed,
};

/// Largest body of a call that is held to be matched, in bytes. A choice: above the largest prompts seen, far below memory.
pub(crate) const CALL_BODY_BYTES_MAX: u64 = 64 << 20;

/// Most recordings that the misses of one repeat name beside the nearest. A choice that bounds memory: some ten megabytes.
const NEAR_LEN_MAX: usize = 1 << 16;

/// Most dependencies named in an answer. A choice: what a person reads.
const NAMES_MAX: usize = 16;

/// One call that the service made, and what answered it.
#[derive(Clone, Debug)]
pub(crate) struct Note {
    /// The exchange on whose behalf it was made, where that is known.
    pub(crate) parent: Option<Id>,
    /// How the parent is known.
    pub(crate) certainty: Option<Certainty>,
    /// All exchanges that were in flight when the parent is not known.
    pub(crate) candidates: Vec<Id>,
    /// The copies of sessions that it may belong to: where it was answered, the one whose recording did.
    pub(crate) copies: Vec<u32>,
    /// Dependency, method and target.
    pub(crate) title: String,
    /// What answered it.
    pub(crate) outcome: Result<Found, Miss>,
    /// Digest of the request's canonical content.
    pub(crate) digest: Digest,
    /// What it was a turn of, where it was no call of HTTP.
    pub(crate) turn: Option<TurnOf>,
    /// Where it differs from the recorded call that answered it, all of it within measured noise.
    pub(crate) noise: Vec<NoisyChange>,
    /// Over repeats: where it differs from the first one in its place, or that it is that.
    pub(crate) over: Option<Over>,
    /// What it was written as.
    pub(crate) written: Option<Id>,
}

/// Where a turn was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TurnOf {
    /// The dependency.
    pub(crate) dependency: String,
    /// True for what opens a connection: how often that happens is a matter of timing.
    pub(crate) opens: bool,
}

/// Answers calls for one run, or for `retake serve`.
pub(crate) struct Answerer {
    archive: Arc<Archive>,
    calls: BTreeMap<Id, Exchange>,
    /// Of each trace: which copy's it is, and the recorded trace with its exchanges.
    traces: BTreeMap<String, (u32, String)>,
    of_trace: BTreeMap<String, Vec<Id>>,
    trace_of: BTreeMap<Id, String>,
    conversations: Conversations,
    connections: Connections,
    reuse: bool,
    rules: Rules,
    noise: Arc<Noise>,
    secrets: Arc<Secrets>,
    reader: Reader,
    state: Mutex<State>,
    /// Notified when a call has been looked up.
    looked_up: Condvar,
    ledger: Option<Arc<Ledger>>,
    run: Id,
    repeat: AtomicU32,
    target: String,
    clock: Arc<Clock>,
    forward: Option<Forward>,
    /// The recorded order of answers, where they are to keep it, for each copy.
    gates: Option<Vec<Arc<Gates>>>,
    speed: Option<Speed>,
    copies: u32,
    misses: Option<Arc<Misses>>,
    /// How many connections the service has.
    open: watch::Sender<usize>,
    /// The way to the service, where that is a bridge, as long as it is there.
    bridge: Mutex<Weak<bridge::Host>>,
}

/// A connection of the service.
pub(crate) struct Connected(watch::Sender<usize>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

struct State {
    /// What answers.
    library: Copies,
    /// What answers on connections that are no HTTP.
    turns: matching::conversation::Conversations,
    /// Recorded connections that were repeated on one of this run.
    repeated: BTreeSet<Id>,
    /// Copies and exchanges.
    in_flight: BTreeSet<(u32, Id)>,
    /// What was noted, each under its number.
    notes: BTreeMap<u64, Note>,
    /// The number of the next call or turn.
    next: u64,
    /// Calls that are being looked up.
    looking: BTreeSet<u64>,
    /// Calls that stand in for recordings which they do not equal.
    stand_ins: BTreeMap<u64, StandIn>,
    /// How many recordings misses may still name beside the nearest.
    near_left: usize,
    /// Recorded calls that a call of this repeat was written as, by copy.
    written: BTreeSet<(u32, Id)>,
    /// Records of calls that may still give way, each with its copy.
    unwritten: BTreeMap<u64, (u32, Exchange)>,
    /// First calls, where there are several repeats.
    baseline: Option<Arc<Baseline>>,
    /// Recorded calls in whose place a call of this repeat was looked at, by copy.
    looked_at: BTreeSet<(u32, Id)>,
}

impl State {
    /// Notes something that came last.
    fn note(&mut self, note: Note) {
        let number = self.number();
        self.notes.insert(number, note);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Notes a call, which may have given way already.
    fn note_call(&mut self, number: u64, mut note: Note) {
        if let Some(stand_in) = self.stand_ins.get(&number) {
            stand_in.tell(&mut note);
        }
        if let Err(miss) = &mut note.outcome {
            miss.near.truncate(self.near_left);
            self.near_left -= miss.near.len();
        }
        self.notes.insert(number, note);
    }
}

/// A call that has arrived and is being looked up.
struct Arrival<'a> {
    answerer: &'a Answerer,
    number: u64,
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.answerer.state().looking.remove(&self.number);
        self.answerer.looked_up.notify_all();
    }
}

/// What an answerer is made from.
pub(crate) struct AnswererParts {
    pub(crate) archive: Arc<Archive>,
    pub(crate) rules: Rules,
    /// The noise of the recorded version.
    pub(crate) noise: Arc<Noise>,
    /// True for `retake serve`: a recording answers as often as it is asked for.
    pub(crate) reuse: bool,
    /// Secrets given for this replay: the service gets them, and what it asks holds their pseudonyms again.
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) ledger: Option<Arc<Ledger>>,
    pub(crate) run: Id,
    pub(crate) target: String,
    pub(crate) clock: Arc<Clock>,
    /// What plays the recorded forward proxy, where there was one.
    pub(crate) forward: Option<Forward>,
    /// Whether answers keep the recorded order within each exchange.
    pub(crate) in_order: bool,
    /// At which speed recorded answers come in their pieces; `None` for at once.
    pub(crate) speed: Option<Speed>,
    /// How many copies of each session there are at once.
    pub(crate) copies: u32,
    /// What answers what was not recorded, where that may be more than an explanation.
    pub(crate) misses: Option<Arc<Misses>>,
}

impl Answerer {
    /// Answers with the calls of `selection`.
    ///
    /// # Errors
    /// When a recorded call's body cannot be read.
    pub(crate) fn new(selection: &Selection, parts: AnswererParts) -> Result<Self, bundle::ReadError> {
        let mut of_trace: BTreeMap<String, Vec<Id>> = BTreeMap::new();
        let mut trace_of = BTreeMap::new();
        for exchange in &selection.chosen {
            let Some(trace) = &exchange.trace else { continue };
            of_trace.entry(trace.trace_id.clone()).or_default().push(exchange.id);
            trace_of.insert(exchange.id, trace.trace_id.clone());
        }
        let conversations = Conversations::of(&parts.archive);
        let mut library = Library::new(Box::new(MatchingRules::new(parts.rules.clone())));
        for call in selection.calls.iter().filter(|call| why_unanswerable(call).is_none()) {
            let scope = scope_of_call(call, |parent| trace_of.get(parent).map(String::as_str));
            let (head, body) = recorded_request(&parts.archive, &parts.secrets, call)?;
            library.add(Recorded {
                id: call.id,
                dependency: call.role.dependency().unwrap_or_default().to_owned(),
                scope: scope.map(|(key, certainty)| Scope { key: key.to_owned(), certainty }),
                conversation: conversations.of_recorded(call),
                head,
                body,
            });
        }
        let (connections, turns) = Connections::of(&parts.archive, selection, &parts.secrets, parts.reuse)?;
        let copied = |trace: &String| {
            let trace = trace.clone();
            (0..parts.copies).map(move |copy| (copies::trace_id(&trace, copy), (copy, trace.clone())))
        };
        let traces = of_trace.keys().flat_map(copied).collect();
        let gates = || Arc::new(Gates::of(&selection.calls, parts.speed));
        let (reader, library) = (library.reader(), Copies::new(library, parts.copies));
        let state = State {
            library,
            turns,
            repeated: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            notes: BTreeMap::new(),
            next: 0,
            looking: BTreeSet::new(),
            stand_ins: BTreeMap::new(),
            near_left: NEAR_LEN_MAX,
            written: BTreeSet::new(),
            unwritten: BTreeMap::new(),
            baseline: None,
            looked_at: BTreeSet::new(),
        };
        Ok(Self {
            archive: parts.archive,
            calls: selection.calls.iter().map(|call| (call.id, call.clone())).collect(),
            traces,
            of_trace,
            trace_of,
            conversations,
            connections,
            reuse: parts.reuse,
            rules: parts.rules,
            noise: parts.noise,
            secrets: parts.secrets,
            reader,
            state: Mutex::new(state),
            looked_up: Condvar::new(),
            ledger: parts.ledger,
            run: parts.run,
            repeat: AtomicU32::new(0),
            target: parts.target,
            clock: parts.clock,
            forward: parts.forward,
            speed: parts.speed,
            gates: parts.in_order.then(|| (0..parts.copies).map(|_| gates()).collect()),
            copies: parts.copies,
            misses: parts.misses,
            open: watch::Sender::new(0),
            bridge: Mutex::default(),
        })
    }

    /// Begins a repeat: all that was recorded may be asked for again, and nothing was asked yet. Connections that are no HTTP
    /// go on where they are. With a `baseline` calls are held against the first ones.
    pub(crate) fn begin(&self, repeat: u32, baseline: Option<Arc<Baseline>>) {
        drop(self.settled());
        self.write_rest(true);
        self.repeat.store(repeat, Ordering::Relaxed);
        let mut state = self.settled();
        self.gates.iter().flatten().for_each(|gates| gates.begin_anew());
        state.library.begin_anew();
        state.repeated.clear();
        state.notes.clear();
        state.stand_ins.clear();
        state.near_left = NEAR_LEN_MAX;
        state.written.clear();
        state.looked_at.clear();
        state.baseline = baseline;
    }

    /// Makes connections that are no HTTP begin where they began when they were recorded: whoever was on them is gone.
    pub(crate) fn forget_connections(&self) {
        self.state().turns.start_over();
    }

    /// From now on the service is reached over this one.
    pub(crate) fn answers_over(&self, bridge: &Arc<bridge::Host>) {
        *self.bridge.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(bridge);
    }

    fn bridge(&self) -> Option<Arc<bridge::Host>> {
        self.bridge.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// Counts a connection of the service for as long as what comes back is held.
    pub(crate) fn hold_open(&self) -> Connected {
        self.open.send_modify(|count| *count += 1);
        Connected(self.open.clone())
    }

    /// Waits until the service has no connection any more, for at most `patience`.
    pub(crate) async fn quiet(&self, patience: Duration) {
        let mut open = self.open.subscribe();
        drop(tokio::time::timeout(patience, open.wait_for(|count| *count == 0)).await);
    }

    /// The id of what repeats something recorded, for a copy.
    fn id_of_repeat(&self, original: Id, copy: u32) -> Id {
        Id::of_repeat(self.run, original, self.repeat(copy))
    }

    /// The number of a copy's repeat.
    fn repeat(&self, copy: u32) -> u32 {
        self.repeat.load(Ordering::Relaxed) * self.copies + copy
    }

    /// Says that an exchange was sent.
    pub(crate) fn began(&self, copy: u32, id: Id) {
        self.state().in_flight.insert((copy, id));
    }

    /// Says that an exchange has ended.
    pub(crate) fn ended(&self, copy: u32, id: Id) {
        self.state().in_flight.remove(&(copy, id));
    }

    /// All calls so far that a copy made, or may have made, in the order they came.
    pub(crate) fn notes(&self, copy: u32) -> Vec<Note> {
        drop(self.settled());
        self.write_rest(false);
        self.state().notes.values().filter(|note| note.copies.contains(&copy)).cloned().collect()
    }

    /// How often answers were held so that they kept the recorded order; nothing where they were not to.
    pub(crate) fn gate_counts(&self) -> Option<GateCounts> {
        self.gates.iter().flatten().map(|gates| gates.counts()).reduce(GateCounts::and)
    }

    /// The recorded calls that a copy did not ask for.
    pub(crate) fn never_asked(&self, copy: u32) -> BTreeSet<Id> {
        self.settled().library.never_asked(copy).into_iter().collect()
    }

    /// What plays the recorded forward proxy, where there was one.
    pub(crate) fn forward(&self) -> Option<&Forward> {
        self.forward.as_ref()
    }

    /// What was recorded beside a dependency of which nothing was, in words; nothing where the miss says enough.
    fn others_than(&self, dependency: &str) -> String {
        let names: BTreeSet<_> = self.calls.values().filter_map(|call| call.role.dependency()).collect();
        if names.contains(dependency) || names.is_empty() {
            return String::new();
        }
        let some: Vec<_> = names.into_iter().take(NAMES_MAX).collect();
        format!("; recorded are calls to {}", some.join(", "))
    }

    /// The handler for the calls to one dependency.
    pub(crate) fn of_dependency(self: &Arc<Self>, name: &str) -> Arc<DependencyAnswers> {
        Arc::new(DependencyAnswers { name: name.to_owned(), answerer: Arc::clone(self) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state once all calls that have arrived by now are looked up: that takes no more than their bodies' being compared.
    fn settled(&self) -> MutexGuard<'_, State> {
        let state = self.state();
        let last = state.next;
        let is_looking = |state: &mut State| state.looking.first().is_some_and(|first| *first <= last);
        self.looked_up.wait_while(state, is_looking).unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds what answers a call, and notes it under the number given back. Others wait only while it is decided what is served to
    /// whom: reading a call and comparing it takes as long as its body is, and those that are recorded.
    fn look_up(&self, dependency: &str, incoming: &Incoming) -> (u64, Note) {
        let (arrival, behalf) = self.arrives(&incoming.head);
        let conversation = self.conversations.of_live(&incoming.head, &incoming.body, &behalf);
        let call = Call {
            dependency,
            scope: behalf.scope.as_ref(),
            conversation: conversation.as_deref(),
            head: &incoming.head,
            body: &incoming.body,
        };
        let read = self.reader.read(call);
        let asked = CallRequest { dependency, head: &incoming.head, body: &incoming.body };
        let (copy, outcome, noise) = match self.answer_equal(call, &read, &behalf.copies) {
            (copy, Looked::Found(found)) => (copy, Ok(found), Vec::new()),
            (copy, Looked::Unanswered(unanswered)) => {
                let miss = unanswered.compare(&read);
                match self.answer_within_noise(&arrival, (call, &read), &miss, &behalf) {
                    Some((copy, found, noise)) => (Some(copy), Ok(found), noise),
                    None => (copy, Err(without_near(miss)), Vec::new()),
                }
            }
        };
        let copies = copy.map_or(behalf.copies, |copy| vec![copy]);
        // Whose a miss is that several copies may have asked is not known.
        let parent = behalf.parent.filter(|_| copies.len() == 1);
        let owner = |found: &Found| self.recorded_among(&found.id, &behalf.candidates);
        let parent = parent.or_else(|| outcome.as_ref().ok().and_then(owner));
        let over = self.look(&asked, &outcome, (parent, &copies));
        let outcome = outcome.map_err(|miss| self.told_by_field(miss, &asked));
        let note = Note {
            parent,
            certainty: behalf.scope.map(|scope| scope.certainty),
            candidates: behalf.candidates,
            copies,
            title: title_of(dependency, &incoming.head),
            outcome,
            digest: content::canonical::request_digest(&incoming.head, &incoming.body, incoming.transport),
            turn: None,
            noise,
            over,
            written: None,
        };
        if !self.reuse {
            self.state().note_call(arrival.number, note.clone());
        }
        (arrival.number, note)
    }

    /// Takes a call's number, and on whose behalf it is made.
    fn arrives(&self, head: &Head) -> (Arrival<'_>, Behalf) {
        let mut state = self.state();
        let behalf = self.on_behalf_of(head, &state.in_flight);
        let number = state.number();
        state.looking.insert(number);
        (Arrival { answerer: self, number }, behalf)
    }

    /// The recording that equals a call, and of which copy it is.
    fn answer_equal(&self, call: Call<'_>, read: &Asked, copies: &[u32]) -> (Option<u32>, Looked) {
        let mut state = self.state();
        if self.reuse {
            return (Some(0), state.library.ask_anew(call, read));
        }
        let reply = state.library.ask(call, read, copies);
        self.move_on(&mut state, reply.copy, reply.moved);
        (reply.copy, reply.looked)
    }

    fn has(&self, id: &Id) -> bool {
        self.calls.contains_key(id)
    }
}

/// Answers the calls to one dependency.
pub(crate) struct DependencyAnswers {
    name: String,
    answerer: Arc<Answerer>,
}

impl Handler for DependencyAnswers {
    async fn answer(&self, mut incoming: Incoming) -> Answer {
        let secrets = &self.answerer.secrets;
        secrets.conceal_message(&mut incoming.head, &mut incoming.body, &mut incoming.chunks);
        secrets.conceal(&mut incoming.trailers);
        let (number, note) = self.answerer.look_up(&self.name, &incoming);
        let answer = match &note.outcome {
            Ok(found) => self.answerer.recorded_answer(&found.id).unwrap_or_else(|error| damaged_answer(&error)),
            Err(miss) => self.answer_missed(miss, &incoming).await,
        };
        let mut hold = Hold::default();
        if let (Some(gates), Ok(found), [copy]) = (&self.answerer.gates, &note.outcome, &note.copies[..])
            && !found.borrowed
        {
            let gates = &gates[*copy as usize];
            gates.may_answer(found.id, self.answerer.bridge().as_deref()).await;
            hold = Hold::new(self.answerer.handing_over(number, found.id, gates));
        }
        self.answerer.write((number, &note), &self.name, &incoming, &answer);
        Answer {
            hold,
            head: secrets.reveal_head(&answer.head),
            pieces: answer.pieces.into_iter().map(|(pause, piece)| (pause, secrets.reveal_piece(&piece))).collect(),
            ..answer
        }
    }
}

impl DependencyAnswers {
    /// The answer to a call that no recording answers: a real one, or the nearest, where that is allowed; else why there is none.
    async fn answer_missed(&self, miss: &Miss, incoming: &Incoming) -> Answer {
        let answerer = &self.answerer;
        if let Some(misses) = &answerer.misses {
            if let Some(mut answer) = misses.live(&self.name, incoming, &answerer.secrets, &*answerer.clock).await {
                // Secrets that it says are the recording's pseudonyms again, as everywhere here.
                let mut body: Vec<u8> = answer.pieces.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
                let mut head = Head::new(answer.head);
                answerer.secrets.conceal_message(&mut head, &mut body, &mut Vec::new());
                answer.head = head.bytes;
                answer.pieces = if body.is_empty() { Vec::new() } else { vec![(Duration::ZERO, Bytes::from(body))] };
                return answer;
            }
            let nearest = miss.nearest.as_ref().filter(|nearest| misses.takes_nearest(answerer.has(&nearest.id)));
            if let Some(nearest) = nearest {
                return answerer.recorded_answer(&nearest.id).unwrap_or_else(|error| damaged_answer(&error));
            }
        }
        miss_answer(miss, &answerer.others_than(&self.name))
    }
}

pub(crate) fn title_of(dependency: &str, head: &Head) -> String {
    let method = head.request_line().map(|line| String::from_utf8_lossy(line.method).into_owned()).unwrap_or_default();
    let target = content::redact::without_credentials(head.origin_target().unwrap_or_default());
    format!("{dependency} {method} {}", String::from_utf8_lossy(&target))
}

#[cfg(test)]
mod tests;

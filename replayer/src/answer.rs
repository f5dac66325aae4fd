//! Answers the service's calls to its dependencies from the recording.
//!
//! In: calls as they arrive on the listeners. Out: the recorded answer with its chunks and the way it ended, or an answer
//! that says what was asked and what the nearest recording was. Never a call to the outside. Which recording belongs to a
//! call is `matching`'s to find; whether that is a divergence is judged later, from the notes kept here.

mod records;
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
use diff::{CallRequest, Change, Noise, NoisyChange, Route, Rules, compare_calls, fresh_form, with_indices_as_stars};
use exchange::{Certainty, Digest, End, Exchange, Head, Id, Trace, Transport};
use matching::{Asked, Call, Copies, Found, Library, Looked, Miss, Nearest, Reader, Recorded, Scope};
use tokio::sync::watch;
use wire::{
    bridge,
    client::Clock,
    server::{Answer, Cut, Handler, Hold, Incoming},
};

use self::stand_in::{StandIn, without_near};
use crate::{
    baseline::{Baseline, LookedCall, Over},
    connections::Connections,
    conversations::Conversations,
    copies,
    determinism::{GateCounts, Gates},
    forward::Forward,
    ledger::Ledger,
    on_miss::Misses,
    pieces::pieces,
    rules::MatchingRules,
    secrets::Secrets,
    select::{Selection, scope_of_call},
    timing::Speed,
};

/// Largest body of a call that is held to be matched, in bytes. A choice: above the largest prompts seen, far below memory.
pub(crate) const CALL_BODY_BYTES_MAX: u64 = 64 << 20;

/// Largest recorded answer that is played, in bytes. A choice, as above.
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Status of the answer to a call that was not recorded: 424 Failed Dependency (RFC 4918, section 11.4). SDKs retry on 5xx
/// and read meaning into 404; this one they raise at once, with the text.
const MISS_STATUS: &str = "424 Failed Dependency";

/// How `matching` tells of bodies that it compares as a whole.
const WHOLE_BODY: &str = "body: ";

/// How it tells of targets.
const TARGET: &str = "target: ";

/// Most differences named of a call: as many as `matching` names.
const FIELDS_NAMED_MAX: usize = 5;

/// Most recorded calls that are read to be held against one call, and most bytes of their bodies where they are several. Choices:
/// they bound the work of a service that asks for much that was not recorded.
const READ_LEN_MAX: usize = 16;
const READ_BYTES_MAX: u64 = 8 << 20;

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
        self.gates.iter().flatten().for_each(|gates| gates.begin_anew());
        let mut state = self.settled();
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

    /// The first of these calls, and more of them as long as all are not too much to read for one call.
    fn within_bounds<'a>(&self, calls: impl Iterator<Item = &'a Exchange>) -> impl Iterator<Item = &'a Exchange> {
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

    /// A miss whose body is no JSON, with what differs in it by field: `matching` reads neither messages nor forms.
    fn told_by_field(&self, mut miss: Miss, asked: &CallRequest<'_>) -> Miss {
        let is_of_whole = |words: &String| words.starts_with(WHOLE_BODY);
        let named = miss.nearest.iter().chain(&miss.near).filter(|it| it.differences.iter().any(is_of_whole));
        let ids: Vec<Id> = named.map(|nearest| nearest.id).collect();
        let mut seen = BTreeSet::new();
        let recorded = ids.iter().filter(|id| seen.insert(**id)).filter_map(|id| self.calls.get(id));
        for recorded in self.within_bounds(recorded) {
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
    fn look(
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

    /// The exchange that a recorded call was made for, where that is known and is one of these: what equals its call is its own.
    fn recorded_among(&self, call: &Id, candidates: &[Id]) -> Option<Id> {
        let parent = self.calls.get(call)?.role.parent()?;
        (parent.certainty != Certainty::Ambiguous && candidates.contains(&parent.id)).then_some(parent.id)
    }

    /// By trace context, else by being the only one in flight, of whatever copy.
    fn on_behalf_of(&self, head: &Head, in_flight: &BTreeSet<(u32, Id)>) -> Behalf {
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

    fn has(&self, id: &Id) -> bool {
        self.calls.contains_key(id)
    }

    fn recorded_answer(&self, id: &Id) -> Result<Answer, bundle::ReadError> {
        let Some(call) = self.calls.get(id) else { return Err(bundle::ReadError::NoExchange { id: *id }) };
        let times = AnswerTimes { speed: self.speed, asked_ns: call.times.request_ended_ns.unwrap_or_default() };
        let ends = times.after(call.times.ended_ns);
        let interim = call.interim.iter().map(|interim| interim.head.clone()).collect();
        let cut = match &call.end {
            End::Complete => None,
            End::UpstreamReset | End::CaptureStopped => Some(Cut::Reset),
            // The proxy had given it up by then.
            End::TimedOut if self.speed.is_some() => Some(Cut::Reset),
            End::ClientGone | End::TimedOut => Some(Cut::Hang),
            End::Unreachable { reason } => return Ok(Answer { starts: ends, ..unreachable_answer(reason) }),
        };
        // One that hangs ends when the service goes, whenever that is.
        let ends = if cut == Some(Cut::Hang) { Duration::ZERO } else { ends };
        let Some(response) = &call.response else {
            return Ok(Answer { interim, cut: cut.or(Some(Cut::Reset)), ends, ..Answer::default() });
        };
        let body = Bytes::from(self.archive.body(&response.body, ANSWER_BYTES_MAX)?);
        let cut = if response.body.is_whole() { cut } else { cut.or(Some(Cut::Reset)) };
        Ok(Answer {
            interim,
            starts: call.times.response_started_ns.map_or(Duration::ZERO, |at_ns| times.after(at_ns)),
            head: response.head.bytes.clone(),
            pieces: pieces(&response.body, body.len())
                .into_iter()
                .map(|(at_ns, piece)| (times.after(at_ns), body.slice(piece)))
                .collect(),
            trailers: response.body.trailers.clone(),
            cut,
            ends,
            hold: Hold::default(),
        })
    }
}

/// When the parts of a recorded answer are sent again.
#[derive(Clone, Copy)]
struct AnswerTimes {
    speed: Option<Speed>,
    asked_ns: u64,
}

impl AnswerTimes {
    /// How long after the request that is which came at `at_ns`; at once where no times are to be kept.
    fn after(self, at_ns: u64) -> Duration {
        self.speed.map_or(Duration::ZERO, |speed| speed.of(at_ns.saturating_sub(self.asked_ns)))
    }
}

/// On whose behalf a call is made.
pub(crate) struct Behalf {
    /// The exchange, where it can be told.
    pub(crate) parent: Option<Id>,
    scope: Option<Scope>,
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
            let now = self.answerer.answers_now(number, found.id);
            hold = now.map(|call| Hold::new(gates.ticket(call))).unwrap_or_default();
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

/// True where a recorded call is known to have been made for this exchange.
fn is_for(recorded: &Exchange, parent: Option<Id>) -> bool {
    let known = recorded.role.parent().filter(|of| of.certainty != Certainty::Ambiguous);
    known.is_some_and(|of| Some(of.id) == parent)
}

/// What a recorded call asked, with pseudonyms in place of secrets that are known.
fn recorded_request(
    archive: &Archive,
    secrets: &Secrets,
    call: &Exchange,
) -> Result<(Head, Vec<u8>), bundle::ReadError> {
    let (mut head, mut body) = (call.request.head.clone(), archive.body(&call.request.body, CALL_BODY_BYTES_MAX)?);
    secrets.conceal_message(&mut head, &mut body, &mut Vec::new());
    Ok((head, body))
}

/// Why a recorded call cannot answer anything that is asked now, or `None` when it can. Whoever made it cannot be judged.
pub(crate) fn why_unanswerable(call: &Exchange) -> Option<&'static str> {
    let request = &call.request.body;
    let answer_len = call.response.as_ref().map_or(0, |response| response.body.kept_len());
    match call.transport {
        Transport::Raw => return Some("is no HTTP, and was not recorded as `--dependency NAME=tcp://HOST:PORT`"),
        Transport::Upgraded => return Some("is an upgraded connection"),
        Transport::Http1 => {}
    }
    if call.times.request_ended_ns.is_none() || call.end == End::CaptureStopped {
        Some("was cut off when it was recorded")
    } else if !request.is_whole() || request.len > CALL_BODY_BYTES_MAX {
        Some("has a longer request than is kept")
    } else if call.response.as_ref().is_some_and(|response| response.body.gap.is_some())
        || answer_len > ANSWER_BYTES_MAX
    {
        Some("has a longer answer than is kept")
    } else {
        None
    }
}

pub(crate) fn trace_id_of(head: &Head) -> Option<&str> {
    let mut parts = head.text_of("traceparent")?.split('-');
    let (_version, trace_id) = (parts.next()?, parts.next()?);
    (trace_id.len() == 32).then_some(trace_id)
}

fn trace_of_head(head: &Head) -> Option<Trace> {
    let mut parts = head.text_of("traceparent")?.split('-').skip(1);
    let (trace_id, span_id) = (parts.next()?, parts.next()?);
    (trace_id.len() == 32 && span_id.len() == 16).then(|| Trace {
        trace_id: trace_id.to_owned(),
        span_id: span_id.to_owned(),
        made: false,
    })
}

pub(crate) fn title_of(dependency: &str, head: &Head) -> String {
    let method = head.request_line().map(|line| String::from_utf8_lossy(line.method).into_owned()).unwrap_or_default();
    let target = content::redact::without_credentials(head.origin_target().unwrap_or_default());
    format!("{dependency} {method} {}", String::from_utf8_lossy(&target))
}

fn miss_answer(miss: &Miss, others: &str) -> Answer {
    error_answer(MISS_STATUS, "retake_not_recorded", &format!("{miss}{others}"))
}

fn damaged_answer(error: &bundle::ReadError) -> Answer {
    error_answer(MISS_STATUS, "retake_damaged_recording", &error.to_string())
}

/// What the capture's proxy answered then.
fn unreachable_answer(reason: &str) -> Answer {
    error_answer("502 Bad Gateway", "retake_unreachable", reason)
}

pub(crate) fn error_answer(status: &str, kind: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "error": { "type": kind, "message": message } }).to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetake-Error: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Answer { head: head.into_bytes(), pieces: vec![(Duration::ZERO, Bytes::from(body))], ..Answer::default() }
}

#[cfg(test)]
mod tests;

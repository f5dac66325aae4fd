//! Answers of dependencies in the recorded causal order (level 2).
//!
//! In: the recorded calls. Out: for each, which calls of the same exchange were in flight with it and ended first; its answer
//! is held until theirs have been handed over. An answer that is waited for in vain, since the service asks otherwise now,
//! is not waited for beyond a limit, and that is counted: the recorded order was then not held. An answer that was handed over is not
//! taken in yet: the next one waits until the service is at rest, where that can be seen.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use exchange::{Certainty, End, Exchange, Id, Times, Transport};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use wire::bridge::{self, Rest};

use crate::{answer::why_unanswerable, timing::Speed};

/// How long an answer waits for those that ended before it. A choice: what overlapped in production is asked together here
/// too, within what a service needs to get on; a service that asks otherwise now loses this once for each such call.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long after the last of them the service may take to come to rest. A choice: far more than taking in an answer takes on a
/// machine with many busy threads for each processor.
const REST_PATIENCE: Duration = Duration::from_millis(500);

/// The same of a service that did not come to rest before: one that polls never does.
const RESTLESS_PATIENCE: Duration = Duration::from_millis(20);

/// Where its rest cannot be seen: how long after the last of them, at least and at most. In between it is what lay between the two in
/// production. A choice: on a machine with five busy threads for each processor a service turns to an answer some milliseconds
/// late, and takes those that have come meanwhile in an order of its own (httpx under asyncio, in 7 of 60 starts where this was
/// 1 ms).
const SETTLING_MIN: Duration = Duration::from_millis(5);
const SETTLING_MAX: Duration = Duration::from_millis(20);

/// The same where answers keep production's times, which lie apart as they did: some ten times what the bridge takes.
const SETTLING_ON_TIME: Duration = Duration::from_millis(1);

/// How often answers were held, and how often in vain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateCounts {
    /// Answers that were given after those that had ended before them.
    pub held: u64,
    /// Answers that were given although one of those was not asked for in time.
    pub opened: u64,
    /// Answers among these that were given before one that was asked for after all: in another order than recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub overtaken: u64,
    /// Answers that were given while the service was still busy, perhaps with those before them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unsettled: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl GateCounts {
    /// Those of another service too.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            held: self.held + other.held,
            opened: self.opened + other.opened,
            overtaken: self.overtaken + other.overtaken,
            unsettled: self.unsettled + other.unsettled,
        }
    }

    /// `5 held for those that ended first, 1 gate opened after 0.5 s: a call that was recorded did not come`.
    pub fn words(self) -> String {
        let Self { held, opened, overtaken, unsettled } = self;
        let gates = if opened == 1 { "gate" } else { "gates" };
        let came =
            if overtaken > 0 { format!("; {overtaken} of them before one that came later") } else { String::new() };
        let busy = if unsettled > 0 {
            format!(" ({unsettled} given while the service was still busy)")
        } else {
            String::new()
        };
        match opened {
            0 => format!("{held} held for those that ended first{busy}"),
            _ => format!(
                "{held} held for those that ended first{busy}, {opened} {gates} opened after 0.5 s: a call that was recorded did not \
                 come{came}"
            ),
        }
    }
}

/// The order of answers within each exchange.
#[derive(Debug, Default)]
pub(crate) struct Gates {
    after: BTreeMap<Id, Vec<Id>>,
    /// How long after a call the last of its forerunners ended, where answers keep production's times.
    lasts: BTreeMap<Id, Duration>,
    /// How long after the last of its forerunners an answer is given.
    settling: BTreeMap<Id, Duration>,
    state: Mutex<State>,
    changed: Notify,
    /// True once the service did not come to rest in time.
    is_restless: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    asked: BTreeSet<Id>,
    given: BTreeSet<Id>,
    /// Answers that waited in vain, and what for.
    in_vain: BTreeMap<Id, Vec<Id>>,
    counts: GateCounts,
}

impl Gates {
    /// The gates of these calls, whose answers keep production's times at `speed`, if any. A call whose parent is not known for
    /// certain waits for nothing, and nothing waits for it: exchanges are not to hold one another.
    pub(crate) fn of<'a>(calls: impl IntoIterator<Item = &'a Exchange>, speed: Option<Speed>) -> Self {
        let told = |call: &Exchange| {
            // Nobody can be waited for who is not answered.
            if why_unanswerable(call).is_some() || is_ambiguous(call) || hangs(call) {
                return None;
            }
            let parent = call.role.parent()?.id;
            Some(Told { id: call.id, parent: (call.session, parent), times: call.times })
        };
        Self::between(calls.into_iter().filter_map(told), speed)
    }

    fn between(calls: impl IntoIterator<Item = Told>, speed: Option<Speed>) -> Self {
        let mut of_parent: BTreeMap<(Id, Id), Vec<Told>> = BTreeMap::new();
        for call in calls {
            of_parent.entry(call.parent).or_default().push(call);
        }
        let (mut after, mut lasts, mut settling) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for calls in of_parent.values() {
            for call in calls {
                let forerunners = calls.iter().filter(|it| overlapped_and_ended_before(&it.times, &call.times));
                let forerunners: Vec<&Told> = forerunners.collect();
                let last_ns = forerunners.iter().map(|it| it.times.ended_ns - call.times.started_ns).max();
                lasts.extend(speed.zip(last_ns).map(|(speed, last_ns)| (call.id, speed.of(last_ns))));
                let apart_ns = forerunners.iter().map(|it| call.times.ended_ns - it.times.ended_ns).min();
                settling.extend(apart_ns.map(|apart_ns| (call.id, settling_of(apart_ns, speed))));
                let forerunners: Vec<Id> = forerunners.iter().map(|it| it.id).collect();
                if !forerunners.is_empty() {
                    after.insert(call.id, forerunners);
                }
            }
        }
        Self { after, lasts, settling, ..Self::default() }
    }

    /// Begins a repeat: nothing was given yet. The counts go on.
    pub(crate) fn begin_anew(&self) {
        let mut state = self.state();
        *state = State { counts: state.counts, ..State::default() };
    }

    /// Waits until the answer to a recorded call may be given to the service that is reached over `bridge`.
    pub(crate) async fn may_answer(&self, call: Id, bridge: Option<&bridge::Host>) {
        self.state().asked.insert(call);
        let Some(forerunners) = self.after.get(&call) else { return };
        let patience = PATIENCE.saturating_add(self.lasts.get(&call).copied().unwrap_or_default());
        if tokio::time::timeout(patience, self.all_given(forerunners)).await.is_err() {
            // What was asked for may itself wait in vain, and is not to be overtaken for that.
            let asked = self.of_these(forerunners, |state, call| state.asked.contains(call));
            drop(tokio::time::timeout(patience, self.all_given(&asked)).await);
        }
        let missing = self.of_these(forerunners, |state, call| !state.given.contains(call));
        if missing.is_empty() {
            self.state().counts.held += 1;
            self.settle(call, bridge).await;
        } else {
            let mut state = self.state();
            state.counts.opened += 1;
            state.in_vain.insert(call, missing);
        }
    }

    /// Waits until the service has taken in what it was given before this call's answer.
    async fn settle(&self, call: Id, bridge: Option<&bridge::Host>) {
        let patience = if self.is_restless.load(Ordering::Relaxed) { RESTLESS_PATIENCE } else { REST_PATIENCE };
        // Answers that keep production's times are not to come later for it.
        let is_on_time = self.lasts.contains_key(&call);
        let rest = match bridge.filter(|_| !is_on_time) {
            Some(bridge) => bridge.rest(patience).await,
            None => Rest::Unseen,
        };
        match rest {
            Rest::Reached => self.is_restless.store(false, Ordering::Relaxed),
            Rest::Busy => {
                self.is_restless.store(true, Ordering::Relaxed);
                self.state().counts.unsettled += 1;
            }
            Rest::Unseen => tokio::time::sleep(self.settling.get(&call).copied().unwrap_or_default()).await,
        }
    }

    fn of_these(&self, calls: &[Id], is_such: fn(&State, &Id) -> bool) -> Vec<Id> {
        let state = self.state();
        calls.iter().copied().filter(|call| is_such(&state, call)).collect()
    }

    /// Says that an answer to a call has been handed over.
    pub(crate) fn was_given(&self, call: Id) {
        {
            let mut state = self.state();
            state.given.insert(call);
            let before = state.in_vain.len();
            state.in_vain.retain(|_, waited_for| !waited_for.contains(&call));
            state.counts.overtaken += (before - state.in_vain.len()) as u64;
        }
        self.changed.notify_waiters();
    }

    /// Says that what was given was another call's answer.
    pub(crate) fn is_given_no_more(&self, call: Id) {
        self.state().given.remove(&call);
    }

    pub(crate) fn counts(&self) -> GateCounts {
        self.state().counts
    }

    #[cfg(test)]
    pub(crate) fn has_given(&self, call: Id) -> bool {
        self.state().given.contains(&call)
    }

    async fn all_given(&self, calls: &[Id]) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if calls.iter().all(|call| self.state().given.contains(call)) {
                return;
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A recorded call, as far as its place among others goes.
struct Told {
    id: Id,
    /// Its session, whose clock its times are of, and the exchange that it was made for.
    parent: (Id, Id),
    times: Times,
}

/// True for a call whose answer did not come to its end, since nobody waited for it any more: it ends with the service, and nothing is
/// to wait for that.
fn hangs(call: &Exchange) -> bool {
    matches!(call.end, End::ClientGone | End::TimedOut)
}

/// True of a call that may be one exchange's or another's.
fn is_ambiguous(call: &Exchange) -> bool {
    call.role.parent().is_some_and(|parent| parent.certainty == Certainty::Ambiguous)
}

/// Says of how many of these calls it is not known whose they are, so that they are held to no order; nothing where there are none.
pub(crate) fn not_gated<'a>(calls: impl IntoIterator<Item = &'a Exchange>) -> Option<String> {
    let is_such = |call: &&Exchange| is_ambiguous(call) && why_unanswerable(call).is_none();
    match calls.into_iter().filter(is_such).count() {
        0 => None,
        1 => Some("1 call of which it is not known whose it is was not held to an order".to_owned()),
        count => Some(format!("{count} calls of which it is not known whose they are were not held to an order")),
    }
}

/// Names the dependencies that are spoken to otherwise than by HTTP, of which turns have no gates; nothing where there are none.
pub(crate) fn without_gates<'a>(calls: impl IntoIterator<Item = &'a Exchange>) -> Option<String> {
    let raw = calls.into_iter().filter(|call| call.transport == Transport::Raw);
    let names: BTreeSet<&str> = raw.filter_map(|call| call.role.dependency()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let words = "answers on connections that are no HTTP, which keep their order on each of them and none with others";
    (!names.is_empty()).then(|| format!("{words} ({})", names.join(", ")))
}

/// How long after another an answer is given that came this long after it in production.
fn settling_of(apart_ns: u64, speed: Option<Speed>) -> Duration {
    match speed {
        Some(_) => SETTLING_ON_TIME,
        None => Duration::from_nanos(apart_ns).clamp(SETTLING_MIN, SETTLING_MAX),
    }
}

/// What had ended before the other began needs no gate: the service asks in that order by itself, or not at all any more.
fn overlapped_and_ended_before(one: &Times, other: &Times) -> bool {
    one.ended_ns > other.started_ns && one.ended_ns < other.ended_ns
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exchange::{Context, Digests, End, Parent, Request, Role};

    use super::*;

    /// A recorded call of exchange 9, or perhaps of 8 too.
    fn recorded(number: u8, times: (u64, u64), certainty: Certainty) -> Exchange {
        let parent = Parent { id: id(9), certainty, candidates: vec![id(9), id(8)] };
        let (started_ns, ended_ns) = times;
        Exchange {
            id: id(number),
            session: id(0),
            sequence: number.into(),
            role: Role::Dependency { name: "model".to_owned(), parent: Some(parent) },
            transport: Transport::Http1,
            request: Request::default(),
            interim: Vec::new(),
            response: None,
            end: End::Complete,
            times: Times { started_ns, request_ended_ns: Some(started_ns), response_started_ns: None, ended_ns },
            trace: None,
            seeds: Vec::new(),
            fingerprint: None,
            context: Context::default(),
            digests: Digests::default(),
            redactions: Vec::new(),
            repeats: None,
        }
    }

    #[test]
    fn calls_of_which_it_is_not_known_whose_they_are_hold_nobody_and_are_counted() {
        let both = |certainty| [recorded(1, (0, 50), certainty), recorded(2, (5, 20), certainty)];
        let known = both(Certainty::Inferred);
        assert_eq!(Gates::of(&known, None).after, BTreeMap::from([(id(1), vec![id(2)])]));
        assert_eq!(not_gated(&known), None);
        let unknown = both(Certainty::Ambiguous);
        assert_eq!(Gates::of(&unknown, None).after, BTreeMap::new());
        assert!(not_gated(&unknown).unwrap().starts_with("2 calls of which it is not known whose they are"));
    }

    #[test]
    fn what_is_no_http_has_no_gates_and_that_is_said() {
        let calls = [recorded(1, (0, 50), Certainty::Inferred), recorded(2, (5, 20), Certainty::Inferred)];
        assert_eq!(without_gates(&calls), None);
        let raw = |name: &str| Exchange {
            transport: Transport::Raw,
            role: Role::Dependency { name: name.to_owned(), parent: None },
            ..calls[0].clone()
        };
        let said = without_gates(&[raw("db"), raw("cache"), raw("db"), calls[1].clone()]).unwrap();
        assert!(said.ends_with("none with others (cache, db)"), "{said}");
    }

    #[test]
    fn a_call_whose_answer_nobody_waited_for_to_its_end_holds_nobody() {
        let [long, short] = [recorded(1, (0, 50), Certainty::Recorded), recorded(2, (5, 20), Certainty::Recorded)];
        for end in [End::ClientGone, End::TimedOut] {
            let calls = [long.clone(), Exchange { end, ..short.clone() }];
            assert_eq!(Gates::of(&calls, None).after, BTreeMap::new());
        }
    }

    fn call(number: u8, parent: u8, times: (u64, u64)) -> Told {
        let times = Times { started_ns: times.0, ended_ns: times.1, ..Times::default() };
        Told { id: id(number), parent: (id(0), id(parent)), times }
    }

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    #[test]
    fn only_what_overlapped_within_an_exchange_and_ended_first_is_waited_for() {
        let calls = [call(1, 9, (0, 50)), call(2, 9, (5, 20)), call(3, 9, (60, 70)), call(4, 8, (0, 10))];
        assert_eq!(Gates::between(calls, None).after, BTreeMap::from([(id(1), vec![id(2)])]));
    }

    #[test]
    fn an_answer_comes_as_long_after_another_as_in_production_within_bounds() {
        let ms = |ms: u64| ms * 1_000_000;
        let settling = |apart_ms: u64, speed| {
            let calls = [call(1, 9, (0, ms(10 + apart_ms))), call(2, 9, (0, ms(10)))];
            Gates::between(calls, speed).settling[&id(1)]
        };
        assert_eq!(settling(1, None), SETTLING_MIN);
        assert_eq!(settling(12, None), Duration::from_millis(12));
        assert_eq!(settling(3_000, None), SETTLING_MAX);
        assert_eq!(settling(3_000, crate::timing::Timing::RECORDED.speed()), SETTLING_ON_TIME);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_waits_for_the_one_that_ended_first() {
        let gates = Arc::new(Gates::between([call(1, 9, (0, 50)), call(2, 9, (5, 20))], None));
        let waiting = {
            let gates = Arc::clone(&gates);
            tokio::spawn(async move { gates.may_answer(id(1), None).await })
        };
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
        gates.was_given(id(2));
        waiting.await.unwrap();
        assert_eq!(gates.counts(), GateCounts { held: 1, ..GateCounts::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_in_vain_is_given_and_counted() {
        let gates = Gates::between([call(1, 9, (0, 50)), call(2, 9, (5, 20))], None);
        gates.may_answer(id(1), None).await;
        assert_eq!(gates.counts(), GateCounts { opened: 1, ..GateCounts::default() });
        assert!(gates.counts().words().ends_with("1 gate opened after 0.5 s: a call that was recorded did not come"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_was_waited_for_in_vain_and_comes_later_was_overtaken() {
        let gates = Arc::new(Gates::between([call(1, 9, (0, 50)), call(2, 9, (5, 20))], None));
        gates.may_answer(id(1), None).await;
        gates.may_answer(id(2), None).await;
        gates.was_given(id(2));
        assert_eq!(gates.counts(), GateCounts { opened: 1, overtaken: 1, ..GateCounts::default() });
        assert!(gates.counts().words().ends_with("; 1 of them before one that came later"));
        // What comes in the next repeat was not.
        gates.begin_anew();
        gates.may_answer(id(1), None).await;
        gates.begin_anew();
        gates.was_given(id(2));
        assert_eq!(gates.counts(), GateCounts { opened: 2, overtaken: 1, ..GateCounts::default() });
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_wait_in_vain_for_the_same_one_keep_their_order_among_themselves() {
        let gates = Arc::new(Gates::between([call(1, 9, (0, 50)), call(2, 9, (5, 40)), call(3, 9, (6, 20))], None));
        let waiting = {
            let gates = Arc::clone(&gates);
            tokio::spawn(async move { gates.may_answer(id(1), None).await })
        };
        // Asked for a little later, it gives up a little later too.
        tokio::time::sleep(Duration::from_millis(100)).await;
        gates.may_answer(id(2), None).await;
        assert!(!waiting.is_finished());
        gates.was_given(id(2));
        waiting.await.unwrap();
        assert_eq!(gates.counts(), GateCounts { opened: 2, ..GateCounts::default() });
    }
}

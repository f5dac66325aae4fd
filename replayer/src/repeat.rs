//! Plays the selection as often as asked: each time in a fresh service, or again and again in the same one.
//!
//! In: a job and what was prepared for it. Out: what all repeats came to. One that cannot be judged, such as a service that
//! does not become ready this time, is counted and does not end the others; only the first decides whether there is
//! anything to be judged at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bundle::ReadError;
use diff::ExchangeResult;
use exchange::{Digest, End, HostEnvironment, Id, Transport};
use host::DockerError;
use serde::{Deserialize, Serialize};
use stats::Confidence;
use wire::bridge::Held;

use crate::{
    answer::Answerer,
    baseline::Baseline,
    beside,
    determinism::{Control, GateCounts, State, say_reached_at_end},
    drive::{Driver, Outcome, Outcomes as Ended, Watch},
    error::ReplayError,
    job::{Halt, Job, Preparation, Started},
    journal::Part,
    judge::{Case, Judgement},
    pace::Pace,
    punctuality,
    receipt::{NotStarted, Resets, Void},
    replay::{Played, Progressed, Watched},
    select::Selection,
    service::Aftermath,
    trials::Trials,
};

/// Repeats in a row that could not be judged, after which it is given up. A choice.
const FALLEN_IN_A_ROW_MAX: u32 = 3;

/// Repeats that could not be judged, of which it is told why. A choice.
const FALLEN_TOLD_MAX: usize = 10;

/// How often a selection is replayed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Repeating {
    /// How often; `None` for once, without a word of repeats.
    pub count: Option<u32>,
    /// What is done between two repeats.
    pub reset: Reset,
    /// How many copies of each session one service answers at once: each counts as a repeat.
    pub copies: u32,
    /// True when the first repeat with an exchange that is neither same nor noise is the last.
    pub until_failure: bool,
    /// The confidence of every interval and bound.
    pub confidence: Confidence,
}

impl Repeating {
    /// A single replay.
    pub const ONCE: Self =
        Self { count: None, reset: Reset::Container, copies: 1, until_failure: false, confidence: Confidence::DEFAULT };

    /// True where a container may get its service started anew.
    pub(crate) fn renews(&self) -> bool {
        self.reset == Reset::Process && self.count.is_some_and(|count| count > 1)
    }
}

/// What is done between two repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reset {
    /// Nothing: the same service answers all repeats, with whatever it remembers of those before.
    None,
    /// The service is started anew in its container, with the same seeds; in a fresh one where something else than the service
    /// might remember. A fresh process where it is no container.
    Process,
    /// A fresh container, or a fresh process where it is no container.
    Container,
}

impl Reset {
    /// The word that `--reset` takes.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Process => "process",
            Self::Container => "container",
        }
    }
}

/// A service that is ready, and what answers its calls.
pub(crate) struct Service {
    pub(crate) started: Started,
    pub(crate) answerer: Arc<Answerer>,
    pub(crate) preparation: Preparation,
    pub(crate) fingerprint: Option<Digest>,
    /// True where a repeat of it was judged, or of the service before it in the same place.
    pub(crate) was_judged: bool,
}

/// A service that cannot be judged.
pub(crate) struct Fallen {
    pub(crate) void: Void,
    pub(crate) preparation: Preparation,
    pub(crate) aftermath: Aftermath,
}

/// The repeats so far.
pub(crate) struct Tried {
    pub(crate) trials: Trials,
    pub(crate) preparation: Option<Preparation>,
    pub(crate) aftermath: Option<Aftermath>,
    fallen: Vec<NotStarted>,
    fallen_count: u32,
    fallen_in_a_row: u32,
    done: u32,
    pace: Pace,
    punctuality: punctuality::Watched,
    /// Requests that were sent, and those among them in which a seed was set.
    seeded: (u64, u64),
    pub(crate) gates: Option<GateCounts>,
    pub(crate) resets: Resets,
    interrupted: bool,
    /// How often the run was gone on with.
    pub(crate) resumed: u32,
    /// True once a repeat was tried, since it was gone on with.
    pub(crate) has_tried: bool,
    /// True where a service that was judged was not seen to its end, since the run was cut off.
    pub(crate) cut_off: bool,
}

/// What is known of the repeats beside their judgement.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) done: u32,
    pub(crate) judged: u64,
    pub(crate) failed: u64,
    pub(crate) fallen: Vec<NotStarted>,
    pub(crate) fallen_count: u32,
    pub(crate) pace: Pace,
    pub(crate) punctuality: punctuality::Watched,
    pub(crate) seeded: (u64, u64),
    pub(crate) resets: Resets,
    pub(crate) resumed: u32,
}

/// The repeats of a job under way.
pub(crate) struct Repeats<'a, 'j> {
    pub(crate) job: &'a Job<'j>,
    pub(crate) prepared: Preparation,
    pub(crate) here: &'a HostEnvironment,
    pub(crate) watched: &'a Watched<'a>,
    pub(crate) repeating: Repeating,
    pub(crate) count: u32,
    /// First answers, where there are several repeats.
    baseline: Option<Arc<Baseline>>,
    pub(crate) tried: Tried,
    /// The service that answers the next repeat, where it stands already.
    pub(crate) standing: Option<Result<Service, Halt>>,
    /// Repeats that are still to be.
    pub(crate) left: BTreeSet<u32>,
    /// What was judged in repeats that were cut off, by repeat and copy.
    pub(crate) before: BTreeMap<(u32, u32), Part>,
}

/// What follows a repeat.
enum Next {
    /// The next one.
    Repeat,
    /// Nothing: it was the last.
    End,
    /// Nothing, since not even the first could be judged.
    Void(Box<Fallen>),
}

impl Repeats<'_, '_> {
    async fn play(mut self) -> Result<Played, ReplayError> {
        while let Some(repeat) = self.left.pop_first() {
            match self.once(repeat).await? {
                Next::Repeat => {}
                Next::End => break,
                Next::Void(fallen) => return Ok(Played::void(*fallen)),
            }
        }
        if let Some(Ok(service)) = self.standing.take() {
            self.tried.gated(service.answerer.gate_counts().filter(|_| service.started.calls_observed));
            let aftermath = self.job.let_go(service.started).await;
            self.tried.ended(aftermath, self.job);
        }
        self.job.stands(&self.tried.stands(false, &self.job.misses));
        Ok(self.tried.conclude())
    }

    async fn once(&mut self, repeat: u32) -> Result<Next, ReplayError> {
        if self.is_first_of_resumed() && self.is_stopped() {
            let reason = "it was interrupted before anything was sent".to_owned();
            return Err(ReplayError::CannotGoOn { run: self.job.run, reason });
        }
        if repeat > 0 && self.is_stopped() {
            self.tried.interrupted = true;
            return Ok(Next::End);
        }
        let service = match self.standing.take() {
            Some(service) => service,
            None => self.job.stand_up(&self.prepared, self.here, self.watched).await,
        };
        let mut service = match service {
            Ok(service) => service,
            Err(halt) => return self.fell(repeat, halt),
        };
        let outcomes = self.drive(&service, repeat).await;
        let broke_off = outcomes.as_ref().is_ok_and(|outcomes| has_broken_off(outcomes));
        if broke_off && service.started.running.lost_its_engine().await {
            // That says nothing of the service; what came whole has been written down, or is done again.
            self.job.let_go(service.started).await;
            return Err(DockerError::Lost.into());
        }
        service.was_judged = true;
        let (judgements, outcomes) = if self.keeps(outcomes.as_ref().ok()) {
            let outcomes = outcomes?;
            let judgements = self.job.judge_now(&service, &outcomes);
            self.tried.preparation.get_or_insert_with(|| service.preparation.clone());
            self.standing = Some(Ok(service));
            (judgements, outcomes)
        } else if self.renews(&service, outcomes.as_ref().ok()) {
            let outcomes = outcomes?;
            (self.renew(service, &outcomes).await, outcomes)
        } else {
            match self.end(service, outcomes).await {
                Ok(judged) => judged,
                Err(halt) => return self.fell(repeat, halt),
            }
        };
        let (judgements, outcomes) = self.joined(repeat, judgements, outcomes);
        let mut results = judgements.iter().flat_map(|judgement| &judgement.results);
        let is_last = self.repeating.until_failure && results.any(is_no_pass);
        self.write_down(repeat, &judgements, &outcomes);
        self.tried.add(repeat, judgements, &outcomes, self.job.selection.chosen.len());
        self.job.stands(&self.tried.stands(self.goes_on(), &self.job.misses));
        Ok(if is_last { Next::End } else { Next::Repeat })
    }

    /// Sends all copies at once.
    async fn drive(&self, service: &Service, repeat: u32) -> Result<Outcomes, ReadError> {
        service.answerer.begin(repeat, self.baseline.clone());
        let (repeats, failed) = (self.count, self.tried.trials.failed);
        let copies = self.repeating.copies;
        let left: Vec<Option<Selection>> = (0..copies).map(|copy| self.left_of(repeat, copy)).collect();
        let selections: Vec<&Selection> = left.iter().map(|left| left.as_ref().unwrap_or(self.job.selection)).collect();
        let total = self.job.selection.chosen.len() as u64 * u64::from(copies);
        let done = AtomicU64::new(total - selections.iter().map(|it| it.chosen.len() as u64).sum::<u64>());
        let progress = |_: u64, _: u64| {
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            (self.watched.progress)(Progressed { done, total, repeat, repeats, failed });
        };
        let ended: Vec<Arc<Ended>> = selections.iter().map(|_| Arc::default()).collect();
        let mut drives = Vec::with_capacity(selections.len());
        for ((copy, selection), ended) in (0..).zip(&selections).zip(&ended) {
            let (stop, ended) = (self.watched.stop.clone(), Arc::clone(ended));
            let watch = Watch { progress: &progress, stop, ended };
            drives.push(self.job.driver(service, repeat, copy, self.baseline.clone()).drive(selection, watch));
        }
        let driving = futures_util::future::join_all(drives);
        tokio::select! {
            biased;
            driven = driving => driven.into_iter().collect(),
            never = self.write_down_meanwhile(service, repeat, &ended) => match never {},
        }
    }

    /// True where the same service answers the next repeat.
    fn keeps(&self, outcomes: Option<&Outcomes>) -> bool {
        self.repeating.reset == Reset::None
            && !self.left.is_empty()
            && outcomes.is_some_and(|outcomes| !seems_dead(outcomes))
            && !self.is_stopped()
    }

    /// Ends a service, then judges: what it asks until it is gone counts. The next one may start meanwhile where the two
    /// have nothing in common but the machine.
    async fn end(
        &mut self,
        service: Service,
        outcomes: Result<Outcomes, ReadError>,
    ) -> Result<(Vec<Judgement>, Outcomes), Halt> {
        let Service { started, answerer, preparation, .. } = service;
        let Started { doorway, running, calls_observed, not_served, .. } = started;
        drop(doorway);
        let starts_next = !self.left.is_empty()
            && self.job.runs_container()
            && !self.repeating.until_failure
            && outcomes.is_ok()
            && !self.is_stopped();
        let ending = self.job.finish(running, outcomes.as_ref().is_ok_and(|outcomes| seems_dead(outcomes)));
        let aftermath = if starts_next {
            let next = self.job.stand_up(&self.prepared, self.here, self.watched);
            let (aftermath, next) = tokio::join!(ending, next);
            self.standing = Some(next);
            aftermath
        } else {
            ending.await
        };
        let outcomes = outcomes.map_err(ReplayError::from)?;
        if let Some(void) = beside::gone(&aftermath.beside) {
            self.tried.ended(aftermath, self.job);
            return Err(Halt::Void(void, Box::new(preparation)));
        }
        self.tried.preparation.get_or_insert(preparation);
        self.tried.ended(aftermath, self.job);
        self.tried.gated(answerer.gate_counts().filter(|_| calls_observed));
        Ok((self.job.judge(&answerer, calls_observed.then_some(&not_served), &outcomes), outcomes))
    }

    /// A repeat came to nothing. Of the first that decides all; of a later one it is remembered, errors too, since what was
    /// judged before is to be kept.
    fn fell(&mut self, repeat: u32, halt: Halt) -> Result<Next, ReplayError> {
        let decides_all = repeat == 0 && self.job.settings.resume.is_none();
        let reason = match halt {
            halt if self.is_first_of_resumed() => return Err(self.cannot_go_on(halt)),
            Halt::Error(error) if decides_all || error.is_without_engine() => return Err(error),
            Halt::Void(void, preparation) if decides_all => {
                let aftermath = self.tried.aftermath.take().unwrap_or_default();
                return Ok(Next::Void(Box::new(Fallen { void, preparation: *preparation, aftermath })));
            }
            Halt::Fallen(fallen) if decides_all => return Ok(Next::Void(fallen)),
            Halt::Fallen(fallen) if self.is_stopped() => {
                self.tried.ended(fallen.aftermath, self.job);
                self.tried.interrupted = true;
                return Ok(Next::End);
            }
            _ if self.is_stopped() => {
                self.tried.interrupted = true;
                return Ok(Next::End);
            }
            Halt::Error(error) => in_words(&error),
            Halt::Void(void, _) => void.reason,
            Halt::Fallen(fallen) => {
                self.tried.ended(fallen.aftermath, self.job);
                fallen.void.reason
            }
        };
        Ok(if self.tried.fell(repeat, reason) { Next::Repeat } else { Next::End })
    }

    pub(crate) fn is_stopped(&self) -> bool {
        *self.watched.stop.borrow()
    }
}

/// An error and its causes.
fn in_words(error: &ReplayError) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        words += &format!(": {source}");
        cause = source.source();
    }
    words
}

impl Job<'_> {
    /// Plays all repeats; `prepared` is what is known before any service runs.
    pub(crate) async fn play_repeats(
        &self,
        prepared: Preparation,
        here: &HostEnvironment,
        watched: &Watched<'_>,
    ) -> Result<Played, ReplayError> {
        let repeating = self.settings.repeating;
        let count = repeating.count.unwrap_or(1);
        self.refuse_to_keep(repeating.reset == Reset::None && count > 1, self.settings.repeating.copies > 1)?;
        let baseline = match (&self.settings.resume, repeating.count) {
            (Some(run), Some(_)) => {
                let judged = run.kept(self.selection, &repeating).exchanges;
                Some(Baseline::of_run(&run.archive, &judged, &run.first_calls(&judged), &self.settings.rules)?)
            }
            (None, Some(_)) => Some(Baseline::new(&self.settings.rules)),
            (_, None) => None,
        };
        let repeats = Repeats {
            job: self,
            prepared,
            here,
            watched,
            repeating,
            count,
            baseline: baseline.map(Arc::new),
            tried: Tried::new(&repeating),
            standing: None,
            left: (0..count).collect(),
            before: BTreeMap::new(),
        };
        match &self.settings.resume {
            Some(run) => repeats.after(run).play().await,
            None => repeats.play().await,
        }
    }

    /// Refuses to keep a service whose connections go on where they were: what was said on them answers once.
    fn refuse_to_keep(&self, is_kept: bool, is_multiplied: bool) -> Result<(), ReplayError> {
        let raw = self.selection.calls.iter().find(|call| call.transport == Transport::Raw);
        let dependency = raw.and_then(|call| call.role.dependency()).unwrap_or_default().to_owned();
        match raw {
            Some(_) if is_multiplied => Err(ReplayError::NeedsOneCopy { dependency }),
            Some(_) if is_kept => Err(ReplayError::NeedsReset { dependency }),
            _ => Ok(()),
        }
    }

    /// Starts a service and waits until it is ready. Of one that is not sent anything, what it left behind is in the run.
    pub(crate) async fn stand_up(
        &self,
        prepared: &Preparation,
        here: &HostEnvironment,
        watched: &Watched<'_>,
    ) -> Result<Service, Halt> {
        let answerer = self.answerer()?;
        let mut preparation = prepared.clone();
        let started = self.start(&answerer, &mut preparation).await?;
        let service = Service { started, answerer, preparation, fingerprint: None, was_judged: false };
        let mut service = self.made_ready(service, watched).await?;
        let here = self.fingerprint_here(&service.preparation, here.clone());
        service.fingerprint = self.ledger.put_fingerprint(&here);
        Ok(service)
    }

    /// Waits until a service that was started is ready.
    pub(crate) async fn made_ready(&self, mut service: Service, watched: &Watched<'_>) -> Result<Service, Halt> {
        let Service { started, preparation, .. } = &mut service;
        let Some((void, is_forbidden)) = self.why_not_sent(started, preparation, watched).await else {
            return Ok(service);
        };
        let is_lost = started.running.lost_its_engine().await;
        let Service { started, preparation, .. } = service;
        let aftermath = self.let_go(started).await;
        if is_lost {
            return Err(ReplayError::from(DockerError::Lost).into());
        }
        let void = self.explained(void, is_forbidden, &aftermath);
        Err(Halt::Fallen(Box::new(Fallen { void, preparation, aftermath })))
    }

    /// Ends a service of which nothing more is wanted.
    pub(crate) async fn let_go(&self, started: Started) -> Aftermath {
        let Started { doorway, running, .. } = started;
        drop(doorway);
        self.finish(running, false).await
    }

    fn driver(&self, service: &Service, repeat: u32, copy: u32, baseline: Option<Arc<Baseline>>) -> Arc<Driver> {
        Arc::new(Driver {
            archive: Arc::clone(&self.settings.archive),
            answerer: Arc::clone(&service.answerer),
            ledger: Arc::clone(&self.ledger),
            rules: self.settings.rules.clone(),
            noise: Arc::clone(&self.noise.noise),
            doorway: service.started.doorway.clone(),
            secrets: Arc::clone(&self.secrets),
            limits: self.settings.limits.clone(),
            run: self.run,
            repeat: repeat * self.settings.repeating.copies + copy,
            copy,
            copies: self.settings.repeating.copies,
            baseline,
            target: service.preparation.target.clone(),
            fingerprint: service.fingerprint,
            host: service.started.host.clone(),
            clock: Arc::clone(&self.settings.clock),
            order: self.settings.order,
            pacing: self.settings.pacing,
            seed: self.settings.seed,
            sets_clock: service.started.doorway.reached().is_some_and(|reached| reached.clock == Held::On),
        })
    }

    /// Judges a repeat of a service that goes on, or has left nobody who asks.
    pub(crate) fn judge_now(&self, service: &Service, outcomes: &Outcomes) -> Vec<Judgement> {
        let Started { calls_observed, not_served, .. } = &service.started;
        self.judge(&service.answerer, calls_observed.then_some(not_served), outcomes)
    }

    /// Judges a repeat, each copy by itself. `not_served` are the dependencies whose address could not be served; `None` where
    /// calls are not seen.
    fn judge(&self, answerer: &Answerer, not_served: Option<&BTreeSet<String>>, outcomes: &Outcomes) -> Vec<Judgement> {
        let judge = |(copy, outcomes): (u32, &BTreeMap<Id, Outcome>)| {
            let mut judgement = self.judge_copy(answerer, not_served, (copy, outcomes), None);
            if outcomes.len() < self.selection.chosen.len() || outcomes.values().any(was_stopped) {
                let ended = outcomes.iter().filter(|(_, outcome)| !was_stopped(outcome));
                let ended: BTreeMap<Id, Outcome> = ended.map(|(id, outcome)| (*id, outcome.clone())).collect();
                let ids = ended.keys().copied().collect();
                let so_far = self.judge_copy(answerer, not_served, (copy, &ended), Some(&ids));
                judgement.so_far = Some(Box::new(so_far));
            }
            judgement
        };
        (0..).zip(outcomes).map(judge).collect()
    }

    /// Judges one copy; `part` are the exchanges whose calls are counted, where not all are.
    pub(crate) fn judge_copy(
        &self,
        answerer: &Answerer,
        not_served: Option<&BTreeSet<String>>,
        (copy, outcomes): (u32, &BTreeMap<Id, Outcome>),
        part: Option<&BTreeSet<Id>>,
    ) -> Judgement {
        let nothing = BTreeSet::new();
        let case = Case {
            selection: self.selection,
            copy,
            outcomes,
            notes: &answerer.notes(copy),
            never_asked: &answerer.never_asked(copy),
            connections: answerer.connections(),
            turns_never_asked: &answerer.turns_never_asked(),
            not_served: not_served.unwrap_or(&nothing),
            calls_observed: not_served.is_some(),
            secrets: &self.secrets,
            part,
        };
        case.judge()
    }
}

/// What became of each copy's exchanges.
pub(crate) type Outcomes = Vec<BTreeMap<Id, Outcome>>;

/// True where the service seems to be gone.
pub(crate) fn seems_dead(outcomes: &[BTreeMap<Id, Outcome>]) -> bool {
    outcomes.iter().flat_map(BTreeMap::values).any(|outcome| matches!(outcome.end, End::Unreachable { .. }))
}

/// True where an answer did not come whole, and not because the user wanted no more.
fn has_broken_off(outcomes: &[BTreeMap<Id, Outcome>]) -> bool {
    outcomes.iter().flat_map(BTreeMap::values).any(|outcome| !outcome.end.is_complete() && !was_stopped(outcome))
}

/// True of an exchange that the user's stop caught in flight.
pub(crate) fn was_stopped(outcome: &Outcome) -> bool {
    outcome.end == End::CaptureStopped
}

pub(crate) fn is_no_pass(result: &ExchangeResult) -> bool {
    !matches!(result.verdict, diff::Verdict::Same | diff::Verdict::Noise)
}

impl Tried {
    fn new(repeating: &Repeating) -> Self {
        Self {
            trials: Trials::new(*repeating),
            preparation: None,
            aftermath: None,
            fallen: Vec::new(),
            fallen_count: 0,
            fallen_in_a_row: 0,
            done: 0,
            pace: Pace::default(),
            punctuality: punctuality::Watched::default(),
            seeded: (0, 0),
            gates: None,
            resets: Resets::default(),
            interrupted: false,
            resumed: 0,
            has_tried: false,
            cut_off: false,
        }
    }

    pub(crate) fn add(&mut self, repeat: u32, judgements: Vec<Judgement>, outcomes: &Outcomes, wanted: usize) {
        self.has_tried = true;
        let all = || outcomes.iter().flat_map(BTreeMap::values);
        self.interrupted |= outcomes.iter().any(|copy| copy.len() < wanted) || all().any(was_stopped);
        let copies = u32::try_from(outcomes.len()).unwrap_or(u32::MAX);
        self.done += if self.interrupted { 0 } else { copies };
        self.fallen_in_a_row = 0;
        self.pace.add(all().map(|outcome| (outcome.started_ns, outcome.ended_ns)));
        for outcome in all() {
            self.seeded = (self.seeded.0 + 1, self.seeded.1 + u64::from(outcome.is_seeded));
            outcome.due.into_iter().for_each(|due| self.punctuality.add(due, outcome.started_ns, outcome.ended_ns));
        }
        for (copy, (judgement, outcomes)) in (0..).zip(judgements.into_iter().zip(outcomes)) {
            self.trials.add(repeat * copies + copy, judgement, outcomes);
        }
    }

    /// Remembers a repeat that could not be judged; false where there were too many in a row to go on.
    fn fell(&mut self, repeat: u32, reason: String) -> bool {
        self.has_tried = true;
        self.fallen_count += 1;
        self.fallen_in_a_row += 1;
        if self.fallen.len() < FALLEN_TOLD_MAX {
            self.fallen.push(NotStarted { repeat, reason });
        }
        self.fallen_in_a_row < FALLEN_IN_A_ROW_MAX
    }

    /// Adds how often answers were held.
    pub(crate) fn gated(&mut self, counts: Option<GateCounts>) {
        self.gates = match (self.gates, counts) {
            (Some(before), Some(counts)) => Some(before.and(counts)),
            (before, counts) => before.or(counts),
        };
    }

    /// Takes in what a service left behind. Its log is written at once: many repeats log much.
    pub(crate) fn ended(&mut self, mut aftermath: Aftermath, job: &Job<'_>) {
        job.ledger.append_logs(std::mem::take(&mut aftermath.logs));
        for ended in std::mem::take(&mut aftermath.beside) {
            job.ledger.append_logs(ended.named_lines());
        }
        if let Some(preparation) = &mut self.preparation {
            say_reached_at_end(&mut preparation.controls, &job.settings.determinism, aftermath.reached.as_ref());
        }
        self.aftermath = Some(match self.aftermath.take() {
            None => aftermath,
            Some(before) => Aftermath {
                egress: before.egress.and(aftermath.egress),
                service_ended: before.service_ended.or(aftermath.service_ended),
                ..before
            },
        });
    }

    fn conclude(self) -> Played {
        let count = Count {
            done: self.done,
            judged: self.trials.judged,
            failed: self.trials.failed,
            fallen: self.fallen,
            fallen_count: self.fallen_count,
            pace: self.pace,
            punctuality: self.punctuality,
            seeded: self.seeded,
            resets: self.resets,
            resumed: self.resumed,
        };
        let mut preparation = self.preparation.unwrap_or_default();
        if let Some(counts) = self.gates {
            let state = if counts.opened == 0 { State::On } else { State::Failed };
            preparation.controls.say(Control::Answers, state, vec![counts.words()]);
        }
        let mut aftermath = self.aftermath.unwrap_or_default();
        if self.cut_off {
            aftermath.egress = aftermath.egress.not_all_seen();
            preparation.controls.leave_unasked();
        }
        Played {
            preparation,
            aftermath,
            judgement: self.trials.conclude(),
            void: None,
            interrupted: self.interrupted,
            repeats: count,
            gates: self.gates,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::determinism::{Asked, level_of};

    #[test]
    fn gates_that_opened_in_vain_leave_no_level_above_1_and_say_so() {
        let level_after = |counts| {
            let mut tried = Tried::new(&Repeating::ONCE);
            let mut preparation = Preparation::default();
            Control::ALL.iter().for_each(|&control| preparation.controls.say(control, State::On, Vec::new()));
            tried.preparation = Some(preparation);
            tried.gated(Some(counts));
            level_of(&tried.conclude().preparation.controls.all(&Asked::default()), 3)
        };
        assert_eq!(level_after(GateCounts { held: 5, ..GateCounts::default() }), (3, None));
        let (level, why) = level_after(GateCounts { held: 5, opened: 1, ..GateCounts::default() });
        let why = why.unwrap();
        assert_eq!(level, 1, "{why}");
        assert!(why.starts_with("answers: 5 held") && why.contains("1 gate opened after 0.5 s"), "{why}");
    }
}

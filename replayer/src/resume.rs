//! Goes on with a run that was cut off, and writes down what one needs that will be.
//!
//! In: the run as its journal has it. Out: repeats that are whole count as they did, and one that was cut off is done again. Of a
//! single replay the exchanges that were judged count; the others are sent, and where that is to a service that has not seen those
//! before, what differs is no verdict. While a single replay lasts, exchanges that have ended are judged and written down from time
//! to time.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, PoisonError},
    time::Duration,
};

use diff::{Tally, Unjudged, Verdict};
use exchange::Id;

use crate::{
    drive::{Outcome, Outcomes as Ended},
    error::ReplayError,
    job::{Against, Halt, Job, Preparation},
    journal::{Extent, Part, Resumable, ResumeError, Stands},
    judge::Judgement,
    on_miss::Misses,
    receipt::EnvironmentDifference,
    repeat::{Outcomes, Repeating, Repeats, Service, Tried, is_no_pass, was_stopped},
    select::Selection,
    service::Aftermath,
};

/// How often exchanges that have ended are written down while others of their repeat go on. A choice: what a killed replay loses.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);

/// How many times as long as writing it down took it is left alone. A choice: a twentieth of the time at most.
const WRITTEN_SHARE: u32 = 20;

/// How long an exchange has to have ended before it is judged while others go on, in nanoseconds: what it asks of dependencies
/// after its answer counts too. A choice.
const SETTLED_NS: u64 = 1_000_000_000;

impl Repeats<'_, '_> {
    /// Takes in what was judged before, which was [checked](Resumable::check).
    pub(crate) fn after(mut self, run: &Arc<Resumable>) -> Self {
        let copies = self.repeating.copies;
        let chosen: Vec<Id> = self.job.selection.chosen.iter().map(|exchange| exchange.id).collect();
        let mut of_repeat: BTreeMap<u32, BTreeMap<u32, Part>> = BTreeMap::new();
        for ((repeat, copy), part) in &run.parts {
            let part = part.again().in_order_of(chosen.iter().copied());
            of_repeat.entry(*repeat).or_default().insert(*copy, part);
        }
        self.tried.take_in(&run.stands, &self.prepared);
        for (repeat, parts) in of_repeat {
            if run.is_whole(repeat, copies) {
                let (judgements, outcomes): (Vec<Judgement>, Outcomes) =
                    parts.into_values().map(|part| (part.judgement, part.outcomes)).unzip();
                self.left.remove(&repeat);
                if self.repeating.until_failure && judgements.iter().flat_map(|it| &it.results).any(is_no_pass) {
                    self.left.clear();
                }
                self.tried.add(repeat, judgements, &outcomes, chosen.len());
            } else if !self.job.counts_whole_alone() {
                self.before.extend(parts.into_iter().map(|(copy, part)| ((repeat, copy), part)));
            }
        }
        self.tried.has_tried = false;
        self
    }

    /// What a copy has still to send in a repeat that was cut off; `None` for everything.
    pub(crate) fn left_of(&self, repeat: u32, copy: u32) -> Option<Selection> {
        self.before.get(&(repeat, copy)).map(|part| self.job.selection.but(&part.outcomes))
    }

    /// What was judged now, with what had been judged before in the same repeat.
    pub(crate) fn joined(
        &mut self,
        repeat: u32,
        mut judgements: Vec<Judgement>,
        outcomes: Outcomes,
    ) -> (Vec<Judgement>, Outcomes) {
        if let Some(before) = self.seen_by_another(repeat) {
            judgements.iter_mut().for_each(|judgement| self.doubt(judgement));
            self.tell_of_the_other(before, judgements.len());
        }
        let both = (0..).zip(judgements.into_iter().zip(outcomes));
        let joined = both.map(|(copy, (judgement, outcomes))| {
            let Some(before) = self.before.remove(&(repeat, copy)) else { return (judgement, outcomes) };
            let mut judgement = judgement;
            let order = || self.job.selection.chosen.iter().map(|exchange| exchange.id);
            let so_far = judgement.so_far.take().map(|so_far| {
                let ended = outcomes.iter().filter(|(_, outcome)| !was_stopped(outcome));
                let ended = ended.map(|(id, outcome)| (*id, outcome.clone())).collect();
                let so_far = before.again().and(Part { judgement: *so_far, outcomes: ended, is_whole: false });
                Box::new(so_far.in_order_of(order()).judgement)
            });
            let all = before.and(Part { judgement, outcomes, is_whole: false }).in_order_of(order());
            (Judgement { so_far, ..all.judgement }, all.outcomes)
        });
        joined.unzip()
    }

    /// Writes down what a repeat came to. Of one that was stopped that is what was sent by then.
    pub(crate) fn write_down(&self, repeat: u32, judgements: &[Judgement], outcomes: &Outcomes) {
        for (copy, (judgement, outcomes)) in (0..).zip(judgements.iter().zip(outcomes)) {
            let is_whole = judgement.so_far.is_none();
            let number = repeat * self.repeating.copies + copy;
            let with_details = |at, result: &_| !is_whole || self.tried.trials.wants_details(number, at, result);
            let judgement = judgement.so_far.as_deref().unwrap_or(judgement);
            let extent = if is_whole { Extent::Whole } else { Extent::SoFar };
            self.job.judged((repeat, copy), (judgement, outcomes), extent, &with_details);
        }
    }

    /// Writes down, from time to time, what has ended of a repeat that is under way.
    pub(crate) async fn write_down_meanwhile(
        &self,
        service: &Service,
        repeat: u32,
        ended: &[Arc<Ended>],
    ) -> Infallible {
        if self.job.settings.resumable.is_none() || self.job.counts_whole_alone() {
            return std::future::pending().await;
        }
        let clock = &self.job.settings.clock;
        let mut written: Vec<BTreeSet<Id>> = vec![BTreeSet::new(); ended.len()];
        let mut pause = WRITTEN_EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let began_ns = clock();
            for (copy, (ended, written)) in (0..).zip(ended.iter().zip(&mut written)) {
                self.write_down_ended(service, (repeat, copy), ended, written);
            }
            pause = WRITTEN_EVERY.max(Duration::from_nanos(clock().saturating_sub(began_ns)) * WRITTEN_SHARE);
        }
    }

    fn write_down_ended(
        &self,
        service: &Service,
        (repeat, copy): (u32, u32),
        ended: &Ended,
        written: &mut BTreeSet<Id>,
    ) {
        let until_ns = (self.job.settings.clock)().saturating_sub(SETTLED_NS);
        // What broke off is judged once it is known that what runs the service is still there.
        let is_new = |id: &Id, outcome: &Outcome| {
            outcome.ended_ns <= until_ns && outcome.end.is_complete() && !written.contains(id)
        };
        let outcomes: BTreeMap<Id, Outcome> = {
            let ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            let whole = ended.iter().filter_map(|(id, outcome)| Some((*id, outcome.as_ref().ok()?)));
            whole.filter(|(id, outcome)| is_new(id, outcome)).map(|(id, outcome)| (id, outcome.clone())).collect()
        };
        if outcomes.is_empty() {
            return;
        }
        let ids: BTreeSet<Id> = outcomes.keys().copied().collect();
        let not_served = service.started.calls_observed.then_some(&service.started.not_served);
        let mut judgement = self.job.judge_copy(&service.answerer, not_served, (copy, &outcomes), Some(&ids));
        if self.seen_by_another(repeat).is_some() {
            self.doubt(&mut judgement);
        }
        self.job.judged((repeat, copy), (&judgement, &outcomes), Extent::More, &|_, _| true);
        self.job.ledger.keep((self.job.settings.clock)());
        written.extend(ids);
    }

    /// True where the service that was judged last goes on.
    pub(crate) fn goes_on(&self) -> bool {
        matches!(&self.standing, Some(Ok(service)) if service.was_judged)
    }

    /// How many exchanges of a repeat were sent to another service than those that are sent now; `None` where there are none such.
    /// What runs already is still the one that it was.
    fn seen_by_another(&self, repeat: u32) -> Option<usize> {
        let copies = self.before.range((repeat, 0)..=(repeat, u32::MAX));
        let seen: usize = copies.map(|(_, part)| part.outcomes.len()).sum();
        Some(seen).filter(|seen| *seen > 0 && !matches!(self.job.settings.against, Against::Url(_)))
    }

    /// A service that has not seen the exchanges before may well answer otherwise: that is no verdict of it.
    fn doubt(&self, judgement: &mut Judgement) {
        for result in judgement.results.iter_mut().filter(|result| result.verdict.is_failing()) {
            result.verdict = Verdict::Unjudged(Unjudged::because(format!(
                "it was sent to a service that was started anew when the run was gone on with, and has not seen the exchanges before \
                 it; what differs may come from that ({}). Replay all of it without `--resume`, or it alone: `retake replay {} --only {}`",
                result.verdict.word(),
                self.job.settings.source.path,
                result.id.short(),
            )));
        }
        judgement.tally = Tally::of(&judgement.results);
        if let Some(so_far) = &mut judgement.so_far {
            self.doubt(so_far);
        }
    }

    /// Has the receipt say that the exchanges went to more than one service.
    fn tell_of_the_other(&mut self, before: usize, copies: usize) {
        let total = self.job.selection.chosen.len() * copies;
        let difference = EnvironmentDifference {
            what: "service".to_owned(),
            recorded: "one for all exchanges".to_owned(),
            here: format!("started anew after {before} of {total}, when the run was gone on with"),
        };
        if let Some(preparation) = &mut self.tried.preparation
            && !preparation.environment.contains(&difference)
        {
            preparation.environment.push(difference);
        }
    }

    /// True where nothing was tried since the run was gone on with.
    pub(crate) fn is_first_of_resumed(&self) -> bool {
        self.job.settings.resume.is_some() && !self.tried.has_tried
    }

    /// Why a run is left as it is that was to be gone on with.
    pub(crate) fn cannot_go_on(&self, halt: Halt) -> ReplayError {
        let reason = match halt {
            Halt::Error(error) => return error,
            Halt::Void(void, _) => void.reason,
            Halt::Fallen(fallen) => fallen.void.reason,
        };
        ReplayError::CannotGoOn { run: self.job.run, reason }
    }
}

impl Repeating {
    /// True where a part of a repeat counts for nothing: one service answers a whole repeat, or there would be differences that are
    /// none of the service's. Connections that are no HTTP answer where they are, and cannot be gone on with in their middle.
    pub(crate) fn counts_whole_alone(&self, selection: &Selection) -> bool {
        selection.has_connections() || self.count.is_some_and(|count| count > 1)
    }
}

impl Job<'_> {
    fn counts_whole_alone(&self) -> bool {
        self.settings.repeating.counts_whole_alone(self.selection)
    }
}

impl Resumable {
    /// Makes sure that what was judged can be of these exchanges, repeated so.
    ///
    /// # Errors
    /// `Senseless` where it cannot.
    pub(crate) fn check(&self, selection: &Selection, repeating: &Repeating) -> Result<(), ResumeError> {
        let chosen: Vec<Id> = selection.chosen.iter().map(|exchange| exchange.id).collect();
        for ((repeat, copy), part) in &self.parts {
            let part = part.again().in_order_of(chosen.iter().copied());
            let ids: Vec<Id> = part.judgement.results.iter().map(|result| result.id).collect();
            let is_sound = if part.is_whole { ids == chosen } else { is_part_of(&ids, &chosen) };
            if *repeat >= repeating.count.unwrap_or(1) || *copy >= repeating.copies || !is_sound {
                let what = format!("repeat {repeat} of copy {copy} is none of what it is to do");
                return Err(ResumeError::Senseless { path: self.path.clone(), what });
            }
        }
        Ok(())
    }
}

/// True where these are some of those, each once and in their order.
fn is_part_of(ids: &[Id], all: &[Id]) -> bool {
    let mut all = all.iter();
    ids.iter().all(|id| all.any(|other| other == id))
}

impl Tried {
    /// What is known of the whole; `goes_on` where the service that was judged last does.
    pub(crate) fn stands(&self, goes_on: bool, misses: &Misses) -> Stands {
        Stands {
            preparation: self.preparation.clone().unwrap_or_default(),
            egress: self.aftermath.as_ref().map(|aftermath| aftermath.egress.clone()),
            service_ended: self.aftermath.as_ref().and_then(|aftermath| aftermath.service_ended.clone()),
            goes_on: goes_on || self.cut_off,
            gates: self.gates,
            resets: self.resets.clone(),
            misses: misses.counts(),
            resumed: self.resumed,
        }
    }

    /// Goes on from there; `prepared` is what is known now before any service runs.
    fn take_in(&mut self, stands: &Stands, prepared: &Preparation) {
        let Stands { preparation, egress, service_ended, goes_on, gates, resets, resumed, .. } = stands.clone();
        self.preparation = stands.has_run().then(|| {
            let mut preparation = preparation;
            let is_new = |it: &&_| !preparation.environment.contains(it);
            let more: Vec<_> = prepared.environment.iter().filter(is_new).cloned().collect();
            preparation.environment.extend(more);
            preparation
        });
        self.aftermath = egress.map(|egress| Aftermath { egress, service_ended, ..Aftermath::default() });
        self.cut_off = goes_on;
        (self.gates, self.resets, self.resumed) = (gates, resets, resumed);
    }
}

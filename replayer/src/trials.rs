//! What the repeats of a replay came to together.
//!
//! In: one judgement for each repeat, in any order. Out: one result for each exchange: over repeats the first that failed stands
//! for all, with what they have in common beside it. Counts of the receipt are those of all repeats.

use std::collections::BTreeMap;

use diff::{
    Apart, Class, ExchangeResult, Flaky, NoiseUse, Repeated, RuleUse, Tally, Trial, Unjudged, Verdict, add_places,
};
use exchange::{Digest, End, Id};

use crate::{
    baseline::LookedCall,
    drive::Outcome,
    judge::Judgement,
    receipt::HeldPlace,
    repeat::{Repeating, Reset},
};

/// The repeats so far.
#[derive(Debug)]
pub(crate) struct Trials {
    repeating: Repeating,
    exchanges: Vec<Tracked>,
    judgement: Judgement,
    /// What each repeat came to, by its number.
    outcomes: BTreeMap<u32, Option<Digest>>,
    /// Repeats in which something failed.
    pub(crate) failed: u64,
    /// Repeats in which something was judged.
    pub(crate) judged: u64,
}

/// One exchange over the repeats.
#[derive(Debug)]
struct Tracked {
    /// What stands for all: what it came to in the first repeat.
    first: (u32, ExchangeResult),
    first_failed: Option<(u32, ExchangeResult)>,
    first_unjudged: Option<(u32, String)>,
    trials: Vec<Trial>,
    apart: Vec<Apart>,
    compared_with_first: u64,
}

impl Trials {
    pub(crate) fn new(repeating: Repeating) -> Self {
        Self {
            repeating,
            exchanges: Vec::new(),
            judgement: Judgement::default(),
            outcomes: BTreeMap::new(),
            failed: 0,
            judged: 0,
        }
    }

    /// Adds a repeat. Of one that was stopped, what was judged by then.
    pub(crate) fn add(&mut self, repeat: u32, judgement: Judgement, outcomes: &BTreeMap<Id, Outcome>) {
        let Judgement { results, said, answers, rules, noise, outcome_digest, .. } = judgement;
        let judged = results.iter().filter(|result| result.verdict.word() != "unjudged").count();
        self.judged += u64::from(judged > 0);
        self.failed += u64::from(results.iter().any(|result| result.verdict.is_failing()));
        self.judgement.answers.add(&answers);
        RuleUse::merge(&mut self.judgement.rules, &rules);
        NoiseUse::add(&mut self.judgement.noise, &noise);
        self.outcomes.insert(repeat, outcome_digest);
        let is_first = self.exchanges.is_empty();
        for (at, (result, said)) in results.into_iter().zip(said).enumerate() {
            let outcome = outcomes.get(&result.id);
            let was_stopped = outcome.is_none_or(|outcome| outcome.end == End::CaptureStopped);
            if is_first {
                self.exchanges.push(Tracked::begin(repeat, result.clone()));
            } else if was_stopped {
                continue;
            }
            if let Some(looked) = outcome.and_then(|outcome| outcome.looked.as_ref()) {
                self.judgement.learned.add(result.id, &result.route, &looked.places);
            }
            for LookedCall { call, route, places, unlike } in &said.looked {
                self.judgement.learned_of_calls.add(*call, route, places);
                let held = |(pointer, form): &(String, String)| HeldPlace {
                    route: route.clone(),
                    pointer: pointer.clone(),
                    form: form.clone(),
                };
                self.judgement.calls_unlike.extend(unlike.iter().map(held));
            }
            self.exchanges[at].add(repeat, result, said.effects(), outcome);
        }
    }

    /// Whether it matters how the answer that this result is of differs: only the first one stands for others, and the first that
    /// failed.
    pub(crate) fn wants_details(&self, repeat: u32, at: usize, result: &ExchangeResult) -> bool {
        let Some(known) = self.exchanges.get(at) else { return true };
        let is_first = repeat < known.first.0;
        is_first || result.verdict.is_failing() && comes_before(repeat, known.first_failed.as_ref())
    }

    /// What all came to.
    pub(crate) fn conclude(mut self) -> Judgement {
        let digests: Vec<_> = self.outcomes.values().flatten().collect();
        self.judgement.outcome_digest = match &digests[..] {
            [] => None,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => Some(**first),
            several => Some(Digest::of(&several.iter().flat_map(|digest| digest.0).collect::<Vec<_>>())),
        };
        for tracked in self.exchanges {
            let result =
                if self.repeating.count.is_some() { tracked.conclude(&self.repeating) } else { tracked.first.1 };
            self.judgement.results.push(result);
        }
        self.judgement.tally = Tally::of(&self.judgement.results);
        self.judgement
    }
}

impl Tracked {
    fn begin(repeat: u32, first: ExchangeResult) -> Self {
        Self {
            first: (repeat, first),
            first_failed: None,
            first_unjudged: None,
            trials: Vec::new(),
            apart: Vec::new(),
            compared_with_first: 0,
        }
    }

    fn add(&mut self, repeat: u32, result: ExchangeResult, effects: Digest, outcome: Option<&Outcome>) {
        let looked = outcome.and_then(|outcome| outcome.looked.as_ref());
        self.trials.push(Trial {
            repeat,
            verdict: result.verdict.word(),
            exact: outcome.and_then(|outcome| outcome.exact),
            parsed: outcome.and_then(|outcome| outcome.compared.outcome),
            effects,
            first_divergence: looked.and_then(|looked| looked.first_divergence),
        });
        if let Some(looked) = looked {
            self.compared_with_first += 1;
            add_places(&mut self.apart, looked.places.clone());
        }
        if repeat < self.first.0 {
            self.first = (repeat, result.clone());
        }
        match &result.verdict {
            Verdict::Unjudged(unjudged) if comes_before(repeat, self.first_unjudged.as_ref()) => {
                self.first_unjudged = Some((repeat, unjudged.reason.clone()));
            }
            verdict if verdict.is_failing() && comes_before(repeat, self.first_failed.as_ref()) => {
                self.first_failed = Some((repeat, result));
            }
            _ => {}
        }
    }

    fn conclude(self, repeating: &Repeating) -> ExchangeResult {
        let mut repeated = Repeated::of(&self.trials, repeating.confidence, self.apart);
        if repeated.class == Class::Deterministic && (repeating.reset == Reset::None || repeating.copies > 1) {
            // One service that remembers may well give one answer.
            repeated.class = Class::Unconfirmed;
        }
        repeated.compared_with_first = self.compared_with_first;
        let (failed, of) = (repeated.failed.events, repeated.failed.of);
        let (_, mut result) = self.first_failed.unwrap_or(self.first);
        if failed > 0 && failed < of {
            result.verdict = Verdict::Flaky(Flaky { failed, of });
        } else if let (0, Some((repeat, reason))) = (failed, self.first_unjudged) {
            let words = format!(
                "in {} of {} repeats, first in repeat {}: {reason}",
                repeated.unjudged,
                of + repeated.unjudged,
                repeat + 1
            );
            result.verdict = Verdict::Unjudged(Unjudged::because(words));
        }
        result.repeated = Some(Box::new(repeated));
        result
    }
}

/// True where what came of a repeat is the first of its kind: a run that is gone on with tries those last that had not started.
fn comes_before<T>(repeat: u32, known: Option<&(u32, T)>) -> bool {
    known.is_none_or(|(known, _)| repeat < *known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compare::Compared, judge::Said, receipt::Answers};

    fn result(verdict: Verdict) -> ExchangeResult {
        ExchangeResult {
            id: Id([1; 16]),
            replayed_id: None,
            title: "POST /tickets".to_owned(),
            route: "POST /tickets".to_owned(),
            recorded_status: Some(200),
            replayed_status: Some(200),
            verdict,
            calls_reordered: false,
            trajectory: None,
            comparison: None,
            repeated: None,
        }
    }

    fn trials(verdicts: &[Verdict]) -> Judgement {
        let in_order: Vec<(u32, Verdict)> = (0..).zip(verdicts.iter().cloned()).collect();
        tried(&in_order)
    }

    fn tried(repeats: &[(u32, Verdict)]) -> Judgement {
        let mut trials = Trials::new(Repeating { count: Some(4), ..Repeating::ONCE });
        for (repeat, verdict) in repeats {
            let repeat = *repeat;
            let outcome = Outcome {
                replayed_id: Id::of_repeat(Id([9; 16]), Id([1; 16]), repeat),
                status: Some(200),
                whole: true,
                end: End::Complete,
                trouble: None,
                compared: Compared { outcome: Some(Digest::of(verdict.word().as_bytes())), ..Compared::default() },
                exact: None,
                looked: None,
                due: None,
                is_seeded: false,
                started_ns: 0,
                ended_ns: 1,
            };
            let results = vec![ExchangeResult { replayed_id: Some(outcome.replayed_id), ..result(verdict.clone()) }];
            let judgement = Judgement {
                results,
                said: vec![Said::default()],
                answers: Answers { served_by_parent: 2, observed: true, ..Answers::default() },
                outcome_digest: outcome.compared.outcome,
                ..Judgement::default()
            };
            trials.add(repeat, judgement, &BTreeMap::from([(Id([1; 16]), outcome)]));
        }
        trials.conclude()
    }

    #[test]
    fn some_that_fail_make_it_flaky_and_the_first_of_them_stands_for_all() {
        let judgement = trials(&[Verdict::Same, Verdict::Changed, Verdict::Same, Verdict::Changed]);
        let [result] = &judgement.results[..] else { panic!("one exchange") };
        assert_eq!(result.verdict, Verdict::Flaky(Flaky { failed: 2, of: 4 }));
        assert_eq!(result.replayed_id, Some(Id::of_repeat(Id([9; 16]), Id([1; 16]), 1)));
        assert_eq!((judgement.tally.flaky, judgement.tally.exit_code()), (1, 1));
        assert_eq!(judgement.answers.served_by_parent, 8);
    }

    #[test]
    fn all_that_fail_keep_their_word_and_all_that_pass_theirs() {
        assert_eq!(trials(&[Verdict::Changed, Verdict::Changed]).results[0].verdict, Verdict::Changed);
        assert_eq!(trials(&[Verdict::Same, Verdict::Noise]).results[0].verdict, Verdict::Same);
    }

    #[test]
    fn repeats_come_to_the_same_in_whatever_order_they_were_tried() {
        let in_order = [Verdict::Same, Verdict::Changed, Verdict::Same, Verdict::Changed];
        let in_order: Vec<(u32, Verdict)> = (0..).zip(in_order).collect();
        let [first, second, third, fourth] = &in_order[..] else { panic!("four") };
        let (all, late) = (tried(&in_order), tried(&[third, fourth, first, second].map(Clone::clone)));
        assert_eq!((&late.results, late.outcome_digest), (&all.results, all.outcome_digest));
        assert_eq!(late.results[0].repeated.as_ref().unwrap().verdicts, ".c.c");
    }

    #[test]
    fn one_repeat_that_was_not_judged_is_no_pass() {
        let unjudged = Verdict::Unjudged(Unjudged::because("no secrets"));
        let judgement = trials(&[Verdict::Same, unjudged.clone()]);
        let expected = "in 1 of 2 repeats, first in repeat 2: no secrets";
        assert_eq!(judgement.results[0].verdict, Verdict::Unjudged(Unjudged::because(expected)));
        assert!(matches!(trials(&[unjudged, Verdict::Changed]).results[0].verdict, Verdict::Changed));
    }

    #[test]
    fn repeats_with_one_outcome_have_its_digest() {
        let one = trials(&[Verdict::Same]).outcome_digest;
        assert_eq!(trials(&[Verdict::Same, Verdict::Same]).outcome_digest, one);
        assert_ne!(trials(&[Verdict::Same, Verdict::Changed]).outcome_digest, one);
    }
}

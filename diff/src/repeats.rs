//! What the repeats of one exchange came to together: its class, its rate, how alike the answers were.
//!
//! In: one trial for each repeat, in any order. Out: numbers with documented, stable names, as a run and `--json`
//! have them. What is *usual* is the outcome that came most often; production's answer may be another.

use std::collections::BTreeMap;

use exchange::Digest;
use serde::{Deserialize, Serialize};
use stats::{Confidence, Rate};

use crate::Apart;

/// Fewest repeats after which equal outcomes are called so: with ten, what comes in one of four would have shown with 95 %.
pub const SCREEN_COUNT: u64 = 10;

/// Most kinds of outcome that are listed. A choice: nobody reads more.
const OUTCOMES_LEN_MAX: usize = 20;

/// Of how many repeats it is said with what chance all pass, where so many ran.
const PASS_HAT_OF: [u64; 4] = [1, 2, 4, 8];

/// One repeat of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Its number, from 0.
    pub repeat: u32,
    /// Its verdict's word.
    pub verdict: &'static str,
    /// The answer's status and body as they came.
    pub exact: Option<Digest>,
    /// What counts of the answer, in canonical form, fields under a rule taken out.
    pub parsed: Option<Digest>,
    /// What was asked of dependencies, whatever the order.
    pub effects: Digest,
    /// Offset of the first byte that differs from the first repeat's body, where both were kept and differ.
    pub first_divergence: Option<u64>,
}

/// What can be said of an exchange that was repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Class {
    /// Some repeats fail and some do not, in one environment.
    Flaky,
    /// Steady in each environment, and not the same in all.
    EnvironmentSensitive,
    /// All repeats fail, at least [`SCREEN_COUNT`].
    ReproducibleFailure,
    /// All repeats came to one outcome, at least [`SCREEN_COUNT`].
    Deterministic,
    /// Too few repeats to say, or none that could be judged.
    Unconfirmed,
}

impl Class {
    /// The class of `judged` repeats in one environment, of which `failed` failed, with so many distinct outcomes.
    pub fn of(judged: u64, failed: u64, distinct: u64) -> Self {
        match (failed, judged) {
            (1.., _) if failed < judged => Self::Flaky,
            (_, ..SCREEN_COUNT) => Self::Unconfirmed,
            (1.., _) => Self::ReproducibleFailure,
            _ if distinct == 1 => Self::Deterministic,
            _ => Self::Unconfirmed,
        }
    }

    /// ALGORITHMS' word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flaky => "flaky",
            Self::EnvironmentSensitive => "environment-sensitive",
            Self::ReproducibleFailure => "reproducible failure",
            Self::Deterministic => "deterministic",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// So many of so many, and between what bounds the rate may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How often it happened.
    pub events: u64,
    /// How often it could have.
    pub of: u64,
    /// Lower bound of Wilson's interval.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
    /// Lower bound of Clopper and Pearson's, which is exact and wider.
    pub exact_low: f64,
    /// Its upper bound.
    pub exact_high: f64,
}

impl Estimate {
    /// Of `events` in `of`.
    pub fn new(events: u64, of: u64, confidence: Confidence) -> Self {
        let rate = Rate::new(events, of);
        let (wilson, exact) = (rate.wilson(confidence), rate.clopper_pearson(confidence));
        Self { events, of, low: wilson.low, high: wilson.high, exact_low: exact.low, exact_high: exact.high }
    }

    /// Wilson's interval.
    pub fn interval(&self) -> stats::Interval {
        stats::Interval { low: self.low, high: self.high }
    }
}

/// `7 of 300, 2.3 % (1.1 % to 4.7 %)`.
impl std::fmt::Display for Estimate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { events, of, .. } = self;
        write!(formatter, "{events} of {of}, {} ({})", Rate::new(*events, *of).percent(), self.interval())
    }
}

/// The repeats of one exchange.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// What can be said of it.
    pub class: Class,
    /// Repeats that failed, of those that were judged.
    pub failed: Estimate,
    /// Repeats that were not judged.
    pub unjudged: u64,
    /// One letter for each repeat: `.` same or noise, `c` changed, `f` failed, `d` diverged, `?` not judged, `-` not sent.
    pub verdicts: String,
    /// Where none failed: the largest rate of failure that so many repeats leave possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_missed_max: Option<f64>,
    /// Distinct answers, as they came.
    pub distinct_exact: u64,
    /// Distinct answers in canonical form, rules applied.
    pub distinct_parsed: u64,
    /// Distinct sets of questions to dependencies.
    pub distinct_effects: u64,
    /// The lowest offset at which the body of a repeat parts from the first one's; absent where none does, or was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_divergence: Option<u64>,
    /// How often an outcome was followed by another one: transitions over one less than the repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flip_rate: Option<f64>,
    /// Shannon's entropy of the outcomes over the most there could be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<f64>,
    /// With what chance k repeats all pass, without bias.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_hat: Vec<PassHat>,
    /// The kinds of outcome, the most frequent first.
    pub outcomes: Vec<RepeatOutcome>,
    /// Kinds beyond those listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outcomes_more: u64,
    /// Repeats whose answers were held against the first one's.
    #[serde(default)]
    pub compared_with_first: u64,
    /// What differed between the first repeat and those others, rules or not: in how many of them, by place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apart: Vec<Apart>,
}

/// pass^k.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassHat {
    /// Of how many.
    pub k: u64,
    /// The chance.
    pub value: f64,
}

/// One kind of outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepeatOutcome {
    /// The verdict's word.
    pub verdict: String,
    /// The answer in canonical form, rules applied; absent where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parsed: Option<Digest>,
    /// What was asked of dependencies.
    pub effects: Digest,
    /// How many repeats came to it.
    pub count: u64,
    /// The first of them, from 0.
    pub first: u32,
}

impl Repeated {
    /// What `trials` came to, in the order of their repeats: a run that is gone on with tries those last that had not started.
    pub fn of(trials: &[Trial], confidence: Confidence, apart: Vec<Apart>) -> Self {
        let mut trials = trials.to_vec();
        trials.sort_by_key(|trial| trial.repeat);
        let judged: Vec<&Trial> = trials.iter().filter(|trial| is_judged(trial.verdict)).collect();
        let (of, failed) =
            (judged.len() as u64, judged.iter().filter(|trial| is_failing(trial.verdict)).count() as u64);
        let distinct = |values: Vec<Option<Digest>>| stats::distinct_count(&values) as u64;
        let parsed: Vec<_> = judged.iter().map(|trial| (trial.parsed, trial.effects)).collect();
        let distinct_parsed = distinct(judged.iter().map(|trial| trial.parsed).collect());
        let outcomes = outcomes_of(&judged);
        let distinct_outcomes = outcomes.len() as u64;
        Self {
            class: Class::of(of, failed, distinct_outcomes),
            failed: Estimate::new(failed, of, confidence),
            unjudged: trials.len() as u64 - of,
            verdicts: letters(&trials),
            rate_missed_max: (failed == 0 && of > 0).then(|| stats::smallest_rate_missed(of, confidence)),
            distinct_exact: distinct(judged.iter().map(|trial| trial.exact).collect()),
            distinct_parsed,
            distinct_effects: distinct(judged.iter().map(|trial| Some(trial.effects)).collect()),
            first_divergence: judged.iter().filter_map(|trial| trial.first_divergence).min(),
            flip_rate: stats::flip_rate(&parsed),
            entropy: stats::normalised_entropy(&parsed),
            pass_hat: PASS_HAT_OF
                .iter()
                .filter_map(|&k| Some(PassHat { k, value: stats::pass_hat_k(of, of - failed, k)? }))
                .collect(),
            outcomes_more: distinct_outcomes.saturating_sub(OUTCOMES_LEN_MAX as u64),
            outcomes: outcomes.into_iter().take(OUTCOMES_LEN_MAX).collect(),
            compared_with_first: 0,
            apart,
        }
    }

    /// The outcome that came most often, the first of them where several did.
    pub fn usual(&self) -> Option<&RepeatOutcome> {
        self.outcomes.first()
    }

    /// How many repeats came to another outcome than the usual one.
    pub fn unusual_count(&self) -> u64 {
        self.failed.of - self.usual().map_or(0, |usual| usual.count)
    }

    /// True when production's answer is another than the usual one.
    pub fn production_is_unusual(&self) -> bool {
        self.usual().is_some_and(|usual| is_failing(&usual.verdict))
    }
}

/// The kinds of outcome, the most frequent first, of equally frequent ones the earlier.
fn outcomes_of(judged: &[&Trial]) -> Vec<RepeatOutcome> {
    let mut kinds: BTreeMap<(Option<Digest>, Digest, &str), RepeatOutcome> = BTreeMap::new();
    for trial in judged {
        let Trial { parsed, effects, .. } = **trial;
        let new =
            || RepeatOutcome { verdict: trial.verdict.to_owned(), parsed, effects, count: 0, first: trial.repeat };
        kinds.entry((parsed, effects, trial.verdict)).or_insert_with(new).count += 1;
    }
    let mut kinds: Vec<_> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| (std::cmp::Reverse(kind.count), kind.first));
    kinds
}

fn is_judged(verdict: &str) -> bool {
    verdict != "unjudged"
}

fn is_failing(verdict: &str) -> bool {
    !matches!(verdict, "same" | "noise" | "unjudged")
}

/// One letter for each repeat up to the last; those without a trial were not sent.
fn letters(trials: &[Trial]) -> String {
    let mut letters = String::new();
    for trial in trials {
        let missing = (trial.repeat as usize).saturating_sub(letters.len());
        letters.extend(std::iter::repeat_n('-', missing));
        letters.push(letter(trial.verdict));
    }
    letters
}

fn letter(verdict: &str) -> char {
    match verdict {
        "same" | "noise" => '.',
        "failed" => 'f',
        "diverged" => 'd',
        "unjudged" => '?',
        _ => 'c',
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(repeat: u32, verdict: &'static str, answer: &str) -> Trial {
        Trial {
            repeat,
            verdict,
            exact: Some(Digest::of(format!("{answer}{repeat}").as_bytes())),
            parsed: Some(Digest::of(answer.as_bytes())),
            effects: Digest::of(b""),
            first_divergence: (repeat > 0).then_some(u64::from(repeat) + 5),
        }
    }

    fn repeated(verdicts: &str) -> Repeated {
        let verdict = |letter| match letter {
            '.' => ("same", "usual"),
            'c' => ("changed", "other"),
            'f' => ("failed", "none"),
            _ => ("unjudged", "unseen"),
        };
        let trials = (0..).zip(verdicts.chars()).map(|(repeat, letter)| {
            let (verdict, answer) = verdict(letter);
            trial(repeat, verdict, answer)
        });
        Repeated::of(&trials.collect::<Vec<_>>(), Confidence::DEFAULT, Vec::new())
    }

    #[test]
    fn one_outcome_is_deterministic_and_two_are_flaky_and_few_are_neither() {
        assert_eq!(repeated("..........").class, Class::Deterministic);
        assert_eq!(repeated(".........").class, Class::Unconfirmed);
        assert_eq!(repeated("cccccccccc").class, Class::ReproducibleFailure);
        assert_eq!(repeated("cc").class, Class::Unconfirmed);
        assert_eq!(repeated(".c").class, Class::Flaky);
        assert_eq!(repeated("??").class, Class::Unconfirmed);
        assert_eq!(repeated("").failed.of, 0);
    }

    #[test]
    fn what_was_not_judged_is_no_repeat_and_stays_in_sight() {
        let repeated = repeated("..?c.");
        assert_eq!((repeated.failed.events, repeated.failed.of, repeated.unjudged), (1, 4, 1));
        assert_eq!(repeated.verdicts, "..?c.");
        assert_eq!(repeated.rate_missed_max, None);
    }

    #[test]
    fn answers_are_counted_as_they_came_and_by_what_counts_of_them() {
        let repeated = repeated("...c.f....");
        assert_eq!((repeated.distinct_exact, repeated.distinct_parsed, repeated.distinct_effects), (10, 3, 1));
        assert_eq!(repeated.first_divergence, Some(6));
        assert_eq!(repeated.flip_rate, Some(4.0 / 9.0));
        let kinds: Vec<_> =
            repeated.outcomes.iter().map(|kind| (kind.verdict.as_str(), kind.count, kind.first)).collect();
        assert_eq!(kinds, [("same", 8, 0), ("changed", 1, 3), ("failed", 1, 5)]);
        assert_eq!(repeated.unusual_count(), 2);
        assert!(!repeated.production_is_unusual());
        assert_eq!(repeated.failed.to_string(), "2 of 10, 20 % (5.7 % to 51 %)");
    }

    #[test]
    fn a_repeat_that_was_tried_last_stands_where_it_belongs() {
        let in_order: Vec<Trial> =
            (0..6).map(|repeat| trial(repeat, "same", if repeat < 3 { "one" } else { "two" })).collect();
        let mut late = in_order.clone();
        let second = late.remove(1);
        late.push(second);
        let of = |trials: &[Trial]| Repeated::of(trials, Confidence::DEFAULT, Vec::new());
        assert_eq!(of(&late), of(&in_order));
        assert_eq!((of(&late).verdicts.as_str(), of(&late).flip_rate), ("......", Some(0.2)));
    }

    #[test]
    fn where_production_gave_the_rare_answer_the_usual_one_is_a_change() {
        let repeated = repeated("cccccccc.c");
        assert!(repeated.production_is_unusual());
        assert_eq!((repeated.unusual_count(), repeated.class), (1, Class::Flaky));
    }
}

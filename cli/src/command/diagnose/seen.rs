//! Runs as the diagnosis wants them: trials with their times, verdicts and calls, and pairs of answers that differ.
//!
//! In: the archive of a run. Out: values without files. Of many answers to one request some are looked at, of those that
//! failed as many as of those that did not, within bounds that are choices: a run of any length is read in limited memory.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry as MapEntry};

use bundle::{Archive, Entry};
use content::json::{self, Value};
use diagnose::flakiness::{AnswerPair, CallSeen, Held, Kind, Leak, OutcomeSeen, RunSeen, TrialSeen, kind_of};
use diff::{ChangeKind, ExchangeResult, Output, Route, Rules, compare_responses};
use exchange::{Digest, Head, Id, Run, SeedPlace};
use serde_json::Value as Json;

use crate::trouble::Trouble;

/// Answers of one exchange that are looked at, in each run: so many that failed, and so many that did not. A choice.
const ANSWERS_OF_A_KIND_MAX: usize = 20;
/// Answers that are held, in bytes in all. A choice.
const ANSWERS_BYTES_MAX: usize = 256 << 20;
/// Longest answer that is looked at, in bytes. A choice.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// Answers of another exchange in which a value is looked for. A choice: its usual one is among the first.
const ANSWERS_LOOKED_INTO_MAX: usize = 5;
/// Shortest value that says whose it is, in bytes with its quotes. A choice: `"low"` is everybody's.
const TELLING_BYTES_MIN: usize = 10;

/// Answers that were read.
#[derive(Debug, Default)]
pub(super) struct Answers {
    of_exchange: BTreeMap<Id, Vec<Answer>>,
    bytes: usize,
}

/// One answer, and whose it is: which run, which of its trials.
#[derive(Debug)]
struct Answer {
    run: usize,
    trial: usize,
    failed: bool,
    route: String,
    head: Head,
    body: Vec<u8>,
}

/// Reads the trials of a run, which has this number among those that are read, and some of its answers.
pub(super) fn read_run(
    archive: &Archive,
    (run, number): (&Run, usize),
    answers: &mut Answers,
) -> Result<RunSeen, Trouble> {
    let results: Vec<ExchangeResult> = serde_json::from_value(run.comparison.clone())
        .map_err(|error| Trouble::of(&error).while_doing(format!("the results of run {} cannot be read", run.id)))?;
    let results: BTreeMap<Id, ExchangeResult> = results.into_iter().map(|result| (result.id, result)).collect();
    let mut calls: BTreeMap<Id, Vec<&Entry>> = BTreeMap::new();
    for entry in archive.entries().iter().filter(|entry| entry.dependency.is_some()) {
        if let Some(parent) = entry.parent {
            calls.entry(parent).or_default().push(entry);
        }
    }
    calls.values_mut().for_each(|calls| calls.sort_by_key(|call| (call.started_ns, call.sequence)));
    let clients = archive.entries().iter().filter(|entry| entry.dependency.is_none());
    let mut sent: Vec<(&Entry, &ExchangeResult)> =
        clients.filter_map(|entry| Some((entry, results.get(&entry.original?)?))).collect();
    sent.sort_by_key(|(entry, _)| (entry.repeat, entry.started_ns, entry.sequence));
    let receipt = &run.receipt;
    let fingerprint = sent.iter().find_map(|(entry, _)| entry.fingerprint);
    let host = fingerprint.map(|digest| archive.fingerprint(&digest)).transpose()?.flatten().map(|it| it.host);
    let mut seen = RunSeen {
        name: run.id.short(),
        environment: fingerprint.map(|fingerprint| environment(fingerprint, &receipt["pinned"])),
        host: host.map(|host| format!("{}, {}", host.cpu_model, host.kernel)).unwrap_or_default(),
        order: receipt["determinism"]["order"].as_str().unwrap_or_default().to_owned(),
        // Known only beside the other runs.
        judged: None,
        resets: receipt["repeats"]["reset"].as_str() != Some("none")
            && receipt["repeats"]["copies"].as_u64().is_none_or(|copies| copies == 1),
        held: held(&receipt["determinism"], !calls.is_empty()),
        outcomes: sent.iter().map(|(_, result)| (result.id, outcomes_of(result))).collect(),
        trials: Vec::new(),
    };
    let mut unseeded: BTreeMap<Id, bool> = BTreeMap::new();
    for (entry, result) in sent {
        let letter = letter_of(result, entry.repeat.unwrap_or(0));
        if matches!(letter, '?' | '-') {
            continue;
        }
        let unseeded = match unseeded.entry(result.id) {
            MapEntry::Occupied(known) => *known.get(),
            MapEntry::Vacant(new) => *new.insert(is_unseeded(archive, entry)?),
        };
        let trial = seen.trials.len();
        seen.trials.push(TrialSeen {
            original: result.id,
            route: result.route.clone(),
            title: result.title.clone(),
            repeat: entry.repeat.unwrap_or(0),
            failed: letter != '.',
            started_ns: entry.started_ns,
            ended_ns: entry.ended_ns,
            minute: run.started.wall_at(entry.started_ns) / 60_000_000_000,
            timed_out: entry.end == "timed out" || matches!(entry.status, Some(408 | 504)),
            calls: calls.get(&entry.id).into_iter().flatten().map(|call| call_seen(call)).collect(),
            leaked: None,
            unseeded,
        });
        answers.read(archive, entry, result, number, trial, letter != '.')?;
    }
    Ok(seen)
}

/// The digest of an environment, with what ran there where its fingerprint does not say: other images have none.
fn environment(fingerprint: Digest, pinned: &Json) -> Digest {
    let is_recorded = pinned["relation"].as_str().is_some_and(|relation| relation.starts_with("same-"));
    match pinned["used"].as_str() {
        Some(used) if !is_recorded => Digest::of(format!("{fingerprint} {used}").as_bytes()),
        _ => fingerprint,
    }
}

/// What was held still, by a receipt's controls. Those that failed held nothing.
fn held(determinism: &Json, has_calls: bool) -> BTreeSet<Held> {
    let mut held = BTreeSet::new();
    for control in determinism["controls"].as_array().into_iter().flatten().filter(|it| it["state"] == "on") {
        let words = || control["words"].as_array().into_iter().flatten().filter_map(Json::as_str);
        match control["control"].as_str().unwrap_or_default() {
            "variables" => {
                let pins = |words: &str| words.starts_with("PYTHONHASHSEED=") && !words.contains("=random");
                held.extend(words().any(pins).then_some(Held::PythonHashSeed));
                held.insert(Held::Variables);
            }
            "threads" => held.extend(words().any(|words| words == "OMP_NUM_THREADS=1").then_some(Held::OneThread)),
            "urandom" => held.extend([Held::Urandom]),
            "clock" => held.extend([Held::Clock]),
            "entropy" => held.extend([Held::Entropy]),
            "addresses" => held.extend([Held::Addresses]),
            "random-device" => held.extend([Held::RandomDevice]),
            _ => {}
        }
    }
    // Without a call there is none that could take long.
    if has_calls && determinism["timing"].as_str().is_some_and(|timing| timing.starts_with("asap")) {
        held.insert(Held::Durations);
    }
    // Where none was held for another, they came as they would have, whatever was asked for.
    held.extend(determinism["gates"]["held"].as_u64().filter(|&count| count > 0).map(|_| Held::Answers));
    held
}

/// The kinds of outcome of an exchange; of one that was not repeated only the verdict is known.
fn outcomes_of(result: &ExchangeResult) -> BTreeSet<OutcomeSeen> {
    match &result.repeated {
        Some(repeated) => {
            let outcomes = repeated.outcomes.iter();
            let seen =
                outcomes.map(|it| OutcomeSeen { verdict: it.verdict.clone(), content: Some((it.parsed, it.effects)) });
            seen.collect()
        }
        None if result.verdict.word() == "unjudged" => BTreeSet::new(),
        None => BTreeSet::from([OutcomeSeen { verdict: result.verdict.word().to_owned(), content: None }]),
    }
}

/// The letter of a repeat; that of the verdict itself where there were none.
fn letter_of(result: &ExchangeResult, repeat: u32) -> char {
    match &result.repeated {
        Some(repeated) => repeated.verdicts.chars().nth(repeat as usize).unwrap_or('-'),
        None if result.verdict.is_failing() => 'c',
        None if result.verdict.word() == "unjudged" => '?',
        None => '.',
    }
}

fn call_seen(call: &Entry) -> CallSeen {
    let dependency = call.dependency.as_deref().unwrap_or_default().to_owned();
    let which = call.original.map_or_else(|| "not recorded".to_owned(), |original| original.short());
    CallSeen {
        asked: format!("{dependency} {} ({which})", call.title),
        dependency,
        failed: call.original.is_none() || call.end != "complete",
    }
}

/// True where a model is asked and may sample as it likes.
fn is_unseeded(archive: &Archive, entry: &Entry) -> Result<bool, Trouble> {
    let seeds = archive.exchange(&entry.id)?.seeds;
    let asked = |name: &str| {
        let named = seeds.iter().filter(|seed| seed.place == SeedPlace::Request);
        named.filter(|seed| seed.pointer.rsplit('/').next() == Some(name)).map(|seed| seed.value.as_str()).next()
    };
    let samples = asked("temperature").is_none_or(|value| value.parse::<f64>().is_ok_and(|value| value > 0.0));
    Ok(asked("model").is_some() && asked("seed").is_none() && samples)
}

impl Answers {
    /// Keeps an answer where there is room for its kind.
    fn read(
        &mut self,
        archive: &Archive,
        entry: &Entry,
        result: &ExchangeResult,
        run: usize,
        trial: usize,
        failed: bool,
    ) -> Result<(), Trouble> {
        let kept = self.of_exchange.entry(result.id).or_default();
        let of_kind = kept.iter().filter(|answer| answer.run == run && answer.failed == failed).count();
        let len = entry.response_len.unwrap_or(u64::MAX);
        if of_kind >= ANSWERS_OF_A_KIND_MAX || len > ANSWER_BYTES_MAX || self.bytes >= ANSWERS_BYTES_MAX {
            return Ok(());
        }
        let Some(response) = archive.exchange(&entry.id)?.response else { return Ok(()) };
        let body = archive.body(&response.body, ANSWER_BYTES_MAX)?;
        self.bytes += body.len() + response.head.bytes.len();
        kept.push(Answer { run, trial, failed, route: result.route.clone(), head: response.head, body });
        Ok(())
    }

    /// The first usual answer to each request with each other one; tells each trial whose value it has, where it is another's.
    pub(super) fn pairs(&self, runs: &mut [RunSeen]) -> Vec<AnswerPair<'_>> {
        let mut pairs = Vec::new();
        let mut leaks: Vec<(usize, usize, Leak)> = Vec::new();
        for (original, answers) in &self.of_exchange {
            // What comes most often is the better measure: production may have given the rare answer.
            let trials = || runs.iter().flat_map(|run| &run.trials).filter(|trial| trial.original == *original);
            let mostly_fails = 2 * trials().filter(|trial| trial.failed).count() > trials().count();
            let is_usual = |answer: &&Answer| answer.failed == mostly_fails;
            let Some(first) = answers.iter().find(is_usual).or(answers.first()) else { continue };
            for answer in answers.iter().filter(|answer| !std::ptr::eq(*answer, first)) {
                let comparison = compare(first, answer);
                if let Some(leak) = self.leak(*original, first, answer, &comparison, runs) {
                    leaks.push((answer.run, answer.trial, leak));
                }
                pairs.push(AnswerPair {
                    route: &answer.route,
                    across_hosts: runs[answer.run].host != runs[first.run].host,
                    comparison,
                    bodies: json_of(first).zip(json_of(answer)),
                });
            }
        }
        for (run, trial, leak) in leaks {
            runs[run].trials[trial].leaked = Some(leak);
        }
        pairs
    }

    /// A value in `answer` that its own exchange has not, and one that was in flight with it has.
    fn leak(
        &self,
        original: Id,
        first: &Answer,
        answer: &Answer,
        comparison: &diff::Comparison,
        runs: &[RunSeen],
    ) -> Option<Leak> {
        let trials = &runs[answer.run].trials;
        let own = &trials[answer.trial];
        let together = trials.iter().filter(|other| {
            other.repeat == own.repeat
                && other.original != original
                && own.started_ns < other.ended_ns
                && other.started_ns < own.ended_ns
        });
        let together: Vec<Id> = together.map(|other| other.original).collect();
        for change in comparison.changes.iter().filter(|change| change.kind == ChangeKind::Changed) {
            let Some(value) = change.replayed.as_ref().filter(|value| value.len >= TELLING_BYTES_MIN as u64) else {
                continue;
            };
            // Numbers and times are anybody's.
            let own_text = change.recorded.as_ref().map(|own| own.text.as_str()).unwrap_or_default();
            if !value.text.starts_with('"') || kind_of(own_text, &value.text) == Kind::Time {
                continue;
            }
            // What is in the usual answer too says nothing.
            let text = value.text.trim_end_matches('…').trim_matches('"').as_bytes();
            if has(&first.body, text) {
                continue;
            }
            let whose = together.iter().find(|other| {
                let answers = self.of_exchange.get(other).into_iter().flatten();
                answers.take(ANSWERS_LOOKED_INTO_MAX).any(|theirs| has(&theirs.body, text))
            });
            if let Some(of) = whose {
                return Some(Leak { pointer: diff::with_indices_as_stars(&change.pointer), of: *of });
            }
        }
        None
    }
}

fn has(body: &[u8], text: &[u8]) -> bool {
    !text.is_empty() && body.windows(text.len()).any(|window| window == text)
}

fn compare(first: &Answer, other: &Answer) -> diff::Comparison {
    let route = Route::default();
    compare_responses(&output(first), &output(other), &Rules::strict(), &route)
}

fn output(answer: &Answer) -> Output<'_> {
    Output { head: &answer.head, body: &answer.body, complete: true, whole: true }
}

fn json_of(answer: &Answer) -> Option<Value> {
    let decoded = content::encoding::decode(&answer.head, &answer.body, ANSWER_BYTES_MAX).ok()?;
    json::parse(&decoded).ok()
}

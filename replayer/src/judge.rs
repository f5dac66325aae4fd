//! One verdict for each exchange, from what came back and what was asked of the dependencies.
//!
//! In: the recording, the outcomes, the notes of the answerer. Out: results and their count, the counts of the receipt, and
//! the digest that two equal runs share.

use std::collections::{BTreeMap, BTreeSet};

use diff::{
    Came, Comparison, Divergence, Evidence, ExchangeResult, Failure, MissedCall, NearCall, NoiseLearner, NoiseUse,
    NoisyChange, RecordedCall, ReplayedCall, Route, RuleUse, Tally, Trajectory, Unjudged, Verdict, decide,
};
use exchange::{Certainty, Digest, End, Exchange, Id};
use matching::{MatchScope, Nearest, conversation::NeverAsked};

use crate::{
    answer::{Note, title_of, why_unanswerable},
    baseline::{LookedCall, Over},
    connections::Connections,
    drive::Outcome,
    receipt::{Answers, HeldPlace},
    replay::pseudonyms_in,
    secrets::Secrets,
    select::Selection,
};

/// What a replay came to.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) results: Vec<ExchangeResult>,
    /// For each result: what its outcome is told by.
    pub(crate) said: Vec<Said>,
    /// What was asked of dependencies, and is not known by whom.
    pub(crate) nobodys: Vec<Digest>,
    pub(crate) tally: Tally,
    pub(crate) answers: Answers,
    pub(crate) rules: Vec<RuleUse>,
    /// What was set apart as noise.
    pub(crate) noise: Vec<NoiseUse>,
    /// What repeats taught of noise in answers.
    pub(crate) learned: NoiseLearner,
    /// What they taught of noise in calls to dependencies.
    pub(crate) learned_of_calls: NoiseLearner,
    /// Over repeats: places in calls where production's value is another, each one that clock or chance makes.
    pub(crate) calls_unlike: BTreeSet<HeldPlace>,
    pub(crate) outcome_digest: Option<Digest>,
    /// Where it was stopped: the same of those that had ended, and of their calls alone.
    pub(crate) so_far: Option<Box<Judgement>>,
}

/// What an exchange's outcome is told by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    /// What counts of its answer; `None` where there is none.
    pub(crate) answer: Option<Digest>,
    /// What it asked of dependencies, sorted.
    pub(crate) asked: Vec<Digest>,
    /// Over repeats: where that differs from what was asked first.
    pub(crate) looked: Vec<LookedCall>,
    /// Over repeats: recorded calls in whose places its calls were the first, with what those were written as.
    pub(crate) first_calls: Vec<(Id, Id)>,
}

impl Said {
    /// What was asked of dependencies, whatever the order.
    pub(crate) fn effects(&self) -> Digest {
        let mut hash = blake3::Hasher::new_derive_key("retake 2026-11 effects of an exchange");
        hash_digests(&mut hash, &self.asked);
        Digest(*hash.finalize().as_bytes())
    }
}

impl Judgement {
    /// Counts the verdicts, and gives the digest of all outcomes, where there are any.
    pub(crate) fn conclude(&mut self, has_outcomes: bool) {
        let mut hash = blake3::Hasher::new_derive_key("retake 2026-11 outcome of a run");
        for (result, said) in self.results.iter().zip(&self.said) {
            hash.update(&result.id.0).update(&[u8::from(said.answer.is_some())]);
            hash.update(&said.answer.map(|digest| digest.0).unwrap_or_default());
            hash_digests(&mut hash, &said.asked);
        }
        self.nobodys.sort_unstable();
        hash_digests(&mut hash, &self.nobodys);
        self.tally = Tally::of(&self.results);
        self.outcome_digest = has_outcomes.then(|| Digest(*hash.finalize().as_bytes()));
    }
}

/// All that judging needs.
pub(crate) struct Case<'a> {
    pub(crate) selection: &'a Selection,
    /// Which copy of its sessions is judged.
    pub(crate) copy: u32,
    pub(crate) outcomes: &'a BTreeMap<Id, Outcome>,
    pub(crate) notes: &'a [Note],
    pub(crate) never_asked: &'a BTreeSet<Id>,
    /// What was recorded of connections that are no HTTP.
    pub(crate) connections: &'a Connections,
    /// Turns on them that were not asked for.
    pub(crate) turns_never_asked: &'a [NeverAsked],
    /// Dependencies whose recorded address could not be served: calls to them went nowhere.
    pub(crate) not_served: &'a BTreeSet<String>,
    /// False when the service's calls did not come to us.
    pub(crate) calls_observed: bool,
    /// What is known of the secrets in the requests.
    pub(crate) secrets: &'a Secrets,
    /// Where only some of the exchanges are of interest: those, whose calls alone are counted.
    pub(crate) part: Option<&'a BTreeSet<Id>>,
}

impl Case<'_> {
    /// Judges every chosen exchange.
    pub(crate) fn judge(&self) -> Judgement {
        let calls = self.calls_by_parent();
        let mut judgement = Judgement { answers: self.answers(), ..Judgement::default() };
        let nothing = Calls::default();
        for exchange in &self.selection.chosen {
            let outcome = self.outcomes.get(&exchange.id);
            let calls = calls.get(&exchange.id).unwrap_or(&nothing);
            let result = self.result_of(exchange, outcome, calls);
            if let Some(comparison) = &result.comparison {
                RuleUse::merge(&mut judgement.rules, &comparison.rules_used);
            }
            let noise = result.comparison.as_ref().map_or(&calls.noise, |comparison| &comparison.noise);
            NoiseUse::merge(&mut judgement.noise, &result.route, noise);
            judgement.results.push(result);
            let mut asked = calls.digests.clone();
            asked.sort_unstable();
            let answer = outcome.and_then(|outcome| outcome.compared.outcome);
            let (looked, first_calls) = (calls.looked.clone(), calls.first_calls.clone());
            judgement.said.push(Said { answer, asked, looked, first_calls });
        }
        let of_nobody = self.counted().filter(|note| note.parent.is_none());
        of_nobody.for_each(|note| NoiseUse::merge(&mut judgement.noise, &note.title, &note.noise));
        RuleUse::merge(&mut judgement.rules, &self.rules_used_in_matching());
        judgement.nobodys = self.digests_of_nobodys_calls();
        judgement.conclude(!self.outcomes.is_empty());
        judgement
    }

    /// The notes of what counts.
    fn counted(&self) -> impl Iterator<Item = &Note> {
        let is_of = |part: &BTreeSet<Id>, note: &Note| {
            note.parent.as_ref().or(note.candidates.first()).is_some_and(|owner| part.contains(owner))
        };
        self.notes.iter().filter(move |note| self.part.is_none_or(|part| is_of(part, note)))
    }

    fn result_of(&self, exchange: &Exchange, outcome: Option<&Outcome>, calls: &Calls) -> ExchangeResult {
        let comparison = outcome.and_then(|outcome| outcome.compared.comparison.clone());
        let comparison = comparison
            .map(|comparison| Comparison { noise: [&calls.noise[..], &comparison.noise].concat(), ..comparison });
        ExchangeResult {
            id: exchange.id,
            replayed_id: outcome.map(|outcome| outcome.replayed_id),
            title: exchange.title(),
            route: Route::of(&exchange.request.head).to_string(),
            recorded_status: exchange.status(),
            replayed_status: outcome.and_then(|outcome| outcome.status),
            verdict: match outcome {
                Some(outcome) => {
                    verdict_of(exchange, (outcome, comparison.as_ref()), calls, self.secrets_missing(exchange))
                }
                None => Verdict::Unjudged(Unjudged::because("it was not sent: the replay was stopped before")),
            },
            calls_reordered: calls.divergence.reordered,
            trajectory: calls.trajectory().map(Box::new),
            comparison,
            repeated: None,
        }
    }

    /// True when the request's secrets are not all known by more than their pseudonyms.
    fn secrets_missing(&self, exchange: &Exchange) -> bool {
        let has_some = exchange.redactions.iter().any(|redaction| redaction.place.starts_with("request"));
        let found = pseudonyms_in(exchange).into_iter().filter(|found| found.place.starts_with("request"));
        let found: Vec<Vec<u8>> = found.map(|found| found.value).collect();
        has_some && (found.is_empty() || !self.secrets.has_all(found.iter().map(Vec::as_slice)))
    }

    /// What each chosen exchange asked, against what it had asked.
    fn calls_by_parent(&self) -> BTreeMap<Id, Calls> {
        let mut calls: BTreeMap<Id, Calls> = BTreeMap::new();
        if !self.calls_observed {
            return calls;
        }
        let digests = self.recorded_digests();
        for note in self.notes {
            if let Some(why) = self.why_unjudgeable_turn(note) {
                let maybe = note.parent.iter().chain(&note.candidates);
                maybe.for_each(|id| calls.entry(*id).or_default().unjudgeable = Some(why.to_owned()));
                continue;
            }
            match note.parent {
                Some(parent) => calls.entry(parent).or_default().asked(note, &digests),
                None => note.candidates.iter().for_each(|id| calls.entry(*id).or_default().asked_by_someone(note)),
            }
        }
        for call in self.selection.expected_calls() {
            let Some(parent) = call.role.parent() else { continue };
            let title = title_of_recorded(call);
            let never = self.never_asked.contains(&call.id);
            let maybe: BTreeSet<Id> = parent.candidates.iter().copied().chain([parent.id]).collect();
            if let Some(why) = self.why_unjudgeable(call) {
                maybe.iter().for_each(|id| calls.entry(*id).or_default().unjudgeable = Some(format!("{title} {why}")));
            } else if parent.certainty != Certainty::Ambiguous {
                let named = title_of(call.role.dependency().unwrap_or_default(), &call.request.head);
                calls.entry(parent.id).or_default().recorded(call.id, named, never.then_some(title));
            } else if never {
                maybe.iter().for_each(|id| calls.entry(*id).or_default().may_have_left_out(&title));
            }
        }
        self.look_at_turns(&mut calls);
        calls.values_mut().for_each(Calls::look_at_the_order);
        calls
    }

    /// What was said on connections that are no HTTP belongs to whoever was in flight.
    fn look_at_turns(&self, calls: &mut BTreeMap<Id, Calls>) {
        for (id, why) in self.connections.needed_the_unusable() {
            calls.entry(id).or_default().unjudgeable = Some(why.to_owned());
        }
        for turn in self.turns_never_asked {
            let Some(recorded) = self.connections.recorded(&turn.id) else { continue };
            let title = format!("{} {} ({})", recorded.dependency, turn.title, turn.id.short());
            let flying = self.connections.in_flight().at(&recorded.session, turn.at_ns);
            if self.not_served.contains(&recorded.dependency) {
                let why = format!("{title} goes to a recorded address that cannot be served here");
                flying.ids.iter().for_each(|id| calls.entry(*id).or_default().unjudgeable = Some(why.clone()));
            } else if let Some(only) = turn.owner {
                calls.entry(only).or_default().divergence.never_asked.push(title);
            } else {
                flying.ids.iter().for_each(|id| calls.entry(*id).or_default().may_have_left_out(&title));
            }
        }
    }

    /// Why a turn that was missed says nothing: more was said to its dependency than can be answered.
    fn why_unjudgeable_turn(&self, note: &Note) -> Option<&str> {
        let turn = note.turn.as_ref().filter(|_| note.outcome.is_err())?;
        self.connections.why_unusable(&turn.dependency)
    }

    /// Why a recorded call says nothing about what is asked now.
    fn why_unjudgeable(&self, call: &Exchange) -> Option<String> {
        if call.role.dependency().is_some_and(|name| self.not_served.contains(name)) {
            return Some("goes to a recorded address that cannot be served here".to_owned());
        }
        why_unanswerable(call).map(|why| format!("{why}, so it could not be answered"))
    }

    fn recorded_digests(&self) -> BTreeMap<Id, Digest> {
        self.selection.calls.iter().filter_map(|call| Some((call.id, call.digests.request?))).collect()
    }

    fn digests_of_nobodys_calls(&self) -> Vec<Digest> {
        let recorded = self.recorded_digests();
        // Turns are nobody's here: who was in flight is a matter of timing, and so is how often a connection is opened.
        let is_counted = |note: &&Note| match &note.turn {
            Some(turn) => !turn.opens,
            None => note.parent.is_none(),
        };
        self.counted().filter(is_counted).map(|note| digest_of(note, &recorded)).collect()
    }

    fn answers(&self) -> Answers {
        let mut answers = Answers { observed: self.calls_observed, ..Answers::default() };
        // What several copies may have asked counts with the first of them.
        for note in self.counted().filter(|note| note.copies.first() == Some(&self.copy)) {
            *match &note.outcome {
                Err(_) => &mut answers.missed,
                Ok(found) => match found.scope {
                    MatchScope::Parent => &mut answers.served_by_parent,
                    MatchScope::Inferred => &mut answers.served_by_inference,
                    MatchScope::Conversation => &mut answers.served_by_conversation,
                    MatchScope::Connection => &mut answers.served_by_connection,
                    MatchScope::Anywhere => &mut answers.served_anywhere,
                },
            } += 1;
        }
        if self.calls_observed {
            let was_sent = |call: &&Exchange| {
                let parents =
                    call.role.parent().into_iter().flat_map(|parent| parent.candidates.iter().chain([&parent.id]));
                parents.into_iter().any(|id| self.outcomes.contains_key(id))
            };
            let never = self.selection.expected_calls().filter(|call| self.never_asked.contains(&call.id));
            let turns = self.turns_never_asked.iter().filter(|turn| {
                let recorded = self.connections.recorded(&turn.id);
                let flying = recorded.map(|it| self.connections.in_flight().at(&it.session, turn.at_ns));
                flying.is_some_and(|flying| flying.ids.iter().any(|id| self.outcomes.contains_key(id)))
            });
            answers.never_asked = (never.filter(was_sent).count() + turns.count()) as u64;
        }
        answers
    }

    fn rules_used_in_matching(&self) -> Vec<RuleUse> {
        let mut used = Vec::new();
        for found in self.counted().filter_map(|note| note.outcome.as_ref().ok()) {
            for left_out in &found.left_out {
                let one =
                    RuleUse { rule: left_out.rule.clone(), pointer: left_out.pointer.clone(), count: 1, reason: None };
                RuleUse::merge(&mut used, &[one]);
            }
        }
        used
    }
}

/// The calls of one exchange.
#[derive(Debug, Default)]
struct Calls {
    divergence: Divergence,
    /// Why the exchange cannot be called same, though nothing is known to differ.
    doubt: Option<String>,
    /// Why it cannot be judged at all: one of its calls could not be answered as production answered it.
    unjudgeable: Option<String>,
    /// Recorded calls in the order they were asked for now.
    asked: Vec<Id>,
    /// Recorded calls in recorded order.
    recorded: Vec<Id>,
    /// What was called here, and had been in production, each in order.
    steps: (Vec<ReplayedCall>, Vec<RecordedCall>),
    /// Recorded calls that nobody asked for.
    never_asked: Vec<Id>,
    /// What was asked, for the outcome's digest.
    digests: Vec<Digest>,
    /// Where that differs from what was recorded, within measured noise.
    noise: Vec<NoisyChange>,
    /// Over repeats: where it differs from what was asked first.
    looked: Vec<LookedCall>,
    /// Over repeats: recorded calls in whose places its own were the first, with what those were written as.
    first_calls: Vec<(Id, Id)>,
}

impl Calls {
    fn asked(&mut self, note: &Note, digests: &BTreeMap<Id, Digest>) {
        if note.turn.is_none() {
            self.digests.push(digest_of(note, digests));
            self.steps.0.push(replayed_call(note));
        }
        self.noise.extend(note.noise.iter().cloned());
        match &note.over {
            Some(Over::First(call)) => self.first_calls.extend(note.written.map(|written| (*call, written))),
            Some(Over::Later(looked)) => self.looked.push(looked.clone()),
            None => {}
        }
        match &note.outcome {
            Ok(found) => {
                self.asked.extend(note.turn.is_none().then_some(found.id));
                if found.borrowed {
                    self.divergence.extra.push(note.title.clone());
                }
            }
            Err(miss) => {
                let nearest = miss.nearest.as_ref().map(ToString::to_string);
                let asked = if miss.exhausted > 0 { miss.to_string() } else { miss.asked.clone() };
                self.divergence.missed.push(MissedCall { asked, nearest });
            }
        }
    }

    fn asked_by_someone(&mut self, note: &Note) {
        if let Err(miss) = &note.outcome {
            self.doubt = Some(format!("{miss}; which of the exchanges in flight asked it is not known"));
        }
    }

    fn may_have_left_out(&mut self, title: &str) {
        self.doubt = Some(format!("{title} was not asked for, and which exchange had asked it is not known"));
    }

    fn recorded(&mut self, id: Id, title: String, never_asked: Option<String>) {
        self.recorded.push(id);
        self.steps.1.push(RecordedCall { id, title });
        self.never_asked.extend(never_asked.is_some().then_some(id));
        self.divergence.never_asked.extend(never_asked);
    }

    /// The calls against production's, where any of them is not the same and all are known to be this exchange's.
    fn trajectory(&self) -> Option<Trajectory> {
        if self.doubt.is_some() || self.unjudgeable.is_some() {
            return None;
        }
        // What answers a call and is not known to be this exchange's says nothing of its way.
        let is_known = |call: &&ReplayedCall| call.repeats.is_none_or(|id| self.recorded.contains(&id));
        let replayed: Vec<_> = self.steps.0.iter().filter(is_known).cloned().collect();
        // Nor does what was answered to somebody who is not known.
        let is_told = |call: &&RecordedCall| self.asked.contains(&call.id) || self.never_asked.contains(&call.id);
        let recorded: Vec<_> = self.steps.1.iter().filter(is_told).cloned().collect();
        let trajectory = Trajectory::of(&recorded, &replayed);
        (!trajectory.is_same()).then_some(trajectory)
    }

    fn look_at_the_order(&mut self) {
        let asked: Vec<_> = self.asked.iter().filter(|id| self.recorded.contains(id)).collect();
        let recorded: Vec<_> = self.recorded.iter().filter(|id| self.asked.contains(id)).collect();
        self.divergence.reordered = asked != recorded;
    }
}

fn verdict_of(
    exchange: &Exchange,
    (outcome, comparison): (&Outcome, Option<&Comparison>),
    calls: &Calls,
    secrets_missing: bool,
) -> Verdict {
    let mut divergence = calls.divergence.clone();
    if matches!(outcome.end, End::Unreachable { .. }) {
        // A service that got no request has not asked less: it has failed.
        divergence.never_asked.clear();
    }
    if let Some(reason) = outcome.compared.left_out.as_ref().or(calls.unjudgeable.as_ref()) {
        return Verdict::Unjudged(Unjudged::because(reason));
    }
    let recorded_whole = exchange.response.as_ref().is_none_or(|response| response.body.is_whole());
    let verdict = decide(&Evidence {
        recorded: Came { status: exchange.status(), end: &exchange.end, whole: recorded_whole },
        replayed: Came { status: outcome.status, end: &outcome.end, whole: outcome.whole },
        calls: &divergence,
        comparison,
        secrets_missing,
    });
    if let Some(reason) = why_it_proves_nothing(exchange, &verdict) {
        return Verdict::Unjudged(Unjudged { reason });
    }
    match (verdict, &calls.doubt, &outcome.trouble) {
        (Verdict::Same | Verdict::Noise, Some(doubt), _) => Verdict::Unjudged(Unjudged::because(doubt)),
        (Verdict::Failed(_), _, Some(trouble)) => Verdict::Failed(Failure { reason: trouble.clone() }),
        (verdict, ..) => verdict,
    }
}

/// Why a difference says nothing: production may have answered from another environment. An equal answer is equal all the same.
fn why_it_proves_nothing(exchange: &Exchange, verdict: &Verdict) -> Option<String> {
    let doubt = exchange.context.doubt.as_ref()?;
    let differs = matches!(verdict, Verdict::Changed | Verdict::Failed(_) | Verdict::Diverged(_));
    let began = exchange.fingerprint.filter(|_| differs).map(|digest| digest.short());
    began.map(|began| {
        let word = verdict.word();
        format!("{}; replayed in {began} it {}, which proves nothing of another", doubt.words(), past(word))
    })
}

/// A verdict's word in a sentence.
fn past(word: &'static str) -> &'static str {
    match word {
        "changed" => "answers otherwise",
        "failed" => "fails",
        _ => "asks its dependencies otherwise",
    }
}

/// A call that was made here, with the recorded one that answered it or comes nearest.
fn replayed_call(note: &Note) -> ReplayedCall {
    let found = note.outcome.as_ref().ok().filter(|found| !found.borrowed);
    let miss = note.outcome.as_ref().err();
    let near = miss.into_iter().flat_map(|miss| {
        // What comes nearest may be of another route, and somebody else's.
        let nearest = miss.nearest.iter().filter(|nearest| miss.near.iter().all(|near| near.id != nearest.id));
        miss.near.iter().chain(nearest)
    });
    ReplayedCall {
        title: note.title.clone(),
        repeats: found.map(|found| found.id),
        near: near.map(near_call).collect(),
    }
}

fn near_call(near: &Nearest) -> NearCall {
    let mut arguments = near.differences.clone();
    if arguments.is_empty() {
        arguments.push(match near.differences_more {
            1 => "1 place differs".to_owned(),
            more => format!("{more} places differ"),
        });
    }
    NearCall { id: near.id, distance: near.distance.numbers(), arguments }
}

fn title_of_recorded(call: &Exchange) -> String {
    format!("{} ({})", title_of(call.role.dependency().unwrap_or_default(), &call.request.head), call.id.short())
}

/// What was asked: the recorded question stands for it where one answered, since what a rule covers is not in the outcome.
fn digest_of(note: &Note, recorded: &BTreeMap<Id, Digest>) -> Digest {
    let call = note.outcome.as_ref().ok().filter(|_| note.turn.is_none());
    let original = call.and_then(|found| recorded.get(&found.id));
    *original.unwrap_or(&note.digest)
}

/// Equal for equal sets of questions.
fn hash_digests(hash: &mut blake3::Hasher, sorted: &[Digest]) {
    hash.update(&(sorted.len() as u64).to_le_bytes());
    sorted.iter().for_each(|digest| {
        hash.update(&digest.0);
    });
}

//! One verdict for each exchange, from what came back and what was asked of the dependencies.
//!
//! In: the recording, the outcomes, the notes of the answerer. Out: results and their count, the counts of the receipt, and
//! the digest that two equal runs share.

use std::collections::{BTreeMap, BTreeSet};

use bundle::{Archive, ReadError};
use diff::{
    Came, Divergence, Evidence, ExchangeResult, MissedCall, Output, Route, RuleUse, Rules, Tally, Unjudged, Verdict,
    compare_responses, decide, outcome_bytes,
};
use exchange::{Certainty, Digest, End, Exchange, Id};
use matching::MatchScope;

use crate::{
    answer::{Note, title_of},
    drive::Outcome,
    receipt::Answers,
    select::Selection,
};

/// Largest recorded answer that is compared, in bytes: what the driver keeps of a replayed one.
const RECORDED_BODY_BYTES_MAX: u64 = 256 << 20;

/// What a replay came to.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) results: Vec<ExchangeResult>,
    pub(crate) tally: Tally,
    pub(crate) answers: Answers,
    pub(crate) rules: Vec<RuleUse>,
    pub(crate) outcome_digest: Option<Digest>,
}

/// All that judging needs.
pub(crate) struct Case<'a> {
    pub(crate) archive: &'a Archive,
    pub(crate) selection: &'a Selection,
    pub(crate) outcomes: &'a BTreeMap<Id, Outcome>,
    pub(crate) notes: &'a [Note],
    pub(crate) never_asked: &'a BTreeSet<Id>,
    pub(crate) rules: &'a Rules,
    /// False when the service's calls did not come to us.
    pub(crate) calls_observed: bool,
}

impl Case<'_> {
    /// Judges every chosen exchange.
    ///
    /// # Errors
    /// When a recorded answer cannot be read.
    pub(crate) fn judge(&self) -> Result<Judgement, ReadError> {
        let calls = self.calls_by_parent();
        let mut judgement = Judgement { answers: self.answers(), ..Judgement::default() };
        let mut outcome_hash = blake3::Hasher::new_derive_key("retake 2026-11 outcome of a run");
        for exchange in &self.selection.chosen {
            let result = self.judge_one(exchange, &calls, &mut outcome_hash)?;
            if let Some(comparison) = &result.comparison {
                RuleUse::merge(&mut judgement.rules, &comparison.rules_used);
            }
            judgement.tally.add(&result.verdict);
            judgement.results.push(result);
        }
        RuleUse::merge(&mut judgement.rules, &self.rules_used_in_matching());
        judgement.outcome_digest = (!self.outcomes.is_empty()).then(|| Digest(*outcome_hash.finalize().as_bytes()));
        Ok(judgement)
    }

    fn judge_one(
        &self,
        exchange: &Exchange,
        calls: &BTreeMap<Id, Calls>,
        outcome_hash: &mut blake3::Hasher,
    ) -> Result<ExchangeResult, ReadError> {
        let route = Route::of(&exchange.request.head);
        let mut result = ExchangeResult {
            id: exchange.id,
            replayed_id: None,
            title: exchange.title(),
            route: route.to_string(),
            recorded_status: exchange.status(),
            replayed_status: None,
            verdict: Verdict::Unjudged(Unjudged::because("it was not sent: the replay was stopped before")),
            calls_reordered: false,
            comparison: None,
        };
        let Some(outcome) = self.outcomes.get(&exchange.id) else { return Ok(result) };
        let nothing = Calls::default();
        let calls = calls.get(&exchange.id).unwrap_or(&nothing);
        result.replayed_id = Some(outcome.replayed_id);
        result.replayed_status = outcome.head.as_ref().and_then(|head| head.status_line()).map(|line| line.status);
        result.calls_reordered = calls.divergence.reordered;
        let recorded_body = match &exchange.response {
            Some(response) => self.archive.body(&response.body, RECORDED_BODY_BYTES_MAX)?,
            None => Vec::new(),
        };
        let recorded_whole = exchange.response.as_ref().is_none_or(|response| response.body.is_whole());
        let replayed_output = outcome.head.as_ref().map(|head| Output {
            head,
            body: &outcome.body,
            complete: outcome.end.is_complete(),
            whole: outcome.whole,
        });
        if let (Some(response), Some(replayed)) = (&exchange.response, &replayed_output) {
            let recorded = Output {
                head: &response.head,
                body: &recorded_body,
                complete: exchange.end.is_complete(),
                whole: recorded_whole,
            };
            result.comparison = Some(compare_responses(&recorded, replayed, self.rules, &route));
        }
        hash_outcome(outcome_hash, exchange.id, replayed_output.as_ref(), self.rules, &route, calls);
        result.verdict = self.verdict_of(exchange, outcome, &result, calls, recorded_whole);
        Ok(result)
    }

    fn verdict_of(
        &self,
        exchange: &Exchange,
        outcome: &Outcome,
        result: &ExchangeResult,
        calls: &Calls,
        recorded_whole: bool,
    ) -> Verdict {
        let verdict = decide(&Evidence {
            recorded: Came { status: exchange.status(), end: &exchange.end, whole: recorded_whole },
            replayed: Came { status: result.replayed_status, end: &outcome.end, whole: outcome.whole },
            calls: &calls.divergence,
            comparison: result.comparison.as_ref(),
            secrets_missing: exchange.redactions.iter().any(|redaction| redaction.place.starts_with("request")),
        });
        match (&verdict, &calls.doubt) {
            (Verdict::Same | Verdict::Noise, Some(doubt)) => Verdict::Unjudged(Unjudged::because(doubt)),
            _ => verdict,
        }
    }

    /// What each chosen exchange asked, against what it had asked.
    fn calls_by_parent(&self) -> BTreeMap<Id, Calls> {
        let mut calls: BTreeMap<Id, Calls> = BTreeMap::new();
        if !self.calls_observed {
            return calls;
        }
        let digests = self.selection.calls.iter().filter_map(|call| Some((call.id, call.digests.request?))).collect();
        for note in self.notes {
            match note.parent {
                Some(parent) => calls.entry(parent).or_default().asked(note, &digests),
                None => note.candidates.iter().for_each(|id| calls.entry(*id).or_default().asked_by_someone(note)),
            }
        }
        for call in self.selection.expected_calls() {
            let Some(parent) = call.role.parent() else { continue };
            let title = self.title_of_recorded(call);
            let never = self.never_asked.contains(&call.id) && call.end != End::CaptureStopped;
            if parent.certainty == Certainty::Ambiguous {
                let maybe = parent.candidates.iter().chain([&parent.id]).collect::<BTreeSet<_>>();
                maybe
                    .into_iter()
                    .filter(|_| never)
                    .for_each(|id| calls.entry(*id).or_default().may_have_left_out(&title));
            } else {
                calls.entry(parent.id).or_default().recorded(call.id, never.then_some(title));
            }
        }
        calls.values_mut().for_each(Calls::look_at_the_order);
        calls
    }

    fn title_of_recorded(&self, call: &Exchange) -> String {
        format!("{} ({})", title_of(call.role.dependency().unwrap_or_default(), &call.request.head), call.id.short())
    }

    fn answers(&self) -> Answers {
        let mut answers = Answers { observed: self.calls_observed, ..Answers::default() };
        for note in self.notes {
            *match &note.outcome {
                Err(_) => &mut answers.missed,
                Ok(found) => match found.scope {
                    MatchScope::Parent => &mut answers.served_by_parent,
                    MatchScope::Inferred => &mut answers.served_by_inference,
                    MatchScope::Anywhere => &mut answers.served_anywhere,
                },
            } += 1;
        }
        if self.calls_observed {
            answers.never_asked =
                self.selection.expected_calls().filter(|call| self.never_asked.contains(&call.id)).count() as u64;
        }
        answers
    }

    fn rules_used_in_matching(&self) -> Vec<RuleUse> {
        let mut used = Vec::new();
        for found in self.notes.iter().filter_map(|note| note.outcome.as_ref().ok()) {
            for left_out in &found.left_out {
                let one = RuleUse { rule: left_out.rule.clone(), pointer: left_out.pointer.clone(), count: 1 };
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
    /// Recorded calls in the order they were asked for now.
    asked: Vec<Id>,
    /// Recorded calls in recorded order.
    recorded: Vec<Id>,
    /// What was asked, for the outcome's digest.
    digests: Vec<[u8; 32]>,
}

impl Calls {
    /// The recorded question stands for the one that was asked: what a rule covers is not in the outcome.
    fn asked(&mut self, note: &Note, digests: &BTreeMap<Id, Digest>) {
        match &note.outcome {
            Ok(found) => {
                self.asked.push(found.id);
                self.digests.push(digests.get(&found.id).unwrap_or(&note.digest).0);
                if found.borrowed {
                    self.divergence.extra.push(note.title.clone());
                }
            }
            Err(miss) => {
                self.digests.push(note.digest.0);
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

    fn recorded(&mut self, id: Id, never_asked: Option<String>) {
        self.recorded.push(id);
        self.divergence.never_asked.extend(never_asked);
    }

    fn look_at_the_order(&mut self) {
        let asked: Vec<_> = self.asked.iter().filter(|id| self.recorded.contains(id)).collect();
        let recorded: Vec<_> = self.recorded.iter().filter(|id| self.asked.contains(id)).collect();
        self.divergence.reordered = asked != recorded;
        self.digests.sort_unstable();
    }
}

fn hash_outcome(
    hash: &mut blake3::Hasher,
    id: Id,
    replayed: Option<&Output<'_>>,
    rules: &Rules,
    route: &Route,
    calls: &Calls,
) {
    let answer = replayed.map(|output| outcome_bytes(output, rules, route)).unwrap_or_default();
    hash.update(&id.0).update(&(answer.len() as u64).to_le_bytes()).update(&answer);
    hash.update(&(calls.digests.len() as u64).to_le_bytes());
    calls.digests.iter().for_each(|digest| {
        hash.update(digest);
    });
}

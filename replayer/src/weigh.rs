//! What the repeats say together, and how that compares with production.
//!
//! In: the results over all repeats, and how busy the service was. Out: the receipt's part on repeats. The *usual* outcome of
//! an exchange is the one that came most often here; production's rate of unusual answers and this one's are the same
//! question asked twice, so that their intervals can be laid side by side.

use std::collections::{BTreeMap, BTreeSet};

use diff::{Estimate, ExchangeResult, NoiseLearner, Repeated, fresh_form, with_indices_as_stars};
use exchange::{NoiseProfile, NoisyPlace};

use crate::{
    determinism::{Control, State},
    job::{Job, Preparation},
    judge::Judgement,
    noise::service_version,
    pace::Pace,
    receipt::{Determinism, EnvironmentDifference, HeldPlace, HeldStill, Pinned, Relation, RepeatsProof, Setting},
    repeat::Count,
};

/// Most noisy places that a receipt has. A choice.
const NOISE_LEN_MAX: usize = 1_000;

/// How many times as long, or as many at a time, is worth a word. A choice: below it, machines and moments differ.
const WORTH_A_WORD: f64 = 1.2;

/// The receipt's part on repeats; nothing where there were to be none.
pub(crate) fn weigh(
    job: &Job<'_>,
    count: Count,
    judgement: &Judgement,
    (preparation, determinism): (&Preparation, &Determinism),
) -> Option<Box<RepeatsProof>> {
    let results = &judgement.results;
    let repeating = &job.settings.repeating;
    let copies = job.settings.repeating.copies;
    let asked = repeating.count?.saturating_mul(copies);
    let confidence = repeating.confidence;
    let repeated: Vec<&Repeated> = results.iter().filter_map(|result| result.repeated.as_deref()).collect();
    let judged: Vec<&&Repeated> = repeated.iter().filter(|repeated| repeated.failed.of > 0).collect();
    let unusual = judged.iter().filter(|repeated| repeated.production_is_unusual()).count() as u64;
    let unusual_in_production = Estimate::new(unusual, judged.len() as u64, confidence);
    let unusual_here = Estimate::new(
        judged.iter().map(|repeated| repeated.unusual_count()).sum(),
        judged.iter().map(|repeated| repeated.failed.of).sum(),
        confidence,
    );
    let production = Pace::of_recorded(&job.settings.archive, &job.selection.chosen).setting();
    let here = count.pace.setting();
    let none_failed = count.failed == 0 && count.judged > 0;
    Some(Box::new(RepeatsProof {
        asked,
        copies,
        done: count.done,
        reset: repeating.reset,
        resets: count.resets,
        until_failure: repeating.until_failure,
        confidence: confidence.level(),
        not_started: count.fallen,
        not_started_count: count.fallen_count,
        failed: Estimate::new(count.failed, count.judged, confidence),
        rate_missed_max: none_failed.then(|| stats::smallest_rate_missed(count.judged, confidence)),
        unusual_in_production,
        unusual_here,
        intervals_overlap: unusual_in_production.interval().overlaps(&unusual_here.interval()),
        production,
        here,
        otherwise: otherwise(&production, &here, &preparation.environment),
        noise: noise_of(results, &judgement.learned_of_calls),
        held_still: held_still(results, &judgement.calls_unlike, &judgement.learned_of_calls.places())
            .filter(|_| is_held(determinism) && version_of(job, &preparation.pinned).is_some()),
    }))
}

/// What was learned of the noise of a version, where it is known which one ran and answers were compared.
pub(crate) fn profile(job: &Job<'_>, pinned: &Pinned, learned: NoiseLearner) -> Option<NoiseProfile> {
    let version = version_of(job, pinned)?;
    (!learned.is_empty()).then(|| learned.conclude(version, vec![job.run]))
}

/// Which version ran, where that is known.
fn version_of(job: &Job<'_>, pinned: &Pinned) -> Option<String> {
    let recorded = job.recorded.filter(|_| pinned.relation.is_same());
    let version = match (recorded, pinned.relation) {
        (Some(recorded), _) => service_version(&recorded.subject),
        (None, Relation::OtherImage) => pinned.used.clone(),
        (None, _) => String::new(),
    };
    Some(version).filter(|version| !version.is_empty())
}

/// What was otherwise than in production, of the things that rates depend on.
fn otherwise(production: &Setting, here: &Setting, environment: &[EnvironmentDifference]) -> Vec<String> {
    let mut words = Vec::new();
    let (was, is) = (production.in_flight_max, here.in_flight_max);
    if was != is {
        words.push(format!("load: at most {was} in flight in production, {is} here"));
    }
    let is_unlike = |was: f64, is: f64| was.max(is) > WORTH_A_WORD * was.min(is);
    let (was, is) = (production.requests_per_s, here.requests_per_s);
    if is_unlike(was, is) {
        words.push(format!("load: {was:.1} exchanges/s in production, {is:.1} here"));
    }
    let (was, is) = (production.took_ms_median, here.took_ms_median);
    if is_unlike(was, is) {
        words.push(format!("timing: an exchange took {was:.1} ms in production, {is:.1} ms here (medians)"));
    }
    let processors = environment.iter().filter(|difference| difference.what.to_lowercase().contains("cpu"));
    words.extend(processors.map(|it| format!("{}: {} in production, {} here", it.what, it.recorded, it.here)));
    words
}

/// What differed between equal requests to the same service, and in what it asked then, by route and place.
fn noise_of(results: &[ExchangeResult], calls: &NoiseLearner) -> Vec<NoisyPlace> {
    let mut compared: BTreeMap<&str, u64> = BTreeMap::new();
    let mut differed: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for result in results {
        let Some(repeated) = &result.repeated else { continue };
        *compared.entry(&result.route).or_default() += repeated.compared_with_first;
        for place in &repeated.apart {
            *differed.entry((&result.route, &place.pointer)).or_default() += place.count;
        }
    }
    let place = |((route, pointer), differed): ((&str, &str), u64)| NoisyPlace {
        route: route.to_owned(),
        pointer: pointer.to_owned(),
        compared: compared.get(route).copied().unwrap_or_default(),
        differed,
        ..NoisyPlace::default()
    };
    differed.into_iter().map(place).chain(calls.places()).take(NOISE_LEN_MAX).collect()
}

/// The places that differ from production's and never between repeats, of values that clock or chance makes. Held still, those are
/// the same in each repeat.
fn held_still(
    results: &[ExchangeResult],
    differing_calls: &BTreeSet<HeldPlace>,
    apart_in_calls: &[NoisyPlace],
) -> Option<HeldStill> {
    let mut places: BTreeSet<HeldPlace> = BTreeSet::new();
    for result in results {
        let (Some(repeated), Some(comparison)) = (&result.repeated, &result.comparison) else { continue };
        for change in comparison.changes.iter().filter(|_| repeated.compared_with_first > 0) {
            let (pointer, form) = (with_indices_as_stars(&change.pointer), fresh_form(change));
            let is_apart = repeated.apart.iter().any(|place| place.pointer == pointer);
            places.extend(form.filter(|_| !is_apart).map(|form| HeldPlace {
                route: result.route.clone(),
                pointer,
                form,
            }));
        }
    }
    let is_apart =
        |held: &&HeldPlace| apart_in_calls.iter().any(|it| it.route == held.route && it.pointer == held.pointer);
    places.extend(differing_calls.iter().filter(|held| !is_apart(held)).cloned());
    let places: Vec<HeldPlace> = places.into_iter().take(NOISE_LEN_MAX).collect();
    (!places.is_empty()).then(|| HeldStill { places, measure_with: "--determinism 0".to_owned() })
}

/// True where clock and chance are the same in each repeat.
fn is_held(determinism: &Determinism) -> bool {
    [Control::Clock, Control::Entropy]
        .iter()
        .all(|control| determinism.controls.iter().any(|it| it.control == *control && it.state == State::On))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_otherwise_is_named_and_what_is_alike_is_not() {
        let setting = |in_flight_max, took_ms_median| Setting { in_flight_max, took_ms_median, requests_per_s: 0.0 };
        let cpus =
            EnvironmentDifference { what: "CPU limit".to_owned(), recorded: "4".to_owned(), here: "2".to_owned() };
        let kernel =
            EnvironmentDifference { what: "kernel".to_owned(), recorded: "6.1".to_owned(), here: "6.2".to_owned() };
        let named = otherwise(&setting(8, 100.0), &setting(4, 5.0), &[cpus, kernel]);
        assert_eq!(
            named,
            [
                "load: at most 8 in flight in production, 4 here",
                "timing: an exchange took 100.0 ms in production, 5.0 ms here (medians)",
                "CPU limit: 4 in production, 2 here",
            ]
        );
        assert!(otherwise(&setting(4, 100.0), &setting(4, 110.0), &[]).is_empty());
        let quicker = Setting { requests_per_s: 2.0, ..setting(4, 100.0) };
        let named = otherwise(&Setting { requests_per_s: 9.5, ..setting(4, 100.0) }, &quicker, &[]);
        assert_eq!(named, ["load: 9.5 exchanges/s in production, 2.0 here"]);
    }
}

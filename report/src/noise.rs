//! What is said of measured noise: what it set apart, and by what evidence.

use diff::{NoiseEvidence, NoiseUse, NoisyChange};
use exchange::Id;
use replayer::NoiseProof;

/// Places that are told of, those with the most differences first. The rest is in `--json`. A choice.
const PLACES_SHOWN_MAX: usize = 4;

/// What was set apart, in a line; nothing where nothing was, and nothing was found to be void.
pub(crate) fn noise_words(proof: &NoiseProof) -> Option<String> {
    let mut words = Vec::new();
    if !proof.hidden.is_empty() {
        words.push(hidden_words(&proof.hidden));
        let worst = proof.alarms.iter().max_by(|one, other| one.rate.high.total_cmp(&other.rate.high));
        words.extend(worst.map(|worst| format!("unchanged answers are reported all the same in {}", worst.rate)));
    }
    match &proof.not_used[..] {
        [] => {}
        [only] => words.push(format!("not used: {only}")),
        [first, rest @ ..] => words.push(format!("not used: {first}, and {} more", rest.len())),
    }
    (!words.is_empty() && (proof.profiles.is_empty() || !proof.hidden.is_empty())).then(|| words.join("; "))
}

/// `12 differences at 2 places: POST /tickets /id 300 of 300 (run 5f0c1a22d001), …`.
pub(crate) fn hidden_words(hidden: &[NoiseUse]) -> String {
    let count: u64 = hidden.iter().map(|used| used.count).sum();
    let mut most: Vec<&NoiseUse> = hidden.iter().collect();
    most.sort_by_key(|used| std::cmp::Reverse(used.count));
    let place = |used: &&NoiseUse| format!("{} {}", used.route, evidence_words(&used.evidence));
    let shown: Vec<_> = most.iter().take(PLACES_SHOWN_MAX).map(place).collect();
    let more = hidden.len().saturating_sub(PLACES_SHOWN_MAX);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let (many, places) = (plural(count, "difference"), plural(hidden.len() as u64, "place"));
    format!("{count} {many} within noise at {} {places}: {}{more}", hidden.len(), shown.join(", "))
}

/// `/id 300 of 300, 100 % (98.7 % to 100 %) (run 5f0c1a22d001)`.
pub(crate) fn evidence_words(evidence: &NoiseEvidence) -> String {
    let place = if evidence.place.is_empty() { "(the whole body)" } else { &evidence.place };
    let runs: Vec<String> = evidence.runs.iter().take(2).map(Id::short).collect();
    let runs = if runs.is_empty() { String::new() } else { format!(", run {}", runs.join(" and ")) };
    format!("{place} differed in {}{runs}", evidence.differed)
}

/// A line for the noise of one exchange: each place once.
pub(crate) fn noise_line(noise: &[NoisyChange]) -> Option<String> {
    let mut places: Vec<String> = noise.iter().map(|noisy| evidence_words(&noisy.evidence)).collect();
    places.dedup();
    let more = places.len().saturating_sub(PLACES_SHOWN_MAX);
    places.truncate(PLACES_SHOWN_MAX);
    let more = if more > 0 { format!("; and {more} more places") } else { String::new() };
    (!noise.is_empty()).then(|| format!("within noise: {}{more}", places.join("; ")))
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}

#[cfg(test)]
mod tests {
    use diff::Estimate;

    use super::*;

    #[test]
    fn what_was_hidden_is_told_with_its_evidence_and_the_rest_is_counted() {
        let used = |at: u64| NoiseUse {
            route: "POST /tickets".to_owned(),
            count: at + 1,
            evidence: NoiseEvidence {
                place: format!("/f{at}"),
                call: String::new(),
                differed: Estimate { events: 30, of: 30, low: 0.88, high: 1.0, ..Estimate::default() },
                runs: vec![Id([5; 16])],
            },
        };
        let hidden: Vec<_> = (0..5).map(used).collect();
        let words = hidden_words(&hidden);
        assert!(
            words.starts_with("15 differences within noise at 5 places: POST /tickets /f4 differed in 30 of 30"),
            "{words}"
        );
        assert!(words.ends_with("run 050505050505, and 1 more"), "{words}");
        assert!(noise_line(&[]).is_none() && noise_words(&NoiseProof::default()).is_none());
        let void = NoiseProof { not_used: vec!["a: b".to_owned()], ..NoiseProof::default() };
        assert_eq!(noise_words(&void).unwrap(), "not used: a: b");
    }
}

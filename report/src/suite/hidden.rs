//! What was hidden in cases: by rules, and as measured noise. It is told wherever the cases are, with how much it is.
//!
//! In: replays. Out: counts by rule and by place, and how many exchanges have noise.

use std::collections::BTreeMap;

use diff::ExchangeResult;

use super::{CaseReplay, CaseResult};

/// Rules and places that are named. A choice: the rest is counted, and in the receipts.
const NAMED_MAX: usize = 12;

/// What rules and measured noise hid.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    /// Rules by how often they hid something, the most first.
    pub(crate) rules: Vec<(String, u64)>,
    /// Places with noise, route and pointer, the most first.
    pub(crate) places: Vec<(String, u64)>,
    /// Exchanges with noise.
    exchanges: u64,
    /// True where differences of repeats are among them.
    is_repeated: bool,
}

impl Hidden {
    /// Of these replays together.
    pub(crate) fn of<'a>(replays: impl IntoIterator<Item = &'a CaseReplay>) -> Self {
        let (mut rules, mut places) = (BTreeMap::new(), BTreeMap::new());
        let mut hidden = Self::default();
        for CaseReplay { receipt, results, .. } in replays {
            receipt.rules.iter().for_each(|used| add(&mut rules, used.rule.clone(), used.count));
            hidden.exchanges += results.iter().filter(|result| has_noise(result)).count() as u64;
            let Some(noise) = receipt.noise.as_ref().filter(|noise| !noise.hidden.is_empty()) else { continue };
            hidden.is_repeated |= receipt.repeats.as_ref().is_some_and(|repeats| repeats.done > 1);
            for used in &noise.hidden {
                let place = Some(used.evidence.place.as_str()).filter(|place| !place.is_empty());
                add(&mut places, format!("{} {}", used.route, place.unwrap_or("(the whole body)")), used.count);
            }
        }
        Self { rules: most_first(rules), places: most_first(places), ..hidden }
    }

    /// True where noise was set apart.
    pub(crate) fn has_noise(&self) -> bool {
        !self.places.is_empty()
    }

    /// `12 differences in 3 exchanges`.
    pub(crate) fn noise_words(&self) -> String {
        let differences = self.places.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
        let mut words = counted(differences, "difference");
        // Calls that are nobody's are in no exchange.
        if self.exchanges > 0 {
            words += &format!(" in {}", counted(self.exchanges, "exchange"));
        }
        if self.is_repeated { words + ", all repeats counted" } else { words }
    }
}

impl CaseResult {
    /// What was hidden in it.
    pub(crate) fn hidden(&self) -> Hidden {
        Hidden::of(&self.replays)
    }
}

/// Every line that a reader without markup gets of what was hidden in all cases.
pub(crate) fn hidden_lines(cases: &[CaseResult]) -> Vec<String> {
    let hidden = Hidden::of(cases.iter().flat_map(|case| &case.replays));
    let mut lines = Vec::new();
    if !hidden.rules.is_empty() {
        lines.push(format!("hidden by rules: {}", named(&hidden.rules, str::to_owned)));
    }
    if hidden.has_noise() {
        let places = named(&hidden.places, str::to_owned);
        lines.push(format!("within measured noise: {}: {places}", hidden.noise_words()));
    }
    lines
}

/// `/id 12×, /created 3× and 2 more`, each as `shown` shows it.
pub(crate) fn named(most: &[(String, u64)], shown: impl Fn(&str) -> String) -> String {
    let words: Vec<String> =
        most.iter().take(NAMED_MAX).map(|(name, count)| format!("{} {count}×", shown(name))).collect();
    let more = most.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", words.join(", "))
}

/// What stands for all repeats may have none itself.
fn has_noise(result: &ExchangeResult) -> bool {
    let of_comparison = result.comparison.as_ref().is_some_and(|comparison| !comparison.noise.is_empty());
    let repeated = result.repeated.as_ref();
    of_comparison || repeated.is_some_and(|it| it.outcomes.iter().any(|outcome| outcome.verdict == "noise"))
}

fn add(counts: &mut BTreeMap<String, u64>, name: String, count: u64) {
    let known = counts.entry(name).or_default();
    *known = known.saturating_add(count);
}

fn most_first(counts: BTreeMap<String, u64>) -> Vec<(String, u64)> {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn counted(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::samples;

    #[test]
    fn noise_is_counted_by_difference_exchange_and_place_whatever_a_file_claims() {
        let (one, mut other) = (samples::noisy("one"), samples::noisy("other"));
        assert_eq!(one.hidden().noise_words(), "3 differences in 2 exchanges");
        let lines = hidden_lines(&[one.clone(), other.clone()]);
        assert_eq!(
            lines,
            [
                "hidden by rules: /created 6×",
                "within measured noise: 6 differences in 4 exchanges: POST /tickets /id 4×, POST /tickets sse:/id 2×",
            ]
        );
        other.replays[0].receipt.noise.as_mut().unwrap().hidden[0].count = u64::MAX;
        assert!(hidden_lines(&[one, other])[1].contains(&format!("{} differences", u64::MAX)));
        assert!(hidden_lines(&samples::suite().cases).is_empty());
    }

    #[test]
    fn of_many_rules_the_first_are_named_and_the_others_counted() {
        let rules: Vec<_> = (0..14).map(|number| (format!("/r{number}"), 1)).collect();
        assert!(named(&rules, str::to_owned).ends_with("/r11 1× and 2 more"));
    }
}

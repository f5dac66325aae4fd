//! Which exchange of one side is compared with which of the other.
//!
//! In: what is listed of either side. Out: pairs in the order of the first, then what only the second has. A run is paired
//! by the exchanges that it repeats; what has no common origin by equal questions in their order.

use std::collections::{BTreeMap, VecDeque};

use bundle::Entry;
use exchange::Id;

/// One of the two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// What was.
    Recorded,
    /// What is.
    Replayed,
}

/// Two exchanges that belong together, or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pair<'a> {
    /// The same exchange, or the same request, on either side.
    Both(&'a Entry, &'a Entry),
    /// Only on the first side.
    RecordedOnly(&'a Entry),
    /// Only on the second side.
    ReplayedOnly(&'a Entry),
}

/// The exchange that this one repeats, or this one itself.
pub(crate) fn original(entry: &Entry) -> Id {
    entry.original.unwrap_or(entry.id)
}

/// Pairs the exchanges of both sides; `questions` says of each of one side what it asks, and is asked only where no origin
/// pairs any two.
///
/// # Errors
/// Those of `questions`.
pub(crate) fn pairs<'a, Q: Ord, E>(
    recorded: &[&'a Entry],
    replayed: &[&'a Entry],
    mut questions: impl FnMut(Side, &[&'a Entry]) -> Result<Vec<Q>, E>,
) -> Result<Vec<Pair<'a>>, E> {
    let origins = |entries: &[&Entry]| -> Vec<_> {
        entries.iter().map(|entry| (original(entry), entry.repeat.unwrap_or(0))).collect()
    };
    let by_origin = pair_up(recorded, replayed, origins(recorded), origins(replayed));
    if by_origin.iter().any(|pair| matches!(pair, Pair::Both(..))) {
        return Ok(by_origin);
    }
    let asked = (questions(Side::Recorded, recorded)?, questions(Side::Replayed, replayed)?);
    Ok(pair_up(recorded, replayed, asked.0, asked.1))
}

/// Pairs by equal keys, one for each entry, those with the same key in their order.
fn pair_up<'a, K: Ord>(
    recorded: &[&'a Entry],
    replayed: &[&'a Entry],
    recorded_keys: Vec<K>,
    replayed_keys: Vec<K>,
) -> Vec<Pair<'a>> {
    let mut waiting: BTreeMap<K, VecDeque<usize>> = BTreeMap::new();
    for (place, key) in replayed_keys.into_iter().enumerate() {
        waiting.entry(key).or_default().push_back(place);
    }
    let mut taken = vec![false; replayed.len()];
    let mut pairs = Vec::with_capacity(recorded.len());
    for (&entry, key) in recorded.iter().zip(recorded_keys) {
        let found = waiting.get_mut(&key).and_then(VecDeque::pop_front);
        pairs.push(found.map_or(Pair::RecordedOnly(entry), |place| Pair::Both(entry, replayed[place])));
        if let Some(place) = found {
            taken[place] = true;
        }
    }
    let left = replayed.iter().zip(taken).filter(|(_, is_taken)| !is_taken);
    pairs.extend(left.map(|(entry, _)| Pair::ReplayedOnly(entry)));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_title(_: Side, entries: &[&Entry]) -> Result<Vec<String>, ()> {
        Ok(entries.iter().map(|entry| entry.title.to_string()).collect())
    }

    fn entry(number: u8, request: u8, original: Option<u8>) -> Entry {
        Entry {
            id: Id([number; 16]),
            session: Id([0; 16]),
            sequence: u64::from(number),
            dependency: None,
            parent: None,
            certainty: None,
            candidates: Vec::new(),
            title: format!("GET /{request}").into(),
            status: None,
            end: "",
            started_ns: 0,
            ended_ns: 0,
            request_len: 0,
            response_len: None,
            whole: true,
            fingerprint: None,
            context: std::sync::Arc::default(),
            original: original.map(|number| Id([number; 16])),
            repeat: original.map(|_| 0),
        }
    }

    #[test]
    fn a_run_is_paired_with_what_it_repeats_and_with_another_run_of_the_same() {
        let production = [entry(1, 7, None), entry(2, 7, None)];
        let run = [entry(11, 7, Some(2)), entry(12, 7, Some(1))];
        let other_run = [entry(21, 7, Some(1)), entry(22, 7, Some(2))];
        let pair = |one: &[Entry], other: &[Entry]| -> Vec<(u8, u8)> {
            let (one, other): (Vec<_>, Vec<_>) = (one.iter().collect(), other.iter().collect());
            pairs(&one, &other, by_title)
                .unwrap()
                .iter()
                .map(|pair| match pair {
                    Pair::Both(one, other) => (one.id.0[0], other.id.0[0]),
                    alone => panic!("{alone:?}"),
                })
                .collect()
        };
        assert_eq!(pair(&production, &run), [(1, 12), (2, 11)]);
        assert_eq!(pair(&run, &other_run), [(11, 22), (12, 21)]);
    }

    #[test]
    fn recordings_of_different_days_are_paired_by_request_in_their_order_and_the_rest_stays_alone() {
        let one = [entry(1, 7, None), entry(2, 8, None), entry(3, 7, None)];
        let other = [entry(11, 7, None), entry(12, 9, None)];
        let (first, second): (Vec<_>, Vec<_>) = (one.iter().collect(), other.iter().collect());
        assert_eq!(
            pairs(&first, &second, by_title).unwrap(),
            [
                Pair::Both(&one[0], &other[0]),
                Pair::RecordedOnly(&one[1]),
                Pair::RecordedOnly(&one[2]),
                Pair::ReplayedOnly(&other[1]),
            ]
        );
    }
}

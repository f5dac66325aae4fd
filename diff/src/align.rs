//! Which elements of two sequences belong together: equal ones by a longest common subsequence, the others by position.
//!
//! In: a fingerprint of each element, equal for elements that rules make equal. Out: pairs, and elements with no partner, in order.
//! One element put in is one added; where several longest subsequences exist, the choice does not depend on which side is
//! which, so that swapping sides swaps the result.

use std::collections::BTreeMap;

use crate::findings::Findings;

/// Most cells of the table, four bytes each. A choice: 2,000 by 2,000 elements, 16 MB.
const CELLS_MAX: usize = 4_000_000;

/// Two elements that belong together, or one without partner, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pairing {
    /// On the recorded side.
    pub(crate) recorded: Option<usize>,
    /// On the replayed side.
    pub(crate) replayed: Option<usize>,
    /// True when it stands elsewhere among the others now.
    pub(crate) moved: bool,
}

impl Pairing {
    /// Two that belong together and did not move.
    pub(crate) fn of(recorded: usize, replayed: usize) -> Self {
        Self { recorded: Some(recorded), replayed: Some(replayed), moved: false }
    }

    /// The same behind so many elements.
    pub(crate) fn behind(self, count: usize) -> Self {
        let later = |at: Option<usize>| at.map(|at| at + count);
        Self { recorded: later(self.recorded), replayed: later(self.replayed), ..self }
    }

    /// Where it is listed, the same from either side.
    pub(crate) fn place(&self) -> (usize, usize) {
        let (one, other) = (self.recorded.or(self.replayed), self.replayed.or(self.recorded));
        let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
        (one.min(other), one.max(other))
    }
}

/// Pairs by position; what the longer side has more stands alone.
pub(crate) fn by_position(recorded_len: usize, replayed_len: usize) -> Vec<Pairing> {
    let within = |at: usize, len: usize| (at < len).then_some(at);
    let pairing = |at| Pairing { recorded: within(at, recorded_len), replayed: within(at, replayed_len), moved: false };
    (0..recorded_len.max(replayed_len)).map(pairing).collect()
}

/// Pairs equal elements, in order or moved, and by position those between two that are in order.
///
/// Of sequences of the same length the position decides, unless moving leaves fewer differences.
pub(crate) fn align<T: Ord + Copy>(recorded: &[T], replayed: &[T], findings: &mut Findings) -> Vec<Pairing> {
    let pairings = align_named(recorded, replayed, findings);
    if recorded.len() != replayed.len() {
        return pairings;
    }
    let is_match = |pairing: &&Pairing| {
        let pair = pairing.recorded.zip(pairing.replayed).filter(|_| !pairing.moved);
        pair.is_some_and(|(at, other_at)| recorded[at] == replayed[other_at])
    };
    let matches_len = pairings.iter().filter(is_match).count();
    let in_place = recorded.iter().zip(replayed).filter(|(one, other)| one == other).count();
    let moving_is_better = pairings.len() - matches_len < recorded.len() - in_place;
    if moving_is_better { pairings } else { by_position(recorded.len(), replayed.len()) }
}

/// The same of elements that are known by a name: each belongs to the one of its name, wherever that stands. Two of different
/// names at one place are two differences, so that the position never leaves fewer.
pub(crate) fn align_named<T: Ord + Copy>(recorded: &[T], replayed: &[T], findings: &mut Findings) -> Vec<Pairing> {
    let Some(matches) = common_subsequence(recorded, replayed, findings) else {
        return by_position(recorded.len(), replayed.len());
    };
    let moved = moved(&matches, recorded, replayed);
    let mut pairings = around(matches, &moved, recorded.len(), replayed.len());
    pairings.extend(moved);
    pairings
}

/// Equal elements that are not among the matches, in an order that does not depend on which side is which.
fn moved<T: Ord + Copy>(matches: &[(usize, usize)], recorded: &[T], replayed: &[T]) -> Vec<Pairing> {
    let mut used = (vec![false; recorded.len()], vec![false; replayed.len()]);
    for (one, other) in matches {
        (used.0[*one], used.1[*other]) = (true, true);
    }
    let left = |digests: &[T], used: &[bool]| {
        let mut queues: BTreeMap<T, Vec<usize>> = BTreeMap::new();
        let left = digests.iter().enumerate().filter(|(at, _)| !used[*at]);
        left.for_each(|(at, digest)| queues.entry(*digest).or_default().push(at));
        queues
    };
    let (one, other) = (left(recorded, &used.0), left(replayed, &used.1));
    let mut moved = Vec::new();
    for (digest, positions) in &one {
        let there = other.get(digest).into_iter().flatten();
        moved.extend(
            positions.iter().zip(there).map(|(one, other)| Pairing { moved: true, ..Pairing::of(*one, *other) }),
        );
    }
    // Stable: those at one place stay in the order of their digests.
    moved.sort_by_key(Pairing::place);
    moved
}

/// The matches, and by position what lies between them and did not move.
fn around(matches: Vec<(usize, usize)>, moved: &[Pairing], recorded_len: usize, replayed_len: usize) -> Vec<Pairing> {
    let mut is_moved = (vec![false; recorded_len], vec![false; replayed_len]);
    for pairing in moved {
        pairing.recorded.into_iter().for_each(|at| is_moved.0[at] = true);
        pairing.replayed.into_iter().for_each(|at| is_moved.1[at] = true);
    }
    let mut pairings = Vec::with_capacity(recorded_len.max(replayed_len));
    let (mut recorded_at, mut replayed_at) = (0, 0);
    for (recorded_match, replayed_match) in matches.into_iter().chain([(recorded_len, replayed_len)]) {
        let one: Vec<usize> = (recorded_at..recorded_match).filter(|&at| !is_moved.0[at]).collect();
        let other: Vec<usize> = (replayed_at..replayed_match).filter(|&at| !is_moved.1[at]).collect();
        pairings.extend(by_position(one.len(), other.len()).iter().map(|pairing| Pairing {
            recorded: pairing.recorded.map(|at| one[at]),
            replayed: pairing.replayed.map(|at| other[at]),
            moved: false,
        }));
        if recorded_match < recorded_len {
            pairings.push(Pairing::of(recorded_match, replayed_match));
        }
        (recorded_at, replayed_at) = (recorded_match + 1, replayed_match + 1);
    }
    pairings
}

/// A longest common subsequence as pairs of positions, of several one with the most at the same position; `None` when it would be too much work.
pub(crate) fn common_subsequence<T: Ord + Copy>(
    recorded: &[T],
    replayed: &[T],
    findings: &mut Findings,
) -> Option<Vec<(usize, usize)>> {
    if recorded > replayed {
        let swapped = common_subsequence(replayed, recorded, findings)?;
        return Some(swapped.into_iter().map(|(one, other)| (other, one)).collect());
    }
    let begin = recorded.iter().zip(replayed).take_while(|(one, other)| one == other).count();
    let (recorded_rest, replayed_rest) = (&recorded[begin..], &replayed[begin..]);
    let end =
        recorded_rest.iter().rev().zip(replayed_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (one, other) = (&recorded_rest[..recorded_rest.len() - end], &replayed_rest[..replayed_rest.len() - end]);
    let cells = (one.len() + 1).saturating_mul(other.len() + 1);
    if cells > CELLS_MAX {
        findings.note_coarse();
        return None;
    }
    if !findings.spend(cells as u64) {
        return None;
    }
    let mut matches: Vec<_> = (0..begin).map(|at| (at, at)).collect();
    matches.extend(by_table(one, other).into_iter().map(|(one, other)| (begin + one, begin + other)));
    let (one_end, other_end) = (recorded.len() - end, replayed.len() - end);
    matches.extend((0..end).map(|at| (one_end + at, other_end + at)));
    Some(matches)
}

/// What one more match weighs: more than standing in place does, of all that the shorter side can have in a table.
const MATCH_WEIGHT: u32 = 1 << 12;

/// The textbook table: each cell holds the length of the longest common subsequence of what is left on both sides, and how
/// much of it stands at the same position.
fn by_table<T: Eq>(one: &[T], other: &[T]) -> Vec<(usize, usize)> {
    if one.is_empty() || other.is_empty() {
        return Vec::new();
    }
    let width = other.len() + 1;
    let mut weights = vec![0_u32; (one.len() + 1) * width];
    let of_match = |at: usize, other_at: usize| MATCH_WEIGHT + u32::from(at == other_at);
    for at in (0..one.len()).rev() {
        for other_at in (0..other.len()).rev() {
            let cell = at * width + other_at;
            let without = weights[cell + 1].max(weights[cell + width]);
            weights[cell] = if one[at] == other[other_at] {
                without.max(weights[cell + width + 1] + of_match(at, other_at))
            } else {
                without
            };
        }
    }
    let (mut at, mut other_at, mut matches) = (0, 0, Vec::new());
    while at < one.len() && other_at < other.len() {
        let cell = at * width + other_at;
        if one[at] == other[other_at] && weights[cell] == weights[cell + width + 1] + of_match(at, other_at) {
            matches.push((at, other_at));
            (at, other_at) = (at + 1, other_at + 1);
        } else if weights[cell + width] >= weights[cell + 1] {
            at += 1;
        } else {
            other_at += 1;
        }
    }
    matches
}

#[cfg(test)]
mod tests {
    use exchange::Digest;
    use proptest::prelude::*;

    use super::*;

    fn digests(letters: &str) -> Vec<Digest> {
        letters.bytes().map(|letter| Digest([letter; 32])).collect()
    }

    /// `a=a` for a pair, `a-` for one that is gone, `+a` for one that is new.
    fn aligned(recorded: &str, replayed: &str) -> String {
        let letter = |text: &str, at: usize| text[at..=at].to_owned();
        let pairings = align(&digests(recorded), &digests(replayed), &mut Findings::new());
        let shown = pairings.iter().map(|pairing| match (pairing.recorded, pairing.replayed) {
            (Some(one), Some(_)) if pairing.moved => format!("{}~", letter(recorded, one)),
            (Some(one), Some(other)) => format!("{}={}", letter(recorded, one), letter(replayed, other)),
            (Some(one), None) => format!("{}-", letter(recorded, one)),
            (None, Some(other)) => format!("+{}", letter(replayed, other)),
            (None, None) => unreachable!("a pairing has at least one side"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn one_element_put_in_is_one_added_and_one_taken_out_is_one_removed() {
        assert_eq!(aligned("abc", "axbc"), "a=a +x b=b c=c");
        assert_eq!(aligned("abc", "bc"), "a- b=b c=c");
        assert_eq!(aligned("abc", ""), "a- b- c-");
    }

    #[test]
    fn what_lies_between_equal_elements_is_paired_by_position() {
        assert_eq!(aligned("a12b", "a345b"), "a=a 1=3 2=4 +5 b=b");
    }

    #[test]
    fn a_window_that_moved_by_one_is_seen_as_such_and_a_change_in_place_too() {
        assert_eq!(aligned("abcd", "bcde"), "a- b=b c=c d=d +e");
        assert_eq!(aligned("abcd", "axcd"), "a=a b=x c=c d=d");
        assert_eq!(aligned("ab", "ba"), "b=b a~");
        assert_eq!(aligned("abcdx", "bcday"), "b=b c=c d=d x=y a~");
    }

    #[test]
    fn sequences_too_long_for_the_table_are_paired_by_position_and_that_is_said() {
        let long = |offset: usize| -> Vec<Digest> {
            (0..2_500).map(|at| Digest::of(&(at * 2 + offset).to_le_bytes())).collect()
        };
        let mut findings = Findings::new();
        let pairings = align(&long(0), &long(1)[1..], &mut findings);
        assert_eq!(pairings.len(), 2_500);
        assert!(findings.into_comparison(&crate::Rules::strict(), crate::ComparedAs::Json).coarse);
    }

    /// Length of the longest common subsequence, by its definition.
    fn longest(one: &str, other: &str) -> usize {
        match (one.split_at_checked(1), other.split_at_checked(1)) {
            (Some((first, rest)), Some((other_first, other_rest))) if first == other_first => {
                1 + longest(rest, other_rest)
            }
            (Some((_, rest)), Some((_, other_rest))) => longest(rest, other).max(longest(one, other_rest)),
            _ => 0,
        }
    }

    proptest! {
        #[test]
        fn every_element_stands_in_the_result_once_in_order_and_swapping_sides_swaps_it(one in "[abc]{0,9}", other in "[abc]{0,9}") {
            let pairings = align(&digests(&one), &digests(&other), &mut Findings::new());
            let in_order = |side: fn(&Pairing) -> Option<usize>| {
                let kept: Vec<usize> = pairings.iter().filter(|pairing| !pairing.moved).filter_map(side).collect();
                let mut all: Vec<usize> = pairings.iter().filter_map(side).collect();
                all.sort_unstable();
                (kept.is_sorted(), all)
            };
            prop_assert_eq!(in_order(|pairing| pairing.recorded), (true, (0..one.len()).collect()));
            prop_assert_eq!(in_order(|pairing| pairing.replayed), (true, (0..other.len()).collect()));
            let swapped = align(&digests(&other), &digests(&one), &mut Findings::new());
            let swapped: Vec<_> = swapped.into_iter().map(|pairing| Pairing { recorded: pairing.replayed, replayed: pairing.recorded, ..pairing }).collect();
            prop_assert_eq!(pairings, swapped);
        }

        #[test]
        fn the_table_finds_as_many_equal_elements_as_there_can_be(one in "[abc]{0,7}", other in "[abc]{0,7}") {
            let found = common_subsequence(&digests(&one), &digests(&other), &mut Findings::new()).unwrap();
            prop_assert_eq!(found.len(), longest(&one, &other));
            prop_assert!(found.iter().all(|(at, other_at)| one.as_bytes()[*at] == other.as_bytes()[*other_at]));
        }
    }
}

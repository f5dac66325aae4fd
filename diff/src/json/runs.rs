//! Which elements of two arrays belong together where some of them are calls of tools.
//!
//! In: of each element the digest of what rules leave of it, and of a call its tool. Out: pairs. Calls that are neighbours are
//! made at once: such a run of them has no order, and its place among texts, results and other elements counts as any
//! element's place does. A call keeps its place as long as it stands before and behind the same other elements.

use std::collections::{BTreeMap, VecDeque};

use content::{
    json::{Kind, Node, Value},
    message::call_name,
};
use exchange::Digest;

use crate::{
    align::{Pairing, common_subsequence},
    findings::Findings,
    said::tree_of,
};

/// An element as it is paired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element {
    /// Equal for elements that rules make equal.
    pub(super) print: Digest,
    /// The tool, of a call.
    pub(super) tool: Option<Digest>,
}

impl Element {
    fn is_call(&self) -> bool {
        self.tool.is_some()
    }
}

/// Pairs elements as [`crate::align::align`] does, but for the order of calls that are neighbours.
///
/// Where both sides have calls in the same places, these decide, unless moving leaves fewer differences.
pub(super) fn align_runs(recorded: &[Element], replayed: &[Element], findings: &mut Findings) -> Vec<Pairing> {
    let (one, other) = (Side::of(recorded), Side::of(replayed));
    let (prints, other_prints) = (one.prints(), other.prints());
    // Which of several ways is chosen does not depend on which side is which.
    if prints > other_prints {
        let swapped = align_sorted((&other, &other_prints), (&one, &prints), findings);
        let mirrored = |it: Pairing| Pairing { recorded: it.replayed, replayed: it.recorded, ..it };
        return swapped.into_iter().map(mirrored).collect();
    }
    align_sorted((&one, &prints), (&other, &other_prints), findings)
}

fn align_sorted(one: (&Side<'_>, &[Digest]), other: (&Side<'_>, &[Digest]), findings: &mut Findings) -> Vec<Pairing> {
    let ((one, prints), (other, other_prints)) = (one, other);
    // Where that is too much work, equal ones belong together in the order in which they stand.
    let matches = common_subsequence(prints, other_prints, findings).unwrap_or_default();
    let moving = Pairs::around(one, other, &matches);
    let in_place = Pairs::in_place(one, other).filter(|in_place| in_place.cost() <= moving.cost());
    in_place.unwrap_or(moving).pairings
}

/// The elements of one array.
struct Side<'e> {
    elements: &'e [Element],
    /// Of each element the number of its run. What is no call is one of its own.
    runs: Vec<usize>,
    /// The elements' positions, those of a run in the order of their digests.
    sorted: Vec<usize>,
}

impl<'e> Side<'e> {
    fn of(elements: &'e [Element]) -> Self {
        let positions: Vec<usize> = (0..elements.len()).collect();
        let (mut runs, mut sorted) = (Vec::with_capacity(elements.len()), Vec::with_capacity(elements.len()));
        let are_calls = |one: &usize, other: &usize| elements[*one].is_call() && elements[*other].is_call();
        for (number, run) in positions.chunk_by(are_calls).enumerate() {
            let begin = sorted.len();
            sorted.extend_from_slice(run);
            sorted[begin..].sort_by_key(|&at| elements[at].print);
            runs.extend(run.iter().map(|_| number));
        }
        Self { elements, runs, sorted }
    }

    fn prints(&self) -> Vec<Digest> {
        self.sorted.iter().map(|&at| self.elements[at].print).collect()
    }

    /// Of each element how many of these matches stand before it: of all of them, or before a call of those that are none.
    fn gaps(&self, matched: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut gaps = vec![0; self.elements.len()];
        let (mut matched, mut all, mut others) = (matched.peekable(), 0, 0);
        for (at, &position) in self.sorted.iter().enumerate() {
            let is_call = self.elements[position].is_call();
            gaps[position] = if is_call { others } else { all };
            if matched.next_if_eq(&at).is_some() {
                all += 1;
                others += usize::from(!is_call);
            }
        }
        gaps
    }
}

/// Elements of two arrays that belong together.
struct Pairs<'e> {
    one: &'e Side<'e>,
    other: &'e Side<'e>,
    /// Of each element its partner, on either side.
    partners: [Vec<Option<usize>>; 2],
    pairings: Vec<Pairing>,
}

impl<'e> Pairs<'e> {
    fn none(one: &'e Side<'e>, other: &'e Side<'e>) -> Self {
        let partners = [one, other].map(|side| vec![None; side.elements.len()]);
        Self { one, other, partners, pairings: Vec::new() }
    }

    /// These matches, what is equal elsewhere, and between the matches calls by their tool and all else in order.
    fn around(one: &'e Side<'e>, other: &'e Side<'e>, matches: &[(usize, usize)]) -> Self {
        let mut pairs = Self::none(one, other);
        for (at, other_at) in matches {
            pairs.join(one.sorted[*at], other.sorted[*other_at]);
        }
        let gaps = [one.gaps(matches.iter().map(|it| it.0)), other.gaps(matches.iter().map(|it| it.1))];
        pairs.join_by(|side, at, it| Some((it.is_call(), gaps[side][at], it.print)));
        pairs.join_by(|_, _, it| Some(it.print));
        pairs.join_by(|side, at, it| it.tool.map(|tool| (gaps[side][at], tool)));
        pairs.join_by(|side, at, it| Some((it.is_call(), gaps[side][at])));
        pairs.finished()
    }

    /// Each element with the one at its place, calls within their run; `None` where calls do not stand at the same places.
    fn in_place(one: &'e Side<'e>, other: &'e Side<'e>) -> Option<Self> {
        let is_call = |side: &'e Side<'e>| side.elements.iter().map(Element::is_call);
        is_call(one).eq(is_call(other)).then(|| {
            let mut pairs = Self::none(one, other);
            let run = |side: usize, at: usize| [one, other][side].runs[at];
            pairs.join_by(|side, at, it| Some((run(side, at), it.print)));
            pairs.join_by(|side, at, it| it.tool.map(|tool| (run(side, at), tool)));
            pairs.join_by(|side, at, _| Some(run(side, at)));
            pairs.finished()
        })
    }

    fn join(&mut self, at: usize, other_at: usize) {
        self.partners[0][at] = Some(other_at);
        self.partners[1][other_at] = Some(at);
    }

    /// Joins elements without partner that have the same key, the earlier ones first.
    fn join_by<K: Ord>(&mut self, key: impl Fn(usize, usize, &Element) -> Option<K>) {
        let mut waiting: BTreeMap<K, VecDeque<usize>> = BTreeMap::new();
        for at in (0..self.other.elements.len()).filter(|&at| self.partners[1][at].is_none()) {
            if let Some(key) = key(1, at, &self.other.elements[at]) {
                waiting.entry(key).or_default().push_back(at);
            }
        }
        if waiting.is_empty() {
            return;
        }
        for (at, element) in self.one.elements.iter().enumerate() {
            if self.partners[0][at].is_none()
                && let Some(partner) = key(0, at, element).and_then(|key| waiting.get_mut(&key)?.pop_front())
            {
                self.join(at, partner);
            }
        }
    }

    /// Lists the pairs. Of those that did not keep their order equal ones have moved, and others are two elements.
    fn finished(mut self) -> Self {
        let is_kept = self.kept();
        let (removed, added) = (
            |at| Pairing { recorded: Some(at), replayed: None, moved: false },
            |at| Pairing { recorded: None, replayed: Some(at), moved: false },
        );
        for (at, partner) in self.partners[0].iter().enumerate() {
            match partner {
                None => self.pairings.push(removed(at)),
                Some(partner) if is_kept[at] => self.pairings.push(Pairing::of(at, *partner)),
                Some(partner) if self.one.elements[at].print == self.other.elements[*partner].print => {
                    self.pairings.push(Pairing { moved: true, ..Pairing::of(at, *partner) });
                }
                Some(partner) => self.pairings.extend([removed(at), added(*partner)]),
            }
        }
        let alone = self.partners[1].iter().enumerate().filter(|(_, partner)| partner.is_none());
        self.pairings.extend(alone.map(|(at, _)| added(at)));
        // Two that changed places with each other come as their digests do.
        let (one, other) = (self.one, self.other);
        let print = |it: &Pairing| {
            let there = it.replayed.map(|at| other.elements[at].print);
            it.recorded.map(|at| one.elements[at].print).into_iter().chain(there).min()
        };
        self.pairings.sort_by_key(|it| (it.place(), print(it)));
        self
    }

    /// Of each element whether it keeps its place: of the pairs as many as can, and of as many rather those that are no calls.
    fn kept(&self) -> Vec<bool> {
        let pairs = self.partners[0].iter().enumerate().filter_map(|(at, partner)| Some((at, (*partner)?)));
        let mut pairs: Vec<(usize, usize)> = pairs.collect();
        // Those of one run, which have no order, come as they do on the other side.
        pairs.sort_by_key(|&(at, partner)| (self.one.runs[at], self.other.runs[partner]));
        let mut heaviest = Heaviest::new(self.other.runs.last().map_or(0, |last| last + 1));
        let mut before = Vec::with_capacity(pairs.len());
        for (number, &(at, partner)) in pairs.iter().enumerate() {
            let weight = pairs.len() as u64 + 1 + u64::from(!self.one.elements[at].is_call());
            let run = self.other.runs[partner];
            let (weight_before, number_before) = heaviest.up_to(run);
            before.push(number_before);
            heaviest.add(run, (weight_before + weight, Some(number)));
        }
        let mut is_kept = vec![false; self.partners[0].len()];
        let mut next = heaviest.up_to(self.other.runs.last().copied().unwrap_or_default()).1;
        while let Some(number) = next {
            is_kept[pairs[number].0] = true;
            next = before[number];
        }
        is_kept
    }

    /// How many differences this leaves at least: of two calls of different tools one is gone and one is new.
    fn cost(&self) -> usize {
        let cost = |it: &Pairing| match (it.recorded, it.replayed) {
            (Some(at), Some(other_at)) => {
                let (one, other) = (self.one.elements[at], self.other.elements[other_at]);
                if one.print == other.print { usize::from(it.moved) } else { 1 + usize::from(one.tool != other.tool) }
            }
            _ => 1,
        };
        self.pairings.iter().map(cost).sum()
    }
}

/// A weight, and the number of the last pair of those that have it together.
type Chain = (u64, Option<usize>);

/// The heaviest chain of pairs that ends up to each run (a Fenwick tree of the largest).
struct Heaviest(Vec<Chain>);

impl Heaviest {
    fn new(runs: usize) -> Self {
        Self(vec![(0, None); runs + 1])
    }

    fn up_to(&self, run: usize) -> Chain {
        let (mut at, mut found) = (run + 1, (0, None));
        while at > 0 {
            if self.0.get(at).is_some_and(|chain| chain.0 > found.0) {
                found = self.0[at];
            }
            at &= at - 1;
        }
        found
    }

    fn add(&mut self, run: usize, chain: Chain) {
        let mut at = run + 1;
        while at < self.0.len() {
            if chain.0 > self.0[at].0 {
                self.0[at] = chain;
            }
            at += at & at.wrapping_neg();
        }
    }
}

/// The value with calls that are neighbours in an order that does not depend on theirs.
pub(crate) fn in_order(value: Value) -> Value {
    tree_of(&value).map_or(value, |tree| sorted(tree.root()))
}

fn sorted(node: Node<'_>) -> Value {
    match node.kind() {
        Kind::Array => {
            let elements: Vec<Node<'_>> = node.elements().collect();
            let mut made = Vec::with_capacity(elements.len());
            let are_calls = |one: &Node<'_>, other: &Node<'_>| call_name(*one).is_some() && call_name(*other).is_some();
            for run in elements.chunk_by(are_calls) {
                let begin = made.len();
                made.extend(run.iter().map(|element| sorted(*element)));
                made[begin..].sort_by_cached_key(|call| {
                    let mut canonical = Vec::new();
                    call.write_canonical(&mut canonical);
                    canonical
                });
            }
            Value::Array(made)
        }
        Kind::Object => Value::Object(node.members().map(|(key, member)| (key.to_owned(), sorted(member))).collect()),
        _ => node.to_value(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Small letters are no calls. Of a call the letter says its tool, and a digit behind it what it says.
    fn elements(text: &str) -> Vec<(String, Element)> {
        let element = |word: &str| {
            let print = Digest::of(word.as_bytes());
            let tool = word.starts_with(char::is_uppercase).then(|| Digest::of(&word.as_bytes()[..1]));
            (word.to_owned(), Element { print, tool })
        };
        text.split_whitespace().map(element).collect()
    }

    fn paired(recorded: &str, replayed: &str) -> Vec<Pairing> {
        let bare = |text| -> Vec<Element> { elements(text).into_iter().map(|(_, element)| element).collect() };
        align_runs(&bare(recorded), &bare(replayed), &mut Findings::new())
    }

    /// What differs: `A1=A2` for a pair, `A1-` for one that is gone, `+A1` for one that is new, `A1~` for one that moved.
    fn aligned(recorded: &str, replayed: &str) -> String {
        let (one, other) = (elements(recorded), elements(replayed));
        let shown = paired(recorded, replayed).into_iter().filter_map(|it| match (it.recorded, it.replayed) {
            (Some(at), Some(_)) if it.moved => Some(format!("{}~", one[at].0)),
            (Some(at), Some(other_at)) if one[at].0 == other[other_at].0 => None,
            (Some(at), Some(other_at)) => Some(format!("{}={}", one[at].0, other[other_at].0)),
            (Some(at), None) => Some(format!("{}-", one[at].0)),
            (None, Some(at)) => Some(format!("+{}", other[at].0)),
            (None, None) => unreachable!("a pairing has at least one side"),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn calls_that_are_neighbours_have_no_order_and_a_run_has_a_place() {
        assert_eq!(aligned("A B C", "C A B"), "");
        assert_eq!(aligned("t A B u C D", "t B A u D C"), "");
        assert_eq!(aligned("t A", "A t"), "A~");
        assert_eq!(aligned("t A B", "A B t"), "t~");
        assert_eq!(aligned("A r B s", "A B r s"), "B~");
        assert_eq!(aligned("A B r s", "B r A s"), "A~");
        assert_eq!(aligned("A t B", "B t A"), "A~ B~");
        assert_eq!(aligned("A1 t A2", "A2 t A1"), "A1=A2 A2=A1", "the place decides");
    }

    #[test]
    fn what_is_put_between_calls_is_alone_added_whatever_their_order() {
        for recorded in ["A B", "B A"] {
            assert_eq!(aligned(recorded, "A t B"), "+t");
            assert_eq!(aligned("A t B", recorded), "t-");
            assert_eq!(aligned(&format!("{recorded} u"), "B A C u"), "+C");
        }
        assert_eq!(aligned("A t A u", "t A u"), "A-");
    }

    #[test]
    fn a_call_that_changed_is_paired_within_its_run_by_its_tool() {
        assert_eq!(aligned("A1 B", "B A2"), "A1=A2");
        assert_eq!(aligned("A1 B1 t", "B2 A2 t"), "A1=A2 B1=B2");
        assert_eq!(aligned("A t", "B t"), "A=B");
        assert_eq!(aligned("A1 t", "t A2"), "A1- +A2");
        assert_eq!(aligned("a A1", "A1 b"), "a- +b");
        assert_eq!(aligned("a A1 b", "c A1 d"), "a=c b=d");
    }

    #[test]
    fn of_very_many_calls_the_one_that_changed_is_told_whatever_their_order() {
        let calls = |at: &dyn Fn(usize) -> usize, last: &str| -> String {
            (0..2_500).map(|number| format!("A{} ", at(number))).chain([format!("B{last}")]).collect()
        };
        let (one, other) = (calls(&|at| at, "1"), calls(&|at| (at * 7 + 1) % 2_500, "2"));
        assert_eq!(aligned(&one, &other), "B1=B2");
    }

    fn any_elements() -> impl Strategy<Value = String> {
        prop::collection::vec(prop_oneof!["[ab]", "[AB][12]"], 0..8).prop_map(|words| words.join(" "))
    }

    /// Words with each run of calls in order.
    fn runs_in_order(text: &str) -> Vec<String> {
        let elements = elements(text);
        let mut made = Vec::new();
        for run in elements.chunk_by(|one, other| one.1.is_call() && other.1.is_call()) {
            let mut run: Vec<String> = run.iter().map(|(word, _)| word.clone()).collect();
            run.sort();
            made.append(&mut run);
        }
        made
    }

    proptest! {
        #[test]
        fn nothing_differs_exactly_where_only_calls_that_are_neighbours_change_places(one in any_elements(), other in any_elements()) {
            prop_assert_eq!(aligned(&one, &other).is_empty(), runs_in_order(&one) == runs_in_order(&other));
            prop_assert_eq!(aligned(&one, &runs_in_order(&one).join(" ")), "");
        }

        #[test]
        fn every_element_stands_in_the_result_once_what_kept_its_place_is_in_order_and_swapping_sides_swaps_it(
            one in any_elements(), other in any_elements(),
        ) {
            let pairings = paired(&one, &other);
            let (elements, other_elements) = (elements(&one), elements(&other));
            let all = |side: fn(&Pairing) -> Option<usize>| {
                let mut all: Vec<usize> = pairings.iter().filter_map(side).collect();
                all.sort_unstable();
                all
            };
            prop_assert_eq!(all(|it| it.recorded), (0..elements.len()).collect::<Vec<_>>());
            prop_assert_eq!(all(|it| it.replayed), (0..other_elements.len()).collect::<Vec<_>>());
            let bare = |elements: &[(String, Element)]| -> Vec<Element> { elements.iter().map(|it| it.1).collect() };
            let (bare, other_bare) = (bare(&elements), bare(&other_elements));
            let (side, other_side) = (Side::of(&bare), Side::of(&other_bare));
            let pairs = pairings.iter().filter_map(|it| Some((it.recorded?, it.replayed?, it.moved)));
            let pairs: Vec<_> = pairs.map(|(at, to, moved)| (side.runs[at], other_side.runs[to], moved)).collect();
            for (at, to, _) in pairs.iter().filter(|it| !it.2) {
                let is_crossed = |it: &&(usize, usize, bool)| !it.2 && it.0 < *at && it.1 > *to;
                prop_assert!(!pairs.iter().any(|it| is_crossed(&it)), "{pairings:?}");
            }
            let moved = pairings.iter().filter(|it| it.moved).filter_map(|it| Some((it.recorded?, it.replayed?)));
            for (at, to) in moved {
                prop_assert_eq!(&elements[at].0, &other_elements[to].0);
            }
            let mirrored = paired(&other, &one).into_iter().map(|it| Pairing { recorded: it.replayed, replayed: it.recorded, ..it });
            prop_assert_eq!(pairings, mirrored.collect::<Vec<_>>());
        }

        #[test]
        fn one_element_more_is_one_difference(one in any_elements(), more in prop_oneof!["[ab]", "[AB][12]"], at in 0_usize..9) {
            let mut words: Vec<&str> = one.split_whitespace().collect();
            words.insert(at.min(words.len()), &more);
            let (whole, more) = (words.join(" "), format!("+{more}"));
            prop_assert!(!aligned(&one, &whole).contains(' '), "{} and {}: {}", one, whole, aligned(&one, &whole));
            prop_assert_eq!(aligned(&one, &whole), more);
        }
    }
}

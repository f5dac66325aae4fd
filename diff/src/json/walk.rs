//! Walks two documents side by side and notes where they differ.
//!
//! What is written alike is skipped without being looked at; members are walked in the order of both documents while that is
//! the same, and differences are listed in the order of their keys.

use std::collections::BTreeSet;

use content::json::{Kind, Node};
use exchange::Digest;

use super::print::Prints;
use crate::{
    Change, ChangeKind, ListSeen, Shown,
    align::{Pairing, by_position},
    findings::Findings,
    format::Format,
    numbers::{self, Tolerance},
    pointer::{Cover, Step, is_number, pointer_text_behind},
    rules::Covered,
    text,
};

/// Texts that are longer than this, in bytes, are shown around their first difference too. A choice: shorter ones are
/// shown whole and can be compared by eye.
const TEXT_LEN_MIN: usize = 60;

/// Most members with numbers for keys of which it is noted which there were; of more, none of them is told from the others. A choice.
const NUMBERED_LEN_MAX: usize = 4_000;

/// Most elements of an array for which memory is set aside at first. A choice.
const ELEMENTS_AT_FIRST_MAX: usize = 64;

/// Members that differ for which memory is set aside at first, and steps of a path. A choice.
const DIFFERING_AT_FIRST: usize = 4;
const STEPS_AT_FIRST: usize = 8;

/// Where the documents are that are compared: what stands before each pointer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Document {
    /// `sse:` for an event's data, empty for a body.
    pub(crate) prefix: &'static str,
    /// Numbers of the recorded and the replayed event.
    pub(crate) events: Option<(u64, u64)>,
    /// True for answers of providers in normal form: calls of tools are compared in any order.
    pub(crate) has_calls: bool,
}

/// Compares two documents. `open` is how many values, from the root down the last ones, were cut off in the recording;
/// what the other side has there beyond the recorded part is not compared.
pub(crate) fn compare<'v>(
    recorded: Node<'v>,
    replayed: Node<'v>,
    open: usize,
    document: Document,
    rules: Covered<'_>,
    findings: &mut Findings,
) {
    let (one, other) = (Side::at_root(rules), Side::at_root(rules));
    let mut walk = Walk { document, findings, tolerances: rules.tolerances, recorded: one, replayed: other };
    walk.pair(Some(recorded), Some(replayed), open);
}

pub(super) struct Walk<'v, 'f> {
    pub(super) document: Document,
    pub(super) findings: &'f mut Findings,
    tolerances: &'f [(usize, Tolerance)],
    pub(super) recorded: Side<'v, 'f>,
    /// Its path differs from the recorded one in indices only.
    pub(super) replayed: Side<'v, 'f>,
}

impl<'v> Walk<'v, '_> {
    fn pair(&mut self, recorded: Option<Node<'v>>, replayed: Option<Node<'v>>, open: usize) {
        if let (Some(recorded), Some(replayed)) = (recorded, replayed)
            && recorded.is_written_like(replayed)
        {
            return;
        }
        if let Some(rule_at) = self.rule() {
            let differs = match (recorded, replayed) {
                (Some(recorded), Some(replayed)) => !recorded.equals(replayed),
                _ => true,
            };
            if differs {
                self.count_use(rule_at, recorded.is_none());
            }
            return;
        }
        match (recorded, replayed) {
            (Some(recorded), Some(replayed)) => match (recorded.kind(), replayed.kind()) {
                (Kind::Object, Kind::Object) => self.members(recorded, replayed, open),
                (Kind::Array, Kind::Array) => self.elements(recorded, replayed, open),
                (Kind::String, Kind::String) => self.strings(recorded, replayed, open),
                (Kind::Number, Kind::Number) if self.tolerates(recorded, replayed) => {}
                _ => self.add(Some(recorded), Some(replayed)),
            },
            (recorded, replayed) => self.add(recorded, replayed),
        }
    }

    fn members(&mut self, recorded: Node<'v>, replayed: Node<'v>, open: usize) {
        if self.findings.notes_lists() {
            self.note_numbered(recorded, replayed);
        }
        let last_key = if open > 0 { recorded.members().last().map(|(key, _)| key) } else { None };
        for (key, one, other) in differing(recorded, replayed) {
            let may_come_later = one.is_none() && open > 0;
            if !may_come_later {
                let open = if last_key == Some(key) { open.saturating_sub(1) } else { 0 };
                self.below(Step::Key(key), Step::Key(key), |walk| walk.pair(one, other, open));
            }
        }
    }

    /// Notes the members of an object whose keys are numbers, as elements are.
    fn note_numbered(&mut self, recorded: Node<'v>, replayed: Node<'v>) {
        let numbered = |object: Node<'v>| -> BTreeSet<&'v str> {
            object.members().map(|(key, _)| key).filter(|key| is_number(key)).collect()
        };
        let (one, other) = (numbered(recorded), numbered(replayed));
        let is_noted = 1..=NUMBERED_LEN_MAX;
        if is_noted.contains(&one.len().max(other.len())) {
            let keys = Some(one.intersection(&other).map(|key| (*key).to_owned()).collect());
            let (one, other) = (one.len() as u64, other.len() as u64);
            self.findings.note_list(ListSeen { pointer: self.recorded.pointer(self.document), one, other, keys });
        }
    }

    fn elements(&mut self, recorded: Node<'v>, replayed: Node<'v>, open: usize) {
        let (one, mut other) = (elements_of(recorded), elements_of(replayed));
        if self.findings.notes_lists() {
            let (one, other) = (one.len() as u64, other.len() as u64);
            self.findings.note_list(ListSeen { pointer: self.recorded.pointer(self.document), one, other, keys: None });
        }
        if open > 0 {
            other.truncate(one.len());
        } else if self.vectors(recorded, replayed, &one, &other) {
            return;
        }
        let is_equal = |(one, other): &(&Node<'v>, &Node<'v>)| one.is_written_like(**other);
        let begin = one.iter().zip(&other).take_while(is_equal).count();
        let (rest, other_rest) = (&one[begin..], &other[begin..]);
        let end = rest.iter().rev().zip(other_rest.iter().rev()).take_while(is_equal).count();
        let pairings = self.pairings(&rest[..rest.len() - end], &other_rest[..other_rest.len() - end], begin);
        for pairing in pairings {
            let (recorded_at, replayed_at) = (pairing.recorded, pairing.replayed);
            let (one_node, other_node) = (recorded_at.map(|at| one[at]), replayed_at.map(|at| other[at]));
            let is_alike = one_node.zip(other_node).is_some_and(|(one, other)| one.is_written_like(other));
            if is_alike && !pairing.moved {
                continue;
            }
            let is_last = recorded_at.is_some_and(|at| at + 1 == one.len());
            let open = if is_last { open.saturating_sub(1) } else { 0 };
            // An element that only one side has is at its own index there; the other side's path has no better one.
            let at = recorded_at.or(replayed_at).unwrap_or_default();
            let replayed_at = replayed_at.unwrap_or(at);
            self.below(Step::Index(at), Step::Index(replayed_at), |walk| {
                if pairing.moved {
                    walk.add_moved(one_node, other_node);
                }
                walk.pair(one_node, other_node, open);
            });
        }
    }

    /// Compares two lists of numbers of one length by position; where many differ, they are one difference. False for others, and
    /// for integers too few for a vector: they may be ids, and are aligned unless a tolerance says that they are measures.
    fn vectors(&mut self, recorded: Node<'v>, replayed: Node<'v>, one: &[Node<'v>], other: &[Node<'v>]) -> bool {
        let is_number = |node: &Node<'v>| node.kind() == Kind::Number;
        if one.is_empty() || one.len() != other.len() || !one.iter().chain(other).all(is_number) {
            return false;
        }
        if one.len() < numbers::VECTOR_LEN_MIN {
            let is_integer = |node: &Node<'v>| !node.raw().contains(['.', 'e', 'E']);
            if one.iter().chain(other).all(is_integer) && !self.tolerates_any_of(one.len()) {
                return false;
            }
        } else {
            let distance = numbers::distance(one, other);
            if let Some((rule_at, _)) = self.tolerance().filter(|(_, tolerance)| tolerance.covers_vector(&distance)) {
                self.count_use(rule_at, false);
                return true;
            }
            let counting = (0..one.len()).filter(|&at| self.counts(at, one[at], other[at])).count();
            if counting > numbers::LISTED_MAX {
                if self.findings.has_room() {
                    let (recorded, replayed) = (Some(Shown::of_json(recorded)), Some(Shown::of_json(replayed)));
                    let change =
                        Change { recorded, replayed, vector: Some(distance), ..self.change(ChangeKind::Changed) };
                    self.findings.add(change);
                }
                return true;
            }
        }
        for Pairing { recorded: at, .. } in by_position(one.len(), one.len()) {
            let at = at.unwrap_or_default();
            self.below(Step::Index(at), Step::Index(at), |walk| walk.pair(Some(one[at]), Some(other[at]), 0));
        }
        true
    }

    /// True when there is a tolerance for one of so many elements.
    fn tolerates_any_of(&mut self, len: usize) -> bool {
        let mut at = |at| self.below(Step::Index(at), Step::Index(at), |walk| walk.tolerance().is_some());
        (0..len).any(&mut at)
    }

    /// True when these numbers differ and no rule covers that.
    fn counts(&mut self, at: usize, one: Node<'v>, other: Node<'v>) -> bool {
        one.raw() != other.raw()
            && self.below(Step::Index(at), Step::Index(at), |walk| {
                let within = |(_, tolerance): &(usize, Tolerance)| tolerance.covers(one.raw(), other.raw());
                walk.rule().is_none() && !walk.tolerance().as_ref().is_some_and(within)
            })
    }

    /// True when a tolerance covers two numbers that differ; its use is counted.
    fn tolerates(&mut self, recorded: Node<'v>, replayed: Node<'v>) -> bool {
        let within = self.tolerance().filter(|(_, tolerance)| tolerance.covers(recorded.raw(), replayed.raw()));
        if let Some((rule_at, _)) = within {
            self.count_use(rule_at, false);
        }
        within.is_some()
    }

    fn strings(&mut self, recorded: Node<'v>, replayed: Node<'v>, open: usize) {
        let (one, other) = (recorded.text_once().unwrap_or_default(), replayed.text_once().unwrap_or_default());
        let (one, other) = (&*one, &*other);
        let is_equal = if open > 0 { other.starts_with(one) } else { one == other };
        if is_equal {
            return;
        }
        let is_embedding = self.last_key() == Some("embedding");
        let vector = is_embedding.then(|| numbers::distance_base64(one, other)).flatten();
        let within = self.tolerance().filter(|(_, it)| vector.as_ref().is_some_and(|vector| it.covers_vector(vector)));
        if let Some((rule_at, _)) = within {
            return self.count_use(rule_at, false);
        }
        if !self.findings.has_room() {
            return;
        }
        let is_long = one.len().max(other.len()) > TEXT_LEN_MIN;
        let text = is_long.then(|| text::change(one, other, self.findings));
        let (shown, replayed_shown) = (Some(Shown::of_json(recorded)), Some(Shown::of_json(replayed)));
        let format = Format::of_texts(self.last_key(), one, other);
        let change = Change {
            recorded: shown,
            replayed: replayed_shown,
            text,
            vector,
            format,
            ..self.change(ChangeKind::Changed)
        };
        self.findings.add(change);
    }

    fn add_moved(&mut self, recorded: Option<Node<'v>>, replayed: Option<Node<'v>>) {
        if self.rule().is_some() || !self.findings.has_room() {
            return;
        }
        let (recorded, replayed) = (recorded.map(Shown::of_json), replayed.map(Shown::of_json));
        let change = Change { recorded, replayed, ..self.change(ChangeKind::Moved) };
        self.findings.add(change);
    }

    fn add(&mut self, recorded: Option<Node<'v>>, replayed: Option<Node<'v>>) {
        let kind = match (recorded, replayed) {
            (Some(recorded), Some(replayed)) if recorded.kind() == replayed.kind() => ChangeKind::Changed,
            (Some(_), Some(_)) => ChangeKind::TypeChanged,
            (Some(_), None) => ChangeKind::Removed,
            (None, _) => ChangeKind::Added,
        };
        if !self.findings.has_room() {
            return;
        }
        let format = Format::of_pair(self.last_key(), recorded, replayed);
        let (recorded, replayed) = (recorded.map(Shown::of_json), replayed.map(Shown::of_json));
        let change = Change { recorded, replayed, format, ..self.change(kind) };
        self.findings.add(change);
    }

    /// A difference here, its values still to be filled in.
    fn change(&self, kind: ChangeKind) -> Change {
        let is_added = kind == ChangeKind::Added;
        let one_side_only = is_added || kind == ChangeKind::Removed;
        let pointer = if is_added { &self.replayed } else { &self.recorded }.pointer(self.document);
        let has_other = !one_side_only && self.recorded.path != self.replayed.path;
        let replayed_pointer = has_other.then(|| self.replayed.pointer(self.document)).filter(|it| *it != pointer);
        let (event, replayed_event) = match self.document.events {
            None => (None, None),
            Some((_, replayed)) if is_added => (Some(replayed), None),
            Some((recorded, replayed)) => {
                (Some(recorded), (!one_side_only && replayed != recorded).then_some(replayed))
            }
        };
        let numbered_key = matches!(self.recorded.path.last(), Some(Step::Key(key)) if is_number(key));
        Change { replayed_pointer, event, replayed_event, numbered_key, ..Change::at(pointer, kind) }
    }

    fn count_use(&mut self, rule_at: usize, is_added: bool) {
        let side = if is_added { &self.replayed } else { &self.recorded };
        self.findings.count_use(rule_at, || side.pointer(self.document));
    }

    fn below<T>(&mut self, recorded: Step<'v>, replayed: Step<'v>, work: impl FnOnce(&mut Self) -> T) -> T {
        self.recorded.enter(recorded);
        self.replayed.enter(replayed);
        let done = work(self);
        self.recorded.leave();
        self.replayed.leave();
        done
    }

    /// True when a rule covers the place that lies these steps below.
    pub(super) fn is_covered(&mut self, steps: &[Step<'v>]) -> bool {
        let Some((step, rest)) = steps.split_first() else { return self.rule().is_some() };
        self.below(*step, *step, |walk| walk.is_covered(rest))
    }

    /// True where no place is covered.
    pub(super) fn has_no_rules(&self) -> bool {
        self.recorded.cover.is_without_patterns()
    }

    /// The first rule that covers this place, as either side numbers it.
    fn rule(&self) -> Option<usize> {
        [self.recorded.cover.rule(), self.replayed.cover.rule()].into_iter().flatten().min()
    }

    /// The first tolerance that covers this place, as either side numbers it.
    fn tolerance(&self) -> Option<(usize, Tolerance)> {
        let rules = [self.recorded.tolerated.rule(), self.replayed.tolerated.rule()];
        let rule_at = rules.into_iter().flatten().min()?;
        self.tolerances.iter().find(|(at, _)| *at == rule_at).copied()
    }

    /// The last step that is a key.
    fn last_key(&self) -> Option<&'v str> {
        let key = |step: &Step<'v>| if let Step::Key(key) = step { Some(*key) } else { None };
        self.recorded.path.iter().rev().find_map(key)
    }
}

/// The elements of an array, in memory that is set aside once for most.
fn elements_of(array: Node<'_>) -> Vec<Node<'_>> {
    let elements = array.elements();
    let mut all = Vec::with_capacity(elements.len_max().min(ELEMENTS_AT_FIRST_MAX));
    all.extend(elements);
    all
}

/// The members that are not written alike, in the order of their keys.
fn differing<'v>(recorded: Node<'v>, replayed: Node<'v>) -> Vec<(&'v str, Option<Node<'v>>, Option<Node<'v>>)> {
    let (mut one, mut other) = (recorded.members(), replayed.members());
    let mut differing = Vec::with_capacity(DIFFERING_AT_FIRST);
    loop {
        let (before, other_before) = (one.clone(), other.clone());
        match (one.next(), other.next()) {
            (Some((key, value)), Some((other_key, other_value)))
                if std::ptr::eq(key, other_key) || key == other_key =>
            {
                if !value.is_written_like(other_value) {
                    differing.push((key, Some(value), Some(other_value)));
                }
            }
            (None, None) => break,
            _ => {
                by_key(before, other_before, &mut differing);
                break;
            }
        }
    }
    differing.sort_by_key(|(key, ..)| *key);
    differing
}

/// Pairs the members that are left by their keys.
fn by_key<'v>(
    recorded: impl Iterator<Item = (&'v str, Node<'v>)>,
    replayed: impl Iterator<Item = (&'v str, Node<'v>)>,
    differing: &mut Vec<(&'v str, Option<Node<'v>>, Option<Node<'v>>)>,
) {
    let sorted = |members: Vec<(&'v str, Node<'v>)>| {
        let mut members = members;
        members.sort_unstable_by_key(|(key, _)| *key);
        members.into_iter().peekable()
    };
    let (mut recorded, mut replayed) = (sorted(recorded.collect()), sorted(replayed.collect()));
    loop {
        let key = match (recorded.peek(), replayed.peek()) {
            (Some((one, _)), Some((other, _))) => (*one).min(*other),
            (Some((key, _)), None) | (None, Some((key, _))) => *key,
            (None, None) => return,
        };
        let one = recorded.next_if(|(found, _)| *found == key).map(|(_, value)| value);
        let other = replayed.next_if(|(found, _)| *found == key).map(|(_, value)| value);
        differing.push((key, one, other));
    }
}

/// Where the walk is on one side.
pub(super) struct Side<'v, 'f> {
    path: Vec<Step<'v>>,
    cover: Cover<'f>,
    tolerated: Cover<'f>,
    prints: Prints,
}

impl<'v, 'f> Side<'v, 'f> {
    fn at_root(rules: Covered<'f>) -> Self {
        let (cover, tolerated) = (Cover::new(rules.ignored), Cover::new(rules.tolerated));
        Self { path: Vec::with_capacity(STEPS_AT_FIRST), cover, tolerated, prints: Prints::default() }
    }

    fn enter(&mut self, step: Step<'v>) {
        self.cover.enter(&step);
        self.tolerated.enter(&step);
        self.path.push(step);
    }

    fn leave(&mut self) {
        self.cover.leave();
        self.tolerated.leave();
        self.path.pop();
    }

    fn pointer(&self, document: Document) -> String {
        pointer_text_behind(document.prefix, &self.path)
    }

    pub(super) fn prints_of(&mut self, elements: &[Node<'_>], first: usize) -> Vec<Digest> {
        self.prints.of_elements(elements, first, &mut self.cover)
    }
}

#[cfg(test)]
mod tests;

//! Which elements of two arrays belong together.
//!
//! In: both arrays, less what they have in common at their beginning and end. Out: pairs. Objects that have a name of their
//! own (a member `id`, `key`, `uuid` or `name` that no other of them has) are paired by it, so that one that changed and
//! moved is still known; everything else by a longest common subsequence of what rules leave of it. Arrays with calls
//! of tools are paired in `runs`.

use std::collections::BTreeSet;

use content::{
    json::{Kind, Node},
    message::call_name,
};
use exchange::Digest;

use super::{
    runs::{Element, align_runs},
    walk::Walk,
};
use crate::{
    align::{Pairing, align, align_named, by_position},
    pointer::Step,
};

/// Names up to this many are compared pairwise, more of them by sorting. A choice.
const PAIRWISE_MAX: usize = 8;

/// What an object is called: whether that is a string, and its text.
type Name<'v> = (bool, &'v str);

/// Members that name an object, the most telling first.
const NAMES: [&str; 4] = ["id", "key", "uuid", "name"];

impl<'v> Walk<'v, '_> {
    /// Pairs of elements, their indices counted from the beginning of the arrays; `first` elements before these are equal.
    pub(super) fn pairings(&mut self, recorded: &[Node<'v>], replayed: &[Node<'v>], first: usize) -> Vec<Pairing> {
        if let ([_], [_]) = (recorded, replayed) {
            return vec![Pairing::of(first, first)];
        }
        let bytes = recorded.iter().chain(replayed).map(|node| node.written_len()).sum();
        let pairings = if !self.findings.spend(bytes) {
            by_position(recorded.len(), replayed.len())
        } else if self.document.has_calls && recorded.iter().chain(replayed).any(|node| call_name(*node).is_some()) {
            self.with_calls(recorded, replayed, first)
        } else if let Some((one, other)) = self.names_of(recorded, replayed, first) {
            // Each still stands where it stood.
            if one == other { by_position(one.len(), one.len()) } else { align_named(&one, &other, self.findings) }
        } else {
            let (one, other) = self.prints(recorded, replayed, first);
            align(&one, &other, self.findings)
        };
        pairings.into_iter().map(|pairing| pairing.behind(first)).collect()
    }

    fn prints(&mut self, recorded: &[Node<'v>], replayed: &[Node<'v>], first: usize) -> (Vec<Digest>, Vec<Digest>) {
        (self.recorded.prints_of(recorded, first), self.replayed.prints_of(replayed, first))
    }

    /// Calls that are neighbours in any order, the rest in its own.
    fn with_calls(&mut self, recorded: &[Node<'v>], replayed: &[Node<'v>], first: usize) -> Vec<Pairing> {
        let (one, other) = self.prints(recorded, replayed, first);
        let elements = |nodes: &[Node<'v>], prints: Vec<Digest>| -> Vec<Element> {
            let tool = |node: &Node<'v>| call_name(*node).map(|name| Digest::of(name.as_bytes()));
            nodes.iter().zip(prints).map(|(node, print)| Element { print, tool: tool(node) }).collect()
        };
        align_runs(&elements(recorded, one), &elements(replayed, other), self.findings)
    }

    /// The elements' names, where all of them are objects that have one, no two on one side have the same, and at
    /// least half of those of the shorter side are there on the other side too.
    fn names_of(
        &mut self,
        recorded: &[Node<'v>],
        replayed: &[Node<'v>],
        first: usize,
    ) -> Option<(Vec<Name<'v>>, Vec<Name<'v>>)> {
        let is_object = |node: &Node<'v>| node.kind() == Kind::Object;
        if recorded.is_empty() || replayed.is_empty() || !recorded.iter().chain(replayed).all(is_object) {
            return None;
        }
        NAMES.into_iter().find_map(|key| {
            let one = self.names_by(key, recorded, first)?;
            let other = self.names_by(key, replayed, first)?;
            if !are_all_different(&one) {
                return None;
            }
            if one == other {
                return Some((one, other));
            }
            if !are_all_different(&other) {
                return None;
            }
            let others: BTreeSet<_> = other.iter().collect();
            let shared = one.iter().filter(|name| others.contains(name)).count();
            (shared * 2 >= one.len().min(other.len())).then_some((one, other))
        })
    }

    /// `None` where one has none, or a rule covers it.
    fn names_by(&mut self, key: &'static str, nodes: &[Node<'v>], first: usize) -> Option<Vec<Name<'v>>> {
        let mut names = Vec::with_capacity(nodes.len());
        for (at, node) in nodes.iter().enumerate() {
            let name = node.get(key).filter(|name| matches!(name.kind(), Kind::String | Kind::Number))?;
            if !self.has_no_rules() && self.is_covered(&[Step::Index(first + at), Step::Key(key)]) {
                return None;
            }
            names.push((name.kind() == Kind::String, name.text().unwrap_or_else(|| name.raw())));
        }
        Some(names)
    }
}

fn are_all_different(names: &[Name<'_>]) -> bool {
    if names.len() <= PAIRWISE_MAX {
        return (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    }
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

//! Fingerprints of values: equal where what rules leave of them is equal.
//!
//! In: elements of an array. Out: a digest of each. A container's digest is made of those of what it holds, and kept, so
//! that arrays inside arrays do not cost their depth times their size.

use std::collections::HashMap;

use content::json::{Kind, Node};
use exchange::Digest;

use crate::pointer::{Cover, Step};

/// What stands for a place that a rule covers.
const COVERED: Digest = Digest([0; 32]);

/// Digests of one side's values. One value must always be asked for at the same place.
#[derive(Debug, Default)]
pub(super) struct Prints {
    /// Of arrays and objects, by their number in the document.
    known: HashMap<u64, Digest>,
}

impl Prints {
    /// The digests of these elements, the first of which has the index `first`; `cover` stands at their array.
    pub(super) fn of_elements(&mut self, elements: &[Node<'_>], first: usize, cover: &mut Cover<'_>) -> Vec<Digest> {
        let elements = elements.iter().enumerate();
        elements.map(|(at, element)| self.below(Step::Index(first + at), *element, cover)).collect()
    }

    fn below(&mut self, step: Step<'_>, node: Node<'_>, cover: &mut Cover<'_>) -> Digest {
        cover.enter(&step);
        let print = if cover.rule().is_some() { COVERED } else { self.of(node, cover) };
        cover.leave();
        print
    }

    fn of(&mut self, node: Node<'_>, cover: &mut Cover<'_>) -> Digest {
        let is_container = matches!(node.kind(), Kind::Array | Kind::Object);
        if let Some(known) = self.known.get(&node.number()).filter(|_| is_container) {
            return *known;
        }
        let print = match node.kind() {
            Kind::Array => {
                let mut bytes = vec![b'['];
                for (at, element) in node.elements().enumerate() {
                    let print = self.below(Step::Index(at), element, cover);
                    if print != COVERED {
                        bytes.extend_from_slice(&print.0);
                    }
                }
                Digest::of(&bytes)
            }
            Kind::Object => self.of_members(node, cover),
            _ => {
                let mut bytes = Vec::new();
                node.write_canonical(&mut bytes);
                return Digest::of(&bytes);
            }
        };
        self.known.insert(node.number(), print);
        print
    }

    fn of_members(&mut self, node: Node<'_>, cover: &mut Cover<'_>) -> Digest {
        let mut bytes = vec![b'{'];
        for (key, member) in node.members_by_key() {
            let print = self.below(Step::Key(key), member, cover);
            if print != COVERED {
                bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(&print.0);
            }
        }
        Digest::of(&bytes)
    }
}

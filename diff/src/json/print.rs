//! Fingerprints of values: equal where what rules leave of them is equal.
//!
//! In: elements of an array. Out: a digest of each. A container's digest is made of those of what it holds, and kept, so
//! that arrays inside arrays do not cost their depth times their size.

use std::{collections::HashMap, ptr};

use content::json::Value;
use exchange::Digest;

use super::leave::by_key;
use crate::pointer::{Cover, Step};

/// What stands for a place that a rule covers.
const COVERED: Digest = Digest([0; 32]);

/// Digests of one side's values. One value must always be asked for at the same place.
#[derive(Debug, Default)]
pub(super) struct Prints {
    /// Of arrays and objects, by address.
    known: HashMap<usize, Digest>,
}

impl Prints {
    /// The digests of these elements; `cover` stands at their array.
    pub(super) fn of_elements(&mut self, elements: &[Value], cover: &mut Cover<'_>) -> Vec<Digest> {
        let elements = elements.iter().enumerate();
        elements.map(|(at, element)| self.below(Step::Index(at), element, cover)).collect()
    }

    fn below(&mut self, step: Step<'_>, value: &Value, cover: &mut Cover<'_>) -> Digest {
        cover.enter(&step);
        let print = if cover.rule().is_some() { COVERED } else { self.of(value, cover) };
        cover.leave();
        print
    }

    fn of(&mut self, value: &Value, cover: &mut Cover<'_>) -> Digest {
        let address = ptr::from_ref(value).addr();
        match value {
            Value::Array(_) | Value::Object(_) if self.known.contains_key(&address) => self.known[&address],
            Value::Array(elements) => {
                let below = self.of_elements(elements, cover);
                let bytes = below.iter().filter(|print| **print != COVERED).flat_map(|print| print.0);
                self.keep(address, Digest::of(&[b'['].into_iter().chain(bytes).collect::<Vec<_>>()))
            }
            Value::Object(members) => {
                let print = self.of_members(members, cover);
                self.keep(address, print)
            }
            scalar => {
                let mut bytes = Vec::new();
                scalar.write_canonical(&mut bytes);
                Digest::of(&bytes)
            }
        }
    }

    fn of_members(&mut self, members: &[(String, Value)], cover: &mut Cover<'_>) -> Digest {
        let mut bytes = vec![b'{'];
        for (key, member) in by_key(members) {
            let print = self.below(Step::Key(key), member, cover);
            if print != COVERED {
                bytes.extend_from_slice(&(key.len() as u64).to_le_bytes());
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(&print.0);
            }
        }
        Digest::of(&bytes)
    }

    fn keep(&mut self, address: usize, print: Digest) -> Digest {
        self.known.insert(address, print);
        print
    }
}

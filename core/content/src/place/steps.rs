//! Where the steps of a pointer lead, in a document that was read either way.
//!
//! In: a value or a node, and steps. Out: what they lead to, to be kept.

use super::Step;
use crate::json::{Kind, Node, Value};

/// A value that steps lead through.
pub(super) trait Walked: Copy {
    fn member(self, key: &str) -> Option<Self>;
    fn element(self, index: usize) -> Option<Self>;
    /// The elements of an array, the values of an object's members.
    fn all_below(self) -> Vec<Self>;
    fn is_null(self) -> bool;
    fn kept(self) -> Value;
}

impl Walked for &Value {
    fn member(self, key: &str) -> Option<Self> {
        self.get(key)
    }

    fn element(self, index: usize) -> Option<Self> {
        let Value::Array(items) = self else { return None };
        items.get(index)
    }

    fn all_below(self) -> Vec<Self> {
        match self {
            Value::Array(items) => items.iter().collect(),
            Value::Object(members) => members.iter().map(|(_, value)| value).collect(),
            _ => Vec::new(),
        }
    }

    fn is_null(self) -> bool {
        *self == Value::Null
    }

    fn kept(self) -> Value {
        self.clone()
    }
}

impl Walked for Node<'_> {
    fn member(self, key: &str) -> Option<Self> {
        self.get(key)
    }

    fn element(self, index: usize) -> Option<Self> {
        self.elements().nth(index)
    }

    fn all_below(self) -> Vec<Self> {
        self.elements().chain(self.members().map(|(_, value)| value)).collect()
    }

    fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    fn kept(self) -> Value {
        self.to_value()
    }
}

/// What the steps lead to: behind a `*` all of it, as an array.
pub(super) fn at_steps<T: Walked>(value: T, steps: &[Step]) -> Option<Value> {
    let is_one = !steps.contains(&Step::AnyOne);
    let mut found = vec![value];
    for step in steps {
        found = found.into_iter().flat_map(|value| below(value, step)).collect();
    }
    match (is_one, &found[..]) {
        (_, []) => None,
        (true, [one, ..]) => (!one.is_null()).then(|| one.kept()),
        (false, all) => Some(Value::Array(all.iter().map(|value| value.kept()).collect())),
    }
}

fn below<T: Walked>(value: T, step: &Step) -> Vec<T> {
    match step {
        Step::Literal { key, index } => {
            value.member(key).or_else(|| index.and_then(|index| value.element(index))).into_iter().collect()
        }
        Step::AnyOne => value.all_below(),
    }
}

//! JSON kept as it was written: numbers as text, members in the document's order.
//!
//! In: bytes, strictly RFC 8259. Out: a [`Tree`] to look at or a [`Value`] to keep, and the two ways to write one: canonical and compact. A document
//! that two readers could understand differently (a key given twice, half a surrogate pair, a byte order mark) is
//! refused rather than guessed at; whoever asked treats it as bytes. Comparing values is left to `diff`.

mod error;
mod escape;
mod parser;
mod plain;
mod scalar;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

pub use error::{Fault, ParseError};
pub use parser::{DEPTH_MAX, parse, parse_limited, parse_tree, parse_tree_like, parse_tree_owned};
pub use tree::{Elements, Kind, Members, Node, Tree};

/// One JSON value.
///
/// Equality is of what was written: `1.0` is not `1.00`, and objects with members in another order are not equal. Where
/// order must not matter, compare what [`Value::write_canonical`] writes.
///
/// Parsed values are at most [`DEPTH_MAX`] deep; whoever builds one by hand keeps to that too, since writing and
/// dropping go down one stack frame for each level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written, never taken through a double.
    Number(String),
    /// A string with its escapes resolved.
    String(String),
    /// The elements in order.
    Array(Vec<Value>),
    /// The members in the document's order; no key stands twice.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// The member of this key, or `None` when there is none or this is no object.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a string, or `None` for anything else.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value this is, in the words of RFC 8259: `null`, `boolean`, `number`, `string`, `array`, `object`.
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Appends the canonical form: keys sorted by bytes, no white space, shortest escapes, numbers as written.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        writer::write(self, writer::Order::Sorted, out);
    }

    /// Appends the value without white space, members in the document's order.
    pub fn write_compact(&self, out: &mut Vec<u8>) {
        writer::write(self, writer::Order::AsWritten, out);
    }

    /// The compact form as text.
    pub fn to_compact_text(&self) -> String {
        let mut out = Vec::new();
        self.write_compact(&mut out);
        String::from_utf8(out).expect("keys, strings and numbers are UTF-8, and so is what stands between them")
    }
}

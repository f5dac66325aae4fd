//! A document read without copying: each value is a range of the text, and a table says where each of them ends.
//!
//! In: text that the parser has found to be JSON. Out: [`Node`]s to walk on. Sixteen bytes for each value and each key; only
//! strings with escapes are copied. Whoever keeps or changes a value turns it into a [`Value`].

use std::borrow::Cow;

use super::{Value, writer};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// The words of RFC 8259: `null`, `boolean`, `number`, `string`, `array`, `object`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// One value, or one key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its first byte in the text.
    pub(super) start: u32,
    /// Behind its last byte.
    pub(super) end: u32,
    /// Of an array or object: the entry behind all that is in it. Of a string: [`NO_ESCAPE`], or where its text is.
    pub(super) next: u32,
    pub(super) kind: Kind,
    /// True for a member's key.
    pub(super) is_key: bool,
}

/// A string that stands in the document as it is.
pub(super) const NO_ESCAPE: u32 = u32::MAX;

/// A document, read.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    pub(super) text: Cow<'a, str>,
    /// In the document's order, a key before its value; the first is the root.
    pub(super) entries: Vec<Entry>,
    /// The texts of strings with escapes, one behind the other.
    pub(super) unescaped: String,
    /// Where each of them stands there.
    pub(super) texts: Vec<(u32, u32)>,
}

impl Tree<'_> {
    /// The value that is the document.
    pub fn root(&self) -> Node<'_> {
        Node { tree: self, at: 0 }
    }

    /// The text of the string that this entry is.
    pub(super) fn key_text(&self, at: u32) -> &str {
        Node { tree: self, at }.text().unwrap_or_default()
    }

    /// How many values and keys it has.
    #[expect(clippy::len_without_is_empty, reason = "no document has none")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The same, holding its text.
    pub fn into_owned(self) -> Tree<'static> {
        Tree {
            text: Cow::Owned(self.text.into_owned()),
            entries: self.entries,
            unescaped: self.unescaped,
            texts: self.texts,
        }
    }
}

/// One value of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    at: u32,
}

impl<'t> Node<'t> {
    /// Its number among the values and keys of the document: no other has it.
    pub fn number(self) -> u32 {
        self.at
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.entry().kind
    }

    /// As it stands in the document.
    pub fn raw(self) -> &'t str {
        let Entry { start, end, .. } = *self.entry();
        &self.tree.text[start as usize..end as usize]
    }

    /// A string's text with its escapes resolved; `None` for anything else.
    pub fn text(self) -> Option<&'t str> {
        let entry = self.entry();
        if entry.kind != Kind::String {
            return None;
        }
        Some(match entry.next {
            NO_ESCAPE => &self.tree.text[entry.start as usize + 1..entry.end as usize - 1],
            at => {
                let (start, end) = self.tree.texts[at as usize];
                &self.tree.unescaped[start as usize..end as usize]
            }
        })
    }

    /// The elements of an array; of anything else none.
    pub fn elements(self) -> Elements<'t> {
        let end = if self.kind() == Kind::Array { self.entry().next } else { self.at };
        Elements { tree: self.tree, at: self.at + 1, end }
    }

    /// The members of an object in the document's order; of anything else none.
    pub fn members(self) -> Members<'t> {
        let end = if self.kind() == Kind::Object { self.entry().next } else { self.at };
        Members(Elements { tree: self.tree, at: self.at + 1, end })
    }

    /// The member of this key.
    pub fn get(self, key: &str) -> Option<Node<'t>> {
        self.members().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// True when the canonical forms are equal: the order of members, white space and escapes do not matter.
    pub fn equals(self, other: Node<'_>) -> bool {
        if self.kind() != other.kind() {
            return false;
        }
        if self.raw() == other.raw() {
            return true;
        }
        match self.kind() {
            Kind::Null => true,
            Kind::Bool | Kind::Number => false,
            Kind::String => self.text() == other.text(),
            Kind::Array => {
                let (mut one, mut other) = (self.elements(), other.elements());
                loop {
                    match (one.next(), other.next()) {
                        (Some(one), Some(other)) if one.equals(other) => {}
                        (None, None) => return true,
                        _ => return false,
                    }
                }
            }
            Kind::Object => self.equals_object(other),
        }
    }

    fn equals_object(self, other: Node<'_>) -> bool {
        let (mut one, mut two) = (self.members(), other.members());
        loop {
            match (one.next(), two.next()) {
                (Some((key, value)), Some((other_key, other_value))) if key == other_key => {
                    if !value.equals(other_value) {
                        return false;
                    }
                }
                (None, None) => return true,
                (Some(_), Some(_)) => break,
                _ => return false,
            }
        }
        let (one, other) = (self.members_by_key(), other.members_by_key());
        one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| one.0 == other.0 && one.1.equals(other.1))
    }

    /// The members sorted by their keys' bytes, as the canonical form has them.
    pub fn members_by_key(self) -> Vec<(&'t str, Node<'t>)> {
        let mut members: Vec<_> = self.members().collect();
        members.sort_unstable_by_key(|(key, _)| *key);
        members
    }

    /// Appends the canonical form, as [`Value::write_canonical`] does.
    pub fn write_canonical(self, out: &mut Vec<u8>) {
        match self.kind() {
            Kind::Null | Kind::Bool | Kind::Number => out.extend_from_slice(self.raw().as_bytes()),
            Kind::String => writer::write_string(self.text().unwrap_or_default(), out),
            Kind::Array => {
                out.push(b'[');
                for (at, element) in self.elements().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    element.write_canonical(out);
                }
                out.push(b']');
            }
            Kind::Object => {
                out.push(b'{');
                for (at, (key, value)) in self.members_by_key().into_iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    writer::write_string(key, out);
                    out.push(b':');
                    value.write_canonical(out);
                }
                out.push(b'}');
            }
        }
    }

    /// A copy that can be kept and changed.
    pub fn to_value(self) -> Value {
        match self.kind() {
            Kind::Null => Value::Null,
            Kind::Bool => Value::Bool(self.raw() == "true"),
            Kind::Number => Value::Number(self.raw().to_owned()),
            Kind::String => Value::String(self.text().unwrap_or_default().to_owned()),
            Kind::Array => Value::Array(self.elements().map(Node::to_value).collect()),
            Kind::Object => {
                Value::Object(self.members().map(|(key, value)| (key.to_owned(), value.to_value())).collect())
            }
        }
    }

    fn entry(self) -> &'t Entry {
        &self.tree.entries[self.at as usize]
    }
}

/// The elements of an array in order.
#[derive(Clone, Debug)]
pub struct Elements<'t> {
    tree: &'t Tree<'t>,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Elements<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.at >= self.end {
            return None;
        }
        let node = Node { tree: self.tree, at: self.at };
        self.at = match node.kind() {
            Kind::Array | Kind::Object => node.entry().next,
            _ => self.at + 1,
        };
        Some(node)
    }
}

/// The members of an object in the document's order.
#[derive(Clone, Debug)]
pub struct Members<'t>(Elements<'t>);

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, Node<'t>);

    fn next(&mut self) -> Option<(&'t str, Node<'t>)> {
        let key = self.0.next()?.text()?;
        Some((key, self.0.next()?))
    }
}

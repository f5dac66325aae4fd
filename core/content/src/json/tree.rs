//! A document read without copying: each value is a range of the text, and a table says where each of them ends.
//!
//! In: text that the parser has found to be JSON. Out: [`Node`]s to walk on. Sixteen bytes for each value and each key; only
//! strings with escapes are copied, when they are asked for. What a document has in common with another one may stand in that
//! one's table alone. Whoever keeps or changes a value turns it into a [`Value`].

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use super::{
    Value,
    escape::{has_shortest_escapes, unescaped},
    writer,
};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its first byte in the text.
    pub(super) start: u32,
    /// Behind its last byte.
    pub(super) end: u32,
    /// Of what was taken over: its entry in the other document. Else, of an array or object: the entry behind all that is in
    /// it; of a string: [`NO_ESCAPE`], or where its text is.
    pub(super) next: u32,
    pub(super) kind: Kind,
    /// True for a member's key.
    pub(super) is_key: bool,
    /// True for what stands in the other document too; what is inside it has its entries there alone.
    pub(super) is_taken_over: bool,
}

impl Entry {
    /// The entry behind this one, whose number is given, and all that is in it.
    #[inline]
    pub(super) fn behind(&self, at: u32) -> u32 {
        let is_container = matches!(self.kind, Kind::Array | Kind::Object);
        if is_container && !self.is_taken_over { self.next } else { at + 1 }
    }
}

/// A string that stands in the document as it is.
pub(super) const NO_ESCAPE: u32 = u32::MAX;

/// What a document consists of, apart from its text.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// In the document's order, a key before its value; the first is the root.
    pub(super) entries: Vec<Entry>,
    /// How many strings have escapes.
    pub(super) escaped: u32,
    /// The texts of these, once somebody has asked for them.
    pub(super) texts: OnceLock<Box<[OnceLock<Box<str>>]>>,
    /// Entries inside what was taken over, which are not here.
    pub(super) elsewhere: usize,
}

impl Table {
    /// The text of the string with escapes that has this number and is written so.
    fn text(&self, at: u32, written: &str) -> &str {
        let texts = self.texts.get_or_init(|| (0..self.escaped).map(|_| OnceLock::new()).collect());
        texts[at as usize].get_or_init(|| unescaped(written).into_boxed_str())
    }
}

/// A document, read.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) table: Table,
    /// The document that things were taken over from; it has none itself.
    pub(super) like: Option<Arc<Tree<'a>>>,
}

impl Tree<'_> {
    /// The value that is the document.
    pub fn root(&self) -> Node<'_> {
        Node::of(self, 0, &self.table.entries[0])
    }

    /// How many values and keys it has.
    #[expect(clippy::len_without_is_empty, reason = "no document has none")]
    pub fn len(&self) -> usize {
        self.table.entries.len() + self.table.elsewhere
    }

    /// The entry behind this one and all that is in it.
    #[inline]
    pub(super) fn behind(&self, at: u32) -> u32 {
        self.table.entries[at as usize].behind(at)
    }

    /// The bytes of an entry.
    #[inline]
    pub(super) fn written(&self, entry: &Entry) -> &[u8] {
        &self.text.as_bytes()[entry.start as usize..entry.end as usize]
    }
}

/// One value of a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    at: u32,
}

impl<'t> Node<'t> {
    /// What this entry, which has this number, is, be it in the other document.
    #[inline]
    fn of(tree: &'t Tree<'t>, at: u32, entry: &Entry) -> Self {
        match &tree.like {
            Some(like) if entry.is_taken_over => Self { tree: like, at: entry.next },
            _ => Self { tree, at },
        }
    }

    /// Its number among the values and keys of the document: no other has it.
    pub fn number(self) -> u64 {
        // What two documents share has the number that it has in the one of them.
        u64::from(self.at) + if self.tree.like.is_some() { 1 << 32 } else { 0 }
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> Kind {
        self.entry().kind
    }

    /// As it stands in the document.
    #[inline]
    pub fn raw(self) -> &'t str {
        let Entry { start, end, .. } = *self.entry();
        &self.tree.text[start as usize..end as usize]
    }

    /// How many bytes that are.
    #[inline]
    pub fn written_len(self) -> u64 {
        let Entry { start, end, .. } = *self.entry();
        u64::from(end - start)
    }

    /// True for a number, `true`, `false`, `null`, and a string without escapes but the shortest: what the canonical form has as it
    /// stands here. Some others may be so too.
    pub fn is_canonical(self) -> bool {
        let entry = self.entry();
        match entry.kind {
            Kind::Null | Kind::Bool | Kind::Number => true,
            Kind::String => entry.next == NO_ESCAPE || has_shortest_escapes(self.raw()),
            Kind::Array | Kind::Object => false,
        }
    }

    /// True when both are written alike, byte for byte.
    #[inline]
    pub fn is_written_like(self, other: Node<'_>) -> bool {
        let is_same = std::ptr::eq(self.tree, other.tree) && self.at == other.at;
        is_same || self.tree.written(self.entry()) == other.tree.written(other.entry())
    }

    /// A string's text with its escapes resolved; `None` for anything else.
    #[inline]
    pub fn text(self) -> Option<&'t str> {
        let entry = self.entry();
        if entry.kind != Kind::String {
            return None;
        }
        let written = &self.tree.text[entry.start as usize + 1..entry.end as usize - 1];
        Some(match entry.next {
            NO_ESCAPE => written,
            at => self.tree.table.text(at, written),
        })
    }

    /// The same, and nothing is kept for whoever asks again.
    pub fn text_once(self) -> Option<Cow<'t, str>> {
        let entry = self.entry();
        if entry.kind != Kind::String {
            return None;
        }
        let written = &self.tree.text[entry.start as usize + 1..entry.end as usize - 1];
        Some(if entry.next == NO_ESCAPE { Cow::Borrowed(written) } else { Cow::Owned(unescaped(written)) })
    }

    /// The elements of an array; of anything else none.
    #[inline]
    pub fn elements(self) -> Elements<'t> {
        let end = if self.kind() == Kind::Array { self.entry().next } else { self.at };
        Elements { tree: self.tree, at: self.at + 1, end }
    }

    /// The members of an object in the document's order; of anything else none.
    #[inline]
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
        if self.is_written_like(other) {
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
            Kind::String => writer::write_string(&self.text_once().unwrap_or_default(), out),
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

    #[inline]
    fn entry(self) -> &'t Entry {
        &self.tree.table.entries[self.at as usize]
    }
}

/// The elements of an array in order.
#[derive(Clone, Debug)]
pub struct Elements<'t> {
    tree: &'t Tree<'t>,
    at: u32,
    end: u32,
}

impl<'t> Elements<'t> {
    /// The most there can be.
    pub fn len_max(&self) -> usize {
        self.end.saturating_sub(self.at) as usize
    }
}

impl<'t> Iterator for Elements<'t> {
    type Item = Node<'t>;

    #[inline]
    fn next(&mut self) -> Option<Node<'t>> {
        if self.at >= self.end {
            return None;
        }
        let Self { tree, at, .. } = *self;
        let entry = &tree.table.entries[at as usize];
        self.at = entry.behind(at);
        Some(Node::of(tree, at, entry))
    }
}

/// The members of an object in the document's order.
#[derive(Clone, Debug)]
pub struct Members<'t>(Elements<'t>);

impl<'t> Iterator for Members<'t> {
    type Item = (&'t str, Node<'t>);

    #[inline]
    fn next(&mut self) -> Option<(&'t str, Node<'t>)> {
        let Elements { tree, at, end } = self.0;
        if at >= end {
            return None;
        }
        let [key, value] = tree.table.entries[at as usize..].first_chunk()?;
        self.0.at = value.behind(at + 1);
        Some((Node::of(tree, at, key).text()?, Node::of(tree, at + 1, value)))
    }
}

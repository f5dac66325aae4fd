//! Reads a document into a [`Tree`]: strict, bounded in depth, no number ever converted, nothing copied. A [`Value`] is made
//! of that.

mod again;
mod alike;
mod keys;
mod pattern;

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use self::{
    again::Before,
    alike::{Others, common_end_len},
    keys::Keys,
};
use super::{
    Fault, ParseError, Tree, Value,
    escape::{Refused, refused, unescaped},
    scalar::{self, Scalar},
    tree::{Entry, Kind, NO_ESCAPE, Table},
};

/// How many arrays and objects may stand inside one another.
///
/// RFC 8259 (section 9) leaves the limit to each reader; 128 is a choice, and that of other common readers.
pub const DEPTH_MAX: usize = 128;

/// Entries that are set aside at first for a document that is like another one. A choice.
const ENTRIES_ALIKE: usize = 64;

/// Bytes of a document for which one entry of the table is set aside at first: a typical one has fewer. A choice.
const BYTES_PER_ENTRY: usize = 8;

/// Most entries that are set aside at first. A choice: 64 KiB.
const ENTRIES_AT_FIRST_MAX: usize = 4_096;

/// Reads one JSON document that fills `bytes`.
///
/// The value takes at most about 60 bytes of memory for each byte of the document (an array of one-digit numbers); where
/// that is too much, use [`parse_limited`].
///
/// # Errors
/// When the bytes are not UTF-8 or not one document of RFC 8259, when a key stands twice in an object, a surrogate half
/// alone, or values more than [`DEPTH_MAX`] deep.
pub fn parse(bytes: &[u8]) -> Result<Value, ParseError> {
    parse_limited(bytes, usize::MAX)
}

/// Like [`parse`], with at most `values_max` values (a member's key is not one of its own).
///
/// # Errors
/// Those of [`parse`], and [`Fault::TooManyValues`].
pub fn parse_limited(bytes: &[u8], values_max: usize) -> Result<Value, ParseError> {
    parse_tree(bytes, values_max).map(|tree| tree.root().to_value())
}

/// Reads one JSON document of at most `values_max` values without copying it.
///
/// The table takes at most 16 bytes of memory for each value and each key, twice that while it grows; once somebody asks for
/// the text of a string with escapes, 24 more for each of these, and the texts that were asked for.
///
/// # Errors
/// Those of [`parse_limited`]; a document of 4 GiB or more has too many values.
pub fn parse_tree(bytes: &[u8], values_max: usize) -> Result<Tree<'_>, ParseError> {
    let text = text_of(bytes)?;
    Ok(Tree { text: Cow::Borrowed(text), table: table_of(text, values_max, None)?, like: None })
}

/// Like [`parse_tree`], quicker where the document is much like another one: what stands in the same place and is written
/// alike is not read again, and has no table of its own.
///
/// # Errors
/// Those of [`parse_tree`].
pub fn parse_tree_like<'a>(bytes: &'a [u8], values_max: usize, like: &Arc<Tree<'a>>) -> Result<Tree<'a>, ParseError> {
    let like = usable(Some(like));
    let text = text_of(bytes)?;
    Ok(Tree { text: Cow::Borrowed(text), table: table_of(text, values_max, like)?, like: like.cloned() })
}

/// Like [`parse_tree`], or [`parse_tree_like`] where there is another one, keeping the text.
///
/// # Errors
/// Those of [`parse_tree`], with the text.
pub fn parse_tree_owned<'a>(
    text: String,
    values_max: usize,
    like: Option<&Arc<Tree<'a>>>,
) -> Result<Tree<'a>, (ParseError, String)> {
    let like = usable(like);
    let read = text_of(text.as_bytes()).and_then(|text| table_of(text, values_max, like));
    match read {
        Ok(table) => Ok(Tree { text: Cow::Owned(text), table, like: like.cloned() }),
        Err(error) => Err((error, text)),
    }
}

/// The other document, where it has a table of its own for all that is in it.
fn usable<'l, 'a>(like: Option<&'l Arc<Tree<'a>>>) -> Option<&'l Arc<Tree<'a>>> {
    like.filter(|like| like.like.is_none())
}

fn text_of(bytes: &[u8]) -> Result<&str, ParseError> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| ParseError { offset: error.valid_up_to(), what: Fault::NotUtf8 })?;
    if text.starts_with('\u{feff}') {
        return Err(ParseError { offset: 0, what: Fault::ByteOrderMark });
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError { offset: 0, what: Fault::TooManyValues });
    }
    Ok(text)
}

fn table_of(text: &str, values_max: usize, like: Option<&Arc<Tree<'_>>>) -> Result<Table, ParseError> {
    let read = match like {
        Some(like) => Parser::<true>::new(text, values_max, Some(like)).document(),
        None => Parser::<false>::new(text, values_max, None).document(),
    };
    read.map_err(|refused| *refused)
}

/// `ALIKE` where there is another document; all of it is left out of the code where there is none. Where it stands in the text is
/// handed from each function to the next.
struct Parser<'a, const ALIKE: bool> {
    text: &'a str,
    depth: usize,
    values_left: usize,
    table: Table,
    /// A document that this one may be like.
    like: Option<&'a Tree<'a>>,
    /// How many bytes it and this one have in common at their ends.
    common_end_len: usize,
}

impl<'a, const ALIKE: bool> Parser<'a, ALIKE> {
    fn new(text: &'a str, values_max: usize, like: Option<&'a Tree<'a>>) -> Self {
        let capacity = if ALIKE { ENTRIES_ALIKE } else { text.len() / BYTES_PER_ENTRY + 4 };
        let entries = Vec::with_capacity(capacity.min(ENTRIES_AT_FIRST_MAX));
        let table = Table { entries, escaped: 0, texts: OnceLock::new(), elsewhere: 0 };
        let common_end_len = like.map_or(0, |like| common_end_len(like.text.as_bytes(), text.as_bytes()));
        Self { text, depth: 0, values_left: values_max, table, like, common_end_len }
    }

    fn document(mut self) -> Result<Table, Refused> {
        let begin = self.behind_space(0);
        let end = self.value(begin, ALIKE.then_some(0), None)?;
        let end = self.behind_space(end);
        if end < self.text.len() { Err(refused(end, Fault::Trailing)) } else { Ok(self.table) }
    }

    /// Reads the value that begins here, and gives where it ends. `alike` is the entry of the other document that stands in the
    /// same place, `model` that of an object which it may be like.
    #[inline(always)]
    fn value(&mut self, at: usize, alike: Option<u32>, model: Option<usize>) -> Result<usize, Refused> {
        if ALIKE
            && let Some(alike) = alike
            && let Some(end) = self.taken_over(at, alike)
        {
            return Ok(end);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| refused(at, Fault::TooManyValues))?;
        match self.byte(at) {
            Some(b'{') => self.object(at, alike, model),
            Some(b'[') => self.array(at, alike),
            _ => {
                let scalar = scalar::scalar(self.text, at)?;
                self.push_scalar(at, scalar, false);
                Ok(scalar.end)
            }
        }
    }

    #[inline(never)]
    fn array(&mut self, begin: usize, alike: Option<u32>) -> Result<usize, Refused> {
        let entry_at = self.enter(begin, Kind::Array)?;
        let mut others = self.inside(alike, Kind::Array);
        let mut at = self.behind_space(begin + 1);
        if self.byte(at) != Some(b']') {
            let mut before = Before::default();
            loop {
                let known =
                    if ALIKE { self.rest_taken_over(at, &mut others) } else { self.element_again(at, &mut before) };
                at = match known {
                    Some(end) => end,
                    None => {
                        let alike = if ALIKE { others.next(self.like) } else { None };
                        let model = if ALIKE { None } else { before.object(&self.table) };
                        let (element_at, values_left) = (self.table.entries.len(), self.values_left);
                        let end = self.value(at, alike, model)?;
                        if !ALIKE {
                            self.note_element(&mut before, element_at, values_left - self.values_left);
                        }
                        end
                    }
                };
                at = self.behind_space(at);
                match self.byte(at) {
                    Some(b',') => at = self.behind_space(at + 1),
                    Some(b']') => break,
                    _ => return Err(self.unexpected(at)),
                }
            }
        }
        self.leave(entry_at, at + 1);
        Ok(at + 1)
    }

    #[inline(never)]
    fn object(&mut self, begin: usize, alike: Option<u32>, model: Option<usize>) -> Result<usize, Refused> {
        let entry_at = self.enter(begin, Kind::Object)?;
        let again = match model {
            Some(model) if !ALIKE => self.members_again(begin, model)?,
            _ => None,
        };
        let end = match again {
            Some(behind) => self.members_behind(behind, entry_at)?,
            None => {
                let at = self.behind_space(begin + 1);
                let is_empty = self.byte(at) == Some(b'}');
                if is_empty { at + 1 } else { self.members(at, alike, entry_at, Keys::default())? }
            }
        };
        self.leave(entry_at, end);
        Ok(end)
    }

    /// Reads the members of an object behind those that it has so far, up to its end.
    #[inline]
    fn members_behind(&mut self, behind: usize, object_at: usize) -> Result<usize, Refused> {
        let at = self.behind_space(behind);
        match self.byte(at) {
            Some(b'}') => Ok(at + 1),
            Some(b',') => {
                let keys = self.keys_of(object_at);
                self.members(self.behind_space(at + 1), None, object_at, keys)
            }
            _ => Err(self.unexpected(at)),
        }
    }

    /// The keys that an object has so far.
    #[inline(never)]
    fn keys_of(&self, object_at: usize) -> Keys {
        let mut keys = Keys::default();
        let mut at = object_at + 1;
        while at < self.table.entries.len() {
            keys.take(self.key_text(at).as_bytes());
            at = self.behind_member(at);
        }
        keys
    }

    /// Reads the members from the key on that stands here; gives where their object ends. `keys` are those before it.
    #[inline(never)]
    fn members(
        &mut self,
        mut at: usize,
        alike: Option<u32>,
        object_at: usize,
        mut keys: Keys,
    ) -> Result<usize, Refused> {
        let mut others = self.inside(alike, Kind::Object);
        loop {
            let (behind_key, alike) = self.key(at, &mut keys, &mut others)?;
            at = self.behind_space(behind_key);
            if self.byte(at) != Some(b':') {
                return Err(self.unexpected(at));
            }
            at = self.behind_space(at + 1);
            at = self.value(at, alike, None)?;
            at = self.behind_space(at);
            match self.byte(at) {
                Some(b',') => at = self.behind_space(at + 1),
                Some(b'}') => break,
                _ => return Err(self.unexpected(at)),
            }
        }
        if keys.may_have_twins {
            self.refuse_twins(object_at)?;
        }
        Ok(at + 1)
    }

    /// Reads a key; gives where it ends, and what stands beside its value in the other document.
    #[inline]
    fn key(&mut self, at: usize, keys: &mut Keys, others: &mut Others) -> Result<(usize, Option<u32>), Refused> {
        if self.byte(at) != Some(b'"') {
            return Err(self.unexpected(at));
        }
        if ALIKE
            && let Some(alike) = others.next(self.like)
            && let Some(end) = self.taken_over(at, alike)
        {
            let has_escape = self.like.is_none_or(|like| like.table.entries[alike as usize].next != NO_ESCAPE);
            if has_escape {
                keys.take(unescaped(&self.text[at + 1..end - 1]).as_bytes());
            } else {
                keys.take(&self.text.as_bytes()[at + 1..end - 1]);
            }
            return Ok((end, others.next(self.like)));
        }
        let scalar = scalar::string(self.text, at)?;
        let end = scalar.end;
        self.push_scalar(at, scalar, true);
        if scalar.has_escape {
            keys.take(unescaped(&self.text[at + 1..end - 1]).as_bytes());
        } else {
            keys.take(&self.text.as_bytes()[at + 1..end - 1]);
        }
        let alike = if ALIKE { others.find(self.like, &self.text[at + 1..end - 1]) } else { None };
        Ok((end, alike))
    }

    /// Refuses an object in which a key stands twice.
    #[inline(never)]
    fn refuse_twins(&self, object_at: usize) -> Result<(), Refused> {
        let start = self.table.entries[object_at].start;
        let mut keys = Vec::new();
        let mut at = object_at + 1;
        while at < self.table.entries.len() {
            keys.push(self.key_text(at));
            at = self.behind_member(at);
        }
        match keys::twin(&keys) {
            Some(key) => Err(refused(start as usize, Fault::DuplicateKey(key.to_owned()))),
            None => Ok(()),
        }
    }

    /// The entry behind the member whose key this is.
    #[inline]
    fn behind_member(&self, key_at: usize) -> usize {
        let value = &self.table.entries[key_at + 1];
        let is_container = matches!(value.kind, Kind::Array | Kind::Object) && !value.is_taken_over;
        if is_container { value.next as usize } else { key_at + 2 }
    }

    fn key_text(&self, entry_at: usize) -> Cow<'_, str> {
        let entry = &self.table.entries[entry_at];
        let written = &self.text[entry.start as usize + 1..entry.end as usize - 1];
        if written.contains('\\') { Cow::Owned(unescaped(written)) } else { Cow::Borrowed(written) }
    }

    /// Adds the array or object whose bracket stands here, one level deeper; gives the entry's number.
    #[inline]
    fn enter(&mut self, at: usize, kind: Kind) -> Result<usize, Refused> {
        if self.depth == DEPTH_MAX {
            return Err(refused(at, Fault::TooDeep));
        }
        self.depth += 1;
        self.push(at, at, kind, 0, false);
        Ok(self.table.entries.len() - 1)
    }

    /// Behind a closing bracket, one level up.
    #[inline]
    fn leave(&mut self, entry_at: usize, end: usize) {
        self.depth -= 1;
        let next = offset(self.table.entries.len());
        let entry = &mut self.table.entries[entry_at];
        entry.end = offset(end);
        entry.next = next;
    }

    #[inline(always)]
    fn push_scalar(&mut self, at: usize, scalar: Scalar, is_key: bool) {
        let next = if scalar.has_escape { self.table.escaped } else { NO_ESCAPE };
        self.table.escaped += u32::from(scalar.has_escape);
        self.push(at, scalar.end, scalar.kind, next, is_key);
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, kind: Kind, next: u32, is_key: bool) {
        let (start, end) = (offset(start), offset(end));
        self.table.entries.push(Entry { start, end, next, kind, is_key, is_taken_over: false });
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        scalar::byte(self.text, at)
    }

    #[inline]
    fn behind_space(&self, at: usize) -> usize {
        match self.byte(at) {
            Some(byte) if byte > b' ' => at,
            _ => self.behind_some_space(at),
        }
    }

    #[inline(never)]
    fn behind_some_space(&self, mut at: usize) -> usize {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte(at) {
            at += 1;
        }
        at
    }

    #[cold]
    fn unexpected(&self, at: usize) -> Refused {
        scalar::unexpected(self.text, at)
    }
}

/// Fits, since longer documents are refused.
#[inline]
fn offset(at: usize) -> u32 {
    at as u32
}

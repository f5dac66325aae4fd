//! Reads a document into a [`Tree`]: strict, bounded in depth, no number ever converted, nothing copied. A [`Value`] is made
//! of that.

mod alike;
mod keys;
mod pattern;

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use self::{
    alike::Others,
    keys::Keys,
    pattern::{Between, Pattern},
};
use super::{
    Fault, ParseError, Tree, Value,
    escape::{Refused, escape, refused, unescaped},
    plain::plain_len,
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
    /// Of the arrays that are being read, the outer ones first: what the next element may be like.
    patterns: Vec<Between>,
    /// True when the last object left its pattern.
    is_pattern_left: bool,
    /// A document that this one may be like.
    like: Option<&'a Tree<'a>>,
}

impl<'a, const ALIKE: bool> Parser<'a, ALIKE> {
    fn new(text: &'a str, values_max: usize, like: Option<&'a Tree<'a>>) -> Self {
        let capacity = if ALIKE { ENTRIES_ALIKE } else { text.len() / BYTES_PER_ENTRY + 4 };
        let entries = Vec::with_capacity(capacity.min(ENTRIES_AT_FIRST_MAX));
        let table = Table { entries, escaped: 0, texts: OnceLock::new(), elsewhere: 0 };
        Self { text, depth: 0, values_left: values_max, table, patterns: Vec::new(), is_pattern_left: false, like }
    }

    fn document(mut self) -> Result<Table, Refused> {
        let begin = self.behind_space(0);
        let end = self.value(begin, ALIKE.then_some(0), Pattern::default())?;
        let end = self.behind_space(end);
        if end < self.text.len() { Err(refused(end, Fault::Trailing)) } else { Ok(self.table) }
    }

    /// Reads the value that begins here, and gives where it ends. `alike` is the entry of the other document that stands in the
    /// same place, `pattern` what it may
    /// be like if it is an object.
    #[inline(always)]
    fn value(&mut self, at: usize, alike: Option<u32>, pattern: Pattern) -> Result<usize, Refused> {
        if ALIKE
            && let Some(alike) = alike
            && let Some(end) = self.taken_over(at, alike)
        {
            return Ok(end);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| refused(at, Fault::TooManyValues))?;
        match self.byte(at) {
            Some(b'"') => self.string(at, false),
            Some(b'-' | b'0'..=b'9') => self.number(at),
            Some(b'{') => self.object(at, alike, pattern),
            Some(b'[') => self.array(at, alike),
            Some(b't') => self.word(at, "true", Kind::Bool),
            Some(b'f') => self.word(at, "false", Kind::Bool),
            Some(b'n') => self.word(at, "null", Kind::Null),
            _ => Err(self.unexpected(at)),
        }
    }

    #[inline(never)]
    fn array(&mut self, begin: usize, alike: Option<u32>) -> Result<usize, Refused> {
        let entry_at = self.enter(begin, Kind::Array)?;
        let mut others = self.inside(alike, Kind::Array);
        let mut at = self.behind_space(begin + 1);
        if self.byte(at) != Some(b']') {
            let (mut before, mut pattern) = (None, Pattern::default());
            let patterns_len = self.patterns.len();
            loop {
                let alike = if ALIKE { others.next(self.like) } else { None };
                if pattern.is_empty() && self.byte(at) == Some(b'{') {
                    pattern = self.pattern_of(before);
                }
                before = Some(offset(self.table.entries.len()));
                at = self.value(at, alike, pattern)?;
                if std::mem::take(&mut self.is_pattern_left) {
                    self.patterns.truncate(patterns_len);
                    pattern = Pattern::default();
                }
                at = self.behind_space(at);
                match self.byte(at) {
                    Some(b',') => at = self.behind_space(at + 1),
                    Some(b']') => break,
                    _ => return Err(self.unexpected(at)),
                }
            }
            self.patterns.truncate(patterns_len);
        }
        self.leave(entry_at, at + 1);
        Ok(at + 1)
    }

    #[inline(never)]
    fn object(&mut self, begin: usize, alike: Option<u32>, pattern: Pattern) -> Result<usize, Refused> {
        let entry_at = self.enter(begin, Kind::Object)?;
        let mut keys = Keys::default();
        let mut at = begin + 1;
        let mut is_at_key = true;
        if let Some(behind) = self.members_as_before(begin, pattern)? {
            at = self.behind_space(behind);
            is_at_key = self.byte(at) == Some(b',');
            if is_at_key {
                self.take_keys(entry_at, &mut keys);
                at += 1;
            } else if self.byte(at) != Some(b'}') {
                return Err(self.unexpected(at));
            }
        }
        if is_at_key {
            at = self.behind_space(at);
            let is_empty = self.byte(at) == Some(b'}') && self.table.entries.len() == entry_at + 1;
            if !is_empty {
                at = self.members(at, alike, &mut keys)?;
            }
        }
        self.leave(entry_at, at + 1);
        if !pattern.is_empty() {
            self.is_pattern_left = is_at_key;
        }
        if keys.may_have_twins {
            self.refuse_twins(entry_at)?;
        }
        Ok(at + 1)
    }

    /// Reads the members from the key on that stands here; gives where the closing bracket is.
    #[inline]
    fn members(&mut self, mut at: usize, alike: Option<u32>, keys: &mut Keys) -> Result<usize, Refused> {
        let mut others = self.inside(alike, Kind::Object);
        loop {
            let (behind_key, alike) = self.key(at, keys, &mut others)?;
            at = self.behind_space(behind_key);
            if self.byte(at) != Some(b':') {
                return Err(self.unexpected(at));
            }
            at = self.behind_space(at + 1);
            at = self.value(at, alike, Pattern::default())?;
            at = self.behind_space(at);
            match self.byte(at) {
                Some(b',') => at = self.behind_space(at + 1),
                Some(b'}') => return Ok(at),
                _ => return Err(self.unexpected(at)),
            }
        }
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
        let plain_end = self.behind_plain(at + 1);
        let end = if self.byte(plain_end) == Some(b'"') {
            self.push(at, plain_end + 1, Kind::String, NO_ESCAPE, true);
            keys.take(&self.text.as_bytes()[at + 1..plain_end]);
            plain_end + 1
        } else {
            let end = self.string_with_escapes(at, plain_end, true)?;
            keys.take(unescaped(&self.text[at + 1..end - 1]).as_bytes());
            end
        };
        let alike = if ALIKE { others.find(self.like, &self.text[at + 1..end - 1]) } else { None };
        Ok((end, alike))
    }

    /// Refuses an object in which a key stands twice.
    #[inline(never)]
    fn refuse_twins(&self, object_at: usize) -> Result<(), Refused> {
        let Entry { start, next, .. } = self.table.entries[object_at];
        let mut keys = Vec::new();
        let mut at = object_at + 1;
        while at < next as usize {
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

    #[inline]
    fn push(&mut self, start: usize, end: usize, kind: Kind, next: u32, is_key: bool) {
        let (start, end) = (offset(start), offset(end));
        self.table.entries.push(Entry { start, end, next, kind, is_key, is_taken_over: false });
    }

    #[inline(always)]
    fn word(&mut self, at: usize, word: &str, kind: Kind) -> Result<usize, Refused> {
        let rest = &self.text.as_bytes()[at..];
        if rest.starts_with(word.as_bytes()) {
            self.push(at, at + word.len(), kind, NO_ESCAPE, false);
            return Ok(at + word.len());
        }
        let len = rest.iter().zip(word.as_bytes()).take_while(|(found, wanted)| found == wanted).count();
        Err(self.unexpected(at + len))
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    #[inline]
    fn number(&mut self, begin: usize) -> Result<usize, Refused> {
        let whole = begin + usize::from(self.byte(begin) == Some(b'-'));
        let mut at = self.behind_digits(whole)?;
        if at > whole + 1 && self.byte(whole) == Some(b'0') {
            return Err(refused(begin, Fault::BadNumber));
        }
        if self.byte(at) == Some(b'.') {
            at = self.behind_digits(at + 1)?;
        }
        if let Some(b'e' | b'E') = self.byte(at) {
            let is_signed = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            at = self.behind_digits(at + 1 + usize::from(is_signed))?;
        }
        self.push(begin, at, Kind::Number, NO_ESCAPE, false);
        Ok(at)
    }

    /// Behind one digit or more.
    #[inline]
    fn behind_digits(&self, begin: usize) -> Result<usize, Refused> {
        let mut at = begin;
        while let Some(b'0'..=b'9') = self.byte(at) {
            at += 1;
        }
        if at == begin {
            let what = if at == self.text.len() { Fault::UnexpectedEnd } else { Fault::BadNumber };
            return Err(refused(at, what));
        }
        Ok(at)
    }

    /// Reads the string whose quote stands here.
    #[inline(always)]
    fn string(&mut self, begin: usize, is_key: bool) -> Result<usize, Refused> {
        let at = self.behind_plain(begin + 1);
        if self.byte(at) == Some(b'"') {
            self.push(begin, at + 1, Kind::String, NO_ESCAPE, is_key);
            return Ok(at + 1);
        }
        self.string_with_escapes(begin, at, is_key)
    }

    /// Goes on at the first byte that does not stand for itself.
    #[inline(never)]
    fn string_with_escapes(&mut self, begin: usize, mut at: usize, is_key: bool) -> Result<usize, Refused> {
        loop {
            match self.byte(at) {
                Some(b'"') => break,
                Some(b'\\') => (_, at) = escape(self.text, at)?,
                Some(_) => return Err(refused(at, Fault::ControlCharacter)),
                None => return Err(refused(at, Fault::UnexpectedEnd)),
            }
            at = self.behind_plain(at);
        }
        self.push(begin, at + 1, Kind::String, self.table.escaped, is_key);
        self.table.escaped += 1;
        Ok(at + 1)
    }

    /// The next quote, backslash or control character, or the end.
    #[inline]
    fn behind_plain(&self, at: usize) -> usize {
        at + plain_len(&self.text.as_bytes()[at..])
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
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
        refused(at, self.text[at..].chars().next().map_or(Fault::UnexpectedEnd, Fault::Unexpected))
    }
}

/// Fits, since longer documents are refused.
#[inline]
fn offset(at: usize) -> u32 {
    at as u32
}

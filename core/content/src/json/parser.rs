//! Reads a document into a [`Tree`]: strict, bounded in depth, no number ever converted, nothing copied but strings with
//! escapes. A [`Value`] is made of that.

use std::borrow::Cow;

use super::{
    Fault, ParseError, Tree, Value,
    tree::{Entry, Kind, NO_ESCAPE},
};

/// How many arrays and objects may stand inside one another.
///
/// RFC 8259 (section 9) leaves the limit to each reader; 128 is a choice, and that of other common readers.
pub const DEPTH_MAX: usize = 128;

/// Objects up to this many members are searched pairwise for a key given twice, longer ones by sorting. A choice.
const PAIRWISE_MEMBERS_MAX: usize = 8;

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
/// The table takes at most 16 bytes of memory for each value and each key, twice that while it grows.
///
/// # Errors
/// Those of [`parse_limited`]; a document of 4 GiB or more has too many values.
pub fn parse_tree(bytes: &[u8], values_max: usize) -> Result<Tree<'_>, ParseError> {
    parse_alike(bytes, values_max, None)
}

/// Like [`parse_tree`], quicker where the document is much like another one: what stands in the same place and is written
/// alike is taken over from there.
///
/// # Errors
/// Those of [`parse_tree`].
pub fn parse_tree_like<'a>(bytes: &'a [u8], values_max: usize, like: &Tree<'_>) -> Result<Tree<'a>, ParseError> {
    parse_alike(bytes, values_max, Some(like))
}

fn parse_alike<'a>(bytes: &'a [u8], values_max: usize, like: Option<&Tree<'_>>) -> Result<Tree<'a>, ParseError> {
    let text =
        std::str::from_utf8(bytes).map_err(|error| ParseError { offset: error.valid_up_to(), what: Fault::NotUtf8 })?;
    if text.starts_with('\u{feff}') {
        return Err(ParseError { offset: 0, what: Fault::ByteOrderMark });
    }
    if u32::try_from(bytes.len()).is_err() {
        return Err(ParseError { offset: 0, what: Fault::TooManyValues });
    }
    let entries = Vec::with_capacity((bytes.len() / BYTES_PER_ENTRY + 4).min(ENTRIES_AT_FIRST_MAX));
    let (unescaped, texts) = (String::new(), Vec::new());
    let mut parser = Parser { text, at: 0, depth: 0, values_left: values_max, entries, unescaped, texts, like };
    parser.skip_white_space();
    parser.value(like.map(|_| 0)).map_err(|refused| *refused)?;
    parser.skip_white_space();
    if parser.at < text.len() {
        return Err(*parser.fault(Fault::Trailing));
    }
    Ok(Tree { text: Cow::Borrowed(text), entries: parser.entries, unescaped: parser.unescaped, texts: parser.texts })
}

/// Why reading stopped; boxed, so that what is read all the time is told in a register.
type Refused = Box<ParseError>;

mod alike;

use alike::Others;

struct Parser<'a, 'l> {
    text: &'a str,
    /// Always on a character's first byte.
    at: usize,
    depth: usize,
    values_left: usize,
    entries: Vec<Entry>,
    unescaped: String,
    texts: Vec<(u32, u32)>,
    /// A document that this one may be like.
    like: Option<&'l Tree<'l>>,
}

/// Tells objects that surely have no key twice from those that have to be looked at.
#[derive(Default)]
struct Keys {
    /// One bit for each hash that was there.
    seen: u64,
    may_have_twins: bool,
}

impl Keys {
    fn take(&mut self, key: &[u8]) {
        let byte = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
        let mixed = byte(0) + 3 * byte(key.len() / 2) + 5 * byte(key.len().wrapping_sub(1)) + 7 * key.len() as u64;
        // The upper six bits of a product with an odd constant (Fibonacci hashing).
        let bit = 1 << (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58);
        self.may_have_twins |= self.seen & bit != 0;
        self.seen |= bit;
    }
}

impl Parser<'_, '_> {
    /// `alike` is the entry of the other document that stands in the same place.
    fn value(&mut self, alike: Option<u32>) -> Result<(), Refused> {
        if let Some(alike) = alike
            && self.takes_over(alike)
        {
            return Ok(());
        }
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| self.fault(Fault::TooManyValues))?;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(alike),
            Some(b'[') => self.array(alike),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Kind::Bool),
            Some(b'f') => self.word("false", Kind::Bool),
            Some(b'n') => self.word("null", Kind::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self, alike: Option<u32>) -> Result<(), Refused> {
        let entry_at = self.enter(Kind::Array)?;
        let mut others = self.inside(alike, Kind::Array);
        if !self.takes_after_space(b']') {
            loop {
                self.skip_white_space();
                let alike = others.next(self.like);
                self.value(alike)?;
                if !self.more(b']')? {
                    break;
                }
            }
        }
        self.leave(entry_at);
        Ok(())
    }

    fn object(&mut self, alike: Option<u32>) -> Result<(), Refused> {
        let entry_at = self.enter(Kind::Object)?;
        let mut others = self.inside(alike, Kind::Object);
        let mut keys = Keys::default();
        if !self.takes_after_space(b'}') {
            loop {
                self.member(&mut keys, &mut others)?;
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        self.leave(entry_at);
        if keys.may_have_twins { self.refuse_twins(entry_at) } else { Ok(()) }
    }

    fn member(&mut self, keys: &mut Keys, others: &mut Others) -> Result<(), Refused> {
        self.skip_white_space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key_at = self.entries.len();
        let alike = others.next(self.like);
        let is_alike = alike.is_some_and(|alike| self.takes_over(alike));
        if !is_alike {
            self.string()?;
        }
        self.entries[key_at].is_key = true;
        let alike = if is_alike { others.next(self.like) } else { others.find(self.like, self.key(key_at)) };
        keys.take(self.key_bytes(key_at));
        if !self.takes_after_space(b':') {
            return Err(self.unexpected());
        }
        self.skip_white_space();
        self.value(alike)
    }

    /// The bytes of the string that this entry is.
    #[inline]
    fn key_bytes(&self, entry_at: usize) -> &[u8] {
        let entry = &self.entries[entry_at];
        match entry.next {
            NO_ESCAPE => &self.text.as_bytes()[entry.start as usize + 1..entry.end as usize - 1],
            _ => self.key(entry_at).as_bytes(),
        }
    }

    /// The text of the string that this entry is.
    fn key(&self, entry_at: usize) -> &str {
        let entry = &self.entries[entry_at];
        match entry.next {
            NO_ESCAPE => &self.text[entry.start as usize + 1..entry.end as usize - 1],
            at => {
                let (start, end) = self.texts[at as usize];
                &self.unescaped[start as usize..end as usize]
            }
        }
    }

    /// Refuses an object in which a key stands twice.
    fn refuse_twins(&self, object_at: usize) -> Result<(), Refused> {
        let Entry { start, next, .. } = self.entries[object_at];
        let mut keys = Vec::new();
        let mut at = object_at + 1;
        while at < next as usize {
            keys.push(self.key(at));
            let value = &self.entries[at + 1];
            at = if matches!(value.kind, Kind::Array | Kind::Object) { value.next as usize } else { at + 2 };
        }
        match duplicate_key(keys) {
            Some(key) => {
                Err(Box::new(ParseError { offset: start as usize, what: Fault::DuplicateKey(key.to_owned()) }))
            }
            None => Ok(()),
        }
    }

    /// After an element: true past a comma, false past the closing bracket.
    fn more(&mut self, close: u8) -> Result<bool, Refused> {
        if self.takes_after_space(b',') {
            Ok(true)
        } else if self.takes_after_space(close) {
            Ok(false)
        } else {
            Err(self.unexpected())
        }
    }

    /// Steps past an opening bracket, one level deeper; gives the entry's number.
    fn enter(&mut self, kind: Kind) -> Result<usize, Refused> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(Fault::TooDeep));
        }
        self.depth += 1;
        self.push(self.at, kind, 0);
        self.at += 1;
        Ok(self.entries.len() - 1)
    }

    /// Behind a closing bracket, one level up.
    fn leave(&mut self, entry_at: usize) {
        self.depth -= 1;
        let next = offset(self.entries.len());
        let entry = &mut self.entries[entry_at];
        entry.end = offset(self.at);
        entry.next = next;
    }

    /// Adds the value that begins at `start` and ends here.
    fn push(&mut self, start: usize, kind: Kind, next: u32) {
        self.entries.push(Entry { start: offset(start), end: offset(self.at), next, kind, is_key: false });
    }

    fn word(&mut self, word: &str, kind: Kind) -> Result<(), Refused> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            self.push(self.at - word.len(), kind, NO_ESCAPE);
            return Ok(());
        }
        self.at += rest.iter().zip(word.as_bytes()).take_while(|(found, wanted)| found == wanted).count();
        Err(self.unexpected())
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<(), Refused> {
        let begin = self.at;
        self.takes(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole_len = self.digits()?;
        if leading_zero && whole_len > 1 {
            return Err(Box::new(ParseError { offset: begin, what: Fault::BadNumber }));
        }
        if self.takes(b'.') {
            self.digits()?;
        }
        if self.takes(b'e') || self.takes(b'E') {
            if !self.takes(b'+') {
                self.takes(b'-');
            }
            self.digits()?;
        }
        self.push(begin, Kind::Number, NO_ESCAPE);
        Ok(())
    }

    /// One digit or more; gives how many.
    fn digits(&mut self) -> Result<usize, Refused> {
        let rest = &self.text.as_bytes()[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return Err(self.fault(if rest.is_empty() { Fault::UnexpectedEnd } else { Fault::BadNumber }));
        }
        self.at += len;
        Ok(len)
    }

    fn string(&mut self) -> Result<(), Refused> {
        let begin = self.at;
        self.at += 1;
        self.skip_plain()?;
        if self.takes(b'"') {
            self.push(begin, Kind::String, NO_ESCAPE);
            return Ok(());
        }
        let text_begin = offset(self.unescaped.len());
        let text = self.text;
        self.unescaped.push_str(&text[begin + 1..self.at]);
        while !self.takes(b'"') {
            let character = self.escape()?;
            self.unescaped.push(character);
            let run_begin = self.at;
            self.skip_plain()?;
            self.unescaped.push_str(&text[run_begin..self.at]);
        }
        self.texts.push((text_begin, offset(self.unescaped.len())));
        self.push(begin, Kind::String, offset(self.texts.len() - 1));
        Ok(())
    }

    /// Steps to the next quote or backslash, which is there.
    #[inline]
    fn skip_plain(&mut self) -> Result<(), Refused> {
        let rest = &self.text.as_bytes()[self.at..];
        let len = plain_len(rest);
        match rest.get(len) {
            Some(b'"' | b'\\') => {
                self.at += len;
                Ok(())
            }
            Some(_) => Err(Box::new(ParseError { offset: self.at + len, what: Fault::ControlCharacter })),
            None => Err(Box::new(ParseError { offset: self.text.len(), what: Fault::UnexpectedEnd })),
        }
    }

    /// One escape, or the pair of them that makes one character.
    fn escape(&mut self) -> Result<char, Refused> {
        let begin = self.at;
        self.at += 1;
        let Some(kind) = self.peek() else { return Err(self.fault(Fault::UnexpectedEnd)) };
        let character = match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(begin),
            _ => return Err(Box::new(ParseError { offset: begin, what: Fault::BadEscape })),
        };
        self.at += 1;
        Ok(character)
    }

    /// After a backslash, on its `u`.
    fn unicode_escape(&mut self, begin: usize) -> Result<char, Refused> {
        let lone = || Box::new(ParseError { offset: begin, what: Fault::LoneSurrogate });
        let first = self.hex_unit()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return Err(lone());
                }
                self.at += 1;
                match self.hex_unit()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(lone()),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(lone)
    }

    /// `u` and four hex digits.
    fn hex_unit(&mut self) -> Result<u32, Refused> {
        self.at += 1;
        let rest = &self.text.as_bytes()[self.at..];
        let mut unit = 0;
        for place in 0..4 {
            let Some(&digit) = rest.get(place) else {
                return Err(Box::new(ParseError { offset: self.text.len(), what: Fault::UnexpectedEnd }));
            };
            let Some(digit) = char::from(digit).to_digit(16) else {
                return Err(Box::new(ParseError { offset: self.at + place, what: Fault::BadEscape }));
            };
            unit = unit * 16 + digit;
        }
        self.at += 4;
        Ok(unit)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps past `byte` (ASCII) when it stands here.
    #[inline]
    fn takes(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn takes_after_space(&mut self, byte: u8) -> bool {
        self.skip_white_space();
        self.takes(byte)
    }

    #[inline]
    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> Refused {
        self.fault(self.text[self.at..].chars().next().map_or(Fault::UnexpectedEnd, Fault::Unexpected))
    }

    fn fault(&self, what: Fault) -> Refused {
        Box::new(ParseError { offset: self.at, what })
    }
}

/// Fits, since longer documents are refused.
fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// Length up to the first quote, backslash or control character, eight bytes at a time.
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let mut len = 0;
    for word in bytes.as_chunks::<8>().0 {
        let word = u64::from_le_bytes(*word);
        // The lowest byte whose high bit is set in one of these is one that was looked for (Mycroft's test for zero bytes).
        let is_quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
        let is_backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
        let is_control = word.wrapping_sub(ONES * 0x20);
        let found = (is_quote | is_backslash | is_control) & !word & HIGHS;
        if found != 0 {
            return len + (found.trailing_zeros() / 8) as usize;
        }
        len += 8;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    len + bytes[len..].iter().position(ends).unwrap_or(bytes.len() - len)
}

fn duplicate_key(mut keys: Vec<&str>) -> Option<&str> {
    if keys.len() <= PAIRWISE_MEMBERS_MAX {
        return (1..keys.len()).find(|&at| keys[..at].contains(&keys[at])).map(|at| keys[at]);
    }
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

//! Documents are read as a slow, obvious reader reads them: to the same table, or refused for the same reason at the same byte.

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::json::{
    escape::{escape, unescaped},
    tree::{Entry, NO_ESCAPE},
};

/// Reads byte by byte, each value by itself.
struct Slow<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    values_left: usize,
    entries: Vec<Entry>,
    escaped: u32,
}

impl<'a> Slow<'a> {
    fn read(bytes: &'a [u8], values_max: usize) -> Result<Vec<Entry>, ParseError> {
        let not_utf8 = |error: std::str::Utf8Error| ParseError { offset: error.valid_up_to(), what: Fault::NotUtf8 };
        let text = std::str::from_utf8(bytes).map_err(not_utf8)?;
        let mut slow = Self { text, at: 0, depth: 0, values_left: values_max, entries: Vec::new(), escaped: 0 };
        slow.space();
        slow.value()?;
        slow.space();
        if slow.at < text.len() { slow.refused(Fault::Trailing) } else { Ok(slow.entries) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn refused<T>(&self, what: Fault) -> Result<T, ParseError> {
        Err(ParseError { offset: self.at, what })
    }

    fn unexpected<T>(&self) -> Result<T, ParseError> {
        self.refused(self.text[self.at..].chars().next().map_or(Fault::UnexpectedEnd, Fault::Unexpected))
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ParseError> {
        if self.byte() != Some(byte) {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }

    fn push(&mut self, begin: usize, kind: Kind, next: u32, is_key: bool) {
        let (start, end) = (begin as u32, self.at as u32);
        self.entries.push(Entry { start, end, next, kind, is_key, is_taken_over: false });
    }

    fn value(&mut self) -> Result<(), ParseError> {
        if self.values_left == 0 {
            return self.refused(Fault::TooManyValues);
        }
        self.values_left -= 1;
        let begin = self.at;
        match self.byte() {
            Some(b'{') => return self.container(Kind::Object, b'}'),
            Some(b'[') => return self.container(Kind::Array, b']'),
            Some(b'"') => return self.string(false),
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                self.push(begin, Kind::Number, NO_ESCAPE, false);
            }
            _ => {
                let words = [("true", Kind::Bool), ("false", Kind::Bool), ("null", Kind::Null)];
                let first = |(word, _): &&(&str, Kind)| self.byte() == word.bytes().next();
                let Some((word, kind)) = words.iter().find(first) else { return self.unexpected() };
                word.bytes().try_for_each(|byte| self.expect(byte))?;
                self.push(begin, *kind, NO_ESCAPE, false);
            }
        }
        Ok(())
    }

    fn container(&mut self, kind: Kind, close: u8) -> Result<(), ParseError> {
        if self.depth == DEPTH_MAX {
            return self.refused(Fault::TooDeep);
        }
        self.depth += 1;
        let (begin, number) = (self.at, self.entries.len());
        self.push(begin, kind, 0, false);
        self.at += 1;
        self.space();
        let mut keys = Vec::new();
        while self.byte() != Some(close) || self.entries.len() > number + 1 {
            if kind == Kind::Object {
                let key_begin = self.at + 1;
                if self.byte() != Some(b'"') {
                    return self.unexpected();
                }
                self.string(true)?;
                keys.push(unescaped(&self.text[key_begin..self.at - 1]));
                self.space();
                self.expect(b':')?;
                self.space();
            }
            self.value()?;
            self.space();
            if self.byte() == Some(close) {
                break;
            }
            self.expect(b',')?;
            self.space();
        }
        self.at += 1;
        self.depth -= 1;
        (self.entries[number].end, self.entries[number].next) = (self.at as u32, self.entries.len() as u32);
        keys.sort_unstable();
        match keys.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(_) => Err(ParseError { offset: begin, what: Fault::DuplicateKey(String::new()) }),
            None => Ok(()),
        }
    }

    fn string(&mut self, is_key: bool) -> Result<(), ParseError> {
        let (begin, mut next) = (self.at, NO_ESCAPE);
        self.at += 1;
        loop {
            match self.byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    next = self.escaped;
                    self.at = escape(self.text, self.at).map_err(|refused| *refused)?.1;
                }
                Some(0..0x20) => return self.refused(Fault::ControlCharacter),
                Some(_) => self.at += 1,
                None => return self.refused(Fault::UnexpectedEnd),
            }
        }
        self.at += 1;
        self.escaped += u32::from(next != NO_ESCAPE);
        self.push(begin, Kind::String, next, is_key);
        Ok(())
    }

    fn number(&mut self) -> Result<(), ParseError> {
        let begin = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let whole = self.at;
        self.digits()?;
        if self.at > whole + 1 && self.text[whole..].starts_with('0') {
            self.at = begin;
            return self.refused(Fault::BadNumber);
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ParseError> {
        match self.byte() {
            Some(b'0'..=b'9') => {}
            Some(_) => return self.refused(Fault::BadNumber),
            None => return self.refused(Fault::UnexpectedEnd),
        }
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        Ok(())
    }
}

/// What rows have in common.
#[derive(Clone, Debug)]
enum Form {
    Scalar,
    Array(Vec<Form>),
    Object(Vec<(&'static str, Form)>),
}

/// What they do not: mostly what may stand there.
const SCALARS: [&str; 30] = [
    "null",
    "true",
    "false",
    "nul",
    "0",
    "-0",
    "01",
    "-1",
    "-",
    "1.50",
    "1.",
    "0.0000000000000",
    "0.00000000000000000000000000001",
    "123456789012345",
    "1234567890123456",
    "12345678901234567",
    "1e5",
    "-1.5E+10",
    "1e",
    "\"\"",
    "\"a\"",
    "\"abcdefghijklmn\"",
    "\"abcdefghijklmno\"",
    "\"abcdefghijklmnop, and then some more of it\"",
    "\"\\n\"",
    "\"\\b\\f\\r\\t\\\\\"",
    "\"a\\/b\"",
    "\"a text with \\\"words\\\" in quotes, \\u00e9\\ud83d\\ude00\"",
    "\"é, and 😀 beside it\"",
    "{\"id\":[1]}",
];

const KEYS: [&str; 8] = [
    "\"a\"",
    "\"b\"",
    "\"id\"",
    "\"finish_reason\"",
    "\"a key of more bytes than one step\"",
    "\"\\u0061\"",
    "\"é\"",
    "\"\"",
];

fn form() -> impl Strategy<Value = Form> {
    Just(Form::Scalar).prop_recursive(3, 24, 5, |below| {
        let key = prop::sample::select(&KEYS[..]);
        prop_oneof![
            1 => prop::collection::vec(below.clone(), 0..4).prop_map(Form::Array),
            3 => prop::collection::vec((key, below), 0..6).prop_map(Form::Object),
        ]
    })
}

fn write(form: &Form, space: &str, scalars: &mut impl Iterator<Item = &'static str>, out: &mut String) {
    let (open, members, close): (_, Vec<_>, _) = match form {
        Form::Scalar => return out.push_str(scalars.next().unwrap_or("0")),
        Form::Array(elements) => ('[', elements.iter().map(|form| (None, form)).collect(), ']'),
        Form::Object(members) => ('{', members.iter().map(|(key, form)| (Some(key), form)).collect(), '}'),
    };
    out.push(open);
    for (at, (key, form)) in members.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(space);
        if let Some(key) = key {
            out.push_str(key);
            out.push(':');
            out.push_str(space);
        }
        write(form, space, scalars, out);
    }
    out.push_str(space);
    out.push(close);
}

/// Rows of a form or two, and what stands around them.
fn table() -> impl Strategy<Value = String> {
    let scalar =
        prop_oneof![10 => 0..SCALARS.len(), 20 => prop::sample::select(vec![0_usize, 1, 4, 9, 13, 20, 23, 25])];
    (
        (form(), form(), 0_usize..8),
        prop::collection::vec(scalar, 0..60),
        prop::sample::select(vec!["", "", " ", "\n\t  "]),
        prop::sample::select(vec![
            ("", ""),
            ("{\"items\":", "}"),
            ("[[],", ",{}] "),
            ("{\"id\":{\"é\":", ",\"n\":null}}"),
        ]),
    )
        .prop_map(|((one, other, other_at), scalars, space, (begin, end))| {
            // Mistakes are few, or no document would get far.
            let mut scalars = scalars.into_iter().map(|at| SCALARS[at]);
            let mut out = format!("{begin}[");
            for at in 0..6 {
                if at > 0 {
                    out.push(',');
                }
                write(if at % 8 == other_at { &other } else { &one }, space, &mut scalars, &mut out);
            }
            out.push(']');
            out + end
        })
}

/// The same with a few bytes that were put in, taken out or made others; it may be no text any more.
fn with_mistakes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => prop::sample::select(b" ,:\"\\{}[]0-.e\n\x01\x7f".to_vec()), 1 => any::<u8>()];
    let mistake = (any::<Index>(), 0_usize..3, byte);
    (table(), prop::collection::vec(mistake, 0..3), prop::option::weighted(0.2, any::<Index>())).prop_map(
        |(text, mistakes, cut)| {
            let mut bytes = text.into_bytes();
            for (at, kind, byte) in mistakes {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len() + 1));
            }
            bytes
        },
    )
}

/// A key that is there twice may be another one where several are.
fn without_key(error: ParseError) -> ParseError {
    let what = match error.what {
        Fault::DuplicateKey(_) => Fault::DuplicateKey(String::new()),
        what => what,
    };
    ParseError { what, ..error }
}

fn agrees(bytes: &[u8], values_max: usize) {
    let read = parse_tree(bytes, values_max).map(|tree| (tree.table.entries, tree.table.escaped)).map_err(without_key);
    let slowly = Slow::read(bytes, values_max).map(|entries| {
        let escaped = entries.iter().filter(|entry| entry.kind == Kind::String && entry.next != NO_ESCAPE).count();
        (entries, escaped as u32)
    });
    assert_eq!(read, slowly, "{}", String::from_utf8_lossy(bytes));
}

fn is_called_rightly(node: Node<'_>) {
    let mut canonical = Vec::new();
    node.write_canonical(&mut canonical);
    assert!(!node.is_canonical() || canonical == node.raw().as_bytes(), "{}", node.raw());
    assert_eq!(node.text_once().as_deref(), node.text());
    node.elements().for_each(is_called_rightly);
    node.members().for_each(|(_, value)| is_called_rightly(value));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_read_as_each_by_itself(text in table(), values_max in prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..60]) {
        agrees(text.as_bytes(), values_max);
    }

    #[test]
    fn what_is_wrong_with_rows_is_found_where_it_is(bytes in with_mistakes(), values_max in prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..60]) {
        agrees(&bytes, values_max);
    }

    #[test]
    fn what_is_called_canonical_is_written_so(text in table()) {
        if let Ok(tree) = parse_tree(text.as_bytes(), usize::MAX) {
            is_called_rightly(tree.root());
        }
    }

    #[test]
    fn numbers_end_where_they_should(text in "-?[0-9]{0,18}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?[ ,\\]a]?", behind in " {0,20}") {
        agrees(format!("{text}{behind}").as_bytes(), usize::MAX);
        agrees(format!("[{text}]{behind}").as_bytes(), usize::MAX);
    }

    #[test]
    fn what_is_wrong_beside_another_document_is_found_where_it_is(
        one in table(), bytes in with_mistakes(), at in any::<Index>(), end in any::<Index>(), is_other in any::<bool>(), values_max in prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..60],
    ) {
        if let Ok(like) = parse_tree(one.as_bytes(), usize::MAX).map(Arc::new) {
            let (at, end) = (at.index(one.len() + 1), end.index(one.len() + 1));
            let piece = &bytes[..bytes.len().min(10)];
            let edited = [&one.as_bytes()[..at.min(end)], piece, &one.as_bytes()[at.max(end)..]].concat();
            let other = if is_other { bytes.clone() } else { edited };
            let read = parse_tree(&other, values_max);
            let taken = parse_tree_like(&other, values_max, &like);
            prop_assert_eq!(taken.as_ref().map(told), read.as_ref().map(told));
        }
    }
}

/// Whatever is tried first, most rows are of one form here, and are read so.
#[test]
fn rows_of_one_form_are_taken_as_a_whole() {
    let rows: Vec<String> =
        (0..50).map(|at| format!("{{\"id\":{at},\"tags\":[\"a\",{{}}],\"n\":{{\"x\":[null]}}}}")).collect();
    let text = format!("[{}]", rows.join(","));
    agrees(text.as_bytes(), usize::MAX);
    for values_max in 0..310 {
        agrees(text.as_bytes(), values_max);
    }
    for at in 0..text.len() {
        agrees(&text.as_bytes()[..at], usize::MAX);
    }
}

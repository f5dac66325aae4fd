//! Reads a document into a [`Value`]: strict, bounded in depth, no number ever converted.

use super::{Fault, ParseError, Value};

/// How many arrays and objects may stand inside one another.
///
/// RFC 8259 (section 9) leaves the limit to each reader; 128 is a choice, and that of other common readers.
pub const DEPTH_MAX: usize = 128;

/// Objects up to this many members are searched pairwise for a key given twice, longer ones by sorting. A choice.
const PAIRWISE_MEMBERS_MAX: usize = 8;

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
    let text =
        std::str::from_utf8(bytes).map_err(|error| ParseError { offset: error.valid_up_to(), what: Fault::NotUtf8 })?;
    if text.starts_with('\u{feff}') {
        return Err(ParseError { offset: 0, what: Fault::ByteOrderMark });
    }
    let mut parser = Parser { text, at: 0, depth: 0, values_left: values_max };
    parser.skip_white_space();
    let value = parser.value()?;
    parser.skip_white_space();
    if parser.at < text.len() { Err(parser.fault(Fault::Trailing)) } else { Ok(value) }
}

struct Parser<'a> {
    text: &'a str,
    /// Always on a character's first byte.
    at: usize,
    depth: usize,
    values_left: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Value, ParseError> {
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| self.fault(Fault::TooManyValues))?;
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self) -> Result<Value, ParseError> {
        self.enter()?;
        let mut elements = Vec::new();
        if !self.takes_after_space(b']') {
            loop {
                self.skip_white_space();
                elements.push(self.value()?);
                if !self.more(b']')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Array(elements))
    }

    fn object(&mut self) -> Result<Value, ParseError> {
        let begin = self.at;
        self.enter()?;
        let mut members = Vec::new();
        if !self.takes_after_space(b'}') {
            loop {
                members.push(self.member()?);
                if !self.more(b'}')? {
                    break;
                }
            }
        }
        self.depth -= 1;
        match duplicate_key(&members) {
            Some(key) => Err(ParseError { offset: begin, what: Fault::DuplicateKey(key.to_owned()) }),
            None => Ok(Value::Object(members)),
        }
    }

    fn member(&mut self) -> Result<(String, Value), ParseError> {
        self.skip_white_space();
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = self.string()?;
        if !self.takes_after_space(b':') {
            return Err(self.unexpected());
        }
        self.skip_white_space();
        Ok((key, self.value()?))
    }

    /// After an element: true past a comma, false past the closing bracket.
    fn more(&mut self, close: u8) -> Result<bool, ParseError> {
        if self.takes_after_space(b',') {
            Ok(true)
        } else if self.takes_after_space(close) {
            Ok(false)
        } else {
            Err(self.unexpected())
        }
    }

    /// Steps past an opening bracket, one level deeper.
    fn enter(&mut self) -> Result<(), ParseError> {
        if self.depth == DEPTH_MAX {
            return Err(self.fault(Fault::TooDeep));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        self.at += rest.iter().zip(word.as_bytes()).take_while(|(found, wanted)| found == wanted).count();
        Err(self.unexpected())
    }

    /// `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`
    fn number(&mut self) -> Result<Value, ParseError> {
        let begin = self.at;
        self.takes(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole_len = self.digits()?;
        if leading_zero && whole_len > 1 {
            return Err(ParseError { offset: begin, what: Fault::BadNumber });
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
        Ok(Value::Number(self.text[begin..self.at].to_owned()))
    }

    /// One digit or more; gives how many.
    fn digits(&mut self) -> Result<usize, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return Err(self.fault(if rest.is_empty() { Fault::UnexpectedEnd } else { Fault::BadNumber }));
        }
        self.at += len;
        Ok(len)
    }

    fn string(&mut self) -> Result<String, ParseError> {
        self.at += 1;
        let plain = self.plain_run()?;
        if self.takes(b'"') {
            return Ok(plain.to_owned());
        }
        let mut string = plain.to_owned();
        while !self.takes(b'"') {
            string.push(self.escape()?);
            string.push_str(self.plain_run()?);
        }
        Ok(string)
    }

    /// What stands before the next quote or backslash, which is there.
    fn plain_run(&mut self) -> Result<&'a str, ParseError> {
        let rest = &self.text.as_bytes()[self.at..];
        let len = memchr::memchr2(b'"', b'\\', rest);
        let run = &rest[..len.unwrap_or(rest.len())];
        if let Some(control) = run.iter().position(|&byte| byte < 0x20) {
            return Err(ParseError { offset: self.at + control, what: Fault::ControlCharacter });
        }
        let Some(len) = len else { return Err(ParseError { offset: self.text.len(), what: Fault::UnexpectedEnd }) };
        let begin = self.at;
        self.at += len;
        Ok(&self.text[begin..self.at])
    }

    /// One escape, or the pair of them that makes one character.
    fn escape(&mut self) -> Result<char, ParseError> {
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
            _ => return Err(ParseError { offset: begin, what: Fault::BadEscape }),
        };
        self.at += 1;
        Ok(character)
    }

    /// After a backslash, on its `u`.
    fn unicode_escape(&mut self, begin: usize) -> Result<char, ParseError> {
        let lone = ParseError { offset: begin, what: Fault::LoneSurrogate };
        let first = self.hex_unit()?;
        let code = match first {
            0xd800..=0xdbff => {
                if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                    return Err(lone);
                }
                self.at += 1;
                match self.hex_unit()? {
                    second @ 0xdc00..=0xdfff => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                    _ => return Err(lone),
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or(lone)
    }

    /// `u` and four hex digits.
    fn hex_unit(&mut self) -> Result<u32, ParseError> {
        self.at += 1;
        let rest = &self.text.as_bytes()[self.at..];
        let mut unit = 0;
        for place in 0..4 {
            let Some(&digit) = rest.get(place) else {
                return Err(ParseError { offset: self.text.len(), what: Fault::UnexpectedEnd });
            };
            let Some(digit) = char::from(digit).to_digit(16) else {
                return Err(ParseError { offset: self.at + place, what: Fault::BadEscape });
            };
            unit = unit * 16 + digit;
        }
        self.at += 4;
        Ok(unit)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Steps past `byte` (ASCII) when it stands here.
    fn takes(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn takes_after_space(&mut self, byte: u8) -> bool {
        self.skip_white_space();
        self.takes(byte)
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> ParseError {
        self.fault(self.text[self.at..].chars().next().map_or(Fault::UnexpectedEnd, Fault::Unexpected))
    }

    fn fault(&self, what: Fault) -> ParseError {
        ParseError { offset: self.at, what }
    }
}

fn duplicate_key(members: &[(String, Value)]) -> Option<&str> {
    if members.len() <= PAIRWISE_MEMBERS_MAX {
        let earlier = |at: usize| members[..at].iter().any(|(key, _)| *key == members[at].0);
        return (1..members.len()).find(|&at| earlier(at)).map(|at| members[at].0.as_str());
    }
    let mut keys: Vec<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

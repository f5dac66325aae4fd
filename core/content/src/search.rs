//! Looks for values in bodies as a person would find them: whatever escapes, codings and events they are written in.
//!
//! In: values, and bytes of any kind. Out: whether one of the values is there. Letters are compared as they are, capitals
//! included. What is encrypted, or written in base64, is not seen.

use std::collections::BTreeMap;

use exchange::Head;
use memchr::memmem::Finder;

use crate::{
    encoding::decode,
    json::{Value, parse_limited},
    sse,
};

/// Bytes that a body may have when its codings are off. A choice.
const DECODED_BYTES_MAX: u64 = 64 << 20;
/// Values of one document, and events of one stream, that are looked at one by one. A choice: a tenth of a gigabyte of memory.
const ITEMS_MAX: usize = 1 << 20;
/// How deep documents may stand as texts in documents: the arguments of a tool's call in a message. A choice.
const NESTING_MAX: u32 = 4;

/// Values to look for.
pub struct Search {
    finders: Vec<Finder<'static>>,
}

impl Search {
    /// Looks for these; empty ones are passed over.
    pub fn of<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Vec<u8>> = Vec::new();
        for value in values.into_iter().filter(|value| !value.is_empty()) {
            let mut quoted = Vec::new();
            Value::String(value.to_owned()).write_canonical(&mut quoted);
            forms.push(quoted[1..quoted.len() - 1].to_vec());
            forms.push(percent(value).into_bytes());
            forms.push(value.as_bytes().to_vec());
        }
        forms.sort();
        forms.dedup();
        Self { finders: forms.iter().map(|form| Finder::new(form).into_owned()).collect() }
    }

    /// True when there is nothing to look for.
    pub fn is_empty(&self) -> bool {
        self.finders.is_empty()
    }

    /// Bytes of the longest form of a value: as many, less one, of what came before have to be looked at with what comes.
    pub fn longest(&self) -> usize {
        self.finders.iter().map(|finder| finder.needle().len()).max().unwrap_or_default()
    }

    /// True when a value stands in these bytes: as it is, as JSON escapes it at least, or as in a URL.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        self.finders.iter().any(|finder| finder.find(bytes).is_some())
    }

    /// The same of a body, as it was sent and without its codings; of JSON, JSON in lines and events also in each text, however
    /// it is escaped, and in what texts of the same place come to, one event after another.
    pub fn is_in_body(&self, head: &Head, body: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        if self.is_in(body) {
            return true;
        }
        match decode(head, body, DECODED_BYTES_MAX) {
            Ok(decoded) => self.is_in_decoded(&decoded),
            Err(error) => error.decoded().is_some_and(|decoded| self.is_in_decoded(decoded)),
        }
    }

    /// The same of bytes without codings.
    pub fn is_in_decoded(&self, bytes: &[u8]) -> bool {
        if self.is_empty() {
            return false;
        }
        if self.is_in(bytes) {
            return true;
        }
        if let Ok(document) = parse_limited(bytes, ITEMS_MAX) {
            return self.is_in_documents([document]);
        }
        let lines = bytes.split(|byte| *byte == b'\n').take(ITEMS_MAX);
        if self.is_in_documents(lines.filter_map(|line| parse_limited(line, ITEMS_MAX).ok())) {
            return true;
        }
        let Ok(stream) = sse::parse_limited(bytes, ITEMS_MAX) else { return false };
        let events = || stream.events.iter().chain(&stream.trailing);
        let joined: String = events().map(|event| event.data.as_str()).collect();
        self.is_in(joined.as_bytes())
            || self.is_in_documents(events().filter_map(|event| parse_limited(event.data.as_bytes(), ITEMS_MAX).ok()))
    }

    fn is_in_documents(&self, documents: impl IntoIterator<Item = Value>) -> bool {
        let mut texts = Texts::default();
        for document in documents {
            texts.take(&document, &mut String::new(), NESTING_MAX);
        }
        texts.by_place.values().chain(&texts.keys).any(|text| self.is_in(text.as_bytes()))
    }
}

/// The texts of documents, those of one place after one another: a stream gives an answer piece by piece.
#[derive(Default)]
struct Texts {
    by_place: BTreeMap<String, String>,
    keys: Vec<String>,
}

impl Texts {
    fn take(&mut self, value: &Value, place: &mut String, nesting_left: u32) {
        let len = place.len();
        match value {
            Value::String(text) => {
                self.by_place.entry(place.clone()).or_default().push_str(text);
                let nested = text.trim_start().starts_with(['{', '[']) && nesting_left > 0;
                if let Some(document) = nested.then(|| parse_limited(text.as_bytes(), ITEMS_MAX).ok()).flatten() {
                    place.push('!');
                    self.take(&document, place, nesting_left - 1);
                }
            }
            Value::Array(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    place.push_str(&format!("/{number}"));
                    self.take(element, place, nesting_left);
                    place.truncate(len);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    self.keys.push(key.clone());
                    place.push('/');
                    place.push_str(key);
                    self.take(member, place, nesting_left);
                    place.truncate(len);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        place.truncate(len);
    }
}

/// As in a URL's query: what is neither letter nor digit nor one of `-._~`, in percent and two capital hex digits.
fn percent(value: &str) -> String {
    let each = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(each).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(value: &str, body: &[u8]) -> bool {
        Search::of([value]).is_in_body(&Head::new("HTTP/1.1 200 OK\r\n\r\n"), body)
    }

    #[test]
    fn a_value_is_found_however_it_is_escaped_or_cut() {
        assert!(finds("jörg@a.de", "say jörg@a.de".as_bytes()));
        assert!(finds("jörg@a.de", br#"{"to":"j\u00F6rg@a.de"}"#));
        assert!(finds("jörg@a.de", br#"{"j\u00f6rg@a.de":1}"#));
        assert!(finds("jörg@a.de", b"q=j%C3%B6rg%40a.de"));
        assert!(finds("jörg@a.de", br#"{"arguments":"{\"to\":\"j\\u00f6rg@a.de\"}"}"#));
        assert!(finds("jörg@a.de", b"{\"t\":\"x\"}\n{\"t\":\"j\\u00f6rg@a.de\"}\n"));
        let cut = b"data: {\"d\":{\"c\":\"j\\u00f6r\"}}\n\ndata: {\"d\":{\"c\":\"g@a.de\"}}\n\ndata: [DONE]\n\n";
        assert!(finds("jörg@a.de", cut));
        assert!(!finds("jörg@a.de", b"data: {\"c\":\"j\\u00f6r\"}\n\ndata: {\"d\":\"g@a.de\"}\n\n"));
        assert!(!finds("jörg@a.de", br#"{"to":"jorg@a.de"}"#) && !finds("", b"any"));
    }

    #[test]
    fn a_value_in_a_coded_body_is_found() {
        use std::io::Write as _;
        let mut coded = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        coded.write_all(br#"{"to":"ann@b.example"}"#).unwrap();
        let coded = coded.finish().unwrap();
        let search = Search::of(["ann@b.example"]);
        assert!(search.is_in_body(&Head::new("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"), &coded));
        assert!(!search.is_in(&coded));
    }
}

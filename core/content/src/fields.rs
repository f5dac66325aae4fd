//! Where each header field stands in a head's bytes: for reading folded values whole, and for replacing in place.
//!
//! Reads as leniently as [`exchange::Head::fields`], and finds the same fields.

use std::ops::Range;

use exchange::Head;

/// One header field, as ranges of the head's bytes, white space around values left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldAt {
    /// Its name; the whole line where there is no colon.
    pub(crate) name: Range<usize>,
    /// Its value, one range for each line it is folded over, empty ones included.
    pub(crate) lines: Vec<Range<usize>>,
}

impl FieldAt {
    /// The name in lower case, bytes above ASCII as they are in ISO 8859-1.
    pub(crate) fn lower_name(&self, head: &Head) -> String {
        exchange::text_of_bytes(&head.bytes[self.name.clone()]).to_ascii_lowercase()
    }

    /// The value; one space where it was folded (RFC 9112, section 5.2).
    pub(crate) fn value(&self, head: &Head) -> Vec<u8> {
        let lines: Vec<&[u8]> = self.lines.iter().map(|line| &head.bytes[line.clone()]).collect();
        lines.join(&b' ')
    }
}

/// Where the first line stands, without its end.
pub(crate) fn start_line(head: &Head) -> Range<usize> {
    lines(&head.bytes).next().unwrap_or_default()
}

/// The header fields in the order they were sent.
pub(crate) fn fields(head: &Head) -> Vec<FieldAt> {
    let mut fields: Vec<FieldAt> = Vec::new();
    for line in lines(&head.bytes).skip(1) {
        let bytes = &head.bytes[line.clone()];
        if bytes.first().is_some_and(u8::is_ascii_whitespace) {
            if let Some(field) = fields.last_mut() {
                field.lines.push(trimmed(&head.bytes, line));
            }
            continue;
        }
        let colon = memchr::memchr(b':', bytes).map_or(line.end, |len| line.start + len);
        let value = (colon + 1).min(line.end)..line.end;
        let name = trimmed(&head.bytes, line.start..colon);
        fields.push(FieldAt { name, lines: vec![trimmed(&head.bytes, value)] });
    }
    fields
}

/// The lines without their ends, up to and without the blank one.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let mut is_first = true;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let len = memchr::memchr(b'\n', rest);
        let line = &rest[..len.unwrap_or(rest.len())];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() && !std::mem::take(&mut is_first) {
            return None;
        }
        is_first = false;
        let range = at..at + line.len();
        at = len.map_or(bytes.len() + 1, |len| at + len + 1);
        Some(range)
    })
}

/// The range without the white space at its ends.
pub(crate) fn trimmed(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = &bytes[range.clone()];
    let start = range.start + (text.len() - text.trim_ascii_start().len());
    start..start + text.trim_ascii().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folded_value_is_read_whole() {
        let head = Head::new(*b"GET / HTTP/1.1\r\nA: one\r\n\ttwo  \r\n \r\nB:\r\n three\r\n\r\nC: no");
        let read: Vec<_> = fields(&head).iter().map(|field| (field.lower_name(&head), field.value(&head))).collect();
        assert_eq!(read, [("a".to_owned(), b"one two ".to_vec()), ("b".to_owned(), b" three".to_vec())]);
    }

    proptest! {
        #[test]
        fn the_same_fields_are_found_as_the_vocabulary_finds(bytes in "(GET /|A|b|:|: | |\t|\r|\n|\r\n|\u{c}|x){0,30}") {
            let head = Head::new(bytes.into_bytes());
            let ours: Vec<(Vec<u8>, Vec<u8>)> = fields(&head)
                .iter()
                .map(|field| (head.bytes[field.name.clone()].to_vec(), head.bytes[field.lines[0].clone()].to_vec()))
                .collect();
            let theirs: Vec<_> = head.fields().map(|field| (field.name.to_vec(), field.value.to_vec())).collect();
            prop_assert_eq!(ours, theirs);
        }
    }
}

//! Reads the part of a JSON document that is there when its end is missing.
//!
//! In: the beginning of a document. Out: the value it would be if it ended here, and how many values were still open. A
//! string that was cut is kept as far as it goes; a number that was cut is left out, since its next digit is not known;
//! so is a key without its value.

use content::json::{self, Tree};

/// The beginning of a document as a value, and how many values, from the root down the last ones, were cut off.
/// `None` when it is not the beginning of a document, or nothing of it is there.
pub(crate) fn parse_cut(bytes: &[u8], values_max: usize) -> Option<(Tree<'static>, usize)> {
    let text = valid_beginning(bytes);
    let scan = Scan::of(text.as_bytes())?;
    let mut closed = text.as_bytes()[..scan.sound_len].to_vec();
    if scan.in_string {
        closed.push(b'"');
    }
    closed.extend(scan.open.iter().rev());
    let tree = json::parse_tree_owned(String::from_utf8(closed).ok()?, values_max, None).ok()?;
    Some((tree, scan.open.len() + usize::from(scan.in_string)))
}

/// What is UTF-8, up to a character that was cut.
fn valid_beginning(bytes: &[u8]) -> &str {
    let valid_len = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    std::str::from_utf8(&bytes[..valid_len]).unwrap_or_default()
}

/// How far a document goes that can be closed.
#[derive(Debug, Default)]
struct Scan {
    /// Closing brackets that are still to come, the outermost first.
    open: Vec<u8>,
    /// Up to here all is well once strings and brackets are closed.
    sound_len: usize,
    /// True when `sound_len` lies inside a string.
    in_string: bool,
    /// True where a string would be a value: in an array, after a colon, or at the root.
    value_follows: bool,
}

impl Scan {
    /// `None` when there is nothing that could be closed.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut scan = Self { value_follows: true, ..Self::default() };
        let mut at = 0;
        while at < bytes.len() {
            at = match bytes[at] {
                b'{' | b'[' => scan.open_bracket(bytes[at], at),
                b'}' | b']' => scan.close_bracket(at)?,
                b'"' => match scan.string(bytes, at) {
                    Some(end) => end,
                    None => break,
                },
                b':' => scan.now_value_follows(true, at),
                b',' => scan.now_value_follows(scan.open.last() == Some(&b']'), at),
                byte if byte.is_ascii_whitespace() => at + 1,
                _ => match scan.word(bytes, at) {
                    Some(end) => end,
                    None => break,
                },
            };
            if scan.open.len() > json::DEPTH_MAX {
                return None;
            }
        }
        (scan.sound_len > 0).then_some(scan)
    }

    fn open_bracket(&mut self, bracket: u8, at: usize) -> usize {
        self.open.push(if bracket == b'{' { b'}' } else { b']' });
        self.value_follows = bracket == b'[';
        self.sound(at + 1)
    }

    fn close_bracket(&mut self, at: usize) -> Option<usize> {
        self.open.pop()?;
        self.value_follows = false;
        Some(self.sound(at + 1))
    }

    fn now_value_follows(&mut self, follows: bool, at: usize) -> usize {
        self.value_follows = follows;
        at + 1
    }

    /// Past a string's closing quote, or `None` when the string was cut.
    fn string(&mut self, bytes: &[u8], begin: usize) -> Option<usize> {
        let mut at = begin + 1;
        let mut kept = at;
        while let Some(&byte) = bytes.get(at) {
            at = match byte {
                b'"' => return Some(if self.value_follows { self.sound(at + 1) } else { at + 1 }),
                b'\\' => match escape_len(&bytes[at..]) {
                    Some(len) => at + len,
                    None => break,
                },
                _ => at + 1,
            };
            kept = at;
        }
        if self.value_follows {
            self.sound(kept);
            self.in_string = true;
        }
        None
    }

    /// Past a number, `true`, `false` or `null`, or `None` when it may go on.
    fn word(&mut self, bytes: &[u8], begin: usize) -> Option<usize> {
        let goes_on = |byte: &u8| !matches!(byte, b',' | b'}' | b']' | b':' | b'"') && !byte.is_ascii_whitespace();
        let end = begin + bytes[begin..].iter().position(|byte| !goes_on(byte))?;
        Some(if end > begin { self.sound(end) } else { begin + 1 })
    }

    fn sound(&mut self, len: usize) -> usize {
        self.sound_len = len;
        len
    }
}

/// Length of the escape that begins here, a surrogate pair as one; `None` when it was cut.
fn escape_len(bytes: &[u8]) -> Option<usize> {
    match bytes.get(1)? {
        b'u' => {
            let is_high = |digits: &[u8]| matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]);
            let len = if is_high(bytes.get(2..6)?) { 12 } else { 6 };
            bytes.get(..len).map(<[u8]>::len)
        }
        _ => Some(2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Option<(String, usize)> {
        parse_cut(text.as_bytes(), 1_000).map(|(tree, open)| (tree.root().to_value().to_compact_text(), open))
    }

    #[test]
    fn what_is_there_of_a_cut_document_is_kept_and_what_is_uncertain_is_not() {
        let kept = |text: &str| cut(text).unwrap();
        assert_eq!(kept(r#"{"a":[1,{"b":"ye"#), (r#"{"a":[1,{"b":"ye"}]}"#.to_owned(), 4));
        assert_eq!(kept(r#"{"a":1,"b":12"#), (r#"{"a":1}"#.to_owned(), 1));
        assert_eq!(kept(r#"{"a":1,"ke"#), (r#"{"a":1}"#.to_owned(), 1));
        assert_eq!(kept(r#"{"a":1,"key":"#), (r#"{"a":1}"#.to_owned(), 1));
        assert_eq!(kept(r#"[tru"#), ("[]".to_owned(), 1));
        assert_eq!(kept(r#"["x\u00"#), (r#"["x"]"#.to_owned(), 2));
        assert_eq!(kept(r#"["x\ud83d\ude"#), (r#"["x"]"#.to_owned(), 2));
        assert_eq!(kept(r#"[1, 2]"#), ("[1,2]".to_owned(), 0));
    }

    #[test]
    fn what_is_no_beginning_of_a_document_is_refused() {
        for text in ["", "  ", "]", "12", "hello", "{]", r#"{"a" 1, "b"#, &"[".repeat(1_000)] {
            assert_eq!(cut(text), None, "{text}");
        }
    }

    #[test]
    fn a_character_that_was_cut_is_left_out() {
        let bytes = "[\"aé".as_bytes();
        let (value, open) = parse_cut(&bytes[..bytes.len() - 1], 10).unwrap();
        assert_eq!((value.root().raw(), open), (r#"["a"]"#, 2));
    }

    proptest! {
        /// However a document is cut, its part is no different from the whole.
        #[test]
        fn any_part_compares_equal_to_the_whole(value in crate::json::any_value(), share in 0.0..1.0) {
            let text = value.to_compact_text();
            let part = &text.as_bytes()[..(text.len() as f64 * share) as usize];
            if let Some((part, open)) = parse_cut(part, 1_000) {
                let mut findings = crate::findings::Findings::new();
                let whole = json::parse_tree(text.as_bytes(), 1_000).unwrap();
                let (document, rules) = (crate::json::Document::default(), crate::rules::Covered::default());
                crate::json::compare(part.root(), whole.root(), open, document, rules, &mut findings);
                prop_assert_eq!(findings.changes_count(), 0, "{}", part.root().raw());
            }
        }

        #[test]
        fn anything_at_all_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            parse_cut(&bytes, 100);
        }
    }
}

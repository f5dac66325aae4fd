//! Fields of a form as browsers send them (`application/x-www-form-urlencoded`, WHATWG URL, section 5.1).
//!
//! In: the body. Out: names and values in order. Bytes that are not UTF-8 would become U+FFFD in a browser, and different ones the
//! same: such a body is no form here.

/// The fields of a body; `None` where a name or value is not UTF-8, there is none, or there are more than `fields_max`.
pub fn parse(bytes: &[u8], fields_max: usize) -> Option<Vec<(String, String)>> {
    let mut fields = Vec::new();
    for pair in bytes.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()) {
        if fields.len() == fields_max {
            return None;
        }
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        fields.push((unescaped(name)?, unescaped(value)?));
    }
    (!fields.is_empty()).then_some(fields)
}

/// `+` is a space; a `%` that no two hex digits follow is one.
fn unescaped(written: &[u8]) -> Option<String> {
    let digit = |at: usize| written.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let (mut bytes, mut at) = (Vec::with_capacity(written.len()), 0);
    while let Some(&byte) = written.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
        at += 1;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes(), 10).unwrap()
    }

    #[test]
    fn fields_are_read_as_a_browser_writes_them() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parsed("a=1&b=x+y%21&&c"), [field("a", "1"), field("b", "x y!"), field("c", "")]);
        assert_eq!(
            parsed("%C3%A9=%e2%82%ac&d=100%&e=%zz%2"),
            [field("é", "€"), field("d", "100%"), field("e", "%zz%2")]
        );
        assert_eq!(parsed("a=b=c&a=d"), [field("a", "b=c"), field("a", "d")]);
    }

    #[test]
    fn what_is_not_utf_8_or_too_much_is_no_form() {
        assert_eq!(parse(b"a=%ff", 10), None);
        assert_eq!(parse(b"a=\xff", 10), None);
        assert_eq!(parse(b"", 10), None);
        assert_eq!(parse(b"a&b&c", 2), None);
    }
}

//! Bodies of several parts (`multipart/…`, RFC 2046, section 5.1; of forms RFC 7578).
//!
//! In: a body and its content type, which names the boundary. Out: its parts in order, each with its header fields and bytes. The
//! boundary itself, and what stands before the first and behind the last one, mean nothing.

/// Longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_LEN_MAX: usize = 70;

/// One part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The name of its field, of a form.
    pub name: Option<String>,
    /// The name of its file.
    pub filename: Option<String>,
    /// Its header fields, names in lower case; without the `content-disposition` that says no more than its name and file.
    pub headers: Vec<(String, String)>,
    /// Its bytes.
    pub body: &'a [u8],
}

impl Part<'_> {
    /// What its content type says, without parameters and in lower case.
    pub fn media_type(&self) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "content-type")?;
        Some(essence(value))
    }
}

/// A content type without its parameters, in lower case.
pub fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The parts of a body; `None` where the content type names no boundary, the last boundary is missing, a part's head is none,
/// or there are more than `parts_max`.
pub fn parse<'a>(bytes: &'a [u8], content_type: &str, parts_max: usize) -> Option<Vec<Part<'a>>> {
    let boundary = parameter(content_type, "boundary")?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_LEN_MAX {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    // The first one may be what the body begins with.
    let mut at = match bytes.strip_prefix(&delimiter[2..]) {
        Some(rest) if line_rest(rest).is_some() => delimiter.len() - 2,
        _ => next(bytes, 0, &delimiter)?.1,
    };
    let mut parts = Vec::new();
    loop {
        let (is_last, line_len) = line_rest(&bytes[at..])?;
        if is_last {
            return (!parts.is_empty()).then_some(parts);
        }
        at += line_len;
        // The delimiter's line break may be the one that ends an empty head.
        let (end, behind) = next(bytes, at - 2, &delimiter)?;
        if parts.len() == parts_max {
            return None;
        }
        parts.push(part(bytes.get(at..end.max(at))?)?);
        at = behind;
    }
}

/// Where the next delimiter stands, from `from` on, and what is behind it.
fn next(bytes: &[u8], from: usize, delimiter: &[u8]) -> Option<(usize, usize)> {
    let mut found = memchr::memmem::find_iter(&bytes[from..], delimiter).map(|at| from + at);
    let at = found.find(|at| line_rest(&bytes[at + delimiter.len()..]).is_some())?;
    Some((at, at + delimiter.len()))
}

/// Behind a boundary: whether it is the last one, and how long the rest of its line is. `None` where this is no boundary's end.
fn line_rest(bytes: &[u8]) -> Option<(bool, usize)> {
    if bytes.starts_with(b"--") {
        return Some((true, 2));
    }
    let padding = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    bytes[padding..].starts_with(b"\r\n").then_some((false, padding + 2))
}

fn part(bytes: &[u8]) -> Option<Part<'_>> {
    let (head, body) = match bytes.strip_prefix(b"\r\n") {
        Some(body) => (&b""[..], body),
        None => {
            let end = memchr::memmem::find(bytes, b"\r\n\r\n")?;
            (&bytes[..end], &bytes[end + 4..])
        }
    };
    let mut part = Part { name: None, filename: None, headers: Vec::new(), body };
    for line in std::str::from_utf8(head).ok()?.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        if name == "content-disposition" && part.name.is_none() {
            part.name = parameter(value, "name");
            part.filename = parameter(value, "filename");
            if essence(value) == "form-data" && parameters(value).all(|(name, _)| name == "name" || name == "filename")
            {
                continue;
            }
        }
        part.headers.push((name, value.to_owned()));
    }
    Some(part)
}

/// The value of a parameter of a header field.
pub fn parameter(value: &str, name: &str) -> Option<String> {
    parameters(value).find(|(found, _)| found == name).map(|(_, value)| value)
}

/// A header field's value without the parameter of this name, written one way.
pub fn without_parameter(value: &str, name: &str) -> String {
    let mut pieces = vec![value.split(';').next().unwrap_or_default().trim().to_owned()];
    let others = parameters(value).filter(|(found, _)| found != name);
    pieces.extend(others.map(|(name, value)| match value.contains([';', '"', '\\', ' ']) {
        true => format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")),
        false => format!("{name}={value}"),
    }));
    pieces.join("; ")
}

/// The parameters behind a header field's value, names in lower case (RFC 9110, section 5.6.6).
fn parameters(value: &str) -> impl Iterator<Item = (String, String)> {
    let mut rest = value.split_once(';').map(|(_, rest)| rest);
    std::iter::from_fn(move || {
        loop {
            let text = rest?.trim_start_matches([';', ' ', '\t']);
            let (name, behind) = text.split_once('=')?;
            let (value, behind) = match behind.strip_prefix('"') {
                Some(quoted) => unquoted(quoted),
                None => {
                    let end = behind.find(';').unwrap_or(behind.len());
                    (behind[..end].trim().to_owned(), &behind[end..])
                }
            };
            rest = Some(behind);
            // What has no value stands before the name.
            let name = name.rsplit(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            if !name.is_empty() {
                return Some((name, value));
            }
        }
    })
}

/// The text up to the closing quote, and what is behind it. A backslash quotes a quote and itself; browsers send others as they
/// are.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), text.char_indices().peekable());
    while let Some((at, character)) = characters.next() {
        match (character, characters.peek()) {
            ('"', _) => return (value, &text[at + 1..]),
            ('\\', Some((_, next @ ('"' | '\\')))) => {
                value.push(*next);
                characters.next();
            }
            _ => value.push(character),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=X-1";

    #[test]
    fn parts_are_read_with_their_names_files_and_fields() {
        let body = "ignored\r\n--X-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--X-1  \r\ncontent-disposition: form-data; name=\"f\\\"\"; filename=\"p;q.png\"\r\nContent-Type: Image/PNG; x=1\r\n\r\n\r\n--X-1y\r\n\r\n--X-1\r\n\r\n\r\n--X-1--\r\nepilogue";
        let parts = parse(body.as_bytes(), TYPE, 9).unwrap();
        assert_eq!((parts[0].name.as_deref(), parts[0].body, parts[0].headers.len()), (Some("a"), &b"one"[..], 0));
        assert_eq!((parts[1].name.as_deref(), parts[1].filename.as_deref()), (Some("f\""), Some("p;q.png")));
        assert_eq!((parts[1].media_type().as_deref(), parts[1].body), (Some("image/png"), &b"\r\n--X-1y\r\n"[..]));
        assert_eq!((parts[2].name.as_deref(), parts[2].body), (None, &b""[..]));
        assert_eq!(parts.len(), 3);
    }

    #[test]
    fn the_boundary_may_be_quoted_and_other_parameters_stand_beside_it() {
        let body = b"--a b\r\n\r\nx\r\n--a b--";
        assert_eq!(parse(body, r#"multipart/mixed; charset=utf-8; Boundary="a b""#, 9).unwrap()[0].body, b"x");
        assert_eq!(parse(body, "multipart/mixed", 9), None);
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let whole = b"--X-1\r\nContent-Disposition: form-data; name=a\r\n\r\none\r\n--X-1--\r\n";
        assert!(parse(whole, TYPE, 9).is_some());
        for len in 0..whole.len() - 2 {
            assert_eq!(parse(&whole[..len], TYPE, 9), None, "{len}");
        }
        assert_eq!(parse(whole, TYPE, 0), None, "too many");
        assert_eq!(parse(b"--X-1\r\nno field\r\n\r\n\r\n--X-1--", TYPE, 9), None);
    }

    proptest! {
        #[test]
        fn anything_at_all_is_read_without_panic(text in "(--X-1|--|\r\n|:|;|=|\"|\\\\|a|content-disposition: form-data){0,30}") {
            parse(text.as_bytes(), TYPE, 9);
            parameters(&text).take(100).for_each(drop);
        }

        #[test]
        fn what_parts_have_comes_back(bodies in prop::collection::vec("[a\r\n-]{0,12}", 1..5)) {
            let part = |body: &String| format!("--X-1\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n{body}\r\n");
            let body = bodies.iter().map(part).collect::<String>() + "--X-1--\r\n";
            let parts = parse(body.as_bytes(), TYPE, 9).unwrap();
            let found: Vec<&[u8]> = parts.iter().map(|part| part.body).collect();
            prop_assert_eq!(found, bodies.iter().map(|body| body.as_bytes()).collect::<Vec<_>>());
        }
    }
}

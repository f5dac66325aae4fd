//! Puts a head together from names and values, so that nothing in them can end a line or begin another field.

use exchange::{Head, Lack, bytes_of_text};

use super::entry::RawField;

/// Fields of a head in the making.
#[derive(Clone)]
pub(super) struct HeadMaker {
    fields: Vec<(String, String)>,
}

impl HeadMaker {
    /// Takes what can stand in a head: pseudo-fields are HTTP/2's; values that a tool joined by line feeds are several
    /// fields; what has no name is none.
    pub(super) fn of(raw: &[RawField], lacks: &mut Vec<Lack>) -> Self {
        let mut fields = Vec::new();
        for field in raw {
            if field.name.starts_with(':') {
                lacks.push(Lack::Protocol);
            } else if is_token(&field.name) {
                let value = field.value.as_deref().unwrap_or_default();
                fields.extend(value.split('\n').map(|value| (field.name.clone(), text(value))));
            } else {
                lacks.push(Lack::Fields);
            }
        }
        Self { fields }
    }

    /// Adds the name that was asked for, where the fields have none: HTTP/2 tells it as `:authority`.
    pub(super) fn add_host(&mut self, raw: &[RawField], authority: &str) {
        if self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            return;
        }
        let pseudo = raw.iter().find(|field| field.name.eq_ignore_ascii_case(":authority"));
        let told = pseudo.and_then(|field| field.value.as_deref()).filter(|value| !value.is_empty());
        self.fields.insert(0, ("Host".to_owned(), text(told.unwrap_or(authority))));
    }

    /// The same without the body's codings.
    pub(super) fn without_coding(mut self) -> Self {
        self.fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-encoding"));
        self
    }

    /// The head. Where a body of this length is told, the framing says so; where none is told, it stays as it was.
    pub(super) fn head(&self, first_line: &str, body_len: Option<usize>) -> Head {
        let mut bytes = bytes_of(first_line);
        bytes.extend_from_slice(b"\r\n");
        let is_length = |name: &str| name.eq_ignore_ascii_case("content-length");
        let mut is_framed = body_len.is_none_or(|len| len == 0);
        for (name, value) in &self.fields {
            if name.eq_ignore_ascii_case("transfer-encoding") {
                continue;
            }
            if is_length(name) && body_len.is_some_and(|len| len > 0) {
                continue;
            }
            put_field(&mut bytes, name, value);
            is_framed |= is_length(name);
        }
        if let Some(len) = body_len.filter(|_| !is_framed) {
            put_field(&mut bytes, "Content-Length", &len.to_string());
        }
        bytes.extend_from_slice(b"\r\n");
        Head::new(bytes)
    }
}

fn put_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(b": ");
    bytes.extend(bytes_of(value));
    bytes.extend_from_slice(b"\r\n");
}

/// A byte for each character where that is possible, as our own archives are written, else UTF-8.
fn bytes_of(text: &str) -> Vec<u8> {
    bytes_of_text(text).unwrap_or_else(|| text.as_bytes().to_vec())
}

/// HTTP/1.0 and HTTP/1.1 as they are; whatever else, which is then lacking, as HTTP/1.1.
pub(super) fn version(told: Option<&str>, lacks: &mut Vec<Lack>) -> &'static str {
    match told.unwrap_or_default().to_ascii_uppercase().as_str() {
        "HTTP/1.0" => "HTTP/1.0",
        "HTTP/1.1" | "" | "UNKNOWN" => "HTTP/1.1",
        _ => {
            lacks.push(Lack::Protocol);
            "HTTP/1.1"
        }
    }
}

/// A target that fits a request line: never empty, white space and control characters percent-encoded.
pub(super) fn target(target: &str) -> String {
    let mut fitting = if target.starts_with('/') { String::new() } else { "/".to_owned() };
    for character in target.chars() {
        if character.is_ascii_control() || character == ' ' {
            fitting += &format!("%{:02X}", u32::from(character));
        } else {
            fitting.push(character);
        }
    }
    fitting
}

/// A token (RFC 9110, section 5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A value on one line, as it comes off a head: without white space around it, control characters as spaces.
pub(super) fn text(value: &str) -> String {
    let one_line: String = value.chars().map(|it| if it.is_ascii_control() && it != '\t' { ' ' } else { it }).collect();
    one_line.trim_ascii().to_owned()
}

/// A name or value of a form (`application/x-www-form-urlencoded`); what is encoded already stays so.
pub(super) fn form(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*%+".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

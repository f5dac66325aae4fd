//! Bodies that are no JSON and have a structure: forms, parts, HTML, protobuf.
//!
//! In: a decoded body, its content type, and a schema where there is one. Out: a [`Structured`], which is compared as a document. What is
//! not what it says to be is compared as text or bytes.

use std::collections::BTreeMap;

use content::{
    canonical::{BODY_BYTES_MAX, VALUES_MAX},
    json::{self, Value},
    markup, multipart,
    protobuf::{self, Schema},
    urlencoded,
};
use exchange::{Digest, Head};

use crate::{ComparedAs, fields, said::tree_of};

/// Fields and parts that a body may have. A choice: forms have dozens.
const FIELDS_MAX: usize = 1 << 16;

/// How a body can be read beyond what it says itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading<'r> {
    /// What is known of messages.
    pub(crate) schema: Option<&'r Schema>,
    /// The type of this one.
    pub(crate) message: Option<&'r str>,
}

impl<'r> Reading<'r> {
    /// The type of the message, where it is described.
    fn of(&self) -> Option<(&'r Schema, &'r str)> {
        self.schema.zip(self.message)
    }
}

/// A body as a document.
#[derive(Clone, Debug)]
pub(crate) struct Structured {
    pub(crate) compared_as: ComparedAs,
    value: Value,
    /// On how many levels fields are lists of which nothing says whether they are repeated.
    list_levels: usize,
}

impl Structured {
    /// Reads a body as what its head says; `None` where it is nothing of this kind.
    pub(crate) fn read(head: &Head, body: &[u8], reading: Reading<'_>) -> Option<Self> {
        let content_type = head.text_of("content-type")?;
        let essence = multipart::essence(content_type);
        let read = match essence.as_str() {
            "application/x-www-form-urlencoded" => Self::form(body),
            _ if is_html(&essence) => Self::html(body),
            _ if essence.starts_with("multipart/") => Self::parts(body, content_type),
            _ => Self::protobuf(head, content_type, &essence, body, reading),
        };
        read.filter(Self::is_document)
    }

    /// Reads a file as what it looks like.
    pub(crate) fn guessed(file: &[u8], reading: Reading<'_>) -> Option<Self> {
        if reading.of().is_some() {
            return Self::message(file, reading.of());
        }
        if looks_like_html(file) { Self::html(file).filter(Self::is_document) } else { None }
    }

    /// Both as documents that belong together.
    pub(crate) fn pair(&self, other: &Self) -> (Value, Value) {
        let levels = self.list_levels.max(other.list_levels);
        fields::without_lists(self.value.clone(), other.value.clone(), levels)
    }

    /// The document by itself.
    pub(crate) fn value(&self) -> Value {
        fields::of_one(self.value.clone(), self.list_levels)
    }

    /// False where it is too deep to be one.
    fn is_document(&self) -> bool {
        tree_of(&self.value).is_some()
    }

    fn form(body: &[u8]) -> Option<Self> {
        let fields = urlencoded::parse(body, FIELDS_MAX)?.into_iter();
        let value = by_name(fields.map(|(name, value)| (name, Value::String(value))));
        Some(Self { compared_as: ComparedAs::Form, value, list_levels: 1 })
    }

    fn html(body: &[u8]) -> Option<Self> {
        let value = markup::document(std::str::from_utf8(body).ok()?, VALUES_MAX)?;
        Some(Self { compared_as: ComparedAs::Html, value, list_levels: 0 })
    }

    /// By name where all parts have one, which is then what tells them apart; else in order.
    fn parts(body: &[u8], content_type: &str) -> Option<Self> {
        let parts = multipart::parse(body, content_type, FIELDS_MAX)?;
        let is_named = parts.iter().all(|part| part.name.is_some());
        let value = if is_named {
            by_name(parts.iter().map(|part| (part.name.clone().unwrap_or_default(), part_value(part))))
        } else {
            Value::Array(parts.iter().map(part_value).collect())
        };
        Some(Self { compared_as: ComparedAs::Multipart, value, list_levels: usize::from(is_named) })
    }

    fn protobuf(head: &Head, content_type: &str, essence: &str, body: &[u8], reading: Reading<'_>) -> Option<Self> {
        let named = ["messagetype", "proto"].into_iter().find_map(|name| multipart::parameter(content_type, name));
        let of = match (reading.schema, &named) {
            (Some(schema), Some(name)) if schema.has_message(name) => Some((schema, name.as_str())),
            _ => reading.of(),
        };
        match essence {
            "application/protobuf"
            | "application/x-protobuf"
            | "application/proto"
            | "application/vnd.google.protobuf" => Self::message(body, of),
            _ => {
                let format =
                    ["application/grpc-web-text", "application/grpc-web", "application/grpc", "application/connect"]
                        .into_iter()
                        .find_map(|name| Some((name, essence.strip_prefix(name)?)));
                let (name, format) = format.filter(|(_, format)| matches!(*format, "" | "+proto" | "+json"))?;
                let decoded = if name.ends_with("-text") {
                    content::base64::decode(std::str::from_utf8(body).ok()?).ok()?
                } else {
                    body.to_vec()
                };
                let coding = head.text_of("grpc-encoding").or_else(|| head.text_of("connect-content-encoding"));
                let is_json = format == "+json";
                let mut values_left = VALUES_MAX;
                let value = protobuf::grpc_document(&decoded, coding, of, is_json, BODY_BYTES_MAX, &mut values_left)?;
                Some(Self {
                    compared_as: ComparedAs::Protobuf,
                    value,
                    list_levels: if is_json { 0 } else { levels(of) },
                })
            }
        }
    }

    fn message(body: &[u8], of: Option<(&Schema, &str)>) -> Option<Self> {
        let value = protobuf::document(body, of, &mut { VALUES_MAX })?;
        Some(Self { compared_as: ComparedAs::Protobuf, value, list_levels: levels(of) })
    }
}

/// True for the content type of HTML.
pub(crate) fn is_html(essence: &str) -> bool {
    matches!(essence, "text/html" | "application/xhtml+xml")
}

/// True for a file that says in the beginning that it is HTML.
pub(crate) fn looks_like_html(file: &[u8]) -> bool {
    let begin = file.trim_ascii_start();
    let begins_with = |word: &str| begin.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word.as_bytes()));
    begins_with("<!doctype html") || begins_with("<html")
}

/// True where there is an element: what is HTML, has one, and was not read as that, is too much or too deep for it.
pub(crate) fn has_element(text: &str) -> bool {
    text.as_bytes().windows(2).any(|pair| pair[0] == b'<' && pair[1].is_ascii_alphabetic())
}

/// With a schema it is known which fields are repeated.
fn levels(of: Option<(&Schema, &str)>) -> usize {
    if protobuf::is_by_number(of) { usize::MAX } else { 0 }
}

/// All values of each name, in their order.
fn by_name(fields: impl Iterator<Item = (String, Value)>) -> Value {
    let mut lists: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for (name, value) in fields {
        lists.entry(name).or_default().push(value);
    }
    Value::Object(lists.into_iter().map(|(name, values)| (name, Value::Array(values))).collect())
}

/// A part: its content alone where nothing else is said of it.
fn part_value(part: &multipart::Part<'_>) -> Value {
    let media_type = part.media_type();
    let is_json = media_type.as_deref().is_some_and(|it| it == "application/json" || it.ends_with("+json"));
    let is_text = media_type.as_deref().is_none_or(|it| it.starts_with("text/"));
    let json = is_json.then(|| json::parse_limited(part.body, VALUES_MAX).ok()).flatten();
    let text = || std::str::from_utf8(part.body).ok().filter(|_| is_text || is_json);
    // A text that is no JSON, though its part says so, is not the JSON that this text would be.
    let member = if is_json && json.is_none() { "text" } else { "content" };
    let content = match json.or_else(|| text().map(|text| Value::String(text.to_owned()))) {
        Some(content) => content,
        None => Value::String(format!("{} bytes, {}", part.body.len(), Digest::of(part.body))),
    };
    if part.headers.is_empty() && part.filename.is_none() {
        return content;
    }
    let text = |text: &String| Value::String(text.clone());
    let mut members: Vec<(String, Value)> = Vec::new();
    members.extend(part.filename.iter().map(|name| ("filename".to_owned(), text(name))));
    let fields = by_name(part.headers.iter().map(|(name, value)| (name.clone(), text(value))));
    members.push(("headers".to_owned(), fields::of_one(fields, 1)));
    members.push((member.to_owned(), content));
    Value::Object(members)
}

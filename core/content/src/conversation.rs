//! Which conversation a request is a turn of.
//!
//! In: a request's head and its body, read, and where the user says that the conversation's id stands. Out: its id, and how
//! it is known: as given; by the `baggage` field (W3C Baggage) with `gen_ai.conversation.id`, as OpenTelemetry's conventions
//! name it; else inferred. All turns of a conversation repeat its beginning: what is above its first message of a user, and
//! that message. The inferred id is the digest of it, so that nothing has to be remembered, and a call that is made now has
//! the id that it had when it was recorded. Two conversations that begin with the same words are taken for one.

use exchange::{Conversation, ConversationSource, Head};

use crate::{
    canonical::CanonicalBody,
    fields,
    json::Value,
    place::{self, Found, Message, Place},
};

/// The baggage entry that names a conversation.
const BAGGAGE_KEY: &str = "gen_ai.conversation.id";

/// Longest id kept as it is, in bytes; of a longer one the digest is kept. A choice: far above a UUID.
const ID_BYTES_MAX: usize = 128;

/// Digits of an inferred id.
const INFERRED_DIGITS: usize = 16;

/// What stands above the messages and belongs to a conversation's beginning: of Anthropic, of OpenAI's responses, of Gemini.
const PREAMBLES: [&str; 4] = ["system", "instructions", "systemInstruction", "system_instruction"];

/// The conversation of a request; `None` where nothing tells.
pub fn of_request(given: Option<&Place>, head: &Head, body: Option<&CanonicalBody>) -> Option<Conversation> {
    let known = |how, id: Option<String>| id.filter(|id| !id.is_empty()).map(|id| Conversation { id: short(id), how });
    let as_given = || given.and_then(|place| place.find(Message { head, body }, None)).map(text_of);
    known(ConversationSource::Given, as_given())
        .or_else(|| known(ConversationSource::Baggage, in_baggage(head)))
        .or_else(|| known(ConversationSource::Prefix, inferred(head, body?)))
}

fn text_of(found: Found) -> String {
    match found {
        Found::Value(Value::String(text)) => text,
        Found::Value(value) => value.to_compact_text(),
        Found::TooLong => String::new(),
    }
}

fn short(id: String) -> String {
    if id.len() > ID_BYTES_MAX { blake3::hash(id.as_bytes()).to_string() } else { id }
}

/// Entries are `key=value;properties`, split at commas, values percent-encoded (W3C Baggage, section 3.2.1).
fn in_baggage(head: &Head) -> Option<String> {
    let of_name = fields::fields(head).into_iter().filter(|field| field.lower_name(head) == "baggage");
    of_name.into_iter().find_map(|field| {
        let value = field.value(head);
        let mut entries = value.split(|&byte| byte == b',');
        entries.find_map(|entry| {
            let entry = entry.split(|&byte| byte == b';').next()?;
            let equals = entry.iter().position(|&byte| byte == b'=')?;
            let is_it = entry[..equals].trim_ascii() == BAGGAGE_KEY.as_bytes();
            is_it.then(|| percent_decoded(entry[equals + 1..].trim_ascii()))
        })
    })
}

fn percent_decoded(text: &[u8]) -> String {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The digest of how a conversation begins.
fn inferred(head: &Head, body: &CanonicalBody) -> Option<String> {
    let read;
    let value = match body {
        CanonicalBody::Json(value) => value,
        other => {
            read = place::unannounced(other)?;
            &read
        }
    };
    let opening = opening(head, value)?;
    let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 conversation opening");
    for name in PREAMBLES {
        put(&mut hasher, value.get(name));
    }
    opening.into_iter().for_each(|message| put(&mut hasher, Some(message)));
    Some(hasher.finalize().to_hex().chars().take(INFERRED_DIGITS).collect())
}

/// The messages up to and including the first of a user.
fn opening<'v>(head: &Head, value: &'v Value) -> Option<Vec<&'v Value>> {
    // What follows another answer repeats nothing of what was said before.
    if value.get("previous_response_id").is_some_and(|id| *id != Value::Null) {
        return None;
    }
    let target = head.origin_target().unwrap_or_default();
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let lists = [value.get("messages"), value.get("contents"), value.get("input")];
    match lists.into_iter().flatten().next()? {
        Value::Array(messages) => {
            let is_users = |message: &Value| message.get("role").and_then(Value::as_str) == Some("user");
            let first = messages.iter().position(is_users)?;
            Some(messages[..=first].iter().collect())
        }
        text @ Value::String(_) if path.ends_with(b"/responses") => Some(vec![text]),
        _ => None,
    }
}

/// Takes a part of the beginning, or that it is not there.
fn put(hasher: &mut blake3::Hasher, part: Option<&Value>) {
    let mut bytes = Vec::new();
    if let Some(part) = part {
        without_cache_marks(part).write_canonical(&mut bytes);
    }
    hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes);
}

/// A message says the same wherever a client marks the end of what a provider is to keep; the mark moves from turn to turn.
fn without_cache_marks(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let said = members.iter().filter(|(name, _)| name != "cache_control");
            Value::Object(said.map(|(name, value)| (name.clone(), without_cache_marks(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(without_cache_marks).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical;

    fn of(fields: &str, body: &str, given: Option<&str>) -> Option<Conversation> {
        let head = Head::new(format!("POST /v1/responses HTTP/1.1\r\nContent-Type: application/json\r\n{fields}\r\n"));
        let given: Option<Place> = given.map(|text| text.parse().unwrap());
        of_request(given.as_ref(), &head, Some(&canonical::body(&head, body.as_bytes())))
    }

    fn inferred_id(body: &str) -> Option<String> {
        of("", body, None).filter(|it| it.how == ConversationSource::Prefix).map(|it| it.id)
    }

    #[test]
    fn what_the_user_says_comes_before_baggage_and_baggage_before_what_is_inferred() {
        let baggage = "Baggage: a=1, gen_ai.conversation.id = th%2Fread%201;x=y\r\n";
        let body = r#"{"thread":42,"messages":[{"role":"user","content":"hi"}]}"#;
        let known = |id: &str, how| Some(Conversation { id: id.to_owned(), how });
        assert_eq!(of(baggage, body, Some("/thread")), known("42", ConversationSource::Given));
        assert_eq!(of("X-Thread: t\r\n", body, Some("header:x-thread")), known("t", ConversationSource::Given));
        assert_eq!(of(baggage, body, Some("/nothing")), known("th/read 1", ConversationSource::Baggage));
        assert_eq!(of("", body, None).unwrap().how, ConversationSource::Prefix);
        assert_eq!(of("", "{}", None), None);
        assert_eq!(of("", "", None), None);
    }

    #[test]
    fn turns_of_one_conversation_have_one_id_and_another_beginning_another() {
        let turn =
            |more: &str| format!(r#"[{{"role":"system","content":"s"}},{{"role":"user","content":"hi"}}{more}]"#);
        let later = r#",{"role":"assistant","content":"yes?"},{"role":"user","content":"more"}"#;
        let chat = |more: &str| inferred_id(&format!(r#"{{"model":"m","messages":{}}}"#, turn(more)));
        assert!(chat("").is_some());
        assert_eq!(chat(""), chat(later));
        assert_ne!(chat(""), inferred_id(r#"{"messages":[{"role":"user","content":"hi"}]}"#));
        let of_system = |system: &str| inferred_id(&format!(r#"{{"system":"{system}","messages":{}}}"#, turn("")));
        assert_ne!(of_system("a"), of_system("b"));
    }

    #[test]
    fn responses_and_marks_of_caches_are_understood() {
        let text = inferred_id(r#"{"input":"hi"}"#);
        assert!(text.is_some());
        assert_eq!(inferred_id(r#"{"input":"hi","previous_response_id":"resp_1"}"#), None);
        assert_eq!(inferred_id(r#"{"messages":[{"role":"system","content":"s"}]}"#), None);
        let marked = r#"{"messages":[{"role":"user","content":[{"text":"hi","cache_control":{"type":"ephemeral"}}]}]}"#;
        let plain = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
        assert_eq!(inferred_id(marked), inferred_id(plain));
    }

    #[test]
    fn an_id_that_is_too_long_is_its_digest_and_odd_percents_are_kept() {
        let long = "x".repeat(ID_BYTES_MAX + 1);
        let found = of(&format!("X-Thread: {long}\r\n"), "", Some("header:x-thread")).unwrap();
        assert_eq!(found.id.len(), 64);
        assert_eq!(percent_decoded(b"100%25%zz%"), "100%%zz%");
    }
}

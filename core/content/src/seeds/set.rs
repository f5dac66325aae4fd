//! Sets the seed of a request, in the place where its wire format has one.
//!
//! In: a request's head and body as sent. Out: the body with the seed written over the one that was there, or put in where the
//! format is known to take one; all other bytes as they were. Header fields, and so the body's length, are the caller's.

use std::ops::Range;

use exchange::Head;

use crate::{canonical, json};

/// Members that are a seed wherever they stand: OpenAI's and most others' name, and Mistral's.
const NAMES: [&str; 2] = ["seed", "random_seed"];

/// Members of the body that hold a seed: `options` of Ollama, `generationConfig` of Gemini, `parameters` of TGI.
const HOLDERS: [&str; 5] = ["generationConfig", "generation_config", "options", "parameters", "sampling_params"];

/// A body with its seed set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeded {
    /// The body as it is to be sent.
    pub body: Vec<u8>,
    /// Where the seed stands, by RFC 6901.
    pub pointers: Vec<String>,
}

/// Sets the seed of a request; `None` where it has no place for one: it is no JSON as it was sent (compressed, say), or of a
/// format without seeds, such as Anthropic's.
pub fn set_in_request(head: &Head, body: &[u8], seed: u32) -> Option<Seeded> {
    let is_plain = head.fields().all(|field| !field.is("content-encoding"));
    if !is_plain || json::parse_limited(body, canonical::VALUES_MAX).is_err() {
        return None;
    }
    let members = members_of(body, 0..body.len())?;
    let mut edits = Vec::new();
    for member in &members {
        if NAMES.contains(&member.name) {
            edits.push(Edit::over(member, format!("/{}", member.name), seed));
        } else if HOLDERS.contains(&member.name) {
            let held = members_of(body, member.value.clone()).unwrap_or_default();
            let held = held.iter().filter(|inner| NAMES.contains(&inner.name));
            edits.extend(held.map(|inner| Edit::over(inner, format!("/{}/{}", member.name, inner.name), seed)));
        }
    }
    if edits.is_empty() {
        edits.push(put_in(head, body, &members, seed)?);
    }
    Some(apply(body, edits))
}

/// A member of an object: its name where that has no escapes, and where its value is.
#[derive(Debug)]
struct Member<'a> {
    name: &'a str,
    value: Range<usize>,
}

struct Edit {
    at: Range<usize>,
    text: String,
    pointer: String,
}

impl Edit {
    fn over(member: &Member<'_>, pointer: String, seed: u32) -> Self {
        Self { at: member.value.clone(), text: seed.to_string(), pointer }
    }

    /// As the first member of an object, which begins at `object`.
    fn first(body: &[u8], object: usize, member: &str, pointer: &str) -> Self {
        let at = object + 1;
        let is_empty = body[at..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
        let comma = if is_empty { "" } else { "," };
        Self { at: at..at, text: format!("{member}{comma}"), pointer: pointer.to_owned() }
    }
}

/// The edit that puts a seed into a request that has none, where its path and members say which format it is.
fn put_in(head: &Head, body: &[u8], members: &[Member<'_>], seed: u32) -> Option<Edit> {
    let target = head.origin_target().unwrap_or_default();
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let has = |name: &str| members.iter().any(|member| member.name == name);
    let start = body.iter().position(|&byte| byte == b'{')?;
    let held_by = |holder: &str| {
        let pointer = format!("/{holder}/seed");
        match members.iter().find(|member| member.name == holder) {
            Some(member) if body.get(member.value.start) == Some(&b'{') => {
                Some(Edit::first(body, member.value.start, &format!("\"seed\":{seed}"), &pointer))
            }
            Some(_) => None,
            None => Some(Edit::first(body, start, &format!("\"{holder}\":{{\"seed\":{seed}}}"), &pointer)),
        }
    };
    if path.ends_with(b"/completions") && (has("messages") || has("prompt")) {
        return Some(Edit::first(body, start, &format!("\"seed\":{seed}"), "/seed"));
    }
    if (path.ends_with(b"/api/chat") && has("messages")) || (path.ends_with(b"/api/generate") && has("prompt")) {
        return held_by("options");
    }
    if (path.ends_with(b":generateContent") || path.ends_with(b":streamGenerateContent")) && has("contents") {
        return held_by("generationConfig");
    }
    if (path.ends_with(b"/generate") || path.ends_with(b"/generate_stream")) && has("inputs") {
        return held_by("parameters");
    }
    None
}

fn apply(body: &[u8], mut edits: Vec<Edit>) -> Seeded {
    edits.sort_by_key(|edit| edit.at.start);
    let (mut new, mut from) = (Vec::with_capacity(body.len() + 32), 0);
    for edit in &edits {
        new.extend_from_slice(&body[from..edit.at.start]);
        new.extend_from_slice(edit.text.as_bytes());
        from = edit.at.end;
    }
    new.extend_from_slice(&body[from..]);
    Seeded { body: new, pointers: edits.into_iter().map(|edit| edit.pointer).collect() }
}

/// The members of the object that fills `within`, which is known to be JSON; `None` where it is no object.
fn members_of(body: &[u8], within: Range<usize>) -> Option<Vec<Member<'_>>> {
    let mut at = skip_space(body, within.start);
    if body.get(at) != Some(&b'{') {
        return None;
    }
    let mut members = Vec::new();
    at = skip_space(body, at + 1);
    while body.get(at) == Some(&b'"') {
        let name_end = value_end(body, at);
        let name = std::str::from_utf8(body.get(at + 1..name_end - 1)?).ok()?;
        at = skip_space(body, name_end);
        at = skip_space(body, at + usize::from(body.get(at) == Some(&b':')));
        let end = value_end(body, at);
        members.push(Member { name, value: at..end });
        at = skip_space(body, end);
        at = skip_space(body, at + usize::from(body.get(at) == Some(&b',')));
    }
    Some(members)
}

fn skip_space(body: &[u8], at: usize) -> usize {
    at + body.iter().skip(at).take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// Where the value that begins at `at` ends; at the end of the body where it does not.
fn value_end(body: &[u8], at: usize) -> usize {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for (offset, byte) in body.iter().enumerate().skip(at) {
        if in_string {
            in_string = is_escaped || *byte != b'"';
            is_escaped = !is_escaped && *byte == b'\\';
            if !in_string && depth == 0 {
                return offset + 1;
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return offset,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return offset + 1;
                }
            }
            b',' if depth == 0 => return offset,
            _ if depth == 0 && byte.is_ascii_whitespace() => return offset,
            _ => {}
        }
    }
    body.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(path: &str, body: &str) -> Option<(String, Vec<String>)> {
        let head = Head::new(format!("POST {path} HTTP/1.1\r\nContent-Type: application/json\r\n\r\n"));
        let seeded = set_in_request(&head, body.as_bytes(), 7)?;
        Some((String::from_utf8(seeded.body).unwrap(), seeded.pointers))
    }

    fn body(path: &str, text: &str) -> Option<String> {
        set(path, text).map(|(body, _)| body)
    }

    #[test]
    fn a_seed_that_is_there_is_written_over_and_no_other_byte_changes() {
        let before = r#"{ "model": "m", "seed" : 12345 ,"messages":[{"content":"\"seed\": 1, }\\"}], "x":{"seed":3}}"#;
        let (after, pointers) = set("/v1/chat/completions", before).unwrap();
        assert_eq!(after, before.replace("12345", "7"));
        assert_eq!(pointers, ["/seed"]);
        assert_eq!(body("/any", r#"{"seed":null}"#).as_deref(), Some(r#"{"seed":7}"#));
        assert_eq!(body("/any", r#"{"random_seed":1}"#).as_deref(), Some(r#"{"random_seed":7}"#));
        let held = set("/any", r#"{"options":{"top_k":1,"seed":2},"parameters":{"seed":[]}}"#).unwrap();
        assert_eq!(held.0, r#"{"options":{"top_k":1,"seed":7},"parameters":{"seed":7}}"#);
        assert_eq!(held.1, ["/options/seed", "/parameters/seed"]);
    }

    #[test]
    fn a_format_that_knows_seeds_gets_one_where_it_has_its_place() {
        let cases = [
            ("/v1/chat/completions?x=1", r#"{"messages":[]}"#, r#"{"seed":7,"messages":[]}"#),
            ("/v1/completions", r#"{"prompt":"p"}"#, r#"{"seed":7,"prompt":"p"}"#),
            ("/api/chat", r#"{"messages":[]}"#, r#"{"options":{"seed":7},"messages":[]}"#),
            ("/api/generate", r#"{"prompt":"p","options":{ }}"#, r#"{"prompt":"p","options":{"seed":7 }}"#),
            (
                "/v1beta/models/g:generateContent",
                r#"{"contents":[]}"#,
                r#"{"generationConfig":{"seed":7},"contents":[]}"#,
            ),
            ("/generate", r#"{"inputs":"i","parameters":{"a":1}}"#, r#"{"inputs":"i","parameters":{"seed":7,"a":1}}"#),
        ];
        for (path, before, after) in cases {
            assert_eq!(body(path, before).as_deref(), Some(after), "{path}");
        }
    }

    #[test]
    fn where_no_format_says_that_there_is_one_nothing_is_set() {
        for (path, text) in [
            ("/v1/messages", r#"{"model":"m","messages":[]}"#),
            ("/tickets", r#"{"text":"no light"}"#),
            ("/v1/chat/completions", r#"{"messages":"#),
            ("/v1/chat/completions", r#"["messages"]"#),
            ("/v1/chat/completions", ""),
            ("/api/chat", r#"{"messages":[],"options":3}"#),
        ] {
            assert_eq!(set(path, text), None, "{path} {text}");
        }
        let packed = Head::new("POST /v1/chat/completions HTTP/1.1\r\nContent-Encoding: gzip\r\n\r\n");
        assert_eq!(set_in_request(&packed, br#"{"seed":1}"#, 7), None);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_stays_json_with_the_seed_at_each_pointer(
            seed in proptest::option::of(0..9_i32), text in ".{0,12}", inner in proptest::option::of(0..9_i32)
        ) {
            let mut document = serde_json::json!({ "messages": [text.clone(), { "seed": 1 }], "options": { "a": text } });
            if let Some(seed) = seed { document["seed"] = seed.into(); }
            if let Some(inner) = inner { document["options"]["seed"] = inner.into(); }
            let before = serde_json::to_string_pretty(&document).unwrap();
            let (after, pointers) = set("/v1/chat/completions", &before).unwrap();
            let mut after: serde_json::Value = serde_json::from_str(&after).unwrap();
            for pointer in &pointers {
                prop_assert_eq!(after.pointer(pointer).unwrap(), &serde_json::json!(7));
            }
            // Apart from the seeds nothing differs.
            for (place, value) in [("/seed", seed), ("/options/seed", inner)] {
                let (holder, _) = place.rsplit_once('/').unwrap();
                let holder = after.pointer_mut(holder).unwrap().as_object_mut().unwrap();
                match value {
                    Some(value) => { holder.insert("seed".to_owned(), value.into()); }
                    None => { holder.remove("seed"); }
                }
            }
            prop_assert_eq!(after, document);
        }
    }
}

//! Canonical digests of real providers' traffic: equal however the same is written, different when it says something else.

#[path = "../../../exchange/tests/provider/mod.rs"]
mod recorded;

use content::canonical::{self, Digester};
use exchange::{Digest, Head, MediaKind, Transport};

/// Both messages of each exchange: head, body, and how its digest is made.
fn each_message(test: &str, mut look: impl FnMut(&str, &Head, &[u8], &dyn Fn(&[u8]) -> Digest)) {
    let Some(all) = recorded::exchanges(test) else { return };
    for it in &all {
        let request = |body: &[u8]| canonical::request_digest(&it.request_head, body, Transport::Http1);
        look(&format!("line {}, request", it.line), &it.request_head, &it.request, &request);
        let response = |body: &[u8]| canonical::response_digest(&it.response_head, body);
        look(&format!("line {}, response", it.line), &it.response_head, &it.response, &response);
    }
}

#[test]
fn slow_provider_the_same_content_written_otherwise_has_the_same_digest() {
    let mut rewritten = [0; 2];
    let test = "slow_provider_the_same_content_written_otherwise_has_the_same_digest";
    each_message(test, |which, head, body, digest| {
        let (kind, other) = match MediaKind::of(head) {
            MediaKind::Json => (0, written_otherwise(std::str::from_utf8(body).unwrap()).into_bytes()),
            MediaKind::EventStream => (1, streamed_otherwise(std::str::from_utf8(body).unwrap()).into_bytes()),
            _ => return,
        };
        if other != body {
            rewritten[kind] += 1;
        }
        assert_eq!(digest(&other), digest(body), "{which}");
    });
    eprintln!("{} JSON bodies and {} streams written otherwise", rewritten[0], rewritten[1]);
    assert!(std::env::var_os("RETAKE_TEST_DATA").is_none() || (rewritten[0] > 1600 && rewritten[1] > 200));
}

#[test]
fn slow_provider_a_body_that_comes_in_pieces_has_the_same_digest() {
    let test = "slow_provider_a_body_that_comes_in_pieces_has_the_same_digest";
    let Some(all) = recorded::exchanges(test) else { return };
    for it in &all {
        for piece_len in [1, 7, 4096] {
            let mut digester = Digester::response(&it.response_head);
            it.response.chunks(piece_len).for_each(|piece| digester.feed(piece));
            assert_eq!(digester.finish(), canonical::response_digest(&it.response_head, &it.response), "{}", it.line);
        }
    }
}

#[test]
fn slow_provider_one_changed_character_gives_another_digest() {
    let mut planted = 0;
    let test = "slow_provider_one_changed_character_gives_another_digest";
    each_message(test, |which, _, body, digest| {
        let before = digest(body);
        // Letters and digits have no way to be written otherwise, but as an escape, whose own digits count too.
        let places: Vec<_> = (0..body.len()).filter(|&at| body[at].is_ascii_alphanumeric()).collect();
        for &at in places.iter().step_by(places.len() / 20 + 1) {
            let mut changed = body.to_vec();
            changed[at] = if body[at] == b'1' { b'2' } else { b'1' };
            planted += 1;
            assert_ne!(digest(&changed), before, "{which}, byte {at}");
        }
        if !body.trim_ascii_end().is_empty() {
            assert_ne!(digest(&body[..body.trim_ascii_end().len() - 1]), before, "{which}, cut");
        }
    });
    eprintln!("{planted} characters changed");
}

#[test]
fn slow_provider_requests_are_equal_when_their_recorder_says_so() {
    let test = "slow_provider_requests_are_equal_when_their_recorder_says_so";
    let Some(all) = recorded::exchanges(test) else { return };
    let mut of_key = std::collections::BTreeMap::new();
    for it in &all {
        let line = it.request_head.request_line().unwrap();
        let same = Head::new([line.method, b" ", line.target, b" HTTP/1.1\r\n\r\n"].concat());
        let digest = canonical::request_digest(&same, &it.request, Transport::Http1);
        assert_eq!(*of_key.entry(it.key.clone()).or_insert(digest), digest, "line {}", it.line);
    }
    assert!(of_key.len() > 300);
}

/// The same JSON with other white space, members the other way round, and some characters as escapes.
fn written_otherwise(text: &str) -> String {
    let Ok(value) = content::json::parse(text.as_bytes()) else { return text.to_owned() };
    let mut out = String::new();
    write_otherwise(&reversed(value), &mut out);
    out
}

fn reversed(value: content::json::Value) -> content::json::Value {
    use content::json::Value::{Array, Object};
    match value {
        Array(elements) => Array(elements.into_iter().map(reversed).collect()),
        Object(members) => Object(members.into_iter().rev().map(|(key, value)| (key, reversed(value))).collect()),
        other => other,
    }
}

/// Goes through compact JSON byte by byte, so that nothing of the crate's own reading is used.
fn write_otherwise(value: &content::json::Value, out: &mut String) {
    let mut is_in_string = false;
    let mut is_escaped = false;
    for character in value.to_compact_text().chars() {
        match character {
            _ if is_escaped => {
                is_escaped = false;
                out.push(character);
            }
            '\\' => {
                is_escaped = true;
                out.push(character);
            }
            '"' => {
                is_in_string = !is_in_string;
                out.push(character);
            }
            'e' | '/' | '\u{e9}' | '\u{1f600}' if is_in_string => {
                character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04X}")));
            }
            '{' | '[' | ':' | ',' if !is_in_string => out.push_str(&format!("\t{character}\r\n ")),
            _ => out.push(character),
        }
    }
}

/// The same events with other line ends, comments between them, and each JSON written otherwise.
fn streamed_otherwise(text: &str) -> String {
    let mut out = String::from("\u{feff}: a comment\r\n\r\n");
    for line in text.split_inclusive('\n') {
        match line.trim_end_matches(['\r', '\n']).strip_prefix("data:") {
            // Only the white space that may stand in one line.
            Some(data) => {
                let data = data.strip_prefix(' ').unwrap_or(data);
                out.push_str(&format!("data:{}", padded(&written_otherwise(data).replace(['\r', '\n'], " "), data)));
            }
            None => out.push_str(line.trim_end_matches(['\r', '\n'])),
        }
        if line.ends_with('\n') {
            out.push_str(if line.len() == 1 { "\r\n: ping\r\n" } else { "\r\n" });
        }
    }
    out
}

/// One space after the colon belongs to no value; where the value itself begins with one, another has to stand before.
fn padded(written: &str, data: &str) -> String {
    if written == data || written.starts_with(' ') { format!(" {written}") } else { written.to_owned() }
}

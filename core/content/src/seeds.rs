//! What a request or response pins of its own randomness.
//!
//! In: a message's head and body. Out: [`Seed`]s: `seed`, `temperature`, `model`, `system_fingerprint` and the like, from
//! JSON bodies, from the first events of a stream that have them, and from header fields. The environment's part
//! (`PYTHONHASHSEED`) is left to the fingerprint.

mod set;

use exchange::{Head, Seed, SeedPlace};

pub use set::{Seeded, set_in_request};

use crate::{
    canonical::{self, CanonicalBody},
    json::{self, Value},
    sse::Stream,
};

/// Members that pin randomness, or name what answered. Those of OpenAI, Anthropic, Gemini, Bedrock, Ollama, vLLM, TGI, llama.cpp.
const NAMES: &[&str] = &[
    "do_sample",
    "frequencyPenalty",
    "frequency_penalty",
    "logit_bias",
    "max_completion_tokens",
    "max_new_tokens",
    "max_output_tokens",
    "max_tokens",
    "maxOutputTokens",
    "maxTokenCount",
    "maxTokens",
    "max_gen_len",
    "min_p",
    "mirostat",
    "model",
    "modelVersion",
    "n",
    "num_beams",
    "num_predict",
    "presencePenalty",
    "presence_penalty",
    "random_seed",
    "repeat_penalty",
    "repetition_penalty",
    "seed",
    "system_fingerprint",
    "temperature",
    "tfs_z",
    "topK",
    "topP",
    "top_k",
    "top_p",
    "typical_p",
];

/// Objects, members of the body, that hold such members: `options` of Ollama, `generationConfig` of Gemini, `parameters`
/// of TGI, `details` of its answers, `inferenceConfig` and `textGenerationConfig` of Bedrock, `message` and `response` in
/// the first events of Anthropic and OpenAI.
const HOLDERS: &[&str] = &[
    "details",
    "generationConfig",
    "generation_config",
    "inferenceConfig",
    "message",
    "options",
    "parameters",
    "response",
    "sampling_params",
    "textGenerationConfig",
];

/// Header fields that do the same.
const HEADERS: &[&str] = &[
    "anthropic-beta",
    "anthropic-version",
    "openai-beta",
    "openai-model",
    "openai-version",
    "x-model-version",
    "x-seed",
];

/// Longest value kept, in bytes as written: a `logit_bias` of a few dozen tokens. A choice.
const VALUE_BYTES_MAX: usize = 1024;

/// Events of a stream that are looked into; what names the model stands in the first one. A choice.
const EVENTS_MAX: usize = 16;

/// The seeds of a request, its body as sent.
pub fn find_in_request(head: &Head, body: &[u8]) -> Vec<Seed> {
    find(SeedPlace::Request, head, &canonical::body(head, body))
}

/// The seeds of a response, its body as sent.
pub fn find_in_response(head: &Head, body: &[u8]) -> Vec<Seed> {
    find(SeedPlace::Response, head, &canonical::body(head, body))
}

/// The seeds of a message whose body is read already: header fields first, each as sent, then the body in its order.
pub fn find(place: SeedPlace, head: &Head, body: &CanonicalBody) -> Vec<Seed> {
    let mut seeds: Vec<Seed> = head.fields().filter_map(|field| seed_of_field(place, field)).collect();
    match body {
        CanonicalBody::Json(value) => find_in_value(place, value, &mut seeds),
        CanonicalBody::Events(stream) => find_in_stream(place, stream, &mut seeds),
        CanonicalBody::Text(text) => find_in_unannounced(place, text.as_bytes(), &mut seeds),
        CanonicalBody::Bytes(bytes) => find_in_unannounced(place, bytes, &mut seeds),
        CanonicalBody::AsSent(_) => {}
    }
    seeds
}

/// JSON that is announced as something else, as `curl -d` does it, and the first line where each line is a document.
fn find_in_unannounced(place: SeedPlace, bytes: &[u8], seeds: &mut Vec<Seed>) {
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return;
    }
    let first_line = || bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let whole = json::parse_limited(bytes, canonical::VALUES_MAX);
    if let Ok(value) = whole.or_else(|_| json::parse_limited(first_line(), canonical::VALUES_MAX)) {
        find_in_value(place, &value, seeds);
    }
}

fn seed_of_field(place: SeedPlace, field: exchange::Field<'_>) -> Option<Seed> {
    let name = HEADERS.iter().find(|name| field.is(name))?;
    let value = exchange::text_of_bytes(field.value);
    (value.len() <= VALUE_BYTES_MAX).then(|| Seed { place, pointer: (*name).to_owned(), value })
}

fn find_in_stream(place: SeedPlace, stream: &Stream, seeds: &mut Vec<Seed>) {
    for event in stream.events.iter().filter(|event| event.dispatched).take(EVENTS_MAX) {
        if let Ok(value) = json::parse_limited(event.data.as_bytes(), canonical::VALUES_MAX) {
            find_in_value(place, &value, seeds);
        }
    }
}

/// Adds what is found, save pointers that an earlier event gave.
fn find_in_value(place: SeedPlace, value: &Value, seeds: &mut Vec<Seed>) {
    let Value::Object(members) = value else { return };
    for (name, member) in members {
        add(place, format!("/{name}"), name, member, seeds);
        let Value::Object(held) = member else { continue };
        if HOLDERS.contains(&name.as_str()) {
            for (inner_name, inner) in held {
                add(place, format!("/{name}/{inner_name}"), inner_name, inner, seeds);
            }
        }
    }
}

/// None of the names needs the escapes of RFC 6901.
fn add(place: SeedPlace, pointer: String, name: &str, value: &Value, seeds: &mut Vec<Seed>) {
    if !NAMES.contains(&name) || seeds.iter().any(|seed| seed.pointer == pointer) {
        return;
    }
    let value = value.to_compact_text();
    if value != "null" && value.len() <= VALUE_BYTES_MAX {
        seeds.push(Seed { place, pointer, value });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content_type: &str, body: &str) -> Vec<String> {
        let head = Head::new(format!("POST / HTTP/1.1\r\nContent-Type: {content_type}\r\n\r\n"));
        let seeds = find_in_request(&head, body.as_bytes());
        seeds.into_iter().map(|seed| format!("{}={}", seed.pointer, seed.value)).collect()
    }

    #[test]
    fn a_chat_request_gives_its_seed_as_written_and_leaves_null_out() {
        let body = r#"{"model":"m-1","seed":7,"temperature":0.70,"top_p":null,"messages":[{"seed":1}],"logit_bias":{"5": -1}}"#;
        assert_eq!(
            found("application/json", body),
            ["/model=\"m-1\"", "/seed=7", "/temperature=0.70", "/logit_bias={\"5\":-1}"]
        );
    }

    #[test]
    fn seeds_are_found_where_other_services_put_them() {
        assert_eq!(found("application/json", r#"{"options":{"seed":1,"num_ctx":2}}"#), ["/options/seed=1"]);
        assert_eq!(found("application/json", r#"{"generationConfig":{"topK":40}}"#), ["/generationConfig/topK=40"]);
        assert_eq!(found("application/json", r#"{"parameters":{"do_sample":true}}"#), ["/parameters/do_sample=true"]);
        assert_eq!(
            found("application/json", r#"{"inferenceConfig":{"maxTokens":9}}"#),
            ["/inferenceConfig/maxTokens=9"]
        );
        let titan = r#"{"textGenerationConfig":{"maxTokenCount":9,"topP":0.9}}"#;
        let expected = ["/textGenerationConfig/maxTokenCount=9", "/textGenerationConfig/topP=0.9"];
        assert_eq!(found("application/json", titan), expected);
        assert_eq!(found("application/json", r#"{"other":{"seed":1}}"#), Vec::<String>::new());
    }

    #[test]
    fn json_is_looked_into_whatever_it_is_announced_as() {
        assert_eq!(
            found("application/x-www-form-urlencoded", r#"{"model":"m","seed":7}"#),
            ["/model=\"m\"", "/seed=7"]
        );
        assert_eq!(found("application/x-ndjson", "{\"model\":\"m\"}\n{\"model\":\"n\"}\n"), ["/model=\"m\""]);
        assert_eq!(found("application/octet-stream", " {\"seed\":7}"), ["/seed=7"]);
        assert_eq!(found("text/plain", "seed=7 {\"seed\":7}"), Vec::<String>::new());
    }

    #[test]
    fn of_a_stream_the_first_event_that_has_it_counts() {
        let body =
            "data: [DONE]\n\ndata: {\"model\":\"a\"}\n\ndata: {\"model\":\"b\",\"system_fingerprint\":\"fp\"}\n\n";
        assert_eq!(found("text/event-stream", body), ["/model=\"a\"", "/system_fingerprint=\"fp\""]);
    }

    #[test]
    fn header_fields_that_name_a_version_are_seeds_of_their_message() {
        let head = Head::new(*b"HTTP/1.1 200 OK\r\nOpenAI-Version: 2020-10-01\r\n\r\n");
        let expected =
            Seed { place: SeedPlace::Response, pointer: "openai-version".to_owned(), value: "2020-10-01".to_owned() };
        assert_eq!(find_in_response(&head, b""), [expected]);
    }

    #[test]
    fn a_value_too_long_to_be_one_is_left_out() {
        let body = format!("{{\"model\":\"{}\",\"seed\":1}}", "m".repeat(VALUE_BYTES_MAX));
        assert_eq!(found("application/json", &body), ["/seed=1"]);
    }
}

//! Exchanges as an HTTP Archive 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>).

use exchange::{Exchange, Head, Session, text_of_bytes};
use serde_json::{Value, json};

use crate::{base64::base64, human::rfc3339};

/// One exchange with its bodies as sent.
#[derive(Clone, Copy, Debug)]
pub struct HarEntry<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// Its session, for the wall clock and the address.
    pub session: Option<&'a Session>,
    /// Kept bytes of the request's body.
    pub request_body: &'a [u8],
    /// Kept bytes of the response's body.
    pub response_body: &'a [u8],
    /// Where the service or dependency was, as a URL.
    pub upstream: &'a str,
}

/// An archive of these exchanges, indented, with a final line feed.
pub fn har_document(entries: &[HarEntry<'_>], tool_version: &str) -> String {
    let entries: Vec<Value> = entries.iter().map(entry).collect();
    let creator = json!({ "name": "retake", "version": tool_version });
    let log = json!({ "log": { "version": "1.2", "creator": creator, "entries": entries } });
    let mut text = serde_json::to_string_pretty(&log).expect("a value can always be written");
    text.push('\n');
    text
}

fn entry(entry: &HarEntry<'_>) -> Value {
    let times = &entry.exchange.times;
    let wall = entry.session.map_or(0, |session| session.started.wall_unix_ns);
    let request_ended = times.request_ended_ns.unwrap_or(times.started_ns);
    let response_started = times.response_started_ns.unwrap_or(times.ended_ns);
    json!({
        "startedDateTime": rfc3339(wall.saturating_add(times.started_ns)),
        "time": milliseconds(times.started_ns, times.ended_ns),
        "request": request(entry),
        "response": response(entry),
        "cache": {},
        "timings": {
            "send": milliseconds(times.started_ns, request_ended),
            "wait": milliseconds(request_ended, response_started),
            "receive": milliseconds(response_started, times.ended_ns),
        },
        "comment": format!("exchange {}, {}", entry.exchange.id, entry.exchange.end.word()),
    })
}

fn request(entry: &HarEntry<'_>) -> Value {
    let request = &entry.exchange.request;
    let line = request.head.request_line();
    let target = text_of_bytes(request.head.origin_target().unwrap_or_default());
    let mut value = json!({
        "method": line.map(|line| text_of_bytes(line.method)).unwrap_or_default(),
        "url": format!("{}{target}", entry.upstream.trim_end_matches('/')),
        "httpVersion": line.map(|line| text_of_bytes(line.version)).unwrap_or_default(),
        "cookies": [],
        "headers": headers(&request.head),
        "queryString": query(&target),
        "headersSize": request.head.bytes.len(),
        "bodySize": request.body.len,
    });
    if !entry.request_body.is_empty() {
        value["postData"] = content(&request.head, entry.request_body);
    }
    value
}

fn response(entry: &HarEntry<'_>) -> Value {
    let Some(response) = &entry.exchange.response else {
        return json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [], "redirectURL": "",
            "content": { "size": 0, "mimeType": "" }, "headersSize": -1, "bodySize": -1,
        });
    };
    let line = response.head.status_line();
    let mut content = content(&response.head, entry.response_body);
    content["size"] = json!(response.body.len);
    json!({
        "status": line.map_or(0, |line| line.status),
        "statusText": line.map(|line| text_of_bytes(line.reason)).unwrap_or_default(),
        "httpVersion": line.map(|line| text_of_bytes(line.version)).unwrap_or_default(),
        "cookies": [],
        "headers": headers(&response.head),
        "redirectURL": response.head.text_of("location").unwrap_or_default(),
        "content": content,
        "headersSize": response.head.bytes.len(),
        "bodySize": response.body.len,
    })
}

fn headers(head: &Head) -> Vec<Value> {
    let pair =
        |field: exchange::Field<'_>| json!({ "name": text_of_bytes(field.name), "value": text_of_bytes(field.value) });
    head.fields().map(pair).collect()
}

/// Keys and values of the query as they were sent, percent-encoding included.
fn query(target: &str) -> Vec<Value> {
    let Some((_, query)) = target.split_once('?') else { return Vec::new() };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A body as text, or in base64 where it is none.
fn content(head: &Head, bytes: &[u8]) -> Value {
    let mime_type = head.text_of("content-type").unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "mimeType": mime_type, "text": text }),
        Err(_) => json!({ "mimeType": mime_type, "text": base64(bytes), "encoding": "base64" }),
    }
}

fn milliseconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

//! Exchanges as an archive, written one after another.

use std::io::{self, Write};

use content::{base64, canonical::BODY_BYTES_MAX, encoding, instant};
use exchange::{Body, Head, Session, text_of_bytes};
use serde_json::{Value, json};

use super::own::{self, OwnLog};
use crate::{Telling, Told, Writing};

/// An archive in the making.
pub(super) struct Archive<'a> {
    out: &'a mut dyn Write,
    is_first: bool,
}

impl<'a> Archive<'a> {
    /// Writes what stands before the first entry.
    pub(super) fn begin(out: &'a mut dyn Write, tool_version: &str, sessions: &[&Session]) -> io::Result<Self> {
        let creator = json!({ "name": "retake", "version": tool_version });
        let own = OwnLog { version: own::VERSION, sessions: sessions.to_vec() };
        write!(out, "{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"_retake\":")?;
        serde_json::to_writer(&mut *out, &own)?;
        out.write_all(b",\"entries\":[")?;
        Ok(Self { out, is_first: true })
    }
}

impl Writing for Archive<'_> {
    fn put(&mut self, telling: &Telling<'_>) -> io::Result<Told> {
        if telling.exchange.request.head.request_line().is_none() {
            return Ok(Told::NoHttp);
        }
        self.out.write_all(if self.is_first { b"\n" } else { b",\n" })?;
        self.is_first = false;
        serde_json::to_writer(&mut *self.out, &entry(telling))?;
        Ok(Told::Entry)
    }

    fn end(self: Box<Self>) -> io::Result<()> {
        self.out.write_all(b"\n]}}\n")
    }
}

fn entry(telling: &Telling<'_>) -> Value {
    let exchange = telling.exchange;
    let times = &exchange.times;
    let wall = telling.session.map_or(0, |session| session.started.wall_unix_ns);
    let request_ended = times.request_ended_ns.unwrap_or(times.started_ns);
    let response_started = times.response_started_ns.unwrap_or(times.ended_ns).max(request_ended);
    let url = url(telling);
    json!({
        "startedDateTime": instant::rfc3339(wall.saturating_add(times.started_ns)),
        "time": milliseconds(times.started_ns, times.ended_ns),
        "request": request(telling, &url),
        "response": response(telling),
        "cache": {},
        "timings": {
            "send": milliseconds(times.started_ns, request_ended),
            "wait": milliseconds(request_ended, response_started),
            "receive": milliseconds(response_started, times.ended_ns),
        },
        "comment": format!("exchange {}, {}", exchange.id, exchange.end.word()),
        "_retake": own::carried(exchange, &url),
    })
}

/// Where it went. A target that is no path (`*`, an authority) is written behind a slash.
fn url(telling: &Telling<'_>) -> String {
    let target = text_of_bytes(telling.exchange.request.head.origin_target().unwrap_or_default());
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{}{slash}{target}", telling.upstream.trim_end_matches('/'))
}

fn request(telling: &Telling<'_>, url: &str) -> Value {
    let request = &telling.exchange.request;
    let told = own::told_request(&request.head);
    let mut value = json!({
        "method": told.words[0],
        "url": url,
        "httpVersion": told.version,
        "cookies": request.head.fields().filter(|field| field.is("cookie")).flat_map(|field| cookies(field.value)).collect::<Vec<_>>(),
        "headers": headers(told.fields),
        "queryString": query(url),
        "headersSize": request.head.bytes.len(),
        "bodySize": request.body.len,
    });
    if let Some(body) = telling.request_body.filter(|body| !body.is_empty()) {
        value["postData"] = text(&request.head, body);
    }
    value
}

fn response(telling: &Telling<'_>) -> Value {
    let Some(response) = &telling.exchange.response else {
        let mut none = json!({
            "status": 0, "statusText": "", "httpVersion": "", "cookies": [], "headers": [], "redirectURL": "",
            "content": { "size": 0, "mimeType": "" }, "headersSize": -1, "bodySize": -1,
        });
        if let exchange::End::Unreachable { reason } = &telling.exchange.end {
            none["_error"] = json!(reason);
        }
        return none;
    };
    let told = own::told_response(&response.head);
    let set = response.head.fields().filter(|field| field.is("set-cookie"));
    json!({
        "status": response.status().unwrap_or_default(),
        "statusText": told.words[1],
        "httpVersion": told.version,
        "cookies": set.filter_map(|field| cookies(field.value).into_iter().next()).collect::<Vec<_>>(),
        "headers": headers(told.fields),
        "redirectURL": response.head.text_of("location").unwrap_or_default(),
        "content": content(&response.head, &response.body, telling.response_body),
        "headersSize": response.head.bytes.len(),
        "bodySize": response.body.len,
    })
}

fn headers(fields: Vec<(String, String)>) -> Vec<Value> {
    fields.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// Names and values of a `Cookie` field; of a `Set-Cookie` the first counts.
fn cookies(value: &[u8]) -> Vec<Value> {
    let text = text_of_bytes(value);
    let pairs = text.split(';').map(|pair| pair.trim().split_once('=').unwrap_or((pair.trim(), "")));
    pairs.filter(|(name, _)| !name.is_empty()).map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// Keys and values of the query as they were sent, percent-encoding included.
fn query(url: &str) -> Vec<Value> {
    let Some((_, query)) = url.split_once('?') else { return Vec::new() };
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// A response's body: decoded, as the specification has it, and beside that as it was sent where that is something else.
fn content(head: &Head, body: &Body, bytes: Option<&[u8]>) -> Value {
    let Some(bytes) = bytes else {
        return json!({ "mimeType": head.text_of("content-type").unwrap_or_default(), "size": body.len });
    };
    let is_coded = head.value_of("content-encoding").is_some() && !bytes.is_empty();
    let decoded = if is_coded { encoding::decode(head, bytes, BODY_BYTES_MAX).ok() } else { None };
    let Some(decoded) = decoded.filter(|decoded| **decoded != *bytes) else {
        let mut content = text(head, bytes);
        content["size"] = json!(body.len);
        return content;
    };
    let mut content = text(head, &decoded);
    content["size"] = json!(decoded.len());
    content["compression"] = json!(decoded.len() as i64 - bytes.len() as i64);
    content["_retakeSent"] = json!(base64::encode(bytes));
    content
}

/// Bytes as text, or in base64 where they are none.
fn text(head: &Head, bytes: &[u8]) -> Value {
    let mime_type = head.text_of("content-type").unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "mimeType": mime_type, "text": text }),
        Err(_) => json!({ "mimeType": mime_type, "text": base64::encode(bytes), "encoding": "base64" }),
    }
}

fn milliseconds(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e6
}

#[cfg(test)]
mod tests;

//! One entry as the specification has it, and the item that it is.

use exchange::{Head, Lack};
use serde::Deserialize;

use super::head::{self, HeadMaker};
use content::instant;

use crate::{Item, ItemMessage, Origin, base64};

/// An entry; what is not named here is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawEntry {
    #[serde(default)]
    started_date_time: Option<String>,
    #[serde(default)]
    time: Option<f64>,
    request: RawRequest,
    #[serde(default)]
    response: Option<RawResponse>,
    #[serde(default)]
    timings: Option<RawTimings>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest {
    method: String,
    url: String,
    #[serde(default)]
    http_version: Option<String>,
    #[serde(default)]
    headers: Vec<RawField>,
    #[serde(default)]
    post_data: Option<RawPostData>,
    #[serde(default)]
    body_size: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResponse {
    status: f64,
    #[serde(default)]
    status_text: Option<String>,
    #[serde(default)]
    http_version: Option<String>,
    #[serde(default)]
    headers: Vec<RawField>,
    #[serde(default)]
    content: Option<RawContent>,
    /// Why there is no response, as Chromium says it.
    #[serde(default, rename = "_error")]
    error: Option<String>,
}

/// A header field or a field of a form.
#[derive(Deserialize)]
pub(super) struct RawField {
    pub(super) name: String,
    #[serde(default)]
    pub(super) value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPostData {
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    params: Option<Vec<RawField>>,
    /// No part of the specification; written by whoever has binary requests.
    #[serde(default)]
    encoding: Option<String>,
}

#[derive(Deserialize)]
struct RawContent {
    #[serde(default)]
    size: Option<f64>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
}

/// Milliseconds; `-1` where a phase does not apply.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct RawTimings {
    blocked: Option<f64>,
    dns: Option<f64>,
    connect: Option<f64>,
    send: Option<f64>,
    wait: Option<f64>,
    receive: Option<f64>,
}

/// What no HAR tells.
const ALWAYS_LACKS: [Lack; 4] = [Lack::ChunkTimes, Lack::Fingerprint, Lack::RawHeads, Lack::Trailers];

impl RawEntry {
    /// The item, or `None` where this is no HTTP.
    ///
    /// # Errors
    /// Says what is wrong with a value.
    pub(super) fn into_item(self, position: u64) -> Result<Option<Item>, String> {
        let Some((origin, target)) = Origin::split(&self.request.url) else { return Ok(None) };
        let mut lacks = ALWAYS_LACKS.to_vec();
        let started_unix_ns = self.started_date_time.as_deref().and_then(instant::unix_ns);
        let times = times_of(self.time, self.timings);
        if started_unix_ns.is_none() || times.is_none() {
            lacks.push(Lack::Times);
        }
        let [request_ended_ns, response_started_ns, ended_ns] = times.unwrap_or_default();
        let failure = self.response.as_ref().and_then(|response| response.error.clone());
        let response = match self.response.filter(|response| response.status >= 1.0) {
            Some(response) => Some(response.into_message(&mut lacks)?),
            None => {
                lacks.push(Lack::Response);
                None
            }
        };
        let target = head::target(target);
        let request = self.request.into_message(&target, &origin, &mut lacks)?;
        lacks.sort_unstable();
        lacks.dedup();
        let is_timed = times.is_some();
        Ok(Some(Item {
            position,
            started_unix_ns,
            request_ended_ns: is_timed.then_some(request_ended_ns),
            response_started_ns: (is_timed && response.is_some()).then_some(response_started_ns),
            ended_ns,
            origin,
            request,
            response,
            failure,
            lacks,
        }))
    }
}

impl RawRequest {
    fn into_message(self, target: &str, origin: &Origin, lacks: &mut Vec<Lack>) -> Result<ItemMessage, String> {
        if !head::is_token(&self.method) {
            return Err(format!("the method `{}` is none", self.method.chars().take(40).collect::<String>()));
        }
        let mut maker = HeadMaker::of(&self.headers, lacks);
        maker.add_host(&self.headers, &origin.authority);
        let version = head::version(self.http_version.as_deref(), lacks);
        let first_line = format!("{} {target} {version}", self.method);
        let body = match self.post_data {
            Some(data) => data.into_body(self.body_size, lacks)?,
            None if self.body_size.is_some_and(|size| size >= 1.0) => Told::Not,
            None => Told::All(Vec::new()),
        };
        if matches!(body, Told::Not) {
            lacks.push(Lack::RequestBody);
        }
        Ok(message(maker, &first_line, body, whole(self.body_size), false, lacks))
    }
}

impl RawResponse {
    fn into_message(self, lacks: &mut Vec<Lack>) -> Result<ItemMessage, String> {
        if !(100.0..=999.0).contains(&self.status) || self.status.fract() != 0.0 {
            return Err(format!("the status {} is none", self.status));
        }
        let maker = HeadMaker::of(&self.headers, lacks);
        let version = head::version(self.http_version.as_deref(), lacks);
        let reason = head::text(self.status_text.as_deref().unwrap_or_default());
        let first_line = format!("{version} {} {reason}", self.status);
        let content = self.content.unwrap_or(RawContent { size: None, text: None, encoding: None });
        let len = whole(content.size);
        let is_coded = content.encoding.is_some();
        let body = match content.text {
            Some(text) => {
                Told::All(bytes_of(text, content.encoding.as_deref(), content.size, "the response's content")?)
            }
            None if len > 0 => Told::Not,
            None => Told::All(Vec::new()),
        };
        if matches!(body, Told::Not) {
            lacks.push(Lack::ResponseBody);
        }
        Ok(message(maker, &first_line, body, len, is_coded, lacks))
    }
}

impl RawPostData {
    fn into_body(self, size: Option<f64>, lacks: &mut Vec<Lack>) -> Result<Told, String> {
        let params = self.params.unwrap_or_default();
        if let Some(text) = self.text.filter(|text| !text.is_empty() || params.is_empty()) {
            return Ok(Told::All(bytes_of(text, self.encoding.as_deref(), size, "the request's post data")?));
        }
        let mime_type = self.mime_type.unwrap_or_default();
        if params.is_empty() || !mime_type.starts_with("application/x-www-form-urlencoded") {
            return Ok(if params.is_empty() { Told::All(Vec::new()) } else { Told::Not });
        }
        lacks.push(Lack::FormBody);
        let pair = |field: &RawField| {
            format!("{}={}", head::form(&field.name), head::form(field.value.as_deref().unwrap_or_default()))
        };
        Ok(Told::All(params.iter().map(pair).collect::<Vec<_>>().join("&").into_bytes()))
    }
}

/// What is told of a body.
enum Told {
    All(Vec<u8>),
    /// There was one, of which nothing is told.
    Not,
}

fn bytes_of(text: String, encoding: Option<&str>, size: Option<f64>, what: &str) -> Result<Vec<u8>, String> {
    match encoding {
        None | Some("") => Ok(bytes_of_text(text, whole(size))),
        Some(name) if name.eq_ignore_ascii_case("base64") => {
            base64::decode(&text).map_err(|at| format!("{what} is no base64 from character {at} on"))
        }
        Some(name) => Err(format!("{what} is in the encoding `{}`", name.chars().take(40).collect::<String>())),
    }
}

/// The text as UTF-8; or, where it has one character below U+0100 for each of the `size` bytes, those bytes: mitmproxy
/// writes binary bodies so.
fn bytes_of_text(text: String, size: u64) -> Vec<u8> {
    if text.len() as u64 > size && text.chars().count() as u64 == size {
        return exchange::bytes_of_text(&text).unwrap_or_else(|| text.into_bytes());
    }
    text.into_bytes()
}

/// Head and body; the body's codings stay where they can be taken off, which is when it is told as it was sent.
fn message(
    maker: HeadMaker,
    first_line: &str,
    body: Told,
    len: u64,
    is_coded: bool,
    lacks: &mut Vec<Lack>,
) -> ItemMessage {
    let Told::All(body) = body else {
        return ItemMessage { head: maker.head(first_line, None), body: Vec::new(), len };
    };
    let head = maker.head(first_line, Some(body.len()));
    let is_sent = is_coded || first_line_is_request(first_line);
    if is_as_sent(&head, &body, is_sent) {
        return ItemMessage { head, len: body.len() as u64, body };
    }
    lacks.push(Lack::ContentCoding);
    let head = maker.without_coding().head(first_line, Some(body.len()));
    ItemMessage { head, len: body.len() as u64, body }
}

fn first_line_is_request(line: &str) -> bool {
    !line.starts_with("HTTP/")
}

/// True when the announced codings come off, or none are announced.
fn is_as_sent(head: &Head, body: &[u8], may_be_coded: bool) -> bool {
    if body.is_empty() || head.value_of("content-encoding").is_none() {
        return true;
    }
    may_be_coded && content::encoding::decode(head, body, content::canonical::BODY_BYTES_MAX).is_ok()
}

/// From the beginning to the request's end, the answer's first byte and its end, in nanoseconds.
fn times_of(time: Option<f64>, timings: Option<RawTimings>) -> Option<[u64; 3]> {
    let phases = timings.unwrap_or_default();
    let sum = |phases: &[Option<f64>]| phases.iter().flatten().copied().filter(|ms| *ms > 0.0).sum::<f64>();
    let sent = sum(&[phases.blocked, phases.dns, phases.connect, phases.send]);
    let answered = sent + sum(&[phases.wait]);
    let parts = answered + sum(&[phases.receive]);
    let total = time.filter(|ms| *ms >= 0.0).or_else(|| timings.map(|_| parts))?;
    Some([sent.min(total), answered.min(total), total].map(nanoseconds))
}

/// Saturates: what is longer than centuries is no time.
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6).round().clamp(0.0, i64::MAX as f64) as u64
}

fn whole(size: Option<f64>) -> u64 {
    size.filter(|size| *size >= 0.0).map_or(0, |size| size as u64)
}

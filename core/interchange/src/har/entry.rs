//! One entry as the specification has it, and the item that it is.

use std::{collections::BTreeMap, sync::Arc};

use content::{base64, instant};
use exchange::{Exchange, Head, Id, Lack, Session};
use serde::Deserialize;

use super::{
    head::{self, HeadMaker},
    own::{self, ToldHead},
};
use crate::{Item, ItemMessage, Origin, Own};

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
    /// What Retake recorded of it.
    #[serde(default, rename = "_retake")]
    own: Option<Box<Exchange>>,
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

#[derive(Default, Deserialize)]
struct RawContent {
    #[serde(default)]
    size: Option<f64>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    encoding: Option<String>,
    /// Where Retake wrote it: the body as it was sent, in base64, where `text` is another.
    #[serde(default, rename = "_retakeSent")]
    sent: Option<String>,
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
    /// The item, or `None` where this is no HTTP. What Retake recorded of it counts where its session is in the file.
    ///
    /// # Errors
    /// Says what is wrong with a value.
    pub(super) fn into_item(
        mut self,
        position: u64,
        sessions: &BTreeMap<Id, Arc<Session>>,
    ) -> Result<Option<Item>, String> {
        let own = self.own.take();
        let session = own.as_ref().and_then(|own| sessions.get(&own.session));
        if let (Some(own), Some(session)) = (own, session) {
            return self.into_own(position, *own, session);
        }
        self.into_foreign(position)
    }

    /// What Retake wrote, where the entry still says the same.
    fn into_own(self, position: u64, mut own: Exchange, session: &Arc<Session>) -> Result<Option<Item>, String> {
        let Some((origin, _)) = Origin::split(&self.request.url) else { return Ok(None) };
        let told = ToldHead {
            words: [self.request.method.clone(), String::new()],
            version: self.request.http_version.clone().unwrap_or_default(),
            fields: own::fields_of(&self.request.headers),
        };
        let request_head = own::recorded_request(&own.request.head, &self.request.url, &told);
        let response_head = match (&self.response, &own.response) {
            (Some(raw), Some(response)) if raw.status >= 1.0 => {
                let words = [raw.status.to_string(), raw.status_text.clone().unwrap_or_default()];
                let version = raw.http_version.clone().unwrap_or_default();
                let told = ToldHead { words, version, fields: own::fields_of(&raw.headers) };
                own::recorded_response(&response.head, &told).map(Some)
            }
            (raw, None) if raw.as_ref().is_none_or(|raw| raw.status < 1.0) => Some(None),
            _ => None,
        };
        let (Some(request_head), Some(response_head)) = (request_head, response_head) else {
            return self.into_foreign(position);
        };
        let mut lacks = Vec::new();
        let sent = self.request.post_data.map(RawPostData::into_sent).transpose()?.flatten();
        let request = recorded(request_head, &mut own.request.body, sent, Lack::RequestBody, &mut lacks);
        let response = match (response_head, &mut own.response, self.response) {
            (Some(head), Some(response), Some(raw)) => {
                let sent = raw.content.map(RawContent::into_sent).transpose()?.flatten();
                Some(recorded(head, &mut response.body, sent, Lack::ResponseBody, &mut lacks))
            }
            _ => None,
        };
        if own.fingerprint.take().is_some() {
            lacks.push(Lack::Fingerprint);
        }
        lacks.sort_unstable();
        lacks.dedup();
        Ok(Some(Item {
            position,
            started_unix_ns: Some(session.started.wall_unix_ns.saturating_add(own.times.started_ns)),
            request_ended_ns: None,
            response_started_ns: None,
            ended_ns: own.times.ended_ns.saturating_sub(own.times.started_ns),
            origin,
            request,
            response,
            failure: None,
            lacks,
            own: Some(Box::new(Own { exchange: own, session: Arc::clone(session) })),
        }))
    }

    fn into_foreign(self, position: u64) -> Result<Option<Item>, String> {
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
            own: None,
        }))
    }
}

/// Head and body as they were recorded.
fn recorded(
    head: Head,
    body: &mut exchange::Body,
    sent: Option<Vec<u8>>,
    lack: Lack,
    lacks: &mut Vec<Lack>,
) -> ItemMessage {
    let told = sent.or_else(|| (body.len == 0).then(Vec::new));
    if told.is_none() {
        lacks.push(lack);
    }
    *body = own::recorded_body(body, told.as_deref(), lacks);
    ItemMessage { head, body: told.unwrap_or_default(), len: body.len }
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
        let content = self.content.unwrap_or_default();
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

impl RawContent {
    /// The bytes as they were sent, from what Retake wrote.
    fn into_sent(self) -> Result<Option<Vec<u8>>, String> {
        let (text, encoding) = match self.sent {
            Some(sent) => (Some(sent), Some("base64".to_owned())),
            None => (self.text, self.encoding),
        };
        text.map(|text| bytes_of(text, encoding.as_deref(), None, "the response's content")).transpose()
    }
}

impl RawPostData {
    /// The bytes as they were sent, from what Retake wrote.
    fn into_sent(self) -> Result<Option<Vec<u8>>, String> {
        let bytes = |text| bytes_of(text, self.encoding.as_deref(), None, "the request's post data");
        self.text.map(bytes).transpose()
    }

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

//! What makes two calls equal: dependency, method, target and canonical body, less what rules take out.

use std::{fmt, sync::Arc};

use content::{encoding, json, json::Value};
use exchange::{Digest, Head, MediaKind, text_of_bytes};

use crate::{Call, LeftOut, Normalise, likeness::Sketch};

/// Longest decoded body read as JSON, in bytes. Longer ones are compared as the bytes that were sent. A choice, far
/// above what a model's context holds.
const BODY_BYTES_MAX: u64 = 8 << 20;

/// Most values in a body read as JSON: bounds memory, at 56 bytes a value, to 56 MB while one call is looked up.
const BODY_VALUES_MAX: usize = 1_000_000;

/// Reads calls as they are compared. Reading takes its time, and nobody has to wait for it: it needs no library.
#[derive(Clone)]
pub struct Reader(pub(crate) Arc<dyn Normalise>);

impl Reader {
    /// Reads a call.
    pub fn read(&self, call: Call<'_>) -> Asked {
        Asked(Keyed::of(call.dependency, call.head, call.body, self.0.as_ref()))
    }
}

/// A call that was read.
#[derive(Clone)]
pub struct Asked(pub(crate) Keyed);

impl Asked {
    /// The same, without the body that only explains a miss.
    #[must_use]
    pub(crate) fn without_body(&self) -> Self {
        let Keyed { key, title, method, target, route, content, sketch, body: _, left_out } = &self.0;
        Self(Keyed {
            key: *key,
            title: title.clone(),
            method: method.clone(),
            target: target.clone(),
            route: route.clone(),
            content: *content,
            sketch: *sketch,
            body: KeyedBody::Forgotten,
            left_out: left_out.clone(),
        })
    }
}

/// Its title; bodies may be long, and may hold secrets.
impl fmt::Debug for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Asked").field(&self.0.title).finish()
    }
}

/// A call as it is compared.
#[derive(Clone, Debug)]
pub(crate) struct Keyed {
    /// Equal for calls that are equal.
    pub(crate) key: Digest,
    /// Method and target.
    pub(crate) title: String,
    /// The method alone.
    pub(crate) method: Vec<u8>,
    /// The normalised target.
    pub(crate) target: Vec<u8>,
    /// Method and path, what looks like an id as one: see [`Normalise::route`].
    pub(crate) route: String,
    /// Digest of the body's canonical content, less what rules took out.
    pub(crate) content: Digest,
    /// What the body is like.
    pub(crate) sketch: Sketch,
    /// What is compared of the body.
    pub(crate) body: KeyedBody,
    /// What rules took out.
    pub(crate) left_out: Vec<LeftOut>,
}

/// What is compared of a body.
#[derive(Clone, Debug)]
pub(crate) enum KeyedBody {
    /// JSON, less what rules took out.
    Json(Value),
    /// Anything else: the decoded bytes.
    Bytes(Vec<u8>),
    /// One that is not held any more, to bound memory.
    Forgotten,
}

impl Keyed {
    /// Reads a call.
    pub(crate) fn of(dependency: &str, head: &Head, body: &[u8], normalise: &dyn Normalise) -> Self {
        let method = head.request_line().map(|line| line.method.to_vec()).unwrap_or_default();
        let target = normalise.target(dependency, head.origin_target().unwrap_or_default());
        let (method_text, target_text) = (text_of_bytes(&method), String::from_utf8_lossy(&target));
        let route = normalise.route(&method_text, &target_text);
        let title = format!("{method_text} {target_text}");
        let decoded = encoding::decode(head, body, BODY_BYTES_MAX);
        let bytes = decoded.as_deref().unwrap_or(body);
        let digests = |kind: u8, canonical: &[u8]| (digest_of_parts(&[&[kind], canonical]), Sketch::of(canonical));
        let (body, left_out, (content, sketch)) = match read_json(head, bytes) {
            Some(mut value) => {
                let left_out = normalise.body(dependency, &mut value);
                let mut canonical = Vec::new();
                value.write_canonical(&mut canonical);
                (KeyedBody::Json(value), left_out, digests(b'j', &canonical))
            }
            None => (KeyedBody::Bytes(bytes.to_vec()), Vec::new(), digests(b'b', bytes)),
        };
        let key = digest_of_parts(&[dependency.as_bytes(), &method, &target, &content.0]);
        Self { key, title, method, target, route, content, sketch, body, left_out }
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &[u8] {
        self.target.split(|&byte| byte == b'?').next().unwrap_or_default()
    }

    /// Lets go of a body that there is no room for; the key stays.
    pub(crate) fn forget_body(&mut self) {
        self.body = KeyedBody::Forgotten;
    }

    /// About how many bytes of memory the body takes while it is kept for explanations.
    pub(crate) fn body_cost(&self) -> usize {
        fn cost(value: &Value) -> usize {
            let below = match value {
                Value::Array(elements) => elements.iter().map(cost).sum(),
                Value::Object(members) => members.iter().map(|(key, member)| 24 + key.len() + cost(member)).sum(),
                Value::Number(text) | Value::String(text) => text.len(),
                Value::Null | Value::Bool(_) => 0,
            };
            size_of::<Value>() + below
        }
        match &self.body {
            KeyedBody::Json(value) => cost(value),
            KeyedBody::Bytes(bytes) => bytes.len(),
            KeyedBody::Forgotten => 0,
        }
    }
}
/// The body as JSON where its content type says so, or says nothing, and it is.
fn read_json(head: &Head, bytes: &[u8]) -> Option<Value> {
    let may_be_json = match MediaKind::of(head) {
        MediaKind::Json => true,
        MediaKind::Other => head.value_of("content-type").is_none(),
        MediaKind::EventStream | MediaKind::Text => false,
    };
    if bytes.is_empty() || !may_be_json || bytes.len() as u64 > BODY_BYTES_MAX {
        return None;
    }
    json::parse_limited(bytes, BODY_VALUES_MAX).ok()
}

/// A digest of parts that cannot run into one another: each is preceded by its length.
fn digest_of_parts(parts: &[&[u8]]) -> Digest {
    let mut all = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_le_bytes());
        all.extend_from_slice(part);
    }
    Digest::of(&all)
}

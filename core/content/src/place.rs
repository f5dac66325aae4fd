//! Places in requests and responses that a user names: `[METHOD /path] [request:|response:]POINTER` or `header:NAME`.
//!
//! In: the text of a place; a message's head and its body, read. Out: the value that stands there, as JSON. A pointer is
//! RFC 6901 from the root of a JSON body, with `*` for any one step (then all that it leads to are one array) and `~2` for a
//! literal `*`; of an event stream it leads into the last event that has it, whether or not `sse:` is written before it.
//! Without `request:` or `response:`, the response is looked at first.

mod read;
mod steps;

pub use read::PlaceError;

use exchange::{Head, MediaKind};

use self::steps::at_steps;

use crate::{
    canonical::{self, CanonicalBody},
    fields,
    json::{self, Value},
    sse::Stream,
};

/// Longest value that is kept, in bytes of JSON: a vector of some 700 numbers. A choice.
pub const VALUE_BYTES_MAX: usize = 8 << 10;

/// Events of a stream that are looked into, from its end. A choice.
const EVENTS_MAX: usize = 4_096;

/// A place in a request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    route: Option<Route>,
    side: Option<Side>,
    at: At,
}

/// Which message of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What was asked.
    Request,
    /// What came back.
    Response,
}

/// A method, or any, and a path in which `*` is any one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    method: Option<String>,
    segments: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    /// A header field, its name in lower case.
    Header(String),
    /// A pointer into the body.
    Body(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// This key; or this index, where the text is a number as pointers write it.
    Literal { key: String, index: Option<usize> },
    /// `*`
    AnyOne,
}

/// A message whose body is read.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its head, secrets replaced.
    pub head: &'a Head,
    /// Its body; `None` where not all of it is there.
    pub body: Option<&'a CanonicalBody>,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// This value.
    Value(Value),
    /// A value that is longer than is kept.
    TooLong,
}

impl Place {
    /// What stands at this place of an exchange; `None` where there is nothing, or the place is another route's.
    pub fn find(&self, request: Message<'_>, response: Option<Message<'_>>) -> Option<Found> {
        if self.route.as_ref().is_some_and(|route| !route.matches(request.head)) {
            return None;
        }
        let in_response = || response.filter(|_| self.side != Some(Side::Request)).and_then(|it| self.find_in(it));
        let in_request = || Some(request).filter(|_| self.side != Some(Side::Response)).and_then(|it| self.find_in(it));
        in_response().or_else(in_request)
    }

    /// True where it may stand on this side of an exchange of that request.
    pub fn may_be_in(&self, side: Side, request: &Head) -> bool {
        self.side.is_none_or(|wanted| wanted == side) && self.route.as_ref().is_none_or(|route| route.matches(request))
    }

    /// True where it leads into a body.
    pub fn is_in_body(&self) -> bool {
        matches!(self.at, At::Body(_))
    }

    fn find_in(&self, message: Message<'_>) -> Option<Found> {
        self.find_with(message.head, |steps| match message.body? {
            CanonicalBody::Json(value) => at_steps(value, steps),
            CanonicalBody::Events(stream) => in_stream(stream, steps),
            other => at_steps(&unannounced(other)?, steps),
        })
    }

    fn find_with(&self, head: &Head, in_body: impl FnOnce(&[Step]) -> Option<Value>) -> Option<Found> {
        let value = match &self.at {
            At::Header(name) => header(head, name)?,
            At::Body(steps) => in_body(steps)?,
        };
        let is_kept = value.to_compact_text().len() <= VALUE_BYTES_MAX;
        Some(if is_kept { Found::Value(value) } else { Found::TooLong })
    }
}

/// What stands at each of the places in one message, whatever side and route they name ([`Place::may_be_in`]): the same as
/// [`Place::find`] has, with no more of the body read than that takes. `sent` is the body as it was sent, `None` where not all of
/// it is there.
pub fn find_in_sent(places: &[&Place], head: &Head, sent: Option<&[u8]>) -> Vec<Option<Found>> {
    let sent = sent.filter(|_| places.iter().any(|place| place.is_in_body()));
    let is_json = MediaKind::of(head) == MediaKind::Json;
    let decoded = sent.filter(|_| is_json).and_then(|sent| canonical::decoded_body(head, sent).ok());
    let json = decoded.as_ref().and_then(|decoded| json::parse_tree(decoded, canonical::VALUES_MAX).ok());
    let other = sent.filter(|_| json.is_none()).map(|sent| canonical::body(head, sent));
    let find = |place: &Place| match &json {
        Some(tree) => place.find_with(head, |steps| at_steps(tree.root(), steps)),
        None => place.find_in(Message { head, body: other.as_ref() }),
    };
    places.iter().map(|place| find(place)).collect()
}

/// JSON that is announced as something else, as `curl -d` does it.
pub(crate) fn unannounced(body: &CanonicalBody) -> Option<Value> {
    let bytes = match body {
        CanonicalBody::Text(text) => text.as_bytes(),
        CanonicalBody::Bytes(bytes) => bytes,
        CanonicalBody::Json(_) | CanonicalBody::Events(_) | CanonicalBody::AsSent(_) => return None,
    };
    let is_object = bytes.trim_ascii_start().starts_with(b"{");
    is_object.then(|| json::parse_limited(bytes, canonical::VALUES_MAX).ok()).flatten()
}

/// The field's value as a JSON text; equal fields are joined, as RFC 9110 (section 5.3) has it.
fn header(head: &Head, name: &str) -> Option<Value> {
    let of_name = fields::fields(head).into_iter().filter(|field| field.lower_name(head) == name);
    let values: Vec<String> = of_name.map(|field| exchange::text_of_bytes(&field.value(head))).collect();
    (!values.is_empty()).then(|| Value::String(values.join(", ")))
}

/// The value in the last event that has it.
fn in_stream(stream: &Stream, steps: &[Step]) -> Option<Value> {
    let events = stream.events.iter().rev().filter(|event| event.dispatched).take(EVENTS_MAX);
    let mut read = events.filter_map(|event| json::parse_limited(event.data.as_bytes(), canonical::VALUES_MAX).ok());
    read.find_map(|value| at_steps(&value, steps))
}

impl Route {
    fn matches(&self, head: &Head) -> bool {
        let Some(line) = head.request_line() else { return false };
        let target = String::from_utf8_lossy(head.origin_target().unwrap_or_default()).into_owned();
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let found: Vec<&str> = path.split('/').collect();
        self.method.as_ref().is_none_or(|method| method.as_bytes() == line.method)
            && self.segments.len() == found.len()
            && self.segments.iter().zip(&found).all(|(wanted, found)| wanted == "*" || wanted == found)
    }
}

#[cfg(test)]
mod tests;

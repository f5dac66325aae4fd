//! How an event stream came over time: when its first piece was there, and how long it paused between events.
//!
//! In: an exchange and the body of its answer as sent. Out: a [`StreamPace`], and words for it. Times are the proxy's: what one
//! read delivered came at one time. None of it is content, and none of it changes a verdict.

use content::{
    json::{self, Value},
    sse::{self, Stream},
};
use exchange::{Exchange, MediaKind};
use serde::Serialize;

use crate::{body::BodyView, span};

/// Events among which the first piece of a message is looked for. A choice: streams open with one or two that have none.
const OPENING_EVENTS_MAX: usize = 32;

/// How one stream came. Times are in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamPace {
    /// Events that it dispatched.
    pub events: u64,
    /// Reads that it came in.
    pub reads: u64,
    /// From the request's first byte to the end of the first event.
    pub first_event_ns: u64,
    /// From the request's first byte to the first event with a piece of the message (the first token); absent where the format
    /// is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ns: Option<u64>,
    /// Median of the pauses between an event and the next; absent for one event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_median_ns: Option<u64>,
    /// The longest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_max_ns: Option<u64>,
}

impl StreamPace {
    /// Of an answer whose body as sent is this; `None` where it is no event stream, has a content-encoding, or came at times
    /// that are not known.
    pub fn of(exchange: &Exchange, body: &[u8]) -> Option<Self> {
        let response = exchange.response.as_ref()?;
        let (head, started_ns) = (&response.head, exchange.times.started_ns);
        if MediaKind::of(head) != MediaKind::EventStream || head.value_of("content-encoding").is_some() {
            return None;
        }
        let view = BodyView { head, body: &response.body, bytes: body, started_ns };
        let stream = sse::parse(body);
        let arrived: Vec<u64> = stream.events.iter().map_while(|event| view.arrived_ns(event.range.end)).collect();
        let mut gaps: Vec<u64> = arrived.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        gaps.sort_unstable();
        Some(Self {
            events: stream.events.len() as u64,
            reads: response.body.chunks.len() as u64,
            first_event_ns: *arrived.first()?,
            first_token_ns: first_piece(&stream).and_then(|at| arrived.get(at)).copied(),
            gap_median_ns: gaps.get(gaps.len().saturating_sub(1) / 2).copied(),
            gap_max_ns: gaps.last().copied(),
        })
    }

    /// `9 events in 6 reads, first token after 400 ms, pauses of 50.0 ms (median) to 80.0 ms`.
    pub fn words(&self) -> String {
        let count = |count: u64, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
        let first = match self.first_token_ns {
            Some(at_ns) => format!("first token after {}", span(at_ns)),
            None => format!("first event after {}", span(self.first_event_ns)),
        };
        let gaps = match (self.gap_median_ns, self.gap_max_ns) {
            (Some(median), Some(max)) => format!(", pauses of {} (median) to {}", span(median), span(max)),
            _ => String::new(),
        };
        format!("{} in {}, {first}{gaps}", count(self.events, "event"), count(self.reads, "read"))
    }
}

/// The first event that carries a piece of the message.
fn first_piece(stream: &Stream) -> Option<usize> {
    let opening = stream.events.iter().take(OPENING_EVENTS_MAX);
    let data = opening.map(|event| json::parse(event.data.as_bytes()));
    data.enumerate().find(|(_, data)| data.as_ref().is_ok_and(has_piece)).map(|(at, _)| at)
}

/// True for data of an event that carries text, reasoning or a part of a call, in the formats of OpenAI (completions, chat
/// completions, responses) and of Anthropic: what opens a message carries none.
fn has_piece(data: &Value) -> bool {
    match data.get("type").and_then(Value::as_str) {
        Some("content_block_delta") => true,
        Some(kind) if kind.starts_with("response.") => kind.ends_with(".delta"),
        _ => match data.get("choices") {
            Some(Value::Array(choices)) => choices.iter().any(|choice| {
                let delta = match choice.get("delta") {
                    Some(Value::Object(members)) => &members[..],
                    _ => &[],
                };
                let of_delta = delta.iter().filter(|(name, _)| name != "role").map(|(_, value)| value);
                choice.get("text").into_iter().chain(of_delta).any(says_something)
            }),
            _ => false,
        },
    }
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        _ => true,
    }
}

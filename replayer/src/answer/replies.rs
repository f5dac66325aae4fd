//! What a call is answered with: as it was recorded, or why it is not.
//!
//! In: the recording that answers a call, or what is to be said instead. Out: the answer, in the pieces and with the end that it had.

use std::time::Duration;

use bytes::Bytes;
use exchange::{End, Exchange, Id, Transport};
use matching::Miss;
use wire::server::{Answer, Cut, Hold};

use super::{Answerer, CALL_BODY_BYTES_MAX};
use crate::{pieces::pieces, timing::Speed};

/// Largest recorded answer that is played, in bytes. A choice, as [`CALL_BODY_BYTES_MAX`].
const ANSWER_BYTES_MAX: u64 = 256 << 20;

/// Status of the answer to a call that was not recorded: 424 Failed Dependency (RFC 4918, section 11.4). SDKs retry on 5xx
/// and read meaning into 404; this one they raise at once, with the text.
const MISS_STATUS: &str = "424 Failed Dependency";

impl Answerer {
    pub(super) fn recorded_answer(&self, id: &Id) -> Result<Answer, bundle::ReadError> {
        let Some(call) = self.calls.get(id) else { return Err(bundle::ReadError::NoExchange { id: *id }) };
        let times = AnswerTimes { speed: self.speed, asked_ns: call.times.request_ended_ns.unwrap_or_default() };
        let ends = times.after(call.times.ended_ns);
        let interim = call.interim.iter().map(|interim| interim.head.clone()).collect();
        let cut = match &call.end {
            End::Complete => None,
            End::UpstreamReset | End::CaptureStopped => Some(Cut::Reset),
            // The proxy had given it up by then.
            End::TimedOut if self.speed.is_some() => Some(Cut::Reset),
            End::ClientGone | End::TimedOut => Some(Cut::Hang),
            End::Unreachable { reason } => return Ok(Answer { starts: ends, ..unreachable_answer(reason) }),
        };
        // One that hangs ends when the service goes, whenever that is.
        let ends = if cut == Some(Cut::Hang) { Duration::ZERO } else { ends };
        let Some(response) = &call.response else {
            return Ok(Answer { interim, cut: cut.or(Some(Cut::Reset)), ends, ..Answer::default() });
        };
        let body = Bytes::from(self.archive.body(&response.body, ANSWER_BYTES_MAX)?);
        let cut = if response.body.is_whole() { cut } else { cut.or(Some(Cut::Reset)) };
        Ok(Answer {
            interim,
            starts: call.times.response_started_ns.map_or(Duration::ZERO, |at_ns| times.after(at_ns)),
            head: response.head.bytes.clone(),
            pieces: pieces(&response.body, body.len())
                .into_iter()
                .map(|(at_ns, piece)| (times.after(at_ns), body.slice(piece)))
                .collect(),
            trailers: response.body.trailers.clone(),
            cut,
            ends,
            hold: Hold::default(),
        })
    }
}

/// When the parts of a recorded answer are sent again.
#[derive(Clone, Copy)]
struct AnswerTimes {
    speed: Option<Speed>,
    asked_ns: u64,
}

impl AnswerTimes {
    /// How long after the request that is which came at `at_ns`; at once where no times are to be kept.
    fn after(self, at_ns: u64) -> Duration {
        self.speed.map_or(Duration::ZERO, |speed| speed.of(at_ns.saturating_sub(self.asked_ns)))
    }
}

/// Why a recorded call cannot answer anything that is asked now, or `None` when it can. Whoever made it cannot be judged.
pub(crate) fn why_unanswerable(call: &Exchange) -> Option<&'static str> {
    let request = &call.request.body;
    let answer_len = call.response.as_ref().map_or(0, |response| response.body.kept_len());
    match call.transport {
        Transport::Raw => return Some("is no HTTP, and was not recorded as `--dependency NAME=tcp://HOST:PORT`"),
        Transport::Upgraded => return Some("is an upgraded connection"),
        Transport::Http1 => {}
    }
    if call.times.request_ended_ns.is_none() || call.end == End::CaptureStopped {
        Some("was cut off when it was recorded")
    } else if !request.is_whole() || request.len > CALL_BODY_BYTES_MAX {
        Some("has a longer request than is kept")
    } else if call.response.as_ref().is_some_and(|response| response.body.gap.is_some())
        || answer_len > ANSWER_BYTES_MAX
    {
        Some("has a longer answer than is kept")
    } else {
        None
    }
}

pub(super) fn miss_answer(miss: &Miss, others: &str) -> Answer {
    error_answer(MISS_STATUS, "retake_not_recorded", &format!("{miss}{others}"))
}

pub(super) fn damaged_answer(error: &bundle::ReadError) -> Answer {
    error_answer(MISS_STATUS, "retake_damaged_recording", &error.to_string())
}

/// What the capture's proxy answered then.
fn unreachable_answer(reason: &str) -> Answer {
    error_answer("502 Bad Gateway", "retake_unreachable", reason)
}

pub(crate) fn error_answer(status: &str, kind: &str, message: &str) -> Answer {
    let body = serde_json::json!({ "error": { "type": kind, "message": message } }).to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetake-Error: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    Answer { head: head.into_bytes(), pieces: vec![(Duration::ZERO, Bytes::from(body))], ..Answer::default() }
}

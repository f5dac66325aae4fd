//! What answers a call that no recording does: an explanation, the nearest recording, or the real thing.
//!
//! In: what the user allowed, and calls that were missed. Out: answers, and how many of each kind there were. Whatever answers,
//! the exchange has asked something else than production: its verdict stays `diverged`.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use exchange::Head;
use wire::{
    Connector, Upstream,
    client::{self, Clock, Limits, Outgoing, Reply, ReplyEnd},
    server::{Answer, Cut, Incoming},
};

use crate::{
    answer::error_answer,
    drive::replace_host,
    receipt::{LiveCalls, MissesAnswered},
    secrets::Secrets,
};

/// How long connecting to a real dependency may take. A choice, as the service's own clients have it.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What answers a call that was not recorded, where no real dependency does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMiss {
    /// An error that explains what was asked and what the nearest recording is.
    #[default]
    Fail,
    /// The answer of the recording that comes nearest.
    Nearest,
}

/// A dependency that is really called, where the recording has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenLive {
    /// As it was recorded.
    pub name: String,
    /// As it was given, for the receipt.
    pub url: String,
    /// Where it is.
    pub upstream: Upstream,
}

/// Answers what was missed, and counts it.
pub(crate) struct Misses {
    on_miss: OnMiss,
    live: Vec<(GivenLive, AtomicU64)>,
    nearest: AtomicU64,
    connector: Connector,
}

impl Misses {
    /// What answers as the user allowed.
    pub(crate) fn new(on_miss: OnMiss, live: &[GivenLive]) -> Self {
        let live = live.iter().map(|given| (given.clone(), AtomicU64::new(0))).collect();
        Self { on_miss, live, nearest: AtomicU64::new(0), connector: Connector::new() }
    }

    /// Goes on with these counts.
    pub(crate) fn after(self, before: &MissesAnswered) -> Self {
        self.nearest.store(before.by_nearest, Ordering::Relaxed);
        for (given, count) in &self.live {
            let known = before.live.iter().find(|known| known.name == given.name);
            count.store(known.map_or(0, |known| known.calls), Ordering::Relaxed);
        }
        self
    }

    /// Whether the nearest recording is to answer; counts that it does.
    pub(crate) fn takes_nearest(&self, has_one: bool) -> bool {
        let takes = self.on_miss == OnMiss::Nearest && has_one;
        self.nearest.fetch_add(u64::from(takes), Ordering::Relaxed);
        takes
    }

    /// The real dependency's answer, where that may be called.
    pub(crate) async fn live(&self, name: &str, call: &Incoming, secrets: &Secrets, clock: &Clock) -> Option<Answer> {
        let (given, count) = self.live.iter().find(|(given, _)| given.name == name)?;
        count.fetch_add(1, Ordering::Relaxed);
        let mut stream = match self.connector.connect(&given.upstream, CONNECT_PATIENCE).await {
            Ok(stream) => stream,
            Err(error) => return Some(error_answer("502 Bad Gateway", "retake_unreachable", &error.to_string())),
        };
        let mut head = secrets.reveal_head(&call.head.bytes);
        replace_host(&mut head, &given.upstream.authority());
        put_before_path(&mut head, &given.upstream.base_path);
        let body = secrets.reveal_piece(&Bytes::from(call.body.clone()));
        let pieces: [&[u8]; 1] = [&body];
        let request = Outgoing {
            head: &head,
            body: if body.is_empty() { &[] } else { &pieces },
            trailers: &call.trailers,
            is_whole: call.is_whole,
        };
        Some(answer_of(client::exchange(&mut stream, request, &Limits::default(), clock).await))
    }

    /// How many were answered so, for the receipt.
    pub(crate) fn counts(&self) -> MissesAnswered {
        let called = |(given, count): &(GivenLive, AtomicU64)| LiveCalls {
            name: given.name.clone(),
            url: given.url.clone(),
            calls: count.load(Ordering::Relaxed),
        };
        MissesAnswered {
            by_nearest: self.nearest.load(Ordering::Relaxed),
            live: self.live.iter().map(called).collect(),
        }
    }
}

/// Puts the path of a URL before that of the request line.
fn put_before_path(head: &mut Vec<u8>, base_path: &str) {
    let target = head.iter().position(|&byte| byte == b' ').map(|space| space + 1);
    if let Some(at) = target.filter(|&at| head.get(at) == Some(&b'/')) {
        head.splice(at..at, base_path.bytes());
    }
}

/// What came from a real dependency, to be passed on as it came.
fn answer_of(reply: Reply) -> Answer {
    let Some(head) = reply.head else {
        return Answer { cut: Some(Cut::Reset), ..Answer::default() };
    };
    let interim: Vec<Head> = reply.interim.into_iter().map(|interim| interim.head).collect();
    let body = Bytes::from(reply.body);
    let pieces = if body.is_empty() { Vec::new() } else { vec![(Duration::ZERO, body)] };
    let cut = (reply.end != ReplyEnd::Complete).then_some(Cut::Reset);
    Answer { interim, head: head.bytes.clone(), pieces, trailers: reply.trailers, cut, ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_url_goes_before_that_of_the_request_and_nowhere_else() {
        let mut head = b"POST /chat HTTP/1.1\r\nX: /\r\n\r\n".to_vec();
        put_before_path(&mut head, "/v1");
        assert_eq!(head, b"POST /v1/chat HTTP/1.1\r\nX: /\r\n\r\n");
        put_before_path(&mut head, "");
        let mut odd = b"OPTIONS * HTTP/1.1\r\n\r\n".to_vec();
        put_before_path(&mut odd, "/v1");
        assert_eq!(odd, b"OPTIONS * HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn only_what_was_allowed_is_taken_and_counted() {
        let misses = Misses::new(OnMiss::Fail, &[]);
        assert!(!misses.takes_nearest(true) && misses.counts().is_empty());
        let misses = Misses::new(OnMiss::Nearest, &[]);
        assert!(misses.takes_nearest(true) && !misses.takes_nearest(false));
        assert_eq!(misses.counts(), MissesAnswered { by_nearest: 1, live: Vec::new() });
    }
}

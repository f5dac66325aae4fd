//! Sends the recorded requests in causal order, with recorded overlap, as fast as that allows.
//!
//! In: the selection and a way to the service. Out: for each exchange what came back, written to the run as it comes. An
//! exchange is sent once all that had ended before it began have ended again, in recorded starting order.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use bundle::Archive;
use exchange::{Digest, Digests, End, Exchange, Head, Id, Repeats, Request, Response, Role, Times, Transport};
use tokio::{sync::watch, task::JoinSet};
use wire::client::{self, Clock, Limits, Outgoing, Reply, ReplyEnd};

use crate::{
    answer::Answerer,
    ledger::{BodyBytes, Ledger, redacted_response},
    order::{CausalOrder, Progress},
    select::Selection,
    service::Doorway,
};

/// Largest request body that is sent again, in bytes. A choice: above what the proxies of the field let through.
const REQUEST_BODY_BYTES_MAX: u64 = 1 << 30;

/// What came back for one exchange, as far as judging it needs.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The exchange of the run.
    pub(crate) replayed_id: Id,
    /// Its head, if any came.
    pub(crate) head: Option<Head>,
    /// Its body as sent, as far as it was kept.
    pub(crate) body: Vec<u8>,
    /// False when more came than was kept.
    pub(crate) whole: bool,
    /// How it ended.
    pub(crate) end: End,
}

/// All that driving needs.
pub(crate) struct Driver {
    pub(crate) archive: Arc<Archive>,
    pub(crate) answerer: Arc<Answerer>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) doorway: Doorway,
    pub(crate) limits: Limits,
    pub(crate) run: Id,
    pub(crate) target: String,
    pub(crate) fingerprint: Option<Digest>,
    /// Written over the recorded `Host`, where the target has a name of its own.
    pub(crate) host: Option<String>,
    pub(crate) clock: Arc<Clock>,
}

/// How a drive is watched and stopped.
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Send + Sync),
    pub(crate) stop: watch::Receiver<bool>,
}

impl Driver {
    /// Sends all chosen exchanges. Those that were not sent because of a stop are missing in what comes back.
    pub(crate) async fn drive(self: Arc<Self>, selection: &Selection, watched: Watch<'_>) -> BTreeMap<Id, Outcome> {
        let progress = Arc::new(Progress::new(CausalOrder::of(&selection.spans())));
        let outcomes = Arc::new(Mutex::new(BTreeMap::new()));
        let mut stop = watched.stop.clone();
        let mut tasks = JoinSet::new();
        let total = selection.chosen.len() as u64;
        let mut done = 0;
        for (at, exchange) in selection.chosen.iter().enumerate() {
            let gate = progress.may_send(at);
            tokio::pin!(gate);
            loop {
                tokio::select! {
                    () = &mut gate => break,
                    Some(_) = tasks.join_next() => { done += 1; (watched.progress)(done, total) }
                    _ = stop.wait_for(|stop| *stop) => {
                        tasks.shutdown().await;
                        return taken(&outcomes);
                    }
                }
            }
            // Connecting here and not in the task keeps the starting order.
            let stream = self.doorway.connect().await;
            self.answerer.began(exchange.id);
            let (driver, exchange, progress, outcomes) =
                (Arc::clone(&self), exchange.clone(), Arc::clone(&progress), Arc::clone(&outcomes));
            tasks.spawn(async move {
                let outcome = driver.send(&exchange, stream).await;
                outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(exchange.id, outcome);
                driver.answerer.ended(exchange.id);
                progress.ended(at);
            });
        }
        loop {
            tokio::select! {
                joined = tasks.join_next() => match joined {
                    Some(_) => { done += 1; (watched.progress)(done, total) }
                    None => return taken(&outcomes),
                },
                _ = stop.wait_for(|stop| *stop) => {
                    tasks.shutdown().await;
                    return taken(&outcomes);
                }
            }
        }
    }

    async fn send(&self, exchange: &Exchange, stream: std::io::Result<crate::service::Stream>) -> Outcome {
        let started_ns = (self.clock)();
        let (head, replacements) = self.head_of(exchange);
        let reply = match stream {
            Err(error) => unreachable(&error, (self.clock)()),
            Ok(mut stream) => match self.archive.body(&exchange.request.body, REQUEST_BODY_BYTES_MAX) {
                Err(error) => unreachable(&std::io::Error::other(error), (self.clock)()),
                Ok(body) => {
                    let pieces = pieces_of(&exchange.request.body, &body);
                    let trailers = &exchange.request.body.trailers;
                    let request = Outgoing { head: &head, body: &pieces, trailers, is_whole: true };
                    client::exchange(&mut stream, request, &self.limits, &*self.clock).await
                }
            },
        };
        self.write(exchange, &reply, started_ns, replacements)
    }

    /// The recorded head, with the trace context that the proxy had made, and the target's own name where it has one.
    fn head_of(&self, exchange: &Exchange) -> (Vec<u8>, Vec<String>) {
        let mut head = exchange.request.head.bytes.clone();
        let mut replacements = Vec::new();
        if let Some(trace) = exchange.trace.as_ref().filter(|trace| trace.made) {
            let line = format!("traceparent: 00-{}-{}-01\r\n", trace.trace_id, trace.span_id);
            insert_field(&mut head, line.as_bytes());
        }
        if let Some(host) = &self.host {
            replace_host(&mut head, host);
            replacements.push(format!("header:Host: set to {host}, the target's name"));
        }
        (head, replacements)
    }

    fn write(&self, exchange: &Exchange, reply: &Reply, started_ns: u64, replacements: Vec<String>) -> Outcome {
        let replayed_id = Id::of_repeat(self.run, exchange.id, 0);
        let end = end_of(reply);
        let mut redactions = exchange.redactions.clone();
        redactions.retain(|redaction| redaction.place.starts_with("request"));
        let response = reply.head.as_ref().map(|head| {
            let (head, more) = redacted_response(self.ledger.redactor(), head);
            redactions.extend(more);
            let body = self.ledger.put_body(BodyBytes {
                bytes: &reply.body,
                len: reply.body.len() as u64,
                chunks: reply.chunks.clone(),
                trailers: reply.trailers.clone(),
            });
            Response { head, body }
        });
        let response_digest =
            response.as_ref().map(|response| content::canonical::response_digest(&response.head, &reply.body));
        let sent = match self.archive.body(&exchange.request.body, REQUEST_BODY_BYTES_MAX) {
            Ok(bytes) => self.ledger.put_body(BodyBytes {
                bytes: &bytes,
                len: bytes.len() as u64,
                chunks: Vec::new(),
                trailers: exchange.request.body.trailers.clone(),
            }),
            Err(_) => exchange.request.body.clone(),
        };
        self.ledger.append_exchange(Exchange {
            id: replayed_id,
            session: self.run,
            sequence: self.ledger.next_sequence(),
            role: Role::Ingress,
            transport: Transport::Http1,
            request: Request { head: exchange.request.head.clone(), body: sent },
            interim: reply.interim.clone(),
            response: response.clone(),
            end: end.clone(),
            times: Times {
                started_ns,
                request_ended_ns: reply.request_ended_ns,
                response_started_ns: reply.response_started_ns,
                ended_ns: reply.ended_ns,
            },
            trace: exchange.trace.clone(),
            seeds: exchange.seeds.clone(),
            fingerprint: self.fingerprint,
            digests: Digests { request: exchange.digests.request, response: response_digest },
            redactions,
            repeats: Some(Repeats {
                original: Some(exchange.id),
                repeat: 0,
                target: self.target.clone(),
                replacements,
            }),
        });
        let whole = reply.end != ReplyEnd::TooLong;
        Outcome { replayed_id, head: response.map(|response| response.head), body: reply.body.clone(), whole, end }
    }
}

fn taken(outcomes: &Mutex<BTreeMap<Id, Outcome>>) -> BTreeMap<Id, Outcome> {
    std::mem::take(&mut *outcomes.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

fn unreachable(error: &std::io::Error, ended_ns: u64) -> Reply {
    Reply { end: ReplyEnd::Failed(error.to_string()), ended_ns, ..Reply::default() }
}

fn end_of(reply: &Reply) -> End {
    match &reply.end {
        ReplyEnd::Complete | ReplyEnd::Upgraded | ReplyEnd::TooLong => End::Complete,
        ReplyEnd::Failed(reason) if reply.request_ended_ns.is_none() => End::Unreachable { reason: reason.clone() },
        ReplyEnd::Cut | ReplyEnd::Unclear(_) | ReplyEnd::Failed(_) => End::UpstreamReset,
        ReplyEnd::TimedOut => End::TimedOut,
    }
}

/// The request's body in the chunks that it was recorded in.
fn pieces_of<'a>(body: &exchange::Body, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = body.chunks.iter().filter_map(|chunk| usize::try_from(chunk.offset).ok()).collect();
    cuts.extend([0, bytes.len()]);
    cuts.retain(|&cut| cut <= bytes.len());
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

/// Puts a field line before the blank line that ends the head.
fn insert_field(head: &mut Vec<u8>, line: &[u8]) {
    let blank = if head.ends_with(b"\r\n") { 2 } else { 1 };
    let at = head.len().saturating_sub(blank);
    head.splice(at..at, line.iter().copied());
}

/// Writes `host` over the value of the first `Host` field, or adds one.
fn replace_host(head: &mut Vec<u8>, host: &str) {
    let mut start = 0;
    for line in head.clone().split_inclusive(|&byte| byte == b'\n') {
        if start > 0 && line.len() >= 5 && line[..5].eq_ignore_ascii_case(b"host:") {
            let new = format!("{}: {host}\r\n", String::from_utf8_lossy(&line[..4]));
            head.splice(start..start + line.len(), new.into_bytes());
            return;
        }
        start += line.len();
    }
    insert_field(head, format!("Host: {host}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_goes_before_the_blank_line_and_changes_nothing_else() {
        let mut head = b"GET / HTTP/1.1\r\na: 1\r\n\r\n".to_vec();
        insert_field(&mut head, b"t: 2\r\n");
        assert_eq!(head, b"GET / HTTP/1.1\r\na: 1\r\nt: 2\r\n\r\n");
        let mut bare = b"GET / HTTP/1.1\na: 1\n\n".to_vec();
        insert_field(&mut bare, b"t: 2\r\n");
        assert_eq!(bare, b"GET / HTTP/1.1\na: 1\nt: 2\r\n\n");
    }

    #[test]
    fn the_host_keeps_its_place_and_its_spelling() {
        let mut head = b"GET / HTTP/1.1\r\na: 1\r\nhost: x\r\nb: 2\r\n\r\n".to_vec();
        replace_host(&mut head, "api:80");
        assert_eq!(head, b"GET / HTTP/1.1\r\na: 1\r\nhost: api:80\r\nb: 2\r\n\r\n");
        let mut none = b"GET / HTTP/1.0\r\n\r\n".to_vec();
        replace_host(&mut none, "api");
        assert_eq!(none, b"GET / HTTP/1.0\r\nHost: api\r\n\r\n");
    }
}

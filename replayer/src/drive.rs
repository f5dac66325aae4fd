//! Sends the recorded requests in causal order, with recorded overlap, as fast as that allows or at production's times.
//!
//! In: the selection and a way to the service. Out: for each exchange what came back, written to the run as it comes. An
//! exchange is sent once all that had ended before it began have ended again, in recorded starting order; where it has a time,
//! not before that (`timing`).

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bundle::{Archive, ReadError};
use bytes::Bytes;
use content::seeds;
use diff::{Noise, Output, Route, Rules};
use exchange::{
    Digest, Digests, End, Exchange, Id, Repeats, Request, Response, Role, SeedPlace, Times, Trace, Transport,
};
use tokio::{sync::watch, task::JoinSet};
use wire::client::{self, Clock, Limits, Outgoing, Reply, ReplyEnd};

use crate::{
    answer::Answerer,
    baseline::{Baseline, Looked},
    compare::{Compared, compare},
    copies,
    determinism::{recorded_time, wall_clock},
    ledger::{BodyBytes, Ledger, redacted_response},
    order::{CausalOrder, Order, Progress},
    pieces::ranges,
    punctuality::Due,
    secrets::Secrets,
    select::{REQUEST_BODY_BYTES_MAX, Selection},
    service::{Doorway, Stream},
    timing::{Loop, Pacing, Schedule},
};

/// Longest silence of the service, beyond the time the exchange took in production, until the client leaves that left in
/// production too. A choice: nothing tells when it would have left here.
const LEAVING_PATIENCE: Duration = Duration::from_secs(5);

/// What became of one exchange, as far as judging it needs.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// The exchange of the run.
    pub(crate) replayed_id: Id,
    /// The answer's status, if any came.
    pub(crate) status: Option<u16>,
    /// False when more came than was kept.
    pub(crate) whole: bool,
    /// How it ended.
    pub(crate) end: End,
    /// Why no whole answer came, where more is known than its end says.
    pub(crate) trouble: Option<String>,
    /// The answer, compared with production's.
    pub(crate) compared: Compared,
    /// The answer's status and body as they came.
    pub(crate) exact: Option<Digest>,
    /// The answer, held against the first repeat's.
    pub(crate) looked: Option<Looked>,
    /// When it was to be sent, where it had a time.
    pub(crate) due: Option<Due>,
    /// True where a seed was set in its request.
    pub(crate) is_seeded: bool,
    /// When it was sent.
    pub(crate) started_ns: u64,
    /// When it ended.
    pub(crate) ended_ns: u64,
}

/// All that driving needs.
pub(crate) struct Driver {
    pub(crate) archive: Arc<Archive>,
    pub(crate) answerer: Arc<Answerer>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) rules: Rules,
    pub(crate) noise: Arc<Noise>,
    pub(crate) doorway: Doorway,
    pub(crate) secrets: Arc<Secrets>,
    pub(crate) limits: Limits,
    pub(crate) run: Id,
    /// Which repeat this is, from 0: each copy is one.
    pub(crate) repeat: u32,
    /// Which copy of its sessions, from 0.
    pub(crate) copy: u32,
    /// How many there are at once.
    pub(crate) copies: u32,
    /// First answers, where there are several repeats.
    pub(crate) baseline: Option<Arc<Baseline>>,
    pub(crate) target: String,
    pub(crate) fingerprint: Option<Digest>,
    /// Written over the recorded `Host`, where the target has a name of its own.
    pub(crate) host: Option<String>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) order: Order,
    pub(crate) pacing: Pacing,
    /// Set in requests that have a place for it.
    pub(crate) seed: Option<u32>,
    /// Whether the service's wall clock is set to the recorded times.
    pub(crate) sets_clock: bool,
}

/// How a drive is watched and stopped.
pub(crate) struct Watch<'a> {
    pub(crate) progress: &'a (dyn Fn(u64, u64) + Send + Sync),
    pub(crate) stop: watch::Receiver<bool>,
    /// What came to an end so far, for whoever looks before the drive is over.
    pub(crate) ended: Arc<Outcomes>,
}

/// What became of exchanges; an error where a recorded body could not be read.
pub(crate) type Outcomes = Mutex<BTreeMap<Id, Result<Outcome, ReadError>>>;

impl Driver {
    /// Sends all chosen exchanges. Those that were not sent because of a stop are missing in what comes back; those that it
    /// caught in flight are there and say so.
    ///
    /// # Errors
    /// When a recorded body cannot be read.
    pub(crate) async fn drive(
        self: Arc<Self>,
        selection: &Selection,
        watched: Watch<'_>,
    ) -> Result<BTreeMap<Id, Outcome>, ReadError> {
        let turns = Arc::new(Turns::of(&self, selection));
        let outcomes = watched.ended;
        let mut stop = watched.stop.clone();
        let mut tasks = JoinSet::new();
        let total = selection.chosen.len() as u64;
        let mut done = 0;
        let mut one_more_done = || {
            done += 1;
            (watched.progress)(done, total);
        };
        'all: for (at, exchange) in selection.chosen.iter().enumerate() {
            let turn = turns.before_sending(at);
            tokio::pin!(turn);
            let due = loop {
                tokio::select! {
                    biased;
                    () = told_to_stop(&mut stop) => break 'all,
                    Some(_) = tasks.join_next() => one_more_done(),
                    due = &mut turn => break due,
                }
            };
            self.set_clock(at, exchange);
            let sending =
                Sending { driver: Arc::clone(&self), turns: Arc::clone(&turns), at, exchange: exchange.clone(), due };
            let (outcomes, stop_sending) = (Arc::clone(&outcomes), stop.clone());
            // Connecting here and not in the task keeps the starting order; what has a time of its own holds up nobody else.
            let stream = if turns.wait_alone {
                None
            } else {
                tokio::select! {
                    biased;
                    () = told_to_stop(&mut stop) => break,
                    stream = self.doorway.connect() => Some((stream, sending.in_flight())),
                }
            };
            tasks.spawn(async move {
                let id = sending.exchange.id;
                if let Some(outcome) = sending.send(stream, stop_sending).await {
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).insert(id, outcome);
                }
            });
        }
        while tasks.join_next().await.is_some() {
            one_more_done();
        }
        let outcomes = std::mem::take(&mut *outcomes.lock().unwrap_or_else(PoisonError::into_inner));
        outcomes.into_iter().map(|(id, outcome)| Ok((id, outcome?))).collect()
    }

    /// Before each exchange where they go one after the other, else before the first.
    fn set_clock(&self, at: usize, exchange: &Exchange) {
        if !self.sets_clock || self.order == Order::Recorded && (at > 0 || self.copy > 0) {
            return;
        }
        if let Some(at_ns) = recorded_time(&self.archive, exchange) {
            self.doorway.set_clock(wall_clock(self.order, at_ns));
        }
    }

    async fn send(
        &self,
        exchange: &Exchange,
        due: Option<Due>,
        stream: io::Result<Stream>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Outcome, ReadError> {
        let started_ns = (self.clock)();
        let (mut head, mut replacements) = self.head_of(exchange);
        let mut body = self.archive.body(&exchange.request.body, REQUEST_BODY_BYTES_MAX)?;
        let seeded =
            self.seed.and_then(|seed| seeds::set_in_request(&exchange.request.head, &body, seed).zip(Some(seed)));
        let is_seeded = seeded.is_some();
        if let Some((seeded, seed)) = seeded {
            body = seeded.body;
            replace_length(&mut head, body.len());
            replacements.extend(seeded.pointers.iter().map(|pointer| format!("body:{pointer}: {seed}, by `--seed`")));
        }
        let (reply, ending) = match stream {
            Err(error) => self.without_answer(End::Unreachable { reason: error.to_string() }),
            Ok(mut stream) => {
                let pieces = ranges(&exchange.request.body, body.len());
                let whole = Bytes::from(body.clone());
                let pieces: Vec<_> =
                    pieces.into_iter().map(|piece| self.secrets.reveal_piece(&whole.slice(piece))).collect();
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
                let head = self.secrets.reveal_head(&head);
                let trailers = &exchange.request.body.trailers;
                let request = Outgoing { head: &head, body: &pieces, trailers, is_whole: true };
                let limits = self.limits_for(exchange);
                tokio::select! {
                    reply = client::exchange(&mut stream, request, &limits, &*self.clock) => {
                        let ending = ending_of(&reply);
                        (reply, ending)
                    }
                    () = told_to_stop(&mut stop) => self.without_answer(End::CaptureStopped),
                }
            }
        };
        let mut reply = reply;
        self.conceal(&mut reply);
        self.conclude(exchange, reply, ending, Sent { due, started_ns, body, is_seeded, replacements })
    }

    /// Secrets that were given for this replay become pseudonyms again before anybody looks at the answer.
    fn conceal(&self, reply: &mut Reply) {
        if let Some(head) = &mut reply.head {
            self.secrets.conceal_message(head, &mut reply.body, &mut reply.chunks);
        } else {
            self.secrets.conceal(&mut reply.body);
        }
        self.secrets.conceal(&mut reply.trailers);
        reply.interim.iter_mut().for_each(|interim| self.secrets.conceal(&mut interim.head.bytes));
    }

    fn without_answer(&self, end: End) -> (Reply, Ending) {
        (Reply::none_by((self.clock)()), Ending { end, trouble: None })
    }

    /// A client that left before the answer was whole leaves again, once there is nothing more to be had.
    fn limits_for(&self, exchange: &Exchange) -> Limits {
        let mut limits = self.limits.clone();
        if exchange.end == End::ClientGone {
            let took = Duration::from_nanos(exchange.times.ended_ns.saturating_sub(exchange.times.started_ns));
            limits.silence_max = limits.silence_max.min(took.saturating_add(LEAVING_PATIENCE));
        }
        limits
    }

    /// The recorded head, with the trace context that the proxy had made, and the target's own name where it has one.
    fn head_of(&self, exchange: &Exchange) -> (Vec<u8>, Vec<String>) {
        let mut head = exchange.request.head.bytes.clone();
        let mut replacements = Vec::new();
        if let Some(trace) = &exchange.trace {
            if trace.made {
                let trace_id = copies::trace_id(&trace.trace_id, self.copy);
                insert_field(&mut head, format!("traceparent: 00-{trace_id}-{}-01\r\n", trace.span_id).as_bytes());
            } else if copies::retrace(&mut head, &trace.trace_id, self.copy) {
                replacements.push(format!("header:traceparent: a trace of its own, as copy {}", self.copy + 1));
            }
        }
        if let Some(host) = &self.host {
            replace_host(&mut head, host);
            replacements.push(format!("header:Host: set to {host}, the target's name"));
        }
        (head, replacements)
    }

    /// Compares what came and writes it to the run.
    fn conclude(&self, exchange: &Exchange, reply: Reply, ending: Ending, sent: Sent) -> Result<Outcome, ReadError> {
        let replayed_id = Id::of_repeat(self.run, exchange.id, self.repeat);
        let mut redactions = exchange.redactions.clone();
        redactions.retain(|redaction| redaction.place.starts_with("request"));
        let head = reply.head.as_ref().map(|head| {
            let (head, more) = redacted_response(self.ledger.redactor(), head);
            redactions.extend(more);
            head
        });
        let whole = reply.end != ReplyEnd::TooLong;
        let output =
            head.as_ref().map(|head| Output { head, body: &reply.body, complete: ending.end.is_complete(), whole });
        let compared = compare(&self.archive, &self.rules, &self.noise, &self.secrets, exchange, output.as_ref())?;
        let route = || Route::of(&exchange.request.head);
        let looked = self.baseline.as_ref().zip(output.as_ref());
        let looked = looked.and_then(|(baseline, output)| baseline.look(exchange.id, &route(), output));
        let response_digest = head.as_ref().map(|head| content::canonical::response_digest(head, &reply.body));
        let status = head.as_ref().and_then(|head| head.status_line()).map(|line| line.status);
        let exact = self.baseline.as_ref().and(status).map(|status| exact_digest(status, &reply.body));
        let ended_ns = reply.ended_ns;
        let response = head.map(|head| Response {
            head,
            body: self.ledger.put_body(BodyBytes {
                bytes: &reply.body,
                len: reply.body.len() as u64,
                chunks: reply.chunks,
                trailers: reply.trailers,
            }),
        });
        // What stands in the run is the recorded head, but for a body of its own.
        let mut request_head = exchange.request.head.clone();
        let mut request_digest = exchange.digests.request;
        let mut request_seeds = exchange.seeds.clone();
        if sent.is_seeded {
            replace_length(&mut request_head.bytes, sent.body.len());
            request_digest = Some(content::canonical::request_digest(&request_head, &sent.body, exchange.transport));
            request_seeds.retain(|seed| seed.place != SeedPlace::Request);
            request_seeds.extend(seeds::find_in_request(&request_head, &sent.body));
        }
        let request_body = self.ledger.put_body(BodyBytes {
            bytes: &sent.body,
            len: sent.body.len() as u64,
            chunks: Vec::new(),
            trailers: exchange.request.body.trailers.clone(),
        });
        self.ledger.append_exchange(Exchange {
            id: replayed_id,
            session: self.run,
            sequence: self.ledger.next_sequence(),
            role: Role::Ingress,
            transport: Transport::Http1,
            request: Request { head: request_head, body: request_body },
            interim: reply.interim,
            response,
            end: ending.end.clone(),
            times: Times {
                started_ns: sent.started_ns,
                request_ended_ns: reply.request_ended_ns,
                response_started_ns: reply.response_started_ns,
                ended_ns: reply.ended_ns,
            },
            trace: exchange
                .trace
                .clone()
                .map(|trace| Trace { trace_id: copies::trace_id(&trace.trace_id, self.copy), ..trace }),
            seeds: request_seeds,
            fingerprint: self.fingerprint,
            context: exchange::Context::default(),
            digests: Digests { request: request_digest, response: response_digest },
            redactions,
            repeats: Some(Repeats {
                original: Some(exchange.id),
                repeat: self.repeat,
                target: self.target.clone(),
                replacements: sent.replacements,
            }),
        });
        Ok(Outcome {
            replayed_id,
            status,
            whole,
            end: ending.end,
            trouble: ending.trouble,
            compared,
            exact,
            looked,
            due: sent.due,
            is_seeded: sent.is_seeded,
            started_ns: sent.started_ns,
            ended_ns,
        })
    }
}

/// What came, whatever it means: its status and its body's bytes.
fn exact_digest(status: u16, body: &[u8]) -> Digest {
    let mut hash = blake3::Hasher::new_derive_key("retake 2026-11 exact answer");
    hash.update(&status.to_le_bytes()).update(body);
    Digest(*hash.finalize().as_bytes())
}

/// What was sent, as far as the run's file wants to know.
struct Sent {
    due: Option<Due>,
    started_ns: u64,
    body: Vec<u8>,
    is_seeded: bool,
    replacements: Vec<String>,
}

/// When each exchange may be sent.
struct Turns {
    progress: Progress,
    /// Where exchanges have times: when, and of which clock's moment that counts.
    schedule: Option<(Schedule, u64)>,
    /// True where each waits for its forerunners by itself, so that none holds up those behind it.
    wait_alone: bool,
    clock: Arc<Clock>,
}

impl Turns {
    fn of(driver: &Driver, selection: &Selection) -> Self {
        let spans = selection.spans();
        let speed = driver.pacing.timing.speed();
        let wait_alone = speed.is_some() && driver.pacing.waits == Loop::Open && driver.order == Order::Recorded;
        let order = match driver.order {
            Order::Serial => CausalOrder::serial(spans.len()),
            Order::Recorded if wait_alone => CausalOrder::by_conversation(&spans, &selection.conversations()),
            Order::Recorded => CausalOrder::of(&spans),
        };
        let schedule = speed.map(|speed| {
            let schedule = Schedule::of(&spans, speed);
            let shift_ns = schedule.shift_ns(driver.copy, driver.copies);
            (schedule, (driver.clock)().saturating_add(shift_ns))
        });
        Self { progress: Progress::new(order), schedule, wait_alone, clock: Arc::clone(&driver.clock) }
    }

    /// Waits until it is the turn of exchange `at`; where each waits alone, until its time has come.
    async fn before_sending(&self, at: usize) -> Option<Due> {
        let opened_ns = if self.wait_alone { 0 } else { self.progress.may_send(at).await };
        let (schedule, began_ns) = self.schedule.as_ref()?;
        let intended_ns = began_ns.saturating_add(schedule.at_ns[at]);
        let could_ns = if opened_ns > 0 { opened_ns.saturating_add(schedule.thought_ns[at]) } else { 0 };
        let left_ns = intended_ns.max(could_ns).saturating_sub((self.clock)());
        if left_ns > 0 {
            tokio::time::sleep(Duration::from_nanos(left_ns)).await;
        }
        Some(Due { intended_ns, could_ns })
    }

    /// What is left to wait for after that.
    async fn alone(&self, at: usize, due: Option<Due>) -> Option<Due> {
        let opened_ns = if self.wait_alone { self.progress.may_send(at).await } else { 0 };
        due.map(|due| Due { could_ns: due.could_ns.max(opened_ns), ..due })
    }
}

/// One exchange that is sent.
struct Sending {
    driver: Arc<Driver>,
    turns: Arc<Turns>,
    at: usize,
    exchange: Exchange,
    due: Option<Due>,
}

impl Sending {
    fn in_flight(&self) -> InFlight {
        InFlight::new(Arc::clone(&self.driver), Arc::clone(&self.turns), self.at, self.exchange.id)
    }

    /// Sends it, over a connection that is there already or once it may connect; nothing where it was stopped before.
    async fn send(
        self,
        stream: Option<(io::Result<Stream>, InFlight)>,
        mut stop: watch::Receiver<bool>,
    ) -> Option<Result<Outcome, ReadError>> {
        let (due, (stream, in_flight)) = match stream {
            Some(ready) => (self.due, ready),
            None => tokio::select! {
                biased;
                () = told_to_stop(&mut stop) => {
                    // Whoever waits for it is told to stop as well.
                    self.turns.progress.ended(self.at, (self.driver.clock)());
                    return None;
                }
                ready = async {
                    let due = self.turns.alone(self.at, self.due).await;
                    (due, (self.driver.doorway.connect().await, self.in_flight()))
                } => ready,
            },
        };
        let outcome = self.driver.send(&self.exchange, due, stream, stop).await;
        drop(in_flight);
        Some(outcome)
    }
}

/// An exchange that is in flight until this is dropped, whatever becomes of the task that holds it.
struct InFlight {
    driver: Arc<Driver>,
    turns: Arc<Turns>,
    at: usize,
    id: Id,
}

impl InFlight {
    fn new(driver: Arc<Driver>, turns: Arc<Turns>, at: usize, id: Id) -> Self {
        driver.answerer.began(driver.copy, id);
        Self { driver, turns, at, id }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.driver.answerer.ended(self.driver.copy, self.id);
        self.turns.progress.ended(self.at, (self.driver.clock)());
    }
}

/// Waits until the user wants it to stop.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Whoever could have said so is gone.
        std::future::pending::<()>().await;
    }
}

/// How an exchange ended, in the recording's words and in more.
struct Ending {
    end: End,
    trouble: Option<String>,
}

fn ending_of(reply: &Reply) -> Ending {
    let (end, trouble) = match &reply.end {
        ReplyEnd::TooLong if reply.head.is_none() => {
            (End::UpstreamReset, Some("the service sent more interim responses than are taken".to_owned()))
        }
        ReplyEnd::Complete | ReplyEnd::Upgraded | ReplyEnd::TooLong => (End::Complete, None),
        ReplyEnd::Cut => (End::UpstreamReset, None),
        ReplyEnd::Failed(reason) => {
            (End::UpstreamReset, Some(format!("the connection broke before the answer was whole: {reason}")))
        }
        ReplyEnd::Unclear(unclear) => {
            (End::UpstreamReset, Some(format!("what came back is no answer that HTTP/1.x has: {unclear}")))
        }
        ReplyEnd::TimedOut => (End::TimedOut, None),
    };
    Ending { end, trouble }
}

/// Puts a field line before the blank line that ends the head.
fn insert_field(head: &mut Vec<u8>, line: &[u8]) {
    let blank = if head.ends_with(b"\r\n") { 2 } else { 1 };
    let at = head.len().saturating_sub(blank);
    head.splice(at..at, line.iter().copied());
}

/// Writes the length of a body over the value of each `Content-Length` field; where there is none, nothing says its length.
fn replace_length(head: &mut Vec<u8>, len: usize) {
    const NAME: &[u8] = b"content-length:";
    let mut new = Vec::with_capacity(head.len() + 8);
    for line in head.split_inclusive(|&byte| byte == b'\n') {
        let is_field = !new.is_empty() && line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
        if is_field {
            new.extend_from_slice(&line[..NAME.len()]);
            new.extend_from_slice(format!(" {len}\r\n").as_bytes());
        } else {
            new.extend_from_slice(line);
        }
    }
    *head = new;
}

/// Writes `host` over the value of the first `Host` field, or adds one.
pub(crate) fn replace_host(head: &mut Vec<u8>, host: &str) {
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
    fn the_length_keeps_its_place_and_its_name_and_is_not_added() {
        let mut head = b"POST / HTTP/1.1\r\nContent-length:3\r\nb: 2\r\n\r\n".to_vec();
        replace_length(&mut head, 120);
        assert_eq!(head, b"POST / HTTP/1.1\r\nContent-length: 120\r\nb: 2\r\n\r\n");
        let mut chunked = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        replace_length(&mut chunked, 120);
        assert_eq!(chunked, b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
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

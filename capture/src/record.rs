//! Listens to the proxy and makes exchanges of what it is told, secrets replaced, memory bounded.
//!
//! In: the calls of [`wire::Observer`] and [`wire::Tap`], on the proxy's own path: nothing here waits. Out: parts of bodies
//! and ended exchanges in the queue. Digests, seeds and recipes are the writer's.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
    mpsc::Sender,
};

use content::redact::Redactor;
use exchange::{
    Body, Chunk, Digests, End, Exchange, Gap, Head, Id, Interim, Redaction, Request, Response, Role, Times, Trace,
    Transport,
};
use wire::{Begun, Observer, Start, Tap, Ticket};

use crate::{
    Clock,
    attribute::InFlight,
    queue::{Budget, Held, Item, Losses, Side},
};

/// Longest part that goes to the queue at once: a blob's length, so that equal bodies are cut alike and kept once.
const PART_BYTES: usize = bundle::BLOB_BYTES_MAX;

/// Most chunks listed of one body; beyond, every other one is left out. Two lists this long with offsets and times of twelve
/// digits come to 1.8 MB of JSON, which leaves more than half of `bundle::RECORD_BYTES_MAX` to the heads. A choice.
const CHUNKS_MAX: usize = 32_768;

/// Most informational responses kept of one exchange. A choice.
const INTERIM_MAX: usize = 64;

/// What one chunk of a list costs the budget, in bytes.
const CHUNK_COST: usize = size_of::<Chunk>();

/// Flags of a `traceparent` that we make: sampled, so that a tracing service goes on tracing what it would have traced.
const TRACE_FLAGS: &str = "01";

/// Makes exchanges of what the proxy tells.
pub(crate) struct Recorder {
    pub(crate) session: Id,
    pub(crate) session_key: [u8; 32],
    /// Name of the dependency of each listener, `None` for the clients'.
    pub(crate) listeners: Vec<Option<String>>,
    pub(crate) adds_traceparent: bool,
    pub(crate) body_bytes_max: u64,
    pub(crate) clock: Clock,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) queue: Sender<Item>,
    pub(crate) counter: AtomicU64,
    pub(crate) in_flight: Arc<Mutex<InFlight>>,
}

impl Observer for Recorder {
    fn first_byte(&self, _listener: usize) -> Ticket {
        Ticket { sequence: self.counter.fetch_add(1, Ordering::Relaxed), at_ns: self.clock.now_ns() }
    }

    fn begin(&self, start: Start<'_>) -> Option<Begun> {
        let sequence = start.ticket.sequence;
        let id = Id::derive(&self.session_key, sequence);
        let dependency = self.listeners.get(start.listener).cloned().flatten();
        let mut head = Head::new(start.head);
        let found = head.text_of("traceparent").and_then(read_traceparent);
        let makes_trace = self.adds_traceparent && dependency.is_none() && found.is_none() && !head.is_empty();
        let makes_trace = makes_trace && head.value_of("traceparent").is_none();
        let trace = found.or_else(|| makes_trace.then(|| self.make_trace(id, sequence)));
        let traceparent = trace.as_ref().filter(|trace| trace.made);
        let traceparent = traceparent.map(|trace| format!("00-{}-{}-{TRACE_FLAGS}", trace.trace_id, trace.span_id));
        let role = self.role_of(id, dependency, trace.as_ref(), start.ticket.at_ns);
        let held = self.budget.take(head.bytes.len());
        let redactions = if held.is_some() { self.redactor.request_head(&mut head) } else { Vec::new() };
        let exchange = Exchange {
            id,
            session: self.session,
            sequence,
            role,
            transport: Transport::Http1,
            request: Request { head, body: Body::default() },
            interim: Vec::new(),
            response: None,
            end: End::CaptureStopped,
            times: Times { started_ns: start.ticket.at_ns, ..Times::default() },
            trace,
            seeds: Vec::new(),
            fingerprint: None,
            digests: Digests::default(),
            redactions: Vec::new(),
            repeats: None,
        };
        let mut recording = Recording {
            exchange: Some(Box::new(exchange)),
            is_lost: held.is_none(),
            held: held.unwrap_or_else(|| Held::nothing(&self.budget)),
            request: Gathering::new(Side::Request, sequence, self),
            response: Gathering::new(Side::Response, sequence, self),
            response_started_ns: None,
            clock: self.clock,
            redactor: self.redactor.clone(),
            losses: self.losses.clone(),
            queue: self.queue.clone(),
            in_flight: self.in_flight.clone(),
        };
        recording.note_redactions(redactions);
        Some(Begun { tap: Box::new(recording), traceparent })
    }
}

impl Recorder {
    /// A trace for a request that has none: its id is the exchange's, so that either leads to the other.
    fn make_trace(&self, id: Id, sequence: u64) -> Trace {
        // Half of the counter's range is never reached by exchanges; span ids come from there.
        let span = Id::derive(&self.session_key, sequence | 1 << 63).to_string();
        Trace { trace_id: id.to_string(), span_id: span[..16].to_owned(), made: true }
    }

    fn role_of(&self, id: Id, dependency: Option<String>, trace: Option<&Trace>, now_ns: u64) -> Role {
        let trace_id = trace.map(|trace| trace.trace_id.as_str());
        let mut in_flight = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        match dependency {
            Some(name) => Role::Dependency { name, parent: in_flight.parent_of(trace_id, now_ns) },
            None => {
                in_flight.begin(id, trace_id, now_ns);
                Role::Ingress
            }
        }
    }
}

/// Reads a `traceparent` (W3C Trace Context, section 3.2.2); `None` where it is not one.
fn read_traceparent(value: &str) -> Option<Trace> {
    let mut parts = value.trim().split('-');
    let (version, trace_id, span_id, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    };
    let is_set = |text: &str| text.bytes().any(|byte| byte != b'0');
    let is_valid = is_hex(version, 2) && is_hex(trace_id, 32) && is_hex(span_id, 16) && is_hex(flags, 2);
    let is_valid = is_valid && version != "ff" && is_set(trace_id) && is_set(span_id);
    is_valid.then(|| Trace { trace_id: trace_id.to_owned(), span_id: span_id.to_owned(), made: false })
}

/// One exchange in the making.
struct Recording {
    /// Taken when it is handed on.
    exchange: Option<Box<Exchange>>,
    /// True when something of it that cannot be left out had no room.
    is_lost: bool,
    held: Held,
    request: Gathering,
    response: Gathering,
    response_started_ns: Option<u64>,
    clock: Clock,
    redactor: Arc<Redactor>,
    losses: Arc<Losses>,
    queue: Sender<Item>,
    in_flight: Arc<Mutex<InFlight>>,
}

impl Tap for Recording {
    fn transport(&mut self, transport: Transport) {
        if let Some(exchange) = &mut self.exchange {
            exchange.transport = transport;
        }
    }

    fn request_body(&mut self, payload: &[u8]) {
        self.request.take(payload, self.clock.now_ns());
    }

    fn request_end(&mut self, trailers: &[u8]) {
        let trailers = self.redacted_trailers(Side::Request, trailers);
        self.request.body.trailers = trailers;
        if let Some(exchange) = &mut self.exchange {
            exchange.times.request_ended_ns = Some(self.clock.now_ns());
        }
    }

    fn interim(&mut self, head: &[u8]) {
        let Some(head) = self.redacted_response(head) else { return };
        let at_ns = self.response_started_ns.take().unwrap_or_else(|| self.clock.now_ns());
        if let Some(exchange) = &mut self.exchange
            && exchange.interim.len() < INTERIM_MAX
        {
            exchange.interim.push(Interim { at_ns, head });
        }
    }

    fn response_started(&mut self) {
        // An upgrade's or raw stream's first bytes come after, not instead of, those of its head.
        self.response_started_ns.get_or_insert(self.clock.now_ns());
    }

    fn response_head(&mut self, head: &[u8]) {
        let Some(head) = self.redacted_response(head) else { return };
        if let Some(exchange) = &mut self.exchange {
            exchange.response = Some(Response { head, body: Body::default() });
        }
    }

    fn response_body(&mut self, payload: &[u8]) {
        self.response.take(payload, self.clock.now_ns());
    }

    fn response_end(&mut self, trailers: &[u8]) {
        let trailers = self.redacted_trailers(Side::Response, trailers);
        self.response.body.trailers = trailers;
    }

    fn end(mut self: Box<Self>, end: End) {
        self.hand_on(end);
    }
}

impl Recording {
    /// The redacted head of a response, or `None` when there is no room for it: then the exchange is lost, because one
    /// without its response would be another exchange.
    fn redacted_response(&mut self, head: &[u8]) -> Option<Head> {
        if self.is_lost || !self.held.grow(head.len()) {
            self.is_lost = true;
            return None;
        }
        let mut head = Head::new(head);
        let redactions = self.redactor.response_head(&mut head);
        self.note_redactions(redactions);
        Some(head)
    }

    /// Trailers are fields: what is a secret in a head is one here.
    fn redacted_trailers(&mut self, side: Side, trailers: &[u8]) -> Vec<u8> {
        if trailers.is_empty() || self.is_lost || !self.held.grow(trailers.len()) {
            return Vec::new();
        }
        let mut trailers = trailers.to_vec();
        let redactions = match side {
            Side::Request => self.redactor.request_trailers(&mut trailers),
            Side::Response => self.redactor.response_trailers(&mut trailers),
        };
        self.note_redactions(redactions);
        trailers
    }

    fn note_redactions(&mut self, redactions: Vec<Redaction>) {
        let Some(exchange) = &mut self.exchange else { return };
        for redaction in redactions {
            match exchange.redactions.iter_mut().find(|noted| noted.place == redaction.place) {
                Some(noted) => noted.count += redaction.count,
                None => exchange.redactions.push(redaction),
            }
        }
    }

    /// Hands the exchange to the writer.
    fn hand_on(&mut self, end: End) {
        let Some(mut exchange) = self.exchange.take() else { return };
        let now_ns = self.clock.now_ns();
        if exchange.role == Role::Ingress {
            self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).end(exchange.id, now_ns);
        }
        let sequence = exchange.sequence;
        if self.is_lost {
            self.losses.lose_exchange();
            // The writer ends before the proxy only when nobody reads the queue any more.
            self.queue.send(Item::Forget { sequence }).ok();
            return;
        }
        exchange.end = end;
        exchange.times.ended_ns = now_ns;
        exchange.request.body = self.request.finish();
        let response_body = self.response.finish();
        match &mut exchange.response {
            Some(response) => response.body = response_body,
            // Bytes without a head: a raw stream's.
            None if response_body.len > 0 => {
                exchange.response = Some(Response { head: Head::default(), body: response_body });
            }
            None => {}
        }
        exchange.times.response_started_ns = exchange.response.as_ref().and(self.response_started_ns);
        let held = self.held.split(usize::MAX);
        self.queue.send(Item::Exchange { exchange, held }).ok();
    }
}

impl Drop for Recording {
    /// The proxy ended before the exchange did, or this recording panicked.
    fn drop(&mut self) {
        if std::thread::panicking() {
            if self.exchange.take().is_some() {
                self.losses.lose_exchange();
            }
        } else {
            self.hand_on(End::CaptureStopped);
        }
    }
}

/// One body in the making.
struct Gathering {
    side: Side,
    sequence: u64,
    body: Body,
    /// What is not yet in the queue.
    part: Vec<u8>,
    part_held: Held,
    chunks_held: Held,
    kept_len: u64,
    /// Chunks of which only every so many-th is listed, by now.
    chunk_stride: u64,
    chunks_seen: u64,
    body_bytes_max: u64,
    losses: Arc<Losses>,
    queue: Sender<Item>,
}

impl Gathering {
    fn new(side: Side, sequence: u64, recorder: &Recorder) -> Self {
        Self {
            side,
            sequence,
            body: Body::default(),
            part: Vec::new(),
            part_held: Held::nothing(&recorder.budget),
            chunks_held: Held::nothing(&recorder.budget),
            kept_len: 0,
            chunk_stride: 1,
            chunks_seen: 0,
            body_bytes_max: recorder.body_bytes_max,
            losses: recorder.losses.clone(),
            queue: recorder.queue.clone(),
        }
    }

    /// Takes what one read delivered.
    fn take(&mut self, payload: &[u8], at_ns: u64) {
        if payload.is_empty() {
            return;
        }
        self.list_chunk(at_ns);
        self.body.len += payload.len() as u64;
        let kept = self.keep(payload);
        self.losses.lose_bytes((payload.len() - kept) as u64);
    }

    /// Lists the chunk, unless the list is so long that only some are listed: the others belong to the one before them.
    fn list_chunk(&mut self, at_ns: u64) {
        if self.body.chunks.len() >= CHUNKS_MAX {
            let mut is_kept = false;
            self.body.chunks.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.chunk_stride = self.chunk_stride.saturating_mul(2);
        }
        let is_listed = self.chunks_seen.is_multiple_of(self.chunk_stride);
        self.chunks_seen += 1;
        if is_listed
            && (self.body.chunks.len() * CHUNK_COST < self.chunks_held.bytes()
                || self.chunks_held.grow(64 * CHUNK_COST))
        {
            self.body.chunks.push(Chunk { offset: self.body.len, at_ns });
        }
    }

    /// Keeps as much of the payload as may be kept; how much that is.
    fn keep(&mut self, payload: &[u8]) -> usize {
        if self.body.gap.is_some() {
            return 0;
        }
        let room = usize::try_from(self.body_bytes_max.saturating_sub(self.kept_len)).unwrap_or(usize::MAX);
        let wanted = payload.len().min(room);
        if !self.part_held.grow(wanted) {
            let store_fails = self.losses.store_fails.load(Ordering::Relaxed);
            self.body.gap = Some(if store_fails { Gap::StoreFailed } else { Gap::QueueFull });
            return 0;
        }
        if wanted < payload.len() {
            self.body.gap = Some(Gap::OverLimit);
        }
        self.kept_len += wanted as u64;
        let mut rest = &payload[..wanted];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            rest = later;
            if self.part.len() == PART_BYTES {
                self.send_part();
            }
        }
        wanted
    }

    fn send_part(&mut self) {
        let bytes = std::mem::take(&mut self.part);
        let held = self.part_held.split(bytes.len());
        // As above: nobody reads the queue any more only when the capture is over.
        self.queue.send(Item::Part { sequence: self.sequence, side: self.side, bytes, held }).ok();
    }

    fn finish(&mut self) -> Body {
        if !self.part.is_empty() {
            self.send_part();
        }
        std::mem::take(&mut self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_what_is_none_is_not() {
        let trace = read_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        assert_eq!(
            (trace.trace_id.as_str(), trace.span_id.as_str()),
            ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
        );
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(read_traceparent(wrong), None, "{wrong}");
        }
    }
}

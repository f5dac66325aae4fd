//! One exchange in the making: what the proxy tells of it, and its handing on to the writer.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, mpsc::Sender},
};

use content::{
    redact::Redactor,
    unrepeatable::{Onlooker, Unrepeatable},
};
use exchange::{Body, End, Exchange, Head, Interim, Redaction, Response, Role, Transport};
use wire::Tap;

use super::gathering::Gathering;
use crate::{
    Clock,
    attribute::InFlight,
    queue::{Held, Item, Losses, Side},
    warned::Warned,
};

/// Most informational responses kept of one exchange. A choice.
const INTERIM_MAX: usize = 64;

/// One exchange in the making.
pub(super) struct Recording {
    /// Taken when it is handed on.
    pub(super) exchange: Option<Box<Exchange>>,
    /// True when the dependency was said to speak something else than HTTP.
    pub(super) is_raw_by_intent: bool,
    /// Sees what no replay can answer.
    pub(super) onlooker: Onlooker,
    pub(super) warned: Arc<Warned>,
    /// True when something of it that cannot be left out had no room.
    pub(super) is_lost: bool,
    pub(super) held: Held,
    pub(super) request: Gathering,
    pub(super) response: Gathering,
    pub(super) response_started_ns: Option<u64>,
    /// Who is at the service's end: the upstream's address, or that of whoever calls a dependency.
    pub(super) peer: Option<IpAddr>,
    pub(super) clock: Clock,
    pub(super) redactor: Arc<Redactor>,
    pub(super) losses: Arc<Losses>,
    pub(super) queue: Sender<Item>,
    pub(super) in_flight: Arc<Mutex<InFlight>>,
}

impl Tap for Recording {
    fn transport(&mut self, transport: Transport) {
        if let Some(exchange) = &mut self.exchange {
            exchange.transport = transport;
        }
        match transport {
            // What a server says on such a connection is data, as a body is.
            Transport::Raw if self.is_raw_by_intent => {
                self.request.redact_spoken();
                self.response.keep_times();
            }
            Transport::Raw => {
                self.request.redact_lines();
                self.response.redact_lines();
            }
            Transport::Http1 | Transport::Upgraded => {}
        }
    }

    fn connected(&mut self, peer: IpAddr) {
        if self.exchange.as_ref().is_some_and(|exchange| exchange.role == Role::Ingress) {
            self.peer = Some(peer);
        }
    }

    fn request_body(&mut self, payload: &[u8]) {
        self.request.take(payload, self.clock.now_ns());
        if self.is_raw_by_intent {
            let known = self.onlooker.said(payload, self.request.is_encrypted());
            self.look_at_the_connection(known);
        }
    }

    fn request_end(&mut self, trailers: &[u8]) {
        let trailers = self.redacted_trailers(Side::Request, trailers);
        self.request.body.trailers = trailers;
        if let Some(exchange) = &mut self.exchange {
            // An upgrade's bytes come after a request that has ended.
            exchange.times.request_ended_ns.get_or_insert(self.clock.now_ns());
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
        if self.is_raw_by_intent {
            let known = self.onlooker.answered(payload);
            self.look_at_the_connection(known);
        }
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

    /// Of a connection that is no HTTP: says what no replay can answer, and keeps neither side beyond where one was cut, since
    /// what was said then is not known to be answered by what came.
    fn look_at_the_connection(&mut self, known: Option<Unrepeatable>) {
        let Some(dependency) = self.exchange.as_ref().and_then(|exchange| exchange.role.dependency()) else { return };
        if let Some(why) = known {
            self.warned.unrepeatable(dependency, why);
        }
        let (was_cut, is_cut) =
            (self.request.is_cut() && self.response.is_cut(), self.request.is_cut() || self.response.is_cut());
        if is_cut && !was_cut {
            self.warned.cut(dependency);
            self.request.cut();
            self.response.cut();
        }
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

    pub(super) fn note_redactions(&mut self, redactions: Vec<Redaction>) {
        if let Some(exchange) = &mut self.exchange {
            note(&mut exchange.redactions, redactions);
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
            // What the writer has never heard of it need not forget: while a store fails there are many of these.
            if self.request.has_sent_parts() || self.response.has_sent_parts() {
                // The writer ends before the proxy only when nobody reads the queue any more.
                self.queue.send(Item::Forget { sequence }).ok();
            }
            return;
        }
        exchange.end = end;
        exchange.times.ended_ns = now_ns;
        exchange.request.body = self.request.finish();
        let response_body = self.response.finish();
        self.held.join(self.request.take_chunks_held());
        self.held.join(self.response.take_chunks_held());
        match &mut exchange.response {
            Some(response) => response.body = response_body,
            // Bytes without a head: a raw stream's.
            None if response_body.len > 0 => {
                exchange.response = Some(Response { head: Head::default(), body: response_body });
            }
            None => {}
        }
        exchange.times.response_started_ns = exchange.response.as_ref().and(self.response_started_ns);
        let redactions = [self.request.take_redactions(), self.response.take_redactions()].concat();
        note(&mut exchange.redactions, redactions);
        let held = self.held.split(usize::MAX);
        self.queue.send(Item::Exchange { exchange, held, peer: self.peer }).ok();
    }
}

impl Drop for Recording {
    /// The proxy ended before the exchange did, or this recording panicked.
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(exchange) = self.exchange.take() {
                // One that stayed in flight for ever would make every later call's parent ambiguous.
                self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).end(exchange.id, self.clock.now_ns());
                self.losses.lose_exchange();
                self.queue.send(Item::Forget { sequence: exchange.sequence }).ok();
            }
        } else {
            self.hand_on(End::CaptureStopped);
        }
    }
}

/// Adds places to those noted, each once.
fn note(noted: &mut Vec<Redaction>, redactions: Vec<Redaction>) {
    for redaction in redactions {
        match noted.iter_mut().find(|noted| noted.place == redaction.place) {
            Some(noted) => noted.count += redaction.count,
            None => noted.push(redaction),
        }
    }
}

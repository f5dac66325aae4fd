//! Listens to the proxy and makes exchanges of what it is told, secrets replaced, memory bounded.
//!
//! In: the calls of [`wire::Observer`] and [`wire::Tap`], on the proxy's own path: nothing here waits. Out: parts of bodies
//! and ended exchanges in the queue. Digests, seeds and recipes are the writer's.

mod gathering;
mod recording;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc::Sender,
};

use content::{redact::Redactor, unrepeatable::Onlooker};
use exchange::{Body, Digests, End, Exchange, Head, Id, Request, Role, Times, Trace, Transport};
use wire::{Begun, Observer, Start, Ticket, Upstream, ca::TlsTrouble};

use self::{gathering::Gathering, recording::Recording};
use crate::{
    Clock,
    attribute::InFlight,
    forward::Behind,
    queue::{Budget, Held, Item, Losses, Side},
    warned::Warned,
};

/// Flags of a `traceparent` that we make: sampled, so that a tracing service goes on tracing what it would have traced.
const TRACE_FLAGS: &str = "01";

/// What an exchange costs the budget beside its heads, its bodies and their chunk lists, in bytes: its record, its tap and its
/// place in the queue come to about 1.5 KB. Without it a million small exchanges would wait for a full disk for next to nothing.
const EXCHANGE_COST: usize = 2 << 10;

/// Makes exchanges of what the proxy tells.
pub(crate) struct Recorder {
    pub(crate) session: Id,
    pub(crate) session_key: [u8; 32],
    /// Name of the dependency of each listener, `None` for the clients'.
    pub(crate) listeners: Vec<Option<String>>,
    /// Which listeners were called.
    pub(crate) called: Vec<AtomicBool>,
    /// Which listeners lead to something that speaks no HTTP.
    pub(crate) raw_listeners: Vec<bool>,
    /// Names what is called through the forward proxy.
    pub(crate) behind: Behind,
    pub(crate) warned: Arc<Warned>,
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
        if let Some(called) = self.called.get(start.listener) {
            called.store(true, Ordering::Relaxed);
        }
        let dependency = match start.destination {
            Some(destination) => Some(self.behind.name_of(destination)),
            None => self.listeners.get(start.listener).cloned().flatten(),
        };
        let is_raw = self.raw_listeners.get(start.listener).copied().unwrap_or_default();
        let mut head = Head::new(start.head);
        let found = head.text_of("traceparent").and_then(read_traceparent);
        let makes_trace = self.adds_traceparent && dependency.is_none() && found.is_none() && !head.is_empty();
        let makes_trace = makes_trace && head.value_of("traceparent").is_none();
        let trace = found.or_else(|| makes_trace.then(|| self.make_trace(id, sequence)));
        let traceparent = trace.as_ref().filter(|trace| trace.made);
        let traceparent = traceparent.map(|trace| format!("00-{}-{}-{TRACE_FLAGS}", trace.trace_id, trace.span_id));
        let role = match dependency {
            // It rests in a pool and serves one exchange after another: its parents are those in flight at each of its turns.
            Some(name) if is_raw => Role::Dependency { name, parent: None },
            dependency => self.role_of(id, dependency, trace.as_ref(), start.ticket.at_ns),
        };
        let is_call = role.dependency().is_some();
        let held = self.budget.take(EXCHANGE_COST.saturating_add(head.bytes.len()));
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
            context: exchange::Context::default(),
            digests: Digests::default(),
            redactions: Vec::new(),
            repeats: None,
        };
        let mut recording = Recording {
            exchange: Some(Box::new(exchange)),
            is_raw_by_intent: is_raw,
            onlooker: Onlooker::default(),
            warned: self.warned.clone(),
            is_lost: held.is_none(),
            held: held.unwrap_or_else(|| Held::nothing(&self.budget)),
            request: Gathering::new(Side::Request, sequence, self),
            response: Gathering::new(Side::Response, sequence, self),
            response_started_ns: None,
            peer: is_call.then(|| start.peer.ip().to_canonical()),
            clock: self.clock,
            redactor: self.redactor.clone(),
            losses: self.losses.clone(),
            queue: self.queue.clone(),
            in_flight: self.in_flight.clone(),
        };
        recording.note_redactions(redactions);
        Some(Begun { tap: Box::new(recording), traceparent })
    }

    fn unreadable(&self, destination: &Upstream, trouble: &TlsTrouble) {
        self.behind.unreadable(destination, trouble);
    }
}

impl Recorder {
    /// The dependencies whose listeners nobody called, in the listeners' order.
    pub(crate) fn never_called(&self) -> Vec<String> {
        let silent = self.listeners.iter().zip(&self.called).filter(|(_, called)| !called.load(Ordering::Relaxed));
        silent.filter_map(|(dependency, _)| dependency.clone()).collect()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_exchange_costs_covers_what_it_is() {
        let in_flight = size_of::<Exchange>() + size_of::<Recording>();
        let waiting = size_of::<Exchange>() + size_of::<Item>();
        assert!(in_flight.max(waiting) + 256 <= EXCHANGE_COST, "{in_flight}, {waiting}");
    }

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

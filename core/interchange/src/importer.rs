//! Makes exchanges of items: ids, roles, secrets replaced, digests and seeds. The same for every format.

use std::{collections::BTreeMap, sync::Arc};

use content::{canonical, redact::Redactor, seeds};
use exchange::{
    Body, Context, Digest, Digests, End, Exchange, Id, Imported as Origins, Lack, Redaction, Request, Response, Role,
    Session, Times, Trace, Transport,
};

use crate::{Item, ItemMessage, Own, Roles, roles::Recent};

/// An exchange and the bytes of its bodies, which have no recipes yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The exchange.
    pub exchange: Exchange,
    /// All that is told of the request's body.
    pub request_body: Vec<u8>,
    /// All that is told of the response's body.
    pub response_body: Vec<u8>,
    /// Its own session, where Retake recorded it; else it belongs to that of the import.
    pub session: Option<Arc<Session>>,
}

/// The session of what is imported from a source: the same each time.
pub fn session_id(source: &Digest) -> Id {
    Id::of_item(source, u64::MAX)
}

/// Makes exchanges of one source's items.
pub struct Importer {
    format: &'static str,
    source: Digest,
    /// When the session began: the earliest item.
    started_unix_ns: u64,
    roles: Roles,
    redactor: Redactor,
    recent: Recent,
    lacks: BTreeMap<Lack, u64>,
}

impl Importer {
    /// An importer of the source with this digest, whose earliest item began then.
    pub fn new(format: &'static str, source: Digest, started_unix_ns: u64, roles: Roles, redactor: Redactor) -> Self {
        let (recent, lacks) = (Recent::default(), BTreeMap::new());
        Self { format, source, started_unix_ns, roles, redactor, recent, lacks }
    }

    /// How many exchanges so far lack what.
    pub fn lacks(&self) -> &BTreeMap<Lack, u64> {
        &self.lacks
    }

    /// The exchange that an item is.
    pub fn take(&mut self, mut item: Item) -> Imported {
        for lack in &item.lacks {
            *self.lacks.entry(*lack).or_default() += 1;
        }
        if let Some(own) = item.own.take() {
            return self.take_own(*own, item);
        }
        let id = Id::of_item(&self.source, item.position);
        let times = self.times_of(&item);
        let trace = item.request.head.text_of("traceparent").and_then(trace_of);
        let role = self.role_of(id, &item, trace.as_ref(), &times);
        let Item { origin, request, response, failure, lacks, .. } = item;
        let origin = Some(origin.url());
        let origins = Origins { format: self.format.to_owned(), source: self.source, origin, lacks };
        let mut exchange = Exchange {
            id,
            session: session_id(&self.source),
            sequence: item.position,
            role,
            transport: Transport::Http1,
            request: Request::default(),
            interim: Vec::new(),
            response: None,
            end: end_of(response.is_some(), failure),
            times,
            trace,
            seeds: Vec::new(),
            fingerprint: None,
            context: Context { imported: Some(origins), ..Context::default() },
            digests: Digests::default(),
            redactions: Vec::new(),
            repeats: None,
        };
        let request_body = self.put_request(&mut exchange, request);
        let response_body = response.map(|response| self.put_response(&mut exchange, response)).unwrap_or_default();
        exchange.redactions.sort();
        Imported { exchange, request_body, response_body, session: None }
    }

    /// The exchange that Retake recorded, as it was: id, times, links and the rest. Digests and seeds are found again. What it
    /// lacks now is said beside what it lacked before.
    fn take_own(&self, own: Own, item: Item) -> Imported {
        let Own { mut exchange, session } = own;
        let Item { request, response, lacks, .. } = item;
        (exchange.digests, exchange.seeds) = (Digests::default(), Vec::new());
        let (format, source) = (self.format.to_owned(), self.source);
        let context = &mut exchange.context;
        let origins =
            context.imported.get_or_insert_with(|| Origins { format, source, origin: None, lacks: Vec::new() });
        origins.lacks.extend(lacks);
        origins.lacks.sort_unstable();
        origins.lacks.dedup();
        let request_body = self.put_own_request(&mut exchange, request);
        let response_body = response.map(|response| self.put_own_response(&mut exchange, response)).unwrap_or_default();
        exchange.redactions.sort();
        Imported { exchange, request_body, response_body, session: Some(session) }
    }

    fn put_own_request(&self, exchange: &mut Exchange, message: ItemMessage) -> Vec<u8> {
        let ItemMessage { head, body, .. } = message;
        let (head, found) = unless_known(head, &exchange.redactions, |head| self.redactor.request_head(head));
        exchange.redactions.extend(found);
        let trailers = &mut exchange.request.body.trailers;
        let found =
            unless_known(std::mem::take(trailers), &exchange.redactions, |it| self.redactor.request_trailers(it));
        *trailers = found.0;
        exchange.redactions.extend(found.1);
        let is_untimed = exchange.context.imported.as_ref().is_some_and(|it| it.lacks.contains(&Lack::Times));
        if exchange.request.body.len == body.len() as u64 {
            // As a capture has it: a request that was cut has no digest, nor has such an answer.
            let came_whole = exchange.times.request_ended_ns.is_some() || is_untimed;
            exchange.digests.request = came_whole.then(|| canonical::request_digest(&head, &body, exchange.transport));
            exchange.seeds.extend(seeds::find_in_request(&head, &body));
        }
        exchange.request.head = head;
        body
    }

    fn put_own_response(&self, exchange: &mut Exchange, message: ItemMessage) -> Vec<u8> {
        let ItemMessage { head, body, .. } = message;
        let (head, found) = unless_known(head, &exchange.redactions, |head| self.redactor.response_head(head));
        exchange.redactions.extend(found);
        let response = exchange.response.get_or_insert_default();
        let trailers = std::mem::take(&mut response.body.trailers);
        let found = unless_known(trailers, &exchange.redactions, |it| self.redactor.response_trailers(it));
        response.body.trailers = found.0;
        exchange.redactions.extend(found.1);
        if response.body.len == body.len() as u64 {
            let came_whole = exchange.end.is_complete();
            exchange.digests.response = came_whole.then(|| canonical::response_digest(&head, &body));
            exchange.seeds.extend(seeds::find_in_response(&head, &body));
        }
        response.head = head;
        body
    }

    fn put_request(&self, exchange: &mut Exchange, message: ItemMessage) -> Vec<u8> {
        let ItemMessage { mut head, body, len } = message;
        exchange.redactions.extend(self.redactor.request_head(&mut head));
        if body.len() as u64 == len {
            exchange.digests.request = Some(canonical::request_digest(&head, &body, Transport::Http1));
            exchange.seeds.extend(seeds::find_in_request(&head, &body));
        }
        exchange.request = Request { head, body: Body { len, ..Body::default() } };
        body
    }

    fn put_response(&self, exchange: &mut Exchange, message: ItemMessage) -> Vec<u8> {
        let ItemMessage { mut head, body, len } = message;
        exchange.redactions.extend(self.redactor.response_head(&mut head));
        if body.len() as u64 == len {
            exchange.digests.response = Some(canonical::response_digest(&head, &body));
            exchange.seeds.extend(seeds::find_in_response(&head, &body));
        }
        exchange.response = Some(Response { head, body: Body { len, ..Body::default() } });
        body
    }

    fn times_of(&self, item: &Item) -> Times {
        let started_ns = item.started_unix_ns.unwrap_or_default().saturating_sub(self.started_unix_ns);
        let after = |ns: u64| started_ns.saturating_add(ns);
        Times {
            started_ns,
            request_ended_ns: item.request_ended_ns.map(after),
            response_started_ns: item.response_started_ns.map(after),
            ended_ns: after(item.ended_ns),
        }
    }

    fn role_of(&mut self, id: Id, item: &Item, trace: Option<&Trace>, times: &Times) -> Role {
        let trace_id = trace.map(|trace| trace.trace_id.as_str());
        match self.roles.dependency_at(&item.origin) {
            Some(name) => self.recent.call(name, trace_id, times.started_ns),
            None => {
                self.recent.note(id, trace_id.map(str::to_owned), times.started_ns, times.ended_ns);
                Role::Ingress
            }
        }
    }
}

/// What was redacted before stays as it is: pseudonyms are left alone. Where anything else is found, all is replaced.
fn unless_known<T: Clone>(
    given: T,
    known: &[Redaction],
    redact: impl FnOnce(&mut T) -> Vec<Redaction>,
) -> (T, Vec<Redaction>) {
    let mut redacted = given.clone();
    let found = redact(&mut redacted);
    if found.iter().all(|it| known.contains(it)) { (given, Vec::new()) } else { (redacted, found) }
}

fn end_of(has_response: bool, failure: Option<String>) -> End {
    match (has_response, failure) {
        (true, _) => End::Complete,
        (false, Some(reason)) => End::Unreachable { reason },
        (false, None) => End::Unreachable { reason: "the source tells of no response".to_owned() },
    }
}

/// Trace and span of a `traceparent` of version 00 (W3C Trace Context, section 3.2.2).
fn trace_of(value: &str) -> Option<Trace> {
    let parts: Vec<&str> = value.trim().split('-').collect();
    let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match parts[..] {
        ["00", trace_id, span_id, _]
            if trace_id.len() == 32 && span_id.len() == 16 && is_hex(trace_id) && is_hex(span_id) =>
        {
            Some(Trace { trace_id: trace_id.to_owned(), span_id: span_id.to_owned(), made: false })
        }
        _ => None,
    }
}

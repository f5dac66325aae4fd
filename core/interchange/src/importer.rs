//! Makes exchanges of items: ids, roles, secrets replaced, digests and seeds. The same for every format.

use std::collections::BTreeMap;

use content::{canonical, redact::Redactor, seeds};
use exchange::{
    Body, Context, Digest, Digests, End, Exchange, Id, Imported as Origins, Lack, Request, Response, Role, Times,
    Trace, Transport,
};

use crate::{Item, ItemMessage, Roles, roles::Recent};

/// An exchange and the bytes of its bodies, which have no recipes yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The exchange.
    pub exchange: Exchange,
    /// All that is told of the request's body.
    pub request_body: Vec<u8>,
    /// All that is told of the response's body.
    pub response_body: Vec<u8>,
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
    pub fn take(&mut self, item: Item) -> Imported {
        for lack in &item.lacks {
            *self.lacks.entry(*lack).or_default() += 1;
        }
        let id = Id::of_item(&self.source, item.position);
        let times = self.times_of(&item);
        let trace = item.request.head.text_of("traceparent").and_then(trace_of);
        let role = self.role_of(id, &item, trace.as_ref(), &times);
        let Item { request, response, failure, lacks, .. } = item;
        let origins = Origins { format: self.format.to_owned(), source: self.source, lacks };
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
        Imported { exchange, request_body, response_body }
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

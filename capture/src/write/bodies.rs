//! The bodies of exchanges under way: their recipes, and their bytes for as long as digests and seeds may want them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use content::{canonical, place::Message, seeds};
use exchange::{Body, Exchange, Part, SeedPlace};

use super::{Side, gap_of_failure, notes::Wanted};
use crate::queue::Held;

/// Both bodies of an exchange.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    request: Written,
    response: Written,
}

/// What the store has of one body.
#[derive(Debug, Default)]
pub(super) struct Written {
    parts: Vec<Part>,
    /// All of its bytes so far; `None` once they are too many to be read as a whole, or the memory is wanted elsewhere.
    bytes: Kept,
    has_failed: bool,
}

#[derive(Debug)]
enum Kept {
    All { bytes: Vec<u8>, held: Vec<Held> },
    GivenUp,
}

impl Default for Kept {
    fn default() -> Self {
        Self::All { bytes: Vec::new(), held: Vec::new() }
    }
}

impl Bodies {
    pub(super) fn side(&mut self, side: Side) -> &mut Written {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    pub(super) fn has_parts(&self) -> bool {
        !self.request.parts.is_empty() || !self.response.parts.is_empty()
    }

    /// Gives up their bytes, and with them digests and seeds: the store has what was put.
    pub(super) fn let_go(&mut self) {
        self.request.bytes = Kept::GivenUp;
        self.response.bytes = Kept::GivenUp;
    }

    /// What was put for them may not be on the disk.
    pub(super) fn fail(&mut self) {
        self.request.fail();
        self.response.fail();
    }

    /// Gives the exchange its recipes, the digests and seeds of what is whole, and what is wanted of it beside; says how
    /// many bytes are lost with parts that may not be on the disk.
    pub(super) fn complete(&mut self, exchange: &mut Exchange, wanted: &Wanted) -> u64 {
        let mut lost = self.request.give_recipe(&mut exchange.request.body);
        if let Some(response) = &mut exchange.response {
            lost += self.response.give_recipe(&mut response.body);
        }
        // What reads bodies reads what anybody sent: a mistake in it may cost a digest, never the record.
        let read = catch_unwind(AssertUnwindSafe(|| self.read(exchange, wanted)));
        if read.is_err() {
            exchange.seeds.clear();
            exchange.context.annotations.clear();
        }
        lost
    }

    fn read(&self, exchange: &mut Exchange, wanted: &Wanted) {
        let (head, whole) = (&exchange.request.head, self.request.all_of(&exchange.request.body));
        let asked = whole.map(|bytes| canonical::body(head, bytes));
        if let (Some(bytes), Some(body)) = (whole, &asked) {
            let came_whole = exchange.times.request_ended_ns.is_some();
            exchange.digests.request = came_whole.then(|| canonical::request_digest(head, bytes, exchange.transport));
            exchange.seeds.extend(seeds::find(SeedPlace::Request, head, body));
        }
        let mut answered = None;
        if let Some(response) = &exchange.response
            && let Some(bytes) = self.response.all_of(&response.body)
        {
            let came_whole = exchange.end.is_complete();
            exchange.digests.response = came_whole.then(|| canonical::response_digest(&response.head, bytes));
            let body = canonical::body(&response.head, bytes);
            exchange.seeds.extend(seeds::find(SeedPlace::Response, &response.head, &body));
            answered = Some(body);
        }
        let response = exchange.response.as_ref().map(|it| Message { head: &it.head, body: answered.as_ref() });
        wanted.note(&mut exchange.context, Message { head, body: asked.as_ref() }, response);
    }
}

impl Written {
    /// The store has the next part; its bytes are kept too where there is memory for that.
    pub(super) fn add(&mut self, part: Part, part_bytes: Vec<u8>, part_held: Held, has_memory: bool) {
        self.parts.push(part);
        let Kept::All { bytes, held } = &mut self.bytes else { return };
        let is_too_long = (bytes.len() + part_bytes.len()) as u64 > canonical::BODY_BYTES_MAX;
        if is_too_long || !has_memory {
            self.bytes = Kept::GivenUp;
        } else if bytes.is_empty() {
            *bytes = part_bytes;
            held.push(part_held);
        } else {
            bytes.extend_from_slice(&part_bytes);
            held.push(part_held);
        }
    }

    /// The store does not have the next part: the body ends before it.
    pub(super) fn fail(&mut self) {
        self.has_failed = true;
        self.bytes = Kept::GivenUp;
    }

    fn give_recipe(&mut self, body: &mut Body) -> u64 {
        let mut lost = 0;
        if self.has_failed {
            lost = self.parts.drain(..).map(|part| part.len()).sum();
            body.gap = gap_of_failure(body.gap);
        }
        body.parts = std::mem::take(&mut self.parts);
        lost
    }

    /// The body's bytes where all that passed are here.
    fn all_of(&self, body: &Body) -> Option<&[u8]> {
        match &self.bytes {
            Kept::All { bytes, .. } if body.gap.is_none() && bytes.len() as u64 == body.len => Some(bytes),
            _ => None,
        }
    }
}

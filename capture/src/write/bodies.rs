//! The bodies of exchanges under way: their bytes until the exchange has ended, and where there is no room for that, what
//! the store has of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use bundle::{PIECE_BYTES_MAX, WriteError, Writer};
use content::{canonical, place::Message, seeds};
use exchange::{Body, Exchange, Part, SeedPlace};

use super::{Side, gap_of_failure, notes::Wanted, output::Output};
use crate::queue::Held;

/// Both bodies of an exchange.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    request: Written,
    response: Written,
}

/// What there is of one body.
#[derive(Debug, Default)]
pub(super) struct Written {
    kept: Kept,
    /// What the store has of a body whose bytes were given up, and the file that has it.
    parts: Vec<Part>,
    file: PathBuf,
    has_failed: bool,
}

/// All of a body's bytes so far, unless they are too many to be read as a whole, or the memory is wanted elsewhere.
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

    /// True where the store has parts of them: another file would not do for the rest.
    pub(super) fn has_parts(&self) -> bool {
        !self.request.parts.is_empty() || !self.response.parts.is_empty()
    }

    /// Gives up their bytes, and with them digests, seeds, and what their structure would save. Says how many bytes are lost.
    pub(super) fn let_go(&mut self, output: &mut Output) -> u64 {
        self.request.let_go(output) + self.response.let_go(output)
    }

    /// Gives the exchange the digests and seeds of what is whole, and what is wanted of it beside.
    pub(super) fn describe(&self, exchange: &mut Exchange, wanted: &Wanted) {
        // What reads bodies reads what anybody sent: a mistake in it may cost a digest, never the record.
        let read = catch_unwind(AssertUnwindSafe(|| self.read(exchange, wanted)));
        if read.is_err() {
            exchange.seeds.clear();
            exchange.context.annotations.clear();
        }
    }

    /// Puts what is kept, and gives the exchange its parts; says how many bytes are lost with parts that are not in the
    /// writer's file.
    pub(super) fn put(&self, writer: &mut Writer, exchange: &mut Exchange) -> Result<u64, WriteError> {
        let mut lost = self.request.put(writer, &mut exchange.request.body)?;
        if let Some(response) = &mut exchange.response {
            lost += self.response.put(writer, &mut response.body)?;
        }
        Ok(lost)
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
        let Exchange { context, seeds, .. } = exchange;
        wanted.note(context, seeds, Message { head, body: asked.as_ref() }, response);
    }
}

impl Written {
    /// Takes the next bytes, to be kept where there is memory for that. Says how many bytes are lost.
    pub(super) fn add(&mut self, part: Vec<u8>, part_held: Held, has_memory: bool, output: &mut Output) -> u64 {
        let Kept::All { bytes, held } = &mut self.kept else { return self.put_now(&part, output) };
        if bytes.is_empty() {
            *bytes = part;
        } else {
            bytes.extend_from_slice(&part);
        }
        held.push(part_held);
        let is_too_long = bytes.len() as u64 > canonical::BODY_BYTES_MAX;
        if is_too_long || !has_memory { self.let_go(output) } else { 0 }
    }

    fn let_go(&mut self, output: &mut Output) -> u64 {
        match std::mem::replace(&mut self.kept, Kept::GivenUp) {
            // What it held is let go with it, once the store has the bytes.
            Kept::All { bytes, held: _held } => self.put_now(&bytes, output),
            Kept::GivenUp => 0,
        }
    }

    /// Puts bytes of a body that is not kept.
    fn put_now(&mut self, bytes: &[u8], output: &mut Output) -> u64 {
        let mut lost = 0;
        for piece in bytes.chunks(PIECE_BYTES_MAX) {
            let put = output.put(|writer| Ok((writer.put_piece(piece)?, writer.path().to_owned())));
            match put.filter(|_| !self.has_failed) {
                Some((part, file)) => {
                    if self.file != file {
                        // What the file before has of it cannot be referred to from here.
                        self.has_failed = !self.parts.is_empty();
                        self.file = file;
                    }
                    self.parts.push(part);
                }
                None => {
                    self.has_failed = true;
                    lost += piece.len() as u64;
                }
            }
        }
        lost
    }

    fn put(&self, writer: &mut Writer, body: &mut Body) -> Result<u64, WriteError> {
        let Kept::All { bytes, .. } = &self.kept else {
            let is_here = !self.has_failed && self.file == writer.path();
            body.parts = if is_here { self.parts.clone() } else { Vec::new() };
            body.gap = if is_here { body.gap } else { gap_of_failure(body.gap) };
            return Ok(if is_here { 0 } else { self.parts.iter().map(|part| part.len).sum() });
        };
        body.parts = writer.put_body_bytes(bytes)?;
        Ok(0)
    }

    /// The body's bytes where all that passed are here.
    fn all_of(&self, body: &Body) -> Option<&[u8]> {
        match &self.kept {
            Kept::All { bytes, .. } if body.gap.is_none() && bytes.len() as u64 == body.len => Some(bytes),
            _ => None,
        }
    }
}

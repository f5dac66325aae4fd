//! One body in the making: how much of it is kept, and when each piece of it passed.
//!
//! Bodies are kept as they are. The bytes of a raw stream may hold heads that nobody could read for sure: credentials in
//! their lines are replaced here, line by line, before anything of a line leaves for the queue. What a client says to a
//! dependency that is no HTTP is listened to by [`Spoken`], which knows where the protocols have their credentials.

use std::sync::{Arc, atomic::Ordering, mpsc::Sender};

use content::redact::{
    Redactor,
    spoken::{Released, Spoken},
};
use exchange::{Body, Chunk, Gap, Head, Redaction};

use super::Recorder;
use crate::queue::{Held, Item, Losses, Side};

/// Longest part that goes to the queue at once: what a body whose bytes are not kept as a whole becomes is as long.
const PART_BYTES: usize = bundle::PIECE_BYTES_MAX;

/// Length from which a part goes to the queue when memory becomes short: many streams that rest must not hold a part each
/// while nothing else can be recorded. A choice.
const EARLY_PART_BYTES: usize = 64 << 10;

/// Most chunks listed of one body; beyond, every other one is left out. Two lists this long count as
/// 1.3 MB at most, which leaves more than half of `bundle::RECORD_BYTES_MAX` to the heads. A choice.
const CHUNKS_MAX: usize = 32_768;

/// What one chunk of a list costs the budget, in bytes.
const CHUNK_COST: usize = size_of::<Chunk>();

/// Longest line of a raw stream that is searched for credentials as one, in bytes; a longer one is searched in pieces. A choice:
/// servers refuse field lines beyond 8 to 64 KiB.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Where credentials are looked for.
enum Search {
    /// Nowhere: in a body.
    None,
    /// In lines, as a head has them: in a raw stream.
    Lines,
    /// Where the protocol has them.
    Spoken(Box<Spoken>),
}

/// One body in the making.
pub(super) struct Gathering {
    side: Side,
    sequence: u64,
    pub(super) body: Body,
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
    redactor: Arc<Redactor>,
    search: Search,
    /// True where it has to be known when each byte was read: in what is no HTTP, that alone tells what answers what.
    needs_times: bool,
    /// True where nothing more is to be kept.
    is_cut: bool,
    /// The line that has not ended.
    line: Vec<u8>,
    redactions: Vec<Redaction>,
    has_sent_parts: bool,
}

impl Gathering {
    pub(super) fn new(side: Side, sequence: u64, recorder: &Recorder) -> Self {
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
            redactor: recorder.redactor.clone(),
            search: Search::None,
            needs_times: false,
            is_cut: false,
            line: Vec::new(),
            redactions: Vec::new(),
            has_sent_parts: false,
        }
    }

    /// Takes what one read delivered.
    pub(super) fn take(&mut self, payload: &[u8], at_ns: u64) {
        if payload.is_empty() {
            return;
        }
        let is_timed = self.list_chunk(at_ns);
        if self.is_cut || self.needs_times && !is_timed {
            self.body.gap.get_or_insert(Gap::OverLimit);
        }
        self.body.len += payload.len() as u64;
        let kept = self.keep(payload);
        self.losses.lose_bytes((payload.len() - kept) as u64);
    }

    /// Lists the chunk, unless the list is so long that only some are listed: the others belong to the one before them. True
    /// when it is listed.
    fn list_chunk(&mut self, at_ns: u64) -> bool {
        if self.body.chunks.len() >= CHUNKS_MAX {
            if self.needs_times {
                return false;
            }
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
            return true;
        }
        false
    }

    /// Keeps as much of the payload as may be kept; how much that is.
    fn keep(&mut self, payload: &[u8]) -> usize {
        if self.body.gap.is_some() {
            return 0;
        }
        let room = usize::try_from(self.body_bytes_max.saturating_sub(self.kept_len)).unwrap_or(usize::MAX);
        let wanted = payload.len().min(room);
        if !self.part_held.grow_for_body(wanted) {
            let store_fails = self.losses.store_fails.load(Ordering::Relaxed);
            self.body.gap = Some(if store_fails { Gap::StoreFailed } else { Gap::QueueFull });
            return 0;
        }
        if wanted < payload.len() {
            self.body.gap = Some(Gap::OverLimit);
        }
        self.kept_len += wanted as u64;
        match &mut self.search {
            Search::None => self.append(&payload[..wanted]),
            Search::Lines => self.append_lines(&payload[..wanted]),
            Search::Spoken(spoken) => {
                let released = spoken.hear(&payload[..wanted]);
                self.append_spoken(released);
            }
        }
        wanted
    }

    /// From now on the bytes are those of a raw stream.
    pub(super) fn redact_lines(&mut self) {
        self.search = Search::Lines;
    }

    /// From now on the bytes are what a client says to a dependency that is no HTTP.
    pub(super) fn redact_spoken(&mut self) {
        self.search = Search::Spoken(Box::default());
        self.needs_times = true;
    }

    /// From now on the bytes are what a dependency says that is no HTTP.
    pub(super) fn keep_times(&mut self) {
        self.needs_times = true;
    }

    /// True when what comes is not kept, because more came than is kept of one connection.
    pub(super) fn is_cut(&self) -> bool {
        self.is_cut || self.body.gap == Some(Gap::OverLimit)
    }

    /// From now on nothing is kept. What is not cut here had no gap, and has none until more comes.
    pub(super) fn cut(&mut self) {
        self.is_cut = true;
    }

    /// True when what the client says is encrypted, as far as it was listened to.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(&self.search, Search::Spoken(spoken) if spoken.is_encrypted())
    }

    /// Appends what was said with its credentials replaced, which changes no length.
    fn append_spoken(&mut self, released: Released) {
        let Released { mut bytes, secrets } = released;
        for secret in secrets {
            let pseudonym = self.redactor.pseudonym(&bytes[secret.range.clone()]);
            bytes[secret.range].copy_from_slice(&pseudonym);
            self.redactions.push(Redaction { place: format!("request stream {}", secret.place), count: 1 });
        }
        self.append(&bytes);
    }

    fn append_lines(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(is_line_end) {
            if self.line_ends_before(piece[0]) || self.line.len() >= LINE_BYTES_MAX {
                self.append_line();
            }
            self.line.extend_from_slice(piece);
        }
    }

    /// True when the line is whole if this byte comes next: white space would continue its field.
    fn line_ends_before(&self, next: u8) -> bool {
        let ends_crlf = self.line.last() == Some(&b'\r') && next == b'\n';
        self.line.last().is_some_and(is_line_end) && !ends_crlf && !matches!(next, b' ' | b'\t')
    }

    /// Appends the line with its credentials replaced, which changes no length.
    fn append_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let (line, found) = redact_line(&self.redactor, self.side, line);
        self.redactions.extend(found);
        self.append(&line);
    }

    fn append(&mut self, mut rest: &[u8]) {
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PART_BYTES - self.part.len()));
            self.part.extend_from_slice(now);
            rest = later;
            let is_wanted = self.part.len() >= EARLY_PART_BYTES && self.part_held.budget().is_filling();
            if self.part.len() == PART_BYTES || is_wanted {
                self.send_part(false);
            }
        }
    }

    fn send_part(&mut self, is_last: bool) {
        let mut bytes = std::mem::take(&mut self.part);
        // It may wait for long, and is accounted for by its length.
        bytes.shrink_to_fit();
        self.has_sent_parts = true;
        let held = self.part_held.split(bytes.len());
        // As above: nobody reads the queue any more only when the capture is over.
        self.queue.send(Item::Part { sequence: self.sequence, side: self.side, bytes, held, is_last }).ok();
    }

    /// The body; the writer has its parts.
    pub(super) fn finish(&mut self) -> Body {
        self.append_line();
        if let Search::Spoken(spoken) = &mut self.search {
            let released = spoken.flush();
            self.append_spoken(released);
        }
        if !self.part.is_empty() {
            self.send_part(true);
        }
        std::mem::take(&mut self.body)
    }

    /// True when the writer knows of this body.
    pub(super) fn has_sent_parts(&self) -> bool {
        self.has_sent_parts
    }

    /// What was replaced in its lines.
    pub(super) fn take_redactions(&mut self) -> Vec<Redaction> {
        std::mem::take(&mut self.redactions)
    }

    /// What its list of chunks takes of the budget, for as long as there is the list.
    pub(super) fn take_chunks_held(&mut self) -> Held {
        self.chunks_held.split(usize::MAX)
    }
}

/// Some servers end a line at a carriage return alone: what stands behind one is a line of its own.
fn is_line_end(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Replaces what is a credential in a line of a head: in a field by its name, elsewhere as in a first line, and by its form.
fn redact_line(redactor: &Redactor, side: Side, mut line: Vec<u8>) -> (Vec<u8>, Vec<Redaction>) {
    let is_field = line.iter().find(|byte| matches!(byte, b':' | b' ')) == Some(&b':');
    let redactions = match (is_field, side) {
        (true, Side::Request) => redactor.request_trailers(&mut line),
        (true, Side::Response) => redactor.response_trailers(&mut line),
        (false, _) => {
            let mut head = Head::new(line);
            let redactions = match side {
                Side::Request => redactor.request_head(&mut head),
                Side::Response => redactor.response_head(&mut head),
            };
            line = head.bytes;
            redactions
        }
    };
    (line, redactions.into_iter().map(|redaction| in_stream(redaction, side)).collect())
}

/// The place of a redaction in a line, as one of the stream that the line is in.
fn in_stream(redaction: Redaction, side: Side) -> Redaction {
    let (whose, trailer, stream) = match side {
        Side::Request => ("request ", "request trailer ", "request stream "),
        Side::Response => ("response ", "response trailer ", "response stream "),
    };
    let place = &redaction.place;
    let within = place.strip_prefix(trailer).or_else(|| place.strip_prefix(whose)).unwrap_or(place);
    Redaction { place: format!("{stream}{within}"), ..redaction }
}

#[cfg(test)]
mod tests {
    use content::redact::Extra;

    use super::*;

    fn redacted(line: &[u8], side: Side) -> (Vec<u8>, Vec<String>) {
        let redactor = Redactor::new([1; 32], &Extra::default());
        let (line, redactions) = redact_line(&redactor, side, line.to_vec());
        (line, redactions.into_iter().map(|redaction| redaction.place).collect())
    }

    #[test]
    fn a_line_of_a_raw_stream_loses_its_credentials_and_no_byte() {
        for (line, side, place) in [
            (&b"authorization: Bearer abcdefgh\r\n"[..], Side::Request, "request stream header:authorization"),
            (b"X-Api-Key: abcdefgh\r", Side::Request, "request stream header:x-api-key"),
            (b"Cookie: a=\n abcdefgh\n", Side::Request, "request stream header:cookie"),
            (b"GET /?api_key=abcdefgh\r\n", Side::Request, "request stream query:api_key"),
            (b"Set-Cookie: a=abcdefgh; Path=/", Side::Response, "response stream header:set-cookie"),
        ] {
            let (now, places) = redacted(line, side);
            assert_eq!((now.len(), places), (line.len(), vec![place.to_owned()]));
            assert!(!String::from_utf8(now).unwrap().contains("abcdefgh"), "{place}");
        }
        let binary = [0x16, 3, 1, b':', 0xff, b'\n'];
        assert_eq!(redacted(&binary, Side::Request), (binary.to_vec(), Vec::new()));
    }
}

//! One body in the making: how much of it is kept, and when each piece of it passed.

use std::sync::{Arc, atomic::Ordering, mpsc::Sender};

use exchange::{Body, Chunk, Gap};

use super::Recorder;
use crate::queue::{Held, Item, Losses, Side};

/// Longest part that goes to the queue at once: a blob's length, so that equal bodies are cut alike and kept once.
const PART_BYTES: usize = bundle::BLOB_BYTES_MAX;

/// Most chunks listed of one body; beyond, every other one is left out. Two lists this long with offsets and times of twelve
/// digits come to 1.8 MB of JSON, which leaves more than half of `bundle::RECORD_BYTES_MAX` to the heads. A choice.
const CHUNKS_MAX: usize = 32_768;

/// What one chunk of a list costs the budget, in bytes.
const CHUNK_COST: usize = size_of::<Chunk>();

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
        }
    }

    /// Takes what one read delivered.
    pub(super) fn take(&mut self, payload: &[u8], at_ns: u64) {
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

    pub(super) fn finish(&mut self) -> Body {
        if !self.part.is_empty() {
            self.send_part();
        }
        std::mem::take(&mut self.body)
    }
}

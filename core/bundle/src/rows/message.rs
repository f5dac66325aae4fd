//! Request and response by columns: head, parts of the body, chunks.

use exchange::{Body, Chunk, Head, Part};

use crate::columns::{Column, Columns, Reading};

/// Chunks or parts of one body at most.
const ITEMS_MAX: u64 = 1 << 19;

/// The columns of one side.
pub(super) struct Side {
    head_len: Column,
    heads: Column,
    parts: Column,
    pieces: Column,
    part_len: Column,
    len: Column,
    chunks: Column,
    chunk_len: [Column; 2],
    chunk_time: [Column; 2],
}

/// What was asked.
pub(super) const REQUEST: Side = Side {
    head_len: Column::RequestHead,
    heads: Column::RequestHeads,
    parts: Column::RequestParts,
    pieces: Column::RequestPieces,
    part_len: Column::RequestPartLen,
    len: Column::RequestLen,
    chunks: Column::RequestChunks,
    chunk_len: [Column::RequestChunkLen, Column::RequestChunkLenHigh],
    chunk_time: [Column::RequestChunkTime, Column::RequestChunkTimeHigh],
};

/// What came back.
pub(super) const RESPONSE: Side = Side {
    head_len: Column::ResponseHead,
    heads: Column::ResponseHeads,
    parts: Column::ResponseParts,
    pieces: Column::ResponsePieces,
    part_len: Column::ResponsePartLen,
    len: Column::ResponseLen,
    chunks: Column::ResponseChunks,
    chunk_len: [Column::ResponseChunkLen, Column::ResponseChunkLenHigh],
    chunk_time: [Column::ResponseChunkTime, Column::ResponseChunkTimeHigh],
};

impl Side {
    /// Puts a head, or that there is no such message.
    pub(super) fn put_head(&self, columns: &mut Columns, head: Option<&Head>) {
        columns.put(self.head_len, head.map_or(0, |head| head.bytes.len() as u64 + 1));
        columns.put_bytes(self.heads, head.map(|head| &head.bytes[..]).unwrap_or_default());
    }

    /// Puts a body. Its first chunk's time is written as from `base_ns`, in units of `unit_ns`.
    pub(super) fn put_body(
        &self,
        columns: &mut Columns,
        body: &Body,
        last_piece: &mut u32,
        base_ns: u64,
        unit_ns: u64,
    ) {
        columns.put(self.parts, body.parts.len() as u64);
        for part in &body.parts {
            columns.put_from(self.pieces, u64::from(*last_piece), u64::from(part.piece));
            columns.put(self.part_len, part.len);
            *last_piece = part.piece;
        }
        columns.put_from(self.len, body.kept_len(), body.len);
        columns.put(self.chunks, body.chunks.len() as u64);
        let mut last = Chunk { offset: 0, at_ns: base_ns };
        for chunk in &body.chunks {
            columns.put_split_from(self.chunk_len, last.offset, chunk.offset);
            columns.put_split_from(self.chunk_time, last.at_ns / unit_ns, chunk.at_ns / unit_ns);
            last = *chunk;
        }
    }
}

/// Where a message stands in its block, and what is needed to read it from there.
pub(super) struct Message {
    head: (usize, usize),
    parts: u64,
    pieces_at: usize,
    part_len_at: usize,
    /// The piece before its first.
    last_piece: u32,
    /// How much longer the body is than its parts, wrapping.
    longer: u64,
    chunks: u64,
    chunk_len_at: [usize; 2],
    chunk_time_at: [usize; 2],
}

impl Message {
    /// Takes one; `None` where there is none.
    pub(super) fn take(reading: &mut Reading<'_>, side: &Side, last_piece: &mut u32) -> Result<Option<Self>, String> {
        let Some(head_len) = reading.take(side.head_len)?.checked_sub(1) else { return Ok(None) };
        let head = (reading.at(side.heads), reading.take_bytes(side.heads, head_len)?.len());
        let mut message = Self {
            head,
            parts: reading.take(side.parts)?,
            pieces_at: reading.at(side.pieces),
            part_len_at: reading.at(side.part_len),
            last_piece: *last_piece,
            longer: 0,
            chunks: 0,
            chunk_len_at: side.chunk_len.map(|column| reading.at(column)),
            chunk_time_at: side.chunk_time.map(|column| reading.at(column)),
        };
        for _ in 0..message.parts {
            *last_piece = piece_after(*last_piece, reading, side)?;
            reading.take(side.part_len)?;
        }
        message.longer = reading.take_from(side.len, 0)?;
        message.chunks = reading.take(side.chunks)?;
        for _ in 0..message.chunks {
            reading.take_split_from(side.chunk_len, 0)?;
            reading.take_split_from(side.chunk_time, 0)?;
        }
        if message.parts > ITEMS_MAX || message.chunks > ITEMS_MAX {
            return Err(format!("a body has more than {ITEMS_MAX} parts or chunks"));
        }
        Ok(Some(message))
    }

    /// Head and body. `raw` is what it was taken from.
    pub(super) fn read(&self, raw: &[u8], side: &Side, base_ns: u64, unit_ns: u64) -> Result<(Head, Body), String> {
        let (head_at, head_len) = self.head;
        let head = Head::new(&raw[head_at..head_at + head_len]);
        let mut reading = Reading::nothing_of(raw)
            .with(side.pieces, self.pieces_at)
            .with(side.part_len, self.part_len_at)
            .with(side.chunk_len[0], self.chunk_len_at[0])
            .with(side.chunk_len[1], self.chunk_len_at[1])
            .with(side.chunk_time[0], self.chunk_time_at[0])
            .with(side.chunk_time[1], self.chunk_time_at[1]);
        let mut body = Body::default();
        let mut piece = self.last_piece;
        for _ in 0..self.parts {
            piece = piece_after(piece, &mut reading, side)?;
            body.parts.push(Part { file: 0, piece, len: reading.take(side.part_len)? });
        }
        body.len = body.kept_len().wrapping_add(self.longer);
        let mut last = Chunk { offset: 0, at_ns: base_ns };
        for _ in 0..self.chunks {
            last.offset = reading.take_split_from(side.chunk_len, last.offset)?;
            last.at_ns = reading.take_split_from(side.chunk_time, last.at_ns / unit_ns)?.wrapping_mul(unit_ns);
            body.chunks.push(last);
        }
        Ok((head, body))
    }
}

fn piece_after(last: u32, reading: &mut Reading<'_>, side: &Side) -> Result<u32, String> {
    let piece = reading.take_from(side.pieces, u64::from(last))?;
    u32::try_from(piece).map_err(|_| "a body has a piece that no file can have".to_owned())
}

//! One block: a header in a skippable frame, then one zstd frame.
//!
//! In: the bytes of a block before compression. Out: header and frame, and those bytes again, capped: a frame never gets
//! more memory than it fills, nor more than its header said.

use std::io::{self, Read};

use exchange::Digest;
use zstd::{
    bulk::Compressor,
    stream::read::Decoder,
    zstd_safe::{self, InBuffer, OutBuffer},
};

use crate::{
    layout::{BLOCK_BYTES_MAX, BlockHeader, LEVEL, block_kind},
    unlike,
};

/// Base-2 logarithm of the largest window a frame may ask for: that of the largest block of records.
const WINDOW_LOG_MAX: u32 = BLOCK_BYTES_MAX.ilog2();

/// What ending a block of a frame early costs, in bytes at most.
const FLUSH_BYTES_MAX: usize = 64;

/// Makes blocks, with one zstd context for all of them.
pub(crate) struct BlockMaker {
    compressor: Compressor<'static>,
}

/// A block before its place in the file is known to be taken.
pub(crate) struct RawBlock<'a> {
    /// One of `layout::block_kind`.
    pub(crate) kind: u8,
    /// Where in the file it will begin.
    pub(crate) offset: u64,
    /// Records in it.
    pub(crate) record_count: u32,
    /// Pieces in the blocks before it.
    pub(crate) first_piece: u32,
    /// What it holds.
    pub(crate) raw: &'a [u8],
    /// Where in that something else begins, which compresses better by itself: strictly forward, none at an end.
    pub(crate) cuts: &'a [usize],
}

impl BlockMaker {
    /// A maker of blocks.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { compressor: Compressor::new(LEVEL)? })
    }

    /// Header and frame of a block.
    pub(crate) fn make(&mut self, block: &RawBlock<'_>) -> io::Result<Vec<u8>> {
        let frame = match block.cuts {
            [] if block.kind == block_kind::RECORDS => self.compress_records(block.raw)?,
            [] => self.compressor.compress(block.raw)?,
            cuts => self.compress_between(block.raw, cuts)?,
        };
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a block is longer than 4 GiB");
        let header = BlockHeader {
            kind: block.kind,
            compressed_len: u32::try_from(frame.len()).map_err(too_long)?,
            raw_len: u32::try_from(block.raw.len()).map_err(too_long)?,
            record_count: block.record_count,
            first_piece: block.first_piece,
            offset: block.offset,
            frame: Digest::of(&frame),
        };
        let mut bytes = header.to_bytes();
        bytes.extend_from_slice(&frame);
        Ok(bytes)
    }

    /// The frame of records, cut where they are unlike if that makes it shorter. What shrinks to half as it is, which most
    /// does, is not looked at again.
    fn compress_records(&mut self, raw: &[u8]) -> io::Result<Vec<u8>> {
        let frame = self.compressor.compress(raw)?;
        if frame.len() <= raw.len() / 2 {
            return Ok(frame);
        }
        let cuts = unlike::cuts(raw);
        if cuts.is_empty() {
            return Ok(frame);
        }
        let cut = self.compress_between(raw, &cuts)?;
        Ok(if cut.len() < frame.len() { cut } else { frame })
    }

    /// One frame whose blocks end at the cuts: each begins with tables of its own, and all see what came before.
    fn compress_between(&mut self, raw: &[u8], cuts: &[usize]) -> io::Result<Vec<u8>> {
        let refused = |code| io::Error::other(zstd_safe::get_error_name(code));
        let context = self.compressor.context_mut();
        context.set_pledged_src_size(Some(raw.len() as u64)).map_err(refused)?;
        let mut frame = Vec::with_capacity(zstd_safe::compress_bound(raw.len()) + FLUSH_BYTES_MAX * (cuts.len() + 1));
        let mut output = OutBuffer::around(&mut frame);
        let mut from = 0;
        for &to in cuts.iter().chain([&raw.len()]) {
            let mut input = InBuffer::around(&raw[from..to]);
            while input.pos < input.src.len() {
                context.compress_stream(&mut output, &mut input).map_err(refused)?;
            }
            while context.flush_stream(&mut output).map_err(refused)? > 0 {}
            from = to;
        }
        while context.end_stream(&mut output).map_err(refused)? > 0 {}
        Ok(frame)
    }
}

/// What the frame of a block holds, or what is wrong with it. The header has been checked, the frame has not.
pub(crate) fn open_frame(header: &BlockHeader, frame: &[u8]) -> Result<Vec<u8>, String> {
    if Digest::of(frame) != header.frame {
        return Err("the block is not what was written".to_owned());
    }
    decompress(frame, header.raw_len as usize).map_err(|error| format!("the block's zstd frame: {error}"))
}

/// The `raw_len` bytes that `frame` holds; any other length is an error.
fn decompress(frame: &[u8], raw_len: usize) -> io::Result<Vec<u8>> {
    let mut decoder = Decoder::with_buffer(frame)?.single_frame();
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    let mut raw = Vec::with_capacity(raw_len.min(BLOCK_BYTES_MAX));
    decoder.by_ref().take(raw_len as u64 + 1).read_to_end(&mut raw)?;
    if raw.len() != raw_len || !decoder.finish().is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it does not hold exactly {raw_len} bytes")));
    }
    Ok(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::HEADER_LEN;

    fn made(raw: &[u8], cuts: &[usize]) -> (BlockHeader, Vec<u8>) {
        let block = RawBlock { kind: block_kind::RECORDS, offset: 40, record_count: 0, first_piece: 0, raw, cuts };
        let bytes = BlockMaker::new().unwrap().make(&block).unwrap();
        let (header, frame) = bytes.split_at(HEADER_LEN as usize);
        (BlockHeader::read(header, 40).unwrap(), frame.to_vec())
    }

    #[test]
    fn a_block_is_read_back_and_an_empty_one_too() {
        for raw in [&b""[..], b"x", &vec![7; BLOCK_BYTES_MAX]] {
            let (header, frame) = made(raw, &[]);
            assert_eq!(open_frame(&header, &frame).unwrap(), raw);
        }
    }

    #[test]
    fn unlike_things_are_one_frame_and_smaller_by_themselves() {
        let digits: Vec<u8> = (0..4000_u32).map(|it| b'0' + (it.wrapping_mul(2_654_435_761) >> 28) as u8).collect();
        let noise = crate::sample::noise(1, 8000);
        let raw = [&digits[..], &noise, &digits, &noise].concat();
        let cuts = [4000, 12_000, 16_000];
        let (header, frame) = made(&raw, &cuts);
        assert_eq!(open_frame(&header, &frame).unwrap(), raw);
        assert!(frame.len() < made(&raw, &[]).1.len());
        let bare = zstd_safe::compress_bound(noise.len());
        assert!(made(&noise, &[1000, 2000, 3000]).1.len() <= bare);
    }

    #[test]
    fn an_index_larger_than_a_block_of_records_is_read_back() {
        let raw: Vec<u8> = (0..3_000_000_u64).flat_map(|number| (number * number).to_le_bytes()).collect();
        let kind = block_kind::INDEX;
        let block = RawBlock { kind, offset: 40, record_count: 0, first_piece: 0, raw: &raw, cuts: &[] };
        let bytes = BlockMaker::new().unwrap().make(&block).unwrap();
        let header = BlockHeader::read(&bytes, 40).unwrap();
        assert!(open_frame(&header, &bytes[HEADER_LEN as usize..]).unwrap() == raw);
    }

    #[test]
    fn a_frame_of_another_length_than_the_header_says_is_refused() {
        let (header, frame) = made(&[7; 1000], &[]);
        for raw_len in [0, 999, 1001, BLOCK_BYTES_MAX as u32] {
            assert!(open_frame(&BlockHeader { raw_len, ..header }, &frame).is_err(), "{raw_len}");
        }
        let two = [&frame[..], &frame[..]].concat();
        let header = BlockHeader { raw_len: 1000, frame: Digest::of(&two), ..header };
        assert!(open_frame(&header, &two).is_err());
    }
}

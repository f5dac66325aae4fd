//! The decoders as readers that tell a whole body from one cut short.
//!
//! `UnexpectedEof` always means that the coded bytes end before the coding does; flate2's and brotli's own readers
//! answer that with a silent end, so these drive the decoders themselves.

use std::io::{self, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status, bufread::GzDecoder};

/// Members that one gzip body may have: each costs its decoder's state anew. A choice; concatenated logs have dozens.
const GZIP_MEMBERS_MAX: usize = 4096;

/// What every member begins with (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Largest zstd window, as a power of two: 8 MiB, what RFC 9659 allows for a content coding.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Gives each member of a gzip body to `take`, which reads it to its end.
pub(super) fn gzip_members(coded: &[u8], mut take: impl FnMut(&mut dyn Read) -> io::Result<()>) -> io::Result<()> {
    let mut rest = coded;
    for _ in 0..GZIP_MEMBERS_MAX {
        let mut member = GzDecoder::new(rest);
        take(&mut member)?;
        rest = member.into_inner();
        if !rest.starts_with(&GZIP_MAGIC[..rest.len().min(2)]) || rest.is_empty() {
            return nothing_follows(rest).map(drop);
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("more than {GZIP_MEMBERS_MAX} gzip members")))
}

/// A reader of one or more zstd frames.
pub(super) fn zstd_reader(coded: &[u8]) -> io::Result<impl Read> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(coded)?;
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(reader)
}

/// A reader of one deflate stream, with or without its zlib wrapper.
pub(super) struct DeflateReader<'a> {
    rest: &'a [u8],
    decoder: Decompress,
    is_at_end: bool,
}

impl<'a> DeflateReader<'a> {
    pub(super) fn new(coded: &'a [u8]) -> Self {
        Self { rest: coded, decoder: Decompress::new(has_zlib_header(coded)), is_at_end: false }
    }
}

/// RFC 1950, section 2.2: method 8, a window of at most 32 KiB, and a checksum that makes both bytes a multiple of 31.
fn has_zlib_header(coded: &[u8]) -> bool {
    let [method, flags, ..] = coded else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31)
}

impl Read for DeflateReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.is_at_end {
            let (in_before, out_before) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self.decoder.decompress(self.rest, buffer, FlushDecompress::None).map_err(io::Error::other)?;
            let consumed = (self.decoder.total_in() - in_before) as usize;
            let written = (self.decoder.total_out() - out_before) as usize;
            self.rest = &self.rest[consumed..];
            self.is_at_end = status == Status::StreamEnd;
            if written > 0 {
                return Ok(written);
            }
            if !self.is_at_end && consumed == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        nothing_follows(self.rest)
    }
}

/// A reader of one brotli stream (RFC 7932, without the large windows that are no part of it).
pub(super) struct BrotliReader<'a> {
    rest: &'a [u8],
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    is_at_end: bool,
}

impl<'a> BrotliReader<'a> {
    pub(super) fn new(coded: &'a [u8]) -> Self {
        let allocator = StandardAlloc::default;
        Self { rest: coded, state: BrotliState::new_strict(allocator(), allocator(), allocator()), is_at_end: false }
    }
}

impl Read for BrotliReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end {
            return nothing_follows(self.rest);
        }
        let (mut in_left, mut consumed) = (self.rest.len(), 0);
        let (mut out_left, mut written, mut total) = (buffer.len(), 0, 0);
        let result = BrotliDecompressStream(
            &mut in_left,
            &mut consumed,
            self.rest,
            &mut out_left,
            &mut written,
            buffer,
            &mut total,
            &mut self.state,
        );
        self.rest = &self.rest[consumed..];
        self.is_at_end = matches!(result, BrotliResult::ResultSuccess);
        match result {
            BrotliResult::ResultFailure => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("{:?}", self.state.error_code)))
            }
            _ if written > 0 => Ok(written),
            BrotliResult::ResultSuccess => nothing_follows(self.rest),
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The end of a coded body, where it is also the end of the bytes.
fn nothing_follows(rest: &[u8]) -> io::Result<usize> {
    if rest.is_empty() {
        return Ok(0);
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{} bytes follow its end", rest.len())))
}

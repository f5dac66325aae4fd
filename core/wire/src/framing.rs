//! Follows a body through its framing without touching a byte of it, and frames a body anew.
//!
//! In: the bytes after a head, in whatever pieces they come. Out: which of them are payload, the trailers, and where the
//! body ends (RFC 9112, sections 6 and 7). The bytes themselves are the caller's: the proxy passes them on as they are.

use crate::head::{Framing, Unclear};

/// Longest line that tells a chunk's size, extensions included, in bytes. A choice: nobody needs extensions this long.
const SIZE_LINE_BYTES_MAX: usize = 16 << 10;

/// Longest trailer section, in bytes. A choice, smaller than a head's limit because trailers are few.
const TRAILER_BYTES_MAX: usize = 64 << 10;

/// What follows the last chunk when there are no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Something that the decoder found in the bytes it was fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of the body.
    Payload(&'a [u8]),
    /// The trailer fields with their final blank line; not told when there are none.
    Trailers(&'a [u8]),
}

/// Where a body stands in its framing.
#[derive(Debug)]
pub struct FrameDecoder {
    state: State,
    /// What a line is gathered in that may come in pieces: the trailers.
    trailers: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length { left: u64 },
    UntilClose,
    Size { size: u64, digits: u32 },
    Extension { size: u64, len: usize, after_return: bool },
    Data { left: u64 },
    DataEnd { after_return: bool },
    Trailers,
    Done,
    Broken,
}

impl FrameDecoder {
    /// A decoder at the beginning of a body framed like this.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(left) => State::Length { left },
            Framing::Chunked => State::Size { size: 0, digits: 0 },
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: Vec::new() }
    }

    /// True when the body's last byte was fed.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// True when the body is whole if the stream ends here.
    pub fn may_end_here(&self) -> bool {
        matches!(self.state, State::Done | State::UntilClose)
    }

    /// True when the chunked framing is broken: where the body ends will never be known.
    pub fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Takes the next bytes, tells what is in them, and returns how many of them were understood as part of this body.
    ///
    /// All of them, but where the body ends or its framing breaks before they do.
    pub fn feed(&mut self, bytes: &[u8], mut on_piece: impl FnMut(Piece<'_>)) -> usize {
        let mut at = 0;
        while at < bytes.len() && !matches!(self.state, State::Done | State::Broken) {
            match self.step(&bytes[at..], &mut on_piece) {
                Ok(taken) => at += taken,
                Err(_) => self.state = State::Broken,
            }
        }
        at
    }

    /// One step of the state machine over bytes that are not empty; always takes at least one of them.
    fn step(&mut self, bytes: &[u8], on_piece: &mut impl FnMut(Piece<'_>)) -> Result<usize, Unclear> {
        match self.state {
            State::Done | State::Broken => Ok(0),
            State::UntilClose => {
                on_piece(Piece::Payload(bytes));
                Ok(bytes.len())
            }
            State::Length { left } => {
                let taken = take_payload(bytes, left, on_piece);
                let left = left - taken as u64;
                self.state = if left == 0 { State::Done } else { State::Length { left } };
                Ok(taken)
            }
            State::Data { left } => {
                let taken = take_payload(bytes, left, on_piece);
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataEnd { after_return: false } } else { State::Data { left } };
                Ok(taken)
            }
            State::Trailers => self.take_trailers(bytes, on_piece),
            State::Size { .. } | State::Extension { .. } | State::DataEnd { .. } => {
                self.state = after_byte(self.state, bytes[0])?;
                Ok(1)
            }
        }
    }

    /// Gathers trailer lines until the blank one.
    fn take_trailers(&mut self, bytes: &[u8], on_piece: &mut impl FnMut(Piece<'_>)) -> Result<usize, Unclear> {
        let line_len = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
        if self.trailers.len() + line_len > TRAILER_BYTES_MAX {
            return Err(Unclear::BadChunk);
        }
        self.trailers.extend_from_slice(&bytes[..line_len]);
        let gathered = self.trailers.as_slice();
        let blank = gathered == b"\r\n" || gathered == b"\n";
        if blank || gathered.ends_with(b"\n\r\n") || gathered.ends_with(b"\n\n") {
            if !blank {
                on_piece(Piece::Trailers(gathered));
            }
            self.state = State::Done;
        }
        Ok(line_len)
    }
}

fn take_payload(bytes: &[u8], left: u64, on_piece: &mut impl FnMut(Piece<'_>)) -> usize {
    let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    on_piece(Piece::Payload(&bytes[..taken]));
    taken
}

/// The state after one byte of the framing around chunks.
fn after_byte(state: State, byte: u8) -> Result<State, Unclear> {
    let after_size = |size| if size == 0 { State::Trailers } else { State::Data { left: size } };
    match (state, byte) {
        (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
            let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
            let size = size.checked_mul(16).and_then(|size| size.checked_add(digit)).ok_or(Unclear::BadChunk)?;
            Ok(State::Size {
                size,
                digits: digits.checked_add(1).filter(|&digits| digits <= 32).ok_or(Unclear::BadChunk)?,
            })
        }
        (State::Size { digits: 0, .. }, _) => Err(Unclear::BadChunk),
        (State::Size { size, .. }, b'\n') => Ok(after_size(size)),
        (State::Size { size, .. }, b'\r') => Ok(State::Extension { size, len: 0, after_return: true }),
        (State::Size { size, .. }, b';' | b' ' | b'\t') => Ok(State::Extension { size, len: 1, after_return: false }),
        (State::Extension { size, .. }, b'\n') => Ok(after_size(size)),
        (State::Extension { after_return: true, .. }, _) => Err(Unclear::BadChunk),
        (State::Extension { len: SIZE_LINE_BYTES_MAX.., .. }, _) => Err(Unclear::BadChunk),
        (State::Extension { size, len, .. }, _) => {
            Ok(State::Extension { size, len: len + 1, after_return: byte == b'\r' })
        }
        (State::DataEnd { .. }, b'\n') => Ok(State::Size { size: 0, digits: 0 }),
        (State::DataEnd { after_return: false }, b'\r') => Ok(State::DataEnd { after_return: true }),
        _ => Err(Unclear::BadChunk),
    }
}

/// Appends `payload` to `out` as one chunk. An empty payload appends nothing, because an empty chunk ends the body.
pub fn write_chunk(out: &mut Vec<u8>, payload: &[u8]) {
    if payload.is_empty() {
        return;
    }
    out.extend_from_slice(format!("{:x}\r\n", payload.len()).as_bytes());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk with `trailers`, which hold their final blank line or are empty.
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(if trailers.is_empty() { b"\r\n" } else { trailers });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Decoded {
        payload: Vec<u8>,
        trailers: Vec<u8>,
        used: usize,
        done: bool,
    }

    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<Decoded, Unclear> {
        let mut decoder = FrameDecoder::new(framing);
        let mut decoded = Decoded { payload: Vec::new(), trailers: Vec::new(), used: 0, done: false };
        for bytes in pieces {
            decoded.used += decoder.feed(bytes, |piece| match piece {
                Piece::Payload(bytes) => decoded.payload.extend_from_slice(bytes),
                Piece::Trailers(bytes) => decoded.trailers.extend_from_slice(bytes),
            });
        }
        decoded.done = decoder.is_done();
        if decoder.is_broken() { Err(Unclear::BadChunk) } else { Ok(decoded) }
    }

    /// What the decoder made of bytes that came like this: payload, trailers, bytes used, done, broken, may end.
    fn outcome(framing: Framing, pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>, usize, [bool; 3]) {
        let mut decoder = FrameDecoder::new(framing);
        let (mut payload, mut trailers, mut used) = (Vec::new(), Vec::new(), 0);
        for bytes in pieces {
            used += decoder.feed(bytes, |piece| match piece {
                Piece::Payload(bytes) => payload.extend_from_slice(bytes),
                Piece::Trailers(bytes) => trailers.extend_from_slice(bytes),
            });
        }
        (payload, trailers, used, [decoder.is_done(), decoder.is_broken(), decoder.may_end_here()])
    }

    fn split(bytes: &[u8], mut places: Vec<usize>) -> Vec<&[u8]> {
        places.retain(|&place| place < bytes.len());
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
    }

    #[test]
    fn chunks_with_extensions_and_trailers_give_their_payload_and_stop_at_the_next_message() {
        let sent = b"5;a=\"b\"\r\nhello\r\n6 \r\n world\r\n0\r\nSum: 11\r\n\r\nGET";
        let decoded = decode(Framing::Chunked, &[sent]).unwrap();
        assert_eq!(decoded.payload, b"hello world");
        assert_eq!(decoded.trailers, b"Sum: 11\r\n\r\n");
        assert_eq!((decoded.used, decoded.done), (sent.len() - 3, true));
    }

    #[test]
    fn a_length_is_counted_down_and_no_body_takes_no_byte() {
        let decoded = decode(Framing::Length(3), &[b"a", b"bcd"]).unwrap();
        assert_eq!((decoded.payload.as_slice(), decoded.used, decoded.done), (&b"abc"[..], 3, true));
        assert_eq!(decode(Framing::None, &[b"x"]).unwrap().used, 0);
    }

    #[test]
    fn a_body_cut_inside_a_chunk_may_not_end_there() {
        let mut decoder = FrameDecoder::new(Framing::Chunked);
        assert_eq!(decoder.feed(b"5\r\nhel", |_| {}), 6);
        assert!(!decoder.may_end_here());
        assert!(FrameDecoder::new(Framing::UntilClose).may_end_here());
    }

    #[test]
    fn broken_chunks_are_refused() {
        for broken in [
            "x\r\n",
            "\r\n",
            "5\r\nhelloX",
            "5\rhello",
            "-1\r\n",
            "11111111111111111\r\n",
            "0x5\r\nhello\r\n",
            "5;\r\r\nhello\r\n",
        ] {
            assert!(decode(Framing::Chunked, &[broken.as_bytes()]).is_err(), "{broken:?}");
        }
        let endless = vec![b'a'; SIZE_LINE_BYTES_MAX + 2];
        assert!(decode(Framing::Chunked, &[b"5;", &endless]).is_err());
        assert!(decode(Framing::Chunked, &[b"0\r\n", &vec![b'a'; TRAILER_BYTES_MAX + 1]]).is_err());
        assert!(decode(Framing::Chunked, &[&[b'0'; 33]]).is_err());
    }

    proptest! {
        #[test]
        fn what_was_framed_is_read_back_however_it_is_cut(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6),
            trailers in proptest::option::of("[a-z]{1,8}: [a-z]{0,8}\r\n"),
            cut in 1usize..20,
        ) {
            let trailers = trailers.map(|line| line + "\r\n").unwrap_or_default();
            let mut framed = Vec::new();
            chunks.iter().for_each(|chunk| write_chunk(&mut framed, chunk));
            write_last_chunk(&mut framed, trailers.as_bytes());
            let pieces: Vec<&[u8]> = framed.chunks(cut).collect();
            let decoded = decode(Framing::Chunked, &pieces).unwrap();
            prop_assert_eq!(decoded.payload, chunks.concat());
            prop_assert_eq!(decoded.trailers, trailers.into_bytes());
            prop_assert!(decoded.done && decoded.used == framed.len());
        }

        #[test]
        fn bytes_mean_the_same_wherever_they_are_split(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\r'), Just(b'\n'), Just(b'0'), Just(b'1'), Just(b'3'), Just(b'a'), Just(b';'), Just(b' '), any::<u8>(),
            ], 0..120),
            framing in prop_oneof![
                Just(Framing::Chunked), Just(Framing::None), Just(Framing::UntilClose), (0u64..150).prop_map(Framing::Length),
            ],
            splits in proptest::collection::vec(0usize..120, 0..8),
        ) {
            let whole = outcome(framing, &[&bytes]);
            prop_assert_eq!(&outcome(framing, &split(&bytes, splits)), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&outcome(framing, &single), &whole);
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_take_more_than_there_is(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut decoder = FrameDecoder::new(Framing::Chunked);
            let used = decoder.feed(&bytes, |_| {});
            prop_assert!(used == bytes.len() || decoder.is_done() || decoder.is_broken());
        }
    }
}

//! Takes content codings off a body.
//!
//! In: a head, for its `Content-Encoding` fields, and the body as sent. Out: the decoded body, or why there is none
//! together with as much as could be decoded. Every layer is capped, so that a bomb costs at most the cap; memory that a
//! decoder needs for itself is bounded too (windows of at most 8 MiB for zstd, 16 MiB for brotli). Bytes after the end
//! of a coded body are an error, since nobody would compare them. Encoding is left to whoever sends.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use exchange::Head;

mod reader;
#[cfg(test)]
mod tests;

use reader::{BrotliReader, DeflateReader, gzip_members, zstd_reader};

/// Codings applied one over the other that we take off; nobody sends more than two. A choice.
pub const CODINGS_MAX: usize = 8;

/// Bytes decoded at a time. A choice: the stack's friend, and large enough that calls cost nothing.
const STEP_BYTES: usize = 16 << 10;

/// Why a body could not be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A coding that this build does not know.
    #[error("content coding `{coding}` is not known")]
    Unknown {
        /// Its name, in lower case.
        coding: String,
    },
    /// More codings than [`CODINGS_MAX`].
    #[error("{count} content codings one over the other; at most {CODINGS_MAX} are taken off")]
    TooManyCodings {
        /// How many are named.
        count: usize,
    },
    /// The decoded body is longer than the cap.
    #[error("the decoded body is longer than {len_max} bytes")]
    TooLong {
        /// The cap in bytes.
        len_max: u64,
    },
    /// The coded body ends before its end.
    #[error("the `{coding}` body ends early, after {} decoded bytes", decoded.len())]
    Truncated {
        /// The coding that was not whole.
        coding: &'static str,
        /// What could be decoded, through all codings.
        decoded: Vec<u8>,
    },
    /// The coded body is damaged, or followed by something else.
    #[error("the `{coding}` body is damaged after {} decoded bytes", decoded.len())]
    Malformed {
        /// The coding that could not be read on.
        coding: &'static str,
        /// What could be decoded, through all codings.
        decoded: Vec<u8>,
        /// What the decoder says.
        #[source]
        source: io::Error,
    },
}

impl DecodeError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Unknown { .. } | Self::TooManyCodings { .. } => Some("the body is kept and compared as it was sent"),
            Self::TooLong { .. } => Some("the body is kept and compared as it was sent; raise the cap to read it"),
            Self::Truncated { .. } => Some("the connection may have been cut; see how the exchange ended"),
            Self::Malformed { .. } => None,
        }
    }

    /// What could be decoded before the coded body ended or stopped making sense.
    pub fn decoded(&self) -> Option<&[u8]> {
        match self {
            Self::Truncated { decoded, .. } | Self::Malformed { decoded, .. } => Some(decoded),
            _ => None,
        }
    }
}

/// The codings we take off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// `None` for `identity`.
    fn of_name(name: &str) -> Result<Option<Self>, DecodeError> {
        match name {
            "gzip" | "x-gzip" => Ok(Some(Self::Gzip)),
            "deflate" => Ok(Some(Self::Deflate)),
            "br" => Ok(Some(Self::Brotli)),
            "zstd" => Ok(Some(Self::Zstd)),
            "identity" => Ok(None),
            _ => Err(DecodeError::Unknown { coding: name.to_owned() }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }
}

/// The body without its content codings; borrowed where it has none.
///
/// An empty body is empty, whatever coding is announced (an answer to HEAD, a 304). `deflate` is read with and without
/// its zlib wrapper, as servers send both.
///
/// # Errors
/// When a coding is unknown, when any layer decodes to more than `len_max` bytes, when the coded bytes end early, are
/// damaged or are followed by others. The last three kinds carry what was decoded.
pub fn decode<'a>(head: &Head, body: &'a [u8], len_max: u64) -> Result<Cow<'a, [u8]>, DecodeError> {
    let codings = codings(head)?;
    if body.is_empty() || codings.is_empty() {
        return Ok(Cow::Borrowed(body));
    }
    let mut decoded = Cow::Borrowed(body);
    let mut broken: Option<(Coding, io::Error)> = None;
    for coding in codings.into_iter().rev() {
        let (layer, end) = decode_layer(coding, &decoded, len_max)?;
        // What an outer layer lost also cuts the inner ones: the outermost break is the one to name.
        broken = broken.or(end.err().map(|error| (coding, error)));
        decoded = Cow::Owned(layer);
    }
    match broken {
        None => Ok(decoded),
        Some((coding, error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(DecodeError::Truncated { coding: coding.name(), decoded: decoded.into_owned() })
        }
        Some((coding, source)) => {
            Err(DecodeError::Malformed { coding: coding.name(), decoded: decoded.into_owned(), source })
        }
    }
}

/// The codings in the order they were applied, `identity` left out.
fn codings(head: &Head) -> Result<Vec<Coding>, DecodeError> {
    let names: Vec<String> = head
        .fields()
        .filter(|field| field.is("content-encoding"))
        .flat_map(|field| field.value.split(|&byte| byte == b','))
        .map(|name| String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase())
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > CODINGS_MAX {
        return Err(DecodeError::TooManyCodings { count: names.len() });
    }
    names.iter().filter_map(|name| Coding::of_name(name).transpose()).collect()
}

/// One coding taken off: what it gave, and whether it came to its end.
fn decode_layer(coding: Coding, coded: &[u8], len_max: u64) -> Result<(Vec<u8>, io::Result<()>), DecodeError> {
    let mut output = Output { bytes: Vec::new(), len_max, is_full: false };
    let end = match coding {
        Coding::Gzip => gzip_members(coded, |member| output.fill_from(member)),
        Coding::Deflate => output.fill_from(&mut DeflateReader::new(coded)),
        Coding::Brotli => output.fill_from(&mut BrotliReader::new(coded)),
        Coding::Zstd => zstd_reader(coded).and_then(|mut reader| output.fill_from(&mut reader)),
    };
    if output.is_full { Err(DecodeError::TooLong { len_max }) } else { Ok((output.bytes, end)) }
}

/// Decoded bytes, never more than the cap.
struct Output {
    bytes: Vec<u8>,
    len_max: u64,
    is_full: bool,
}

impl Output {
    /// Reads to the reader's end, or until there is one byte more than the cap allows.
    fn fill_from(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let mut step = [0; STEP_BYTES];
        loop {
            let len = reader.read(&mut step)?;
            if len == 0 {
                return Ok(());
            }
            let room = self.len_max.saturating_sub(self.bytes.len() as u64);
            if len as u64 > room {
                self.is_full = true;
                return Err(io::Error::other("the cap is reached"));
            }
            self.bytes.extend_from_slice(&step[..len]);
        }
    }
}

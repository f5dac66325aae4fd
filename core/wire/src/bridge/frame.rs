//! What passes over the bridge: frames of a nine-byte header and at most [`PAYLOAD_LEN_MAX`] bytes.
//!
//! Header, all numbers big-endian: kind (1 byte), stream (4), length of the payload (4). Stream 0 is the bridge
//! itself. The host opens odd streams and the inside even ones, each counting up; no number is used twice. Every
//! stream starts with a credit of [`WINDOW_BYTES`] each way, given back by `Window` as the reader reads, so that a
//! stream nobody reads costs a bounded amount of memory and holds up no other.
//!
//! Frames are read from a container that runs recorded code: each length and each number is checked here.

use std::{io, sync::Arc};

use bytes::{Buf as _, BufMut as _, BytesMut};

/// Version of this protocol. Both ends are the same binary as a rule; another version is refused.
pub(super) const VERSION: u16 = 6;

/// Opens a `Hello`, so that something else on the socket is told apart at once.
pub(super) const MAGIC: &[u8] = b"retake-bridge";

/// Largest payload of one frame, in bytes. A choice: large enough to make the header free.
pub(super) const PAYLOAD_LEN_MAX: usize = 64 * 1024;

/// Bytes that may be under way on one stream in one direction. A choice: twice the largest frame.
pub(super) const WINDOW_BYTES: usize = 128 * 1024;

/// Length of the header in bytes.
pub(super) const HEADER_LEN: usize = 9;

/// Why a bridge ended before its time.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// The stream beneath failed.
    #[error("the container bridge's stream failed")]
    Io(#[source] Arc<io::Error>),
    /// Nobody connected, or whoever did never said what it listens on.
    #[error("nothing inside the container answered on the bridge within {seconds} s")]
    Silent {
        /// How long we waited, in seconds.
        seconds: u64,
    },
    /// The stream ended without a word of farewell.
    #[error("the container's end of the bridge went away")]
    Gone,
    /// Another program, or another release, is at the other end.
    #[error("the container's end of the bridge speaks another protocol (found {found}, this build speaks {VERSION})")]
    Version {
        /// What it said it speaks; empty when it made no sense.
        found: String,
    },
    /// A kind of frame that this build does not know.
    #[error("frame of unknown kind {kind} on the bridge")]
    UnknownKind {
        /// The kind's number.
        kind: u8,
    },
    /// A frame that claims more than it may.
    #[error("frame {kind} on the bridge claims {len} bytes; the most is {PAYLOAD_LEN_MAX}")]
    TooLong {
        /// The kind of frame.
        kind: &'static str,
        /// The length that it claims.
        len: u32,
    },
    /// A frame for a stream that was never opened, or opened by the wrong side.
    #[error("frame {kind} on the bridge names stream {stream}, which nobody opened")]
    UnknownStream {
        /// The kind of frame.
        kind: &'static str,
        /// The stream's number.
        stream: u32,
    },
    /// More bytes than the stream had credit for.
    #[error("stream {stream} of the bridge got more bytes than it had room for")]
    Overrun {
        /// The stream's number.
        stream: u32,
    },
    /// A payload that does not have its kind's form, or a frame that only the other side may send.
    #[error("frame {kind} on the bridge makes no sense")]
    Malformed {
        /// The kind of frame.
        kind: &'static str,
    },
    /// The other side asks and asks and never reads the answers.
    #[error("the other end of the bridge does not read: {len} bytes are waiting for it")]
    NotReading {
        /// How many bytes wait.
        len: usize,
    },
}

impl From<io::Error> for BridgeError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl BridgeError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Silent { .. } => Some("see the container's log: its first lines say why the bridge did not start"),
            Self::Version { .. } => Some("use one release of `retake` outside and inside the container"),
            Self::Gone => Some("see the container's log; the service may have ended, or been killed for its memory"),
            _ => None,
        }
    }
}

/// Kinds of frames; the numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// [`MAGIC`] and the version: first frame of both sides.
    Hello = 1,
    /// From inside: what it listens on, see `inside::Ready`.
    Ready = 2,
    /// From the host: a port (2 bytes). From inside: the listener's address, as text.
    Open = 3,
    /// From inside: the service accepted.
    Opened = 4,
    /// From inside: an errno (4 bytes, 0 for none) and a text.
    Refused = 5,
    /// Bytes of a stream.
    Data = 6,
    /// No more bytes this way.
    End = 7,
    /// The stream is over, both ways.
    Reset = 8,
    /// Credit given back (4 bytes).
    Window = 9,
    /// From inside: how often (8 bytes) a name (text) was asked of the resolver.
    Name = 10,
    /// From inside: 1 and a number (8 bytes) of packets without a route, or 0 where that cannot be seen.
    Counters = 11,
    /// From inside: everything has been said. From the host: please say so.
    Bye = 12,
    /// From inside: a line about attempts to connect, see `attempt`.
    Attempt = 13,
    /// From the host: the service may start now, see `Inside::waits`.
    Go = 14,
    /// From the host: an order for the tracer, see `control`.
    Order = 15,
    /// From inside: a line of the tracer's, see `control`.
    Told = 16,
    /// From the host: what the service's wall clock shows from now on, see [`super::WallClock`].
    Clock = 17,
    /// From the host: say when the service is at rest, see `rest`.
    Rest = 18,
    /// From inside: the answer to that.
    Rested = 19,
}

impl Kind {
    /// Its name, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Hello => "hello",
            Self::Ready => "ready",
            Self::Open => "open",
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Data => "data",
            Self::End => "end",
            Self::Reset => "reset",
            Self::Window => "window",
            Self::Name => "name",
            Self::Counters => "counters",
            Self::Bye => "bye",
            Self::Attempt => "attempt",
            Self::Go => "go",
            Self::Order => "order",
            Self::Told => "told",
            Self::Clock => "clock",
            Self::Rest => "rest",
            Self::Rested => "rested",
        }
    }

    /// The error for a payload that does not have this kind's form.
    pub(super) fn malformed(self) -> BridgeError {
        BridgeError::Malformed { kind: self.name() }
    }

    fn of(number: u8) -> Result<Self, BridgeError> {
        Ok(match number {
            1 => Self::Hello,
            2 => Self::Ready,
            3 => Self::Open,
            4 => Self::Opened,
            5 => Self::Refused,
            6 => Self::Data,
            7 => Self::End,
            8 => Self::Reset,
            9 => Self::Window,
            10 => Self::Name,
            11 => Self::Counters,
            12 => Self::Bye,
            13 => Self::Attempt,
            14 => Self::Go,
            15 => Self::Order,
            16 => Self::Told,
            17 => Self::Clock,
            18 => Self::Rest,
            19 => Self::Rested,
            kind => return Err(BridgeError::UnknownKind { kind }),
        })
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) stream: u32,
    pub(super) len: usize,
}

impl Header {
    /// The header at the start of `bytes`, or `None` when more bytes are needed to tell.
    pub(super) fn peek(mut bytes: &[u8]) -> Result<Option<Self>, BridgeError> {
        if bytes.len() < HEADER_LEN {
            return Ok(None);
        }
        let kind = Kind::of(bytes.get_u8())?;
        let stream = bytes.get_u32();
        let claimed = bytes.get_u32();
        match usize::try_from(claimed) {
            Ok(len) if len <= PAYLOAD_LEN_MAX => Ok(Some(Self { kind, stream, len })),
            _ => Err(BridgeError::TooLong { kind: kind.name(), len: claimed }),
        }
    }
}

/// Appends one frame to `buffer`.
pub(super) fn put(buffer: &mut BytesMut, kind: Kind, stream: u32, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("payloads are cut to PAYLOAD_LEN_MAX before they come here");
    buffer.reserve(HEADER_LEN + payload.len());
    buffer.put_u8(kind as u8);
    buffer.put_u32(stream);
    buffer.put_u32(len);
    buffer.put_slice(payload);
}

/// The payload of a `Hello`.
pub(super) fn hello() -> Vec<u8> {
    [MAGIC, &VERSION.to_be_bytes()].concat()
}

/// Checks the payload of a `Hello`.
pub(super) fn check_hello(payload: &[u8]) -> Result<(), BridgeError> {
    let version = payload.strip_prefix(MAGIC).and_then(|rest| rest.try_into().ok()).map(u16::from_be_bytes);
    match version {
        Some(VERSION) => Ok(()),
        other => Err(BridgeError::Version { found: other.map(|number| number.to_string()).unwrap_or_default() }),
    }
}

//! One end of a bridge: the table of its streams, one buffer going out, and the loops that read and write.
//!
//! Whoever has something to send appends a frame to the buffer; one task writes whatever has gathered there in one
//! go, so that many small frames cost one system call. One task reads large pieces, takes them apart and puts the
//! bytes where their stream's reader finds them. What only one side understands (opening, readiness, what was
//! observed) goes to that side's [`Peer`].

use std::{
    collections::BTreeMap,
    io,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Buf as _, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::Notify,
};

use super::{
    frame::{self, BridgeError, HEADER_LEN, Header, Kind, PAYLOAD_LEN_MAX},
    stream::{BridgeStream, Shared},
};

/// Streams that may be open at once. A choice: with the window it bounds what unread streams can hold to 256 MiB.
pub(super) const STREAMS_MAX: usize = 2048;

/// Bytes that may wait to be written before writers of streams are made to wait. A choice.
const OUT_LEN_SOFT: usize = 1024 * 1024;

/// Bytes waiting at which the other end is held to be reading nothing at all. A choice, far above what answers to
/// [`STREAMS_MAX`] streams can amount to.
const OUT_LEN_HARD: usize = 16 * 1024 * 1024;

/// How much is read in one go, in bytes. A choice: several frames of the largest size.
const READ_LEN: usize = 4 * PAYLOAD_LEN_MAX;

/// Who opens odd streams and who even ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Outside the container: 1, 3, 5, …
    Host,
    /// Inside: 2, 4, 6, …
    Inside,
}

impl Side {
    fn first_stream(self) -> u32 {
        match self {
            Self::Host => 1,
            Self::Inside => 2,
        }
    }

    fn opens(self, stream: u32) -> bool {
        stream % 2 == self.first_stream() % 2
    }
}

/// What one side does with the frames that only it understands.
pub(super) trait Peer {
    /// Takes one frame; `Break` ends the reading in good order.
    fn take(&mut self, link: &Arc<Link>, header: Header, payload: &[u8]) -> Result<ControlFlow<()>, BridgeError>;
}

/// One end of a bridge.
pub(super) struct Link {
    side: Side,
    out: Mutex<Outgoing>,
    out_ready: Notify,
    table: Mutex<Table>,
    ended: OnceLock<BridgeError>,
}

struct Outgoing {
    buffer: BytesMut,
    /// Writers of streams that wait for room.
    waiting: Vec<Waker>,
    /// No more frames are taken; what is there is still written.
    closed: bool,
}

struct Table {
    streams: BTreeMap<u32, Arc<Shared>>,
    /// The number that the next stream of our own gets.
    next: u32,
    /// The highest number that the other side has used.
    highest_theirs: u32,
    closed: bool,
}

/// Locks, also after another holder has panicked: no state here is left half-changed by code that can panic.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new(side: Side) -> Arc<Self> {
        let link = Self {
            side,
            out: Mutex::new(Outgoing { buffer: BytesMut::new(), waiting: Vec::new(), closed: false }),
            out_ready: Notify::new(),
            table: Mutex::new(Table {
                streams: BTreeMap::new(),
                next: side.first_stream(),
                highest_theirs: 0,
                closed: false,
            }),
            ended: OnceLock::new(),
        };
        link.send(Kind::Hello, 0, &frame::hello());
        Arc::new(link)
    }

    /// Why it ended before its time, once it has.
    pub(super) fn error(&self) -> Option<BridgeError> {
        self.ended.get().cloned()
    }

    /// Sends a frame that needs no credit.
    pub(super) fn send(&self, kind: Kind, stream: u32, payload: &[u8]) {
        let mut out = locked(&self.out);
        if out.closed {
            return;
        }
        let was_empty = out.buffer.is_empty();
        frame::put(&mut out.buffer, kind, stream, payload);
        drop(out);
        if was_empty {
            self.out_ready.notify_one();
        }
    }

    /// Sends bytes of a stream, or has `context` woken when there is room to try again.
    pub(super) fn poll_send_data(&self, context: &Context<'_>, stream: u32, data: &[u8]) -> Poll<io::Result<()>> {
        let mut out = locked(&self.out);
        if out.closed {
            return Poll::Ready(Err(self.broken()));
        }
        if out.buffer.len() >= OUT_LEN_SOFT {
            out.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        let was_empty = out.buffer.is_empty();
        frame::put(&mut out.buffer, Kind::Data, stream, data);
        drop(out);
        if was_empty {
            self.out_ready.notify_one();
        }
        Poll::Ready(Ok(()))
    }

    /// The error that streams give once the bridge has ended.
    pub(super) fn broken(&self) -> io::Error {
        match self.error() {
            Some(error) => io::Error::new(io::ErrorKind::BrokenPipe, error.to_string()),
            None => io::Error::new(io::ErrorKind::BrokenPipe, "the container bridge is closed"),
        }
    }

    /// Opens a stream of our own. `answered` is false where the other side's leave is waited for.
    ///
    /// # Errors
    /// `BrokenPipe` when the bridge has ended, `ResourceBusy` when too many streams are open.
    pub(super) fn open(self: &Arc<Self>, payload: &[u8], answered: bool) -> io::Result<BridgeStream> {
        let mut table = locked(&self.table);
        if table.closed {
            return Err(self.broken());
        }
        if table.streams.len() >= STREAMS_MAX {
            return Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "too many connections are open through the bridge",
            ));
        }
        let id = table.next;
        table.next = id.checked_add(2).ok_or_else(|| io::Error::other("the bridge has used up its stream numbers"))?;
        let shared = Arc::new(Shared::new(id, answered));
        table.streams.insert(id, Arc::clone(&shared));
        // Sent under the lock: the other side takes the numbers in rising order only.
        self.send(Kind::Open, id, payload);
        drop(table);
        Ok(BridgeStream::new(Arc::clone(self), shared))
    }

    /// Takes up a stream that the other side opens; `None` when too many are open.
    pub(super) fn accept(self: &Arc<Self>, id: u32) -> Result<Option<BridgeStream>, BridgeError> {
        let mut table = locked(&self.table);
        if id == 0 || self.side.opens(id) || id <= table.highest_theirs {
            return Err(BridgeError::UnknownStream { kind: Kind::Open.name(), stream: id });
        }
        table.highest_theirs = id;
        if table.streams.len() >= STREAMS_MAX || table.closed {
            return Ok(None);
        }
        let shared = Arc::new(Shared::new(id, true));
        table.streams.insert(id, Arc::clone(&shared));
        drop(table);
        Ok(Some(BridgeStream::new(Arc::clone(self), shared)))
    }

    /// Forgets a stream that is over on both sides.
    pub(super) fn forget(&self, id: u32) {
        locked(&self.table).streams.remove(&id);
    }

    /// True while a stream has bytes that whoever reads it here has not taken yet.
    pub(super) fn has_unread(&self) -> bool {
        locked(&self.table).streams.values().any(|shared| shared.has_unread())
    }

    /// The stream that a frame names; `None` for one that is over, of which some frames may still be under way.
    fn stream(&self, kind: Kind, id: u32) -> Result<Option<Arc<Shared>>, BridgeError> {
        let table = locked(&self.table);
        if let Some(shared) = table.streams.get(&id) {
            return Ok(Some(Arc::clone(shared)));
        }
        let was_used = id != 0 && if self.side.opens(id) { id < table.next } else { id <= table.highest_theirs };
        if was_used { Ok(None) } else { Err(BridgeError::UnknownStream { kind: kind.name(), stream: id }) }
    }

    /// Takes no more frames; what has been taken is still written.
    pub(super) fn close(&self) {
        let mut out = locked(&self.out);
        out.closed = true;
        let waiting = std::mem::take(&mut out.waiting);
        drop(out);
        self.out_ready.notify_one();
        waiting.into_iter().for_each(Waker::wake);
        let mut table = locked(&self.table);
        table.closed = true;
        let streams = std::mem::take(&mut table.streams);
        drop(table);
        for shared in streams.values() {
            shared.break_off();
        }
    }

    /// Ends the bridge for a reason that its streams will give as their error.
    pub(super) fn fail(&self, error: BridgeError) {
        // The first reason is the one that counts.
        drop(self.ended.set(error));
        self.close();
    }

    /// Writes what gathers in the buffer until the bridge is closed and all is written.
    pub(super) async fn write_all<W: AsyncWrite + Unpin>(&self, mut writer: W) -> io::Result<()> {
        let mut batch = BytesMut::new();
        loop {
            let closed = self.swap_out(&mut batch);
            if !batch.is_empty() {
                writer.write_all(&batch).await?;
                batch.clear();
            } else if closed {
                return writer.shutdown().await;
            } else {
                self.out_ready.notified().await;
            }
        }
    }

    /// Exchanges the full buffer for an empty one and lets those write who waited for room.
    fn swap_out(&self, batch: &mut BytesMut) -> bool {
        let mut out = locked(&self.out);
        std::mem::swap(&mut out.buffer, batch);
        let waiting = std::mem::take(&mut out.waiting);
        let closed = out.closed;
        drop(out);
        waiting.into_iter().for_each(Waker::wake);
        closed
    }

    /// Reads frames until the other side says goodbye.
    pub(super) async fn read_all<R: AsyncRead + Unpin>(
        self: &Arc<Self>,
        mut reader: R,
        peer: &mut impl Peer,
    ) -> Result<(), BridgeError> {
        let mut buffer = BytesMut::with_capacity(READ_LEN);
        let mut greeted = false;
        loop {
            if self.take_frames(&mut buffer, &mut greeted, peer)?.is_break() {
                return Ok(());
            }
            if buffer.capacity() - buffer.len() < HEADER_LEN + PAYLOAD_LEN_MAX {
                buffer.reserve(READ_LEN);
            }
            if reader.read_buf(&mut buffer).await? == 0 {
                return Err(BridgeError::Gone);
            }
        }
    }

    /// Takes every whole frame out of `buffer`.
    fn take_frames(
        self: &Arc<Self>,
        buffer: &mut BytesMut,
        greeted: &mut bool,
        peer: &mut impl Peer,
    ) -> Result<ControlFlow<()>, BridgeError> {
        while let Some(header) = Header::peek(buffer)? {
            if buffer.len() < HEADER_LEN + header.len {
                break;
            }
            let payload = &buffer[HEADER_LEN..HEADER_LEN + header.len];
            if !*greeted {
                check_greeting(header, payload)?;
                *greeted = true;
            } else if self.take_frame(header, payload, peer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            buffer.advance(HEADER_LEN + header.len);
        }
        match locked(&self.out).buffer.len() {
            len if len > OUT_LEN_HARD => Err(BridgeError::NotReading { len }),
            _ => Ok(ControlFlow::Continue(())),
        }
    }

    fn take_frame(
        self: &Arc<Self>,
        header: Header,
        payload: &[u8],
        peer: &mut impl Peer,
    ) -> Result<ControlFlow<()>, BridgeError> {
        match header.kind {
            Kind::Data | Kind::End | Kind::Reset | Kind::Window | Kind::Opened | Kind::Refused => {
                if let Some(shared) = self.stream(header.kind, header.stream)? {
                    shared.take(self, header.kind, payload)?;
                }
                Ok(ControlFlow::Continue(()))
            }
            _ => peer.take(self, header, payload),
        }
    }
}

/// The first frame has to be a `Hello` of our version.
fn check_greeting(header: Header, payload: &[u8]) -> Result<(), BridgeError> {
    match header.kind {
        Kind::Hello => frame::check_hello(payload),
        _ => Err(BridgeError::Version { found: String::new() }),
    }
}

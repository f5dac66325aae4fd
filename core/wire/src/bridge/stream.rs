//! One connection that passes over the bridge.
//!
//! It behaves as a TCP connection does: shutting down ends one direction, dropping it with nothing unread ends it in
//! good order, dropping it with bytes unread resets it, and bytes that arrive for a dropped one are answered by a
//! reset. What arrived before a reset can still be read.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    frame::{BridgeError, Kind, PAYLOAD_LEN_MAX, WINDOW_BYTES},
    link::{Link, locked},
};

/// One connection through the bridge. Shutting it down is a half-close.
pub struct BridgeStream {
    link: Arc<Link>,
    shared: Arc<Shared>,
}

/// What the stream's holder and the bridge's reading task have in common.
pub(super) struct Shared {
    id: u32,
    state: Mutex<State>,
}

struct State {
    opening: Opening,
    /// Bytes that arrived and were not read yet.
    received: BytesMut,
    /// Bytes that the other side may still send.
    room: usize,
    /// Bytes read since credit was last given back.
    read_since: usize,
    /// Set when nothing more will arrive.
    incoming_end: Option<Ending>,
    /// Bytes that we may still send.
    credit: usize,
    /// Set when we send nothing more.
    outgoing_ended: bool,
    /// Its holder has dropped it.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Debug)]
enum Opening {
    Waiting,
    Open,
    Refused { errno: i32, text: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The other side has sent all it had.
    End,
    /// The other side broke it off.
    Reset,
    /// The bridge itself ended.
    Broken,
}

impl State {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn is_over(&self) -> bool {
        match self.incoming_end {
            None => false,
            Some(Ending::End) => self.outgoing_ended,
            Some(Ending::Reset | Ending::Broken) => true,
        }
    }
}

impl Shared {
    pub(super) fn new(id: u32, answered: bool) -> Self {
        let state = State {
            opening: if answered { Opening::Open } else { Opening::Waiting },
            received: BytesMut::new(),
            room: WINDOW_BYTES,
            read_since: 0,
            incoming_end: None,
            credit: WINDOW_BYTES,
            outgoing_ended: false,
            abandoned: false,
            reader: None,
            writer: None,
        };
        Self { id, state: Mutex::new(state) }
    }

    /// True while bytes have arrived that were not read.
    pub(super) fn has_unread(&self) -> bool {
        !locked(&self.state).received.is_empty()
    }

    /// Takes a frame that names this stream.
    pub(super) fn take(&self, link: &Link, kind: Kind, payload: &[u8]) -> Result<(), BridgeError> {
        let mut state = locked(&self.state);
        match kind {
            Kind::Data => self.take_data(&mut state, link, payload)?,
            Kind::End => {
                // After a first ending nothing can follow from a well-behaved other side, and nothing has to.
                state.incoming_end.get_or_insert(Ending::End);
            }
            Kind::Reset => state.incoming_end = Some(Ending::Reset),
            Kind::Window => take_credit(&mut state, self.id, payload)?,
            Kind::Opened => take_answer(&mut state, kind, Opening::Open)?,
            Kind::Refused => {
                let refused = read_refusal(payload)?;
                take_answer(&mut state, kind, refused)?;
                state.incoming_end = Some(Ending::Reset);
            }
            other => return Err(other.malformed()),
        }
        state.wake();
        let over = state.is_over();
        drop(state);
        if over {
            link.forget(self.id);
        }
        Ok(())
    }

    fn take_data(&self, state: &mut State, link: &Link, payload: &[u8]) -> Result<(), BridgeError> {
        match state.incoming_end {
            None => {}
            // Sent before the other side knew of the reset.
            Some(Ending::Reset | Ending::Broken) => return Ok(()),
            Some(Ending::End) => return Err(BridgeError::Overrun { stream: self.id }),
        }
        state.room = state.room.checked_sub(payload.len()).ok_or(BridgeError::Overrun { stream: self.id })?;
        if state.abandoned {
            link.send(Kind::Reset, self.id, &[]);
            state.incoming_end = Some(Ending::Reset);
        } else {
            state.received.extend_from_slice(payload);
        }
        Ok(())
    }

    /// The bridge has ended, and with it this stream.
    pub(super) fn break_off(&self) {
        let mut state = locked(&self.state);
        state.incoming_end.get_or_insert(Ending::Broken);
        state.outgoing_ended = true;
        state.wake();
    }
}

fn take_credit(state: &mut State, stream: u32, payload: &[u8]) -> Result<(), BridgeError> {
    let bytes = payload.try_into().map(u32::from_be_bytes).map_err(|_| Kind::Window.malformed())?;
    let credit = usize::try_from(bytes).ok().and_then(|bytes| state.credit.checked_add(bytes));
    match credit {
        Some(credit) if credit <= WINDOW_BYTES => state.credit = credit,
        _ => return Err(BridgeError::Overrun { stream }),
    }
    Ok(())
}

fn take_answer(state: &mut State, kind: Kind, answer: Opening) -> Result<(), BridgeError> {
    match state.opening {
        Opening::Waiting => state.opening = answer,
        _ => return Err(kind.malformed()),
    }
    Ok(())
}

fn read_refusal(payload: &[u8]) -> Result<Opening, BridgeError> {
    let (errno, text) = payload.split_first_chunk().ok_or_else(|| Kind::Refused.malformed())?;
    Ok(Opening::Refused { errno: i32::from_be_bytes(*errno), text: String::from_utf8_lossy(text).into_owned() })
}

impl BridgeStream {
    pub(super) fn new(link: Arc<Link>, shared: Arc<Shared>) -> Self {
        Self { link, shared }
    }

    /// Breaks the connection off, as a reset does, instead of ending it in good order.
    pub fn reset(self) {
        self.send_reset();
    }

    /// Tells the host that the service accepted.
    pub(super) fn answer_opened(&self) {
        self.link.send(Kind::Opened, self.shared.id, &[]);
    }

    /// Tells the host that the service did not accept, and why.
    pub(super) fn answer_refused(self, error: &io::Error) {
        let errno = error.raw_os_error().unwrap_or(0);
        self.link.send(Kind::Refused, self.shared.id, &refusal(errno, &error.to_string()));
        let mut state = locked(&self.shared.state);
        state.incoming_end = Some(Ending::Reset);
        drop(state);
        self.link.forget(self.shared.id);
    }

    /// Waits for the other side's answer to our opening.
    pub(super) async fn opened(&self) -> io::Result<()> {
        std::future::poll_fn(|context| {
            let mut state = locked(&self.shared.state);
            match (&state.opening, state.incoming_end) {
                (Opening::Open, _) => Poll::Ready(Ok(())),
                (Opening::Refused { errno, text }, _) => Poll::Ready(Err(refused(*errno, text))),
                (Opening::Waiting, Some(Ending::Broken)) => Poll::Ready(Err(self.link.broken())),
                (Opening::Waiting, Some(_)) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                (Opening::Waiting, None) => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Takes all that has arrived; empty at the end.
    pub(super) fn poll_take(&self, context: &Context<'_>) -> Poll<io::Result<BytesMut>> {
        let mut state = locked(&self.shared.state);
        if state.received.is_empty() {
            return self.poll_nothing_received(&mut state, context).map_ok(|()| BytesMut::new());
        }
        let taken = std::mem::take(&mut state.received);
        self.give_credit(&mut state, taken.len());
        Poll::Ready(Ok(taken))
    }

    /// Writes as much of `data` as there is credit for.
    pub(super) fn poll_put(&self, context: &Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = locked(&self.shared.state);
        match state.incoming_end {
            Some(Ending::Broken) => return Poll::Ready(Err(self.link.broken())),
            Some(Ending::Reset) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ if state.outgoing_ended => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => {}
        }
        let len = data.len().min(state.credit).min(PAYLOAD_LEN_MAX);
        if len == 0 && !data.is_empty() {
            state.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        std::task::ready!(self.link.poll_send_data(context, self.shared.id, &data[..len]))?;
        state.credit -= len;
        Poll::Ready(Ok(len))
    }

    /// Ends our direction.
    pub(super) fn end(&self) {
        let mut state = locked(&self.shared.state);
        if !state.outgoing_ended && !state.is_over() {
            self.link.send(Kind::End, self.shared.id, &[]);
        }
        state.outgoing_ended = true;
        let over = state.is_over();
        drop(state);
        if over {
            self.link.forget(self.shared.id);
        }
    }

    pub(super) fn send_reset(&self) {
        let mut state = locked(&self.shared.state);
        if !state.is_over() {
            self.link.send(Kind::Reset, self.shared.id, &[]);
        }
        state.incoming_end = Some(Ending::Reset);
        state.outgoing_ended = true;
        state.received.clear();
        drop(state);
        self.link.forget(self.shared.id);
    }

    fn poll_nothing_received(&self, state: &mut State, context: &Context<'_>) -> Poll<io::Result<()>> {
        match state.incoming_end {
            Some(Ending::End) => Poll::Ready(Ok(())),
            Some(Ending::Reset) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Ending::Broken) => Poll::Ready(Err(self.link.broken())),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Gives back credit once half the window has been read, so that small exchanges cost no frame for it.
    fn give_credit(&self, state: &mut State, len: usize) {
        state.read_since += len;
        if state.incoming_end.is_some() || state.read_since < WINDOW_BYTES / 2 {
            return;
        }
        let given = u32::try_from(state.read_since).expect("what was read is at most a window");
        self.link.send(Kind::Window, self.shared.id, &given.to_be_bytes());
        state.room += state.read_since;
        state.read_since = 0;
    }
}

/// The payload of a `Refused`.
pub(super) fn refusal(errno: i32, text: &str) -> Vec<u8> {
    let kept = &text.as_bytes()[..text.len().min(1024)];
    [&errno.to_be_bytes(), kept].concat()
}

fn refused(errno: i32, text: &str) -> io::Error {
    match errno {
        0 => io::Error::other(text.to_owned()),
        errno => io::Error::from_raw_os_error(errno),
    }
}

impl AsyncRead for BridgeStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = locked(&self.shared.state);
        if state.received.is_empty() {
            return self.poll_nothing_received(&mut state, context);
        }
        let len = buffer.remaining().min(state.received.len());
        buffer.put_slice(&state.received[..len]);
        state.received.advance(len);
        if state.received.is_empty() {
            // An idle connection keeps no buffer; a busy one gets its next from the allocator's own cache.
            state.received = BytesMut::new();
        }
        self.give_credit(&mut state, len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for BridgeStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(context, data)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The bridge's writing task sends what it is given at once.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Drop for BridgeStream {
    fn drop(&mut self) {
        let mut state = locked(&self.shared.state);
        state.abandoned = true;
        let waits_or_unread = !state.received.is_empty() || matches!(state.opening, Opening::Waiting);
        drop(state);
        if waits_or_unread {
            self.send_reset();
        } else {
            self.end();
        }
    }
}

impl fmt::Debug for BridgeStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BridgeStream").field("id", &self.shared.id).finish_non_exhaustive()
    }
}

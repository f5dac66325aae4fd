//! What the proxy tells whoever listens, and the guard that keeps a listener's mistakes from a request.
//!
//! In: what passes. Out: calls on an [`Observer`] and its [`Tap`]s, in the order in which things happened on each side.
//! They are made between reading and writing: they must not wait and cannot fail. One that panics is not called again.

use std::{
    net::{IpAddr, SocketAddr},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Mutex, PoisonError},
};

use exchange::{End, Transport};

use crate::{Upstream, ca::TlsTrouble};

/// Given when the first byte of an exchange arrives, before its content is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// The session's counter.
    pub sequence: u64,
    /// When, in nanoseconds since the session's start.
    pub at_ns: u64,
}

/// What is known when an exchange begins.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Which listener the client called: the index that the proxy was given.
    pub listener: usize,
    /// Given when the first byte arrived.
    pub ticket: Ticket,
    /// The client's address.
    pub peer: SocketAddr,
    /// The request's head as on the socket; empty for a raw stream.
    pub head: &'a [u8],
    /// On a forward proxy: where the client said that it wants to.
    pub destination: Option<&'a Upstream>,
}

/// What an observer wants of an exchange.
pub struct Begun {
    /// Told what happens in it.
    pub tap: Box<dyn Tap>,
    /// Value of a `traceparent` field to add to the request, which has none.
    pub traceparent: Option<String>,
}

/// Listens to a proxy.
pub trait Observer: Send + Sync {
    /// The first byte of an exchange arrived at this listener.
    fn first_byte(&self, listener: usize) -> Ticket;

    /// An exchange begins; `None` when it is not listened to.
    fn begin(&self, start: Start<'_>) -> Option<Begun>;

    /// What a client of a forward proxy says to `destination` could not be read, and its connection ended as TLS ends it.
    fn unreadable(&self, _destination: &Upstream, _trouble: &TlsTrouble) {}
}

/// Listens to one exchange. Dropped without [`Tap::end`] when the proxy ends before the exchange does.
pub trait Tap: Send {
    /// The exchange is not, or no longer, one of HTTP/1.x: what follows are bytes as they are.
    fn transport(&mut self, transport: Transport);
    /// The address at the other end of the connection to the upstream.
    fn connected(&mut self, _peer: IpAddr) {}
    /// Payload of the request, one call for what one read delivered.
    fn request_body(&mut self, payload: &[u8]);
    /// The request is whole; trailers with their final blank line, or nothing.
    fn request_end(&mut self, trailers: &[u8]);
    /// Head of an informational response.
    fn interim(&mut self, head: &[u8]);
    /// The first byte of the final response's head arrived, or of what an interim one may turn out to be.
    fn response_started(&mut self);
    /// Head of the final response as on the socket.
    fn response_head(&mut self, head: &[u8]);
    /// Payload of the response, one call for what one read delivered.
    fn response_body(&mut self, payload: &[u8]);
    /// The response is whole; trailers with their final blank line, or nothing.
    fn response_end(&mut self, trailers: &[u8]);
    /// The exchange is over.
    fn end(self: Box<Self>, end: End);
}

/// The tap of one exchange, shared by both of its sides; falls silent when it panics.
pub(crate) struct GuardedTap(Mutex<Option<Box<dyn Tap>>>);

impl GuardedTap {
    /// Asks the observer for a tap, and for the `traceparent` to add.
    pub(crate) fn begin(observer: &dyn Observer, start: Start<'_>) -> (Self, Option<String>) {
        let begun = catch_unwind(AssertUnwindSafe(|| observer.begin(start))).ok().flatten();
        match begun {
            Some(Begun { tap, traceparent }) => (Self(Mutex::new(Some(tap))), traceparent),
            None => (Self(Mutex::new(None)), None),
        }
    }

    /// Tells the tap something.
    pub(crate) fn tell(&self, tell: impl FnOnce(&mut dyn Tap)) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut tap) = held.take() else { return };
        // A tap that panicked is dropped where its own drop can do no harm either.
        *held = catch_unwind(AssertUnwindSafe(move || {
            tell(tap.as_mut());
            tap
        }))
        .ok();
    }

    /// Tells the tap that the exchange is over.
    pub(crate) fn end(self, end: End) {
        let held = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(tap) = held {
            // What it panicked with was printed by the panic hook; nobody else is to know.
            catch_unwind(AssertUnwindSafe(|| tap.end(end))).ok();
        }
    }
}

/// Tells the observer that a client's TLS could not be read.
pub(crate) fn unreadable(observer: &dyn Observer, destination: &Upstream, trouble: &TlsTrouble) {
    // As above.
    catch_unwind(AssertUnwindSafe(|| observer.unreadable(destination, trouble))).ok();
}

/// Asks the observer for a ticket; an observer that panics gives the first one.
pub(crate) fn first_byte(observer: &dyn Observer, listener: usize) -> Ticket {
    catch_unwind(AssertUnwindSafe(|| observer.first_byte(listener))).unwrap_or_default()
}

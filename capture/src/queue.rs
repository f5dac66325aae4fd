//! What carries records from the proxy to the thread that writes them: never waits, and has a budget of bytes.
//!
//! In: items whose bytes were taken from the [`Budget`]. Out: the same, in order. Bytes go back to the budget when the last
//! that holds them lets go, so that it covers what is being gathered, what waits, and what is being written.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use exchange::{Event, Exchange, Fingerprint, LogLine};

/// How many bytes all records together may hold.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_max: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0) })
    }

    /// Takes this many bytes, or none when they are not there.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        self.take_below(bytes, self.bytes_max)
    }

    fn take_below(self: &Arc<Self>, bytes: usize, most: usize) -> Option<Held> {
        let fits = |used: usize| used.checked_add(bytes).filter(|&used| used <= most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Held { bytes, budget: self.clone() })
    }

    /// True when more than a quarter of it is taken: what waits for more of its kind is to be handed on instead.
    pub(crate) fn is_filling(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.bytes_max / 4
    }

    /// True when more than half of it is taken: what is merely useful has to make room.
    pub(crate) fn is_tight(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.bytes_max / 2
    }
}

/// Bytes taken from a budget; they go back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    bytes: usize,
    budget: Arc<Budget>,
}

impl Held {
    /// Nothing, of this budget.
    pub(crate) fn nothing(budget: &Arc<Budget>) -> Self {
        Self { bytes: 0, budget: budget.clone() }
    }

    /// Takes this many more. False when they are not there.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = self.budget.take(bytes);
        more.map(|more| self.join(more)).is_some()
    }

    /// Takes this many more for a body. An eighth is left for what else there is: a body may have a gap, but an exchange whose
    /// head has no room is not recorded at all.
    pub(crate) fn grow_for_body(&mut self, bytes: usize) -> bool {
        let more = self.budget.take_below(bytes, self.budget.bytes_max - self.budget.bytes_max / 8);
        more.map(|more| self.join(more)).is_some()
    }

    /// The budget that it is of.
    pub(crate) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// How many bytes it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes over what another one holds.
    pub(crate) fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }

    /// Parts with as many of its bytes as there are up to this number.
    pub(crate) fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { bytes, budget: self.budget.clone() }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Which body of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Request,
    Response,
}

/// Something to be written.
#[derive(Debug)]
pub(crate) enum Item {
    /// The next part of a body, at most a piece long; the last one comes right before its exchange.
    Part { sequence: u64, side: Side, bytes: Vec<u8>, held: Held, is_last: bool },
    /// An exchange that has ended; its bodies are the parts before it. `peer` is at the service's end of its connection.
    Exchange { exchange: Box<Exchange>, held: Held, peer: Option<IpAddr> },
    /// An exchange of which nothing is to be kept after all.
    Forget { sequence: u64 },
    /// Lines of the service's output; `subject` is the container's name.
    Lines { subject: String, lines: Vec<LogLine>, held: Held },
    /// Something that happened beside the exchanges.
    Event { event: Box<Event>, held: Held },
    /// Something happened after which the service may run in another environment: what ends from then on waits until it was
    /// looked at.
    Changing(Change),
    /// It was looked at.
    Environment(Box<Seen>),
    /// Nothing more comes.
    Stop,
}

/// Something happened after which the service may run in another environment. Times are in nanoseconds since the session's
/// start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which of the containers behind the service's address, in the order they were named.
    pub(crate) replica: usize,
    /// Counts them, from 1.
    pub(crate) number: u64,
    /// The container.
    pub(crate) id: String,
    /// When the environment before may have ceased to hold.
    pub(crate) ceased_ns: u64,
    /// Since when whatever is there now holds.
    pub(crate) from_ns: u64,
    /// True when something ran before.
    pub(crate) had_another: bool,
}

/// What the service was found to run in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// As a [`Change`] has it; 0 where it is no container.
    pub(crate) replica: usize,
    /// `None` where there was nothing to look at, since it does not run: then nothing new is known.
    pub(crate) fingerprint: Option<Fingerprint>,
    /// The container's name; `None` where none is followed.
    pub(crate) container: Option<String>,
    /// The last change that this has in it; 0 for the first look.
    pub(crate) number: u64,
    /// As a [`Change`] has it.
    pub(crate) ceased_ns: u64,
    /// As a [`Change`] has it.
    pub(crate) from_ns: u64,
}

/// What was lost, and whether the store is at fault. Shared by those who lose and the one who says so.
#[derive(Debug, Default)]
pub(crate) struct Losses {
    /// Exchanges that passed and are not recorded at all.
    pub(crate) exchanges: AtomicU64,
    /// Body bytes that passed and are not recorded.
    pub(crate) body_bytes: AtomicU64,
    /// Lines of the service's log that are not recorded.
    pub(crate) log_lines: AtomicU64,
    /// True while the store takes nothing.
    pub(crate) store_fails: AtomicBool,
}

impl Losses {
    pub(crate) fn lose_exchange(&self) {
        self.exchanges.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lose_lines(&self, count: u64) {
        self.log_lines.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn lose_bytes(&self, count: u64) {
        self.body_bytes.fetch_add(count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_gives_what_it_has_and_gets_back_what_is_let_go() {
        let budget = Budget::new(10);
        let mut held = budget.take(6).unwrap();
        assert!(budget.take(5).is_none() && !held.grow(5) && held.grow(4));
        let part = held.split(7);
        let mut joined = Held::nothing(&budget);
        joined.join(held);
        assert_eq!(joined.bytes(), 3);
        drop(joined);
        assert!(budget.take(4).is_none() && budget.is_tight());
        drop(part);
        assert!(budget.take(10).is_some() && !budget.is_tight());
        assert!(budget.take(usize::MAX).is_none());
    }

    #[test]
    fn bodies_leave_room_for_heads() {
        let budget = Budget::new(80);
        let mut body = Held::nothing(&budget);
        assert!(!body.grow_for_body(71) && body.grow_for_body(70) && budget.is_filling());
        assert!(!body.grow_for_body(1) && budget.take(10).is_some());
    }
}

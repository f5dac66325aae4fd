//! The thread that puts what was recorded into the store.
//!
//! In: items from the queue. Out: segments of the store, synced in groups, and notices when the store begins or ceases to
//! fail. What cannot be written is tried again each second while the queue fills up behind it; nobody else waits for that.

mod bodies;
mod environments;
mod notes;
mod output;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use bundle::{Record, Store, StoreError, WriterOptions};
use exchange::{
    End, Event, Exchange, Gap, LogLines, Session, SessionCounts, SessionEnd, Transport, surroundings::event_kind,
};

pub(crate) use self::notes::Wanted;
use self::{bodies::Bodies, environments::Replicas, output::Output};
use crate::{
    Clock, Notice,
    clock::WallWatch,
    queue::{Budget, Held, Item, Losses, Seen, Side},
};

/// What times of chunks are kept to, in nanoseconds: a file has them in two bytes then, and no model's tokens come closer.
const CHUNK_TICK_NS: u64 = 10_000;

/// How often both clocks are recorded, in nanoseconds, as the design says.
const CLOCK_INTERVAL_NS: u64 = 60_000_000_000;

/// Longest wait for the next item: then it is looked whether something else is due.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Hears of notices.
pub(crate) type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// What the writing thread is given.
pub(crate) struct Setup {
    pub(crate) store: Store,
    pub(crate) session: Session,
    /// What the session derives ids with.
    pub(crate) session_key: [u8; 32],
    pub(crate) clock: Clock,
    pub(crate) sync_interval: Duration,
    pub(crate) segment_bytes_max: u64,
    pub(crate) dedup_bytes_max: u64,
    pub(crate) budget: Arc<Budget>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) notify: Notify,
    /// What is noted of each exchange beside what was said.
    pub(crate) wanted: Wanted,
    /// How many containers the service has, or 1. An environment of each is to come: exchanges that end before wait for it.
    pub(crate) replicas: usize,
    /// True when that is a container's, which may change.
    pub(crate) follows: bool,
}

/// What the writing thread leaves behind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    /// What was recorded, and what was not.
    pub(crate) counts: SessionCounts,
    /// The segments it wrote.
    pub(crate) segments: Vec<PathBuf>,
    /// True when the last segment was sealed.
    pub(crate) is_sealed: bool,
}

/// The running thread.
pub(crate) struct Writing {
    thread: JoinHandle<Written>,
    hurries: Arc<AtomicBool>,
}

impl Writing {
    /// Starts the thread once the session's record is safely in the store.
    ///
    /// # Errors
    /// What the store says to the first record: a capture that cannot record does not begin.
    pub(crate) fn start(setup: Setup, queue: Receiver<Item>) -> Result<Self, StartError> {
        let hurries = Arc::new(AtomicBool::new(false));
        let sync_interval_ns = u64::try_from(setup.sync_interval.as_nanos()).unwrap_or(u64::MAX);
        let options = WriterOptions { dedup_bytes_max: setup.dedup_bytes_max, ..WriterOptions::default() };
        let session = (setup.session, setup.session_key);
        let notify = Arc::clone(&setup.notify);
        let output = Output::open(setup.store, options, session, setup.losses.clone(), setup.notify, hurries.clone());
        let worker = Worker {
            output: output.map_err(StartError::Store)?,
            clock: setup.clock,
            sync_interval_ns,
            segment_bytes_max: setup.segment_bytes_max,
            budget: setup.budget,
            losses: setup.losses,
            wanted: setup.wanted,
            open: HashMap::new(),
            replicas: Replicas::new(setup.replicas, setup.follows),
            waiting: VecDeque::new(),
            exchanges: 0,
            log_lines: 0,
            samples: 0,
            is_dirty: false,
            synced_ns: 0,
            clock_ns: 0,
            wall: WallWatch::from(setup.clock.pair()),
            notify,
        };
        let thread = thread::Builder::new().name("retake-write".to_owned()).spawn(move || worker.run(&queue));
        Ok(Self { thread: thread.map_err(StartError::Thread)?, hurries })
    }

    /// Waits until all that is in the queue is written, or cannot be. `Item::Stop` must have been sent.
    pub(crate) fn finish(self) -> Written {
        self.hurries.store(true, Ordering::Relaxed);
        self.thread.thread().unpark();
        // A writer that panicked has said so; what it had synced is there.
        self.thread.join().unwrap_or_default()
    }
}

/// Why the thread was not started.
#[derive(Debug)]
pub(crate) enum StartError {
    Store(StoreError),
    Thread(io::Error),
}

struct Worker {
    output: Output,
    clock: Clock,
    sync_interval_ns: u64,
    segment_bytes_max: u64,
    budget: Arc<Budget>,
    losses: Arc<Losses>,
    wanted: Wanted,
    /// Bodies of exchanges that have not ended, by sequence.
    open: HashMap<u64, Bodies>,
    replicas: Replicas,
    /// Exchanges that have ended and wait for their environment, in about the order of their ends.
    waiting: VecDeque<(Box<Exchange>, Held, Option<IpAddr>)>,
    exchanges: u64,
    log_lines: u64,
    samples: u64,
    is_dirty: bool,
    synced_ns: u64,
    clock_ns: u64,
    wall: WallWatch,
    notify: Notify,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Item>) -> Written {
        loop {
            match queue.recv_timeout(self.wait()) {
                Ok(Item::Stop) | Err(RecvTimeoutError::Disconnected) => return self.finish(),
                Ok(item) => self.take(item),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.do_what_is_due();
        }
    }

    fn wait(&self) -> Duration {
        let sync_ns = self.is_dirty.then(|| self.synced_ns.saturating_add(self.sync_interval_ns));
        let next = self.waiting.front().filter(|_| self.replicas.are_seen());
        // One that waits for a change to be looked at is settled by an item of its own.
        let settles_ns = next.map(|(exchange, ..)| self.replicas.settles_ns(exchange.times.ended_ns));
        let now_ns = self.clock.now_ns();
        let settles_ns = settles_ns.filter(|settles_ns| *settles_ns > now_ns);
        let due_ns = sync_ns.into_iter().chain(settles_ns).min();
        due_ns.map_or(LOOK_INTERVAL, |due_ns| Duration::from_nanos(due_ns.saturating_sub(now_ns)).min(LOOK_INTERVAL))
    }

    fn take(&mut self, item: Item) {
        self.is_dirty = true;
        match item {
            Item::Part { sequence, side, bytes, held, is_last } => {
                let body = self.open.entry(sequence).or_default().side(side);
                let lost = body.add(bytes, held, is_last || !self.budget.is_tight(), &mut self.output);
                self.losses.lose_bytes(lost);
            }
            Item::Exchange { exchange, held, peer } => {
                self.waiting.push_back((exchange, held, peer));
                if self.budget.is_tight() {
                    self.write_waiting();
                } else {
                    self.write_settled();
                }
            }
            Item::Forget { sequence } => drop(self.open.remove(&sequence)),
            Item::Lines { subject, lines, held } => {
                let count = lines.len() as u64;
                let record = Record::LogLines(LogLines { session: self.output.session(), subject, lines });
                match self.output.put(|writer| writer.append(&record)) {
                    Some(()) => self.log_lines += count,
                    None => self.losses.lose_lines(count),
                }
                drop(held);
            }
            Item::Event { event, held } => {
                let count = samples_in(&event);
                let record = Record::Event(*event);
                let put = self.output.put(|writer| writer.append(&record));
                self.samples += put.map_or(0, |()| count);
                drop(held);
            }
            Item::Changing(change) => self.replicas.change(change),
            Item::Environment(seen) => {
                self.see(&seen);
                self.write_settled();
            }
            Item::Stop => {}
        }
    }

    /// Takes what was seen of the environment: another one holds from now on.
    fn see(&mut self, seen: &Seen) {
        let digest = seen.fingerprint.as_ref().and_then(|seen| self.output.put(|writer| writer.put_fingerprint(seen)));
        if self.replicas.see(seen, digest) {
            self.output.set_environment(seen, digest);
        }
    }

    /// Writes what need not wait any longer.
    fn write_settled(&mut self) {
        while self.replicas.are_seen()
            && let Some((exchange, ..)) = self.waiting.front()
            && self.replicas.is_settled(exchange.times.ended_ns, self.clock.now_ns())
            && let Some((exchange, held, peer)) = self.waiting.pop_front()
        {
            self.write_exchange(exchange, peer);
            drop(held);
        }
    }

    fn write_waiting(&mut self) {
        for (exchange, held, peer) in std::mem::take(&mut self.waiting) {
            self.write_exchange(exchange, peer);
            drop(held);
        }
    }

    fn write_exchange(&mut self, mut exchange: Box<Exchange>, peer: Option<IpAddr>) {
        let bodies = self.open.remove(&exchange.sequence).unwrap_or_default();
        bodies.describe(&mut exchange, &self.wanted);
        keep_to_ticks(&mut exchange);
        let mut ran_in = self.replicas.of(peer, exchange.times.started_ns, exchange.times.ended_ns);
        if matches!(exchange.end, End::Unreachable { .. }) {
            // It reached neither the one nor the other.
            ran_in.doubt = None;
        } else {
            self.replicas.note_served();
        }
        let named = self.replicas.fingerprints(&ran_in).filter(|(digest, _)| !self.output.is_in(digest));
        let named: Vec<_> = named.map(|(_, fingerprint)| fingerprint).collect();
        (exchange.fingerprint, exchange.context.doubt) = (ran_in.digest, ran_in.doubt.clone());
        self.is_dirty = true;
        let response_len = exchange.response.as_ref().map_or(0, |response| response.body.len);
        let body_bytes = exchange.request.body.len + response_len;
        // A record refers to pieces of its own file, which is to stand by itself: where that is full in between, all goes to
        // the next one.
        let mut record = Record::Exchange(exchange);
        let put = self.output.put(|writer| {
            let Record::Exchange(exchange) = &mut record else { unreachable!("it was made of one") };
            for fingerprint in &named {
                writer.put_fingerprint(fingerprint)?;
            }
            let lost = bodies.put(writer, exchange)?;
            writer.append(&record)?;
            Ok(lost)
        });
        match put {
            Some(lost) => {
                self.exchanges += 1;
                self.losses.lose_bytes(lost);
            }
            None => {
                self.losses.lose_exchange();
                self.losses.lose_bytes(body_bytes);
            }
        }
    }

    fn do_what_is_due(&mut self) {
        self.write_settled();
        let pair = self.clock.pair();
        let now_ns = pair.monotonic_ns;
        let set_by = self.wall.set_by(pair);
        if let Some(by_ns) = set_by {
            (self.notify)(Notice::ClockSet { by_ns });
        }
        if set_by.is_some() || now_ns.saturating_sub(self.clock_ns) >= CLOCK_INTERVAL_NS {
            self.clock_ns = now_ns;
            let record = Record::Clock { session: self.output.session(), pair };
            self.output.put(|writer| writer.append(&record));
            self.is_dirty = true;
        }
        if self.is_dirty && now_ns.saturating_sub(self.synced_ns) >= self.sync_interval_ns {
            self.output.put(bundle::Writer::sync);
            if self.budget.is_tight() {
                // Bodies that rest half way hold what others need.
                let lost = self.open.values_mut().map(|bodies| bodies.let_go(&mut self.output)).sum();
                self.losses.lose_bytes(lost);
            }
            self.synced_ns = self.clock.now_ns();
            self.is_dirty = false;
        }
        // Between two exchanges rather than within one, as long as that is possible, so that a segment stands by itself.
        let len = self.output.len();
        let is_full = len >= self.segment_bytes_max && !self.open.values().any(Bodies::has_parts);
        if is_full || len >= self.segment_bytes_max.saturating_mul(4) {
            self.output.rotate();
        }
    }

    fn finish(mut self) -> Written {
        self.write_waiting();
        let losses = &self.losses;
        let counts = SessionCounts {
            exchanges: self.exchanges,
            exchanges_missed: losses.exchanges.load(Ordering::Relaxed),
            body_bytes_missed: losses.body_bytes.load(Ordering::Relaxed),
            log_lines: self.log_lines,
            log_lines_missed: losses.log_lines.load(Ordering::Relaxed),
            samples: self.samples,
        };
        let end = SessionEnd { session: self.output.session(), clock: self.clock.pair(), counts };
        self.output.put(|writer| writer.append(&Record::SessionEnd(end.clone())));
        let (segments, is_sealed) = self.output.seal();
        Written { counts, segments, is_sealed }
    }
}

/// How many samples an event has.
fn samples_in(event: &Event) -> u64 {
    let rows = event.data["rows"].as_array().filter(|_| event.kind == event_kind::SAMPLES);
    rows.map_or(0, |rows| rows.len() as u64)
}

/// Keeps the times of an exchange's chunks to what is written of them. A connection of bytes keeps them whole: they alone say
/// what came before what.
fn keep_to_ticks(exchange: &mut Exchange) {
    if exchange.transport != Transport::Http1 {
        return;
    }
    let response = exchange.response.as_mut().map(|response| &mut response.body);
    for chunk in std::iter::once(&mut exchange.request.body).chain(response).flat_map(|body| &mut body.chunks) {
        chunk.at_ns -= chunk.at_ns % CHUNK_TICK_NS;
    }
}

/// Marks a body as one that the store failed to keep.
fn gap_of_failure(gap: Option<Gap>) -> Option<Gap> {
    Some(gap.unwrap_or(Gap::StoreFailed))
}

//! The segment that is being written, and what happens when it cannot be.
//!
//! In: operations on a [`Writer`]. Out: their results, after as many attempts as it takes; `None` when there is no hope or
//! no time left. A segment begins with the session and its environment, so that it stands by itself.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use bundle::{Record, Store, StoreError, WriteError, Writer, WriterOptions};
use exchange::{Digest, Event, Fingerprint, Holding, Id, Session, surroundings::event_kind};

use super::{Notice, Notify};
use crate::{
    error::with_causes,
    queue::{Losses, Seen},
};

/// How long the store is left alone after it has failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What a container runs in now.
struct Environment {
    digest: Option<Digest>,
    fingerprint: Fingerprint,
    /// Says since when, where a container is followed.
    holding: Option<Event>,
}

pub(super) struct Output {
    store: Store,
    options: WriterOptions,
    session: Session,
    session_key: [u8; 32],
    writer: Option<Writer>,
    /// What each of the service's containers runs in.
    environments: BTreeMap<usize, Environment>,
    segments: Vec<PathBuf>,
    losses: Arc<Losses>,
    notify: Notify,
    /// True when the capture is over and there is no more time to wait for the store.
    hurries: Arc<AtomicBool>,
}

impl Output {
    /// Begins the first segment with the session's record and syncs it. The session comes with what it derives ids with.
    pub(super) fn open(
        store: Store,
        options: WriterOptions,
        (session, session_key): (Session, [u8; 32]),
        losses: Arc<Losses>,
        notify: Notify,
        hurries: Arc<AtomicBool>,
    ) -> Result<Self, StoreError> {
        let mut output = Self {
            store,
            options,
            session,
            session_key,
            writer: None,
            environments: BTreeMap::new(),
            segments: Vec::new(),
            losses,
            notify,
            hurries,
        };
        output.begin_segment()?.sync()?;
        Ok(output)
    }

    pub(super) fn session(&self) -> Id {
        self.session.id
    }

    /// True for an environment that every segment begins with.
    pub(super) fn is_in(&self, digest: &Digest) -> bool {
        self.environments.values().any(|environment| environment.digest.as_ref() == Some(digest))
    }

    /// Length of the segment in bytes.
    pub(super) fn len(&self) -> u64 {
        self.writer.as_ref().map_or(0, Writer::len)
    }

    /// From now on exchanges ran in this environment.
    pub(super) fn set_environment(&mut self, seen: &Seen, digest: Option<Digest>) {
        let Some(fingerprint) = seen.fingerprint.clone() else { return };
        let (container, from_ns) = (seen.container.as_deref(), seen.from_ns);
        let ceased_ns = seen.ceased_ns.min(from_ns);
        let unix_ns = |at_ns: u64| self.session.started.wall_unix_ns.saturating_add(at_ns);
        let (from_unix_ns, ceased_unix_ns) = (unix_ns(from_ns), unix_ns(ceased_ns));
        let session = self.session.id;
        let event = |container: &str, at_ns, holding: &Holding| {
            let mut id = [0; 16];
            // Without chance there is no id, and without an id no record.
            getrandom::fill(&mut id).ok()?;
            let (kind, subject) = (event_kind::ENVIRONMENT.to_owned(), container.to_owned());
            let data = serde_json::to_value(holding).ok()?;
            let (id, session) = (Id(id), Some(session));
            Some(Event { id, session, at_ns, kind, actor: String::new(), subject, links: Vec::new(), data })
        };
        let before = self.environments.remove(&seen.replica).and_then(|before| before.holding);
        let ended = before.and_then(|before| {
            let (_, holding) = Holding::of(&before)?;
            event(&before.subject, ceased_ns, &Holding { until_unix_ns: Some(ceased_unix_ns), ..holding })
        });
        let began = container.zip(digest).and_then(|(container, fingerprint)| {
            event(container, from_ns, &Holding { fingerprint, from_unix_ns, until_unix_ns: None })
        });
        for event in ended.iter().chain(&began) {
            let record = Record::Event(event.clone());
            self.put(|writer| writer.append(&record));
        }
        self.environments.insert(seen.replica, Environment { digest, fingerprint, holding: began });
    }

    /// Does something with the segment's writer, again and again until it succeeds; `None` when it cannot.
    pub(super) fn put<T>(&mut self, mut operation: impl FnMut(&mut Writer) -> Result<T, WriteError>) -> Option<T> {
        loop {
            let may_wait = !self.hurries.load(Ordering::Relaxed);
            let done = match self.begin_segment() {
                Ok(writer) => operation(writer).map_err(StoreError::Segment),
                Err(error) => Err(error),
            };
            match done {
                Ok(result) => {
                    self.works();
                    return Some(result);
                }
                Err(StoreError::Segment(WriteError::Full { .. })) => self.rotate(),
                Err(StoreError::Segment(WriteError::TooLong { .. } | WriteError::Encode { .. })) => return None,
                Err(error) => {
                    if matches!(error, StoreError::Segment(WriteError::Sync { .. })) {
                        self.writer = None;
                    }
                    self.fails(&error);
                    if !may_wait {
                        return None;
                    }
                    thread::park_timeout(RETRY_INTERVAL);
                }
            }
        }
    }

    /// Seals the segment; the next operation begins another one.
    pub(super) fn rotate(&mut self) {
        let Some(writer) = self.writer.take() else { return };
        if let Err(error) = writer.seal() {
            // Its records are whole and readable all the same.
            self.fails(&StoreError::Segment(error));
        }
    }

    /// Seals the last segment; gives all of them, and whether that worked.
    pub(super) fn seal(mut self) -> (Vec<PathBuf>, bool) {
        let is_sealed = self.writer.take().is_some_and(|writer| writer.seal().is_ok());
        (self.segments, is_sealed)
    }

    /// The segment's writer; a new one begins with what its exchanges refer to.
    fn begin_segment(&mut self) -> Result<&mut Writer, StoreError> {
        match &mut self.writer {
            Some(_) => {}
            empty => {
                let mut writer = self.store.segment_writer_with(self.session.id, self.options)?;
                self.segments.push(writer.path().to_owned());
                writer.derive_ids(self.session.id, self.session_key);
                writer.append(&Record::Session(self.session.clone()))?;
                for environment in self.environments.values() {
                    writer.put_fingerprint(&environment.fingerprint)?;
                    if let Some(holding) = &environment.holding {
                        writer.append(&Record::Event(holding.clone()))?;
                    }
                }
                *empty = Some(writer);
            }
        }
        Ok(self.writer.as_mut().expect("it was made above where there was none"))
    }

    fn fails(&mut self, error: &StoreError) {
        if !self.losses.store_fails.swap(true, Ordering::Relaxed) {
            (self.notify)(Notice::StoreFails { reason: with_causes(error) });
        }
    }

    fn works(&mut self) {
        if self.losses.store_fails.swap(false, Ordering::Relaxed) {
            (self.notify)(Notice::StoreWorks);
        }
    }
}

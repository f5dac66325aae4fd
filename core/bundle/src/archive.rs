//! A reader over one bundle file, or over all files of a store.
//!
//! In: a path. Out: what there is (entries, sessions), and each record when it is asked for. Files are never locked and
//! nothing is changed; what a writer adds after opening is not seen. Damage and torn tails are listed and never served.

mod entries;
mod ids;
mod open_all;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering as Order},
    },
};

use exchange::{ClockPair, Digest, Id, Session, SessionEnd};

pub use self::entries::Entries;
use self::open_all::opened_all;
use crate::{
    Damage, Entry, FindError, OpenError, ReadAt, TornTail,
    cache::KeptBlocks,
    index::{Index, IndexedExchange, Place},
    segment::{Opened, Segment, Source},
    store,
    verify::{verify, verify_source},
};

/// Fewest hex digits of an id that are taken for it, as git has it.
const PREFIX_DIGITS_MIN: usize = 4;

/// Ids named by an ambiguous prefix.
const AMBIGUOUS_SHOWN_MAX: usize = 5;

/// Ids that are looked for one by one before all are sorted. A choice: sorting costs about as much as a dozen.
const LOOKED_MAX: u32 = 8;

/// An exchange of a file: numbers of both.
#[derive(Clone, Copy)]
struct Listed {
    file: u32,
    row: u32,
}

fn short(number: usize) -> u32 {
    u32::try_from(number).expect("a store has fewer files, and an index fewer exchanges, than that")
}

/// A reader over one bundle file, or over all files of a store.
pub struct Archive {
    segments: Vec<Segment>,
    /// What is listed, in the order in which it is.
    order: Vec<Listed>,
    /// Each id's number among the entries, in the order of the ids.
    by_id: OnceLock<Vec<(Id, usize)>>,
    /// How often an id was looked for without that.
    looked: AtomicU32,
    sessions: Vec<Session>,
    session_ends: Vec<SessionEnd>,
    clocks: BTreeMap<Id, Vec<ClockPair>>,
    damage: Vec<Damage>,
    torn: Vec<TornTail>,
    blocks: KeptBlocks,
}

impl Archive {
    /// Opens a sealed bundle, or a store folder with whatever state its files are in.
    ///
    /// Reads a sealed file's index alone and goes through all of an unsealed one. What is read later is checked then.
    ///
    /// # Errors
    /// See [`OpenError`]. A damaged file of a store is listed in [`Archive::damage`], and the others can be read.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Self::open_store(path);
        }
        let segment = Segment::open_sealed(path)?;
        Ok(Self::of(vec![segment], Vec::new(), Vec::new()))
    }

    /// Verifies every byte of a bundle or store, then opens it.
    ///
    /// # Errors
    /// `Damaged`, with every damage, where anything does not verify; a torn tail is none.
    pub fn open_verified(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            verify(path, &mut |_, _| {})?.into_result()?;
            return Self::open_store(path);
        }
        // One and the same open file is verified and read, whatever becomes of its name meanwhile.
        Self::of_source_verified(Source::open(path)?)
    }

    /// Opens a sealed bundle that is open already: a file without a name perhaps, or one that is on no disk of this machine.
    /// `name` is what it is called.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_file(file: impl ReadAt + 'static, name: &Path) -> Result<Self, OpenError> {
        let segment = Segment::of_sealed(Source::of(Arc::new(file), name)?)?;
        Ok(Self::of(vec![segment], Vec::new(), Vec::new()))
    }

    /// As [`Archive::open_file`], after every byte of it was verified.
    ///
    /// # Errors
    /// As [`Archive::open_verified`].
    pub fn open_file_verified(file: impl ReadAt + 'static, name: &Path) -> Result<Self, OpenError> {
        Self::of_source_verified(Source::of(Arc::new(file), name)?)
    }

    /// Opens the files of a store that is no folder: each open already, with what it is called, in whatever state it is in.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn open_files(files: Vec<(PathBuf, Arc<dyn ReadAt>)>) -> Result<Self, OpenError> {
        let paths: Vec<_> = files.iter().map(|(path, _)| path.clone()).collect();
        let opened = opened_all(&files, |(path, file)| Segment::of_any(Source::of(Arc::clone(file), path)?));
        Self::of_opened(&paths, opened)
    }

    fn of_source_verified(source: Source) -> Result<Self, OpenError> {
        verify_source(&source, &mut |_, _| {})?.into_result()?;
        Ok(Self::of(vec![Segment::of_sealed(source)?], Vec::new(), Vec::new()))
    }

    /// Opens a bundle or store whatever is wrong with it, as far as anything in it can be found. A bundle whose sealing does
    /// not hold is gone through block by block.
    ///
    /// # Errors
    /// As [`Archive::open`], where not even a beginning is there.
    pub(crate) fn open_damaged(path: &Path) -> Result<Self, OpenError> {
        if path.is_dir() {
            return Self::open_store(path);
        }
        let Opened { segment, damage, torn } = Segment::open_damaged(path)?;
        Ok(Self::of(vec![segment], damage, torn.into_iter().collect()))
    }

    /// Opens one file, sealed or not: of one that is being written, or whose writer is gone, all that is whole.
    ///
    /// # Errors
    /// As [`Archive::open`]; damage is listed.
    pub fn open_growing(path: &Path) -> Result<Self, OpenError> {
        let Opened { segment, damage, torn } = Segment::open_any(path)?;
        Ok(Self::of(vec![segment], damage, torn.into_iter().collect()))
    }

    fn open_store(folder: &Path) -> Result<Self, OpenError> {
        let paths = store::segment_paths(folder)?;
        let opened = opened_all(&paths, |path| Segment::open_any(path));
        Self::of_opened(&paths, opened)
    }

    /// What was opened of a store's files, each beside its path.
    fn of_opened(paths: &[PathBuf], opened: Vec<Result<Opened, OpenError>>) -> Result<Self, OpenError> {
        let mut segments = Vec::new();
        let mut damage = Vec::new();
        let mut torn = Vec::new();
        for (path, opened) in paths.iter().zip(opened) {
            match opened {
                Ok(Opened { segment, damage: more, torn: tail }) => {
                    segments.push(segment);
                    damage.extend(more);
                    torn.extend(tail);
                }
                Err(OpenError::NotABundle { .. }) => damage.push(store::no_segment(path.clone())),
                Err(OpenError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                    // Removed since the folder was listed.
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self::of(segments, damage, torn))
    }

    /// Moves what the archive keeps itself out of the files' indexes: nothing is in memory twice. Exchanges stay there.
    fn of(mut segments: Vec<Segment>, damage: Vec<Damage>, torn: Vec<TornTail>) -> Self {
        let mut archive = Self {
            order: Vec::new(),
            by_id: OnceLock::new(),
            looked: AtomicU32::new(0),
            sessions: taken(&mut segments, |index| &mut index.sessions, |session| session.id),
            session_ends: taken(&mut segments, |index| &mut index.session_ends, |end| end.session),
            clocks: clocks_of(&mut segments),
            segments,
            damage,
            torn,
            blocks: KeptBlocks::default(),
        };
        archive.sessions.sort_by_key(|session| (session.started.wall_unix_ns, session.id));
        archive.list_entries();
        archive
    }

    /// Lists exchanges by their session's start, session and sequence; one that two files have, once.
    fn list_entries(&mut self) {
        let runs = self.segments.iter().flat_map(|segment| &segment.index.runs);
        let runs = runs.map(|run| (run.id, run.started.wall_unix_ns));
        let sessions = self.sessions.iter().map(|session| (session.id, session.started.wall_unix_ns));
        let started: BTreeMap<Id, u64> = runs.chain(sessions).collect();
        let count = self.segments.iter().map(|segment| segment.index.exchanges.len()).sum();
        let mut seen = HashSet::with_capacity_and_hasher(count, ids::Hashing::default());
        let mut order = Vec::with_capacity(count);
        for (file, segment) in self.segments.iter().enumerate() {
            let new = segment.index.exchanges.iter().enumerate().filter(|(_, it)| seen.insert(it.entry.id));
            order.extend(new.map(|(row, _)| Listed { file: short(file), row: short(row) }));
        }
        let start = |entry: &Entry| started.get(&entry.session);
        let by_order = |one: &Listed, other: &Listed| {
            let [one, other] = [one, other].map(|it| &self.indexed(*it).entry);
            let by_session = || start(one).cmp(&start(other)).then(one.session.cmp(&other.session));
            let session = if one.session == other.session { Ordering::Equal } else { by_session() };
            session.then_with(|| (one.sequence, one.id).cmp(&(other.sequence, other.id)))
        };
        // Files are mostly in the order in which they were begun, and so is what is in them: this is quick.
        order.sort_by(by_order);
        self.order = order;
    }

    fn indexed(&self, Listed { file, row }: Listed) -> &IndexedExchange {
        &self.segments[file as usize].index.exchanges[row as usize]
    }

    /// All exchanges, by their session's start on the wall clock, their session, and their number in it.
    pub fn entries(&self) -> Entries<'_> {
        Entries { archive: self }
    }

    /// What is listed of one exchange.
    pub fn entry(&self, id: &Id) -> Option<&Entry> {
        self.number_of(id).map(|number| &self.indexed(self.order[number]).entry)
    }

    /// The one exchange whose id begins with these hex digits, four at least.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn resolve(&self, prefix: &str) -> Result<Id, FindError> {
        let digits = prefix.to_ascii_lowercase();
        let is_prefix =
            (PREFIX_DIGITS_MIN..=32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let prefix = || prefix.chars().take(80).collect();
        if !is_prefix {
            return Err(FindError::NoPrefix { prefix: prefix(), shortest: PREFIX_DIGITS_MIN });
        }
        let by_id = self.by_id();
        let from = by_id.partition_point(|(id, _)| id.to_string() < digits);
        let found = by_id[from..].iter().take_while(|(id, _)| id.to_string().starts_with(&digits));
        let ids: Vec<_> = found.map(|(id, _)| *id).collect();
        match ids[..] {
            [] => Err(FindError::NotFound { prefix: prefix() }),
            [id] => Ok(id),
            _ => {
                let some = ids.iter().take(AMBIGUOUS_SHOWN_MAX).copied().collect();
                Err(FindError::Ambiguous { prefix: prefix(), count: ids.len(), some })
            }
        }
    }

    /// Capture sessions, by their start on the wall clock.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// When sessions and runs began, by the wall clock, in nanoseconds since 1970.
    pub fn began_unix_ns(&self) -> BTreeMap<Id, u64> {
        let runs = self.segments.iter().flat_map(|segment| &segment.index.runs);
        let runs = runs.map(|run| (run.id, run.started.wall_unix_ns));
        self.sessions.iter().map(|session| (session.id, session.started.wall_unix_ns)).chain(runs).collect()
    }

    /// How sessions ended; one that was cut off has none.
    pub fn session_ends(&self) -> &[SessionEnd] {
        &self.session_ends
    }

    /// Both clocks of a session as they were read each minute, in that order.
    pub fn clocks(&self, session: &Id) -> &[ClockPair] {
        self.clocks.get(session).map(Vec::as_slice).unwrap_or_default()
    }

    /// The bundle's digest, where this is one sealed file.
    pub fn digest(&self) -> Option<Digest> {
        match &self.segments[..] {
            [segment] => segment.seal.as_ref().map(|seal| seal.digest),
            _ => None,
        }
    }

    /// Damage found on opening the files of a store.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// Tails of files whose writers were cut off, or are writing.
    pub fn torn(&self) -> &[TornTail] {
        &self.torn
    }

    /// The files.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Blocks that were read lately.
    pub(crate) fn blocks(&self) -> &KeptBlocks {
        &self.blocks
    }

    /// Where an exchange's record stands.
    pub(crate) fn place_of(&self, id: &Id) -> Option<(usize, Place)> {
        let listed = self.order[self.number_of(id)?];
        Some((listed.file as usize, self.indexed(listed).at))
    }

    /// Sorted when it is first asked for: a list of a million exchanges needs no ids.
    fn by_id(&self) -> &[(Id, usize)] {
        self.by_id.get_or_init(|| {
            let mut by_id: Vec<_> =
                self.entries().iter().enumerate().map(|(number, entry)| (entry.id, number)).collect();
            by_id.sort_unstable();
            by_id
        })
    }

    /// The first few are looked for one by one: sorting takes longer than that.
    fn number_of(&self, id: &Id) -> Option<usize> {
        let is_sorted = self.by_id.get().is_some();
        if !is_sorted && self.looked.fetch_add(1, Order::Relaxed) < LOOKED_MAX {
            return self.entries().iter().position(|entry| entry.id == *id);
        }
        let by_id = self.by_id();
        let found = by_id.binary_search_by_key(id, |(other, _)| *other).ok()?;
        Some(by_id[found].1)
    }
}

/// Takes one list out of all files' indexes, and keeps the first of those with equal keys.
fn taken<T, K: Eq + std::hash::Hash>(
    segments: &mut [Segment],
    list: fn(&mut Index) -> &mut Vec<T>,
    key: fn(&T) -> K,
) -> Vec<T> {
    let mut seen = HashSet::new();
    let all = segments.iter_mut().flat_map(|segment| std::mem::take(list(&mut segment.index)));
    all.filter(|item| seen.insert(key(item))).collect()
}

/// What all files have in one list of their index, the first of those with equal keys.
pub(crate) fn merged<T: Clone, K: Eq + std::hash::Hash>(
    segments: &[Segment],
    list: fn(&Index) -> &Vec<T>,
    key: fn(&T) -> K,
) -> Vec<T> {
    let mut seen = HashSet::new();
    let all = segments.iter().flat_map(|segment| list(&segment.index));
    all.filter(|item| seen.insert(key(item))).cloned().collect()
}

fn clocks_of(segments: &mut [Segment]) -> BTreeMap<Id, Vec<ClockPair>> {
    let mut clocks: BTreeMap<Id, Vec<ClockPair>> = BTreeMap::new();
    for clock in segments.iter_mut().flat_map(|segment| std::mem::take(&mut segment.index.clocks)) {
        clocks.entry(clock.session).or_default().push(clock.pair);
    }
    for pairs in clocks.values_mut() {
        pairs.sort_unstable_by_key(|pair| (pair.monotonic_ns, pair.wall_unix_ns));
        pairs.dedup();
    }
    clocks
}

#[cfg(test)]
mod tests;

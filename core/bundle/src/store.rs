//! The folder that captures go to.
//!
//! In: a path. Out: writers of new segments, the redaction key, and torn tails cut off. Everything in the folder but the
//! key can be made again from its segments; reading them is the archive's work.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use exchange::Id;
use rustix::fs::FlockOperation;

use crate::{
    Damage, EXTENSION, OpenError, StoreError, TornTail, WriteError, Writer, WriterOptions,
    disk::{self, sync_folder_of},
    layout::OPENING_LEN,
    segment::Source,
    walk::{Bounds, walk},
};

/// The file that makes a folder a store.
pub const STORE_MARKER: &str = "retake-store";
/// What stands in it.
pub const STORE_MARKER_TEXT: &str = "retake store, format 1\n";
/// The file of the redaction key.
const KEY: &str = "key";
const KEY_LEN: usize = 32;
/// The folder of a store's segments.
pub const STORE_SEGMENTS: &str = "segments";
const RUNS: &str = "runs";

/// A store folder.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Opens a store, or makes one (mode 0700) where there is nothing or an empty folder.
    ///
    /// # Errors
    /// `NotAStore` for a folder with other things in it; `OtherFormat`, `Io`.
    pub fn open_or_create(folder: &Path) -> Result<Self, StoreError> {
        let store = Self { folder: folder.to_owned() };
        make_folder(folder)?;
        if !store.check_marker()? {
            // Whoever makes a store places the marker first: where more is seen, it has to be there by now.
            if store.has_other_things()? && !store.check_marker()? {
                return Err(StoreError::NotAStore { path: folder.to_owned() });
            }
            store.place(STORE_MARKER, STORE_MARKER_TEXT.as_bytes())?;
        }
        make_folder(&folder.join(STORE_SEGMENTS))?;
        make_folder(&folder.join(RUNS))?;
        Ok(store)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The folder of runs: each is a bundle file.
    pub fn runs_dir(&self) -> PathBuf {
        self.folder.join(RUNS)
    }

    /// The key that secrets are replaced with, made when there is none. It never enters a bundle.
    ///
    /// # Errors
    /// `BadKey` where the file has another length; `Io`.
    pub fn redaction_key(&self) -> Result<[u8; KEY_LEN], StoreError> {
        let path = self.folder.join(KEY);
        if !path.exists() {
            let mut key = [0; KEY_LEN];
            getrandom::fill(&mut key).map_err(|error| failed("make a key for", &path)(io::Error::from(error)))?;
            self.place(KEY, &key)?;
        }
        // Of two processes that made one at the same time, both read the one that came first.
        let bytes = fs::read(&path).map_err(failed("read", &path))?;
        let len = bytes.len() as u64;
        bytes.try_into().map_err(|_| StoreError::BadKey { path, len })
    }

    /// A writer of a new segment of this session, locked for as long as it lives.
    ///
    /// # Errors
    /// `Segment` where the file cannot be made.
    pub fn segment_writer(&self, session: Id) -> Result<Writer, StoreError> {
        self.segment_writer_with(session, WriterOptions::default())
    }

    /// Like [`Store::segment_writer`], with other settings.
    ///
    /// # Errors
    /// As [`Store::segment_writer`].
    pub fn segment_writer_with(&self, session: Id, options: WriterOptions) -> Result<Writer, StoreError> {
        for number in 0_u32.. {
            let path = numbered_segment_path(&self.folder, session, number);
            match Writer::create_with(&path, options) {
                Err(WriteError::Create { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok(created?),
            }
        }
        unreachable!("a folder never has four billion files of one session")
    }

    /// A writer of a run's bundle, `runs/<id>.retake`.
    ///
    /// # Errors
    /// `Segment` where the file cannot be made, or is there.
    pub fn run_writer(&self, run: Id) -> Result<Writer, StoreError> {
        Ok(Writer::create(&self.runs_dir().join(format!("{run}.{EXTENSION}")))?)
    }

    /// The files of all runs, sorted by name.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn run_paths(&self) -> Result<Vec<PathBuf>, OpenError> {
        run_paths(&self.folder)
    }

    /// Cuts off what writers that are no longer alive had not finished, and names it. Nothing else is changed.
    ///
    /// # Errors
    /// `Io`. Files of other formats and damage inside a file are left as they are.
    pub fn recover(&self) -> Result<Vec<TornTail>, StoreError> {
        let mut paths = bundle_paths(&self.folder.join(STORE_SEGMENTS))
            .map_err(failed("read", &self.folder.join(STORE_SEGMENTS)))?;
        paths.extend(bundle_paths(&self.runs_dir()).map_err(failed("read", &self.runs_dir()))?);
        let recovered = paths.iter().map(|path| recover_file(path).map_err(failed("recover", path)).transpose());
        recovered.flatten().collect()
    }

    /// True when the folder says that it is a store, false when it says nothing.
    fn check_marker(&self) -> Result<bool, StoreError> {
        let path = self.folder.join(STORE_MARKER);
        match fs::read(&path) {
            Ok(text) if text == STORE_MARKER_TEXT.as_bytes() => Ok(true),
            Ok(text) => {
                let found = String::from_utf8_lossy(&text[..text.len().min(80)]).trim_end().to_owned();
                Err(StoreError::OtherFormat { path, found, known: STORE_MARKER_TEXT.trim_ascii_end() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// True when anything is in the folder that is not a marker in the making.
    fn has_other_things(&self) -> Result<bool, StoreError> {
        for entry in fs::read_dir(&self.folder).map_err(failed("read", &self.folder))? {
            let name = entry.map_err(failed("read", &self.folder))?.file_name();
            if !name.to_string_lossy().starts_with(STORE_MARKER) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes a file of mode 0600 with this content, whole or not at all; one that is there stays.
    fn place(&self, name: &str, content: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(name);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| failed("create", &path)(io::Error::from(error)))?;
        let temporary = self.folder.join(format!("{STORE_MARKER}.{:016x}.tmp", u64::from_le_bytes(random)));
        let placed = disk::write_new(&temporary, content).and_then(|()| disk::link(&temporary, &path));
        let removed = disk::remove(&temporary);
        match placed {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create", &path)(error)),
            _ => removed.map_err(failed("remove", &temporary))?,
        }
        sync_folder_of(&path).map_err(failed("sync", &self.folder))
    }
}

/// A folder that is made has its name on the disk before anything is put into it: what is synced later is found again.
fn make_folder(folder: &Path) -> Result<(), StoreError> {
    let is_missing = |it: &&Path| !it.as_os_str().is_empty() && !it.exists();
    let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("create", folder))?;
    missing.into_iter().rev().try_for_each(|made| sync_folder_of(made).map_err(failed("sync", made)))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// Cuts off the torn tail of a file whose writer is dead.
fn recover_file(path: &Path) -> io::Result<Option<TornTail>> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    // Only a writer that is alive could change it from here on, and there is none.
    let Ok(source) = Source::open(path) else { return Ok(None) };
    let end = whole_len(&source)?;
    if end >= source.len {
        return Ok(None);
    }
    file.set_len(end)?;
    file.sync_all()?;
    Ok(Some(TornTail { path: path.to_owned(), offset: end, len: source.len - end }))
}

/// Where the whole blocks of records end; the file's length where there is nothing to cut.
fn whole_len(source: &Source) -> io::Result<u64> {
    if source.len < OPENING_LEN {
        return Ok(0);
    }
    if source.check_opening().is_err() || source.footer().is_ok_and(|footer| footer.is_some()) {
        return Ok(source.len);
    }
    let mut end = source.len;
    // A power loss may leave a block unfinished before the one that is cut off here.
    loop {
        let mut bounds = Bounds::from(OPENING_LEN);
        let held = walk(&*source.file, OPENING_LEN..end, &mut |step| {
            bounds.take(&step);
            Ok(())
        })?;
        if bounds.is_footer(&(held..source.len)) {
            return Ok(source.len);
        }
        if bounds.records_end == end {
            return Ok(end);
        }
        end = bounds.records_end;
    }
}

/// The first segment of a session in a store.
pub(crate) fn new_segment_path(folder: &Path, session: Id) -> PathBuf {
    numbered_segment_path(folder, session, 0)
}

fn numbered_segment_path(folder: &Path, session: Id, number: u32) -> PathBuf {
    folder.join(STORE_SEGMENTS).join(format!("{session}-{number:03}.{EXTENSION}"))
}

/// The files of a store's segments, sorted by name.
pub(crate) fn segment_paths(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    paths_of(folder, STORE_SEGMENTS)
}

/// The files of a store's runs, sorted by name.
pub(crate) fn run_paths(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    paths_of(folder, RUNS)
}

fn paths_of(folder: &Path, room: &str) -> Result<Vec<PathBuf>, OpenError> {
    if !folder.join(STORE_MARKER).is_file() {
        return Err(OpenError::NotAStore { path: folder.to_owned() });
    }
    let room = folder.join(room);
    bundle_paths(&room).map_err(|source| OpenError::Io { path: room.clone(), source })
}

/// Bundle files of a folder, sorted by name; none where there is no folder.
fn bundle_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_bundle = entry.path().extension().is_some_and(|extension| extension == EXTENSION);
        if is_bundle && entry.file_type()?.is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// Files in the making, which no reader looks at.
pub(crate) fn temporary_paths(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for room in [STORE_SEGMENTS, RUNS].map(|room| folder.join(room)) {
        let entries = match fs::read_dir(&room) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries.map_err(failed("read", &room))?,
        };
        for entry in entries {
            let path = entry.map_err(failed("read", &room))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') && name.ends_with(".tmp") && name.contains(&format!(".{EXTENSION}.")) {
                paths.push(path);
            }
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The damage of a file in a store that does not begin like a bundle.
pub(crate) fn no_segment(path: PathBuf) -> Damage {
    Damage { path, range: 0..OPENING_LEN, what: "the opening is not what was written".to_owned(), costs: Vec::new() }
}

#[cfg(test)]
mod tests;

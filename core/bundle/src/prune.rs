//! What a store no longer has to keep: planned first, then taken away.
//!
//! In: a store, how old and how much may stay, and the time. Out: a [`Plan`], file by file, and its carrying out. A file that
//! a writer has, and one that is damaged, stays as it is and is named. A file of which all goes is removed; of which part
//! goes, written again.

mod plan;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use exchange::Id;

pub use self::plan::{Action, FilePlan, Limits, Plan};
use self::plan::{Age, FileState};
use crate::{
    Archive, ExportError, OpenError, ReadError, StoreError, WriteError, disk,
    rewrite::{Held, Stays, rewrite},
    store,
};

/// Why a store could not be pruned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PruneError {
    /// It cannot be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A record of it cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file cannot be written again.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A file cannot take the place of the one before.
    #[error(transparent)]
    Place(#[from] ExportError),
    /// A file cannot be removed.
    #[error(transparent)]
    Remove(#[from] StoreError),
}

impl PruneError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.help(),
            Self::Read(error) => error.help(),
            Self::Write(error) => error.help(),
            Self::Place(error) => error.help(),
            Self::Remove(error) => error.help(),
        }
    }
}

/// Plans what goes of the store at `folder`, `now_unix_ns` being the time. Nothing is changed.
///
/// # Errors
/// Where it is no store, or cannot be read.
pub fn plan(folder: &Path, limits: Limits, now_unix_ns: u64) -> Result<Plan, PruneError> {
    let mut files = Vec::new();
    for (path, is_run) in paths(folder)? {
        files.push(look_at(path, is_run)?);
    }
    Ok(Plan::of(files, leftovers(folder)?, limits, now_unix_ns))
}

/// Carries out a plan: one file after another, each wholly or not at all. What a writer took meanwhile stays.
///
/// # Errors
/// The first that was met; what was done before stays done.
pub fn apply(plan: &Plan) -> Result<(), PruneError> {
    for path in &plan.leftovers {
        remove(path)?;
    }
    for file in plan.files.iter().filter(|file| !matches!(file.action, Action::Keep { .. })) {
        let Some(_held) = Held::of(&file.path)? else { continue };
        match &file.action {
            Action::Keep { .. } => {}
            Action::Remove => remove(&file.path)?,
            Action::Rewrite { goes, before_unix_ns } => {
                let archive = Archive::open_growing(&file.path)?;
                let started = archive.began_unix_ns();
                let is_old = |session: &Id, at_ns: u64| {
                    started.get(session).is_some_and(|begin| begin.saturating_add(at_ns) < *before_unix_ns)
                };
                let stays = Stays {
                    exchange: &|entry| !goes.contains(&entry.id),
                    event: &|event| {
                        let of_gone = !event.links.is_empty() && event.links.iter().all(|id| goes.contains(id));
                        !of_gone && !event.session.is_some_and(|session| is_old(&session, event.at_ns))
                    },
                    line: &|session, line| !is_old(session, line.at_ns),
                    run: &|_| true,
                    noise: true,
                    tombstone: None,
                    answers: None,
                    added: None,
                };
                rewrite(&archive, &file.path, &stays)?;
            }
        }
    }
    Ok(())
}

/// All files with records, runs last.
fn paths(folder: &Path) -> Result<Vec<(PathBuf, bool)>, OpenError> {
    let segments = store::segment_paths(folder)?.into_iter().map(|path| (path, false));
    let runs = store::run_paths(folder)?.into_iter().map(|path| (path, true));
    Ok(segments.chain(runs).collect())
}

fn look_at(path: PathBuf, is_run: bool) -> Result<FileState, PruneError> {
    let metadata = fs::metadata(&path).ok();
    let bytes = metadata.as_ref().map_or(0, fs::Metadata::len);
    let mut state =
        FileState { path, is_run, bytes, held: None, ages: Vec::new(), newest_unix_ns: 0, repeats: BTreeSet::new() };
    if Held::of(&state.path)?.is_none() {
        state.held = Some("a capture or a replay writes to it".to_owned());
        return Ok(state);
    }
    let archive = match Archive::open_growing(&state.path) {
        Ok(archive) => archive,
        Err(OpenError::NotABundle { .. } | OpenError::Damaged { .. }) => {
            state.held = Some("it is damaged: `retake verify` says where".to_owned());
            return Ok(state);
        }
        Err(error) => return Err(error.into()),
    };
    if !archive.damage().is_empty() {
        state.held = Some("it is damaged: `retake verify` says where".to_owned());
        return Ok(state);
    }
    let started = archive.began_unix_ns();
    state.newest_unix_ns = started.values().copied().max().unwrap_or_default();
    // What tells of what was scrubbed is as old as the scrub.
    let scrubbed = archive.tombstones()?.into_iter().map(|stone| stone.scrubbed_unix_ns);
    state.newest_unix_ns = scrubbed.fold(state.newest_unix_ns, u64::max);
    for entry in archive.entries() {
        let begin = started.get(&entry.session).copied().unwrap_or_default();
        let ended_unix_ns = begin.saturating_add(entry.ended_ns);
        state.newest_unix_ns = state.newest_unix_ns.max(ended_unix_ns);
        state.repeats.extend(entry.original);
        state.ages.push(Age { id: entry.id, parent: entry.parent, ended_unix_ns });
    }
    if state.newest_unix_ns == 0 {
        // Nothing in it has a time, as in a noise profile alone: it is as old as the file.
        let written = metadata.and_then(|it| it.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        state.newest_unix_ns = written.map_or(0, |it| u64::try_from(it.as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(state)
}

/// Files in the making whose writers were cut off.
pub(crate) fn leftovers(folder: &Path) -> Result<Vec<PathBuf>, PruneError> {
    let mut found = Vec::new();
    for path in store::temporary_paths(folder)? {
        if Held::of(&path)?.is_some() {
            found.push(path);
        }
    }
    Ok(found)
}

pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match disk::remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    removed.and_then(|()| disk::sync_folder_of(path)).map_err(|source| StoreError::Io {
        action: "remove",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;

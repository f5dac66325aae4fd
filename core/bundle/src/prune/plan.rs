//! Decides what goes. In: what the files hold, limits, the time. Out: a plan. Pure.

use std::{collections::BTreeSet, path::PathBuf};

use exchange::Id;

/// How much may stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// What ended longer ago goes, in nanoseconds; `None` for no limit.
    pub age_ns_max: Option<u64>,
    /// Where the files have more bytes between them, whole files go, the oldest first; `None` for no limit.
    pub bytes_max: Option<u64>,
}

/// What goes of a store, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// All files with records: segments, then runs, each by name.
    pub files: Vec<FilePlan>,
    /// Files in the making that nobody makes any more: they go.
    pub leftovers: Vec<PathBuf>,
    /// Runs that stay and repeat exchanges that go, with how many.
    pub runs_left: Vec<(PathBuf, u64)>,
    /// Bytes that the files have above `bytes_max` even so; what is written again gets smaller, which is not known before.
    pub bytes_over: u64,
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// The file.
    pub path: PathBuf,
    /// True for a run.
    pub is_run: bool,
    /// Its length.
    pub bytes: u64,
    /// Exchanges in it.
    pub exchanges: u64,
    /// What becomes of it.
    pub action: Action,
}

impl FilePlan {
    /// Exchanges of it that go.
    pub fn exchanges_gone(&self) -> u64 {
        match &self.action {
            Action::Keep { .. } => 0,
            Action::Remove => self.exchanges,
            Action::Rewrite { goes, .. } => goes.len() as u64,
        }
    }
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It stays as it is.
    Keep {
        /// Why, though it was not looked whether it is old: somebody writes to it, or it is damaged.
        held: Option<String>,
    },
    /// It is removed.
    Remove,
    /// It is written again.
    Rewrite {
        /// Without these exchanges.
        goes: BTreeSet<Id>,
        /// And without what happened or was logged before.
        before_unix_ns: u64,
    },
}

/// What a file holds.
pub(super) struct FileState {
    pub(super) path: PathBuf,
    pub(super) is_run: bool,
    pub(super) bytes: u64,
    /// Why it stays in any case.
    pub(super) held: Option<String>,
    pub(super) ages: Vec<Age>,
    /// When the last of it ended; without exchanges, when it began.
    pub(super) newest_unix_ns: u64,
    /// In a run: the exchanges that it repeats.
    pub(super) repeats: BTreeSet<Id>,
}

/// How old an exchange is, and whose it is.
pub(super) struct Age {
    pub(super) id: Id,
    pub(super) parent: Option<Id>,
    pub(super) ended_unix_ns: u64,
}

impl Plan {
    /// What goes of these files.
    pub(super) fn of(files: Vec<FileState>, leftovers: Vec<PathBuf>, limits: Limits, now_unix_ns: u64) -> Self {
        let before_unix_ns = limits.age_ns_max.map_or(0, |age| now_unix_ns.saturating_sub(age));
        let mut actions: Vec<Action> = files.iter().map(|file| by_age(file, before_unix_ns)).collect();
        let bytes_over = by_size(&files, &mut actions, limits.bytes_max);
        let gone: BTreeSet<Id> = files.iter().zip(&actions).flat_map(|(file, action)| gone(file, action)).collect();
        let runs_left = files.iter().zip(&actions).filter(|(_, action)| **action != Action::Remove);
        let runs_left = runs_left.map(|(file, _)| (file.path.clone(), file.repeats.intersection(&gone).count() as u64));
        Self {
            runs_left: runs_left.filter(|(_, count)| *count > 0).collect(),
            leftovers,
            bytes_over,
            files: files
                .into_iter()
                .zip(actions)
                .map(|(FileState { path, is_run, bytes, ages, .. }, action)| FilePlan {
                    path,
                    is_run,
                    bytes,
                    exchanges: ages.len() as u64,
                    action,
                })
                .collect(),
        }
    }

    /// True when nothing goes.
    pub fn is_empty(&self) -> bool {
        self.leftovers.is_empty() && self.files.iter().all(|file| matches!(file.action, Action::Keep { .. }))
    }
}

/// A run goes as a whole or not at all. A call goes with the exchange on whose behalf it was made, where that is known.
fn by_age(file: &FileState, before_unix_ns: u64) -> Action {
    if file.held.is_some() {
        return Action::Keep { held: file.held.clone() };
    }
    if file.newest_unix_ns < before_unix_ns {
        return Action::Remove;
    }
    if file.is_run {
        return Action::Keep { held: None };
    }
    let young: BTreeSet<Id> =
        file.ages.iter().filter(|age| age.ended_unix_ns >= before_unix_ns).map(|age| age.id).collect();
    let here: BTreeSet<Id> = file.ages.iter().map(|age| age.id).collect();
    let decides = |age: &Age| age.parent.filter(|parent| here.contains(parent)).unwrap_or(age.id);
    let goes: BTreeSet<Id> = file.ages.iter().filter(|age| !young.contains(&decides(age))).map(|age| age.id).collect();
    if goes.is_empty() { Action::Keep { held: None } } else { Action::Rewrite { goes, before_unix_ns } }
}

/// Removes whole files, the oldest first, until the others have no more bytes than that; says how many are too many still.
fn by_size(files: &[FileState], actions: &mut [Action], bytes_max: Option<u64>) -> u64 {
    let Some(bytes_max) = bytes_max else { return 0 };
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|&at| (files[at].newest_unix_ns, at));
    let staying = |actions: &[Action]| -> u64 {
        files.iter().zip(actions).filter(|(_, action)| **action != Action::Remove).map(|(file, _)| file.bytes).sum()
    };
    for at in order {
        if staying(actions) <= bytes_max {
            return 0;
        }
        if files[at].held.is_none() {
            actions[at] = Action::Remove;
        }
    }
    staying(actions).saturating_sub(bytes_max)
}

fn gone(file: &FileState, action: &Action) -> Vec<Id> {
    match action {
        Action::Keep { .. } => Vec::new(),
        Action::Remove => file.ages.iter().map(|age| age.id).collect(),
        Action::Rewrite { goes, .. } => goes.iter().copied().collect(),
    }
}

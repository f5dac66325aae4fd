//! A folder's content in so few entries that they fit a recording, and where another folder first differs from them.
//!
//! In: everything in a folder, by path. Out: at most [`ENTRIES_MAX`] entries that together cover all of it. Folders are opened
//! from the top as long as there is room; one that is not stands for all below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use exchange::MountEntry;

use super::{Entry, digest_of, join};

/// Most entries of an outline. A choice: some 15 KB in a fingerprint, and most folders of models have fewer files.
pub(super) const ENTRIES_MAX: usize = 128;

/// Where a folder first differs from a recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Something is not there.
    Missing(String),
    /// Something is there that was not.
    Extra(String),
    /// A file has other content, or is no file any more.
    Other(String),
    /// Something in a folder, which was recorded as a whole.
    Inside(String),
    /// One of these files, of which no digest of its own is kept as they may hold secrets.
    Secrets(Vec<String>),
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing(path) => write!(formatter, "`{path}` is missing"),
            Self::Extra(path) => write!(formatter, "`{path}` was not there"),
            Self::Other(path) => write!(formatter, "`{path}` differs"),
            Self::Inside(path) => write!(formatter, "something in `{path}/` differs"),
            Self::Secrets(paths) => {
                let paths: Vec<_> = paths.iter().map(|path| format!("`{path}`")).collect();
                let of_several = if paths.len() == 1 { "" } else { "one of " };
                write!(formatter, "{of_several}{} differs", paths.join(", "))
            }
        }
    }
}

type ByPath = BTreeMap<Vec<u8>, Entry>;

pub(super) fn of(entries: &ByPath) -> Vec<MountEntry> {
    // What cannot be named in JSON would be named wrongly.
    if entries.keys().any(|path| std::str::from_utf8(path).is_err()) {
        return Vec::new();
    }
    let mut listed: BTreeSet<Vec<u8>> = children(entries, b"").into_iter().collect();
    if listed.len() > ENTRIES_MAX {
        return Vec::new();
    }
    let mut to_open: std::collections::VecDeque<_> = listed.iter().cloned().collect();
    while let Some(path) = to_open.pop_front() {
        let inner = children(entries, &path);
        if inner.is_empty() || listed.len() - 1 + inner.len() > ENTRIES_MAX {
            continue;
        }
        listed.remove(&path);
        listed.extend(inner.iter().cloned());
        to_open.extend(inner);
    }
    listed.iter().map(|path| entry_of(entries, path)).collect()
}

/// What of `entries` differs from an outline, the first by path.
pub(super) fn first_difference(entries: &ByPath, outline: &[MountEntry]) -> Option<Difference> {
    let changed =
        outline.iter().filter_map(|recorded| Some((recorded.path.as_bytes().to_vec(), change(entries, recorded)?)));
    let is_covered = |path: &[u8]| {
        outline.iter().any(|recorded| {
            is_at_or_below(path, recorded.path.as_bytes()) || is_at_or_below(recorded.path.as_bytes(), path)
        })
    };
    let extra = entries.keys().find(|path| !path.is_empty() && !outline.is_empty() && !is_covered(path));
    let extra = extra.map(|path| (path.clone(), Difference::Extra(text(path))));
    let first = changed.chain(extra).min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, difference)| difference);
    first.or_else(|| secrets(entries))
}

fn change(entries: &ByPath, recorded: &MountEntry) -> Option<Difference> {
    let path = recorded.path.as_bytes();
    match entries.get(path) {
        None => Some(Difference::Missing(recorded.path.clone())),
        Some(_) if entry_of(entries, path).digest == recorded.digest => None,
        Some(Entry::Folder) => Some(Difference::Inside(recorded.path.clone())),
        Some(_) => Some(Difference::Other(recorded.path.clone())),
    }
}

/// Where nothing that is known of each differs, it is one of those of which too little is known.
fn secrets(entries: &ByPath) -> Option<Difference> {
    let is_secret = |entry: &Entry| matches!(entry, Entry::File { is_secret: true, .. });
    let in_folder = entries.iter().filter(|(path, entry)| !path.is_empty() && is_secret(entry));
    let paths: Vec<_> = in_folder.map(|(path, _)| text(path)).collect();
    (!paths.is_empty()).then_some(Difference::Secrets(paths))
}

/// One thing with all that is below it.
fn entry_of(entries: &ByPath, path: &[u8]) -> MountEntry {
    let covered = || at_or_below(entries, path);
    let len = |entry: &Entry| if let Entry::File { len, .. } = entry { *len } else { 0 };
    MountEntry {
        path: text(path),
        digest: digest_of(covered(), None),
        bytes: covered().map(|(_, entry)| len(entry)).sum(),
    }
}

fn at_or_below<'a>(entries: &'a ByPath, path: &'a [u8]) -> impl Iterator<Item = (&'a Vec<u8>, &'a Entry)> {
    let first = entries.range::<[u8], _>((Bound::Included(path), Bound::Included(path)));
    let below = entries.range::<[u8], _>((Bound::Excluded(path), Bound::Unbounded));
    // Between a folder and what is in it others may stand: `a`, `a-b`, `a/c`.
    let is_near = move |name: &[u8]| name.starts_with(path);
    first.chain(below.take_while(move |(name, _)| is_near(name)).filter(move |(name, _)| is_at_or_below(name, path)))
}

fn is_at_or_below(name: &[u8], path: &[u8]) -> bool {
    name.strip_prefix(path).is_some_and(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The paths directly in a folder; none for what is no folder.
fn children(entries: &ByPath, folder: &[u8]) -> Vec<Vec<u8>> {
    let prefix = join(folder, b"");
    let mut found = Vec::new();
    let inside = entries.range::<[u8], _>((Bound::Excluded(&prefix[..]), Bound::Unbounded));
    for (path, _) in inside.take_while(|(path, _)| path.starts_with(&prefix)) {
        if !path[prefix.len()..].contains(&b'/') {
            found.push(path.clone());
        }
    }
    found
}

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

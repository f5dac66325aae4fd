//! Finds what goes, file by file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use exchange::{Body, Exchange, Head, Id};

use super::{Query, event_goes, len_of};
use crate::{Archive, Entry, OpenError, PruneError, ReadError, Record, prune, rewrite::Held, store};

/// Bytes of a body that are looked at as a whole; of a longer one each part by itself. A choice.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// What goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The store, where one is meant.
    pub store: Option<PathBuf>,
    /// All files that were looked at: segments and runs of the store, and bundles.
    pub files: Vec<FilePlan>,
    /// Files in the making that nobody makes any more: they go.
    pub leftovers: Vec<PathBuf>,
    /// All exchanges that go, wherever they are.
    pub gone: BTreeSet<Id>,
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlan {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Exchanges in it.
    pub exchanges: u64,
    /// Exchanges of it that go; and the run that it is, or that is in it, where that goes.
    pub gone: BTreeSet<Id>,
    /// Log lines and events of it that go.
    pub notes_gone: u64,
    /// What becomes of it.
    pub action: Action,
}

/// What becomes of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It has nothing of what goes.
    Keep,
    /// It was not looked into, and is not touched.
    Held {
        /// Why.
        why: String,
    },
    /// A run of the store is removed.
    Remove,
    /// It is written again without what goes.
    Rewrite,
}

impl Plan {
    /// True when nothing goes.
    pub fn is_empty(&self) -> bool {
        let stays = |file: &FilePlan| matches!(file.action, Action::Keep | Action::Held { .. });
        self.leftovers.is_empty() && self.files.iter().all(stays)
    }
}

/// A file and what is in it.
struct Seen {
    path: PathBuf,
    is_run: bool,
    archive: Result<Archive, String>,
}

pub(super) fn plan(store: Option<&Path>, bundles: &[PathBuf], query: &Query<'_>) -> Result<Plan, PruneError> {
    let mut seen = Vec::new();
    let mut leftovers = Vec::new();
    if let Some(store) = store {
        for path in store::segment_paths(store)? {
            seen.push(look_at(path, false)?);
        }
        for path in store::run_paths(store)? {
            seen.push(look_at(path, true)?);
        }
        leftovers = prune::leftovers(store)?;
    }
    for path in bundles {
        // A damaged bundle cannot be written again whole: that is an error, and nothing was begun.
        let archive = Archive::open(path)?;
        seen.push(Seen { path: path.clone(), is_run: false, archive: Ok(archive) });
    }
    let gone = gone_of(&seen, query)?;
    let files = seen.into_iter().map(|file| file_plan(file, &gone, query)).collect::<Result<Vec<_>, _>>()?;
    Ok(Plan { store: store.map(Path::to_owned), files, leftovers, gone })
}

fn look_at(path: PathBuf, is_run: bool) -> Result<Seen, PruneError> {
    if Held::of(&path)?.is_none() {
        let why = "a capture or a replay writes to it".to_owned();
        return Ok(Seen { path, is_run, archive: Err(why) });
    }
    let archive = match Archive::open_growing(&path) {
        Ok(archive) if archive.damage().is_empty() => Ok(archive),
        Ok(_) | Err(OpenError::NotABundle { .. } | OpenError::Damaged { .. }) => {
            Err("it is damaged: `retake verify` says where".to_owned())
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Seen { path, is_run, archive })
}

/// The exchanges that the query chooses, those on whose behalf they were made, and all that these and they may have caused.
/// What was scrubbed before counts as well: a scrub that was cut off left what repeats it, or a bundle still has it.
fn gone_of(seen: &[Seen], query: &Query<'_>) -> Result<BTreeSet<Id>, PruneError> {
    let archives = || seen.iter().filter_map(|file| file.archive.as_ref().ok());
    let mut gone = BTreeSet::new();
    for archive in archives() {
        gone.extend(archive.tombstones()?.into_iter().flat_map(|stone| stone.ids));
        for entry in archive.entries().iter().filter(|entry| (query.chooses)(archive, entry)) {
            if query.values.is_empty() || has_value(archive, entry, query)? {
                gone.insert(entry.id);
            }
        }
    }
    let entries = || archives().flat_map(|archive| archive.entries());
    let all = |which: &dyn Fn(&Entry) -> bool| -> Vec<Id> {
        entries().filter(|entry| which(entry)).map(|entry| entry.id).collect()
    };
    let parents = entries().filter(|entry| gone.contains(&entry.id)).filter_map(|entry| entry.parent);
    let parents: Vec<Id> = parents.collect();
    gone.extend(parents);
    let calls = all(&|entry| entry.parent.iter().chain(&entry.candidates).any(|parent| gone.contains(parent)));
    gone.extend(calls);
    let repeats = all(&|entry| entry.original.is_some_and(|original| gone.contains(&original)));
    gone.extend(repeats);
    // What is in no file here is nobody's to remove.
    let here: BTreeSet<Id> = entries().map(|entry| entry.id).collect();
    gone.retain(|id| here.contains(id));
    Ok(gone)
}

fn has_value(archive: &Archive, entry: &Entry, query: &Query<'_>) -> Result<bool, ReadError> {
    let exchange = archive.exchange(&entry.id)?;
    exchange_has(archive, &exchange, query)
}

/// True when a value stands in anything that is kept of an exchange.
pub(super) fn exchange_has(archive: &Archive, exchange: &Exchange, query: &Query<'_>) -> Result<bool, ReadError> {
    let told = serde_json::to_vec(exchange).unwrap_or_default();
    if query.values.is_in_decoded(&told) {
        return Ok(true);
    }
    let response = exchange.response.as_ref().map(|response| (&response.head, &response.body));
    for (head, body) in [(&exchange.request.head, &exchange.request.body)].into_iter().chain(response) {
        if body_has(archive, head, body, query)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn body_has(archive: &Archive, head: &Head, body: &Body, query: &Query<'_>) -> Result<bool, ReadError> {
    if body.kept_len() <= BODY_BYTES_MAX {
        return Ok(query.values.is_in_body(head, &archive.body(body, BODY_BYTES_MAX)?));
    }
    is_in_parts(body.parts.iter().map(|part| archive.part(part)), query)
}

/// True where a value stands in these bytes, as they are, in one part or across two.
fn is_in_parts(parts: impl Iterator<Item = Result<Vec<u8>, ReadError>>, query: &Query<'_>) -> Result<bool, ReadError> {
    let before_max = query.values.longest().saturating_sub(1);
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&part?);
        if query.values.is_in(&bytes) {
            return Ok(true);
        }
        bytes.drain(..bytes.len().saturating_sub(before_max));
    }
    Ok(false)
}

fn file_plan(file: Seen, gone: &BTreeSet<Id>, query: &Query<'_>) -> Result<FilePlan, PruneError> {
    let Seen { path, is_run, archive } = file;
    let bytes = len_of(&path);
    let archive = match archive {
        Ok(archive) => archive,
        Err(why) => {
            let action = Action::Held { why };
            return Ok(FilePlan { path, bytes, exchanges: 0, gone: BTreeSet::new(), notes_gone: 0, action });
        }
    };
    let entries = archive.entries();
    let mut here: BTreeSet<Id> = entries.iter().map(|entry| entry.id).filter(|id| gone.contains(id)).collect();
    let mut runs = Vec::new();
    for run in archive.segments().iter().flat_map(|segment| &segment.index.runs) {
        let written = archive.record_in(0, run.at)?;
        if !here.is_empty() || query.values.is_in_decoded(written.record().payload) {
            runs.push(run.id);
        }
    }
    let notes_gone = notes(&archive, gone, query)?;
    let action = match (is_run, here.is_empty() && runs.is_empty() && notes_gone == 0) {
        (_, true) => Action::Keep,
        (true, false) => Action::Remove,
        (false, false) => Action::Rewrite,
    };
    if action == Action::Remove {
        runs.extend(archive.segments().iter().flat_map(|segment| &segment.index.runs).map(|run| run.id));
        here.extend(entries.iter().map(|entry| entry.id));
    }
    here.extend(runs);
    Ok(FilePlan { path, bytes, exchanges: entries.len() as u64, gone: here, notes_gone, action })
}

/// How many log lines and events go.
fn notes(archive: &Archive, gone: &BTreeSet<Id>, query: &Query<'_>) -> Result<u64, PruneError> {
    let mut count = 0;
    for event in archive.events() {
        count += u64::from(event_goes(&event?, gone, query.values));
    }
    for lines in archive.log_lines() {
        count += lines?.lines.iter().filter(|line| query.values.is_in(line.text.as_bytes())).count() as u64;
    }
    Ok(count)
}

/// What records beside exchanges say, as it is written, with what each is.
pub(super) fn records_beside(archive: &Archive) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
    let written = |record: &Record| record.payload().unwrap_or_default();
    let mut all = Vec::new();
    for session in archive.sessions() {
        all.push((format!("session {}", session.id), written(&Record::Session(session.clone()))));
    }
    for (digest, fingerprint) in archive.fingerprints()? {
        all.push((format!("environment {}", digest.short()), written(&Record::Fingerprint(Box::new(fingerprint)))));
    }
    for run in archive.runs()? {
        all.push((format!("run {}", run.id), written(&Record::Run(Box::new(run)))));
    }
    for event in archive.events() {
        let event = event?;
        all.push((format!("event {}", event.id), written(&Record::Event(event))));
    }
    for lines in archive.log_lines() {
        let lines = lines?;
        all.push((format!("log lines of {}", lines.session), written(&Record::LogLines(lines))));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use content::search::Search;

    use super::*;

    #[test]
    fn in_a_long_body_a_value_is_found_across_its_parts_and_half_of_it_is_none() {
        let values = Search::of(["ann@b.example"]);
        let query = Query { chooses: &|_, _| true, values: &values };
        let has = |text: &str, len: usize| {
            let parts = text.as_bytes().chunks(len).map(|part| Ok(part.to_vec()));
            is_in_parts(parts, &query).unwrap()
        };
        for len in 1..40 {
            assert!(has("asked by ann@b.example and nobody else", len), "{len}");
            assert!(has("asked by ann%40b.example", len), "{len}");
            assert!(!has("asked by ann@b.exampl and nobody else", len), "{len}");
        }
        let nothing = Search::of([]);
        let query = Query { chooses: &|_, _| true, values: &nothing };
        assert!(!is_in_parts([Ok(b"ann".to_vec())].into_iter(), &query).unwrap());
    }
}

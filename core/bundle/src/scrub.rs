//! Takes a person's exchanges out of a store and out of bundles, and proves that they are gone.
//!
//! In: files, which exchanges, the values that tell of the person, the time and a reason. Out: a [`Plan`], its carrying out,
//! and what is found of the values afterwards. A file that a writer has is not touched, and is named. A file that has any of
//! it is written again; a run goes as a whole. Which exchanges a query means is left to others.

mod plan;
mod proof;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use content::search::Search;
use exchange::{Event, Id};

pub use self::{
    plan::{Action, FilePlan, Plan},
    proof::{Remains, prove},
};
use crate::{
    Archive, Entry, PruneError, Tombstone, Writer,
    export::Temporary,
    prune,
    rewrite::{Held, Stays, rewrite},
    store,
};

/// What is looked for.
pub struct Query<'a> {
    /// Exchanges of an archive that it may mean, by what is listed of them.
    pub chooses: &'a dyn Fn(&Archive, &Entry) -> bool,
    /// Of these the ones that have one of these values; all of them where it has none. Log lines and events with a value go too.
    pub values: &'a Search,
}

/// Why and when.
pub struct Why<'a> {
    /// Kept with the ids of what went.
    pub reason: &'a str,
    /// The time, in nanoseconds since 1970.
    pub now_unix_ns: u64,
}

/// Plans what goes of a store, where there is one, and of sealed bundles. Nothing is changed.
///
/// # Errors
/// Where something cannot be read; a damaged file of the store is named in the plan, a damaged bundle is an error.
pub fn plan(store: Option<&Path>, bundles: &[PathBuf], query: &Query<'_>) -> Result<Plan, PruneError> {
    plan::plan(store, bundles, query)
}

/// Carries out a plan, one file after another, each wholly or not at all: what was cut off is finished when the same is
/// scrubbed again. What says that runs went is written before they go.
///
/// # Errors
/// The first that was met; what was done before stays done.
pub fn apply(plan: &Plan, query: &Query<'_>, why: &Why<'_>) -> Result<(), PruneError> {
    for path in &plan.leftovers {
        prune::remove(path)?;
    }
    put_tombstones_of_runs(plan, why)?;
    for file in &plan.files {
        match file.action {
            Action::Keep | Action::Held { .. } => {}
            Action::Remove => {
                let Some(_held) = Held::of(&file.path)? else { continue };
                prune::remove(&file.path)?;
            }
            Action::Rewrite => {
                let Some(_held) = Held::of(&file.path)? else { continue };
                rewrite_without(file, plan, query, why)?;
            }
        }
    }
    Ok(())
}

fn put_tombstones_of_runs(plan: &Plan, why: &Why<'_>) -> Result<(), PruneError> {
    let removed = plan.files.iter().filter(|file| matches!(file.action, Action::Remove));
    let ids: BTreeSet<Id> = removed.flat_map(|file| file.gone.iter().copied()).collect();
    let (Some(store), false) = (&plan.store, ids.is_empty()) else { return Ok(()) };
    let mut name = [0; 16];
    getrandom::fill(&mut name).map_err(|error| crate::StoreError::Io {
        action: "make a name in",
        path: store.clone(),
        source: std::io::Error::from(error),
    })?;
    // Whole or not there, as every file that is rewritten: nobody would mend half of one.
    let path = store::new_segment_path(store, Id(name));
    let temporary = Temporary::beside(&path)?;
    let mut writer = Writer::create(&temporary.path)?;
    writer.put_tombstone(&stone(ids.into_iter().collect(), None, why))?;
    writer.seal()?;
    Ok(temporary.rename(&path, false)?)
}

fn rewrite_without(file: &FilePlan, plan: &Plan, query: &Query<'_>, why: &Why<'_>) -> Result<(), PruneError> {
    let archive = Archive::open_growing(&file.path)?;
    let stays = Stays {
        exchange: &|entry| !plan.gone.contains(&entry.id),
        event: &|event| !event_goes(event, &plan.gone, query.values),
        line: &|_, line| !query.values.is_in(line.text.as_bytes()),
        run: &|run| !file.gone.contains(run),
        noise: true,
        tombstone: Some(stone(file.gone.iter().copied().collect(), archive.digest(), why)),
        answers: None,
        added: None,
    };
    rewrite(&archive, &file.path, &stays)?;
    Ok(())
}

fn stone(ids: Vec<Id>, replaces: Option<exchange::Digest>, why: &Why<'_>) -> Tombstone {
    Tombstone { scrubbed_unix_ns: why.now_unix_ns, reason: why.reason.to_owned(), ids, replaces }
}

/// An event goes with the exchanges that it is linked to, and where it has a value.
fn event_goes(event: &Event, gone: &BTreeSet<Id>, values: &Search) -> bool {
    let of_gone = !event.links.is_empty() && event.links.iter().all(|id| gone.contains(id));
    of_gone || serde_json::to_vec(event).is_ok_and(|written| values.is_in_decoded(&written))
}

/// Whether a file is there and how long it is.
fn len_of(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests;

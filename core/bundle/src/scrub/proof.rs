//! Looks for what should be gone, in all that is there.
//!
//! In: a plan that was carried out. Out: what is left. Everything is decoded: each block of each file as it is, index and
//! manifest included, each record, and each body put together and without its codings.

use std::path::{Path, PathBuf};

use super::{
    Action, Plan, Query,
    plan::{exchange_has, records_beside},
};
use crate::{
    Archive, OpenError, PruneError,
    block::open_frame,
    layout::{HEADER_LEN, OPENING_LEN},
    prune,
    rewrite::Held,
    segment::Source,
    store,
    walk::{Step, walk},
};

/// Something that is left, or could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub what: String,
}

/// Looks through all files of the store, whatever they were when the plan was made, and through the bundles.
///
/// # Errors
/// Where something cannot be read.
pub fn prove(plan: &Plan, query: &Query<'_>) -> Result<Vec<Remains>, PruneError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut remains = Vec::new();
    if let Some(store) = &plan.store {
        paths.extend(store::segment_paths(store)?);
        paths.extend(store::run_paths(store)?);
        let is_held = |path: &PathBuf| !matches!(Held::of(path), Ok(Some(_)));
        let made = store::temporary_paths(store)?.into_iter().filter(is_held);
        remains.extend(made.map(|path| Remains { path, what: "it is being written".to_owned() }));
        for path in prune::leftovers(store)? {
            remains.push(Remains { path, what: "it was left half-written meanwhile".to_owned() });
        }
    }
    let rewritten = |path: &PathBuf| !paths.contains(path);
    let bundles: Vec<PathBuf> = plan.files.iter().map(|file| file.path.clone()).filter(rewritten).collect();
    let removed = |path: &PathBuf| plan.files.iter().any(|it| it.path == *path && it.action == Action::Remove);
    for path in paths.into_iter().chain(bundles.into_iter().filter(|path| !removed(path))) {
        match look_through(&path, plan, query) {
            Ok(found) => remains.extend(found.into_iter().map(|what| Remains { path: path.clone(), what })),
            Err(PruneError::Open(OpenError::Io { source, .. })) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => remains.push(Remains { path, what: format!("it cannot be looked through: {error}") }),
        }
    }
    Ok(remains)
}

fn look_through(path: &Path, plan: &Plan, query: &Query<'_>) -> Result<Vec<String>, PruneError> {
    let mut found = Vec::new();
    if Held::of(path)?.is_none() {
        found.push("a capture or a replay writes to it: scrub again when that has ended".to_owned());
    }
    let archive = Archive::open_growing(path)?;
    for damage in archive.damage() {
        found.push(format!("damaged, not looked into: {damage}"));
    }
    for entry in archive.entries() {
        if plan.gone.contains(&entry.id) {
            found.push(format!("exchange {}", entry.id));
        } else if !query.values.is_empty() && exchange_has(&archive, &archive.exchange(&entry.id)?, query)? {
            found.push(format!("a value in exchange {}", entry.id));
        }
    }
    if !query.values.is_empty() {
        let beside = records_beside(&archive)?.into_iter().filter(|(_, written)| query.values.is_in_decoded(written));
        found.extend(beside.map(|(what, _)| format!("a value in {what}")));
        look_through_blocks(path, query, &mut found)?;
    }
    Ok(found)
}

/// Each block as it is, so that what nothing refers to is seen too.
fn look_through_blocks(path: &Path, query: &Query<'_>, found: &mut Vec<String>) -> Result<(), PruneError> {
    let source = Source::open(path)?;
    let walked = walk(&*source.file, OPENING_LEN..source.len, &mut |step| {
        if let Step::Block { header, bytes } = step {
            match open_frame(&header, &bytes[HEADER_LEN as usize..]) {
                Ok(raw) if query.values.is_in(&raw) => {
                    found.push(format!("a value in the block from byte {} on", header.offset));
                }
                Ok(_) => {}
                Err(what) => found.push(format!("the block from byte {} on: {what}", header.offset)),
            }
        }
        Ok(())
    });
    walked.map(|_| ()).map_err(|source| OpenError::Io { path: path.to_owned(), source }.into())
}

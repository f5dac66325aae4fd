//! What was last known of each case, kept in the store for `--failed`: names and outcomes, nothing of what was answered.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use exchange::Digest;
use report::{CaseResult, Outcome};
use serde::{Deserialize, Serialize};

use super::case::Planned;
use crate::trouble::Trouble;

/// The store's folder of them, one file for each folder of cases.
const FOLDER: &str = "tests";

/// Outcomes by the case's name.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    outcomes: BTreeMap<String, Outcome>,
}

/// Those that did not pass last time, and those that were never tested.
///
/// # Errors
/// When it cannot be read, and where nothing is known of this folder.
pub(super) fn failed(planned: Vec<Planned>, store: &Path, folder: &Path) -> Result<Vec<Planned>, Trouble> {
    let last = read(&path_of(store, folder))?.ok_or_else(|| {
        Trouble::new(format!("`{}` knows of no test of `{}`", store.display(), folder.display()))
            .help("test all of it once, with the same `--store`")
    })?;
    let needs = |planned: &Planned| last.outcomes.get(&planned.name).is_none_or(|outcome| outcome.needs_a_look());
    Ok(planned.into_iter().filter(needs).collect())
}

/// Remembers these; what is known of others stays.
///
/// # Errors
/// When it cannot be written.
pub(super) fn remember(cases: &[CaseResult], store: &Path, folder: &Path) -> Result<(), Trouble> {
    let path = path_of(store, folder);
    let mut last = read(&path).ok().flatten().unwrap_or_default();
    for case in cases {
        last.outcomes.insert(case.name.clone(), case.outcome);
    }
    let text = serde_json::to_string(&last).expect("names and words are JSON");
    let cannot = |error: io::Error| Trouble::of(&error).while_doing(format!("cannot write `{}`", path.display()));
    fs::create_dir_all(store.join(FOLDER)).map_err(cannot)?;
    super::write_whole(&path, text.as_bytes(), 0o600).map_err(cannot)
}

fn read(path: &Path) -> Result<Option<Last>, Trouble> {
    let doing = || format!("cannot read `{}`", path.display());
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Trouble::of(&error).while_doing(doing())),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| Trouble::of(&error).while_doing(doing()).help("remove it, and test all once")),
    }
}

fn path_of(store: &Path, folder: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = Digest::of(folder.as_os_str().as_encoded_bytes()).to_string();
    store.join(FOLDER).join(format!("{}.json", &name[..16]))
}

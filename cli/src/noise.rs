//! Noise profiles: where `--noise` leads, and where they are looked for without it.
//!
//! In: the flag, the store and the recording. Out: profiles of whatever versions; which of them hold is the replay's to say.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bundle::{Archive, Entry, OpenError};
use diff::{Noise, Route};
use exchange::{Id, NoiseProfile};
use replayer::{FoundNoise, FoundProfile, service_version};
use report::NoiseLine;

use crate::{
    args::KeyArgs,
    source::{Source, run_files},
    trouble::Trouble,
};

/// Runs of the store that are looked into, the newest first. A choice: so many are opened within a second.
const RUNS_LOOKED_INTO_MAX: usize = 200;

/// Where a profile is that came with the recording itself.
const IN_THE_RECORDING: &str = "the recording";

/// The word that says that no noise is known.
pub(crate) const NONE: &str = "none";

/// What was found: in what `--noise` names, else in the recording and in the newest runs of the store.
///
/// # Errors
/// Where something that is named cannot be read or has no profile.
pub(crate) fn found(given: &[String], archive: &Archive, store: &Path, keys: &KeyArgs) -> Result<FoundNoise, Trouble> {
    if given.is_empty() {
        return in_reach(archive, store);
    }
    let mut found = FoundNoise::default();
    for name in given.iter().filter(|name| *name != NONE) {
        let profiles = Source::open(Some(name), store, keys)?.archive.noise_profiles()?;
        if profiles.is_empty() {
            return Err(Trouble::new(format!("`--noise {name}`: there is no noise profile in it"))
                .help("`retake replay SOURCE --repeat 30 --determinism 0` learns one; its run has it"));
        }
        found.profiles.extend(profiles.into_iter().map(|profile| FoundProfile { from: name.clone(), profile }));
    }
    if given.len() > 1 && given.iter().any(|name| name == NONE) {
        return Err(Trouble::new("`--noise none` stands alone").help("leave it out, or leave the others out"));
    }
    Ok(found)
}

fn in_reach(archive: &Archive, store: &Path) -> Result<FoundNoise, Trouble> {
    of_files(archive, newest(run_files(store)?))
}

/// Those of an archive, and of these files.
fn of_files(archive: &Archive, paths: Vec<PathBuf>) -> Result<FoundNoise, Trouble> {
    let mut found = FoundNoise { profiles: of_archive(archive, IN_THE_RECORDING)?, ..FoundNoise::default() };
    for path in paths {
        let from = path.display().to_string();
        let run = match Archive::open(&path) {
            // A run that another replay is writing right now is none yet: it has no end, or not even its opening.
            Err(OpenError::Unsealed { .. } | OpenError::NotABundle { .. }) => continue,
            opened => opened,
        };
        match run.map_err(Trouble::from).and_then(|run| of_archive(&run, &from)) {
            Ok(profiles) => found.profiles.extend(profiles),
            Err(trouble) => {
                let words = trouble.to_string();
                let first = words.lines().next().unwrap_or_default();
                found.unreadable.push(format!("{from}: {}", first.trim_start_matches("error: ")));
            }
        }
    }
    Ok(found)
}

/// The profiles that a bundle of these exchanges carries: those of the versions that answered them, as far as their routes go, and
/// those of the calls made for them.
pub(crate) fn carried(source: &Source, chosen: &[Id], path: &Path, store: &Path) -> Result<Vec<NoiseProfile>, Trouble> {
    let store = if path.is_dir() { path } else { store };
    let chosen: BTreeSet<Id> = chosen.iter().copied().collect();
    let is_chosen = |entry: &&Entry| [Some(entry.id), entry.parent].iter().flatten().any(|id| chosen.contains(id));
    let routes: BTreeSet<String> = source.archive.entries().iter().filter(is_chosen).map(route_of).collect();
    let versions = versions_of(source)?;
    let mut profiles: Vec<NoiseProfile> = Vec::new();
    for FoundProfile { mut profile, .. } in in_reach(&source.archive, store)?.profiles {
        profile.places.retain(|place| routes.contains(&place.route));
        let is_meant = versions.contains(&profile.version) && !profile.places.is_empty();
        if is_meant && !profiles.contains(&profile) {
            profiles.push(profile);
        }
    }
    profiles.sort_by(|one, other| (&one.version, &one.runs).cmp(&(&other.version, &other.runs)));
    Ok(profiles)
}

/// The profiles of a source; of a store's folder also those of its runs.
///
/// # Errors
/// Where the source cannot be read.
pub(crate) fn listed(source: &Source, store: Option<&Path>) -> Result<Vec<NoiseLine>, Trouble> {
    let runs = store.map(run_files).transpose()?.unwrap_or_default();
    let mut versions = versions_of(source)?;
    versions.extend(runs.iter().filter_map(|path| Held::of(path)?.recorded()).flatten());
    let line = |FoundProfile { from, profile }: FoundProfile| {
        let routes: BTreeSet<&String> = profile.places.iter().map(|place| &place.route).collect();
        NoiseLine {
            stale: !versions.contains(&profile.version),
            alone: matches!(Held::of(Path::new(&from)), Some(Held::NoiseAlone(_))),
            places: profile.places.len() as u64,
            routes: routes.into_iter().cloned().collect(),
            compared_min: profile.compared_min,
            version: profile.version,
            runs: profile.runs,
            from,
        }
    };
    Ok(of_files(&source.archive, runs)?.profiles.into_iter().map(line).collect())
}

/// Of these files of a store those that have noise profiles alone, all of versions of which none of the others has anything.
///
/// # Errors
/// The path of a file that cannot be read: of which versions it has something is not known.
pub(crate) fn stale_files<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<BTreeSet<PathBuf>, PathBuf> {
    let (mut alone, mut versions) = (Vec::new(), BTreeSet::new());
    for path in paths {
        match Held::of(path) {
            Some(Held::NoiseAlone(of)) => alone.push((path.to_owned(), of)),
            Some(Held::Recorded(of)) => versions.extend(of),
            None => return Err(path.to_owned()),
        }
    }
    let stale = alone.into_iter().filter(|(_, of)| of.is_disjoint(&versions));
    Ok(stale.map(|(path, _)| path).collect())
}

/// Of which versions a file has something.
enum Held {
    /// Noise profiles and nothing else, as `retake diff --learn` writes them.
    NoiseAlone(BTreeSet<String>),
    /// Exchanges or runs.
    Recorded(BTreeSet<String>),
}

impl Held {
    /// What is in a file; nothing of one that cannot be read.
    fn of(path: &Path) -> Option<Self> {
        let archive = Archive::open(path).ok()?;
        let profiles = archive.noise_profiles().ok()?;
        if archive.entries().is_empty() && archive.runs().ok()?.is_empty() && !profiles.is_empty() {
            return Some(Self::NoiseAlone(profiles.into_iter().map(|profile| profile.version).collect()));
        }
        Some(Self::Recorded(versions_in(&archive).ok()?))
    }

    fn recorded(self) -> Option<BTreeSet<String>> {
        match self {
            Self::Recorded(versions) => Some(versions),
            Self::NoiseAlone(_) => None,
        }
    }
}

fn of_archive(archive: &Archive, from: &str) -> Result<Vec<FoundProfile>, Trouble> {
    let profiles = archive.noise_profiles()?.into_iter();
    Ok(profiles.map(|profile| FoundProfile { from: from.to_owned(), profile }).collect())
}

/// The versions that answered in a source.
pub(crate) fn versions_of(source: &Source) -> Result<BTreeSet<String>, Trouble> {
    versions_in(&source.archive)
}

fn versions_in(archive: &Archive) -> Result<BTreeSet<String>, Trouble> {
    let fingerprints = archive.fingerprints()?;
    let versions = fingerprints.iter().map(|(_, fingerprint)| service_version(&fingerprint.subject));
    Ok(versions.filter(|version| !version.is_empty()).collect())
}

/// The profiles among these that were learned of one of these versions.
pub(crate) fn of_versions(found: FoundNoise, versions: &BTreeSet<String>) -> Noise {
    let profiles = found.profiles.into_iter().map(|found| found.profile);
    Noise::of(profiles.filter(|profile| versions.contains(&profile.version)))
}

/// An exchange's route as profiles have it, of a call with its dependency before it.
pub(crate) fn route_of(entry: &Entry) -> String {
    let (method, target) = entry.title.split_once(' ').unwrap_or_default();
    let route = Route::new(method, target).to_string();
    match &entry.dependency {
        Some(dependency) => format!("{dependency} {route}"),
        None => route,
    }
}

/// The newest of these files, the newest first.
pub(crate) fn newest(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut dated: Vec<(SystemTime, PathBuf)> = paths.into_iter().map(|path| (written(&path), path)).collect();
    dated.sort_by(|one, other| other.cmp(one));
    dated.into_iter().map(|(_, path)| path).take(RUNS_LOOKED_INTO_MAX).collect()
}

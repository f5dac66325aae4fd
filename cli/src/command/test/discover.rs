//! The bundles of a folder, and the files beside them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::trouble::Trouble;

/// The file with what holds for a folder and those below it.
pub(super) const DEFAULTS: &str = "retake-test.toml";

/// Deepest folder that is looked into. A choice: far deeper than anybody sorts cases.
const DEPTH_MAX: usize = 32;

/// A bundle of the folder, or a file of a case whose bundle is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its path below the folder without the ending, parts separated by `/`.
    pub(super) name: String,
    /// The bundle.
    pub(super) bundle: PathBuf,
    /// What says what it is for, where there is one.
    pub(super) file: PathBuf,
    /// The files with what holds for its folder, the outermost first.
    pub(super) defaults: Vec<PathBuf>,
}

/// All of them, by name.
///
/// # Errors
/// When the folder is not there or cannot be read, and where it has no bundle.
pub(super) fn cases(folder: &Path) -> Result<Vec<Found>, Trouble> {
    if folder.is_file() {
        let name = folder.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let defaults = defaults_of(folder.parent().unwrap_or(Path::new("")), &[]);
        return Ok(vec![Found { name, bundle: folder.to_owned(), file: folder.with_extension("toml"), defaults }]);
    }
    let mut walk = Walk { found: Vec::new() };
    walk.folder(folder, "", &[], 0)?;
    if walk.found.is_empty() {
        return Err(Trouble::new(format!("there is no bundle in `{}`", folder.display()))
            .help("a case is a file `NAME.retake`; `retake export .retake ID -o cases/bug-1234.retake` makes one"));
    }
    walk.found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(walk.found)
}

struct Walk {
    found: Vec<Found>,
}

impl Walk {
    /// Folders whose names begin with a dot are stores and the like; folders behind links are somebody else's.
    fn folder(&mut self, folder: &Path, below: &str, outer: &[PathBuf], depth: usize) -> Result<(), Trouble> {
        let cannot = |error: io::Error| {
            Trouble::of(&error).while_doing(format!("cannot read the folder `{}`", folder.display()))
        };
        let mut entries = fs::read_dir(folder).map_err(cannot)?.collect::<io::Result<Vec<_>>>().map_err(cannot)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        let defaults = defaults_of(folder, outer);
        let has = |path: &Path| entries.iter().any(|entry| entry.path() == path);
        for entry in &entries {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name.starts_with('.') {
                continue;
            }
            let kind = entry.file_type().map_err(cannot)?;
            if kind.is_dir() {
                if depth < DEPTH_MAX {
                    self.folder(&path, &format!("{below}{name}/"), &defaults, depth + 1)?;
                }
                continue;
            }
            let Some((stem, ending)) = name.rsplit_once('.') else { continue };
            let (bundle, file) = (path.with_extension(bundle::EXTENSION), path.with_extension("toml"));
            let is_case = match ending {
                ending if ending == bundle::EXTENSION => true,
                "toml" => !has(&bundle) && tells_of_a_case(&path),
                _ => false,
            };
            if is_case {
                let name = format!("{below}{stem}");
                self.found.push(Found { name, bundle, file, defaults: defaults.clone() });
            }
        }
        Ok(())
    }
}

fn defaults_of(folder: &Path, outer: &[PathBuf]) -> Vec<PathBuf> {
    let own = folder.join(DEFAULTS);
    outer.iter().cloned().chain(own.is_file().then_some(own)).collect()
}

/// True for a file without a bundle that speaks of a case: it must not be lost in silence.
fn tells_of_a_case(path: &Path) -> bool {
    if path.file_name().is_some_and(|name| name == DEFAULTS) {
        return false;
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    let begins = |line: &str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        line.contains('=') && ["ticket", "why", "expect", "run-book", "flaky-max"].contains(&key)
    };
    text.lines().any(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_found_in_folders_by_name_and_a_file_that_lost_its_bundle_too() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for name in ["b.retake", "a/z.retake", "a/b/c.d.retake", ".retake/runs/1.retake", "a/.x.retake", "notes.txt"] {
            put(name, "");
        }
        put("a/b/c.d.toml", "ticket = 'T'");
        put("lost.toml", "ticket = 'T'");
        put("rules.toml", "[[rule]]");
        put(DEFAULTS, "why = 'all'");
        put("a/retake-test.toml", "");
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/loop")).unwrap();
        let found = cases(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|found| (found.name.as_str(), found.defaults.len())).collect();
        assert_eq!(names, [("a/b/c.d", 2), ("a/z", 2), ("b", 1), ("lost", 1)]);
        assert!(found[0].file.ends_with("a/b/c.d.toml"));
        let alone = cases(&folder.path().join("b.retake")).unwrap();
        assert_eq!((alone[0].name.as_str(), alone[0].defaults.len()), ("b", 1));
        assert!(cases(&folder.path().join("a/b/nowhere")).is_err());
    }
}

//! Cases whose files are others than where this branch left another one, by git.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::case::Planned;
use crate::trouble::Trouble;

/// The cases whose bundle, own file, or a folder's file for them differs, committed or not, from the last commit that HEAD and
/// `reference` share.
///
/// # Errors
/// When git cannot tell.
pub(super) fn changed(planned: Vec<Planned>, folder: &Path, reference: &str) -> Result<Vec<Planned>, Trouble> {
    let inside = if folder.is_file() { folder.parent().unwrap_or(Path::new(".")) } else { folder };
    let inside = if inside.as_os_str().is_empty() { Path::new(".") } else { inside };
    let found =
        git(inside, &["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{reference}^{{commit}}")])?;
    let commit = found.ok_or_else(|| {
        Trouble::new(format!("git knows no commit `{reference}`"))
            .help("name a branch, tag or commit that is here; a CI checkout that is shallow has few: `fetch-depth: 0`")
    })?;
    let base = git(inside, &["merge-base", "HEAD", commit.trim()])?.ok_or_else(|| {
        Trouble::new(format!("git knows no commit that HEAD and `{reference}` share"))
            .help("a CI checkout that is shallow does not have it: `fetch-depth: 0`")
    })?;
    let listed = |arguments: &[&str]| -> Result<BTreeSet<PathBuf>, Trouble> {
        let text = git(inside, arguments)?.ok_or_else(|| Trouble::new("git cannot say what changed"))?;
        Ok(text.split('\0').filter(|path| !path.is_empty()).map(|path| inside.join(path)).collect())
    };
    let mut changed = listed(&["diff", "--name-only", "-z", "--relative", base.trim(), "--", "."])?;
    changed.extend(listed(&["ls-files", "--others", "--exclude-standard", "-z", "--", "."])?);
    // A folder's file further out than where git was asked.
    let changed: BTreeSet<PathBuf> = changed.iter().map(|path| whole(path)).collect();
    let is_changed = |planned: &Planned| {
        let files = [&planned.found.bundle, &planned.found.file];
        files.into_iter().chain(&planned.found.defaults).any(|path| changed.contains(&whole(path)))
    };
    Ok(planned.into_iter().filter(is_changed).collect())
}

/// Absolute, its folder's links followed; the file itself may be gone.
fn whole(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match (absolute.parent().and_then(|folder| folder.canonicalize().ok()), absolute.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => absolute,
    }
}

/// What git prints; `None` where it ends with an error.
fn git(folder: &Path, arguments: &[&str]) -> Result<Option<String>, Trouble> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| {
        Trouble::of(&error)
            .while_doing("`--changed-since` asks git, which cannot be started")
            .help("install git, or choose the cases with `--only`")
    })?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

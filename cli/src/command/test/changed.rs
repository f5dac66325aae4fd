//! Cases whose files are others than where this branch left another one, by git.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::case::{Case, Planned};
use crate::trouble::Trouble;

/// The cases of which a file differs, committed or not, from the last commit that HEAD and `reference` share: the bundle, its own file,
/// a folder's file for it, or what these or flags name.
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
    let cannot = || Trouble::new("git cannot say what changed");
    let top = git(inside, &["rev-parse", "--show-toplevel"])?.ok_or_else(cannot)?;
    let top = Path::new(top.strip_suffix('\n').unwrap_or(&top));
    let listed = |arguments: &[&str]| -> Result<BTreeSet<PathBuf>, Trouble> {
        let text = git(top, arguments)?.ok_or_else(cannot)?;
        Ok(text.split('\0').filter(|path| !path.is_empty()).map(|path| top.join(path)).collect())
    };
    let mut changed = listed(&["diff", "--name-only", "-z", base.trim(), "--"])?;
    changed.extend(listed(&["ls-files", "--others", "--exclude-standard", "-z"])?);
    let changed: BTreeSet<PathBuf> = changed.iter().map(|path| whole(path)).collect();
    let is_changed = |planned: &Planned| {
        let files = [&planned.found.bundle, &planned.found.file];
        let is_file_changed =
            files.into_iter().chain(&planned.found.defaults).any(|path| changed.contains(&whole(path)));
        let named = planned.case.as_ref().map(named_files).unwrap_or_default();
        is_file_changed || named.iter().any(|path| changed.iter().any(|changed| changed.starts_with(whole(path))))
    };
    Ok(planned.into_iter().filter(is_changed).collect())
}

/// The files and folders that a case names beside its bundle.
fn named_files(case: &Case) -> Vec<PathBuf> {
    let replay = &case.replay;
    let by_hand = replay.by_hand.rules.iter().chain(&replay.by_hand.descriptors);
    let single = replay.env_file.iter().chain(&replay.secrets);
    let mounts = replay.mounts.iter().filter_map(|text| Some(text.split_once('=')?.1)).filter(|here| *here != "none");
    let dumps = replay.beside.iter().flat_map(|text| text.split(',')).filter_map(|part| part.strip_prefix("dump="));
    by_hand.chain(single).cloned().chain(mounts.chain(dumps).map(PathBuf::from)).collect()
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

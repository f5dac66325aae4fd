//! The page in a real browser: attacks, clicks, keys, an accessibility checker, ten thousand exchanges (`scripts/test --all browser`).
//!
//! Needs node, Chromium (`RETAKE_CHROMIUM`, else `/usr/bin/chromium`) and the modules of `browser/package.json`, which
//! `scripts/test` installs (`RETAKE_BROWSER_MODULES`). Where one of them is missing, the test is skipped and says which.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::pages::{alike_page, attack_page, attacks, exchanges, files_page, page};

const TEST: &str = "slow_browser_nothing_runs_in_the_page_and_all_of_it_can_be_used";

/// The modules and the browser, or which of them is missing.
fn tools() -> Result<(PathBuf, PathBuf), String> {
    let chromium = PathBuf::from(env::var_os("RETAKE_CHROMIUM").unwrap_or_else(|| "/usr/bin/chromium".into()));
    if !chromium.exists() {
        return Err(format!("there is no {}", chromium.display()));
    }
    let modules = env::var_os("RETAKE_BROWSER_MODULES").map(PathBuf::from);
    let modules = modules.filter(|folder| folder.join("node_modules/playwright-core").exists());
    let modules = modules.ok_or("RETAKE_BROWSER_MODULES names no folder with playwright-core and axe-core")?;
    if Command::new("node").arg("--version").output().is_err() {
        return Err("there is no node".to_owned());
    }
    Ok((modules, chromium))
}

fn skipped(why: &str) {
    eprintln!("skipped: {TEST}: {why}");
    if let Some(path) = env::var_os("RETAKE_SKIPS") {
        let file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        std::io::Write::write_all(&mut &file, format!("{TEST}: {why}\n").as_bytes()).unwrap();
    }
}

#[test]
fn slow_browser_nothing_runs_in_the_page_and_all_of_it_can_be_used() {
    let (modules, chromium) = match tools() {
        Ok(tools) => tools,
        Err(why) => return skipped(&why),
    };
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("browser");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("attack.html"), attack_page(&attacks())).unwrap();
    fs::write(folder.join("few.html"), page(&exchanges(120), 1, true)).unwrap();
    fs::write(folder.join("runs.html"), page(&exchanges(40), 1, false)).unwrap();
    fs::write(folder.join("files.html"), files_page()).unwrap();
    fs::write(folder.join("alike.html"), alike_page()).unwrap();
    fs::write(folder.join("many.html"), page(&exchanges(10_000), 1, true)).unwrap();
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/check.mjs");
    let status = Command::new("node").arg(check).args([&folder, &modules, &chromium]).status().unwrap();
    assert!(status.success(), "{status}; the pages and screenshots are in {}", folder.display());
}

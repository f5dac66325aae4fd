//! The house's plan as a test: arrows point down, and each heavy dependency has one home.
//!
//! Reads what cargo knows of the workspace. A failure says which arrow or crate is out of place, and which folder should
//! own it.

#![allow(clippy::unwrap_used, reason = "helpers of tests may stop the test")]

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// Our crates by row, the highest first. A crate may use those of the rows below its own, and no others.
const ROWS: [(&str, &[&str]); 10] = [
    ("program", &["retake"]),
    ("pages", &["retake-report"]),
    ("actors", &["retake-capture", "retake-replayer"]),
    ("edges", &["retake-remote"]),
    ("edges", &["retake-wire", "retake-bundle", "retake-host", "retake-sealing"]),
    ("pure", &["retake-diagnose"]),
    ("pure", &["retake-diff"]),
    ("pure", &["retake-matching", "retake-interchange", "retake-stats"]),
    ("meaning", &["retake-content"]),
    ("vocabulary", &["retake-exchange"]),
];

/// Crates that stand apart, and all that they may use of ours.
const APART: [(&str, &[&str]); 1] = [("retake-init", &["retake-wire"])];

/// Who may use a crate that stands apart: only the program embeds it.
const MAY_EMBED: &[&str] = &["retake"];

/// Heavy or dangerous dependencies and the packages that may use them.
const HOMES: [(&str, &[&str]); 32] = [
    ("age", &["retake-sealing"]),
    ("argon2", &["retake-host"]),
    ("bollard", &["retake-host"]),
    ("brotli-decompressor", &["retake-content"]),
    ("clap", &["retake"]),
    ("clap_complete", &["retake"]),
    ("clap_mangen", &["retake"]),
    ("crc32fast", &["retake-content"]),
    ("flate2", &["retake-content"]),
    ("hickory-resolver", &["retake-wire"]),
    ("hound", &["retake-content"]),
    ("html5gum", &["retake-content"]),
    ("hyper", &[]),
    ("hyper-util", &[]),
    ("indicatif", &["retake"]),
    ("jiff", &["retake", "retake-report"]),
    ("object_store", &["retake-remote"]),
    ("pem", &["retake-wire"]),
    ("png", &["retake-content"]),
    ("rcgen", &["retake-wire"]),
    ("ring", &["retake-wire"]),
    ("rustls", &["retake-wire"]),
    ("sha2", &["retake-report", "retake-sealing"]),
    ("signature", &["retake-sealing"]),
    ("similar", &["retake-diff"]),
    ("ssh-key", &["retake-sealing"]),
    ("tokio-rustls", &["retake-wire"]),
    ("toml", &["retake"]),
    ("x509-parser", &["retake-wire"]),
    ("zstd", &["retake-bundle", "retake-content"]),
    ("zune-core", &["retake-content"]),
    ("zune-jpeg", &["retake-content"]),
];

/// What a pure crate does without: files, sockets, clocks, threads and async come from these.
const NOT_IN_PURE: [&str; 7] = ["tokio", "jiff", "getrandom", "rustix", "libc", "tempfile", "futures-util"];

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().expect("cargo describes the workspace")
}

/// What a package uses when it is built; tests may use what they like.
fn used(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|it| it.kind != DependencyKind::Development).map(|it| it.name.as_str())
}

fn is_ours(name: &str) -> bool {
    name == "retake" || name.starts_with("retake-")
}

/// The folder of a package within the workspace.
fn folder(workspace: &Metadata, package: &Package) -> String {
    let folder = package.manifest_path.parent().unwrap();
    folder.strip_prefix(&workspace.workspace_root).unwrap_or(folder).to_string()
}

fn rows() -> BTreeMap<&'static str, (usize, &'static str)> {
    let of_row = |(depth, (row, names)): (usize, &(&'static str, &'static [&'static str]))| {
        let row = *row;
        names.iter().map(move |name| (*name, (depth, row))).collect::<Vec<_>>()
    };
    ROWS.iter().enumerate().flat_map(of_row).collect()
}

/// True for packages that the plan does not cover: services for tests.
fn is_fixture(workspace: &Metadata, package: &Package) -> bool {
    folder(workspace, package).starts_with("fixtures/")
}

#[test]
fn every_arrow_points_down() {
    let workspace = workspace();
    let rows = rows();
    let mut wrong = Vec::new();
    for package in workspace.workspace_packages() {
        let Some((depth, row)) = rows.get(package.name.as_str()) else { continue };
        for name in used(package).filter(|name| is_ours(name)) {
            let folder = folder(&workspace, package);
            match rows.get(name) {
                Some((below, _)) if below > depth => {}
                Some((_, other)) => wrong.push(format!(
                    "{folder}: `{}` ({row}) uses `{name}` ({other}), which is not below it: move what they share further down",
                    package.name
                )),
                None if MAY_EMBED.contains(&package.name.as_str()) => {}
                None => wrong.push(format!("{folder}: `{}` uses `{name}`, which only cli/ embeds", package.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "arrows out of place:\n{}", wrong.join("\n"));
}

#[test]
fn what_stands_apart_uses_only_what_it_may() {
    let workspace = workspace();
    for (name, allowed) in APART {
        let package = workspace.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
        let package = package.unwrap_or_else(|| panic!("{name} is not in the workspace: take it out of this plan"));
        let wrong: Vec<_> = used(package).filter(|used| is_ours(used) && !allowed.contains(used)).collect();
        assert!(
            wrong.is_empty(),
            "{}: `{name}` may use {allowed:?} of ours, not {wrong:?}",
            folder(&workspace, package)
        );
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_place_in_the_plan() {
    let workspace = workspace();
    let rows = rows();
    let is_placed = |name: &str| rows.contains_key(name) || APART.iter().any(|(apart, _)| *apart == name);
    let packages = workspace.workspace_packages();
    let homeless = packages.iter().filter(|package| !is_fixture(&workspace, package) && !is_placed(&package.name));
    let homeless: Vec<String> = homeless.map(|package| folder(&workspace, package)).collect();
    assert!(homeless.is_empty(), "give these a row in cli/tests/house.rs: {homeless:?}");
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let gone: Vec<&&str> = rows.keys().filter(|name| !names.contains(name)).collect();
    assert!(gone.is_empty(), "these are in the plan and not in the workspace: {gone:?}");
}

#[test]
fn each_heavy_dependency_stays_in_its_home() {
    let workspace = workspace();
    let mut wrong = Vec::new();
    for package in workspace.workspace_packages().into_iter().filter(|package| !is_fixture(&workspace, package)) {
        for name in used(package) {
            let home = HOMES.iter().find(|(heavy, _)| *heavy == name).map(|(_, home)| *home);
            if home.is_some_and(|home| !home.contains(&package.name.as_str())) {
                let owner = owners(&workspace, home.unwrap_or_default());
                wrong.push(format!("{}: `{name}` belongs to {owner}: call that instead", folder(&workspace, package)));
            }
        }
    }
    assert!(wrong.is_empty(), "dependencies away from home:\n{}", wrong.join("\n"));
}

fn owners(workspace: &Metadata, home: &[&str]) -> String {
    let packages = workspace.workspace_packages();
    let owners = packages.iter().filter(|package| home.contains(&package.name.as_str()));
    let folders: Vec<String> = owners.map(|package| format!("{}/", folder(workspace, package))).collect();
    if folders.is_empty() { "fixtures/ alone".to_owned() } else { folders.join(" and ") }
}

#[test]
fn the_pure_crates_have_no_clock_no_sockets_and_no_async() {
    let workspace = workspace();
    let pure =
        ["retake-exchange", "retake-content", "retake-matching", "retake-diff", "retake-stats", "retake-diagnose"];
    for package in workspace.workspace_packages().into_iter().filter(|package| pure.contains(&package.name.as_str())) {
        let wrong: Vec<_> = used(package).filter(|name| NOT_IN_PURE.contains(name)).collect();
        let folder = folder(&workspace, package);
        assert!(wrong.is_empty(), "{folder} is pure: {wrong:?} belong to capture/, replayer/ or the edges");
    }
}

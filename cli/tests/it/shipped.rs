//! The shipped recording, and altered copies of it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use bundle::{Archive, Record, Writer};
use exchange::{Body, Exchange, Fingerprint};

use crate::{Ran, retake};

/// What each answer has anew: an id and a time.
pub(crate) const IGNORED: [&str; 8] =
    ["--ignore", "/id", "--ignore", "/created", "--ignore", "sse:/id", "--ignore", "sse:/created"];

/// How many tickets it holds; each made two calls.
pub(crate) const TICKETS: u64 = 200;

/// Where it is.
pub(crate) fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/bundles/v1/triage.retake").canonicalize().unwrap()
}

/// True where a container engine answers. Where none does the test is skipped and says so, and fails where there has to be one.
pub(crate) fn docker(test: &str) -> bool {
    let output = std::process::Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if output.is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var_os("RETAKE_REQUIRE_DOCKER").is_none(), "no container engine answers, and one has to");
    skipped(test, "no container engine answers");
    false
}

/// True where this machine has IPv6's loopback. Where it has none the test is skipped and says so.
pub(crate) fn ipv6(test: &str) -> bool {
    let found = std::net::TcpListener::bind("[::1]:0");
    if let Err(error) = &found {
        skipped(test, &format!("this machine has no ::1 ({error})"));
    }
    found.is_ok()
}

/// Says that a test was skipped, and why.
pub(crate) fn skipped(test: &str, why: &str) {
    let line = format!("{test}: {why}");
    eprintln!("skipped: {line}");
    if let Some(path) = std::env::var_os("RETAKE_SKIPS") {
        let mut skips = std::fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(skips, "{line}").unwrap();
    }
}

/// `retake replay SOURCE … --json` with the ids and times ignored.
pub(crate) fn replay(folder: &Path, source: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["replay", source.to_str().unwrap(), "--json"];
    arguments.extend(IGNORED);
    arguments.extend(more);
    retake(folder, &arguments)
}

/// What is different in a copy.
pub(crate) struct Alter<'a> {
    /// Leaves an exchange out by giving `None`.
    pub(crate) exchange: &'a dyn Fn(Exchange) -> Option<Exchange>,
    /// Changes the environment.
    pub(crate) fingerprint: &'a dyn Fn(Fingerprint) -> Fingerprint,
    /// Whether the image stays in it.
    pub(crate) with_image: bool,
}

/// Writes an altered copy of the shipped recording, as valid as the original.
pub(crate) fn altered(path: &Path, alter: &Alter<'_>) {
    let archive = Archive::open(&shipped()).unwrap();
    let mut writer = Writer::create(path).unwrap();
    archive.sessions().iter().for_each(|session| writer.append(&Record::Session(session.clone())).unwrap());
    let mut environments = std::collections::BTreeMap::new();
    for (digest, fingerprint) in archive.fingerprints().unwrap() {
        environments.insert(digest, writer.put_fingerprint(&(alter.fingerprint)(fingerprint)).unwrap());
    }
    for entry in archive.entries() {
        let Some(mut exchange) = (alter.exchange)(archive.exchange(&entry.id).unwrap()) else { continue };
        copy_body(&archive, &mut writer, &mut exchange.request.body);
        if let Some(response) = &mut exchange.response {
            copy_body(&archive, &mut writer, &mut response.body);
        }
        exchange.fingerprint = exchange.fingerprint.map(|digest| environments[&digest]);
        writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    }
    for mut image in archive.images().unwrap().into_iter().filter(|_| alter.with_image) {
        copy_body(&archive, &mut writer, &mut image.archive);
        writer.append(&Record::Image(Box::new(image))).unwrap();
    }
    writer.seal().unwrap();
}

/// Puts a body of the shipped recording into another file, where its pieces have other numbers.
fn copy_body(archive: &Archive, writer: &mut Writer, body: &mut Body) {
    let bytes = archive.body(body, u64::MAX).unwrap();
    body.parts = writer.put_body_bytes(&bytes).unwrap();
}

//! What the targets have in common: a place for files in memory, inputs that stand for files, and all that reading can do.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bundle::{Archive, Extra, Store, export, fuzzing::RawContent, salvage, verify};
use tempfile::TempDir;

/// Longest body that is asked for, in bytes.
const BODY_BYTES_MAX: u64 = 1 << 20;

/// A folder in memory with a place for a bundle, a store, and what is written of them.
pub struct Scratch {
    folder: TempDir,
    store: Store,
}

impl Scratch {
    /// A new one.
    pub fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("there is room for a folder");
        let store = Store::open_or_create(&folder.path().join("store")).expect("a store is made");
        fs::create_dir_all(store.path().join("segments")).expect("its room is made");
        Self { folder, store }
    }

    /// Where something of this name goes.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads `file` in every way: as a bundle and as a segment of a store, verified, salvaged and exported.
    pub fn read(&self, file: &[u8]) {
        let path = self.path("a.retake");
        fs::write(&path, file).expect("there is room for a file");
        self.read_at(&path);
        let segment = self.store.path().join("segments").join(format!("{}-000.retake", "0".repeat(32)));
        fs::rename(&path, &segment).expect("it is moved");
        self.read_at(self.store.path());
        fs::remove_file(&segment).ok();
    }

    fn read_at(&self, path: &Path) {
        let is_whole = verify(path, &mut |_, _| {}).is_ok_and(|report| report.damage.is_empty() && report.torn.is_empty());
        let opened = Archive::open(path);
        assert!(!is_whole || opened.is_ok(), "what verifies can be opened");
        let out = self.path("out.retake");
        fs::remove_file(&out).ok();
        // Where nothing is whole nothing is written.
        if salvage(path, &out, &mut |_, _| {}).is_ok() && out.exists() {
            let saved = verify(&out, &mut |_, _| {}).expect("what was salvaged can be read");
            assert!(saved.damage.is_empty(), "what was salvaged verifies: {:?}", saved.damage);
        }
        let Ok(archive) = opened else { return };
        let ids: Vec<_> = archive.entries().iter().map(|entry| entry.id).collect();
        for id in &ids {
            let Ok(exchange) = archive.exchange(id) else { continue };
            let response = exchange.response.as_ref().map(|response| &response.body);
            for body in [Some(&exchange.request.body), response].into_iter().flatten() {
                if let Ok(bytes) = archive.body(body, BODY_BYTES_MAX) {
                    assert_eq!(bytes.len() as u64, body.kept_len(), "a body is as long as its parts");
                }
                archive.copy_body(body, &mut io::sink()).ok();
            }
            archive.clocks(&exchange.session);
            archive.resolve(&id.to_string()[..8]).ok();
        }
        archive.runs().ok();
        archive.images().ok();
        archive.fingerprints().ok();
        archive.tombstones().ok();
        archive.holdings().ok();
        archive.events().for_each(drop);
        archive.log_lines().for_each(drop);
        fs::remove_file(&out).ok();
        let extra = Extra { keep_images: true, ..Extra::default() };
        export(&archive, &ids, &out, extra, &mut |_, _| {}).ok();
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// The blocks that an input stands for: kind, count (2 bytes), length (3 bytes), and as many bytes or what is left.
pub fn blocks_in(mut input: &[u8]) -> Vec<RawContent> {
    let mut blocks = Vec::new();
    while let Some((&[kind, c0, c1, l0, l1, l2], rest)) = input.split_first_chunk() {
        let len = u32::from_le_bytes([l0, l1, l2, 0]) as usize;
        let (raw, rest) = rest.split_at(len.min(rest.len()));
        blocks.push(RawContent { kind, count: u16::from_le_bytes([c0, c1]).into(), raw: raw.to_vec() });
        input = rest;
    }
    blocks
}

/// The input that stands for these blocks.
pub fn input_of(blocks: &[RawContent]) -> Vec<u8> {
    let mut input = Vec::new();
    for block in blocks {
        input.push(block.kind);
        input.extend_from_slice(&block.count.to_le_bytes()[..2]);
        input.extend_from_slice(&(block.raw.len() as u32).to_le_bytes()[..3]);
        input.extend_from_slice(&block.raw);
    }
    input
}

/// The parts of an input: each a length (2 bytes), and as many bytes or what is left.
pub fn parts_in(mut input: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some((len, rest)) = input.split_first_chunk() {
        let (part, rest) = rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()));
        parts.push(part);
        input = rest;
    }
    parts
}

/// The input that stands for these parts, each cut to what its length can say.
pub fn input_of_parts(parts: &[&[u8]]) -> Vec<u8> {
    let mut input = Vec::new();
    for part in parts {
        let part = &part[..part.len().min(usize::from(u16::MAX))];
        input.extend_from_slice(&(part.len() as u16).to_le_bytes());
        input.extend_from_slice(part);
    }
    input
}

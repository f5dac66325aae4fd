//! What a file or folder holds, as one digest: of a mount when it is recorded, and of what stands in for it in a replay.
//!
//! In: a folder of this machine, or the tar in which a container engine gives one. Out: the same digest for the same
//! content, and where two differ. `docs/format.md` says what is digested. Names, kinds and contents count, and whether a file
//! may be run; owners and times do not. Of small files that look like secrets only a slow salted hash is kept: `secrets.rs`.

mod outline;
mod secrets;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use exchange::{Digest, MountEntry};

pub use self::outline::Difference;
use self::secrets::{SECRET_LEN_MAX, looks_secret};
use crate::secret;

/// Limits on what is digested.
#[derive(Clone, Copy, Debug)]
pub struct TreeLimits {
    /// Bytes of all files together.
    pub bytes_max: u64,
    /// Files, folders and links.
    pub entries_max: usize,
}

impl Default for TreeLimits {
    /// 64 GiB, 200,000 entries. Choices: the largest models that one machine serves, and a large code base.
    fn default() -> Self {
        Self { bytes_max: 64 << 30, entries_max: 200_000 }
    }
}

/// How a file or folder is looked at.
#[derive(Clone, Debug, Default)]
pub struct Looking {
    /// Where a container has it: names tell what holds secrets.
    pub mounted_at: String,
    /// Relative paths that are left out, with all that is below: other mounts in this one, which have digests of their own.
    pub without: Vec<String>,
    /// For the slow hash of what looks like a secret; without one nothing does.
    pub salt: Option<[u8; 16]>,
    /// Limits on what is digested.
    pub limits: TreeLimits,
}

/// What a file or folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The digest of all of it.
    pub digest: Digest,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files in it; 1 for a file.
    pub files: u64,
    /// True where some of it is in the digest by a slow salted hash only.
    pub has_secrets: bool,
    entries: BTreeMap<Vec<u8>, Entry>,
}

/// One thing in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File {
        digest: Digest,
        may_run: bool,
        len: u64,
        is_secret: bool,
    },
    Link {
        target: Vec<u8>,
    },
    /// A socket, a pipe, a device: that it is there counts.
    Other,
}

/// Everything in a folder by path, or one file under the empty path.
struct Entries<'a> {
    looking: &'a Looking,
    by_path: BTreeMap<Vec<u8>, Entry>,
    bytes: u64,
}

/// What a file or folder of this machine holds. Reads all of it: call it off the runtime's threads.
///
/// # Errors
/// The system's, and `FileTooLarge` beyond the limits.
pub fn local_tree(path: &Path, looking: &Looking) -> io::Result<Tree> {
    let mut entries = Entries::of(looking);
    entries.walk(path, &[], true)?;
    Ok(entries.finish())
}

/// What the folder or file holds that an engine gives as a tar: everything below one name (`docker cp`).
///
/// # Errors
/// `InvalidData` for what is no such tar, and `FileTooLarge` beyond the limits.
pub(crate) fn tar_tree(archive: impl Read, looking: &Looking) -> io::Result<Tree> {
    let mut entries = Entries::of(looking);
    for item in tar::Archive::new(archive).entries()? {
        entries.take_item(item?)?;
    }
    Ok(entries.finish())
}

impl Tree {
    /// What is kept beside the digest, so that a difference can be named: at most 128 things in it, a
    /// folder for all below where there are more. Empty for a file.
    pub fn outline(&self) -> Vec<MountEntry> {
        outline::of(&self.entries)
    }

    /// Where it first differs from what an outline was made of, as far as that tells.
    pub fn difference(&self, outline: &[MountEntry]) -> Option<Difference> {
        outline::first_difference(&self.entries, outline)
    }
}

impl<'a> Entries<'a> {
    fn of(looking: &'a Looking) -> Self {
        Self { looking, by_path: BTreeMap::new(), bytes: 0 }
    }

    fn leaves_out(&self, name: &[u8]) -> bool {
        let is_in =
            |above: &String| name.strip_prefix(above.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        self.looking.without.iter().any(is_in)
    }

    fn walk(&mut self, path: &Path, name: &[u8], follows: bool) -> io::Result<()> {
        if self.leaves_out(name) {
            return Ok(());
        }
        let metadata = if follows { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.add(name, Entry::Folder)?;
            for item in fs::read_dir(path)? {
                let item = item?;
                let inner = join(name, item.file_name().as_bytes());
                self.walk(&item.path(), &inner, false)?;
            }
            return Ok(());
        }
        let entry = if kind.is_file() {
            let may_run = metadata.permissions().mode() & 0o111 != 0;
            self.file(name, File::open(path)?, metadata.len(), may_run)?
        } else if kind.is_symlink() {
            Entry::Link { target: fs::read_link(path)?.as_os_str().as_bytes().to_vec() }
        } else {
            Entry::Other
        };
        self.add(name, entry)
    }

    fn take_item(&mut self, item: tar::Entry<'_, impl Read>) -> io::Result<()> {
        let name = below_first(&item.path_bytes());
        if self.leaves_out(&name) {
            return Ok(());
        }
        let kind = item.header().entry_type();
        let target = item.link_name_bytes().map(|target| target.to_vec()).unwrap_or_default();
        let entry = match kind {
            tar::EntryType::Directory => Entry::Folder,
            tar::EntryType::Symlink => Entry::Link { target },
            // A second name of a file that came before: looked at under the name that came first.
            tar::EntryType::Link => self.by_path.get(&below_first(&target)).cloned().unwrap_or(Entry::Other),
            _ if kind.is_file() => {
                let may_run = item.header().mode()? & 0o111 != 0;
                let len = item.size();
                self.file(&name, item, len, may_run)?
            }
            _ => Entry::Other,
        };
        self.add(&name, entry)
    }

    fn file(&mut self, name: &[u8], mut content: impl Read, len: u64, may_run: bool) -> io::Result<Entry> {
        let limits = self.looking.limits;
        let left = limits.bytes_max.saturating_sub(self.bytes);
        if len > left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} bytes", limits.bytes_max)));
        }
        let mut hasher = blake3::Hasher::new();
        let mut is_secret = false;
        if self.looking.salt.is_some() && len <= SECRET_LEN_MAX {
            let mut small = Vec::new();
            content.by_ref().take(SECRET_LEN_MAX).read_to_end(&mut small)?;
            is_secret = looks_secret(&join(self.looking.mounted_at.as_bytes(), name), &small);
            hasher.update(&small);
        }
        // A file that grows meanwhile is not read for ever.
        hasher.update_reader(content.take(left))?;
        self.bytes += len;
        Ok(Entry::File { digest: Digest(*hasher.finalize().as_bytes()), may_run, len, is_secret })
    }

    fn add(&mut self, name: &[u8], entry: Entry) -> io::Result<()> {
        let entries_max = self.looking.limits.entries_max;
        if self.by_path.len() > entries_max {
            let text = format!("more than {entries_max} files and folders");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.by_path.insert(name.to_vec(), entry);
        Ok(())
    }

    fn finish(self) -> Tree {
        let files = self.by_path.values().filter(|entry| matches!(entry, Entry::File { .. })).count() as u64;
        let slow = self.looking.salt.and_then(|salt| self.slow_hash(&salt));
        let digest = match (self.by_path.get(&b""[..]), slow) {
            (Some(Entry::File { digest, .. }), None) => *digest,
            (Some(Entry::File { .. }), Some(slow)) => slow,
            (_, slow) => digest_of(self.by_path.iter().filter(|(path, _)| !path.is_empty()), slow),
        };
        Tree { digest, bytes: self.bytes, files, has_secrets: slow.is_some(), entries: self.by_path }
    }

    /// One slow hash over all files that look like secrets, however many; `None` where none does.
    fn slow_hash(&self, salt: &[u8]) -> Option<Digest> {
        let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 secrets of a folder");
        let mut has_some = false;
        for (path, entry) in &self.by_path {
            if let Entry::File { digest, is_secret: true, .. } = entry {
                has_some = true;
                put(&mut hasher, path);
                put(&mut hasher, &digest.0);
            }
        }
        has_some.then(|| Digest(secret::hash(hasher.finalize().as_bytes(), salt)))
    }
}

/// Over entries in the order of their paths' bytes, then what is kept of the secrets among them.
fn digest_of<'a>(entries: impl Iterator<Item = (&'a Vec<u8>, &'a Entry)>, slow: Option<Digest>) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 content of a folder");
    for (path, entry) in entries {
        put(&mut hasher, path);
        entry.put_into(&mut hasher);
    }
    if let Some(slow) = slow {
        // No path in a folder is empty.
        put(&mut hasher, b"");
        put(&mut hasher, &slow.0);
    }
    Digest(*hasher.finalize().as_bytes())
}

impl Entry {
    fn put_into(&self, hasher: &mut blake3::Hasher) {
        match self {
            Self::Folder => put(hasher, b"d"),
            Self::File { digest, may_run, is_secret, .. } => {
                put(hasher, if *may_run { b"x" } else { b"f" });
                put(hasher, if *is_secret { b"" } else { &digest.0 });
            }
            Self::Link { target } => {
                put(hasher, b"l");
                put(hasher, target);
            }
            Self::Other => put(hasher, b"o"),
        }
    }
}

/// A part with its length before it.
fn put(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// A path without its first step, `./` and the slash at its end.
fn below_first(path: &[u8]) -> Vec<u8> {
    let mut steps = path.split(|&byte| byte == b'/').filter(|step| !step.is_empty() && *step != b".");
    steps.next();
    steps.collect::<Vec<_>>().join(&b'/')
}

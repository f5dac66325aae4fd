//! What a file or folder holds, as one digest: of a mount when it is recorded, and of what stands in for it in a replay.
//!
//! In: a folder of this machine, or the tar in which a container engine gives one. Out: the same digest for the same
//! content. `docs/format.md` says what is digested. Names, kinds and contents count, and whether a file may be run; owners
//! and times do not.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

use exchange::Digest;

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

/// What a file or folder holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The digest of all of it.
    pub digest: Digest,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Files in it; 1 for a file.
    pub files: u64,
}

/// One thing in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Folder,
    File {
        digest: Digest,
        may_run: bool,
        len: u64,
    },
    Link {
        target: Vec<u8>,
    },
    /// A socket, a pipe, a device: that it is there counts.
    Other,
}

/// Everything in a folder by path, or one file under the empty path.
#[derive(Debug, Default)]
struct Entries {
    by_path: BTreeMap<Vec<u8>, Entry>,
    bytes: u64,
    /// Not looked at: other mounts in this one, which have digests of their own.
    without: Vec<Vec<u8>>,
}

/// What a file or folder of this machine holds, but for what is at and below the paths in `without`. Reads all of it: call it
/// off the runtime's threads.
///
/// # Errors
/// The system's, and `FileTooLarge` beyond the limits.
pub fn local_tree(path: &Path, without: &[String], limits: TreeLimits) -> io::Result<Tree> {
    let mut entries = Entries::but(without);
    entries.walk(path, &[], limits, true)?;
    Ok(entries.finish())
}

/// What the folder or file holds that an engine gives as a tar: everything below one name (`docker cp`).
///
/// # Errors
/// `InvalidData` for what is no such tar, and `FileTooLarge` beyond the limits.
pub(crate) fn tar_tree(archive: impl Read, without: &[String], limits: TreeLimits) -> io::Result<Tree> {
    let mut entries = Entries::but(without);
    for item in tar::Archive::new(archive).entries()? {
        entries.take_item(item?, limits)?;
    }
    Ok(entries.finish())
}

impl Entries {
    fn but(without: &[String]) -> Self {
        Self { without: without.iter().map(|path| path.as_bytes().to_vec()).collect(), ..Self::default() }
    }

    fn leaves_out(&self, name: &[u8]) -> bool {
        let is_in = |above: &Vec<u8>| name.strip_prefix(&above[..]).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        self.without.iter().any(is_in)
    }

    fn walk(&mut self, path: &Path, name: &[u8], limits: TreeLimits, follows: bool) -> io::Result<()> {
        if self.leaves_out(name) {
            return Ok(());
        }
        let metadata = if follows { fs::metadata(path)? } else { fs::symlink_metadata(path)? };
        let kind = metadata.file_type();
        if kind.is_dir() {
            self.add(name, Entry::Folder, limits)?;
            for item in fs::read_dir(path)? {
                let item = item?;
                let inner = join(name, item.file_name().as_bytes());
                self.walk(&item.path(), &inner, limits, false)?;
            }
            return Ok(());
        }
        let entry = if kind.is_file() {
            let may_run = metadata.permissions().mode() & 0o111 != 0;
            self.file(File::open(path)?, metadata.len(), may_run, limits)?
        } else if kind.is_symlink() {
            Entry::Link { target: fs::read_link(path)?.as_os_str().as_bytes().to_vec() }
        } else {
            Entry::Other
        };
        self.add(name, entry, limits)
    }

    fn take_item(&mut self, item: tar::Entry<'_, impl Read>, limits: TreeLimits) -> io::Result<()> {
        let name = below_first(&item.path_bytes());
        if self.leaves_out(&name) {
            return Ok(());
        }
        let kind = item.header().entry_type();
        let target = item.link_name_bytes().map(|target| target.to_vec()).unwrap_or_default();
        let entry = match kind {
            tar::EntryType::Directory => Entry::Folder,
            tar::EntryType::Symlink => Entry::Link { target },
            // A second name of a file that came before.
            tar::EntryType::Link => self.by_path.get(&below_first(&target)).cloned().unwrap_or(Entry::Other),
            _ if kind.is_file() => {
                let may_run = item.header().mode()? & 0o111 != 0;
                let len = item.size();
                self.file(item, len, may_run, limits)?
            }
            _ => Entry::Other,
        };
        self.add(&name, entry, limits)
    }

    fn file(&mut self, content: impl Read, len: u64, may_run: bool, limits: TreeLimits) -> io::Result<Entry> {
        let left = limits.bytes_max.saturating_sub(self.bytes);
        if len > left {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {} bytes", limits.bytes_max)));
        }
        let mut hasher = blake3::Hasher::new();
        // A file that grows meanwhile is not read for ever.
        hasher.update_reader(content.take(left))?;
        self.bytes += len;
        Ok(Entry::File { digest: Digest(*hasher.finalize().as_bytes()), may_run, len })
    }

    fn add(&mut self, name: &[u8], entry: Entry, limits: TreeLimits) -> io::Result<()> {
        if self.by_path.len() > limits.entries_max {
            let text = format!("more than {} files and folders", limits.entries_max);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        self.by_path.insert(name.to_vec(), entry);
        Ok(())
    }

    fn finish(self) -> Tree {
        let files = self.by_path.values().filter(|entry| matches!(entry, Entry::File { .. })).count() as u64;
        let only_file = match self.by_path.get(&b""[..]) {
            Some(Entry::File { digest, .. }) => Some(*digest),
            _ => None,
        };
        Tree { digest: only_file.unwrap_or_else(|| self.digest()), bytes: self.bytes, files }
    }

    /// Over the entries in the order of their paths' bytes, the folder itself left out.
    fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("retake 2026-11 content of a folder");
        let mut part = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        };
        for (path, entry) in self.by_path.iter().filter(|(path, _)| !path.is_empty()) {
            part(path);
            match entry {
                Entry::Folder => part(b"d"),
                Entry::File { digest, may_run, .. } => {
                    part(if *may_run { b"x" } else { b"f" });
                    part(&digest.0);
                }
                Entry::Link { target } => {
                    part(b"l");
                    part(target);
                }
                Entry::Other => part(b"o"),
            }
        }
        Digest(*hasher.finalize().as_bytes())
    }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// The folder as the engine gives it.
    fn packed(folder: &Path) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        builder.follow_symlinks(false);
        builder.append_dir_all("models", folder).unwrap();
        builder.into_inner().unwrap()
    }

    fn digest(folder: &Path) -> Digest {
        local_tree(folder, &[], TreeLimits::default()).unwrap().digest
    }

    #[test]
    fn a_folder_has_the_digest_of_its_tar_and_every_change_of_it_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/empty")).unwrap();
        fs::write(path("a/weights"), "w").unwrap();
        fs::write(path("run.sh"), "#!").unwrap();
        symlink("a/weights", path("latest")).unwrap();
        let tree = local_tree(folder.path(), &[], TreeLimits::default()).unwrap();
        assert_eq!((tree.files, tree.bytes), (2, 3));
        assert_eq!(tar_tree(&packed(folder.path())[..], &[], TreeLimits::default()).unwrap(), tree);

        let mut seen = vec![tree.digest];
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(path("a/weights"), "v").unwrap(),
            &|| fs::set_permissions(path("run.sh"), fs::Permissions::from_mode(0o755)).unwrap(),
            &|| fs::rename(path("run.sh"), path("go.sh")).unwrap(),
            &|| fs::remove_dir(path("a/empty")).unwrap(),
            &|| {
                fs::remove_file(path("latest")).unwrap();
                symlink("go.sh", path("latest")).unwrap();
            },
        ];
        for change in changes {
            change();
            let now = digest(folder.path());
            assert!(!seen.contains(&now));
            seen.push(now);
        }
    }

    #[test]
    fn a_mount_in_another_is_left_out_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("app/modules/deep")).unwrap();
        fs::write(path("app/main"), "m").unwrap();
        fs::create_dir(path("app/modules2")).unwrap();
        let without = ["modules".to_owned()];
        let whole = |folder: &Path| local_tree(folder, &without, TreeLimits::default()).unwrap();
        let before = whole(&path("app"));
        fs::write(path("app/modules/deep/file"), "other").unwrap();
        assert_eq!(whole(&path("app")), before);
        assert_eq!(tar_tree(&packed(&path("app"))[..], &without, TreeLimits::default()).unwrap(), before);
        fs::write(path("app/modules2/file"), "other").unwrap();
        assert_ne!(whole(&path("app")), before);
    }

    #[test]
    fn a_file_alone_has_the_digest_of_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        fs::write(&path, "weights").unwrap();
        let tree = local_tree(&path, &[], TreeLimits::default()).unwrap();
        assert_eq!(tree, Tree { digest: Digest::of(b"weights"), bytes: 7, files: 1 });
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_path_with_name(&path, "model.bin").unwrap();
        assert_eq!(tar_tree(&builder.into_inner().unwrap()[..], &[], TreeLimits::default()).unwrap(), tree);
    }

    #[test]
    fn what_is_beyond_the_limits_is_refused_and_what_is_no_tar_too() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "12345").unwrap();
        let small = TreeLimits { bytes_max: 4, entries_max: 10 };
        assert_eq!(local_tree(folder.path(), &[], small).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(tar_tree(&packed(folder.path())[..], &[], small).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let few = TreeLimits { entries_max: 0, ..TreeLimits::default() };
        assert_eq!(local_tree(folder.path(), &[], few).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert!(tar_tree(&[7_u8; 2048][..], &[], TreeLimits::default()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_folder_has_the_digest_of_its_tar(
            files in prop::collection::btree_map("[a-c]{1,2}(/[a-c]{1,2}){0,2}\\.f", "[ -~]{0,9}", 0..8),
        ) {
            let folder = tempfile::tempdir().unwrap();
            for (name, content) in &files {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            let tree = local_tree(folder.path(), &[], TreeLimits::default()).unwrap();
            prop_assert_eq!(tar_tree(&packed(folder.path())[..], &[], TreeLimits::default()).unwrap(), tree);
        }
    }
}

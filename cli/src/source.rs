//! SOURCE, as every reading command takes it: a bundle file, a store folder, a run, or the first digits of an id.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bundle::{Archive, FindError, OpenError, ReadError};
use exchange::{Body, Exchange, Id, Session};
use remote::Address;

use crate::{
    args::KeyArgs,
    bucket::{self, Opened},
    console::Console,
    exit::Exit,
    sealed,
    trouble::{Trouble, trouble_from},
};

trouble_from!(OpenError, ReadError, FindError, bundle::ExportError, bundle::SalvageError, bundle::StoreError);

/// Fewest digits that are taken for an id, as `bundle` has it.
const PREFIX_DIGITS_MIN: usize = 4;

/// What a SOURCE led to.
pub(crate) struct Source {
    /// How it was named.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) archive: Archive,
    /// The one exchange that the digits named; `None` when all of it is meant.
    pub(crate) only: Option<Id>,
    /// What an encrypted bundle holds, in a file that only this process reaches.
    pub(crate) decrypted: Option<File>,
    /// True of a file that is being written, or whose writer is gone.
    is_unsealed: bool,
}

/// What is done with what is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// It is looked at: as much as is whole of a file that is not sealed will do.
    Looking,
    /// It is worked with, as a whole.
    Work,
}

impl Source {
    /// Opens what `text` names, or the store when nothing is named.
    pub(crate) fn open(text: Option<&str>, store: &Path, keys: &KeyArgs) -> Result<Self, Trouble> {
        Self::open_for(For::Work, text, store, keys)
    }

    /// Opens what `text` names to be looked at, also a run that goes on or was cut off.
    pub(crate) fn open_to_look(text: Option<&str>, store: &Path, keys: &KeyArgs) -> Result<Self, Trouble> {
        Self::open_for(For::Looking, text, store, keys)
    }

    fn open_for(what: For, text: Option<&str>, store: &Path, keys: &KeyArgs) -> Result<Self, Trouble> {
        let Some(text) = text else { return Self::at(For::Work, store, store.display().to_string()) };
        let path = Path::new(text);
        if let Some(address) = bucket::address(path)? {
            return Self::of_object(&address, path, keys);
        }
        if let Some(encrypted) = sealed::open(path)? {
            return Self::of_encrypted(&encrypted, path, keys);
        }
        if path.exists() || !is_prefix(text) {
            return Self::at(what, path, text.to_owned());
        }
        Self::of_prefix(what, text, store)
    }

    /// Opens a file or folder.
    fn at(what: For, path: &Path, name: String) -> Result<Self, Trouble> {
        check_exists(path)?;
        let (archive, is_unsealed) = match Archive::open(path) {
            Err(OpenError::Unsealed { .. }) if what == For::Looking => (Archive::open_growing(path)?, true),
            opened => (opened?, false),
        };
        Ok(Self { name, archive, only: None, decrypted: None, is_unsealed })
    }

    /// Opens an object or a store of them, of which as much is read as is asked for; an encrypted one is fetched.
    fn of_object(address: &Address, path: &Path, keys: &KeyArgs) -> Result<Self, Trouble> {
        let archive = match bucket::open(address)? {
            Opened::Other(file) if sealed::is_encrypted(&file, path)? => return Self::of_encrypted(&file, path, keys),
            Opened::Other(file) => Archive::open_file(file, path)?,
            Opened::Bundle(object) => Archive::open_file(object, path)?,
            Opened::Store(files) => Archive::open_files(files)?,
        };
        Ok(Self { name: address.to_string(), archive, only: None, decrypted: None, is_unsealed: false })
    }

    /// Decrypts a bundle, and opens what is in it.
    fn of_encrypted(encrypted: &File, path: &Path, keys: &KeyArgs) -> Result<Self, Trouble> {
        let decrypted = sealed::decrypt(encrypted, path, keys)?;
        let archive = Archive::open_file(sealed::again(&decrypted)?, path)?;
        Ok(Self {
            name: path.display().to_string(),
            archive,
            only: None,
            decrypted: Some(decrypted),
            is_unsealed: false,
        })
    }

    /// Looks for a run and an exchange whose id begins so.
    fn of_prefix(what: For, prefix: &str, store: &Path) -> Result<Self, Trouble> {
        let runs = runs_with_prefix(store, prefix)?;
        let no_store =
            |trouble: Trouble| trouble.while_doing(format!("`{prefix}` is no file, and no id can be looked for"));
        let archive = Self::at(For::Work, store, String::new()).map_err(no_store)?.archive;
        match (archive.resolve(prefix), &runs[..]) {
            (Err(FindError::NotFound { .. }), [run]) => Self::at(what, run, prefix.to_owned()),
            (Ok(id), []) => {
                Ok(Self { name: prefix.to_owned(), archive, only: Some(id), decrypted: None, is_unsealed: false })
            }
            (Err(error), []) => Err(scrubbed(&archive, prefix)?.unwrap_or_else(|| {
                Trouble::from(error).while_doing(format!("`{prefix}` is neither a file nor an id"))
            })),
            _ => Err(Trouble::new(format!("more than one id of runs and exchanges begins with `{prefix}`"))
                .help("give more digits")),
        }
    }

    /// The exchanges whose ids begin so, in the order they were named.
    pub(crate) fn resolve_all(&self, prefixes: &[String]) -> Result<Vec<Id>, Trouble> {
        prefixes.iter().map(|prefix| self.resolve(prefix)).collect()
    }

    /// The exchange whose id begins so; of one that was scrubbed it is said when and why.
    pub(crate) fn resolve(&self, prefix: &str) -> Result<Id, Trouble> {
        match self.archive.resolve(prefix) {
            Err(error @ FindError::NotFound { .. }) => {
                Err(scrubbed(&self.archive, prefix)?.unwrap_or_else(|| error.into()))
            }
            found => Ok(found?),
        }
    }

    /// The session of an exchange, where it is here.
    pub(crate) fn session(&self, id: &Id) -> Option<&Session> {
        self.archive.sessions().iter().find(|session| session.id == *id)
    }

    /// Says what is damaged or torn. What was read beside it holds, but the exit code tells.
    pub(crate) fn warn(&self, console: &Console) -> Exit {
        if self.is_unsealed {
            console.note(&format!("`{}` goes on, or was cut off: this is what is whole of it", self.name));
        }
        for torn in self.archive.torn() {
            console.warn(&format!("torn tail, still being written or cut off: {torn}"));
        }
        for damage in self.archive.damage() {
            console.warn(&format!("damaged: {damage}"));
        }
        tell_scrubbed(&self.archive, console);
        if self.archive.damage().is_empty() { Exit::Passed } else { Exit::Trouble }
    }

    /// Where a request went, as a URL: what an import told, the upstream of its listener, else what its `Host` field says.
    pub(crate) fn upstream(&self, exchange: &Exchange) -> String {
        if let Some(origin) = exchange.context.imported.as_ref().and_then(|imported| imported.origin.as_ref()) {
            return origin.clone();
        }
        let listeners = self.session(&exchange.session).into_iter().flat_map(|session| &session.listeners);
        let mut of_role = listeners.filter(|listener| match exchange.role.dependency() {
            Some(name) => listener.dependency.as_deref() == Some(name),
            None => listener.is_for_clients(),
        });
        match (of_role.next(), exchange.request.head.text_of("host")) {
            (Some(listener), _) => listener.upstream.clone(),
            (None, Some(host)) => format!("http://{host}"),
            (None, None) => "http://127.0.0.1".to_owned(),
        }
    }

    /// The first `len_max` kept bytes of a body, or all of them.
    pub(crate) fn beginning(&self, body: &Body, len_max: usize) -> Result<Vec<u8>, Trouble> {
        let mut beginning = Beginning { bytes: Vec::new(), len_max };
        match self.archive.copy_body(body, &mut beginning) {
            Err(ReadError::Output { .. }) => Ok(beginning.bytes),
            copied => copied.map(|_| beginning.bytes).map_err(Trouble::from),
        }
    }
}

/// What is said of an id that was scrubbed.
fn scrubbed(archive: &Archive, prefix: &str) -> Result<Option<Trouble>, Trouble> {
    let told = archive.scrubbed(prefix)?.map(|(id, stone)| {
        let at = report::instant(stone.scrubbed_unix_ns);
        Trouble::new(format!("`{id}` was scrubbed on {at}: {}", stone.reason)).help("nothing of it was kept")
    });
    Ok(told)
}

/// Takes what fits, and refuses the rest.
struct Beginning {
    bytes: Vec<u8>,
    len_max: usize,
}

impl io::Write for Beginning {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let taken = more.len().min(self.len_max - self.bytes.len());
        self.bytes.extend_from_slice(&more[..taken]);
        if taken == 0 && !more.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Says what was scrubbed, when and why.
pub(crate) fn tell_scrubbed(archive: &Archive, console: &Console) {
    match archive.tombstones() {
        Err(error) => console.warn(&format!("what was scrubbed cannot be read: {error}")),
        Ok(stones) => {
            for stone in stones.iter().filter(|stone| !stone.ids.is_empty()) {
                let at = report::instant(stone.scrubbed_unix_ns);
                let many = if stone.ids.len() == 1 { "id was" } else { "ids were" };
                console.note(&format!("{} {many} scrubbed on {at}: {}", stone.ids.len(), stone.reason));
            }
        }
    }
}

/// # Errors
/// When there is nothing at this path, with advice that an operating system does not give.
pub(crate) fn check_exists(path: &Path) -> Result<(), Trouble> {
    bucket::refuse(path)?;
    if path.exists() {
        return Ok(());
    }
    let trouble = Trouble::new(format!("there is no `{}`", path.display()));
    Err(trouble.help(
        "name a bundle file or a store folder; `retake capture` makes a store, `./.retake` unless `--store` says where",
    ))
}

fn is_prefix(text: &str) -> bool {
    (PREFIX_DIGITS_MIN..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The files of a store's runs, sorted by name; none where there is no such folder.
pub(crate) fn run_files(store: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let folder = store.join("runs");
    let cannot = |error: io::Error| Trouble::of(&error).while_doing(format!("cannot read `{}`", folder.display()));
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(cannot)?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>().map_err(cannot)?;
    let is_bundle = |path: &PathBuf| path.extension().is_some_and(|extension| extension == bundle::EXTENSION);
    let mut paths: Vec<_> = paths.into_iter().filter(is_bundle).collect();
    paths.sort();
    Ok(paths)
}

/// The files of the runs of a store whose ids begin so.
pub(crate) fn runs_with_prefix(store: &Path, prefix: &str) -> Result<Vec<PathBuf>, Trouble> {
    let prefix = prefix.to_ascii_lowercase();
    let begins_so = |path: &PathBuf| path.file_stem().is_some_and(|stem| stem.to_string_lossy().starts_with(&prefix));
    Ok(run_files(store)?.into_iter().filter(begins_so).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_body_longer_than_wanted_gives_its_beginning() {
        let mut beginning = Beginning { bytes: Vec::new(), len_max: 5 };
        assert!(beginning.write_all(b"abc").is_ok());
        assert!(beginning.write_all(b"defg").is_err());
        assert_eq!(beginning.bytes, b"abcde");
    }

    #[test]
    fn an_id_has_four_hex_digits_at_least() {
        assert!(is_prefix("3fA9") && is_prefix(&"0".repeat(32)));
        assert!(!is_prefix("3fa") && !is_prefix("case") && !is_prefix(&"0".repeat(33)));
    }
}

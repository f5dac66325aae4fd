//! Bundles and stores on object storage, as SOURCE and as what is written.
//!
//! In: what was typed. Out: something that can be read like a file; a file that is sent when it is whole. How storage is
//! asked is `remote`'s.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use bundle::{Archive, ReadAt, Sealed};
use remote::{Address, Object, RemoteError};
use sealing::SIGNATURE_EXTENSION;
use tempfile::{NamedTempFile, TempDir};

use crate::trouble::{Trouble, trouble_from};

trouble_from!(RemoteError);

/// Bytes fetched at once. A choice.
const FETCH_BYTES: usize = 1 << 20;

/// What a bundle is called on its way into a store.
const IN_A_STORE: &str = "new.retake";

/// The beginning of every bundle (RFC 8878, section 3.1.2: a skippable frame).
const BUNDLE_MAGIC: [u8; 4] = [0x50, 0x2a, 0x4d, 0x18];

/// The address of an object, where it is one.
pub(crate) fn address(text: &Path) -> Result<Option<Address>, Trouble> {
    Ok(text.to_str().map(Address::of).transpose()?.flatten())
}

/// An object, open.
pub(crate) enum Opened {
    /// It begins like a bundle, and is read by ranges.
    Bundle(Object),
    /// It is something else, an encrypted bundle perhaps, and was fetched.
    Other(File),
    /// The bundles of a store, each with its address.
    Store(Vec<(PathBuf, Arc<dyn ReadAt>)>),
}

/// Opens what is at this address.
pub(crate) fn open(address: &Address) -> Result<Opened, Trouble> {
    if address.is_store() {
        let objects = remote::open_store(address)?;
        let named = |(address, object): (Address, Object)| (PathBuf::from(address.to_string()), Arc::new(object) as _);
        return Ok(Opened::Store(objects.into_iter().map(named).collect()));
    }
    let object = Object::open(address)?;
    let mut magic = [0; BUNDLE_MAGIC.len()];
    let begins = object.read_exact_at(&mut magic, 0);
    match begins {
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(Trouble::of(&error)),
        Ok(()) if magic == BUNDLE_MAGIC => Ok(Opened::Bundle(object)),
        _ => fetched(&object).map(Opened::Other),
    }
}

/// Opens what is at this address after every byte of it was verified. What is read later is what was verified: a file of
/// this process, or objects that are refused once they are others.
pub(crate) fn open_verified(address: &Address, path: &Path) -> Result<Archive, Trouble> {
    match open(address)? {
        Opened::Store(files) => {
            bundle::verify_files(&files, &mut |_, _| {})?.into_result()?;
            Ok(Archive::open_files(files)?)
        }
        Opened::Bundle(object) => Ok(Archive::open_file_verified(fetched(&object)?, path)?),
        Opened::Other(file) => Ok(Archive::open_file_verified(file, path)?),
    }
}

/// All of the object at this address, in a file that only this process reaches.
pub(crate) fn fetch(address: &Address) -> Result<File, Trouble> {
    fetched(&Object::open(address)?)
}

/// The signature that lies beside an object, where there is one, in a file that is gone with this.
pub(crate) fn signature(address: &Address) -> Result<Option<NamedTempFile>, Trouble> {
    let beside = signature_address(address);
    if address.is_store() || !remote::exists(&beside)? {
        return Ok(None);
    }
    let cannot = |error: io::Error| Trouble::of(&error).while_doing("cannot keep the signature");
    let mut fetched = fetch(&beside)?;
    let mut kept = NamedTempFile::new().map_err(cannot)?;
    fetched.rewind().and_then(|()| io::copy(&mut fetched, &mut kept)).map_err(cannot)?;
    Ok(Some(kept))
}

/// Where the signature of an object lies.
pub(crate) fn signature_address(address: &Address) -> Address {
    Address { key: format!("{}.{SIGNATURE_EXTENSION}", address.key), ..address.clone() }
}

fn fetched(object: &Object) -> Result<File, Trouble> {
    let cannot = |error: io::Error| Trouble::of(&error).while_doing("cannot keep what was fetched");
    let mut file = tempfile::tempfile().map_err(cannot)?;
    let mut buffer = vec![0; FETCH_BYTES];
    let mut offset = 0;
    while offset < object.size() {
        let len = usize::try_from(object.size() - offset).map_or(FETCH_BYTES, |left| left.min(FETCH_BYTES));
        object.read_exact_at(&mut buffer[..len], offset).map_err(|error| Trouble::of(&error))?;
        file.write_all(&buffer[..len]).map_err(cannot)?;
        offset += len as u64;
    }
    Ok(file)
}

/// Refuses an address where a command works on a file or a folder.
pub(crate) fn refuse(path: &Path) -> Result<(), Trouble> {
    match address(path)? {
        None => Ok(()),
        Some(address) => {
            Err(Trouble::new(format!("`{address}` is on object storage, and this works on this machine alone"))
                .help("`retake export` copies a bundle or a store from there into a file, and to there again"))
        }
    }
}

/// Where a file is made that becomes an object.
pub(crate) struct Outgoing {
    address: Address,
    /// Gone when this is.
    folder: TempDir,
}

impl Outgoing {
    /// A folder for what goes to this address.
    pub(crate) fn to(address: Address) -> Result<Self, Trouble> {
        let folder = tempfile::Builder::new().prefix("retake-").tempdir();
        let folder = folder.map_err(|error| {
            let trouble = Trouble::of(&error).while_doing("cannot keep the bundle until it is sent");
            trouble.help("TMPDIR names the folder for temporary files")
        })?;
        Ok(Self { address, folder })
    }

    /// Where the file of the object's name is made.
    pub(crate) fn path(&self) -> PathBuf {
        let name = self.address.key.rsplit('/').next().filter(|name| !name.is_empty());
        self.folder.path().join(name.unwrap_or(IN_A_STORE))
    }

    /// True where it is put into a store.
    pub(crate) fn is_for_store(&self) -> bool {
        self.address.is_store()
    }

    /// The address that a file of the folder goes to: beside the object, under the file's name.
    pub(crate) fn address_of(&self, file: &Path) -> Address {
        let folder = self.address.key.rfind('/').map_or("", |slash| &self.address.key[..=slash]);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        Address { bucket: self.address.bucket.clone(), key: format!("{folder}{name}") }
    }

    /// Refuses names that are taken. In a store none is: a bundle has its digest's.
    pub(crate) fn check_free(&self, files: &[PathBuf], help: &str) -> Result<(), Trouble> {
        for file in files {
            let address = self.address_of(file);
            if remote::exists(&address)? {
                return Err(Trouble::new(format!("`{address}` exists already")).help(help));
            }
        }
        Ok(())
    }

    /// Puts a bundle of the folder into the store, and says where it is now.
    pub(crate) fn add(&self, file: &Path, sealed: &Sealed) -> Result<PathBuf, Trouble> {
        Ok(PathBuf::from(remote::add(file, &sealed.digest, &self.address)?.to_string()))
    }

    /// Sends a file of the folder, and says where it is now.
    pub(crate) fn send(&self, file: &Path) -> Result<PathBuf, Trouble> {
        let address = self.address_of(file);
        remote::upload(file, &address)?;
        Ok(PathBuf::from(address.to_string()))
    }
}

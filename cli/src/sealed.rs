//! Encrypted bundles on their way in, and signatures beside files.
//!
//! In: a path and the keys of the command line. Out: what the file holds, in a file that only this process reaches, and
//! whether its signature holds. How files are encrypted and signed is `sealing`'s.

use std::{
    ffi::OsString,
    fs::File,
    path::{Path, PathBuf},
};

use report::SignatureFound;
use sealing::{
    DecryptError, EncryptError, Envelope, Identities, KeyError, SIGNATURE_EXTENSION, Signature, SignatureError,
};

use crate::{
    args::KeyArgs,
    bucket::{self, Opened},
    trouble::{Trouble, trouble_from},
};

trouble_from!(KeyError, EncryptError, DecryptError, SignatureError);

/// The file at this path, or the object at this address, open, where it is an encrypted one.
pub(crate) fn open_encrypted(path: &Path) -> Result<Option<File>, Trouble> {
    let Some(address) = bucket::address(path)? else { return open(path) };
    match bucket::open(&address)? {
        Opened::Other(file) if is_encrypted(&file, path)? => Ok(Some(file)),
        _ => Ok(None),
    }
}

/// The file at this path, open, where it is an encrypted one.
pub(crate) fn open(path: &Path) -> Result<Option<File>, Trouble> {
    if !path.is_file() {
        return Ok(None);
    }
    let file = open_any(path)?;
    Ok(is_encrypted(&file, path)?.then_some(file))
}

/// True for an encrypted file. `path` is what it is called.
pub(crate) fn is_encrypted(file: &File, path: &Path) -> Result<bool, Trouble> {
    sealing::is_encrypted(file).map_err(|error| cannot_read(path, &error))
}

/// The file at this path, open.
pub(crate) fn open_any(path: &Path) -> Result<File, Trouble> {
    File::open(path).map_err(|error| cannot_read(path, &error))
}

/// What an encrypted file holds, all of it proved to be what was encrypted.
pub(crate) fn decrypt(encrypted: &File, path: &Path, keys: &KeyArgs) -> Result<File, Trouble> {
    let cannot = |error| Trouble::from(error).while_doing(format!("`{}` cannot be decrypted", path.display()));
    if keys.identity.is_empty() {
        let envelope = Envelope::read(encrypted).map_err(cannot)?;
        let trouble = Trouble::new(format!("`{}` is encrypted to {}", path.display(), envelope.describe()));
        return Err(trouble.help(
            "name a private key with `--identity FILE` or in RETAKE_IDENTITY; `retake inspect` says what can be said without",
        ));
    }
    sealing::decrypt(encrypted, &Identities::read(&keys.identity)?).map_err(cannot)
}

/// The same open file once more.
pub(crate) fn again(file: &File) -> Result<File, Trouble> {
    file.try_clone().map_err(|error| Trouble::of(&error).while_doing("cannot keep what was decrypted"))
}

/// Where the signature of a file lies.
pub(crate) fn signature_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{SIGNATURE_EXTENSION}"));
    name.into()
}

/// The signature that lies beside a file or an object, and whether it holds. Whose key made it is not known here.
pub(crate) fn signature_beside(path: &Path) -> Result<Option<SignatureFound>, Trouble> {
    if let Some(address) = bucket::address(path)? {
        let Some(signature) = bucket::signature(&address)? else { return Ok(None) };
        let name = bucket::signature_address(&address).to_string();
        return Ok(Some(found(&bucket::fetch(&address)?, path, name, signature.path())));
    }
    let beside = signature_path(path);
    if !path.is_file() || !beside.exists() {
        return Ok(None);
    }
    Ok(Some(found(&open_any(path)?, path, beside.display().to_string(), &beside)))
}

fn found(file: &File, path: &Path, name: String, signature: &Path) -> SignatureFound {
    let read = Signature::read(signature).and_then(|signature| signature.prove(file, path).map(|()| signature));
    let (key, why) = match read {
        Ok(signature) => (Some(signature.key_name()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    SignatureFound { path: name, key, why }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Trouble {
    Trouble::of(error).while_doing(format!("cannot read `{}`", path.display()))
}

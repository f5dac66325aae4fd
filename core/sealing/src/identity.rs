//! Private keys that open an encrypted file.
//!
//! In: files of keys as `age-keygen` and `ssh-keygen` write them. Out: [`Identities`]. A key that is protected by a passphrase
//! is refused by name: nobody is asked for one.

use std::path::{Path, PathBuf};

use age::ssh::{Identity as SshIdentity, UnsupportedKey};

use crate::{KeyError, recipient::read_text};

/// Longest file of keys that is read, in bytes. A choice.
pub(crate) const KEY_FILE_BYTES_MAX: u64 = 1 << 20;

/// Private keys that open an encrypted file.
#[derive(Default)]
pub struct Identities {
    keys: Vec<Box<dyn age::Identity>>,
}

impl Identities {
    /// Reads the keys of these files.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn read(paths: &[PathBuf]) -> Result<Self, KeyError> {
        let mut identities = Self::default();
        paths.iter().try_for_each(|path| identities.add_file(path))?;
        Ok(identities)
    }

    fn add_file(&mut self, path: &Path) -> Result<(), KeyError> {
        let text = read_text(path)?;
        let no_keys = |why: &str| KeyError::NoKeys { path: path.to_owned(), why: why.to_owned() };
        if text.starts_with("age-encryption.org/") || text.starts_with("-----BEGIN AGE ENCRYPTED FILE-----") {
            return Err(KeyError::Protected { path: path.to_owned() });
        }
        if text.starts_with("-----BEGIN") {
            self.keys.push(Box::new(ssh_identity(path, &text)?));
            return Ok(());
        }
        if text.starts_with("ssh-") || text.starts_with("age1") {
            return Err(no_keys("it holds public keys; the private one opens what was encrypted to it"));
        }
        // The library names the line and never quotes it.
        let file = age::IdentityFile::from_buffer(text.as_bytes()).map_err(|error| no_keys(&error.to_string()))?;
        let keys = file.into_identities().map_err(|error| no_keys(&error.to_string()))?;
        if keys.is_empty() {
            return Err(KeyError::Empty { path: path.to_owned() });
        }
        self.keys.extend(keys.into_iter().map(|key| key as Box<dyn age::Identity>));
        Ok(())
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.keys.iter().map(AsRef::as_ref)
    }
}

fn ssh_identity(path: &Path, text: &str) -> Result<SshIdentity, KeyError> {
    let path = path.to_owned();
    let identity = SshIdentity::from_buffer(text.as_bytes(), None);
    match identity {
        Ok(SshIdentity::Unencrypted(key)) => Ok(SshIdentity::Unencrypted(key)),
        Ok(SshIdentity::Encrypted(_)) => Err(KeyError::Protected { path }),
        Ok(SshIdentity::Unsupported(UnsupportedKey::EncryptedPem | UnsupportedKey::EncryptedSsh(_))) => {
            Err(KeyError::Protected { path })
        }
        Ok(SshIdentity::Unsupported(UnsupportedKey::Hardware(kind) | UnsupportedKey::Type(kind))) => {
            Err(KeyError::Kind { place: format!("`{}`", path.display()), kind })
        }
        Err(_) => Err(KeyError::NoKeys { path, why: "it is no private key that can be read".to_owned() }),
    }
}

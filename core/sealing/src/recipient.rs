//! Public keys that a file is encrypted to.
//!
//! In: what was typed: a key, or `@FILE` with one a line. Out: [`Recipients`], or which key of which line is none.

use std::{fs, io::Read, path::Path, str::FromStr};

use age::ssh::ParseRecipientKeyError;

use crate::{KeyError, identity::KEY_FILE_BYTES_MAX};

/// Public keys that a file is encrypted to.
#[derive(Default)]
pub struct Recipients {
    keys: Vec<Box<dyn age::Recipient>>,
}

impl Recipients {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what `text` names: a key (`age1…`, `ssh-ed25519 …`, `ssh-rsa …`), or `@FILE` for a file that has one a line, with
    /// empty lines and comments behind `#`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn add(&mut self, text: &str) -> Result<(), KeyError> {
        match text.strip_prefix('@') {
            Some(path) => self.add_file(Path::new(path)),
            None => self.add_key(text.trim(), || "a recipient".to_owned()),
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), KeyError> {
        let before = self.keys.len();
        for (number, line) in read_text(path)?.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                self.add_key(line, || format!("`{}`, line {}", path.display(), number + 1))?;
            }
        }
        if self.keys.len() == before {
            return Err(KeyError::Empty { path: path.to_owned() });
        }
        Ok(())
    }

    fn add_key(&mut self, text: &str, place: impl Fn() -> String) -> Result<(), KeyError> {
        if text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-") {
            let key = age::ssh::Recipient::from_str(text).map_err(|error| refused_ssh(error, place()))?;
            self.keys.push(Box::new(key));
            return Ok(());
        }
        if text.starts_with("AGE-SECRET-KEY-") || text.starts_with("-----BEGIN") {
            return Err(KeyError::Private { place: place() });
        }
        let key = age::x25519::Recipient::from_str(text)
            .map_err(|why| KeyError::NoRecipient { place: place(), why: why.to_owned() })?;
        self.keys.push(Box::new(key));
        Ok(())
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &dyn age::Recipient> {
        self.keys.iter().map(AsRef::as_ref)
    }
}

fn refused_ssh(error: ParseRecipientKeyError, place: String) -> KeyError {
    let why = match error {
        ParseRecipientKeyError::Unsupported(kind) => return KeyError::Kind { place, kind },
        ParseRecipientKeyError::RsaModulusTooSmall => "its RSA modulus has less than 2048 bits",
        ParseRecipientKeyError::RsaModulusTooLarge => "its RSA modulus is longer than age takes",
        ParseRecipientKeyError::Invalid(why) => why,
        _ => "it is no public key",
    };
    KeyError::NoRecipient { place, why: why.to_owned() }
}

/// A small file of text: keys, a signature.
pub(crate) fn read_text(path: &Path) -> Result<String, KeyError> {
    let refused = |source| KeyError::Read { path: path.to_owned(), source };
    if !fs::metadata(path).map_err(refused)?.is_file() {
        return Err(KeyError::NoKeys { path: path.to_owned(), why: "it is no file".to_owned() });
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(refused)?;
    file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(refused)?;
    let why = |why: &str| KeyError::NoKeys { path: path.to_owned(), why: why.to_owned() };
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(why("it is longer than a megabyte"));
    }
    String::from_utf8(bytes).map_err(|_| why("it is no text"))
}

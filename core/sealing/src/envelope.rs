//! What an encrypted file says of itself to everyone: to which kinds of keys it was encrypted.
//!
//! In: an encrypted file. Out: its [`Envelope`], read from the header alone. Nothing here is proved: only who can decrypt the
//! file can tell whether its header is the one that was written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, Read},
};

use crate::{
    DecryptError,
    armour::{Form, form_of, reader},
};

/// Longest header that is read, in bytes. A choice: room for some 800 X25519 recipients, or 150 RSA ones of 4096 bits.
pub(crate) const HEADER_BYTES_MAX: u64 = 128 << 10;

/// First line of the one version there is.
const VERSION: &[u8] = b"age-encryption.org/v1\n";

/// What an encrypted file says of itself to everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// To how many keys of which kind.
    pub recipients: BTreeMap<RecipientKind, u64>,
    /// Written as text (`age --armor`).
    pub is_text: bool,
    /// Bytes of the file up to its content, decoded where it is text.
    pub(crate) content_offset: u64,
}

/// A kind of key that a file is encrypted to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecipientKind {
    /// A key of age itself, `age1…`.
    X25519,
    /// An Ed25519 key of SSH.
    SshEd25519,
    /// An RSA key of SSH.
    SshRsa,
    /// A passphrase.
    Passphrase,
    /// Another kind, by the name that the file gives it: a plugin's, or a later release's.
    Other(String),
}

impl RecipientKind {
    fn of(name: &str) -> Self {
        match name {
            "X25519" => Self::X25519,
            "ssh-ed25519" => Self::SshEd25519,
            "ssh-rsa" => Self::SshRsa,
            "scrypt" => Self::Passphrase,
            other => Self::Other(other.chars().take(64).collect()),
        }
    }

    /// For a person.
    pub fn describe(&self) -> String {
        match self {
            Self::X25519 => "age key (age1…)".to_owned(),
            Self::SshEd25519 => "SSH key (ssh-ed25519)".to_owned(),
            Self::SshRsa => "SSH key (ssh-rsa)".to_owned(),
            Self::Passphrase => "passphrase".to_owned(),
            Self::Other(name) => format!("key of a kind that this build does not know (`{name}`)"),
        }
    }
}

/// True for a file that begins as an encrypted one does. It is read from its beginning.
///
/// # Errors
/// When it cannot be read.
pub fn is_encrypted(file: &File) -> io::Result<bool> {
    Ok(form_of(file)?.is_some())
}

impl Envelope {
    /// Reads the header of an encrypted file.
    ///
    /// # Errors
    /// `NotEncrypted`, `Version`, `Header` where it is not one; `Read`.
    pub fn read(file: &File) -> Result<Self, DecryptError> {
        let form = form_of(file).map_err(DecryptError::read)?.ok_or(DecryptError::NotEncrypted)?;
        let mut lines = Lines { input: reader(file).map_err(DecryptError::read)?.take(HEADER_BYTES_MAX), read: 0 };
        if lines.next()? != VERSION {
            return Err(DecryptError::Version);
        }
        let mut recipients: BTreeMap<RecipientKind, u64> = BTreeMap::new();
        loop {
            let line = lines.next()?;
            if line.starts_with(b"--- ") {
                return Ok(Self { recipients, is_text: form == Form::Text, content_offset: lines.read });
            }
            // Stanzas of random kinds are put in by some writers, so that readers learn to skip them.
            if let Some(kind) = stanza_of(&line).filter(|kind| !kind.ends_with("-grease")) {
                *recipients.entry(RecipientKind::of(kind)).or_default() += 1;
            }
        }
    }
}

/// The kind that a stanza's first line names.
fn stanza_of(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line.strip_prefix(b"-> ")?).ok()?;
    line.split_whitespace().next()
}

/// Lines of a header.
struct Lines<R> {
    input: io::Take<R>,
    read: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next line with its end.
    fn next(&mut self) -> Result<Vec<u8>, DecryptError> {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).map_err(DecryptError::of_header)?;
        self.read += line.len() as u64;
        if line.ends_with(b"\n") {
            return Ok(line);
        }
        let too_long = self.input.limit() == 0;
        Err(if too_long { DecryptError::HeaderTooLong { bytes_max: HEADER_BYTES_MAX } } else { DecryptError::Header })
    }
}

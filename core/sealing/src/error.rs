//! What can go wrong, one enum for each family of operations. No message quotes a private key.

use std::{io, path::PathBuf};

use crate::{Envelope, RecipientKind};

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("`{path}` has no keys: {why}")]
    NoKeys {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// There is nothing in the file but comments.
    #[error("`{path}` has no keys in it")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// What was typed, or stands in a line of a file, is no public key.
    #[error("{place}: this is no public key to encrypt to: {why}")]
    NoRecipient {
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        why: String,
    },
    /// A private key stands where a public one belongs.
    #[error("{place}: this is a private key, which is never given to anyone")]
    Private {
        /// Where it stands.
        place: String,
    },
    /// A kind of key that is not understood, or not for this purpose.
    #[error("{place}: keys of kind `{kind}` cannot be used for this")]
    Kind {
        /// Where it stands.
        place: String,
        /// The kind, as SSH calls it.
        kind: String,
    },
    /// The private key is encrypted with a passphrase.
    #[error("the private key in `{path}` is protected by a passphrase, and none is asked for")]
    Protected {
        /// The file.
        path: PathBuf,
    },
    /// A line of a file of signers cannot be read.
    #[error("`{path}`, line {line}: {why}")]
    SignerLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl KeyError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => None,
            Self::NoKeys { .. } | Self::Empty { .. } => {
                Some("`age-keygen -o key.txt` and `ssh-keygen -t ed25519` make keys")
            }
            Self::NoRecipient { .. } => Some(
                "give `age1…`, `ssh-ed25519 …` or `ssh-rsa …`, or `@FILE` for a file with one a line, such as `@key.pub`",
            ),
            Self::Private { .. } => {
                Some("give the public key: `age-keygen -y FILE` or `ssh-keygen -y -f FILE` prints it")
            }
            Self::Kind { .. } => Some(
                "use an Ed25519 key: `ssh-keygen -t ed25519` makes one; `ssh-keygen -Y sign -n file` signs with others",
            ),
            Self::Protected { .. } => Some(
                "leave this step to the tools that ask for it: `age -d -i KEY -o case.retake FILE` to decrypt, `ssh-keygen -Y sign \
                 -n file -f KEY FILE` to sign; or use a key without one",
            ),
            Self::SignerLine { .. } => {
                Some("a line is `NAME KEY-TYPE KEY`, as `ssh-keygen -Y verify` reads it, or a public key alone")
            }
        }
    }
}

/// Why a file was not encrypted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncryptError {
    /// There is nobody to encrypt to.
    #[error("there is no recipient to encrypt to")]
    NoRecipients,
    /// What is to be encrypted cannot be read.
    #[error("cannot read what is to be encrypted")]
    Read {
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The encrypted file cannot be written.
    #[error("cannot write the encrypted file")]
    Write {
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl EncryptError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoRecipients => Some("name one with `--encrypt-to`"),
            Self::Read { .. } | Self::Write { .. } => None,
        }
    }
}

/// Why an encrypted file was not opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The operating system refused.
    #[error("cannot read the encrypted file")]
    Read {
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// What was decrypted cannot be kept.
    #[error("cannot keep what was decrypted")]
    Keep {
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The file does not begin like an encrypted one.
    #[error("it is not encrypted")]
    NotEncrypted,
    /// The file is of a later version of age.
    #[error("it is encrypted in a version of age's format that this build does not know")]
    Version,
    /// The header breaks off, or is not one.
    #[error("its header is damaged or cut off")]
    Header,
    /// The header is longer than any that makes sense.
    #[error("its header is longer than {bytes_max} bytes")]
    HeaderTooLong {
        /// The longest that is read.
        bytes_max: u64,
    },
    /// It was encrypted with a passphrase.
    #[error("it was encrypted with a passphrase, and none is asked for")]
    Passphrase,
    /// No key was given that opens it.
    #[error("none of the keys given opens it: it was encrypted to {to}")]
    NoMatchingKey {
        /// The kinds of keys.
        to: String,
    },
    /// The content is not what was encrypted, or not all of it is there.
    #[error("its content is damaged or cut off{}", after(.at))]
    Damaged {
        /// The first byte of the piece that does not hold; `None` where the file is text.
        at: Option<u64>,
    },
}

fn after(at: &Option<u64>) -> String {
    at.map(|at| format!(" from byte {at} on")).unwrap_or_default()
}

impl DecryptError {
    pub(crate) fn read(source: io::Error) -> Self {
        Self::Read { source }
    }

    /// A header that cannot be read: what its text form does not allow is damage, not the disk's refusal.
    pub(crate) fn of_header(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => Self::Header,
            _ => Self::Read { source },
        }
    }

    pub(crate) fn of_age(error: age::DecryptError) -> Self {
        match error {
            age::DecryptError::NoMatchingKeys => Self::NoMatchingKey { to: String::new() },
            age::DecryptError::Io(source) => Self::of_header(source),
            age::DecryptError::UnknownFormat => Self::Version,
            _ => Self::Header,
        }
    }

    /// The same, saying what kinds of keys would open it.
    pub(crate) fn naming(self, envelope: &Envelope) -> Self {
        match self {
            Self::NoMatchingKey { .. } => Self::NoMatchingKey { to: envelope.describe() },
            other => other,
        }
    }

    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } | Self::NotEncrypted => None,
            Self::Keep { .. } => Some("it takes as much room as the file: TMPDIR names the folder for temporary files"),
            Self::Version => Some("`age -d` of a newer release may open it"),
            Self::Header | Self::HeaderTooLong { .. } | Self::Damaged { .. } => {
                Some("nothing of it was used; get the file again from who sent it")
            }
            Self::Passphrase => Some("decrypt it with `age -d -o case.retake FILE`, which asks for the passphrase"),
            Self::NoMatchingKey { .. } => Some(
                "name the private key with `--identity FILE`, or have it encrypted to a key of yours (`--encrypt-to`)",
            ),
        }
    }
}

impl Envelope {
    /// The kinds of keys in a line.
    pub fn describe(&self) -> String {
        let one = |(kind, count): (&RecipientKind, &u64)| match count {
            1 => format!("1 {}", kind.describe()),
            count => format!("{count} × {}", kind.describe()),
        };
        let kinds: Vec<_> = self.recipients.iter().map(one).collect();
        if kinds.is_empty() { "nobody".to_owned() } else { kinds.join(", ") }
    }
}

/// Why a file was not signed, or its signature says nothing for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// There is no signature.
    #[error("there is no signature `{path}`")]
    Missing {
        /// Where it would be.
        path: PathBuf,
    },
    /// The file is no signature.
    #[error("`{path}` is no SSH signature: {why}")]
    NoSignature {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The signature was made for another purpose.
    #[error("`{path}` signs something of the namespace `{namespace}`, not of `file`")]
    Namespace {
        /// The signature.
        path: PathBuf,
        /// What it was made for.
        namespace: String,
    },
    /// The signature is not one of this file.
    #[error("`{path}` is no signature of this file by the key {key}: one of the two was changed")]
    Broken {
        /// The signature.
        path: PathBuf,
        /// The key that it names.
        key: String,
    },
    /// The signature holds, and its key is none of those that were named.
    #[error("it was signed by the key {key}, which is none of those that were named")]
    Stranger {
        /// The key.
        key: String,
    },
    /// The key's line has conditions that are not judged here.
    #[error("`{path}`, line {line}: whether `{option}` lets this key sign is not judged here")]
    Condition {
        /// The file of signers.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The condition.
        option: String,
    },
    /// The key cannot sign.
    #[error("cannot sign with a key of kind `{kind}`")]
    Sign {
        /// The kind, as SSH calls it.
        kind: String,
    },
}

impl SignatureError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Read { .. } => None,
            Self::Missing { .. } => {
                Some("ask who sent the file for its `.sig`, and put it beside it, or name it with `--signature`")
            }
            Self::NoSignature { .. } => Some("`ssh-keygen -Y sign -n file -f KEY FILE` makes one"),
            Self::Namespace { .. } => {
                Some("have it signed with `ssh-keygen -Y sign -n file`, or `retake export --sign`")
            }
            Self::Broken { .. } => Some("do not use the file; get both again from who sent them"),
            Self::Stranger { .. } => {
                Some("name the key with `--signed-by` only if you know from elsewhere whose it is")
            }
            Self::Condition { .. } => Some("`ssh-keygen -Y verify` judges it: docs/sharing.md has the command"),
            Self::Sign { .. } => {
                Some("use an Ed25519 or ECDSA (P-256) key; `ssh-keygen -Y sign -n file` signs with others")
            }
        }
    }
}

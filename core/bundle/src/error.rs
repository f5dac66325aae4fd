//! What can go wrong with files, one enum for each family of operations.

use std::{fmt, io, ops::Range, path::PathBuf};

use exchange::Id;

use crate::FormatVersion;

/// Bytes of a file that are not what they were when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Which bytes of it, end excluded.
    pub range: Range<u64>,
    /// What is wrong with them.
    pub what: String,
    /// Exchanges that cannot be had, or not whole, because of it; empty where that cannot be told.
    pub costs: Vec<Id>,
}

impl fmt::Display for Damage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, range, what, costs } = self;
        write!(formatter, "`{}` bytes {}..{}: {what}", path.display(), range.start, range.end)?;
        match costs.len() {
            0 => Ok(()),
            1 => write!(formatter, " (costs exchange {})", costs[0].short()),
            count => write!(formatter, " (costs {count} exchanges, {} first)", costs[0].short()),
        }
    }
}

/// The end of a file whose writer was cut off in the middle of a block, or is still writing it. Never served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Where the tail begins: all before it is whole.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "`{}` from byte {}: {} bytes of a block that was not finished",
            self.path.display(),
            self.offset,
            self.len
        )
    }
}

/// Why a bundle or store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The file does not begin like a bundle.
    #[error("`{path}` is no bundle: its first {} bytes are not a bundle's opening", crate::layout::OPENING_LEN)]
    NotABundle {
        /// The file.
        path: PathBuf,
    },
    /// The folder is no store, or the path is neither file nor folder.
    #[error("`{path}` is neither a bundle file nor a store folder")]
    NotAStore {
        /// The path.
        path: PathBuf,
    },
    /// The file was written by a later release.
    #[error("`{path}` has format {found}; this build reads up to {newest}")]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: FormatVersion,
        /// The newest one this build reads.
        newest: FormatVersion,
    },
    /// The file was written before there was a format that is kept.
    #[error("`{path}` has format {found}, which was given up before format 1")]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The format it has.
        found: FormatVersion,
    },
    /// The file has no footer at its end.
    #[error("`{path}` is not sealed: its {len} bytes do not end in a footer")]
    Unsealed {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// The file or store does not verify.
    #[error("damaged: {}", list(.damage))]
    Damaged {
        /// What is wrong, at least one.
        damage: Vec<Damage>,
    },
}

impl OpenError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => None,
            Self::NotABundle { .. } => Some("bundles are made by `retake export`"),
            Self::NotAStore { .. } => {
                Some("a store is made by `retake capture`, as `./.retake` unless `--store` says where")
            }
            Self::TooNew { .. } => Some("upgrade this tool, or record again with this version"),
            Self::TooOld { .. } => Some("record again: releases before format 1 promised nothing for their files"),
            Self::Unsealed { .. } => {
                Some("it was cut short or is still being written: copy it again, or name the store folder it is in")
            }
            Self::Damaged { .. } => {
                Some("fetch the file again from where it came; `retake verify` lists what can still be read")
            }
        }
    }
}

/// The first few of a list of damages.
fn list(damage: &[Damage]) -> String {
    const SHOWN_MAX: usize = 3;
    let mut shown: Vec<_> = damage.iter().take(SHOWN_MAX).map(Damage::to_string).collect();
    if damage.len() > SHOWN_MAX {
        shown.push(format!("{} more", damage.len() - SHOWN_MAX));
    }
    shown.join("; ")
}

/// Why a record or body cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused.
    #[error("cannot read `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Its reason.
        #[source]
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("damaged: {0}")]
    Damaged(Damage),
    /// No such exchange.
    #[error("there is no exchange {id}")]
    NoExchange {
        /// The id asked for.
        id: Id,
    },
    /// A body refers to a piece that its file does not have.
    #[error("piece {piece} is missing")]
    NoPiece {
        /// Its number.
        piece: u32,
    },
    /// A body is longer than the caller takes.
    #[error("the body has {kept_len} bytes, more than the {len_max} that are taken here")]
    TooLong {
        /// Kept bytes.
        kept_len: u64,
        /// The caller's limit.
        len_max: u64,
    },
    /// The place that the body was copied to refused it.
    #[error("cannot write the body")]
    Output {
        /// Its reason.
        #[source]
        source: io::Error,
    },
}

impl ReadError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } | Self::Output { .. } | Self::TooLong { .. } => None,
            Self::Damaged(_) | Self::NoPiece { .. } => Some("`retake verify` lists all damage and what it costs"),
            Self::NoExchange { .. } => Some("`retake ls` lists the ids"),
        }
    }
}

/// Why a prefix names no exchange.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Too short, too long or no hex digits.
    #[error("`{prefix}` is no id: {shortest} to 32 hex digits are")]
    NoPrefix {
        /// What was given.
        prefix: String,
        /// The fewest digits taken.
        shortest: usize,
    },
    /// No id begins so.
    #[error("no exchange's id begins with `{prefix}`")]
    NotFound {
        /// What was given.
        prefix: String,
    },
    /// More than one id begins so.
    #[error("`{prefix}` begins {count} ids: {}", .some.iter().map(Id::to_string).collect::<Vec<_>>().join(", "))]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// How many begin so.
        count: usize,
        /// Up to five of them.
        some: Vec<Id>,
    },
}

impl FindError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoPrefix { .. } | Self::NotFound { .. } => Some("`retake ls` lists the ids"),
            Self::Ambiguous { .. } => Some("give more digits"),
        }
    }
}

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The file cannot be made.
    #[error("cannot create `{path}`")]
    Create {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A block could not be written; it is kept in memory and the file ends before it, so that the same call may be repeated.
    #[error("cannot write {len} bytes at byte {offset} of `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Where the block was to begin.
        offset: u64,
        /// Its length in bytes.
        len: u64,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The disk did not confirm what was written since the last `sync` that succeeded. The writer takes nothing more.
    #[error("`{path}` is not safely on the disk")]
    Sync {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The record is longer than the format allows.
    #[error("the {kind} has {len} bytes; at most {len_max} are allowed")]
    TooLong {
        /// What kind of record.
        kind: &'static str,
        /// Its length in bytes.
        len: u64,
        /// The limit.
        len_max: u64,
    },
    /// The file's index would grow beyond its setting.
    #[error("`{path}` is full: its index has reached {index_bytes_max} bytes")]
    Full {
        /// The file.
        path: PathBuf,
        /// The setting.
        index_bytes_max: u64,
    },
    /// A record could not be put into its written form.
    #[error("cannot encode the {kind}")]
    Encode {
        /// What kind of record.
        kind: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Create { .. } => {
                Some("check that the folder exists, can be written to, and has no file of that name")
            }
            Self::Write { .. } | Self::Sync { .. } => Some("free some disk space, or write to another disk"),
            Self::Full { .. } => Some("go on in another file"),
            Self::TooLong { .. } | Self::Encode { .. } => None,
        }
    }
}

/// Why a store folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The folder has other things in it.
    #[error("`{path}` is not empty and is no store")]
    NotAStore {
        /// The folder.
        path: PathBuf,
    },
    /// The store has another format.
    #[error("`{path}` says `{found}`; this build knows `{known}`")]
    OtherFormat {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What this build writes there.
        known: &'static str,
    },
    /// The redaction key is not a key.
    #[error("`{path}` has {len} bytes; a redaction key has 32")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// A segment cannot be made.
    #[error(transparent)]
    Segment(#[from] WriteError),
}

impl StoreError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => None,
            Self::NotAStore { .. } => Some("name another folder, or one that does not exist yet"),
            Self::OtherFormat { .. } => Some("name another folder, or upgrade this tool where it is the older one"),
            Self::BadKey { .. } => {
                Some("restore it from a copy; pseudonyms made with a new key do not equal the recorded ones")
            }
            Self::Segment(error) => error.help(),
        }
    }
}

/// Why a selection cannot be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The output exists.
    #[error("`{path}` exists")]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// Something selected cannot be read.
    #[error("cannot read what was selected")]
    Read(#[from] ReadError),
    /// The image's archive cannot be read.
    #[error("cannot read the image's archive")]
    Image {
        /// The reader's reason.
        #[source]
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the bundle")]
    Write(#[from] WriteError),
    /// The finished file cannot be put in its place.
    #[error("cannot rename the finished bundle to `{path}`")]
    Rename {
        /// The output.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl ExportError {
    /// What the user can do next, shown under the message as `help:`.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Exists { .. } => Some("name another file, or allow overwriting"),
            Self::Read(error) => error.help(),
            Self::Write(error) => error.help(),
            Self::Image { .. } | Self::Rename { .. } => None,
        }
    }
}

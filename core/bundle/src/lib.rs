//! The `.retake` file format and the store.
//!
//! In: records of the vocabulary (`exchange`) and the bytes of bodies. Out: files that are a valid zstd stream, that can be
//! appended to and survive a crash, and that, once sealed, notice every flipped byte; and the same records again.
//! `docs/format.md` describes every byte. What a body means, what is secret and what is worth keeping is left to others.
//!
//! Data passes through the modules in this order: a [`Record`] goes into a block (`block`, laid out by `layout`) that a
//! [`Writer`] appends to a file; sealing adds index and manifest. A file is read by its index or by walking it (`walk`,
//! `scan`), an [`Archive`] puts one or many of them together and reads their `records`, [`verify`](fn@verify) proves them, [`export`](fn@export) selects, [`salvage`](fn@salvage)
//! saves what is whole of what is damaged, [`prune`] takes away what is old by writing a file again without it (`rewrite`),
//! [`scrub`] what is one person's, of which `tombstone` tells, [`take_up`](fn@take_up) goes on with a run that was cut off, and `answers` puts a run's answers in the place of recorded ones.

mod answers;
mod archive;
mod block;
mod body;
mod cache;
mod columns;
mod disk;
mod error;
mod export;
#[cfg(fuzzing)]
pub mod fuzzing;
mod index;
mod layout;
mod manifest;
mod names;
mod pieces;
pub mod prune;
mod read_at;
mod recipe;
mod record;
mod records;
mod reindex;
mod rewrite;
mod rows;
mod salvage;
#[cfg(test)]
mod sample;
mod scan;
pub mod scrub;
mod segment;
mod store;
mod take_up;
mod tombstone;
mod unlike;
mod varint;
mod verify;
mod walk;
mod writer;

pub use answers::{ANSWERS_ACCEPTED, NewAnswers, accept_answers};
pub use archive::{Archive, Entries};
pub use error::{Damage, ExportError, FindError, OpenError, ReadError, StoreError, TornTail, WriteError};
pub use export::{Extra, ImageSource, export};
pub use index::Entry;
pub use layout::{
    BLOCK_BYTES_MAX, EXTENSION, FormatVersion, NEWEST, PART_BYTES_MAX, PIECE_BYTES_MAX, RECORD_BYTES_MAX,
};
pub use manifest::Counts;
pub use prune::PruneError;
pub use read_at::ReadAt;
pub use record::Record;
pub use records::RESULTS_BYTES_MAX;
pub use reindex::{IndexState, Reindexed, reindex};
pub use salvage::{LeftOut, SalvageError, Salvaged, salvage};
pub use store::{STORE_MARKER, STORE_MARKER_TEXT, STORE_SEGMENTS, Store};
pub use take_up::{TakenUp, take_up};
pub use tombstone::Tombstone;
pub use verify::{VerifyReport, verify, verify_file, verify_files};
pub use writer::{Sealed, Writer, WriterOptions};

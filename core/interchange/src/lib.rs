//! Recordings of other tools as exchanges, and exchanges as other tools read them.
//!
//! In: the bytes of a file, one read at a time, and what is to be taken for a dependency. Out: exchanges with their bodies,
//! one after another, secrets replaced, each saying what it lacks; and where a file is wrong. A format is an
//! [`Interchange`]: it gives [`Item`]s; [`Importer`] makes exchanges of them, the same for every format. The other way round it
//! takes exchanges with their bodies ([`Telling`]), one after another. Where files are and where exchanges go is left to
//! others.

mod format;
pub mod har;
mod importer;
mod metered;
mod origin;
mod roles;

pub use format::{Fault, Interchange, Item, ItemMessage, Limits, Next, Own, Passed, Place, Telling, Told, Writing};
pub use har::Har;
pub use importer::{Imported, Importer, session_id};
pub use origin::Origin;
pub use roles::Roles;

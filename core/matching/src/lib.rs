//! Which recorded answer belongs to a call, and the nearest miss.
//!
//! In: the recorded dependency calls, then calls as they are made. Out: for each call the recording that answers it, by
//! which scope it was found, or a miss that says what was asked and how the nearest recording differs. Pure; whoever
//! serves several calls at once keeps the [`Library`] behind a lock, and reads calls and compares misses without it. What a rule covers comes in through [`Normalise`].

mod call;
pub mod conversation;
mod copies;
mod key;
mod library;
mod likeness;
mod nearest;
mod stand_in;

pub use call::{
    Answer, AsRecorded, Call, Distance, Found, LeftOut, MatchScope, Miss, Nearest, Normalise, Recorded, Scope, Standing,
};
pub use copies::{Copies, Placed, Reply};
pub use key::{Asked, Reader};
pub use library::{Library, Looked, Unanswered};
pub use stand_in::Moved;

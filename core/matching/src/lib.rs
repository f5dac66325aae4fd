//! Which recorded answer belongs to a call, and the nearest miss.
//!
//! In: the recorded dependency calls, then calls as they are made. Out: for each call the recording that answers it, by
//! which scope it was found, or a miss that says what was asked and how the nearest recording differs. Pure; whoever
//! serves several calls at once keeps the [`Library`] behind a lock. What a rule covers comes in through [`Normalise`].

mod call;
pub mod conversation;
mod copies;
mod key;
mod library;
mod nearest;

pub use call::{Answer, AsRecorded, Call, Found, LeftOut, MatchScope, Miss, Nearest, Normalise, Recorded, Scope};
pub use copies::Copies;
pub use library::Library;

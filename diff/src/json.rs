//! JSON values compared member by member, and cut down to what rules leave.
//!
//! In: two values and the rules for them. Out: one difference for each place, in the order of the recorded document, what
//! was added to an object after what it had. The order of an object's members never matters, numbers are compared as
//! written. Which elements of two arrays belong together is decided in `align`.

mod leave;
mod walk;

pub(crate) use leave::{canonical_digest, equal, without};

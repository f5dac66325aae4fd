//! One renderer of every result: values in; text and JSON out.
//!
//! In: exchanges, changes, receipts, verification results and whether colours are wanted. Out: text for a person, or a
//! document `{"schema":"retake.<what>/0", …}` for a machine. Whatever came from outside is escaped on its way to a
//! terminal. Where the text goes, and which exit code follows, is left to `cli`.

mod escape;
mod human;
pub mod json;
mod style;
mod table;

pub use escape::{escape_line, escape_lines};
pub use human::{bytes, instant, span};
pub use style::Style;
pub use table::{Cell, Paint, Table};

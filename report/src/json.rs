//! Documents for machines: `{"schema":"retake.<what>/0", …}`.
//!
//! The schema's number is raised when a field changes its meaning or goes; new fields alone do not raise it.

use std::io;

use serde::Serialize;

/// Number of the schemas that this build writes.
pub const SCHEMA: u32 = 0;

/// `fields` as a document of the schema `retake.<what>`, indented, with a final line feed.
///
/// # Panics
/// When `fields` is no object, or has a key that is no text: both are mistakes of ours.
pub fn document(what: &str, fields: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string_pretty(&with_schema(what, fields)).expect("results are objects with keys that are text");
    text.push('\n');
    text
}

/// Writes such a document piece by piece: for long ones.
///
/// # Errors
/// Those of `out`, and where `fields` is no object or has a key that is no text.
pub fn write_document(out: &mut dyn io::Write, what: &str, fields: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &with_schema(what, fields))?;
    out.write_all(b"\n")
}

/// The same on one line, for results that come one after the other.
///
/// # Panics
/// As [`document`].
pub fn line(what: &str, fields: &impl Serialize) -> String {
    let mut text =
        serde_json::to_string(&with_schema(what, fields)).expect("results are objects with keys that are text");
    text.push('\n');
    text
}

/// A document: its schema first, so that whoever reads a stream knows what comes.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: String,
    #[serde(flatten)]
    fields: &'a T,
}

fn with_schema<'a, T: Serialize>(what: &str, fields: &'a T) -> Document<'a, T> {
    Document { schema: format!("retake.{what}/{SCHEMA}"), fields }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_document_names_its_schema() {
        let read: Value = serde_json::from_str(&document("runs", &json!({ "runs": [] }))).unwrap();
        assert_eq!(read, json!({ "schema": "retake.runs/0", "runs": [] }));
        assert_eq!(line("runs", &json!({ "runs": [] })), "{\"schema\":\"retake.runs/0\",\"runs\":[]}\n");
    }
}

//! Documents for machines: `{"schema":"retake.<what>/0", …}`.
//!
//! The schema's number is raised when a field changes its meaning or goes; new fields alone do not raise it.

use serde::Serialize;
use serde_json::{Map, Value};

/// Number of the schemas that this build writes.
pub const SCHEMA: u32 = 0;

/// `fields` as a document of the schema `retake.<what>`, indented, with a final line feed.
///
/// # Panics
/// When `fields` is no object, or has a key that is no text: both are mistakes of ours.
pub fn document(what: &str, fields: &impl Serialize) -> String {
    let fields = serde_json::to_value(fields).expect("results have keys that are text");
    let Value::Object(fields) = fields else { panic!("a document's fields are an object") };
    let mut whole = Map::new();
    whole.insert("schema".to_owned(), Value::String(format!("retake.{what}/{SCHEMA}")));
    whole.extend(fields);
    let mut text = serde_json::to_string_pretty(&whole).expect("a value can always be written");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_names_its_schema() {
        let read: Value = serde_json::from_str(&document("runs", &json!({ "runs": [] }))).unwrap();
        assert_eq!(read, json!({ "schema": "retake.runs/0", "runs": [] }));
    }
}

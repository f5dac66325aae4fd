//! Messages of Protocol Buffers as documents: by field number where nothing more is known, by name with their descriptors.
//!
//! In: the bytes of one message (protobuf.dev, "Encoding"), and the [`Schema`] and type of it where there is one. Out: an object. Without
//! a schema each field (`#3`) is a list of what stands for it, since nothing says which are repeated: numbers for varints, hexadecimal
//! digits for what has 4 or 8 bytes, and what has a length as the message, the text or the bytes that it looks like. With one, fields
//! have their names and types, as in the JSON mapping, but that 64-bit integers are numbers and no field is put in that
//! is not there; what the schema does not know stays by number. A message that is damaged is none.

mod grpc;
mod named;
mod schema;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;

use self::wire::{Field, Wire};
use crate::{base64, json::Value};
pub use grpc::document as grpc_document;
pub use schema::{Schema, SchemaError};

/// Messages that may stand in one another. A choice: each is two levels of a document, which may have 128.
pub const DEPTH_MAX: usize = 50;

/// A message of this type; by field number where the type is not known.
///
/// `values_left` is how many values it may have, and less afterwards.
pub fn document(bytes: &[u8], of: Option<(&Schema, &str)>, values_left: &mut usize) -> Option<Value> {
    message(bytes, of, DEPTH_MAX, values_left)
}

/// True for what [`document`] reads without a schema: lists for all fields, of which those with one element are usually not repeated.
pub fn is_by_number(of: Option<(&Schema, &str)>) -> bool {
    of.is_none_or(|(schema, name)| !schema.has_message(name))
}

fn message(bytes: &[u8], of: Option<(&Schema, &str)>, depth_left: usize, values_left: &mut usize) -> Option<Value> {
    let fields = wire::fields(bytes, depth_left)?;
    *values_left = values_left.checked_sub(fields.len())?;
    match of.and_then(|(schema, name)| Some((schema, schema.message(name)?))) {
        Some((schema, message)) => named::document(fields, schema, message, depth_left, values_left),
        None => by_number(fields, depth_left, values_left),
    }
}

fn by_number(fields: Vec<Field<'_>>, depth_left: usize, values_left: &mut usize) -> Option<Value> {
    let mut lists: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    for field in fields {
        lists.entry(field.number).or_default().push(guessed(field.wire, depth_left, values_left)?);
    }
    let member = |(number, list): (u32, Vec<Value>)| (key_of(number), Value::Array(list));
    Some(Value::Object(lists.into_iter().map(member).collect()))
}

/// A field's number as a key: no index, which any other number could stand for.
fn key_of(number: u32) -> String {
    format!("#{number}")
}

/// What a field looks like of which nothing is known.
fn guessed(wire: Wire<'_>, depth_left: usize, values_left: &mut usize) -> Option<Value> {
    Some(match wire {
        Wire::Varint(number) => Value::Number(number.to_string()),
        Wire::Fixed64(bits) => Value::String(format!("0x{bits:016x}")),
        Wire::Fixed32(bits) => Value::String(format!("0x{bits:08x}")),
        Wire::Group(bytes) => message(bytes, None, depth_left.checked_sub(1)?, values_left)?,
        Wire::Bytes(bytes) => {
            let text = std::str::from_utf8(bytes).ok();
            // A text rarely begins with a line feed, and a message often does: it is the key of a first field that has a length.
            if let Some(text) = text.filter(|text| is_printable(text) && !text.starts_with('\n')) {
                return Some(Value::String(text.to_owned()));
            }
            // What turns out to be no message has cost no values.
            let before = *values_left;
            let nested = depth_left.checked_sub(1).filter(|_| !bytes.is_empty());
            match nested.and_then(|depth_left| message(bytes, None, depth_left, values_left)) {
                Some(message) => message,
                None => {
                    *values_left = before;
                    text.filter(|text| is_printable(text))
                        .map_or_else(|| of_bytes(bytes), |text| Value::String(text.to_owned()))
                }
            }
        }
    })
}

fn is_printable(text: &str) -> bool {
    text.chars().all(|character| !character.is_control() || matches!(character, '\n' | '\r' | '\t'))
}

/// Bytes as the JSON mapping has them.
fn of_bytes(bytes: &[u8]) -> Value {
    Value::String(base64::encode(bytes))
}

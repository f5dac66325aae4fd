//! A message whose type is known.

use std::collections::BTreeMap;

use super::{
    guessed, key_of, of_bytes,
    schema::{FieldType, Kind, Message, Schema},
    wire::{self, Field, Wire},
};
use crate::json::Value;

/// The fields by their names, those that the type does not know by number.
pub(super) fn document(
    fields: Vec<Field<'_>>,
    schema: &Schema,
    message: &Message,
    depth_left: usize,
    values_left: &mut usize,
) -> Option<Value> {
    let mut known: BTreeMap<u32, (&FieldType, Vec<Value>)> = BTreeMap::new();
    let mut others: BTreeMap<u32, Vec<Value>> = BTreeMap::new();
    for field in fields {
        let described = message.fields.get(&field.number);
        let values = match described {
            Some(described) => values(field.wire, described, schema, depth_left, values_left)?,
            None => None,
        };
        match (described, values) {
            (Some(described), Some(values)) => {
                known.entry(field.number).or_insert((described, Vec::new())).1.extend(values)
            }
            _ => others.entry(field.number).or_default().push(guessed(field.wire, depth_left, values_left)?),
        }
    }
    let named = |(_, (described, mut values)): (u32, (&FieldType, Vec<Value>))| {
        // What may stand once and stands more often is shown as it came.
        let value =
            if described.is_repeated || values.len() != 1 { Value::Array(values) } else { values.swap_remove(0) };
        (described.name.clone(), value)
    };
    let numbered = |(number, values): (u32, Vec<Value>)| (key_of(number), Value::Array(values));
    Some(Value::Object(known.into_iter().map(named).chain(others.into_iter().map(numbered)).collect()))
}

/// What a field holds: outside `None` where it is too much, inside where it is of another type.
#[expect(clippy::option_option, reason = "two ways to have nothing, of which one ends it all")]
fn values(
    wire: Wire<'_>,
    described: &FieldType,
    schema: &Schema,
    depth_left: usize,
    values_left: &mut usize,
) -> Option<Option<Vec<Value>>> {
    let one = match (&described.kind, wire) {
        (Kind::Message(name), Wire::Bytes(bytes) | Wire::Group(bytes)) => {
            let before = *values_left;
            let nested = depth_left.checked_sub(1);
            let value = nested.and_then(|depth| super::message(bytes, Some((schema, name)), depth, values_left));
            if value.is_none() {
                *values_left = before;
            }
            value
        }
        (Kind::String, Wire::Bytes(bytes)) => {
            std::str::from_utf8(bytes).ok().map(|text| Value::String(text.to_owned()))
        }
        (Kind::Bytes, Wire::Bytes(bytes)) => Some(of_bytes(bytes)),
        (Kind::Message(_) | Kind::String | Kind::Bytes, _) => None,
        // Numbers of a repeated field, one behind the other.
        (kind, Wire::Bytes(bytes)) if described.is_repeated => {
            let Some(packed) = packed(bytes, kind) else { return Some(None) };
            *values_left = values_left.checked_sub(packed.len())?;
            return Some(packed.into_iter().map(|wire| scalar(wire, kind, schema)).collect());
        }
        (kind, wire) => scalar(wire, kind, schema),
    };
    Some(one.map(|value| vec![value]))
}

fn packed<'a>(mut bytes: &'a [u8], kind: &Kind) -> Option<Vec<Wire<'a>>> {
    let fixed = match kind {
        Kind::Double | Kind::Fixed64 | Kind::SignedFixed64 => 8,
        Kind::Float | Kind::Fixed32 | Kind::SignedFixed32 => 4,
        _ => 0,
    };
    let mut packed = Vec::new();
    while !bytes.is_empty() {
        packed.push(match fixed {
            0 => Wire::Varint(wire::varint(&mut bytes)?),
            len => {
                let (number, rest) = bytes.split_at_checked(len)?;
                bytes = rest;
                match number.try_into() {
                    Ok(four) => Wire::Fixed32(u32::from_le_bytes(four)),
                    Err(_) => Wire::Fixed64(u64::from_le_bytes(number.try_into().ok()?)),
                }
            }
        });
    }
    Some(packed)
}

fn scalar(wire: Wire<'_>, kind: &Kind, schema: &Schema) -> Option<Value> {
    Some(match (kind, wire) {
        (Kind::Double, Wire::Fixed64(bits)) => double(f64::from_bits(bits), format!("{}", f64::from_bits(bits))),
        (Kind::Float, Wire::Fixed32(bits)) => {
            let number = f32::from_bits(bits);
            double(f64::from(number), format!("{number}"))
        }
        (Kind::Signed, Wire::Varint(bits)) => Value::Number(bits.cast_signed().to_string()),
        (Kind::Unsigned, Wire::Varint(number)) => Value::Number(number.to_string()),
        (Kind::ZigZag, Wire::Varint(bits)) => {
            Value::Number(((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed()).to_string())
        }
        (Kind::Fixed64, Wire::Fixed64(number)) => Value::Number(number.to_string()),
        (Kind::Fixed32, Wire::Fixed32(number)) => Value::Number(number.to_string()),
        (Kind::SignedFixed64, Wire::Fixed64(bits)) => Value::Number(bits.cast_signed().to_string()),
        (Kind::SignedFixed32, Wire::Fixed32(bits)) => Value::Number(bits.cast_signed().to_string()),
        (Kind::Bool, Wire::Varint(bits)) => Value::Bool(bits != 0),
        (Kind::Enum(name), Wire::Varint(bits)) => {
            let number = bits as i32;
            schema
                .enum_word(name, number)
                .map_or_else(|| Value::Number(number.to_string()), |word| Value::String(word.to_owned()))
        }
        _ => return None,
    })
}

/// The JSON mapping has words for what JSON has no number for.
fn double(number: f64, written: String) -> Value {
    if number.is_finite() {
        Value::Number(written)
    } else {
        let word = match number {
            number if number.is_nan() => "NaN",
            number if number > 0.0 => "Infinity",
            _ => "-Infinity",
        };
        Value::String(word.to_owned())
    }
}

//! Writes a [`Value`] without white space, with the shortest escapes.

use super::{Value, plain::plain_end};

/// In which order members are written.
#[derive(Clone, Copy)]
pub(super) enum Order {
    /// That of the document.
    AsWritten,
    /// By the bytes of their keys.
    Sorted,
}

pub(super) fn write(value: &Value, order: Order, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(written) => out.extend_from_slice(written.as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Array(elements) => write_array(elements, order, out),
        Value::Object(members) => match order {
            Order::AsWritten => write_object(members.iter(), order, out),
            Order::Sorted => {
                let mut sorted: Vec<_> = members.iter().collect();
                sorted.sort_unstable_by_key(|(key, _)| key.as_bytes());
                write_object(sorted.into_iter(), order, out);
            }
        },
    }
}

fn write_array(elements: &[Value], order: Order, out: &mut Vec<u8>) {
    out.push(b'[');
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(element, order, out);
    }
    out.push(b']');
}

fn write_object<'a>(members: impl Iterator<Item = &'a (String, Value)>, order: Order, out: &mut Vec<u8>) {
    out.push(b'{');
    for (at, (key, value)) in members.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_string(key, out);
        out.push(b':');
        write(value, order, out);
    }
    out.push(b'}');
}

/// Escapes what RFC 8259 (section 7) demands and nothing else.
pub(super) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, others) = rest.split_at(plain_end(rest, 0));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = others.split_first() else { break };
        write_escape(byte, out);
        rest = behind;
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        b'"' | b'\\' => byte,
        _ => {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[high], HEX[low]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

//! Bodies of gRPC, gRPC-Web and Connect: messages, each with a flag and its length before it.
//!
//! In: a body, how its messages are compressed, and their type. Out: a list with a document for each message. The trailers that gRPC-Web
//! and Connect put at the end are an object `trailers`.

use exchange::Head;

use super::Schema;
use crate::{
    encoding,
    json::{self, Value},
};

/// Bytes before a message: flags, and its length.
const PREFIX_LEN: usize = 5;

/// The message is compressed.
const COMPRESSED: u8 = 1;

/// Connect: no message, but how the stream ended.
const CONNECT_END: u8 = 2;

/// gRPC-Web: no message, but trailers.
const WEB_TRAILERS: u8 = 0x80;

/// The messages of a body; `None` where it has another framing, a message is none, or there are too many values.
///
/// `coding` is what `grpc-encoding` or `connect-content-encoding` says; all messages together may have `bytes_max` bytes once decoded.
pub fn document(
    body: &[u8],
    coding: Option<&str>,
    of: Option<(&Schema, &str)>,
    is_json: bool,
    bytes_max: u64,
    values_left: &mut usize,
) -> Option<Value> {
    let (mut messages, mut rest, mut bytes_left) = (Vec::new(), body, bytes_max);
    while !rest.is_empty() {
        let (prefix, behind) = rest.split_at_checked(PREFIX_LEN)?;
        let len = u32::from_be_bytes(prefix[1..].try_into().ok()?) as usize;
        let (payload, behind) = behind.split_at_checked(len)?;
        rest = behind;
        let decoded = match coding {
            Some(coding) if prefix[0] & COMPRESSED != 0 => decoded(payload, coding, bytes_left)?,
            _ if prefix[0] & COMPRESSED != 0 => return None,
            _ => payload.to_vec(),
        };
        bytes_left = bytes_left.checked_sub(decoded.len() as u64)?;
        *values_left = values_left.checked_sub(1)?;
        messages.push(match prefix[0] & !COMPRESSED {
            0 if is_json => json_of(&decoded, values_left)?,
            0 => super::document(&decoded, of, values_left)?,
            CONNECT_END => trailers(json_of(&decoded, values_left)?),
            WEB_TRAILERS => trailers(web_trailers(&decoded, values_left)?),
            _ => return None,
        });
    }
    (!messages.is_empty()).then_some(Value::Array(messages))
}

fn decoded(payload: &[u8], coding: &str, bytes_max: u64) -> Option<Vec<u8>> {
    let is_word = coding.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let head = is_word.then(|| Head::new(format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n\r\n")))?;
    encoding::decode(&head, payload, bytes_max).ok().map(std::borrow::Cow::into_owned)
}

fn json_of(bytes: &[u8], values_left: &mut usize) -> Option<Value> {
    let tree = json::parse_tree(bytes, *values_left).ok()?;
    *values_left = values_left.checked_sub(tree.len())?;
    Some(tree.root().to_value())
}

fn trailers(said: Value) -> Value {
    Value::Object(vec![("trailers".to_owned(), said)])
}

/// Header fields, a line each. Each name is a list, as a message's fields are.
fn web_trailers(bytes: &[u8], values_left: &mut usize) -> Option<Value> {
    let mut fields = std::collections::BTreeMap::<String, Vec<Value>>::new();
    for line in std::str::from_utf8(bytes).ok()?.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        *values_left = values_left.checked_sub(1)?;
        fields.entry(name.trim().to_ascii_lowercase()).or_default().push(Value::String(value.trim().to_owned()));
    }
    Some(Value::Object(fields.into_iter().map(|(name, values)| (name, Value::Array(values))).collect()))
}

//! MongoDB's messages: which of a client's are a login or set a password, and where in their documents (BSON) it stands.

use std::ops::Range;

use super::framed;

/// Length of the header: length, number, number of what is answered, code, of four bytes each, the low one first.
pub(super) const HEADER_LEN: usize = 16;

/// Bytes that are enough to read a command's name, and the codes of messages (MongoDB Wire Protocol).
pub(super) const PURPOSE_LEN: usize = DOCUMENT_AT + 5 + 24;
const OP_QUERY: u32 = 2004;
const OP_MSG: u32 = 2013;

/// Largest message of MongoDB, in bytes (`maxMessageSizeBytes`).
const LEN_MAX: u32 = 48_000_000;

/// Where an `OP_MSG` has its document: after the header, flags and the kind of its first section.
const DOCUMENT_AT: usize = HEADER_LEN + 5;

/// Commands with credentials in them, and those that open a connection, which may have a login in them.
const COMMANDS: [&[u8]; 7] =
    [b"saslStart", b"saslContinue", b"hello", b"isMaster", b"ismaster", b"createUser", b"updateUser"];

/// Types of elements (BSON, version 1.1).
const STRING: u8 = 2;
const DOCUMENT: u8 = 3;
const BINARY: u8 = 5;

/// True while these bytes may be the beginning of a client's first message.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let number = |at: usize| bytes.get(at..)?.first_chunk().map(|it| u32::from_le_bytes(*it));
    number(0).is_none_or(|len| (HEADER_LEN as u32..=LEN_MAX).contains(&len))
        && bytes.iter().skip(8).take(4).all(|&byte| byte == 0)
        && number(12).is_none_or(|code| matches!(code, OP_QUERY | OP_MSG))
}

/// True for a message that may hold credentials. The old form, which clients only begin with, is looked at in any case.
pub(super) fn is_login(beginning: &[u8]) -> bool {
    match code_of(beginning) {
        Some(OP_QUERY) => true,
        Some(OP_MSG) => {
            let name = beginning.get(DOCUMENT_AT + 5..).unwrap_or_default();
            COMMANDS.iter().any(|command| name.strip_prefix(*command).is_some_and(|rest| rest.first() == Some(&0)))
        }
        _ => false,
    }
}

/// The credentials of such a message.
pub(super) fn secrets_of(message: &[u8]) -> Vec<Range<usize>> {
    let document = match code_of(message) {
        Some(OP_MSG) => Some(DOCUMENT_AT),
        // After flags and a name come two numbers.
        _ => message
            .get(HEADER_LEN + 4..)
            .and_then(|rest| rest.iter().position(|&byte| byte == 0))
            .map(|len| HEADER_LEN + 4 + len + 9),
    };
    let mut secrets = Vec::new();
    if let Some(at) = document {
        gather(message, at, true, &mut secrets);
    }
    secrets
}

fn code_of(message: &[u8]) -> Option<u32> {
    message.get(12..)?.first_chunk().map(|it| u32::from_le_bytes(*it))
}

/// An element: its type, its name and where its value stands.
struct Element<'a> {
    kind: u8,
    name: &'a [u8],
    value: Range<usize>,
}

/// Adds the credentials of the document at `at`, and of a login within it.
fn gather(message: &[u8], at: usize, is_command: bool, secrets: &mut Vec<Range<usize>>) {
    let elements = elements_of(message, at);
    let mechanism = elements.iter().find(|it| it.kind == STRING && it.name == b"mechanism");
    // A string has its length before it and a zero behind it.
    let mechanism = mechanism.map(|it| &message[it.value.start + 4..it.value.end - 1]).unwrap_or_default();
    for Element { kind, name, value } in elements {
        match (name, kind) {
            (b"payload", BINARY) => secrets.push(framed::secret_of(message, mechanism, value.start + 5..value.end)),
            (b"payload", STRING) => secrets.push(value.start + 4..value.end - 1),
            (b"pwd", STRING) => secrets.push(value.start + 4..value.end - 1),
            (b"speculativeAuthenticate", DOCUMENT) if is_command => gather(message, value.start, false, secrets),
            _ => {}
        }
    }
}

/// The elements of the document at `at`, up to the first that cannot be followed.
fn elements_of(message: &[u8], at: usize) -> Vec<Element<'_>> {
    let number = |at: usize| message.get(at..)?.first_chunk().map(|it| u32::from_le_bytes(*it) as usize);
    let mut elements = Vec::new();
    let end = number(at).map_or(0, |len| at.saturating_add(len)).min(message.len());
    let mut at = at + 4;
    while at < end && message[at] != 0 {
        let kind = message[at];
        let Some(name_len) = message[at + 1..end].iter().position(|&byte| byte == 0) else { break };
        let name = &message[at + 1..at + 1 + name_len];
        let from = at + name_len + 2;
        // Lengths of the specification's types, numbered there.
        let len = match kind {
            0x01 | 0x09 | 0x11 | 0x12 => Some(8),
            STRING | 0x0d | 0x0e => number(from).filter(|len| *len > 0).map(|len| len.saturating_add(4)),
            DOCUMENT | 0x04 | 0x0f => number(from).filter(|len| *len > 4),
            BINARY => number(from).map(|len| len.saturating_add(5)),
            0x06 | 0x0a | 0x7f | 0xff => Some(0),
            0x07 => Some(12),
            0x08 => Some(1),
            0x10 => Some(4),
            0x13 => Some(16),
            _ => None,
        };
        let Some(value_end) = len.and_then(|len| from.checked_add(len)).filter(|value_end| *value_end <= end) else {
            break;
        };
        elements.push(Element { kind, name, value: from..value_end });
        at = value_end;
    }
    elements
}

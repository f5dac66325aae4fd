//! Messages in the binary framing of Amazon's services (`application/vnd.amazon.eventstream`), as Bedrock streams answers.
//!
//! In: decoded bytes of a body. Out: a [`Stream`] as of server-sent events: the message's type as the event's, its payload as the
//! data, and what else its header says as other fields. Each message is a length, the length of its headers, the CRC-32 of
//! both, headers, payload, and the CRC-32 of all of it (AWS, "Event stream encoding" of Amazon Transcribe's guide, the Smithy
//! specification of the same name). What is damaged anywhere is no stream.

use std::ops::Range;

use exchange::Digest;

use crate::{
    base64,
    json::{self, Value},
    sse::{Event, Stream},
};

/// Bytes of a message before its headers.
const PRELUDE_LEN: usize = 12;

/// Bytes of a message behind its payload.
const CHECKSUM_LEN: usize = 4;

/// What a header's string is preceded by.
const STRING: u8 = 7;

/// What stands before the type of a message that says what went wrong, as an event's type.
pub const EXCEPTION: &str = "exception ";

/// The type of what came of a message that was cut.
pub const CUT: &str = "cut";

/// Values of one message's payload that is looked into. Far above what a piece of an answer has.
const VALUES_MAX: usize = 10_000;

/// The messages of a body as events; `None` where it has another framing, a checksum does not hold, a payload is no text, or there
/// are more than `items_max` messages and headers. Where the body was cut, the messages that are whole count.
pub fn parse(bytes: &[u8], is_part: bool, items_max: usize) -> Option<Stream> {
    let (mut events, mut at, mut items_left) = (Vec::new(), 0, items_max);
    while at < bytes.len() {
        let Some(message) = message_at(&bytes[at..]) else {
            let may_be_cut = is_part && !events.is_empty() && is_beginning(&bytes[at..]);
            return may_be_cut.then_some(Stream { events, trailing: None });
        };
        let message = message?;
        let event = message.into_event(at..at + message.len)?;
        items_left = items_left.checked_sub(1 + event.others.len())?;
        at += message.len;
        events.push(event);
    }
    (!events.is_empty()).then_some(Stream { events, trailing: None })
}

/// As [`parse`], of a file, of which nobody knows whether it was cut: where it ends within a message, all that came of that one is the
/// trailing event, of the type [`CUT`].
pub fn parse_file(bytes: &[u8], items_max: usize) -> Option<Stream> {
    let mut stream = parse(bytes, true, items_max)?;
    let begin = stream.events.last()?.range.end;
    let rest = &bytes[begin..];
    if !rest.is_empty() {
        let data = format!("{} bytes of a message, {}", rest.len(), Digest::of(rest));
        let event = Some(CUT.to_owned());
        stream.trailing = Some(Event { event, data, has_data: true, range: begin..bytes.len(), ..Event::default() });
    }
    Some(stream)
}

/// True where a whole prelude does not contradict that a message begins here.
fn is_beginning(bytes: &[u8]) -> bool {
    bytes.len() < PRELUDE_LEN || lens(bytes).is_some()
}

#[derive(Clone, Copy)]
struct Message<'a> {
    len: usize,
    headers: &'a [u8],
    payload: &'a [u8],
}

/// Length of the message and of its headers, where the prelude is sound.
fn lens(bytes: &[u8]) -> Option<(usize, usize)> {
    let prelude = bytes.get(..PRELUDE_LEN)?;
    let word = |at: usize| -> Option<u32> { Some(u32::from_be_bytes(prelude.get(at..at + 4)?.try_into().ok()?)) };
    let (len, headers_len) = (word(0)? as usize, word(4)? as usize);
    let is_sound = word(8)? == crc32fast::hash(&prelude[..8])
        && len.checked_sub(PRELUDE_LEN + CHECKSUM_LEN).is_some_and(|rest| rest >= headers_len);
    is_sound.then_some((len, headers_len))
}

/// The message that begins here: outside `None` where it is not all there, inside where it is damaged.
fn message_at(bytes: &[u8]) -> Option<Option<Message<'_>>> {
    if bytes.len() < PRELUDE_LEN {
        return None;
    }
    let Some((len, headers_len)) = lens(bytes) else { return Some(None) };
    let whole = bytes.get(..len)?;
    let (covered, checksum) = whole.split_at(len - CHECKSUM_LEN);
    let is_sound = <[u8; 4]>::try_from(checksum).is_ok_and(|it| u32::from_be_bytes(it) == crc32fast::hash(covered));
    let (headers, payload) = covered[PRELUDE_LEN..].split_at(headers_len);
    Some(is_sound.then_some(Message { len, headers, payload }))
}

impl Message<'_> {
    fn into_event(self, range: Range<usize>) -> Option<Event> {
        let mut event = Event { has_data: true, dispatched: true, range, ..Event::default() };
        let (mut rest, mut kind) = (self.headers, String::new());
        while !rest.is_empty() {
            let (name, value, behind) = header(rest)?;
            rest = behind;
            match (name, value) {
                (":event-type", kind) => event.event = Some(kind.to_owned()),
                (":exception-type" | ":error-code", what) => event.event = Some(format!("{EXCEPTION}{what}")),
                (":message-type", "event" | "exception" | "error") => value.clone_into(&mut kind),
                (":content-type", "application/json") => {}
                (name, value) => event.others.push((name.to_owned(), value.to_owned())),
            }
        }
        let is_exception = event.event.as_ref().is_some_and(|kind| kind.starts_with(EXCEPTION));
        // What the message says that it is, and how it is called, agree.
        if kind.is_empty() || is_exception != (kind != "event") {
            return None;
        }
        let payload = std::str::from_utf8(self.payload).ok()?;
        event.data = match event.event.as_deref() {
            Some("chunk") => chunk(payload).unwrap_or_else(|| payload.to_owned()),
            _ => payload.to_owned(),
        };
        Some(event)
    }
}

/// Name and text of the first header, and what follows; `None` for one that is no string.
fn header(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let (name_len, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*name_len))?;
    let (kind, rest) = rest.split_first()?;
    let (len, rest) = rest.split_at_checked(2)?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(len.try_into().ok()?)))?;
    (*kind == STRING).then_some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?, rest))
}

/// What a model said in its own format, which `InvokeModelWithResponseStream` wraps in base64, with padding (`p`) beside it.
fn chunk(payload: &str) -> Option<String> {
    let Value::Object(members) = json::parse_limited(payload.as_bytes(), VALUES_MAX).ok()? else { return None };
    let is_known = members.iter().all(|(key, _)| key == "bytes" || key == "p");
    let (_, wrapped) = members.iter().find(|(key, _)| key == "bytes").filter(|_| is_known)?;
    String::from_utf8(base64::decode(wrapped.as_str()?).ok()?).ok()
}

/// One message as it is sent, for tests.
#[cfg(test)]
pub(crate) fn framed(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut header_bytes = Vec::new();
    for (name, value) in headers {
        header_bytes.push(u8::try_from(name.len()).unwrap());
        header_bytes.extend_from_slice(name.as_bytes());
        header_bytes.push(STRING);
        header_bytes.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        header_bytes.extend_from_slice(value.as_bytes());
    }
    let len = PRELUDE_LEN + header_bytes.len() + payload.len() + CHECKSUM_LEN;
    let mut bytes = u32::try_from(len).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(header_bytes.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes.extend_from_slice(&header_bytes);
    bytes.extend_from_slice(payload.as_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(kind: &str, payload: &str) -> Vec<u8> {
        framed(&[(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")], payload)
    }

    #[test]
    fn messages_become_events_and_what_a_chunk_wraps_is_unwrapped() {
        let wrapped = format!(r#"{{"bytes":"{}","p":"abc"}}"#, base64::encode(br#"{"type":"ping"}"#));
        let body = [event("messageStart", r#"{"role":"assistant"}"#), event("chunk", &wrapped)].concat();
        let stream = parse(&body, false, 10).unwrap();
        let told: Vec<_> = stream.events.iter().map(|it| (it.event.as_deref().unwrap(), it.data.as_str())).collect();
        assert_eq!(told, [("messageStart", r#"{"role":"assistant"}"#), ("chunk", r#"{"type":"ping"}"#)]);
        assert_eq!(stream.events[1].range.end, body.len());
    }

    #[test]
    fn an_exception_is_told_as_one_and_unknown_headers_are_kept() {
        let body = framed(
            &[(":exception-type", "throttlingException"), (":message-type", "exception"), ("x", "y")],
            r#"{"message":"slow down"}"#,
        );
        let event = &parse(&body, false, 10).unwrap().events[0];
        assert_eq!(event.event.as_deref(), Some("exception throttlingException"));
        assert_eq!(event.others, [("x".to_owned(), "y".to_owned())]);
    }

    #[test]
    fn what_is_damaged_or_cut_is_no_stream_and_of_a_part_the_whole_messages_count() {
        let body = [event("a", "{}"), event("b", "{}")].concat();
        for at in 0..body.len() {
            let mut damaged = body.clone();
            damaged[at] ^= 1;
            assert_eq!(parse(&damaged, false, 10), None, "byte {at}");
            assert_eq!(parse(&body[..at], false, 10).map(|it| it.events.len()), (at == body.len() / 2).then_some(1));
        }
        assert_eq!(parse(&body[..body.len() - 1], true, 10).unwrap().events.len(), 1);
        assert_eq!(parse(&body, false, 1), None, "too many");
        let whole = body.len() / 2;
        let cut = |len: usize| parse_file(&body[..len], 10).map(|it| (it.events.len(), it.trailing.is_some()));
        assert_eq!([whole, body.len()].map(cut), [Some((1, false)), Some((2, false))]);
        assert_eq!([whole - 1, whole + 1, body.len() - 1].map(cut), [None, Some((1, true)), Some((1, true))]);
        assert_ne!(parse_file(&body[..whole + 1], 10), parse_file(&body[..whole + 2], 10));
        assert_eq!(parse(b"data: 1\n\n", true, 10), None);
    }

    proptest! {
        #[test]
        fn anything_at_all_is_read_without_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            headers in prop::collection::vec(any::<u8>(), 0..30),
            is_part in any::<bool>(),
        ) {
            parse(&bytes, is_part, 10);
            // The same as headers of a message whose checksums hold.
            let mut sound = u32::try_from(PRELUDE_LEN + headers.len() + CHECKSUM_LEN).unwrap().to_be_bytes().to_vec();
            sound.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
            sound.extend_from_slice(&crc32fast::hash(&sound).to_be_bytes());
            sound.extend_from_slice(&headers);
            sound.extend_from_slice(&crc32fast::hash(&sound).to_be_bytes());
            parse(&sound, is_part, 10);
        }
    }
}

//! Cuts JSON where it comes again: at the elements of lists, and at long texts.
//!
//! In: bytes that may be JSON. Out: the ranges that are pieces. Nothing is parsed beyond quotes and brackets, and whatever
//! the bytes are, what is cut is put together again as it was: a wrong guess costs space alone.

use memchr::{memchr2, memchr3};

use super::{Form, Name, Shelf, chunks, put_steps, steps::Steps};
use crate::WriteError;

/// Shortest element of a list that is a piece. A choice: a shorter one is as long as what refers to it.
const ELEMENT_BYTES_MIN: usize = 32;

/// Shortest text that is looked up, and shortest one that is a piece though it was never seen.
const TEXT_BYTES_KNOWN: usize = 64;
const TEXT_BYTES_NEW: usize = 1 << 10;

/// Lists in lists that are cut: messages, and the parts of their contents.
const LISTS_DEEP: usize = 2;

/// Cuts `text`, which stands inside `lists` lists.
///
/// # Errors
/// The shelf's.
pub(super) fn cut(
    text: &[u8],
    from: usize,
    lists: usize,
    steps: &mut Steps<'_>,
    shelf: &mut impl Shelf,
) -> Result<(), WriteError> {
    let mut at = from;
    while let Some(found) = memchr2(b'"', b'[', &text[at..]) {
        at += found;
        if text[at] == b'"' {
            let Some(end) = text_end(text, at) else { break };
            if let Some(number) = known_text(&text[at + 1..end - 1], shelf)? {
                steps.piece(at + 1..end - 1, number);
            }
            at = end;
        } else if lists < LISTS_DEEP {
            at = cut_list(text, at + 1, lists, steps, shelf)?;
        } else {
            at += 1;
        }
    }
    Ok(())
}

/// Cuts the elements of the list that begins before `at`, and says where they end, or cease to look like elements.
fn cut_list(
    text: &[u8],
    mut at: usize,
    lists: usize,
    steps: &mut Steps<'_>,
    shelf: &mut impl Shelf,
) -> Result<usize, WriteError> {
    loop {
        at = after_space(text, at);
        let Some(end) = value_end(text, at) else { return Ok(at) };
        if end - at >= ELEMENT_BYTES_MIN {
            let number = put_element(&text[at..end], lists + 1, shelf)?;
            steps.piece(at..end, number);
        }
        at = after_space(text, end);
        if text.get(at) != Some(&b',') {
            return Ok(at);
        }
        at += 1;
    }
}

/// The piece that an element is.
fn put_element(text: &[u8], lists: usize, shelf: &mut impl Shelf) -> Result<u32, WriteError> {
    let name = Name::of(text);
    if let Some(number) = shelf.find(&name) {
        return Ok(number);
    }
    let mut steps = Steps::of(text);
    cut(text, 0, lists, &mut steps, shelf)?;
    put_steps(Some(name), text, steps, shelf)
}

/// The piece that the inside of a text is, where it is one.
fn known_text(text: &[u8], shelf: &mut impl Shelf) -> Result<Option<u32>, WriteError> {
    if text.len() < TEXT_BYTES_KNOWN {
        return Ok(None);
    }
    let name = Name::of(text);
    if let Some(number) = shelf.find(&name) {
        return Ok(Some(number));
    }
    if text.len() < TEXT_BYTES_NEW {
        return Ok(None);
    }
    put_text_as(name, text, shelf).map(Some)
}

/// The piece that a text is, whether or not it was seen before; `None` for one that is too short for a piece.
pub(super) fn put_text(text: &[u8], shelf: &mut impl Shelf) -> Result<Option<u32>, WriteError> {
    if text.len() < TEXT_BYTES_KNOWN {
        return Ok(None);
    }
    let name = Name::of(text);
    match shelf.find(&name) {
        Some(number) => Ok(Some(number)),
        None => put_text_as(name, text, shelf).map(Some),
    }
}

/// Puts a text of this name that the shelf does not have.
fn put_text_as(name: Name, text: &[u8], shelf: &mut impl Shelf) -> Result<u32, WriteError> {
    if chunks(text).nth(1).is_none() {
        return shelf.put(Some(name), Form::Data, text);
    }
    put_steps(Some(name), text, Steps::of(text), shelf)
}

/// Where the text ends that begins with the quote at `at`, its closing quote included.
fn text_end(text: &[u8], at: usize) -> Option<usize> {
    let mut from = at + 1;
    loop {
        let found = from + memchr2(b'"', b'\\', text.get(from..)?)?;
        if text[found] == b'"' {
            return Some(found + 1);
        }
        from = found + 2;
    }
}

/// Where the value ends that begins at `at`; `None` where none does, or it has no end.
fn value_end(text: &[u8], at: usize) -> Option<usize> {
    match *text.get(at)? {
        b'"' => text_end(text, at),
        b'{' | b'[' => brackets_end(text, at),
        b']' | b'}' | b',' | b':' => None,
        _ => memchr3(b',', b']', b'}', &text[at..]).map(|len| at + len),
    }
}

fn brackets_end(text: &[u8], at: usize) -> Option<usize> {
    let mut open = 0_usize;
    let mut from = at;
    loop {
        match *text.get(from)? {
            b'"' => {
                from = text_end(text, from)?;
                continue;
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' if open == 1 => return Some(from + 1),
            b'}' | b']' => open -= 1,
            _ => {}
        }
        from += 1;
    }
}

fn after_space(text: &[u8], at: usize) -> usize {
    let space = text[at..].iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
    at + space
}

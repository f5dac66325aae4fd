//! Redis' protocol (RESP), as far as it tells where a command and where a reply ends.

use std::ops::Range;

/// Deepest nesting of replies that is followed. A choice: Redis nests a handful.
const DEPTH_MAX: usize = 32;

/// Commands after which replies and commands no longer come in pairs.
const UNPAIRED: [&[u8]; 8] =
    [b"SUBSCRIBE", b"PSUBSCRIBE", b"SSUBSCRIBE", b"MONITOR", b"SYNC", b"PSYNC", b"RESET", b"QUIT"];

/// Commands that open a connection or look whether it lives, and change nothing.
const OPENING: [&[u8]; 8] = [b"AUTH", b"HELLO", b"SELECT", b"CLIENT", b"PING", b"READONLY", b"COMMAND", b"INFO"];

/// The commands that these bytes are, all of them; `None` where they are anything else.
pub(super) fn commands(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + command_len(&bytes[at..])?;
        found.push(at..end);
        at = end;
    }
    (!found.is_empty()).then_some(found)
}

/// The replies that these bytes are, all of them; `None` where they are anything else, or hold what was pushed.
pub(super) fn replies(bytes: &[u8]) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'>' {
            return None;
        }
        let end = reply_end(bytes, at)?;
        found.push(at..end);
        at = end;
    }
    Some(found)
}

/// The words of one command; `None` where these bytes are anything else. A last one that is cut is left out.
pub(super) fn words_of(bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, mut at) = header(bytes, 0, b'*')?;
    let mut words = Vec::new();
    for _ in 0..count.min(64) {
        let Some((len, start)) = header(bytes, at, b'$') else { break };
        let end = start.checked_add(len)?.min(bytes.len());
        words.push(bytes.get(start..end)?);
        at = start.checked_add(len)?.checked_add(2)?;
    }
    (!words.is_empty()).then_some(words)
}

/// True when replies to what follows are not one for each command.
pub(super) fn is_unpaired(command: &[u8]) -> bool {
    let words = words_of(command).unwrap_or_default();
    let is = |at: usize, name: &[u8]| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(name));
    UNPAIRED.iter().any(|name| is(0, name) && *name != b"QUIT") || is(0, b"CLIENT") && is(1, b"REPLY")
}

/// True for a command that opens a connection or looks whether it lives.
pub(super) fn opens(command: &[u8]) -> bool {
    let words = words_of(command).unwrap_or_default();
    words.first().is_some_and(|word| OPENING.iter().any(|name| word.eq_ignore_ascii_case(name)))
}

fn command_len(bytes: &[u8]) -> Option<usize> {
    let (count, mut at) = header(bytes, 0, b'*')?;
    for _ in 0..count {
        let (len, start) = header(bytes, at, b'$')?;
        at = start.checked_add(len)?.checked_add(2)?;
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

/// The end of the reply that begins at `at`.
fn reply_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    // How many replies are still to come on each level.
    let mut levels = vec![1_usize];
    while let Some(left) = levels.last_mut() {
        if *left == 0 {
            levels.pop();
            continue;
        }
        *left -= 1;
        let kind = *bytes.get(at)?;
        let line_end = at + memchr(bytes.get(at..)?)? + 1;
        let number = || std::str::from_utf8(&bytes[at + 1..line_end]).ok()?.trim().parse::<i64>().ok();
        at = match kind {
            b'+' | b'-' | b':' | b',' | b'_' | b'#' | b'(' => line_end,
            b'$' | b'=' | b'!' => match usize::try_from(number()?) {
                Ok(len) => line_end.checked_add(len)?.checked_add(2)?,
                Err(_) => line_end,
            },
            b'*' | b'~' | b'%' | b'|' => {
                let each = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                let count = usize::try_from(number()?).unwrap_or_default().checked_mul(each)?;
                // An attribute stands before the reply that it belongs to.
                *levels.last_mut()? += usize::from(kind == b'|');
                if levels.len() >= DEPTH_MAX {
                    return None;
                }
                levels.push(count);
                line_end
            }
            _ => return None,
        };
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

/// The number after `mark` at `at`, and where the next line begins.
fn header(bytes: &[u8], at: usize, mark: u8) -> Option<(usize, usize)> {
    let line = bytes.get(at..)?.strip_prefix(&[mark])?;
    let end = memchr(&line[..line.len().min(32)])?;
    let number = std::str::from_utf8(&line[..end]).ok()?.trim_end().parse().ok()?;
    Some((number, at + 1 + end + 1))
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n')
}

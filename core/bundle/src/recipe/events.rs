//! Codes events against the events before them: what a run of them has in common is kept once.
//!
//! In: server-sent events, or JSON in lines. Out: for each run the beginning and end that its events share, the lengths of
//! what is between, and all that is between as one text, which is how a later request repeats an answer that came token by
//! token. The written form is `docs/format.md`'s.

use std::ops::Range;

use memchr::memmem;

use super::{Shelf, json, steps::Steps};
use crate::{WriteError, varint};

/// Fewest events of a run, and fewest bytes that it saves for each. Choices: below them the run's own bytes are more.
const RUN_EVENTS_MIN: usize = 3;
const SHARED_BYTES_MIN: usize = 16;

/// By how much a run of many events may give up what it shares to take in one more, in bytes.
const GIVEN_UP_MAX: usize = 8;

/// Events that were looked at and coded.
pub(super) struct Coded {
    /// What is where: see [`Layout`].
    pub(super) control: Vec<u8>,
    /// The bytes that the control refers to, in its order.
    pub(super) data: Vec<u8>,
    runs: Vec<Layout>,
}

/// Where in the data one piece of the control has its bytes.
enum Layout {
    /// Bytes as they are.
    Plain(Range<usize>),
    /// What the events of a run share, and all their texts.
    Run { shared: Range<usize>, texts: Range<usize> },
}

/// The events that `body` consists of, coded; `None` where it has no run worth the name.
pub(super) fn code(body: &[u8]) -> Option<Coded> {
    let units = units(body)?;
    let mut coded = Coded { control: Vec::new(), data: Vec::with_capacity(body.len() / 2), runs: Vec::new() };
    let mut plain_from = 0;
    let mut has_run = false;
    let mut first = 0;
    while first < units.len() {
        let Some(run) = Run::from(body, &units[first..]) else {
            first += 1;
            continue;
        };
        let begin = units[first].start;
        coded.put_plain(&body[plain_from..begin]);
        coded.put_run(body, &run, &units[first..first + run.count]);
        first += run.count;
        plain_from = units[first - 1].end;
        has_run = true;
    }
    coded.put_plain(&body[plain_from..]);
    has_run.then_some(coded).filter(|coded| restored(coded).is_some_and(|bytes| bytes == body))
}

impl Coded {
    fn put_plain(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        varint::put(&mut self.control, 0);
        varint::put(&mut self.control, bytes.len() as u64);
        let from = self.data.len();
        self.data.extend_from_slice(bytes);
        self.runs.push(Layout::Plain(from..self.data.len()));
    }

    fn put_run(&mut self, body: &[u8], run: &Run, units: &[Range<usize>]) {
        for number in [run.count, run.prefix, run.suffix] {
            varint::put(&mut self.control, number as u64);
        }
        let from = self.data.len();
        let first = &body[units[0].clone()];
        self.data.extend_from_slice(&first[..run.prefix]);
        self.data.extend_from_slice(&first[first.len() - run.suffix..]);
        let texts_from = self.data.len();
        for unit in units {
            let text = &body[unit.start + run.prefix..unit.end - run.suffix];
            varint::put(&mut self.control, text.len() as u64);
            self.data.extend_from_slice(text);
        }
        self.runs.push(Layout::Run { shared: from..texts_from, texts: texts_from..self.data.len() });
    }

    /// The steps that put the data together.
    ///
    /// # Errors
    /// The shelf's.
    pub(super) fn steps(&self, shelf: &mut impl Shelf) -> Result<Steps<'_>, WriteError> {
        let mut steps = Steps::of(&self.data);
        for layout in &self.runs {
            match layout {
                Layout::Plain(range) => json::cut(&self.data[..range.end], range.start, 0, &mut steps, shelf)?,
                Layout::Run { shared, texts } => {
                    json::cut(&self.data[..shared.end], shared.start, 0, &mut steps, shelf)?;
                    if let Some(number) = json::put_text(&self.data[texts.clone()], shelf)? {
                        steps.piece(texts.clone(), number);
                    }
                }
            }
        }
        Ok(steps)
    }
}

/// Events that begin and end alike.
struct Run {
    count: usize,
    prefix: usize,
    suffix: usize,
}

impl Run {
    /// The run that begins with the first of these events.
    fn from(body: &[u8], units: &[Range<usize>]) -> Option<Self> {
        let mut events = units.iter().map(|unit| &body[unit.clone()]);
        let (first, second) = (events.next()?, events.next()?);
        let (prefix, suffix) = shared(first, second);
        let (next_prefix, next_suffix) = shared(second, events.clone().next()?);
        if next_prefix + next_suffix > prefix + suffix + GIVEN_UP_MAX {
            // The first event of a stream often looks like the others, and less so than they do among themselves.
            return None;
        }
        let mut run = Self { count: 2, prefix, suffix };
        for event in events {
            if !run.takes(first, event) {
                let (prefix, suffix) = shared(first, event);
                let (prefix, suffix) = (prefix.min(run.prefix), suffix.min(run.suffix));
                let given_up = run.prefix + run.suffix - prefix - suffix;
                if prefix + suffix < SHARED_BYTES_MIN || (run.count > RUN_EVENTS_MIN && given_up > GIVEN_UP_MAX) {
                    break;
                }
                (run.prefix, run.suffix) = (prefix, suffix);
            }
            run.count += 1;
        }
        (run.count >= RUN_EVENTS_MIN && run.prefix + run.suffix >= SHARED_BYTES_MIN).then_some(run)
    }

    fn takes(&self, first: &[u8], event: &[u8]) -> bool {
        event.len() >= self.prefix + self.suffix
            && event[..self.prefix] == first[..self.prefix]
            && event[event.len() - self.suffix..] == first[first.len() - self.suffix..]
    }
}

/// How many bytes two events share at their beginning and end, neither of them reaching into a JSON text: the texts of a
/// run are then whole, whatever its first two events have in common by chance.
fn shared(one: &[u8], other: &[u8]) -> (usize, usize) {
    let prefix = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let rest = one.len().min(other.len()) - prefix;
    let backwards = one.iter().rev().zip(other.iter().rev());
    let suffix = backwards.take(rest).take_while(|(one, other)| one == other).count();
    let quotes = |range: Range<usize>| range.filter(|&at| one[at] == b'"' && (at == 0 || one[at - 1] != b'\\'));
    let prefix = match quotes(0..prefix).next_back() {
        Some(quote) => quote + 1,
        None => prefix.min(memchr::memchr(b':', one).map_or(0, |colon| colon + 1)),
    };
    let from = one.len() - suffix;
    let suffix = match quotes(from..one.len()).next() {
        Some(quote) => one.len() - quote,
        None => suffix.min(one.iter().rev().take_while(|byte| matches!(byte, b'\n' | b'\r')).count()),
    };
    (prefix, suffix)
}

/// The events of a body, each with the blank line that ends it, or the lines of JSON in lines; what is left at the end
/// belongs to none.
fn units(body: &[u8]) -> Option<Vec<Range<usize>>> {
    let beginnings: [&[u8]; 4] = [b"data:", b"event:", b"id:", b":"];
    let ending: &[u8] = if beginnings.iter().any(|beginning| body.starts_with(beginning)) {
        let first_line_end = memchr::memchr(b'\n', body)?;
        if body[..first_line_end].ends_with(b"\r") { b"\r\n\r\n" } else { b"\n\n" }
    } else if body.starts_with(b"{") && memmem::find(body, b"}\n{").is_some() {
        b"\n"
    } else {
        return None;
    };
    let mut from = 0;
    let units: Vec<_> = memmem::find_iter(body, ending)
        .map(|found| {
            let unit = from..found + ending.len();
            from = unit.end;
            unit
        })
        .collect();
    (units.len() >= RUN_EVENTS_MIN).then_some(units)
}

fn restored(coded: &Coded) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    restore(&coded.control, &coded.data, usize::MAX, &mut |bytes| out.extend_from_slice(bytes)).ok()?;
    Some(out)
}

/// Puts events together again, of at most `len_max` bytes.
///
/// # Errors
/// What is wrong with the control, or that there are more bytes.
pub(super) fn restore(
    control: &[u8],
    data: &[u8],
    len_max: usize,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), &'static str> {
    let mut left = len_max;
    walk(control, data.len(), &mut |pieces| {
        for range in pieces {
            left = left.checked_sub(range.len()).ok_or("the events are longer than they may be")?;
            out(&data[range]);
        }
        Ok(())
    })
}

/// How long the events are that a control makes of `data_len` bytes.
///
/// # Errors
/// What is wrong with the control.
pub(super) fn restored_len(control: &[u8], data_len: usize) -> Result<usize, &'static str> {
    let mut len = 0_usize;
    walk(control, data_len, &mut |pieces| {
        len = pieces.iter().fold(len, |len, range| len.saturating_add(range.len()));
        Ok(())
    })?;
    Ok(len)
}

/// Tells which ranges of the data stand one after another: three for each event, one of them for bytes as they are.
fn walk(
    mut control: &[u8],
    data_len: usize,
    visit: &mut dyn FnMut([Range<usize>; 3]) -> Result<(), &'static str>,
) -> Result<(), &'static str> {
    let mut at = 0_usize;
    let mut take = |control: &mut &[u8]| {
        let len = varint::take(control).ok_or("the events' control is cut short")?;
        let end = usize::try_from(len).ok().and_then(|len| at.checked_add(len)).filter(|end| *end <= data_len);
        let range = at..end.ok_or("the events' control tells of more bytes than there are")?;
        at = range.end;
        Ok::<_, &'static str>(range)
    };
    while !control.is_empty() {
        let count = varint::take(&mut control).ok_or("the events' control is cut short")?;
        let first = take(&mut control)?;
        if count == 0 {
            visit([first, 0..0, 0..0])?;
            continue;
        }
        // Both ends that the events share come before the first text.
        let last = take(&mut control)?;
        for _ in 0..count {
            visit([first.clone(), take(&mut control)?, last.clone()])?;
        }
    }
    if at == data_len { Ok(()) } else { Err("the events' control does not tell of all bytes") }
}

//! HTTP Archive 1.2 (<http://www.softwareishard.com/blog/har-12-spec/>), as browsers, mitmproxy, proxies and `retake show
//! --as har` write it.
//!
//! In: the file's bytes, one read at a time. Out: its entries as items, each as soon as it is whole. Reading is lenient in what tools do
//! differently (a byte order mark, missing timings, `-1` and `null`) and strict in syntax and types: a file is right up to
//! the byte that is named. Writing (`write`) tells what no HAR has a place for in fields that begin with `_retake`, which
//! reading takes for what it is where nothing contradicts it.

mod entry;
mod head;
mod own;
mod walk;
mod write;

use std::io::{self, BufRead, BufReader, Read, Write};

use exchange::Session;

use crate::{
    Fault, Interchange, Item, Limits, Next, Passed, Place, Writing,
    metered::{Meter, Metered},
};

/// The format.
#[derive(Clone, Copy, Debug, Default)]
pub struct Har;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// What is asked of the input at once, in bytes. A choice.
const BUFFER_BYTES: usize = 64 << 10;

impl Interchange for Har {
    fn name(&self) -> &'static str {
        "har"
    }

    fn read(&self, input: &mut dyn Read, limits: Limits, take: &mut dyn FnMut(Item) -> Next) -> Result<Passed, Fault> {
        let meter = Meter::new(limits.item_bytes_max);
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let begins_marked = input.fill_buf().map_err(|error| refused(&meter, &error))?.starts_with(BYTE_ORDER_MARK);
        if begins_marked {
            input.consume(BYTE_ORDER_MARK.len());
            meter.skip(BYTE_ORDER_MARK.len() as u64);
        }
        let mut walk = walk::Walk::new(&meter, take);
        let mut deserializer = serde_json::Deserializer::from_reader(Metered { inner: input, meter: &meter });
        let read = walk.file(&mut deserializer);
        let read = read.and_then(|()| deserializer.end());
        match read {
            Ok(()) if walk.has_entries => Ok(walk.passed),
            Ok(()) => {
                Err(Fault { place: Place { offset: meter.offset(), line: 0 }, what: NO_HAR.to_owned(), is_io: false })
            }
            Err(_) if walk.has_stopped => Ok(walk.passed),
            Err(error) => Err(fault(&meter, &error)),
        }
    }

    fn write<'a>(
        &self,
        out: &'a mut dyn Write,
        tool_version: &str,
        sessions: &[&Session],
    ) -> io::Result<Box<dyn Writing + 'a>> {
        Ok(Box::new(write::Archive::begin(out, tool_version, sessions)?))
    }
}

const NO_HAR: &str = "this is no HAR: it has no `log.entries`";

fn refused(meter: &Meter, error: &std::io::Error) -> Fault {
    Fault { place: Place { offset: meter.offset(), line: 0 }, what: error.to_string(), is_io: true }
}

/// The parser's error without the place that it repeats at its end.
fn fault(meter: &Meter, error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let what = match text.rfind(" at line ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    };
    let what = if error.is_eof() { format!("the file ends in the middle ({what})") } else { what };
    let place = Place { offset: meter.offset_of(error.line(), error.column()), line: error.line() };
    Fault { place, what, is_io: error.is_io() && !meter.has_refused() }
}

#[cfg(test)]
mod tests;

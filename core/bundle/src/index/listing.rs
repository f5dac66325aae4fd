//! What the index lists of exchanges, by columns.
//!
//! In: entries with the places of their rows. Out: columns, and the same again.

use std::{io, sync::Arc};

use exchange::{Context, Id};

use super::{Entry, IndexedExchange, Place, weight_of_context, weight_of_entry};
use crate::{
    columns::{Column, Columns, Known, Listed, Reading},
    rows::{EntryRest, Keys, Who, WhoReader, WhoWriter, end_number, end_of, read_rest, written_rest},
};

/// What an entry says in one number.
mod ending {
    pub(super) const END: u64 = 0b111;
    pub(super) const IS_WHOLE: u64 = 1 << 3;
    pub(super) const HAS_RESPONSE: u64 = 1 << 4;
    pub(super) const ALL: u64 = 0x1f;
}

/// Appends the columns of these exchanges, and gives where they should be cut for compression.
pub(super) fn write(exchanges: &[IndexedExchange], keys: &Keys, out: &mut Vec<u8>) -> io::Result<Vec<usize>> {
    let mut columns = Columns::default();
    let mut who = WhoWriter::default();
    let mut titles = Known::<String>::default();
    let mut rests = Known::<String>::default();
    let mut last = Place { block: 0, offset: 0, len: 0 };
    for IndexedExchange { at, entry } in exchanges {
        let rest =
            EntryRest { context: Context::clone(&entry.context), original: entry.original, repeat: entry.repeat };
        let rest = written_rest(&rest)?;
        who.put(&mut columns, &who_of(entry), keys);
        columns.put_from(Column::Ended, entry.started_ns, entry.ended_ns);
        columns.put(
            Column::Ending,
            end_number(entry.end)
                | if entry.whole { ending::IS_WHOLE } else { 0 }
                | if entry.response_len.is_some() { ending::HAS_RESPONSE } else { 0 },
        );
        put_known(&mut columns, &mut titles, [Column::Title, Column::Titles], &entry.title);
        columns.put(Column::Status, u64::from(entry.status.unwrap_or_default()));
        columns.put(Column::RequestLen, entry.request_len);
        if let Some(len) = entry.response_len {
            columns.put(Column::ResponseLen, len);
        }
        put_known(&mut columns, &mut rests, [Column::Rest, Column::Rests], &rest);
        columns.put(Column::Block, at.block.wrapping_sub(last.block));
        let next = if at.block == last.block { u64::from(last.offset) + 1 } else { 0 };
        columns.put_from(Column::Row, next, u64::from(at.offset));
        last = *at;
    }
    Ok(columns.write(out))
}

/// Puts a text that may have been there before; an empty one is none.
fn put_known(columns: &mut Columns, known: &mut Known<String>, [number, texts]: [Column; 2], text: &str) {
    let known = if text.is_empty() { 0 } else { known.number(text) };
    columns.put(number, known);
    if known == 1 {
        columns.put_text(texts, text);
    }
}

fn who_of(entry: &Entry) -> Who<'_> {
    let parent = entry.parent.zip(entry.certainty);
    Who {
        id: entry.id,
        session: entry.session,
        sequence: entry.sequence,
        dependency: entry.dependency.as_deref(),
        parent: parent.map(|(parent, certainty)| (parent, certainty, &entry.candidates[..])),
        started_ns: entry.started_ns,
        fingerprint: entry.fingerprint,
    }
}

/// Reads the columns of `count` exchanges, which begin at `from`. What they weigh together is added to `weight`.
///
/// # Errors
/// A text that says what is wrong, also where they weigh more than `weight_max`.
pub(super) fn read(
    bytes: &[u8],
    from: usize,
    count: u64,
    weight: &mut u64,
    weight_max: u64,
) -> Result<Vec<IndexedExchange>, String> {
    let mut reading = Reading::of(bytes, from)?;
    let mut listing = Listing::default();
    let mut exchanges = Vec::new();
    for _ in 0..count {
        *weight += listing.take(&mut reading, &mut exchanges)?;
        if *weight > weight_max {
            return Err("the index holds more values than an index may have".to_owned());
        }
    }
    reading.finish()?;
    Ok(exchanges)
}

/// Reads what is listed, exchange after exchange. What several have in common is made once.
#[derive(Default)]
struct Listing<'a> {
    who: WhoReader<'a>,
    dependencies: Vec<Arc<str>>,
    titles: Listed<Arc<str>>,
    rests: Listed<Rest>,
    nothing: Rest,
    untitled: Arc<str>,
    last: Option<Place>,
}

/// What is beside the columns.
#[derive(Default)]
struct Rest {
    context: Arc<Context>,
    context_weight: u64,
    original: Option<Id>,
    repeat: Option<u32>,
}

impl Rest {
    fn of(text: &str) -> Result<Self, String> {
        let EntryRest { context, original, repeat } = read_rest(text)?;
        Ok(Self { context_weight: weight_of_context(&context), context: Arc::new(context), original, repeat })
    }
}

impl<'a> Listing<'a> {
    /// Takes an exchange, and gives what it weighs.
    fn take(&mut self, reading: &mut Reading<'a>, into: &mut Vec<IndexedExchange>) -> Result<u64, String> {
        let row = self.who.take(reading)?;
        let ended_ns = reading.take_from(Column::Ended, row.started_ns)?;
        let ending = reading.take(Column::Ending)?;
        if ending > ending::ALL {
            return Err("an exchange ended in an unknown way".to_owned());
        }
        let title = reading.take(Column::Title)?;
        let title = self.titles.take(title, || reading.take_text(Column::Titles).map(Arc::from))?;
        let status = reading.take(Column::Status)?;
        let status = u16::try_from(status).map_err(|_| "a status has more than 16 bits")?;
        let request_len = reading.take(Column::RequestLen)?;
        let has_response = ending & ending::HAS_RESPONSE != 0;
        let response_len = if has_response { Some(reading.take(Column::ResponseLen)?) } else { None };
        let rest = reading.take(Column::Rest)?;
        let rest = self.rests.take(rest, || Rest::of(reading.take_text(Column::Rests)?))?;
        let rest = rest.map_or(&self.nothing, |at| self.rests.get(at));
        let last = self.last.unwrap_or(Place { block: 0, offset: 0, len: 0 });
        let block = last.block.wrapping_add(reading.take(Column::Block)?);
        let next = if block == last.block { u64::from(last.offset) + 1 } else { 0 };
        let offset = u32::try_from(reading.take_from(Column::Row, next)?).map_err(|_| "a row's number is too large")?;
        let at = Place { block, offset, len: 0 };
        self.last = Some(at);
        // A name is new where it is first asked for: as many are known as were asked for before.
        if let Some(name) = row.dependency.filter(|name| *name == self.dependencies.len()) {
            self.dependencies.push(Arc::from(*self.who.dependencies.get(name)));
        }
        let entry = Entry {
            id: row.id,
            session: row.session,
            sequence: row.sequence,
            dependency: row.dependency.map(|name| Arc::clone(&self.dependencies[name])),
            parent: row.parent.as_ref().map(|parent| parent.id),
            certainty: row.parent.as_ref().map(|parent| parent.certainty),
            candidates: row.parent.map(|parent| parent.candidates).unwrap_or_default(),
            title: Arc::clone(title.map_or(&self.untitled, |at| self.titles.get(at))),
            status: (status > 0).then_some(status),
            end: end_of(ending & ending::END)?.word(),
            started_ns: row.started_ns,
            ended_ns,
            request_len,
            response_len,
            whole: ending & ending::IS_WHOLE != 0,
            fingerprint: row.fingerprint,
            context: Arc::clone(&rest.context),
            original: rest.original,
            repeat: rest.repeat,
        };
        let weight = weight_of_entry(&entry, rest.context_weight);
        into.push(IndexedExchange { at, entry });
        Ok(weight)
    }
}

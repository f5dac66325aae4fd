//! Exchanges as they stand in a file: a block of them by columns, everything that repeats or follows from something else
//! left out.
//!
//! In: exchanges, one after another. Out: what their block holds, and each exchange again. Bodies are named by their pieces'
//! numbers; `docs/format.md` lists the columns.

mod message;
mod rest;
mod who;

use exchange::{Certainty, Digest, Digests, End, Exchange, Id, Request, Response, Role, Times, Trace, Transport};

use self::{
    message::{Message, REQUEST, RESPONSE},
    rest::Rest,
    who::WhoRead,
};
pub(crate) use self::{
    rest::{EntryRest, read as read_rest, written as written_rest},
    who::{Keys, SessionKey, Who, WhoReader, WhoWriter},
};
use crate::{
    RECORD_BYTES_MAX, WriteError,
    columns::{Column, Columns, Known, Listed, Reading},
};

/// Most exchanges of one block. A choice: reading one costs going through all.
pub(crate) const ROWS_MAX: u32 = 8192;

/// Bytes at which a writer closes a block of exchanges. A choice: the pieces that it refers to have to be written before it,
/// in a block that is less full the more often that is.
const BYTES_CLOSE: usize = 512 << 10;

/// Most bytes that the texts of a block's rows come to, one that several rows have counted for each. A choice: far more than
/// a block of its own texts has, and little enough to go through.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// How much of [`TEXT_BYTES_MAX`] a writer uses.
const TEXT_BYTES_CLOSE: usize = TEXT_BYTES_MAX / 2;

/// What a row takes beside its heads, its rest and its lists, in bytes at most: fixed fields, and parents by their ids.
const ROW_BYTES_MAX: usize = 1024;

/// What one part or chunk takes, in bytes at most.
const ITEM_BYTES_MAX: usize = 20;

/// Units of chunk times in nanoseconds.
const UNITS_NS: [u64; 2] = [10_000, 1];

/// How an exchange ends, by the number that stands for it in a file.
const ENDS: [End; 6] = [
    End::Complete,
    End::ClientGone,
    End::UpstreamReset,
    End::Unreachable { reason: String::new() },
    End::TimedOut,
    End::CaptureStopped,
];

/// What a row says of its end and form in one number.
mod ending {
    pub(super) const END: u64 = 0b111;
    pub(super) const TRANSPORT_SHIFT: u32 = 3;
    pub(super) const NANOSECONDS: u64 = 1 << 5;
    pub(super) const REQUEST_NEVER_ENDED: u64 = 1 << 6;
    pub(super) const RESPONSE_NEVER_STARTED: u64 = 1 << 7;
    pub(super) const ALL: u64 = 0xff;
}

/// How an exchange's trace is written.
mod trace {
    /// None, or in the rest.
    pub(super) const NONE: u64 = 0;
    /// The proxy made it: the exchange's id, and a span that the session's key leads to.
    pub(super) const DERIVED: u64 = 1;
    /// As the request's `traceparent` says.
    pub(super) const IN_HEAD: u64 = 2;
}

/// The number of an end, by its word, in a file.
pub(crate) fn end_number(word: &str) -> u64 {
    ENDS.iter().position(|end| end.word() == word).expect("every end has a number") as u64
}

/// The end of this number, without its reason.
pub(crate) fn end_of(number: u64) -> Result<End, String> {
    let end = usize::try_from(number).ok().and_then(|number| ENDS.get(number).cloned());
    end.ok_or_else(|| "an exchange ended in an unknown way".to_owned())
}

/// What of an exchange is common with what is listed of it.
fn who_of(exchange: &Exchange) -> Who<'_> {
    let parent = exchange.role.parent();
    Who {
        id: exchange.id,
        session: exchange.session,
        sequence: exchange.sequence,
        dependency: exchange.role.dependency(),
        parent: parent.map(|parent| (parent.id, parent.certainty, &parent.candidates[..])),
        started_ns: exchange.times.started_ns,
        fingerprint: exchange.fingerprint,
    }
}

/// The trace that a capture makes for this exchange.
fn derived_trace(id: Id, sequence: u64, key: &SessionKey) -> Trace {
    let span = Id::derive(key, sequence | 1 << 63).to_string();
    Trace { trace_id: id.to_string(), span_id: span[..16].to_owned(), made: true }
}

/// The trace that a head's `traceparent` names (<https://www.w3.org/TR/trace-context/#traceparent-header>).
fn trace_in_head(request: &Request) -> Option<Trace> {
    let text = request.head.text_of("traceparent")?;
    let (trace_id, span_id) = (text.get(3..35)?, text.get(36..52)?);
    Some(Trace { trace_id: trace_id.to_owned(), span_id: span_id.to_owned(), made: false })
}

/// A block of exchanges in the making.
#[derive(Default)]
pub(crate) struct RowsMaker {
    columns: Columns,
    who: WhoWriter,
    rests: Known<String>,
    last_pieces: [u32; 2],
    rows: u32,
    text_bytes: usize,
}

impl RowsMaker {
    /// Exchanges in it.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    /// True when it should be written before another one is put.
    pub(crate) fn is_full(&self) -> bool {
        self.columns.len() >= BYTES_CLOSE || self.rows >= ROWS_MAX || self.text_bytes >= TEXT_BYTES_CLOSE
    }

    /// What the block holds, and where in it it should be cut for compression.
    pub(crate) fn raw(&self) -> (Vec<u8>, Vec<usize>) {
        let mut raw = Vec::with_capacity(self.columns.len() + 256);
        let cuts = self.columns.write(&mut raw);
        (raw, cuts)
    }

    /// Puts an exchange, and gives the number of its row. `rest` is its rest as it was written elsewhere, with what this build
    /// does not know.
    ///
    /// # Errors
    /// `TooLong` beyond [`RECORD_BYTES_MAX`], `Encode`: nothing was put.
    pub(crate) fn put(&mut self, exchange: &Exchange, rest: Option<&str>, keys: &Keys) -> Result<u32, WriteError> {
        let key = keys.get(&exchange.session);
        let (trace, other_trace) = match &exchange.trace {
            None => (trace::NONE, None),
            Some(it) if key.is_some_and(|key| *it == derived_trace(exchange.id, exchange.sequence, key)) => {
                (trace::DERIVED, None)
            }
            Some(it) if trace_in_head(&exchange.request).as_ref() == Some(it) => (trace::IN_HEAD, None),
            Some(it) => (trace::NONE, Some(it)),
        };
        let written;
        let rest = match rest {
            Some(rest) => rest,
            None => {
                let text = Rest::text_of(exchange, other_trace);
                written = text.map_err(|source| WriteError::Encode { kind: "exchange", source: source.into() })?;
                &written
            }
        };
        check_len(exchange, rest)?;
        let columns = &mut self.columns;
        let times = &exchange.times;
        self.who.put(columns, &who_of(exchange), keys);
        let unit = unit_of(exchange);
        columns.put(
            Column::Ending,
            end_number(exchange.end.word())
                | (exchange.transport as u64) << ending::TRANSPORT_SHIFT
                | if unit == 1 { ending::NANOSECONDS } else { 0 }
                | if times.request_ended_ns.is_none() { ending::REQUEST_NEVER_ENDED } else { 0 }
                | if times.response_started_ns.is_none() { ending::RESPONSE_NEVER_STARTED } else { 0 },
        );
        let mut last_ns = times.started_ns;
        for (column, at_ns) in [
            (Column::RequestEnded, times.request_ended_ns),
            (Column::ResponseStarted, times.response_started_ns),
            (Column::Ended, Some(times.ended_ns)),
        ] {
            if let Some(at_ns) = at_ns {
                columns.put_from(column, last_ns, at_ns);
                last_ns = at_ns;
            }
        }
        let Exchange { request, response, .. } = exchange;
        let [request_pieces, response_pieces] = &mut self.last_pieces;
        REQUEST.put_head(columns, Some(&request.head));
        REQUEST.put_body(columns, &request.body, request_pieces, times.started_ns, unit);
        RESPONSE.put_head(columns, response.as_ref().map(|response| &response.head));
        if let Some(response) = response {
            let base_ns = times.response_started_ns.unwrap_or(times.started_ns);
            RESPONSE.put_body(columns, &response.body, response_pieces, base_ns, unit);
        }
        columns.put(Column::Trace, trace);
        let Digests { request, response } = exchange.digests;
        columns.put(Column::Digests, u64::from(request.is_some()) | u64::from(response.is_some()) << 1);
        for (column, digest) in [(Column::RequestDigests, request), (Column::ResponseDigests, response)] {
            columns.put_bytes(column, digest.as_ref().map(|digest| &digest.0[..]).unwrap_or_default());
        }
        let number = if rest.is_empty() { 0 } else { self.rests.number(rest) };
        columns.put(Column::Rest, number);
        if number == 1 {
            columns.put_text(Column::Rests, rest);
        }
        self.text_bytes += rest.len() + exchange.role.dependency().map_or(0, str::len);
        self.rows += 1;
        Ok(self.rows - 1)
    }
}

/// The unit of an exchange's chunk times, in nanoseconds.
fn unit_of(exchange: &Exchange) -> u64 {
    let bodies = [Some(&exchange.request.body), exchange.response.as_ref().map(|response| &response.body)];
    let mut chunks = bodies.into_iter().flatten().flat_map(|body| &body.chunks);
    if chunks.all(|chunk| chunk.at_ns % UNITS_NS[0] == 0) { UNITS_NS[0] } else { UNITS_NS[1] }
}

/// Refuses what may be longer than a record of another kind could be.
fn check_len(exchange: &Exchange, rest: &str) -> Result<(), WriteError> {
    let of_body = |body: &exchange::Body| (body.parts.len() + body.chunks.len()) * ITEM_BYTES_MAX;
    let response = exchange.response.as_ref();
    let heads = exchange.request.head.bytes.len() + response.map_or(0, |response| response.head.bytes.len());
    let bodies = of_body(&exchange.request.body) + response.map_or(0, |response| of_body(&response.body));
    let who = exchange.role.dependency().map_or(0, str::len)
        + exchange.role.parent().map_or(0, |parent| parent.candidates.len() * ITEM_BYTES_MAX);
    let len = heads + bodies + who + rest.len() + ROW_BYTES_MAX;
    if len > RECORD_BYTES_MAX {
        return Err(WriteError::TooLong { kind: "exchange", len: len as u64, len_max: RECORD_BYTES_MAX as u64 });
    }
    Ok(())
}

/// A block of exchanges that was read: where in it each one's values stand.
pub(crate) struct Rows {
    rows: Vec<Row>,
    dependencies: Vec<String>,
    /// Where the texts stand.
    rests: Vec<(usize, usize)>,
}

/// One exchange, as far as it need not be put together.
struct Row {
    who: WhoRead,
    ending: u64,
    times: Times,
    request: Message,
    response: Option<Message>,
    trace: u64,
    digests: Digests,
    rest: Option<usize>,
}

impl Rows {
    /// The `count` rows of a block.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub(crate) fn of(raw: &[u8], count: u32) -> Result<Self, String> {
        if count > ROWS_MAX {
            return Err(format!("a block has at most {ROWS_MAX} exchanges"));
        }
        let mut reading = Reading::of(raw, 0)?;
        let mut who = WhoReader::default();
        let mut rests = Listed::default();
        let mut last_pieces = [0; 2];
        let mut text_bytes = 0;
        let mut rows = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let row = take_row(&mut reading, &mut who, &mut rests, &mut last_pieces)?;
            let rest = row.rest.map_or(0, |at| rests.get(at).1);
            text_bytes += rest + row.who.dependency.map_or(0, |at| who.dependencies.get(at).len());
            if text_bytes > TEXT_BYTES_MAX {
                return Err(format!("the texts of its rows come to more than {TEXT_BYTES_MAX} bytes"));
            }
            rows.push(row);
        }
        reading.finish()?;
        let dependencies = who.dependencies.into_items().into_iter().map(str::to_owned).collect();
        Ok(Self { rows, dependencies, rests: rests.into_items() })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        self.rows.len() as u32
    }

    /// What they take in memory, in bytes, about.
    pub(crate) fn bytes(&self) -> usize {
        self.rows.len() * size_of::<Row>()
    }

    /// The exchange of this row, its rest as it is written, and what its session derives ids with. `raw` is what the rows were read from.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub(crate) fn get(&self, raw: &[u8], number: u32) -> Result<RowRead, String> {
        let row = self.rows.get(number as usize).ok_or("there is no such row")?;
        let WhoRead { id, session, key, sequence, dependency, parent, fingerprint, .. } = row.who.clone();
        let role = match dependency {
            None => Role::Ingress,
            Some(at) => Role::Dependency { name: self.dependencies[at].clone(), parent },
        };
        let unit = UNITS_NS[usize::from(row.ending & ending::NANOSECONDS != 0)];
        let (head, body) = row.request.read(raw, &REQUEST, row.times.started_ns, unit)?;
        let request = Request { head, body };
        let base_ns = row.times.response_started_ns.unwrap_or(row.times.started_ns);
        let response = row.response.as_ref().map(|message| message.read(raw, &RESPONSE, base_ns, unit)).transpose()?;
        let trace = match (row.trace, &key) {
            (trace::NONE, _) => None,
            (trace::DERIVED, Some(key)) => Some(derived_trace(id, sequence, key)),
            (trace::IN_HEAD, _) => Some(trace_in_head(&request).ok_or("its head has no trace")?),
            _ => return Err("its trace is of an unknown kind, or lacks its key".to_owned()),
        };
        let mut exchange = Exchange {
            id,
            session,
            sequence,
            role,
            transport: transport_of(row.ending)?,
            request,
            interim: Vec::new(),
            response: response.map(|(head, body)| Response { head, body }),
            end: end_of(row.ending & ending::END)?,
            times: row.times,
            trace,
            seeds: Vec::new(),
            fingerprint,
            context: exchange::Context::default(),
            digests: row.digests,
            redactions: Vec::new(),
            repeats: None,
        };
        let rest = row.rest.map(|at| self.rests[at]).map_or(&[][..], |(at, len)| &raw[at..at + len]);
        let rest = std::str::from_utf8(rest).map_err(|_| "its rest is not UTF-8".to_owned())?.to_owned();
        Rest::give(&rest, &mut exchange)?;
        Ok(RowRead { exchange, rest, key })
    }
}

/// An exchange that was read.
#[derive(Debug)]
pub(crate) struct RowRead {
    pub(crate) exchange: Exchange,
    /// What has no column, as it is written.
    pub(crate) rest: String,
    /// What its session derives ids with.
    pub(crate) key: Option<SessionKey>,
}

impl RowRead {
    /// Makes what has no column tell of the exchange's answer, which is another now.
    pub(crate) fn renew_rest(&mut self) -> Result<(), WriteError> {
        let encode = |error: serde_json::Error| WriteError::Encode { kind: "exchange", source: error.into() };
        self.rest = Rest::with_answer_of(&self.rest, &self.exchange).map_err(encode)?;
        Ok(())
    }
}

fn transport_of(ending: u64) -> Result<Transport, String> {
    match (ending >> ending::TRANSPORT_SHIFT) & 0b11 {
        0 => Ok(Transport::Http1),
        1 => Ok(Transport::Upgraded),
        2 => Ok(Transport::Raw),
        _ => Err("an exchange was understood in an unknown way".to_owned()),
    }
}

fn take_row<'a>(
    reading: &mut Reading<'a>,
    who: &mut WhoReader<'a>,
    rests: &mut Listed<(usize, usize)>,
    last_pieces: &mut [u32; 2],
) -> Result<Row, String> {
    let who = who.take(reading)?;
    let ending = reading.take(Column::Ending)?;
    if ending > ending::ALL {
        return Err("an exchange ended in an unknown way".to_owned());
    }
    let mut last_ns = who.started_ns;
    let mut time = |column, is_there: bool| -> Result<Option<u64>, String> {
        if !is_there {
            return Ok(None);
        }
        last_ns = reading.take_from(column, last_ns)?;
        Ok(Some(last_ns))
    };
    let times = Times {
        started_ns: who.started_ns,
        request_ended_ns: time(Column::RequestEnded, ending & ending::REQUEST_NEVER_ENDED == 0)?,
        response_started_ns: time(Column::ResponseStarted, ending & ending::RESPONSE_NEVER_STARTED == 0)?,
        ended_ns: time(Column::Ended, true)?.unwrap_or_default(),
    };
    let [request_pieces, response_pieces] = last_pieces;
    let request = Message::take(reading, &REQUEST, request_pieces)?.ok_or("an exchange has no request")?;
    let response = Message::take(reading, &RESPONSE, response_pieces)?;
    let trace = reading.take(Column::Trace)?;
    let has = reading.take(Column::Digests)?;
    let mut digest = |bit: u64, column| -> Result<Option<Digest>, String> {
        Ok(if has & bit == 0 { None } else { Some(Digest(reading.take_array(column)?)) })
    };
    let digests =
        Digests { request: digest(1, Column::RequestDigests)?, response: digest(2, Column::ResponseDigests)? };
    let rest = reading.take(Column::Rest)?;
    let rest = rests.take(rest, || {
        let text = reading.take_text(Column::Rests)?;
        Ok((reading.at(Column::Rests) - text.len(), text.len()))
    })?;
    Ok(Row { who, ending, times, request, response, trace, digests, rest })
}

/// The certainty's number in a file is its place in the vocabulary.
const _: () =
    assert!(Certainty::Recorded as u64 == 0 && Certainty::Inferred as u64 == 1 && Certainty::Ambiguous as u64 == 2);
/// And so is the transport's.
const _: () = assert!(Transport::Http1 as u64 == 0 && Transport::Upgraded as u64 == 1 && Transport::Raw as u64 == 2);

#[cfg(test)]
mod tests;

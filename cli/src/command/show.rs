//! `retake show`: one exchange, whole, or what surrounded it.

mod around;

use std::io::{self, Write};

use bundle::{Entry, ReadError};
use diff::{ExchangeResult, Trajectory};
use exchange::Exchange;
use interchange::{Har, Interchange as _, Telling, Told};
use report::{ExchangePage, curl_command, escape_lines, exchange_page};

use crate::{
    args::{ShowArgs, ShowAs},
    console::Console,
    exit::Exit,
    source::Source,
    trouble::Trouble,
};

/// Most of a body that is read to be shown to a person, in bytes.
const SHOWN_BYTES_MAX: usize = 8 << 20;

/// Most of a body that goes into a document or a command, in bytes. A longer one is had with `--as raw`.
const WHOLE_BYTES_MAX: u64 = 256 << 20;

/// Shows one exchange in the form that was asked for.
pub(crate) fn show(args: &ShowArgs, as_json: bool, console: &Console) -> Result<Exit, Trouble> {
    let source = Source::open_to_look(args.source.as_deref(), &args.store.store, &args.keys)?;
    let exchange = source.archive.exchange(&source.resolve(&args.id)?)?;
    if let Some(around) = args.around {
        return around::show(&source, &exchange, around, as_json, console);
    }
    let form = if as_json { ShowAs::Json } else { args.form };
    match form {
        ShowAs::Text => page(&source, &exchange, console),
        ShowAs::Json => document(&source, &exchange, console),
        ShowAs::Curl => curl(&source, &exchange, console),
        ShowAs::Har => har(&source, &exchange, console),
        ShowAs::Raw => raw(&source, &exchange, console),
    }
}

/// Both bodies of an exchange.
struct Bodies {
    request: Vec<u8>,
    response: Vec<u8>,
}

impl Bodies {
    fn beginning(source: &Source, exchange: &Exchange) -> Result<Self, Trouble> {
        let response = exchange.response.as_ref().map(|response| source.beginning(&response.body, SHOWN_BYTES_MAX));
        let request = source.beginning(&exchange.request.body, SHOWN_BYTES_MAX)?;
        Ok(Self { request, response: response.transpose()?.unwrap_or_default() })
    }

    fn whole(source: &Source, exchange: &Exchange) -> Result<Self, Trouble> {
        let whole = |body| source.archive.body(body, WHOLE_BYTES_MAX);
        let response = exchange.response.as_ref().map(|response| whole(&response.body)).transpose()?;
        Ok(Self { request: whole(&exchange.request.body)?, response: response.unwrap_or_default() })
    }
}

fn page(source: &Source, exchange: &Exchange, console: &Console) -> Result<Exit, Trouble> {
    let bodies = Bodies::beginning(source, exchange)?;
    let text = with_page(source, exchange, &bodies, |page| exchange_page(page, console.out))?;
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

fn document(source: &Source, exchange: &Exchange, console: &Console) -> Result<Exit, Trouble> {
    let bodies = Bodies::whole(source, exchange)?;
    let text = with_page(source, exchange, &bodies, |page| page.to_json())?;
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

fn with_page(
    source: &Source,
    exchange: &Exchange,
    bodies: &Bodies,
    render: impl FnOnce(&ExchangePage<'_>) -> String,
) -> Result<String, Trouble> {
    let is_child = |entry: &&Entry| entry.id != exchange.id && entry.may_belong_to(&exchange.id);
    let children: Vec<&Entry> = source.archive.entries().iter().filter(is_child).collect();
    let fingerprint = match &exchange.fingerprint {
        Some(digest) => source.archive.fingerprint(digest)?,
        None => None,
    };
    let trajectory = trajectory_of(source, exchange)?;
    Ok(render(&ExchangePage {
        exchange,
        trajectory: trajectory.as_deref(),
        session: source.session(&exchange.session),
        children: &children,
        fingerprint: fingerprint.as_ref(),
        request_body: &bodies.request,
        response_body: &bodies.response,
    }))
}

/// Of an exchange of a run: its calls against production's, where they differ.
fn trajectory_of(source: &Source, exchange: &Exchange) -> Result<Option<Box<Trajectory>>, Trouble> {
    if exchange.repeats.is_none() {
        return Ok(None);
    }
    for run in source.archive.runs()? {
        // What another version wrote otherwise is left out.
        let results: Vec<ExchangeResult> = serde_json::from_value(run.comparison).unwrap_or_default();
        let of_this = results.into_iter().find(|result| result.replayed_id == Some(exchange.id));
        if let Some(result) = of_this {
            return Ok(result.trajectory);
        }
    }
    Ok(None)
}

fn curl(source: &Source, exchange: &Exchange, console: &Console) -> Result<Exit, Trouble> {
    let body = source.archive.body(&exchange.request.body, WHOLE_BYTES_MAX)?;
    let command = curl_command(exchange, &source.upstream(exchange), &body);
    console.write(Exit::Passed, |out| out.write_all(command.as_bytes()))
}

fn har(source: &Source, exchange: &Exchange, console: &Console) -> Result<Exit, Trouble> {
    let bodies = Bodies::whole(source, exchange)?;
    let session = source.session(&exchange.session);
    let mut text = Vec::new();
    let mut har = Har.write(&mut text, env!("CARGO_PKG_VERSION"), session.as_slice())?;
    let told = har.put(&Telling {
        exchange,
        session,
        upstream: &source.upstream(exchange),
        request_body: Some(&bodies.request),
        response_body: Some(&bodies.response),
    })?;
    har.end()?;
    if told == Told::NoHttp {
        return Err(Trouble::new(format!("exchange {} is no HTTP, which a HAR has no place for", exchange.id.short()))
            .help("`--as json` has all of it"));
    }
    let document: serde_json::Value = serde_json::from_slice(&text).map_err(io::Error::from)?;
    console.write(Exit::Passed, |out| {
        serde_json::to_writer_pretty(&mut *out, &document)?;
        out.write_all(b"\n")
    })
}

/// The response's body as it was sent; on a terminal, which it could drive, its beginning with control characters shown.
fn raw(source: &Source, exchange: &Exchange, console: &Console) -> Result<Exit, Trouble> {
    let Some(response) = &exchange.response else {
        return Err(Trouble::new(format!("exchange {} has no response", exchange.id.short())));
    };
    if console.out_is_terminal {
        let beginning = source.beginning(&response.body, SHOWN_BYTES_MAX)?;
        let text = String::from_utf8_lossy(&beginning);
        return console.write(Exit::Passed, |out| out.write_all(escape_lines(&text).as_bytes()));
    }
    let mut unreadable = None;
    let exit = console.write(Exit::Passed, |out| copy(source, response, out, &mut unreadable))?;
    unreadable.map_or(Ok(exit), |error| Err(error.into()))
}

fn copy(
    source: &Source,
    response: &exchange::Response,
    out: &mut dyn Write,
    unreadable: &mut Option<ReadError>,
) -> io::Result<()> {
    match source.archive.copy_body(&response.body, out) {
        Ok(_) => {}
        Err(ReadError::Output { source }) => return Err(source),
        Err(error) => *unreadable = Some(error),
    }
    Ok(())
}

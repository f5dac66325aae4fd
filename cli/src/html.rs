//! `--html FILE`: what a page for a browser needs of two archives, and the file that it goes into.
//!
//! In: results, and the archives of both sides. Out: [`Look`]s, which `report` shows, and a file that is there whole or not at all.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use bundle::{Archive, Entry, ReadError};
use diff::{ExchangeResult, Verdict};
use exchange::{Body, Certainty, Exchange, Head, Id};
use report::{
    BodyView,
    html::{Call, Content, Look, Report, Side},
};
use tempfile::NamedTempFile;

use crate::trouble::Trouble;

/// Most of a body that is read to be shown, in bytes. Longer JSON is shown as it was sent.
const SHOWN_BYTES_MAX: usize = 256 << 10;

/// Up to so many exchanges the messages of equal ones are shown as well. A choice: of more nobody reads them.
const EQUAL_SHOWN_MAX: usize = 500;

/// A file that a page is written into at the end; that it can be written is known at the beginning. In between there is none,
/// which somebody who is killed would leave behind.
pub(crate) struct HtmlFile {
    path: PathBuf,
}

impl HtmlFile {
    /// Sees that a file can be made beside `path`.
    pub(crate) fn begin(path: &Path) -> Result<Self, Trouble> {
        if path.is_dir() {
            return Err(Trouble::new(format!("`{}` is a folder", path.display()))
                .help("name the file to write: `--html report.html`"));
        }
        let file = Self { path: path.to_owned() };
        file.beside().map_err(|error| cannot_write(path, &error).help("name a file in a folder that is there"))?;
        Ok(file)
    }

    /// Writes the page beside, and puts it in its place when it is whole.
    pub(crate) fn finish(self, report: &Report<'_>) -> Result<(), Trouble> {
        let cannot = |error: io::Error| cannot_write(&self.path, &error);
        let mut file = self.beside().map_err(cannot)?;
        let mut out = BufWriter::new(file.as_file_mut());
        report::html::write_report(report, &mut out).and_then(|()| out.flush()).map_err(cannot)?;
        drop(out);
        file.persist(&self.path).map_err(|error| cannot_write(&self.path, &error.error))?;
        Ok(())
    }

    fn beside(&self) -> io::Result<NamedTempFile> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::Builder::new().prefix(".retake-html").tempfile_in(parent)
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Trouble {
    Trouble::of(error).while_doing(format!("cannot write `{}`", path.display()))
}

/// The archives of both sides, looked up by exchange.
pub(crate) struct Looks<'a> {
    recorded: OneSide<'a>,
    replayed: Option<OneSide<'a>>,
    /// Which recorded exchange a replayed one was compared with, where that is not the result's own.
    recorded_ids: BTreeMap<Id, Id>,
    /// True where equal answers are shown too.
    with_equal: bool,
}

impl<'a> Looks<'a> {
    /// Of both sides; the second may have nothing.
    pub(crate) fn new(recorded: &'a Archive, replayed: Option<&'a Archive>, results: &[ExchangeResult]) -> Self {
        Self {
            recorded: OneSide::new(recorded),
            replayed: replayed.map(OneSide::new),
            recorded_ids: BTreeMap::new(),
            with_equal: results.len() <= EQUAL_SHOWN_MAX,
        }
    }

    /// The same, where results name other exchanges than those that were compared: replayed ids and recorded ones.
    pub(crate) fn paired(self, recorded_ids: BTreeMap<Id, Id>) -> Self {
        Self { recorded_ids, ..self }
    }

    /// Both sides of an exchange. What cannot be read is said.
    pub(crate) fn of(&self, result: &ExchangeResult) -> Look {
        let with_messages = self.with_equal || !matches!(result.verdict, Verdict::Same | Verdict::Noise);
        let recorded_id = result.replayed_id.and_then(|id| self.recorded_ids.get(&id)).unwrap_or(&result.id);
        let mut look = Look::default();
        if self.recorded.archive.entry(recorded_id).is_some() {
            match self.recorded.look(recorded_id, with_messages) {
                Ok(side) => look.recorded = Some(side),
                Err(error) => look.troubles.push(format!("the recorded side cannot be read: {error}")),
            }
        }
        if let (Some(side), Some(id)) = (&self.replayed, &result.replayed_id) {
            match side.look(id, with_messages) {
                Ok(side) => look.replayed = Some(side),
                Err(error) => look.troubles.push(format!("the replayed side cannot be read: {error}")),
            }
        }
        look
    }
}

/// One archive, with the calls of each exchange.
struct OneSide<'a> {
    archive: &'a Archive,
    calls: BTreeMap<Id, Vec<&'a Entry>>,
}

impl<'a> OneSide<'a> {
    fn new(archive: &'a Archive) -> Self {
        let mut calls: BTreeMap<Id, Vec<&Entry>> = BTreeMap::new();
        for entry in archive.entries().iter().filter(|entry| entry.dependency.is_some()) {
            if let Some(parent) = entry.parent {
                calls.entry(parent).or_default().push(entry);
            }
        }
        Self { archive, calls }
    }

    fn look(&self, id: &Id, with_messages: bool) -> Result<Side, ReadError> {
        let exchange = self.archive.exchange(id)?;
        let calls = self.calls.get(id).into_iter().flatten().map(|entry| call(entry, exchange.times.started_ns));
        let mut side = Side { calls: calls.collect(), began: self.began(&exchange), ..Side::of(&exchange) };
        side.calls.sort_by_key(|call| (call.began_ns, call.id));
        if with_messages {
            side.request = Some(self.content(&exchange, &exchange.request.head, &exchange.request.body)?);
            let response = exchange.response.as_ref();
            side.response = response.map(|it| self.content(&exchange, &it.head, &it.body)).transpose()?;
        }
        Ok(side)
    }

    fn began(&self, exchange: &Exchange) -> Option<String> {
        let session = self.archive.sessions().iter().find(|session| session.id == exchange.session)?;
        Some(format!("{} UTC", report::instant(session.started.wall_at(exchange.times.started_ns))))
    }

    fn content(&self, exchange: &Exchange, head: &Head, body: &Body) -> Result<Content, ReadError> {
        let mut beginning = Beginning(Vec::new());
        match self.archive.copy_body(body, &mut beginning) {
            // It has as much as it takes.
            Ok(_) | Err(ReadError::Output { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(Content::of(&BodyView { head, body, bytes: &beginning.0, started_ns: exchange.times.started_ns }))
    }
}

fn call(entry: &Entry, began_ns: u64) -> Call {
    Call {
        id: entry.id,
        answered_by: entry.original,
        dependency: entry.dependency.as_deref().unwrap_or_default().to_owned(),
        title: entry.title.to_string(),
        status: entry.status,
        end: entry.end,
        began_ns: i64::try_from(i128::from(entry.started_ns) - i128::from(began_ns)).unwrap_or_default(),
        took_ns: entry.ended_ns.saturating_sub(entry.started_ns),
        certain: entry.certainty != Some(Certainty::Ambiguous),
    }
}

/// Takes what is shown, and refuses the rest.
struct Beginning(Vec<u8>);

impl Write for Beginning {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let taken = more.len().min(SHOWN_BYTES_MAX - self.0.len());
        self.0.extend_from_slice(&more[..taken]);
        if taken == 0 && !more.is_empty() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Where imported exchanges go: segments of a store, the next one when one is full.

use std::{collections::BTreeSet, sync::Arc};

use bundle::{Record, Store, WriteError, Writer};
use exchange::{Body, Id, Session};
use interchange::Imported;

use crate::trouble::{Trouble, trouble_from};

trouble_from!(WriteError);

/// The segments of one import. None is made where nothing is put.
pub(super) struct Output<'a> {
    store: &'a Store,
    session: Arc<Session>,
    writer: Option<Writer>,
    /// Sessions that the segment has.
    sessions: BTreeSet<Id>,
    added: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(store: &'a Store, session: Session) -> Self {
        Self { store, session: Arc::new(session), writer: None, sessions: BTreeSet::new(), added: 0 }
    }

    /// Puts an exchange with its bodies.
    pub(super) fn put(&mut self, imported: &Imported) -> Result<(), Trouble> {
        let mut written = self.write(imported);
        if matches!(written, Err(Refused::Write(WriteError::Full { .. }))) {
            self.writer.take().map(Writer::seal).transpose()?;
            written = self.write(imported);
        }
        match written {
            Ok(()) => self.added += 1,
            Err(Refused::Write(error)) => return Err(error.into()),
            Err(Refused::Other(trouble)) => return Err(trouble),
        }
        Ok(())
    }

    fn write(&mut self, imported: &Imported) -> Result<(), Refused> {
        let session = Arc::clone(imported.session.as_ref().unwrap_or(&self.session));
        if self.writer.is_none() {
            self.writer = Some(self.store.segment_writer(session.id).map_err(|error| Refused::Other(error.into()))?);
            self.sessions.clear();
        }
        let writer = self.writer.as_mut().expect("it was made just now where there was none");
        if !self.sessions.contains(&session.id) {
            writer.append(&Record::Session(Session::clone(&session)))?;
            self.sessions.insert(session.id);
        }
        Ok(write(writer, imported)?)
    }

    /// Seals what was put, and says how many exchanges that is.
    pub(super) fn finish(self) -> Result<u64, Trouble> {
        self.writer.map(Writer::seal).transpose()?;
        Ok(self.added)
    }
}

/// Why an exchange was not taken.
enum Refused {
    Write(WriteError),
    Other(Trouble),
}

impl From<WriteError> for Refused {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

fn write(writer: &mut Writer, imported: &Imported) -> Result<(), WriteError> {
    let mut exchange = imported.exchange.clone();
    put_body(writer, &mut exchange.request.body, &imported.request_body)?;
    if let Some(response) = &mut exchange.response {
        put_body(writer, &mut response.body, &imported.response_body)?;
    }
    writer.append(&Record::Exchange(Box::new(exchange)))
}

fn put_body(writer: &mut Writer, body: &mut Body, bytes: &[u8]) -> Result<(), WriteError> {
    body.parts = writer.put_body_bytes(bytes)?;
    Ok(())
}

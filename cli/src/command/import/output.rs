//! Where imported exchanges go: segments of a store, the next one when one is full.

use bundle::{Record, Store, WriteError, Writer};
use exchange::{Body, Session};
use interchange::Imported;

use crate::trouble::{Trouble, trouble_from};

trouble_from!(WriteError);

/// The segments of one import. None is made where nothing is put.
pub(super) struct Output<'a> {
    store: &'a Store,
    session: Session,
    writer: Option<Writer>,
    added: u64,
}

impl<'a> Output<'a> {
    pub(super) fn new(store: &'a Store, session: Session) -> Self {
        Self { store, session, writer: None, added: 0 }
    }

    /// Puts an exchange with its bodies.
    pub(super) fn put(&mut self, imported: Imported) -> Result<(), Trouble> {
        let mut written = write(self.writer()?, &imported);
        if matches!(written, Err(WriteError::Full { .. })) {
            self.writer.take().map(Writer::seal).transpose()?;
            written = write(self.writer()?, &imported);
        }
        written?;
        self.added += 1;
        Ok(())
    }

    /// Seals what was put, and says how many exchanges that is.
    pub(super) fn finish(self) -> Result<u64, Trouble> {
        self.writer.map(Writer::seal).transpose()?;
        Ok(self.added)
    }

    fn writer(&mut self) -> Result<&mut Writer, Trouble> {
        if self.writer.is_none() {
            let mut writer = self.store.segment_writer(self.session.id)?;
            writer.append(&Record::Session(self.session.clone()))?;
            self.writer = Some(writer);
        }
        Ok(self.writer.as_mut().expect("it was made just now where there was none"))
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

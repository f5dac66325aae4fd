//! An object that is read by ranges, a window at a time.

use std::{io, ops::Range, sync::Arc};

use bundle::ReadAt;
use bytes::Bytes;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::{
    Address, RemoteError,
    place::{Place, wait},
    windows::Windows,
};

/// An object, as it was when it was opened.
pub struct Object {
    place: Place,
    len: u64,
    /// What tells this object from one that replaces it.
    tag: Option<String>,
    number: usize,
    windows: Arc<Windows>,
}

impl Object {
    /// Opens the object at an address: asks how long it is.
    ///
    /// # Errors
    /// See [`RemoteError`].
    pub fn open(address: &Address) -> Result<Self, RemoteError> {
        let place = Place::of(address)?;
        let asked = place.clone();
        let meta = wait(async move { asked.store.head(&asked.path).await });
        let meta = meta.map_err(|error| RemoteError::of(address, error))?;
        Ok(Self::listed(place, meta, 0, Arc::default()))
    }

    /// An object of which everything is known already: one of many that keep their windows together, by its number.
    pub(crate) fn listed(place: Place, meta: ObjectMeta, number: usize, windows: Arc<Windows>) -> Self {
        Self { place, len: meta.size, tag: meta.e_tag, number, windows }
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// Nothing is locked while storage is asked: files of a store are opened side by side.
    fn window(&self, range: &Range<u64>) -> Result<(u64, Bytes), RemoteError> {
        if let Some(window) = self.windows.holding(self.number, range) {
            return Ok(window);
        }
        let wanted = self.windows.around(self.number, range, self.len);
        let options = GetOptions {
            if_match: self.tag.clone(),
            range: Some(GetRange::Bounded(wanted.clone())),
            ..GetOptions::default()
        };
        let asked = self.place.clone();
        let got = wait(async move { asked.store.get_opts(&asked.path, options).await?.bytes().await });
        let bytes = got.map_err(|error| RemoteError::of(&self.place.address, error))?;
        self.windows.keep(self.number, wanted.start, bytes.clone());
        Ok((wanted.start, bytes))
    }
}

impl ReadAt for Object {
    fn len(&self) -> io::Result<u64> {
        Ok(self.len)
    }

    fn read_exact_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        let range = offset..offset.saturating_add(into.len() as u64);
        if range.end > self.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if range.is_empty() {
            return Ok(());
        }
        let (start, bytes) = self.window(&range).map_err(io::Error::other)?;
        let from = usize::try_from(offset - start).map_err(io::Error::other)?;
        // Storage that gives fewer bytes than it was asked for has no whole object.
        let found = bytes.get(from..from.saturating_add(into.len())).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(found);
        Ok(())
    }
}

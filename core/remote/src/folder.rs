//! A store on object storage: a prefix with a marker, and below it bundles, each of them whole.
//!
//! In: the prefix. Out: its bundles, open; or one more of them. There is no lock: a bundle is named by its digest, is there
//! when all of it is, and is never changed.

use std::{path::Path, sync::Arc};

use bundle::{EXTENSION, STORE_MARKER_TEXT};
use exchange::Digest;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::{
    Address, Object, RemoteError, exists,
    place::{Place, wait},
    upload,
    windows::Windows,
};

/// All bundles of the store at this prefix, by their names, open.
///
/// # Errors
/// `NoStore` where nothing says that there is one.
pub fn open_store(store: &Address) -> Result<Vec<(Address, Object)>, RemoteError> {
    let segments = store.segments();
    let place = Place::of(&segments)?;
    if !exists(&store.marker())? {
        return Err(RemoteError::NoStore { address: store.clone() });
    }
    let asked = place.clone();
    let listed = wait(async move { asked.store.list_with_delimiter(Some(&asked.path)).await });
    let mut listed = listed.map_err(|error| RemoteError::of(&segments, error))?.objects;
    listed.retain(|meta| meta.location.extension() == Some(EXTENSION));
    listed.sort_by(|one, other| one.location.cmp(&other.location));
    let windows = Arc::new(Windows::default());
    let objects = listed.into_iter().enumerate().map(|(number, meta)| {
        let address = store.with(meta.location.as_ref());
        let place = Place { address: address.clone(), path: meta.location.clone(), store: Arc::clone(&place.store) };
        (address, Object::listed(place, meta, number, Arc::clone(&windows)))
    });
    Ok(objects.collect())
}

/// Adds the sealed bundle at `path` to the store at this prefix, and makes that one where there is none. One that is in it
/// already is not sent again. Returns where it is.
///
/// # Errors
/// See [`RemoteError`].
pub fn add(path: &Path, digest: &Digest, store: &Address) -> Result<Address, RemoteError> {
    let (marker, segment) = (store.marker(), store.segment(digest));
    if !exists(&marker)? {
        let place = Place::of(&marker)?;
        let text = PutPayload::from_static(STORE_MARKER_TEXT.as_bytes());
        let put = wait(async move { place.store.put(&place.path, text).await });
        put.map_err(|error| RemoteError::of(&marker, error))?;
    }
    if !exists(&segment)? {
        upload(path, &segment)?;
    }
    Ok(segment)
}

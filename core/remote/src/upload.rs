//! A file becomes an object: all of it, or nothing that anybody could see.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};
use tokio::task::JoinSet;

use crate::{
    Address, RemoteError,
    place::{Place, wait},
};

/// Bytes of a part, at least. Storage takes none of less than 5 MiB but as the last.
const PART_BYTES_MIN: u64 = 8 << 20;
/// Parts of an object, at most: S3 takes 10,000.
const PARTS_MAX: u64 = 9_000;
/// Parts that are sent at once. A choice: each is in memory.
const AT_ONCE: usize = 4;

/// True where there is an object already.
///
/// # Errors
/// See [`RemoteError`].
pub fn exists(address: &Address) -> Result<bool, RemoteError> {
    let place = Place::of(address)?;
    match wait(async move { place.store.head(&place.path).await }) {
        Ok(_) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(RemoteError::of(address, error)),
    }
}

/// Writes the file at `path` to an address. A long one goes in parts, which become an object when the last has arrived: a
/// failure takes them back, and of an upload that was killed nothing is an object. Returns its length.
///
/// # Errors
/// See [`RemoteError`].
pub fn upload(path: &Path, address: &Address) -> Result<u64, RemoteError> {
    let place = Place::of(address)?;
    let local = |source| RemoteError::Local { path: path.to_owned(), address: address.clone(), source };
    let file = File::open(path).map_err(local)?;
    let len = file.metadata().map_err(local)?.len();
    let sent = wait(async move {
        if len <= PART_BYTES_MIN { put_whole(&place, &file, len).await } else { put_parts(&place, file, len).await }
    });
    match sent {
        Ok(()) => Ok(len),
        Err(Failure::Local(source)) => Err(local(source)),
        Err(Failure::Storage(error)) => Err(RemoteError::of(address, error)),
    }
}

enum Failure {
    Local(io::Error),
    Storage(object_store::Error),
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Storage(error)
    }
}

async fn put_whole(place: &Place, file: &File, len: u64) -> Result<(), Failure> {
    let bytes = part(file, 0, len).map_err(Failure::Local)?;
    place.store.put(&place.path, bytes).await?;
    Ok(())
}

async fn put_parts(place: &Place, file: File, len: u64) -> Result<(), Failure> {
    let mut upload = place.store.put_multipart(&place.path).await?;
    let sent = match send(&mut *upload, &Arc::new(file), len).await {
        Ok(()) => upload.complete().await.map(drop).map_err(Failure::from),
        Err(failure) => Err(failure),
    };
    if sent.is_err() {
        // Best effort: parts that stay are no object, and storage can be told to drop them after a while.
        upload.abort().await.ok();
    }
    sent
}

async fn send(upload: &mut dyn MultipartUpload, file: &Arc<File>, len: u64) -> Result<(), Failure> {
    let part_len = PART_BYTES_MIN.max(len.div_ceil(PARTS_MAX));
    let mut sending = JoinSet::new();
    let mut offset = 0;
    while offset < len {
        if sending.len() == AT_ONCE {
            sent(sending.join_next().await)?;
        }
        let bytes = part(file, offset, part_len.min(len - offset)).map_err(Failure::Local)?;
        sending.spawn(upload.put_part(bytes));
        offset += part_len;
    }
    while !sending.is_empty() {
        sent(sending.join_next().await)?;
    }
    Ok(())
}

fn sent(joined: Option<Result<object_store::Result<()>, tokio::task::JoinError>>) -> Result<(), Failure> {
    match joined {
        None => Ok(()),
        Some(Ok(sent)) => Ok(sent?),
        Some(Err(error)) => Err(object_store::Error::from(error).into()),
    }
}

fn part(file: &File, offset: u64, len: u64) -> io::Result<PutPayload> {
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes.into())
}

//! The images of a selection, on their way from the container engine into a bundle.
//!
//! In: the fingerprints that the chosen exchanges point to. Out: each image that they name and the source does not carry,
//! as an archive to be read. The engine sends pieces on a task of its own; the bundle's writer reads them here.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use bundle::{Entry, ImageSource};
use bytes::Bytes;
use exchange::{Digest, Id, ImageIdentity, Subject};
use futures_util::StreamExt;
use host::{Docker, DockerError, same_image};
use tokio::{runtime::Runtime, sync::mpsc};

use crate::{
    source::Source,
    trouble::{Trouble, trouble_from},
};

trouble_from!(DockerError);

/// Pieces of an archive that may wait for the writer. A choice: the engine's pieces are a few KiB each.
const PIECES_WAITING_MAX: usize = 64;

/// Images that are to be carried, ready to be read.
pub(super) struct Images {
    /// Keeps the engine's tasks going.
    _runtime: Option<Runtime>,
    archives: Vec<(ImageIdentity, ArchiveReader)>,
}

impl Images {
    /// None.
    pub(super) fn none() -> Self {
        Self { _runtime: None, archives: Vec::new() }
    }

    /// The images of these exchanges, except those that the source carries itself.
    ///
    /// # Errors
    /// When they ran in no container, or the engine does not have an image.
    pub(super) fn of(source: &Source, chosen: &[Id]) -> Result<Self, Trouble> {
        let wanted = wanted(source, chosen)?;
        if wanted.is_empty() {
            return Err(Trouble::new(
                "no chosen exchange was recorded from a container, so there is no image to carry",
            )
            .help("leave out --with-image, or record with `retake capture --container NAME`"));
        }
        let carried = source.archive.images()?;
        let is_carried = |image: &ImageIdentity| carried.iter().any(|it| same_image(&it.identity, image).is_some());
        let missing: Vec<_> = wanted.into_iter().filter(|image| !is_carried(image)).collect();
        if missing.is_empty() { Ok(Self::none()) } else { Self::from_engine(missing) }
    }

    fn from_engine(missing: Vec<ImageIdentity>) -> Result<Self, Trouble> {
        let runtime = Runtime::new()?;
        let archives = runtime.block_on(async {
            let docker = Docker::connect().await?;
            let mut archives = Vec::new();
            for identity in missing {
                archives.push(archive(&docker, identity).await?);
            }
            Ok::<_, Trouble>(archives)
        })?;
        Ok(Self { _runtime: Some(runtime), archives })
    }

    /// As the bundle takes them.
    pub(super) fn sources(&mut self) -> Vec<ImageSource<'_>> {
        let archives = self.archives.iter_mut();
        archives.map(|(identity, archive)| ImageSource { identity: identity.clone(), archive }).collect()
    }
}

/// The images that the chosen exchanges ran in, or may have run in, each once.
fn wanted(source: &Source, chosen: &[Id]) -> Result<Vec<ImageIdentity>, Trouble> {
    let chosen: BTreeSet<&Id> = chosen.iter().collect();
    let is_chosen = |entry: &&Entry| chosen.contains(&entry.id);
    let entries = source.archive.entries().iter().filter(is_chosen);
    let digests: BTreeSet<Digest> = entries.flat_map(Entry::environments).collect();
    let mut images: Vec<ImageIdentity> = Vec::new();
    for digest in digests {
        let Some(fingerprint) = source.archive.fingerprint(&digest)? else { continue };
        if let Subject::Container(container) = fingerprint.subject
            && images.iter().all(|known| same_image(known, &container.image).is_none())
        {
            images.push(container.image);
        }
    }
    Ok(images)
}

async fn archive(docker: &Docker, wanted: ImageIdentity) -> Result<(ImageIdentity, ArchiveReader), Trouble> {
    let Some(found) = docker.find_image(&wanted).await? else {
        let name = wanted.tags.first().or(wanted.config_digest.as_ref()).cloned().unwrap_or_default();
        return Err(Trouble::new(format!("the recorded image `{name}` is not on this machine"))
            .help("export where it was recorded, pull the image first, or leave out --with-image"));
    };
    let mut pieces = Box::pin(docker.save_image(&found.engine_id));
    let (sender, receiver) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::spawn(async move {
        while let Some(piece) = pieces.next().await {
            if sender.send(piece).await.is_err() {
                break;
            }
        }
    });
    // The identity is that of what is carried: the engine's own, which may be known by its layers alone.
    Ok((found.identity, ArchiveReader { pieces: receiver, piece: Bytes::new() }))
}

/// An archive whose pieces come from a task.
struct ArchiveReader {
    pieces: mpsc::Receiver<Result<Bytes, DockerError>>,
    piece: Bytes,
}

impl Read for ArchiveReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let taken = self.piece.split_to(self.piece.len().min(out.len()));
        out[..taken.len()].copy_from_slice(&taken);
        Ok(taken.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_read_whole_however_it_is_cut_and_a_failure_on_the_way_is_no_end() {
        let (sender, receiver) = mpsc::channel(4);
        for piece in [&b"abc"[..], b"", b"defgh"] {
            sender.try_send(Ok(Bytes::from_static(piece))).unwrap();
        }
        let mut reader = ArchiveReader { pieces: receiver, piece: Bytes::new() };
        let mut first = [0; 5];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"abcde");
        sender.try_send(Err(DockerError::Archive(io::ErrorKind::BrokenPipe.into()))).unwrap();
        drop(sender);
        let mut rest = Vec::new();
        assert!(reader.read_to_end(&mut rest).is_err());
        assert_eq!(rest, b"fgh");
    }
}

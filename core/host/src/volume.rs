//! Volumes of a run's own, filled through the engine with files of this machine.
//!
//! This is how anything gets to an engine that sees other files than this program, and how a container gets what it may
//! write to without touching the real thing.

mod named;

use std::{
    io,
    path::{Path, PathBuf},
};

use bollard::{body_try_stream, models, query_parameters as query};
use bytes::Bytes;
use futures_util::{Stream, stream};
use tar::HeaderMode;
use tokio::sync::mpsc;

use crate::{
    container::remove,
    docker::{Docker, is_not_found},
    error::DockerError,
    owner::labels,
};

/// Pieces of a tar that wait to be sent. A choice: bounds memory to a few times what is packed at once.
const PIECES_WAITING_MAX: usize = 8;

/// How much is packed before it is sent on, in bytes. A choice.
const PIECE_LEN: usize = 256 << 10;

/// Where a volume is mounted while it is filled.
const FILLED_AT: &str = "/.retake-mount";

/// A file or folder of this machine, and where a volume has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// On this machine.
    pub from: PathBuf,
    /// In the volume; `.` for a folder that becomes the volume's own content.
    pub at: String,
}

/// A volume that was made for a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunVolume {
    /// What the engine calls it.
    pub name: String,
    /// The folder with its content, on the engine's machine.
    pub folder: PathBuf,
}

impl Docker {
    /// A volume of this run with this content, empty without any. `image` is any that the engine has: a container of it, never started, is how
    /// the engine takes files into a volume.
    ///
    /// # Errors
    /// What the engine refuses, and what cannot be read here.
    pub async fn make_volume(&self, run: &str, image: &str, contents: Vec<Content>) -> Result<RunVolume, DockerError> {
        let request = models::VolumeCreateRequest { labels: Some(labels(run)), ..Default::default() };
        let created = self.engine.create_volume(request).await.map_err(DockerError::refused("create a volume"))?;
        let volume = RunVolume { name: created.name, folder: created.mountpoint.into() };
        if contents.is_empty() {
            return Ok(volume);
        }
        let filled = self.fill_volume(run, image, &volume.name, contents).await;
        if filled.is_err() {
            // What went wrong first is what is told.
            drop(self.remove_volume(&volume.name).await);
        }
        filled.map(|()| volume)
    }

    /// Takes a volume away again; one that is gone already is no trouble.
    ///
    /// # Errors
    /// When the engine refuses, for example because a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        match self.engine.remove_volume(name, None::<query::RemoveVolumeOptions>).await {
            Err(error) if !is_not_found(&error) => {
                Err(DockerError::refused(format!("remove the volume `{name}`"))(error))
            }
            _ => Ok(()),
        }
    }

    /// Takes volumes away where they go with something that failed or is gone, which is what is told.
    pub(crate) async fn remove_volumes(&self, names: &[String]) {
        for name in names {
            drop(self.remove_volume(name).await);
        }
    }

    async fn fill_volume(
        &self,
        run: &str,
        image: &str,
        volume: &str,
        contents: Vec<Content>,
    ) -> Result<(), DockerError> {
        let helper = self.helper_with(run, image, vec![volume_mount(volume, FILLED_AT, false)]).await?;
        let names: Vec<_> = contents.iter().map(|content| format!("`{}`", content.from.display())).collect();
        let options = query::UploadToContainerOptionsBuilder::default().path(FILLED_AT).build();
        let uploaded = self.engine.upload_to_container(&helper, Some(options), body_try_stream(packed(contents))).await;
        remove(&self.engine, &helper).await?;
        uploaded.map_err(DockerError::refused(format!("take {} into a volume", names.join(" and "))))
    }
}

/// A volume, mounted without what the image has in its place.
pub(crate) fn volume_mount(volume: &str, at: &str, read_only: bool) -> models::Mount {
    models::Mount {
        target: Some(at.to_owned()),
        source: Some(volume.to_owned()),
        typ: Some(models::MountType::VOLUME),
        read_only: Some(read_only),
        volume_options: Some(models::MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
        ..Default::default()
    }
}

/// A tar of all that, packed as it is sent.
fn packed(contents: Vec<Content>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    packed_as(contents, HeaderMode::Complete)
}

/// The same as root's, to be read by everybody.
pub(crate) fn packed_for_all(contents: Vec<Content>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    packed_as(contents, HeaderMode::Deterministic)
}

fn packed_as(contents: Vec<Content>, mode: HeaderMode) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = pack(&contents, mode, Sent { send: send.clone(), piece: Vec::new() }) {
            // Whoever reads is gone only when it has failed itself.
            drop(send.blocking_send(Err(error)));
        }
    });
    stream::unfold(receive, |mut receive| async move { receive.recv().await.map(|piece| (piece, receive)) })
}

fn pack(contents: &[Content], mode: HeaderMode, into: Sent) -> io::Result<()> {
    let mut builder = tar::Builder::new(into);
    builder.mode(mode);
    builder.follow_symlinks(false);
    // A file with holes would become an entry of a kind that engines do not take.
    builder.sparse(false);
    for Content { from, at } in contents {
        if from.is_dir() {
            builder.append_dir_all(at, from)?;
        } else {
            // What it is behind links, since a link would lead nowhere.
            builder.append_path_with_name(from.canonicalize()?, at)?;
        }
    }
    io::Write::flush(&mut builder.into_inner()?)
}

/// Sends what is written, in pieces.
struct Sent {
    send: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl io::Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_LEN {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() {
            return Ok(());
        }
        self.send.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Content {
    /// A folder's content as the volume's own, or a file under its own name.
    pub fn of(from: &Path) -> Self {
        let name = from.file_name().filter(|_| !from.is_dir());
        let at = name.map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned());
        Self { from: from.to_owned(), at }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _};

    use futures_util::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn what_is_packed_has_files_whole_under_their_new_names_and_folders_with_all_that_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let program: Vec<u8> = (0..1_000_001_u32).map(|number| number.to_le_bytes()[0]).collect();
        fs::write(folder.path().join("program"), &program).unwrap();
        fs::create_dir(folder.path().join("settings")).unwrap();
        fs::write(folder.path().join("settings/init.json"), "{}").unwrap();
        let with_holes = fs::File::create(folder.path().join("settings/model")).unwrap();
        with_holes.set_len(1 << 20).unwrap();
        std::os::unix::fs::symlink("program", folder.path().join("link")).unwrap();
        let content = |from: &str, at: &str| Content { from: folder.path().join(from), at: at.to_owned() };
        let pieces = packed(vec![content("link", "retake"), content("settings", "run")]);
        let bytes: Vec<u8> = pieces.try_collect::<Vec<_>>().await.unwrap().concat();

        let mut found = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            assert!(!entry.header().entry_type().is_gnu_sparse());
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            found.push((entry.path().unwrap().display().to_string(), content));
        }
        found[2..].sort();
        let settings = [("run/init.json", b"{}".to_vec()), ("run/model", vec![0; 1 << 20])];
        let expected: Vec<_> = [("retake", program), ("run/", Vec::new())].into_iter().chain(settings).collect();
        assert_eq!(found, expected.into_iter().map(|(path, content)| (path.to_owned(), content)).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_is_not_there_breaks_off_what_is_sent() {
        let content = Content::of(Path::new("/nonexistent/model"));
        assert_eq!(content.at, "model");
        assert!(packed(vec![content]).try_collect::<Vec<_>>().await.is_err());
    }
}

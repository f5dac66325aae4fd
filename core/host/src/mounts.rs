//! Mounts: what each holds when it is recorded, and volumes filled with it for a replay.

use std::{
    io::{self, Read},
    path::Path,
    time::Duration,
};

use bollard::{body_try_stream, models, query_parameters as query};
use bytes::{Buf as _, Bytes};
use exchange::Mount;
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use crate::{
    container::remove,
    docker::Docker,
    error::DockerError,
    owner::labels,
    tree::{Tree, TreeLimits, tar_tree},
};

/// Pieces of a tar that wait to be read. A choice: bounds memory to a few times what the engine gives at once.
const PIECES_WAITING_MAX: usize = 8;

/// How much of a folder is packed before it is sent on, in bytes. A choice.
const PIECE_LEN: usize = 256 << 10;

/// Where a volume is mounted while it is filled.
const FILLED_AT: &str = "/.retake-mount";

impl Docker {
    /// Fills in what each mount of a container holds, other mounts in it left out. One that cannot be read, or not within
    /// `patience` for all of them, stays without. Gives why, by path.
    pub async fn digest_mounts(
        &self,
        container: &str,
        mounts: &mut [Mount],
        limits: TreeLimits,
        patience: Duration,
    ) -> Vec<String> {
        let mut unseen = Vec::new();
        let deadline = tokio::time::Instant::now() + patience;
        let paths: Vec<String> = mounts.iter().map(|mount| mount.path.clone()).collect();
        for mount in mounts.iter_mut().filter(|mount| mount.kind != "tmpfs") {
            let reading = self.tree_of(container, &mount.path, mounted_below(&mount.path, &paths), limits);
            match tokio::time::timeout_at(deadline, reading).await {
                Ok(Ok(tree)) => {
                    mount.digest = Some(tree.digest);
                    mount.bytes = Some(tree.bytes);
                    mount.files = Some(tree.files);
                }
                Ok(Err(error)) => unseen.push(format!("{}: {}", mount.path, with_source(&error))),
                Err(_) => unseen.push(format!("{}: it takes longer than {} s", mount.path, patience.as_secs())),
            }
        }
        unseen
    }

    /// What a file or folder of a container holds, read through the engine.
    async fn tree_of(
        &self,
        container: &str,
        path: &str,
        without: Vec<String>,
        limits: TreeLimits,
    ) -> Result<Tree, DockerError> {
        // A path that is a link leads to what it links to only with its end.
        let options = query::DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut pieces = Box::pin(self.engine.download_from_container(container, Some(options)));
        let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
        let received = Received { receive, piece: Bytes::new() };
        let reading = tokio::task::spawn_blocking(move || tar_tree(received, &without, limits));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(DockerError::refused(format!("read `{path}` of the container")))?;
            if send.send(piece).await.is_err() {
                // The reader has given up, and says why.
                break;
            }
        }
        drop(send);
        let read = reading.await.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        read.map_err(DockerError::Archive)
    }

    /// A volume of this run, filled with a file or folder of this machine, or empty. `image` is any that the engine has:
    /// a container of it, never started, is how the engine takes files into a volume.
    ///
    /// # Errors
    /// What the engine refuses, and `Archive` where the file or folder cannot be read.
    pub async fn make_volume(&self, run: &str, image: &str, from: Option<&Path>) -> Result<String, DockerError> {
        let request = models::VolumeCreateRequest { labels: Some(labels(run)), ..Default::default() };
        let created = self.engine.create_volume(request).await;
        let volume = created.map_err(DockerError::refused("create a volume"))?.name;
        let Some(from) = from else { return Ok(volume) };
        let filled = self.fill_volume(run, image, &volume, from).await;
        if filled.is_err() {
            // What went wrong first is what is told.
            drop(self.remove_volume(&volume).await);
        }
        filled.map(|()| volume)
    }

    /// Takes a volume away again.
    ///
    /// # Errors
    /// When the engine refuses, for example because a container uses it.
    pub async fn remove_volume(&self, name: &str) -> Result<(), DockerError> {
        let removed = self.engine.remove_volume(name, None::<query::RemoveVolumeOptions>).await;
        removed.map_err(DockerError::refused(format!("remove the volume `{name}`")))
    }

    async fn fill_volume(&self, run: &str, image: &str, volume: &str, from: &Path) -> Result<(), DockerError> {
        let body = models::ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/never-started".to_owned()]),
            labels: Some(labels(run)),
            host_config: Some(models::HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(vec![models::Mount {
                    target: Some(FILLED_AT.to_owned()),
                    source: Some(volume.to_owned()),
                    typ: Some(models::MountType::VOLUME),
                    volume_options: Some(models::MountVolumeOptions { no_copy: Some(true), ..Default::default() }),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = self.engine.create_container(None, body).await;
        let helper = created.map_err(DockerError::refused("create the container that fills a volume"))?.id;
        let options = query::UploadToContainerOptionsBuilder::default().path(FILLED_AT).build();
        let uploaded = self.engine.upload_to_container(&helper, Some(options), body_try_stream(packed(from))).await;
        remove(&self.engine, &helper).await?;
        uploaded.map_err(DockerError::refused(format!("take `{}` into a volume", from.display())))
    }
}

/// The paths that are mounted inside the mount at `path`, relative to it.
pub fn mounted_below(path: &str, mounted: &[String]) -> Vec<String> {
    let below = |other: &String| {
        let rest = other.strip_prefix(path.trim_end_matches('/'))?.strip_prefix('/')?.trim_matches('/');
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    mounted.iter().filter_map(below).collect()
}

/// A tar of a folder's content, or of one file under its own name, packed as it is sent.
fn packed(from: &Path) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send + use<> {
    let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
    let from = from.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut builder = tar::Builder::new(Sent { send: send.clone(), piece: Vec::new() });
        builder.follow_symlinks(false);
        let packed = match from.file_name() {
            Some(name) if from.is_file() => builder.append_path_with_name(&from, name),
            _ => builder.append_dir_all(".", &from),
        };
        let packed = packed.and_then(|()| builder.into_inner()).and_then(|mut sent| io::Write::flush(&mut sent));
        if let Err(error) = packed {
            // Whoever reads is gone only when it has failed itself.
            drop(send.blocking_send(Err(error)));
        }
    });
    stream::unfold(receive, |mut receive| async move { receive.recv().await.map(|piece| (piece, receive)) })
}

/// Reads what arrives on a channel.
struct Received {
    receive: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Read for Received {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receive.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let len = self.piece.len().min(into.len());
        into[..len].copy_from_slice(&self.piece[..len]);
        self.piece.advance(len);
        Ok(len)
    }
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

fn with_source(error: &DockerError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_a_mount_is_known_by_its_path() {
        let mounted = ["/app", "/app/node_modules", "/application", "/app/a/b/"].map(str::to_owned);
        assert_eq!(mounted_below("/app", &mounted), ["node_modules", "a/b"]);
        assert_eq!(mounted_below("/app/", &mounted[..2]), ["node_modules"]);
        assert!(mounted_below("/data", &mounted).is_empty());
    }
}

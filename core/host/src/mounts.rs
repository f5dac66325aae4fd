//! Mounts: what each holds when it is recorded.

use std::{
    io::{self, Read},
    time::Duration,
};

use bollard::query_parameters as query;
use bytes::{Buf as _, Bytes};
use exchange::Mount;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::{
    docker::Docker,
    error::DockerError,
    secret,
    tree::{Looking, Tree, TreeLimits, tar_tree},
};

/// Pieces of a tar that wait to be read. A choice: bounds memory to a few times what the engine gives at once.
const PIECES_WAITING_MAX: usize = 8;

impl Docker {
    /// Fills in what each mount of a container holds, other mounts in it left out. One that cannot be read, or not within
    /// `patience` for all of them, stays without. Gives why, by path. The salts of `known` mounts are used again.
    pub async fn digest_mounts(
        &self,
        container: &str,
        mounts: &mut [Mount],
        known: &[Mount],
        limits: TreeLimits,
        patience: Duration,
    ) -> Vec<String> {
        let mut unseen = Vec::new();
        let deadline = tokio::time::Instant::now() + patience;
        let paths: Vec<String> = mounts.iter().map(|mount| mount.path.clone()).collect();
        for mount in mounts.iter_mut().filter(|mount| mount.kind != "tmpfs") {
            let salt = match salt_for(&mount.path, known) {
                Ok(salt) => salt,
                Err(error) => {
                    unseen.push(format!("{}: {error}", mount.path));
                    continue;
                }
            };
            let without = mounted_below(&mount.path, &paths);
            let looking = Looking { mounted_at: mount.path.clone(), without, salt: Some(salt), limits };
            let reading = self.tree_of(container, &mount.path, looking);
            match tokio::time::timeout_at(deadline, reading).await {
                Ok(Ok(tree)) => {
                    mount.digest = Some(tree.digest);
                    mount.bytes = Some(tree.bytes);
                    mount.files = Some(tree.files);
                    mount.salt = tree.has_secrets.then(|| secret::hex(&salt));
                    mount.outline = tree.outline();
                }
                Ok(Err(error)) => unseen.push(format!("{}: {}", mount.path, with_source(&error))),
                Err(_) => unseen.push(format!("{}: it takes longer than {} s", mount.path, patience.as_secs())),
            }
        }
        unseen
    }

    /// What a file or folder of a container holds, read through the engine.
    pub(crate) async fn tree_of(&self, container: &str, path: &str, looking: Looking) -> Result<Tree, DockerError> {
        // A path that is a link leads to what it links to only with its end.
        let options = query::DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut pieces = Box::pin(self.engine.download_from_container(container, Some(options)));
        let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
        let received = Received { receive, piece: Bytes::new() };
        let reading = tokio::task::spawn_blocking(move || tar_tree(received, &looking));
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
}

/// The salt that the mount at this path had, else a new one.
fn salt_for(path: &str, known: &[Mount]) -> io::Result<[u8; 16]> {
    let known = known.iter().find(|mount| mount.path == path).and_then(|mount| mount.salt.as_deref());
    if let Some(salt) = known.and_then(secret::mount_salt) {
        return Ok(salt);
    }
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(io::Error::other)?;
    Ok(salt)
}

/// The paths that are mounted inside the mount at `path`, relative to it.
pub fn mounted_below(path: &str, mounted: &[String]) -> Vec<String> {
    let below = |other: &String| {
        let rest = other.strip_prefix(path.trim_end_matches('/'))?.strip_prefix('/')?.trim_matches('/');
        (!rest.is_empty()).then(|| rest.to_owned())
    };
    mounted.iter().filter_map(below).collect()
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

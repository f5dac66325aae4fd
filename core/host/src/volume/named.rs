//! Volumes that were there before a run: what one holds, and a copy of it. Nothing is changed in them.

use bollard::{body_try_stream, models, query_parameters as query};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;

use super::{FILLED_AT, PIECES_WAITING_MAX, RunVolume, volume_mount};
use crate::{
    container::remove,
    docker::{Docker, is_not_found},
    error::DockerError,
    owner::labels,
    tree::{Looking, Tree},
};

/// Where a volume is mounted while it is read.
const READ_AT: &str = "/.retake-volume";

impl Docker {
    /// What a volume of this engine holds; `None` where it has none of that name. `image` as in [`Docker::make_volume`].
    ///
    /// # Errors
    /// What the engine refuses, and content beyond the limits.
    pub async fn volume_tree(
        &self,
        run: &str,
        image: &str,
        name: &str,
        looking: Looking,
    ) -> Result<Option<Tree>, DockerError> {
        // To mount one that is not there would make it.
        match self.engine.inspect_volume(name).await {
            Err(error) if is_not_found(&error) => return Ok(None),
            Err(error) => return Err(DockerError::refused(format!("look at the volume `{name}`"))(error)),
            Ok(_) => {}
        }
        let helper = self.helper_with(run, image, vec![volume_mount(name, READ_AT, true)]).await?;
        let tree = self.tree_of(&helper, READ_AT, looking).await;
        remove(&self.engine, &helper).await?;
        tree.map(Some)
    }

    /// A volume of this run with what another one holds, owners and times included.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn copy_volume(&self, run: &str, image: &str, name: &str) -> Result<RunVolume, DockerError> {
        let copy = self.make_volume(run, image, Vec::new()).await?;
        let copied = self.copy_into(run, image, name, &copy.name).await;
        if copied.is_err() {
            // What went wrong first is what is told.
            drop(self.remove_volume(&copy.name).await);
        }
        copied.map(|()| copy)
    }

    async fn copy_into(&self, run: &str, image: &str, name: &str, copy: &str) -> Result<(), DockerError> {
        // Two of them: an engine that gives from a container takes nothing for it until it has given all.
        let giver = self.helper_with(run, image, vec![volume_mount(name, READ_AT, true)]).await?;
        let taker = self.helper_with(run, image, vec![volume_mount(copy, FILLED_AT, false)]).await;
        let copied = match &taker {
            Ok(taker) => self.pass_on(&giver, taker, name).await,
            Err(_) => Ok(()),
        };
        remove(&self.engine, &giver).await?;
        remove(&self.engine, &taker?).await?;
        copied
    }

    async fn pass_on(&self, giver: &str, taker: &str, name: &str) -> Result<(), DockerError> {
        let from = query::DownloadFromContainerOptionsBuilder::default().path(&format!("{READ_AT}/.")).build();
        let to = query::UploadToContainerOptionsBuilder::default().path(FILLED_AT).build();
        let (send, receive) = mpsc::channel(PIECES_WAITING_MAX);
        let mut pieces = Box::pin(self.engine.download_from_container(giver, Some(from)));
        let read = async move {
            while let Some(piece) = pieces.next().await {
                // Whoever writes is gone only when it has failed itself.
                if send.send(piece.map_err(std::io::Error::other)).await.is_err() {
                    break;
                }
            }
        };
        let passed_on =
            stream::unfold(receive, |mut receive| async move { receive.recv().await.map(|it| (it, receive)) });
        let written = self.engine.upload_to_container(taker, Some(to), body_try_stream(passed_on));
        let ((), written) = tokio::join!(read, written);
        written.map_err(DockerError::refused(format!("copy the volume `{name}`")))
    }

    /// A container that is never started: how the engine gives and takes what is in a volume.
    pub(super) async fn helper_with(
        &self,
        run: &str,
        image: &str,
        mounts: Vec<models::Mount>,
    ) -> Result<String, DockerError> {
        let body = models::ContainerCreateBody {
            image: Some(image.to_owned()),
            entrypoint: Some(vec!["/never-started".to_owned()]),
            labels: Some(labels(run)),
            host_config: Some(models::HostConfig {
                network_mode: Some("none".to_owned()),
                mounts: Some(mounts),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = self.engine.create_container(None, body).await;
        Ok(created.map_err(DockerError::refused("create the container that gets at a volume"))?.id)
    }
}

//! What a container's programs wrote into it, by the engine's own list.
//!
//! In: a running container. Out: the paths that differ from its image's. What the engine made itself so that there is something
//! to mount on is left out. What is mounted, or in memory, is in no such list.

use bollard::models;

use super::RunningContainer;
use crate::{deliver::INSIDE, error::DockerError};

/// Files that the engine mounts into each container.
const ENGINES_OWN: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];

impl RunningContainer {
    /// The files and folders that were written, added or deleted in it since it was made, sorted.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn changed_files(&self) -> Result<Vec<String>, DockerError> {
        let listed = self.docker.engine.container_changes(&self.id).await;
        let listed = listed.map_err(DockerError::refused("list what changed in the container"))?;
        let mut changed: Vec<String> = listed
            .unwrap_or_default()
            .into_iter()
            .filter(|change| !self.is_engines_own(change))
            .map(|change| change.path)
            .collect();
        changed.sort();
        Ok(changed)
    }

    /// The first of its mounts that it may write to, whoever made it; what is written there is in no list.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn writable_mount(&self) -> Result<Option<String>, DockerError> {
        let inspected = self.docker.engine.inspect_container(&self.id, None).await;
        let mounts = inspected.map_err(DockerError::refused("inspect the container"))?.mounts.unwrap_or_default();
        let writable = mounts.into_iter().find(|mount| mount.rw == Some(true));
        Ok(writable.map(|mount| mount.destination.unwrap_or_default()))
    }

    /// True for a place that something is mounted on or that it is started in, and for the folders above one.
    fn is_engines_own(&self, change: &models::FilesystemChange) -> bool {
        let is_at_or_above = |made: &String| {
            let rest = made.strip_prefix(change.path.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        change.kind != models::ChangeType::_2 && self.made.iter().any(is_at_or_above)
    }
}

/// Where the engine makes files and folders, since something is to be mounted there or started in there.
pub(super) fn made_by_engine(body: &models::ContainerCreateBody) -> Vec<String> {
    let host = body.host_config.as_ref();
    let mounts = host.and_then(|host| host.mounts.as_ref()).into_iter().flatten();
    let mounts = mounts.filter_map(|mount| mount.target.clone());
    let in_memory = host.and_then(|host| host.tmpfs.as_ref()).into_iter().flat_map(|tmpfs| tmpfs.keys().cloned());
    let fixed = ENGINES_OWN.into_iter().chain([INSIDE]).map(str::to_owned);
    let places = mounts.chain(in_memory).chain(body.working_dir.clone()).chain(fixed);
    places.map(|place| place.trim_end_matches('/').to_owned()).collect()
}

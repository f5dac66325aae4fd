//! Carries out what was decided of the mounts: folders of this machine where they cannot be changed, copies where they can.
//!
//! A replay touches nothing real: what the service may write to is a copy, and goes with the container.

use std::path::{Path, PathBuf};

use exchange::{Digest, Mount};
use host::{Docker, DockerError, MountSource, MountSpec, TreeLimits};

use crate::{
    environment::{GivenMount, Look, MountPlan, not_recorded, plan_mounts},
    error::ReplayError,
    forward::supplied_mounts,
    job::{Against, Halt, Job, Preparation},
};

/// Reads this machine's files.
struct ThisMachine;

impl Look for ThisMachine {
    fn digest(&self, path: &Path, without: &[String]) -> Result<Digest, String> {
        host::local_tree(path, without, TreeLimits::default())
            .map(|tree| tree.digest)
            .map_err(|error| error.to_string())
    }
}

impl Job<'_> {
    /// Decides what is mounted; contents are read and compared for it.
    pub(crate) async fn mounts(&self, preparation: &mut Preparation) -> Result<MountPlan, Halt> {
        let recorded = self.recorded_container().map(|config| config.mounts.clone()).unwrap_or_default();
        let given = self.settings.mounts.clone();
        let unknown = not_recorded(&recorded, &given);
        if let Some(unknown) = unknown.filter(|_| !matches!(self.settings.against, Against::Image(_))) {
            return Err(ReplayError::UnknownMount { path: unknown.path.clone(), known: known(&recorded) }.into());
        }
        let supplied = self.recorded_container().map(supplied_mounts).unwrap_or_default();
        let recorded = with_others(recorded, &given);
        // Seconds for a large model: not on the runtime's threads.
        let planned =
            tokio::task::spawn_blocking(move || plan_mounts(&recorded, &given, &supplied, &ThisMachine)).await;
        match planned.map_err(|panicked| ReplayError::Prepare(std::io::Error::other(panicked)))? {
            Ok(plan) => {
                preparation.replacements.extend(plan.replacements.iter().cloned());
                Ok(plan)
            }
            Err(void) => Err(Halt::Void(void, Box::new(std::mem::take(preparation)))),
        }
    }
}

/// What another image is given beside the recorded mounts.
fn with_others(mut recorded: Vec<Mount>, given: &[GivenMount]) -> Vec<Mount> {
    while let Some(other) = not_recorded(&recorded, given) {
        recorded.push(Mount { path: other.path.clone(), kind: "bind".to_owned(), read_only: true, ..Mount::default() });
    }
    recorded
}

fn known(recorded: &[Mount]) -> String {
    let paths: Vec<&str> =
        recorded.iter().filter(|mount| mount.kind != "tmpfs").map(|mount| mount.path.as_str()).collect();
    if paths.is_empty() { "no mounts".to_owned() } else { paths.join(", ") }
}

/// Makes what is to be mounted. Volumes made on the way are noted in `volumes`, also where something fails.
pub(crate) async fn make(
    docker: &Docker,
    plan: MountPlan,
    run: &str,
    image: &str,
    copies: &Path,
    volumes: &mut Vec<String>,
) -> Result<Vec<MountSpec>, ReplayError> {
    let mut specs = Vec::new();
    for (number, mount) in plan.mounts.into_iter().enumerate() {
        let source = match mount.from {
            None => MountSource::Fresh,
            Some(from) if mount.read_only => MountSource::Here(absolute(&from)?),
            // A volume is a folder: a single file is copied to one of ours.
            Some(from) if from.is_file() => {
                let copy = copies.join(number.to_string());
                std::fs::copy(&from, &copy).map_err(ReplayError::Prepare)?;
                MountSource::Here(copy)
            }
            Some(from) => {
                let volume = docker.make_volume(run, image, Some(&from)).await?;
                volumes.push(volume.clone());
                MountSource::Volume(volume)
            }
        };
        specs.push(MountSpec { path: mount.path, source, read_only: mount.read_only });
    }
    Ok(specs)
}

/// Removes the volumes of a run. One that is still used is left to whoever cleans up after killed replays.
pub(crate) async fn remove(docker: &Docker, volumes: &[String]) {
    for volume in volumes {
        let removed: Result<(), DockerError> = docker.remove_volume(volume).await;
        drop(removed);
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ReplayError> {
    path.canonicalize().map_err(ReplayError::Prepare)
}

//! How our program and what it is told get into a container.
//!
//! Where the engine sees this machine's files, both are mounted from here. Where it does not (it runs on another machine, or
//! this program in a container), they are copied through its API into a volume, and that is mounted: read-only both ways, so
//! that the container's own root may be read-only too.

use std::path::Path;

use bollard::models;

use crate::{
    container::ContainerSpec,
    docker::Docker,
    error::DockerError,
    volume::{Content, volume_mount},
};

/// Where our own things stand in the container.
pub(crate) const INSIDE: &str = "/.retake";

/// Name of the file in the run folder that tells the init what to do.
pub const INIT_SETTINGS: &str = "init.json";

/// How our program and its settings get into a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// Mounted from here: the engine sees this machine's files.
    #[default]
    Mounted,
    /// Copied through the engine into a volume of the run's own.
    Copied,
}

/// What a container has mounted at [`INSIDE`].
pub(crate) struct Delivered {
    pub(crate) mounts: Vec<models::Mount>,
    /// The volume to remove when the container is.
    pub(crate) volume: Option<String>,
}

/// Makes our things ready to be mounted.
pub(crate) async fn deliver(docker: &Docker, spec: &ContainerSpec) -> Result<Delivered, DockerError> {
    match spec.delivery {
        Delivery::Mounted => {
            let mounts = vec![bind(&spec.executable, "retake"), bind(&spec.run_folder, "run")];
            Ok(Delivered { mounts, volume: None })
        }
        Delivery::Copied => {
            let content = |from: &Path, at: &str| Content { from: from.to_owned(), at: at.to_owned() };
            let contents = vec![content(&spec.executable, "retake"), content(&spec.run_folder, "run")];
            let volume = docker.make_volume(&spec.run, &spec.image, contents).await?.name;
            Ok(Delivered { mounts: vec![volume_mount(&volume, INSIDE, true)], volume: Some(volume) })
        }
    }
}

fn bind(path: &Path, inside: &str) -> models::Mount {
    models::Mount {
        target: Some(format!("{INSIDE}/{inside}")),
        source: Some(path.display().to_string()),
        typ: Some(models::MountType::BIND),
        read_only: Some(true),
        ..Default::default()
    }
}

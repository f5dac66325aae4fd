//! A real server beside a replayed service: an image as it is, in the network of the service's container, which leads nowhere.
//!
//! In: an image of this engine, its variables, and files to put into it. Out: a container with the same labels and the same
//! end as the service's. Whether it is ready, and what it is called, is the replayer's to know.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use bollard::{models, query_parameters as query};
use exchange::{ContainerConfig, HealthCheck, ImageIdentity};

use crate::{
    capabilities,
    container::RunningContainer,
    docker::Docker,
    error::DockerError,
    inspect,
    owner::labels,
    volume::{Content, packed_for_all},
};

/// Most processes and threads of a server. A choice: a database has one for each connection.
const PIDS_MAX: i64 = 8192;

/// What an image says of itself that matters for running it as a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerImage {
    /// What the engine calls it.
    pub engine_id: String,
    /// Which it is.
    pub identity: ImageIdentity,
    /// The TCP ports that it exposes, sorted.
    pub ports: Vec<u16>,
    /// How its engine would find out whether it is well.
    pub health: Option<HealthCheck>,
}

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct BesideSpec {
    /// What the engine calls the image.
    pub image: String,
    /// Name and value, over the image's own.
    pub variables: Vec<(String, String)>,
    /// The container whose network it is in.
    pub network_of: String,
    /// A file or folder of this machine, and where a copy of it stands in the container.
    pub files: Option<(PathBuf, String)>,
    /// The run's id, for the label.
    pub run: String,
}

impl Docker {
    /// What an image says of itself.
    ///
    /// # Errors
    /// `NoImage` when it is not on this machine; nothing is pulled.
    pub async fn server_image(&self, reference: &str) -> Result<ServerImage, DockerError> {
        let image = self.inspect_image(reference).await?;
        let config = image.config.clone().unwrap_or_default();
        let exposed = config.exposed_ports.unwrap_or_default();
        let mut ports: Vec<u16> = exposed.iter().filter_map(|port| tcp_port(port)).collect();
        ports.sort_unstable();
        Ok(ServerImage {
            engine_id: image.id.clone().unwrap_or_else(|| reference.to_owned()),
            health: config.healthcheck.and_then(inspect::health_check),
            identity: inspect::image_identity(image, &[], &[]).map_err(DockerError::Archive)?,
            ports,
        })
    }

    /// Starts a server in the network of another container. It has what it takes to give files away and to become another
    /// user, as database images do at their start, and no new privileges.
    ///
    /// # Errors
    /// What the engine refuses, and what cannot be read here; nothing is left then.
    pub async fn start_beside(
        &self,
        spec: &BesideSpec,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        self.start_filled(body_of(spec), spec.files.as_ref(), clock).await
    }

    /// Copies files into a container that has not started yet: with its volumes, wherever the engine is.
    pub(crate) async fn put_into(&self, container: &str, from: &Path, to: &str) -> Result<(), DockerError> {
        let action = DockerError::refused(format!("take `{}` into a container", from.display()));
        let at = to.trim_matches('/').to_owned();
        let pieces = packed_for_all(vec![Content { from: from.to_owned(), at }]);
        let options = query::UploadToContainerOptionsBuilder::default().path("/").build();
        let uploaded =
            self.engine.upload_to_container(container, Some(options), bollard::body_try_stream(pieces)).await;
        uploaded.map_err(action)
    }
}

fn body_of(spec: &BesideSpec) -> models::ContainerCreateBody {
    models::ContainerCreateBody {
        image: Some(spec.image.clone()),
        env: Some(spec.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels(&spec.run)),
        // It is asked by us, before the service starts, and by nobody afterwards.
        healthcheck: Some(models::HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        host_config: Some(models::HostConfig {
            network_mode: Some(format!("container:{}", spec.network_of)),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(capabilities::kept(&ContainerConfig::default())),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            pids_limit: Some(PIDS_MAX),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `5432/tcp` is 5432; `53/udp` is none.
fn tcp_port(exposed: &str) -> Option<u16> {
    let (port, protocol) = exposed.split_once('/').unwrap_or((exposed, "tcp"));
    port.parse().ok().filter(|_| protocol == "tcp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_is_a_port_to_listen_on() {
        assert_eq!(
            ["5432/tcp", "80", "53/udp", "x/tcp", "0-9/tcp"].map(tcp_port),
            [Some(5432), Some(80), None, None, None]
        );
    }
}

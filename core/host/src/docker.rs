//! The container engine: which images and containers there are, and images in and out.

use std::{collections::BTreeMap, time::Duration};

use bollard::{errors::Error, models, query_parameters as query};
use bytes::Bytes;
use exchange::{ContainerIdentity, HealthCheck, ImageIdentity};
use futures_util::{Stream, StreamExt, TryStreamExt};

use crate::{
    error::DockerError,
    image::{FoundImage, same_image},
    inspect,
    survey::engine_address,
};

/// How long an engine may take to say that it is there. A choice: one that is busy does so within a second or two, and whoever
/// asks does so since something broke off already.
const PING_PATIENCE: Duration = Duration::from_secs(10);

/// A connection to the container engine.
#[derive(Clone)]
pub struct Docker {
    pub(crate) engine: bollard::Docker,
    version: String,
    is_local: bool,
}

impl Docker {
    /// Connects to the engine that `DOCKER_HOST` names, else to the local socket, and agrees on a version of the API.
    ///
    /// # Errors
    /// `NoEngine` when nobody answers.
    pub async fn connect() -> Result<Self, DockerError> {
        Self::connect_to(&engine_address()).await
    }

    /// Connects to the engine at `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`.
    ///
    /// # Errors
    /// As [`Docker::connect`].
    pub async fn connect_to(address: &str) -> Result<Self, DockerError> {
        if wants_tls(address) {
            return Err(DockerError::BehindTls { address: address.to_owned() });
        }
        let silent = |source| DockerError::NoEngine { address: address.to_owned(), source: Box::new(source) };
        let engine = bollard::Docker::connect_with_host(address).map_err(silent)?;
        let engine = engine.negotiate_version().await.map_err(silent)?;
        let version = engine.version().await.map_err(silent)?.version.unwrap_or_default();
        Ok(Self { engine, version, is_local: address.starts_with("unix://") })
    }

    /// True where the engine still answers, within some seconds.
    pub async fn answers(&self) -> bool {
        matches!(tokio::time::timeout(PING_PATIENCE, self.engine.ping()).await, Ok(Ok(_)))
    }

    /// True where the engine was reached over a socket of this machine; it may see other files all the same.
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// The engine's version, for the fingerprint.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What the engine calls an image, and which it is.
    ///
    /// # Errors
    /// `NoImage` when it is not on this machine; nothing is pulled.
    pub async fn image_identity(&self, reference: &str) -> Result<(String, ImageIdentity), DockerError> {
        let image = self.inspect_image(reference).await?;
        let engine_id = image.id.clone().unwrap_or_else(|| reference.to_owned());
        Ok((engine_id, inspect::image_identity(image, &[], &[]).map_err(DockerError::Archive)?))
    }

    /// The health check that an image brings, where it brings one.
    ///
    /// # Errors
    /// As [`Docker::image_identity`].
    pub async fn image_health(&self, reference: &str) -> Result<Option<HealthCheck>, DockerError> {
        let image = self.inspect_image(reference).await?;
        Ok(image.config.and_then(|config| config.healthcheck).and_then(inspect::health_check))
    }

    /// The image on this machine that is the wanted one, by the strongest proof there is.
    ///
    /// # Errors
    /// When the engine refuses to tell.
    pub async fn find_image(&self, wanted: &ImageIdentity) -> Result<Option<FoundImage>, DockerError> {
        let names = wanted.config_digest.iter().chain(&wanted.repository_digests).filter(|name| is_digest(name));
        for name in names {
            if let Some(found) = self.found_as(name, wanted).await? {
                return Ok(Some(found));
            }
        }
        let options = query::ListImagesOptionsBuilder::default().all(false).build();
        let images = self.engine.list_images(Some(options)).await.map_err(DockerError::refused("list its images"))?;
        for image in images {
            if let Some(found) = self.found_as(&image.id, wanted).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The image of this name where it is the wanted one. One that went away meanwhile is not.
    async fn found_as(&self, name: &str, wanted: &ImageIdentity) -> Result<Option<FoundImage>, DockerError> {
        let image = match self.inspect_image(name).await {
            Ok(image) if inspect::may_be(wanted, &image) => image,
            Ok(_) | Err(DockerError::NoImage { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let engine_id = image.id.clone().unwrap_or_else(|| name.to_owned());
        let known = &wanted.runtime.variables;
        let identity = inspect::image_identity(image, known, &[]).map_err(DockerError::Archive)?;
        Ok(same_image(wanted, &identity).map(|same| FoundImage { engine_id, identity, same }))
    }

    /// Loads an archive as `docker save` writes it.
    ///
    /// # Errors
    /// When the archive cannot be read, or the engine refuses it.
    pub async fn load_image<S>(&self, archive: S) -> Result<(), DockerError>
    where
        S: Stream<Item = std::io::Result<Bytes>> + Send + 'static,
    {
        let options = query::ImportImageOptionsBuilder::default().quiet(true).build();
        let mut said = Box::pin(self.engine.import_image_stream(options, archive, None));
        while let Some(news) = said.next().await {
            news.map_err(DockerError::refused("load the image"))?;
        }
        Ok(())
    }

    /// An image as an archive, in pieces.
    pub fn save_image(&self, reference: &str) -> impl Stream<Item = Result<Bytes, DockerError>> + Send + use<> {
        let action = format!("save image `{reference}`");
        let archive = self.engine.export_image(reference);
        archive.map_err(move |source| DockerError::Refused { action: action.clone(), source: Box::new(source) })
    }

    /// What a container was made from and how it was started. Secrets are hashed, those that `secret_names` adds too, and
    /// those that it had when it was `known` are kept as they were: if it did not change, nothing of this does.
    ///
    /// # Errors
    /// `NoContainer` when there is none of that name.
    pub async fn container_identity(
        &self,
        name: &str,
        known: Option<&ContainerIdentity>,
        secret_names: &[String],
    ) -> Result<ContainerIdentity, DockerError> {
        let container = self.inspect_container(name).await?;
        let image = self.inspect_image(container.image.as_deref().unwrap_or_default()).await?;
        inspect::container_identity(container, image, known, secret_names).map_err(DockerError::Archive)
    }

    /// An image like `base` with these variables set over its own, under the name `tag`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn derive_image(
        &self,
        base: &str,
        variables: &BTreeMap<String, String>,
        tag: &str,
    ) -> Result<String, DockerError> {
        let body = models::ContainerCreateBody { image: Some(base.to_owned()), ..Default::default() };
        let created =
            self.engine.create_container(None, body).await.map_err(DockerError::refused("create a container"))?;
        let (name, version) = name_and_tag(tag);
        let options =
            query::CommitContainerOptionsBuilder::default().container(&created.id).repo(name).tag(version).build();
        // As values, not as `ENV` lines of a Dockerfile, in which `$`, quotes and line ends mean something.
        let env = variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = models::ContainerConfig { env: Some(env), ..Default::default() };
        let committed = self.engine.commit_container(options, config).await;
        let force = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.engine
            .remove_container(&created.id, Some(force))
            .await
            .map_err(DockerError::refused("remove a container"))?;
        committed.map(|image| image.id).map_err(DockerError::refused("commit an image"))
    }

    /// An image of one layer, from a tar of its files, under the name `tag`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn import_layer(&self, layer: Bytes, tag: &str) -> Result<(), DockerError> {
        let (name, version) = name_and_tag(tag);
        let options = query::CreateImageOptionsBuilder::default().from_src("-").repo(name).tag(version).build();
        let mut said = Box::pin(self.engine.create_image(Some(options), Some(bollard::body_full(layer)), None));
        while let Some(news) = said.next().await {
            news.map_err(DockerError::refused("import an image"))?;
        }
        Ok(())
    }

    /// Takes an image, or one of its names, away again.
    ///
    /// # Errors
    /// When the engine refuses, for example because a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        let options = query::RemoveImageOptionsBuilder::default().force(false).build();
        let removed = self.engine.remove_image(reference, Some(options), None).await;
        removed.map(drop).map_err(DockerError::refused(format!("remove image `{reference}`")))
    }

    pub(crate) async fn inspect_container(&self, name: &str) -> Result<models::ContainerInspectResponse, DockerError> {
        match self.engine.inspect_container(name, None).await {
            Err(error) if is_not_found(&error) => Err(DockerError::NoContainer { name: name.to_owned() }),
            inspected => inspected.map_err(DockerError::refused("describe the container")),
        }
    }

    pub(crate) async fn inspect_image(&self, reference: &str) -> Result<models::ImageInspect, DockerError> {
        match self.engine.inspect_image(reference).await {
            Err(error) if is_not_found(&error) => Err(DockerError::NoImage { reference: reference.to_owned() }),
            inspected => inspected.map_err(DockerError::refused("describe the image")),
        }
    }
}

/// True where the engine's address is meant as one behind TLS, as the `docker` command understands it.
fn wants_tls(address: &str) -> bool {
    let is_asked_for = std::env::var("DOCKER_TLS_VERIFY").is_ok_and(|value| !value.is_empty());
    address.starts_with("https://") || (is_asked_for && address.starts_with("tcp://"))
}

/// True for `sha256:…` and `name@sha256:…`: what else a stranger's file may give as a digest is no name to ask for.
fn is_digest(name: &str) -> bool {
    let digest = name.rsplit_once('@').map_or(name, |(_, digest)| digest);
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"@:._-/".contains(&byte);
    digest.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
        && name.bytes().all(is_name)
        && !name.split('/').any(|step| matches!(step, "" | "." | ".."))
}

/// `registry:5000/app:v1` is `registry:5000/app` and `v1`; without a tag it is `latest`.
fn name_and_tag(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// True where the engine is doing already what it was asked for.
pub(crate) fn is_under_way(error: &Error) -> bool {
    let Error::DockerResponseServerError { status_code: 409, message } = error else { return false };
    message.contains("is already in progress")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_accepts_and_says_nothing_is_not_waited_for_long() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("tcp://{}", silent.local_addr().unwrap());
        let engine = bollard::Docker::connect_with_host(&address).unwrap();
        let docker = Docker { engine, version: String::new(), is_local: false };
        let began = tokio::time::Instant::now();
        let accepted = async {
            let (socket, _) = silent.accept().await.unwrap();
            std::future::pending::<()>().await;
            drop(socket);
        };
        tokio::select! {
            answers = docker.answers() => assert!(!answers),
            () = accepted => unreachable!("it waits for ever"),
        }
        assert_eq!(began.elapsed().as_secs(), PING_PATIENCE.as_secs());
    }

    #[test]
    fn what_is_being_removed_already_is_no_refusal() {
        let answered =
            |status_code, message: &str| Error::DockerResponseServerError { status_code, message: message.to_owned() };
        assert!(is_under_way(&answered(409, "removal of container 88f302578 is already in progress")));
        assert!(!is_under_way(&answered(409, "You cannot remove a running container")));
        assert!(!is_under_way(&answered(500, "it is already in progress")));
    }

    #[test]
    fn a_registrys_port_is_no_tag() {
        assert_eq!(name_and_tag("app"), ("app", "latest"));
        assert_eq!(name_and_tag("app:v1"), ("app", "v1"));
        assert_eq!(name_and_tag("localhost:5000/app"), ("localhost:5000/app", "latest"));
        assert_eq!(name_and_tag("localhost:5000/app:v1"), ("localhost:5000/app", "v1"));
    }

    #[test]
    fn only_what_is_a_digest_is_asked_for() {
        let hex = "0123456789abcdef".repeat(4);
        for name in [format!("sha256:{hex}"), format!("localhost:5000/a/b@sha256:{hex}")] {
            assert!(is_digest(&name), "{name}");
        }
        for name in ["", "app", "sha256:12", &format!("../x@sha256:{hex}"), &format!("a?b@sha256:{hex}")] {
            assert!(!is_digest(name), "{name}");
        }
    }
}

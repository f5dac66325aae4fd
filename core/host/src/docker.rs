//! The container engine: which images and containers there are, and images in and out.

use std::collections::BTreeMap;

use bollard::{errors::Error, models, query_parameters as query};
use bytes::Bytes;
use exchange::{ContainerIdentity, ImageIdentity};
use futures_util::{Stream, StreamExt, TryStreamExt};

use crate::{
    error::DockerError,
    image::{FoundImage, same_image},
    inspect,
};

/// A connection to the container engine.
#[derive(Clone)]
pub struct Docker {
    pub(crate) engine: bollard::Docker,
    version: String,
}

impl Docker {
    /// Connects to the engine that `DOCKER_HOST` names, else to the local socket, and agrees on a version of the API.
    ///
    /// # Errors
    /// `NoEngine` when nobody answers.
    pub async fn connect() -> Result<Self, DockerError> {
        let address = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
        let silent = |source| DockerError::NoEngine { address: address.clone(), source: Box::new(source) };
        let engine = bollard::Docker::connect_with_host(&address).map_err(silent)?;
        let engine = engine.negotiate_version().await.map_err(silent)?;
        let version = engine.version().await.map_err(silent)?.version.unwrap_or_default();
        Ok(Self { engine, version })
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
        Ok((engine_id, inspect::image_identity(image, &[]).map_err(DockerError::Archive)?))
    }

    /// The image on this machine that is the wanted one, by the strongest proof there is.
    ///
    /// # Errors
    /// When the engine refuses to tell.
    pub async fn find_image(&self, wanted: &ImageIdentity) -> Result<Option<FoundImage>, DockerError> {
        let by_name = wanted.config_digest.iter().chain(&wanted.repository_digests);
        for reference in by_name {
            match self.image_identity(reference).await {
                Ok((engine_id, identity)) => {
                    if let Some(same) = same_image(wanted, &identity) {
                        return Ok(Some(FoundImage { engine_id, identity, same }));
                    }
                }
                Err(DockerError::NoImage { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let options = query::ListImagesOptionsBuilder::default().all(false).build();
        let images = self.engine.list_images(Some(options)).await.map_err(DockerError::refused("list its images"))?;
        for image in images {
            // One that goes away meanwhile is not the one we want.
            let Ok((engine_id, identity)) = self.image_identity(&image.id).await else { continue };
            if let Some(same) = same_image(wanted, &identity) {
                return Ok(Some(FoundImage { engine_id, identity, same }));
            }
        }
        Ok(None)
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

    /// What a container was made from and how it was started. Secrets are hashed, those that `secret_names` adds too.
    ///
    /// # Errors
    /// `NoContainer` when there is none of that name.
    pub async fn container_identity(
        &self,
        name: &str,
        secret_names: &[String],
    ) -> Result<ContainerIdentity, DockerError> {
        let container = match self.engine.inspect_container(name, None).await {
            Err(error) if is_not_found(&error) => return Err(DockerError::NoContainer { name: name.to_owned() }),
            inspected => inspected.map_err(DockerError::refused("describe the container"))?,
        };
        let image = self.inspect_image(container.image.as_deref().unwrap_or_default()).await?;
        inspect::container_identity(container, image, secret_names).map_err(DockerError::Archive)
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
        let (name, version) = tag.rsplit_once(':').unwrap_or((tag, "latest"));
        let lines: Vec<_> = variables.iter().map(|(name, value)| format!("ENV {name}={value:?}")).collect();
        let options = query::CommitContainerOptionsBuilder::default()
            .container(&created.id)
            .repo(name)
            .tag(version)
            .changes(&lines.join("\n"))
            .build();
        let committed = self.engine.commit_container(options, models::ContainerConfig::default()).await;
        let force = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        self.engine
            .remove_container(&created.id, Some(force))
            .await
            .map_err(DockerError::refused("remove a container"))?;
        committed.map(|image| image.id).map_err(DockerError::refused("commit an image"))
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

    async fn inspect_image(&self, reference: &str) -> Result<models::ImageInspect, DockerError> {
        match self.engine.inspect_image(reference).await {
            Err(error) if is_not_found(&error) => Err(DockerError::NoImage { reference: reference.to_owned() }),
            inspected => inspected.map_err(DockerError::refused("describe the image")),
        }
    }
}

pub(crate) fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

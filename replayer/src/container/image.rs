//! Which image a replay runs: the recorded one, found here or loaded out of the bundle, or another that was asked for.

use std::sync::Arc;

use bundle::Archive;
use exchange::{ImageIdentity, ImageRecord};
use host::{Docker, FoundImage, SameImage};

use crate::{
    error::ReplayError,
    job::{Halt, Job, Preparation},
    receipt::{Pinned, Relation, Void},
};

/// The image that was asked for with `--image`, whatever it is: the one that had this name when the run began.
pub(super) async fn asked_for(
    job: &Job<'_>,
    docker: &Docker,
    (reference, recorded): (&str, &ImageIdentity),
    preparation: &mut Preparation,
) -> Result<FoundImage, Halt> {
    let (engine_id, identity) = job.image_named(docker, reference).await?;
    let same = host::same_image(recorded, &identity);
    preparation.pinned = Pinned {
        wanted: name_of(recorded),
        used: name_of(&identity),
        relation: same.map_or(Relation::OtherImage, relation_of),
    };
    preparation.target = name_of(&identity);
    Ok(FoundImage { engine_id, identity, same: same.unwrap_or(SameImage::ConfigDigest) })
}

/// The recorded image: on this machine, else out of the bundle.
pub(super) async fn pinned_image(
    docker: &Docker,
    archive: &Arc<Archive>,
    wanted: &ImageIdentity,
    preparation: &mut Preparation,
) -> Result<FoundImage, Halt> {
    preparation.pinned = Pinned { wanted: name_of(wanted), used: String::new(), relation: Relation::NothingRan };
    preparation.target = name_of(wanted);
    let mut found = docker.find_image(wanted).await.map_err(ReplayError::from)?;
    if found.is_none() {
        let images = archive.images().map_err(ReplayError::from)?;
        if let Some(record) = images.iter().find(|record| host::same_image(&record.identity, wanted).is_some()) {
            load(docker, archive, record).await?;
            found = docker.find_image(wanted).await.map_err(ReplayError::from)?;
        }
    }
    let Some(found) = found else { return Err(absent(wanted, preparation)) };
    preparation.pinned.used = name_of(&found.identity);
    preparation.pinned.relation = relation_of(found.same);
    Ok(found)
}

fn absent(wanted: &ImageIdentity, preparation: &mut Preparation) -> Halt {
    let names = if wanted.tags.is_empty() { String::new() } else { format!(" ({})", wanted.tags.join(", ")) };
    let pull = wanted.repository_digests.first().map(|name| format!("`docker pull {name}`, or ")).unwrap_or_default();
    let void = Void {
        reason: format!(
            "the recorded image {}{names} is neither on this machine nor in the recording",
            name_of(wanted)
        ),
        help: format!(
            "{pull}export the bundle with `--with-image` where the image is, or ask for another with `--image REF`"
        ),
        ..Void::default()
    };
    Halt::Void(void, Box::new(std::mem::take(preparation)))
}

/// Loads the image that the bundle carries. Its bytes are verified piece by piece as they are read.
async fn load(docker: &Docker, archive: &Arc<Archive>, record: &ImageRecord) -> Result<(), ReplayError> {
    let parts = record.archive.parts.clone();
    let archive = Arc::clone(archive);
    let pieces = parts.into_iter().map(move |part| {
        let piece = exchange::Body { len: part.len, parts: vec![part], ..exchange::Body::default() };
        archive.body(&piece, bundle::PART_BYTES_MAX as u64).map(bytes::Bytes::from).map_err(std::io::Error::other)
    });
    Ok(docker.load_image(futures_util::stream::iter(pieces)).await?)
}

fn relation_of(same: SameImage) -> Relation {
    match same {
        SameImage::ConfigDigest => Relation::SameConfigDigest,
        SameImage::RepositoryDigest => Relation::SameRepositoryDigest,
        SameImage::LayersAndRuntime => Relation::SameLayers,
    }
}

/// The digest that says most about an image.
pub(crate) fn name_of(image: &ImageIdentity) -> String {
    let digest = image.config_digest.as_ref().or(image.repository_digests.first()).cloned();
    digest.or_else(|| image.layers.last().map(|layer| format!("top layer {layer}"))).unwrap_or_default()
}

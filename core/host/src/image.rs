//! When two images are the same image.

use std::io::{self, Read};

use exchange::ImageIdentity;

/// What proves that two images are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameImage {
    /// Equal configuration digest, which covers layers and configuration.
    ConfigDigest,
    /// A repository digest in common.
    RepositoryDigest,
    /// Equal layers and an equal run-time part of the configuration, under another digest (rebuilt, or another engine).
    LayersAndRuntime,
}

/// An image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundImage {
    /// What the engine calls it.
    pub engine_id: String,
    /// Which image it is.
    pub identity: ImageIdentity,
    /// How it is known to be the wanted one.
    pub same: SameImage,
}

/// What proves that `one` and `other` are the same image, the strongest first; `None` when they are two.
///
/// A repository digest may name an image for each platform, and proves nothing between two of them. Of a secret variable
/// only a salted hash is kept: two with salts of their own are not known to be equal (see `Docker::find_image`).
pub fn same_image(one: &ImageIdentity, other: &ImageIdentity) -> Option<SameImage> {
    if one.config_digest.is_some() && one.config_digest == other.config_digest {
        return Some(SameImage::ConfigDigest);
    }
    let digest_of = |name: &str| name.rsplit_once('@').map(|(_, digest)| digest.to_owned());
    let digests: Vec<_> = one.repository_digests.iter().filter_map(|name| digest_of(name)).collect();
    let other_platform = !one.platform.is_empty() && !other.platform.is_empty() && one.platform != other.platform;
    if other_platform {
        return None;
    }
    if other.repository_digests.iter().filter_map(|name| digest_of(name)).any(|digest| digests.contains(&digest)) {
        return Some(SameImage::RepositoryDigest);
    }
    let same_layers = !one.layers.is_empty() && one.layers == other.layers && one.platform == other.platform;
    (same_layers && one.runtime == other.runtime).then_some(SameImage::LayersAndRuntime)
}

/// Finds a file in an archive as `docker save` writes it: layers are tars within the tar, and the last one that has the
/// file counts. White-outs are not looked at.
///
/// # Errors
/// When the archive is no tar, or the file is longer than `len_max`.
pub fn file_of_archive(archive: impl Read, path: &str, len_max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut found = None;
    for entry in tar::Archive::new(archive).entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        // What is no tar itself (the manifest, the configuration) has no entries, or none that is read.
        let mut layer = tar::Archive::new(entry);
        for file in layer.entries()? {
            let Ok(file) = file else { break };
            if file.path_bytes().trim_ascii() == path.trim_start_matches('/').as_bytes() {
                let mut bytes = Vec::new();
                file.take(len_max + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > len_max {
                    return Err(io::Error::other(format!("`{path}` is longer than {len_max} bytes")));
                }
                found = Some(bytes);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use exchange::RuntimeConfig;
    use proptest::prelude::*;

    use super::*;

    fn image(config: Option<&str>, repository: &[&str], layers: &[&str], command: &str) -> ImageIdentity {
        ImageIdentity {
            config_digest: config.map(str::to_owned),
            repository_digests: repository.iter().map(ToString::to_string).collect(),
            layers: layers.iter().map(ToString::to_string).collect(),
            runtime: RuntimeConfig { command: vec![command.to_owned()], ..RuntimeConfig::default() },
            ..ImageIdentity::default()
        }
    }

    #[test]
    fn a_digest_in_common_makes_them_the_same_and_a_name_in_common_does_not() {
        let one = image(Some("sha256:1"), &["app@sha256:a"], &["sha256:l"], "run");
        assert_eq!(same_image(&one, &image(Some("sha256:1"), &[], &[], "")), Some(SameImage::ConfigDigest));
        assert_eq!(
            same_image(&one, &image(None, &["mirror/app@sha256:a"], &[], "")),
            Some(SameImage::RepositoryDigest)
        );
        assert_eq!(same_image(&one, &image(Some("sha256:2"), &["app@sha256:b"], &["sha256:m"], "run")), None);
    }

    #[test]
    fn a_repository_digest_that_names_an_image_for_each_platform_does_not_make_them_one() {
        let on = |platform: &str, layer| ImageIdentity {
            platform: platform.to_owned(),
            ..image(None, &["app@sha256:index"], &[layer], "run")
        };
        assert_eq!(same_image(&on("linux/amd64", "sha256:l"), &on("linux/arm64", "sha256:m")), None);
        let same = Some(SameImage::RepositoryDigest);
        assert_eq!(same_image(&on("linux/amd64", "sha256:l"), &on("", "sha256:m")), same);
    }

    proptest! {
        #[test]
        fn it_makes_no_difference_which_is_named_first(
            configs in prop::array::uniform2(prop::option::of("[12]")),
            digests in prop::array::uniform2(prop::collection::vec("(a@[12]|b@[12]|c)", 0..3)),
            layers in prop::array::uniform2(prop::collection::vec("[12]", 0..2)),
            platforms in prop::array::uniform2("(|x|y)"),
            commands in prop::array::uniform2("[12]"),
        ) {
            let [one, other] = [0, 1].map(|at| ImageIdentity {
                config_digest: configs[at].clone(),
                repository_digests: digests[at].clone(),
                layers: layers[at].clone(),
                runtime: RuntimeConfig { command: vec![commands[at].clone()], ..RuntimeConfig::default() },
                platform: platforms[at].clone(),
                ..ImageIdentity::default()
            });
            prop_assert_eq!(same_image(&one, &other), same_image(&other, &one));
        }
    }

    #[test]
    fn a_file_is_found_in_the_last_layer_that_has_it() {
        let tar_of = |files: &[(&str, &[u8])]| {
            let mut builder = tar::Builder::new(Vec::new());
            for (path, bytes) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o755);
                header.set_cksum();
                builder.append_data(&mut header, path, *bytes).unwrap();
            }
            builder.into_inner().unwrap()
        };
        let (first, second) = (tar_of(&[("app", b"old"), ("other", b"x")]), tar_of(&[("app", b"new")]));
        let archive = tar_of(&[("a/layer.tar", &first), ("manifest.json", b"[{}]"), ("b/layer.tar", &second)]);
        assert_eq!(file_of_archive(&archive[..], "/app", 10).unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(file_of_archive(&archive[..], "/none", 10).unwrap(), None);
        assert!(file_of_archive(&archive[..], "/app", 2).is_err());
    }

    #[test]
    fn equal_layers_count_only_with_an_equal_run_time_configuration() {
        let one = image(Some("sha256:1"), &[], &["sha256:l"], "run");
        assert_eq!(
            same_image(&one, &image(Some("sha256:2"), &[], &["sha256:l"], "run")),
            Some(SameImage::LayersAndRuntime)
        );
        assert_eq!(same_image(&one, &image(Some("sha256:2"), &[], &["sha256:l"], "walk")), None);
        assert_eq!(same_image(&image(None, &[], &[], ""), &image(None, &[], &[], "")), None);
    }
}

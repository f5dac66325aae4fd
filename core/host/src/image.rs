//! When two images are the same image.

use exchange::{ImageIdentity, RuntimeConfig, Variable, VariableValue};

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
pub fn same_image(one: &ImageIdentity, other: &ImageIdentity) -> Option<SameImage> {
    if one.config_digest.is_some() && one.config_digest == other.config_digest {
        return Some(SameImage::ConfigDigest);
    }
    let digest_of = |name: &str| name.rsplit_once('@').map(|(_, digest)| digest.to_owned());
    let digests: Vec<_> = one.repository_digests.iter().filter_map(|name| digest_of(name)).collect();
    if other.repository_digests.iter().filter_map(|name| digest_of(name)).any(|digest| digests.contains(&digest)) {
        return Some(SameImage::RepositoryDigest);
    }
    let same_layers = !one.layers.is_empty() && one.layers == other.layers && one.platform == other.platform;
    (same_layers && same_runtime(&one.runtime, &other.runtime)).then_some(SameImage::LayersAndRuntime)
}

/// Secret variables are compared by name: their hashes have salts of their own.
fn same_runtime(one: &RuntimeConfig, other: &RuntimeConfig) -> bool {
    let plain = |runtime: &RuntimeConfig| RuntimeConfig { variables: Vec::new(), ..runtime.clone() };
    let same_variable = |(one, other): (&Variable, &Variable)| {
        one.name == other.name
            && match (&one.value, &other.value) {
                (VariableValue::Plain(one), VariableValue::Plain(other)) => one == other,
                (VariableValue::Secret { .. }, VariableValue::Secret { .. }) => true,
                _ => false,
            }
    };
    plain(one) == plain(other)
        && one.variables.len() == other.variables.len()
        && one.variables.iter().zip(&other.variables).all(same_variable)
}

#[cfg(test)]
mod tests {
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

//! The engine's answers in the vocabulary's words. Secrets are hashed here, before anything leaves this crate.

use bollard::models::{ContainerInspectResponse, HostConfig, ImageConfig, ImageInspect, MountPoint, ResourcesUlimits};
use exchange::{ContainerConfig, ContainerIdentity, ImageIdentity, Limits, Mount, RuntimeConfig, Variable};

use crate::secret;

/// Names of variables that are secrets beside those that look like it: `--env-secret NAME`.
pub(crate) type SecretNames<'a> = &'a [String];

pub(crate) fn image_identity(image: ImageInspect, secrets: SecretNames<'_>) -> std::io::Result<ImageIdentity> {
    let mut repository_digests = image.repo_digests.unwrap_or_default();
    repository_digests.sort_unstable();
    let mut tags = image.repo_tags.unwrap_or_default();
    tags.sort_unstable();
    let platform = format!("{}/{}", image.os.unwrap_or_default(), image.architecture.unwrap_or_default());
    // With a classic image store the id is the configuration's digest. An engine that keeps images by manifest says so by a
    // descriptor, and then its id is the manifest's.
    let config_digest = if image.descriptor.is_some() { None } else { image.id };
    Ok(ImageIdentity {
        config_digest,
        repository_digests,
        tags,
        layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        runtime: runtime_config(image.config.unwrap_or_default(), secrets)?,
        platform,
    })
}

fn runtime_config(config: ImageConfig, secrets: SecretNames<'_>) -> std::io::Result<RuntimeConfig> {
    Ok(RuntimeConfig {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        variables: variables(config.env.unwrap_or_default(), &[], &[], secrets)?,
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
    })
}

/// Sorted by name. One that `known_raw` has word for word is kept as it is in `known`, so that an image's secret and the same secret in
/// its container are equal.
fn variables(
    raw: Vec<String>,
    known_raw: &[String],
    known: &[Variable],
    secrets: SecretNames<'_>,
) -> std::io::Result<Vec<Variable>> {
    let keep = |line: String| {
        let (name, value) = line.split_once('=').unwrap_or((&line, ""));
        match known.iter().find(|variable| variable.name == name).filter(|_| known_raw.contains(&line)) {
            Some(variable) => Ok(variable.clone()),
            None => secret::variable(name, value, secrets),
        }
    };
    let mut variables = raw.into_iter().map(keep).collect::<std::io::Result<Vec<_>>>()?;
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(variables)
}

pub(crate) fn container_identity(
    container: ContainerInspectResponse,
    image: ImageInspect,
    secrets: SecretNames<'_>,
) -> std::io::Result<ContainerIdentity> {
    let image_variables = image.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default();
    let image = image_identity(image, secrets)?;
    let config = container.config.unwrap_or_default();
    let host = container.host_config.unwrap_or_default();
    let variables = variables(config.env.unwrap_or_default(), &image_variables, &image.runtime.variables, secrets)?;
    let mut mounts: Vec<_> = container.mounts.unwrap_or_default().into_iter().map(mount).collect();
    mounts.extend(tmpfs_mounts(&host));
    mounts.sort_by(|one, other| one.path.cmp(&other.path));
    mounts.dedup();
    let config = ContainerConfig {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        variables,
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        hostname: config.hostname.unwrap_or_default(),
        network: host.network_mode.clone().unwrap_or_default(),
        read_only: host.readonly_rootfs.unwrap_or_default(),
        mounts,
        limits: limits(&host),
    };
    Ok(ContainerIdentity { image, config })
}

fn mount(mount: MountPoint) -> Mount {
    Mount {
        path: mount.destination.unwrap_or_default(),
        kind: mount.typ.map(|kind| kind.to_string()).unwrap_or_default(),
        source: mount.name.or(mount.source).unwrap_or_default(),
        read_only: mount.rw == Some(false),
    }
}

fn tmpfs_mounts(host: &HostConfig) -> Vec<Mount> {
    let mounts = host.tmpfs.iter().flatten();
    mounts
        .map(|(path, options)| Mount {
            path: path.clone(),
            kind: "tmpfs".to_owned(),
            source: String::new(),
            read_only: options.split(',').any(|option| option == "ro"),
        })
        .collect()
}

fn limits(host: &HostConfig) -> Limits {
    let positive = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
    let quota = positive(host.cpu_quota).zip(positive(host.cpu_period).or(Some(100_000)));
    let mut ulimits: Vec<_> = host.ulimits.iter().flatten().map(ulimit_words).collect();
    ulimits.sort_unstable();
    Limits {
        memory_bytes: positive(host.memory),
        cpu_nanos: positive(host.nano_cpus)
            .or_else(|| quota.map(|(quota, period)| quota.saturating_mul(1_000_000_000) / period)),
        cpu_set: host.cpuset_cpus.clone().filter(|set| !set.is_empty()),
        pids: positive(host.pids_limit),
        ulimits,
    }
}

fn ulimit_words(ulimit: &ResourcesUlimits) -> String {
    let name = ulimit.name.as_deref().unwrap_or_default();
    format!("{name}={}:{}", ulimit.soft.unwrap_or_default(), ulimit.hard.unwrap_or_default())
}

/// The reverse of how a ulimit is kept: `nofile=1024:2048`.
pub(crate) fn read_ulimit(words: &str) -> Option<ResourcesUlimits> {
    let (name, limits) = words.split_once('=')?;
    let (soft, hard) = limits.split_once(':')?;
    Some(ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(soft.parse().ok()?),
        hard: Some(hard.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use exchange::VariableValue;

    use super::*;

    fn config(env: &[&str]) -> ImageConfig {
        ImageConfig { env: Some(env.iter().map(ToString::to_string).collect()), ..ImageConfig::default() }
    }

    #[test]
    fn an_images_secret_is_hashed_and_equal_in_its_container() {
        let image = ImageInspect { config: Some(config(&["API_KEY=abcdefgh", "PORT=1"])), ..ImageInspect::default() };
        let env = Some(vec!["PORT=1".to_owned(), "API_KEY=abcdefgh".to_owned(), "LANG=C".to_owned()]);
        let container = ContainerInspectResponse {
            config: Some(bollard::models::ContainerConfig { env, ..Default::default() }),
            ..ContainerInspectResponse::default()
        };
        let identity = container_identity(container, image, &[]).unwrap();
        let names: Vec<_> = identity.config.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["API_KEY", "LANG", "PORT"]);
        assert!(matches!(identity.config.variables[0].value, VariableValue::Secret { .. }));
        assert!(identity.image.runtime.variables.contains(&identity.config.variables[0]));
    }

    #[test]
    fn limits_are_read_and_written_back() {
        let host = HostConfig {
            cpu_quota: Some(50_000),
            cpu_period: Some(100_000),
            memory: Some(1 << 20),
            ..HostConfig::default()
        };
        let limits = limits(&host);
        assert_eq!((limits.cpu_nanos, limits.memory_bytes, limits.pids), (Some(500_000_000), Some(1 << 20), None));
        let ulimit = read_ulimit("nofile=1024:2048").unwrap();
        assert_eq!(ulimit_words(&ulimit), "nofile=1024:2048");
        assert_eq!(read_ulimit("nofile=x:2"), None);
    }
}

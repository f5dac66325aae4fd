//! The engine's answers in the vocabulary's words. Secrets are hashed here, before anything leaves this crate.

use std::collections::BTreeSet;

use bollard::models::{
    ContainerInspectResponse, DeviceRequest, HealthConfig, HostConfig, ImageConfig, ImageInspect, MountPoint,
    NetworkSettings, ResourcesUlimits,
};
use exchange::{
    ContainerConfig, ContainerIdentity, HealthCheck, ImageIdentity, Limits, Mount, PortMapping, RuntimeConfig,
    Variable, VariableValue,
};

use crate::{capabilities, secret};

/// Names of variables that are secrets beside those that look like it: `--env-secret NAME`.
pub(crate) type SecretNames<'a> = &'a [String];

/// `known` are variables as they were kept of another image: one of them stands here too where the image has its value,
/// so that equal secrets are equal in spite of their salts.
pub(crate) fn image_identity(
    image: ImageInspect,
    known: &[Variable],
    secrets: SecretNames<'_>,
) -> std::io::Result<ImageIdentity> {
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
        runtime: runtime_config(image.config.unwrap_or_default(), known, secrets)?,
        platform,
    })
}

/// True when an image may be the wanted one, by what costs nothing to look at: no secret is hashed for it.
pub(crate) fn may_be(wanted: &ImageIdentity, image: &ImageInspect) -> bool {
    let layers = image.root_fs.as_ref().and_then(|root| root.layers.as_ref());
    let digests = image.repo_digests.as_deref().unwrap_or_default();
    let has_digest = |name: &String| {
        let digest = name.rsplit_once('@').map(|(_, digest)| digest);
        digest.is_some() && digests.iter().any(|other| other.rsplit_once('@').map(|(_, digest)| digest) == digest)
    };
    (image.id.is_some() && image.id == wanted.config_digest)
        || layers == Some(&wanted.layers)
        || wanted.repository_digests.iter().any(has_digest)
}

fn runtime_config(config: ImageConfig, known: &[Variable], secrets: SecretNames<'_>) -> std::io::Result<RuntimeConfig> {
    let keep = |line: &str| kept_before(line, known);
    Ok(RuntimeConfig {
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        variables: variables(config.env.unwrap_or_default(), keep, secrets)?,
        user: config.user.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        stop_signal: config.stop_signal.unwrap_or_default(),
    })
}

/// A secret as it was kept before, where this is its value still.
fn kept_before(line: &str, known: &[Variable]) -> Option<Variable> {
    let (name, value) = name_and_value(line);
    let is_it = |known: &&Variable| match &known.value {
        VariableValue::Plain(_) => false,
        VariableValue::Secret { salt, hash, .. } => secret::is_same_secret(value, salt, hash),
    };
    known.iter().find(|variable| variable.name == name).filter(is_it).cloned()
}

/// Sorted by name. One for which `keep` has its kept form is kept so.
fn variables(
    raw: Vec<String>,
    keep: impl Fn(&str) -> Option<Variable>,
    secrets: SecretNames<'_>,
) -> std::io::Result<Vec<Variable>> {
    let kept = |line: String| match keep(&line) {
        Some(variable) => Ok(variable),
        None => {
            let (name, value) = name_and_value(&line);
            secret::variable(name, value, secrets)
        }
    };
    let mut variables = raw.into_iter().map(kept).collect::<std::io::Result<Vec<_>>>()?;
    variables.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(variables)
}

fn name_and_value(line: &str) -> (&str, &str) {
    line.split_once('=').unwrap_or((line, ""))
}

/// `known` is the container as it was kept before: what is unchanged of its secrets is kept in the same words.
pub(crate) fn container_identity(
    container: ContainerInspectResponse,
    image: ImageInspect,
    known: Option<&ContainerIdentity>,
    secrets: SecretNames<'_>,
) -> std::io::Result<ContainerIdentity> {
    let image_variables = image.config.as_ref().and_then(|config| config.env.clone()).unwrap_or_default();
    let known_of_image = known.map(|known| &known.image.runtime.variables[..]).unwrap_or_default();
    let known_of_config = known.map(|known| &known.config.variables[..]).unwrap_or_default();
    let image = image_identity(image, known_of_image, secrets)?;
    let config = container.config.unwrap_or_default();
    let host = container.host_config.unwrap_or_default();
    // One that the image has word for word is kept as it is there, so that both are equal.
    let of_image = |line: &str| {
        let known = image.runtime.variables.iter().find(|variable| variable.name == name_and_value(line).0);
        let known = known.filter(|_| image_variables.iter().any(|other| other == line)).cloned();
        known.or_else(|| kept_before(line, known_of_config))
    };
    let variables = variables(config.env.unwrap_or_default(), of_image, secrets)?;
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
        stop_signal: config.stop_signal.unwrap_or_default(),
        addresses: addresses(container.network_settings.as_ref()),
        ports: ports(container.network_settings.as_ref()),
        extra_hosts: host.extra_hosts.iter().flatten().filter_map(|line| extra_host(line)).collect(),
        health: config.healthcheck.and_then(health_check),
        network: host.network_mode.clone().unwrap_or_default(),
        read_only: host.readonly_rootfs.unwrap_or_default(),
        mounts,
        limits: limits(&host),
        groups: sorted(host.group_add.iter().flatten().cloned()),
        shm_bytes: host.shm_size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size != SHM_BYTES_DEFAULT),
        sysctls: sorted(host.sysctls.iter().flatten().map(|(name, value)| format!("{name}={value}"))),
        tty: config.tty.unwrap_or_default(),
        devices: sorted(host.devices.iter().flatten().filter_map(|device| device.path_in_container.clone())),
        gpus: gpus(&host),
        capabilities_added: capabilities::names(host.cap_add.unwrap_or_default()),
        capabilities_dropped: capabilities::names(host.cap_drop.unwrap_or_default()),
    };
    Ok(ContainerIdentity { image, config })
}

/// Size of `/dev/shm` where nobody says another (Docker's documentation of `--shm-size`).
const SHM_BYTES_DEFAULT: u64 = 64 << 20;

fn sorted(texts: impl Iterator<Item = String>) -> Vec<String> {
    let texts: BTreeSet<String> = texts.collect();
    texts.into_iter().collect()
}

/// What `--gpus` asked for, or the older `--runtime nvidia`.
fn gpus(host: &HostConfig) -> Option<String> {
    let asks_for_gpu = |request: &&DeviceRequest| {
        request.capabilities.iter().flatten().flatten().any(|capability| capability == "gpu")
    };
    match host.device_requests.iter().flatten().find(asks_for_gpu) {
        Some(request) => {
            let ids = request.device_ids.clone().unwrap_or_default();
            let count = request.count.filter(|count| *count >= 0).map_or("all".to_owned(), |count| count.to_string());
            Some(if ids.is_empty() { count } else { ids.join(",") })
        }
        None => host.runtime.as_deref().filter(|runtime| *runtime == "nvidia").map(|_| "all".to_owned()),
    }
}

/// The reverse of how graphics processors are kept.
pub(crate) fn gpu_request(gpus: &str) -> DeviceRequest {
    let count = if gpus == "all" { Some(-1) } else { gpus.parse().ok() };
    DeviceRequest {
        count,
        device_ids: count.is_none().then(|| gpus.split(',').map(str::to_owned).collect()),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }
}

fn addresses(network: Option<&NetworkSettings>) -> Vec<String> {
    let networks = network.and_then(|network| network.networks.as_ref());
    let addresses = networks.into_iter().flatten().flat_map(|(_, endpoint)| {
        [endpoint.ip_address.clone(), endpoint.global_ipv6_address.clone()].into_iter().flatten()
    });
    let addresses: BTreeSet<String> = addresses.filter(|address| !address.is_empty()).collect();
    addresses.into_iter().collect()
}

fn ports(network: Option<&NetworkSettings>) -> Vec<PortMapping> {
    let published = network.and_then(|network| network.ports.as_ref()).into_iter().flatten();
    let mappings = published.flat_map(|(inside, bindings)| {
        let (port, protocol) = inside.split_once('/').unwrap_or((inside, "tcp"));
        let port = port.parse().ok();
        bindings.iter().flatten().filter_map(move |binding| {
            Some(PortMapping {
                container: port?,
                protocol: protocol.to_owned(),
                host_address: binding.host_ip.clone().filter(|ip| ip != "0.0.0.0" && ip != "::").unwrap_or_default(),
                host: binding.host_port.as_ref()?.parse().ok()?,
            })
        })
    });
    let mappings: BTreeSet<PortMapping> = mappings.collect();
    mappings.into_iter().collect()
}

/// `name:address`, where the address may be of IPv6; later engines also take `name=address`.
pub(crate) fn extra_host(line: &str) -> Option<(String, String)> {
    let (name, address) = line.split_once(['=', ':'])?;
    Some((name.to_owned(), address.trim_matches(['[', ']']).to_owned()))
}

/// Nothing for a check that was switched off.
pub(crate) fn health_check(config: HealthConfig) -> Option<HealthCheck> {
    let test = config.test.filter(|test| !test.is_empty() && test[0] != "NONE")?;
    let timeout_ns = config.timeout.and_then(|timeout| u64::try_from(timeout).ok()).unwrap_or_default();
    Some(HealthCheck { test, timeout_ns })
}

fn mount(mount: MountPoint) -> Mount {
    Mount {
        path: mount.destination.unwrap_or_default(),
        kind: mount.typ.map(|kind| kind.to_string()).unwrap_or_default(),
        source: mount.name.or(mount.source).unwrap_or_default(),
        read_only: mount.rw == Some(false),
        ..Mount::default()
    }
}

fn tmpfs_mounts(host: &HostConfig) -> Vec<Mount> {
    let mounts = host.tmpfs.iter().flatten();
    mounts
        .map(|(path, options)| Mount {
            path: path.clone(),
            kind: "tmpfs".to_owned(),
            read_only: options.split(',').any(|option| option == "ro"),
            options: options.clone(),
            ..Mount::default()
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
    use bollard::models::{ImageInspectRootFs, OciDescriptor};

    use super::*;
    use crate::image::{SameImage, same_image};

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
        let identity = container_identity(container, image, None, &[]).unwrap();
        let names: Vec<_> = identity.config.variables.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!(names, ["API_KEY", "LANG", "PORT"]);
        assert!(matches!(identity.config.variables[0].value, VariableValue::Secret { .. }));
        assert!(identity.image.runtime.variables.contains(&identity.config.variables[0]));
    }

    #[test]
    fn a_container_that_did_not_change_is_kept_in_the_same_words_and_another_secret_is_not() {
        let image = || ImageInspect { config: Some(config(&["API_KEY=abcdefgh"])), ..ImageInspect::default() };
        let container = |token: &str| ContainerInspectResponse {
            config: Some(bollard::models::ContainerConfig {
                env: Some(vec!["API_KEY=abcdefgh".to_owned(), format!("TOKEN={token}")]),
                ..Default::default()
            }),
            ..ContainerInspectResponse::default()
        };
        let before = container_identity(container("one-two-three"), image(), None, &[]).unwrap();
        let again = |token: &str| container_identity(container(token), image(), Some(&before), &[]).unwrap();
        assert_eq!(again("one-two-three"), before);
        let other = again("one-two-four");
        assert!(other.config.variables[0] == before.config.variables[0] && other.config != before.config);
    }

    /// An image as the engine describes it, with one layer.
    fn inspected(id: &str, env: &[&str]) -> ImageInspect {
        let root_fs = ImageInspectRootFs { layers: Some(vec!["sha256:l".to_owned()]), ..Default::default() };
        ImageInspect {
            id: Some(id.to_owned()),
            config: Some(config(env)),
            root_fs: Some(root_fs),
            ..ImageInspect::default()
        }
    }

    #[test]
    fn a_rebuilt_image_is_the_same_only_with_the_same_secret_in_it() {
        let names = ["TENANT".to_owned()];
        let wanted = image_identity(inspected("sha256:1", &["API_KEY=abcdefgh", "TENANT=acme"]), &[], &names).unwrap();
        let again = |env: &[&str]| {
            let found = image_identity(inspected("sha256:2", env), &wanted.runtime.variables, &[]).unwrap();
            (same_image(&wanted, &found), same_image(&found, &wanted))
        };
        let same = Some(SameImage::LayersAndRuntime);
        assert_eq!(again(&["TENANT=acme", "API_KEY=abcdefgh"]), (same, same));
        assert_eq!(again(&["TENANT=acme", "API_KEY=abcdefgi"]), (None, None));
        assert_eq!(again(&["TENANT=other", "API_KEY=abcdefgh"]), (None, None));
        assert_eq!(again(&["TENANT=acme"]), (None, None));
    }

    #[test]
    fn what_an_engine_calls_the_id_is_the_configurations_digest_unless_it_keeps_images_by_manifest() {
        let identity = |image| image_identity(image, &[], &[]).unwrap();
        let repo_digests = Some(vec!["b/app@sha256:m".to_owned(), "a/app@sha256:m".to_owned()]);
        let classic = ImageInspect { repo_digests: repo_digests.clone(), ..inspected("sha256:c", &[]) };
        assert_eq!(identity(classic.clone()).config_digest.as_deref(), Some("sha256:c"));
        assert_eq!(identity(classic.clone()).repository_digests, ["a/app@sha256:m", "b/app@sha256:m"]);
        let by_manifest =
            ImageInspect { descriptor: Some(OciDescriptor::default()), repo_digests, ..inspected("sha256:m", &[]) };
        assert_eq!(identity(by_manifest.clone()).config_digest, None);
        // The same image on both kinds of engine is known by what the registry calls it.
        let same = same_image(&identity(classic), &identity(by_manifest));
        assert_eq!(same, Some(SameImage::RepositoryDigest));
    }

    #[test]
    fn an_image_that_cannot_be_the_wanted_one_is_told_without_hashing() {
        let wanted = ImageIdentity {
            repository_digests: vec!["app@sha256:m".to_owned()],
            ..image_identity(inspected("sha256:1", &[]), &[], &[]).unwrap()
        };
        let other = ImageInspect { root_fs: None, ..inspected("sha256:2", &["API_KEY=abcdefgh"]) };
        assert!(!may_be(&wanted, &other));
        assert!(may_be(&wanted, &ImageInspect { id: Some("sha256:1".to_owned()), ..other.clone() }));
        assert!(may_be(&wanted, &ImageInspect { repo_digests: Some(vec!["x@sha256:m".to_owned()]), ..other.clone() }));
        assert!(may_be(&wanted, &inspected("sha256:2", &[])));
        assert!(!may_be(&ImageIdentity::default(), &ImageInspect::default()));
    }

    #[test]
    fn ports_addresses_names_and_the_health_check_are_read_as_the_engine_writes_them() {
        let text = r#"{
            "Config": {"Healthcheck": {"Test": ["CMD-SHELL", "curl -f localhost"], "Timeout": 3000000000}},
            "HostConfig": {"ExtraHosts": ["host.docker.internal:host-gateway", "v6.internal:fd00::1"]},
            "NetworkSettings": {
                "Ports": {"8000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "32768"}, {"HostIp": "::", "HostPort": "32768"}], "53/udp": null},
                "Networks": {"bridge": {"IPAddress": "172.17.0.2", "GlobalIPv6Address": ""}}
            }
        }"#;
        let container: ContainerInspectResponse = serde_json::from_str(text).unwrap();
        let config = container_identity(container, ImageInspect::default(), None, &[]).unwrap().config;
        let mapping =
            PortMapping { container: 8000, protocol: "tcp".to_owned(), host_address: String::new(), host: 32768 };
        assert_eq!((config.ports, config.addresses), (vec![mapping], vec!["172.17.0.2".to_owned()]));
        assert_eq!(config.extra_hosts[1], ("v6.internal".to_owned(), "fd00::1".to_owned()));
        let health = config.health.unwrap();
        assert_eq!(health.command().unwrap(), ["/bin/sh", "-c", "curl -f localhost"]);
        assert_eq!(health.timeout_ns, 3_000_000_000);
        let off = HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
        assert_eq!(health_check(off), None);
    }

    #[test]
    fn what_a_container_was_given_of_its_host_is_read_and_written_back() {
        let text = r#"{
            "GroupAdd": ["video", "44"], "ShmSize": 67108864, "Sysctls": {"net.core.somaxconn": "512"},
            "Devices": [{"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}],
            "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]
        }"#;
        let host_config: HostConfig = serde_json::from_str(text).unwrap();
        let container = ContainerInspectResponse { host_config: Some(host_config), ..Default::default() };
        let config = container_identity(container, ImageInspect::default(), None, &[]).unwrap().config;
        assert_eq!((&config.groups[..], config.shm_bytes), (&["44".to_owned(), "video".to_owned()][..], None));
        assert_eq!(
            (&config.sysctls[0], &config.devices[0]),
            (&"net.core.somaxconn=512".to_owned(), &"/dev/fuse".to_owned())
        );
        assert!(config.uses_gpu());
        for words in ["all", "2", "GPU-1,GPU-2"] {
            let host = HostConfig { device_requests: Some(vec![gpu_request(words)]), ..HostConfig::default() };
            assert_eq!(gpus(&host).as_deref(), Some(words));
        }
        assert_eq!(gpus(&HostConfig::default()), None);
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

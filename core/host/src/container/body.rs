//! What a container is asked of the engine as: recorded settings and mounts in the engine's own terms.

use std::collections::HashMap;

use bollard::models;
use exchange::ContainerConfig;

use super::{ContainerSpec, MountSource, MountSpec, profile};
use crate::{
    capabilities,
    deliver::{INIT_SETTINGS, INSIDE},
    inspect::{gpu_request, read_ulimit},
    owner::labels,
    volume::volume_mount,
};

/// Switches IPv6 on, for `::1`: engines switch it off in a container that is in no network of theirs.
const IPV6_SWITCH: &str = "net.ipv6.conf.all.disable_ipv6";

/// `ours` is what we mount beside what the service has.
pub(super) fn body_of(spec: &ContainerSpec, ours: Vec<models::Mount>) -> models::ContainerCreateBody {
    let config = &spec.config;
    let mut argv = vec![format!("{INSIDE}/run/{INIT_SETTINGS}"), "--".to_owned()];
    argv.extend(spec.argv.iter().cloned());
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    models::ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: Some(vec![format!("{INSIDE}/retake"), "__init".to_owned()]),
        cmd: Some(argv),
        env: Some(spec.variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: some(&config.user),
        working_dir: some(&config.working_dir),
        // A container on the host's network had the host's name; a name of its own would be another environment.
        hostname: some(&config.hostname),
        tty: Some(config.tty),
        stop_signal: some(&config.stop_signal),
        labels: Some(labels(&spec.run)),
        // A health check of the image would be one more client; readiness is asked for through the bridge.
        healthcheck: Some(models::HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        host_config: Some(host_config(spec, ours)),
        ..Default::default()
    }
}

/// The same for a kernel that has no IPv6.
pub(super) fn without_ipv6(mut body: models::ContainerCreateBody) -> models::ContainerCreateBody {
    if let Some(sysctls) = body.host_config.as_mut().and_then(|host| host.sysctls.as_mut()) {
        sysctls.remove(IPV6_SWITCH);
    }
    body
}

impl MountSpec {
    fn to_engine(&self) -> models::Mount {
        let (typ, source) = match &self.source {
            MountSource::Here(path) => (models::MountType::BIND, Some(path.display().to_string())),
            MountSource::Volume(name) => return volume_mount(name, &self.path, self.read_only),
            MountSource::Fresh => (models::MountType::VOLUME, None),
        };
        models::Mount {
            target: Some(self.path.clone()),
            source,
            typ: Some(typ),
            read_only: Some(self.read_only),
            ..Default::default()
        }
    }
}

fn host_config(spec: &ContainerSpec, ours: Vec<models::Mount>) -> models::HostConfig {
    let config = &spec.config;
    let limits = &config.limits;
    let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let tmpfs = config.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let tmpfs_options = |mount: &exchange::Mount| match (mount.options.as_str(), mount.read_only) {
        ("", true) => "ro".to_owned(),
        ("", false) => "rw".to_owned(),
        (options, _) => options.to_owned(),
    };
    let tmpfs = tmpfs.map(|mount| (mount.path.clone(), tmpfs_options(mount)));
    models::HostConfig {
        network_mode: Some("none".to_owned()),
        mounts: Some(ours.into_iter().chain(spec.mounts.iter().map(MountSpec::to_engine)).collect()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities::kept(config)),
        security_opt: Some(security_of(spec)),
        extra_hosts: Some(spec.hosts.iter().map(|(name, ip)| format!("{name}:{ip}")).collect()),
        dns: Some(vec!["127.0.0.1".to_owned()]),
        readonly_rootfs: Some(config.read_only),
        tmpfs: Some(tmpfs.collect()),
        memory: signed(limits.memory_bytes),
        nano_cpus: signed(limits.cpu_nanos),
        cpuset_cpus: limits.cpu_set.clone(),
        pids_limit: signed(limits.pids),
        ulimits: Some(limits.ulimits.iter().filter_map(|words| read_ulimit(words)).collect()),
        group_add: Some(config.groups.clone()),
        shm_size: signed(config.shm_bytes),
        sysctls: Some(sysctls(config)),
        devices: Some(config.gpu_devices().map(|path| gpu_device(path)).collect()),
        device_requests: config.gpus.as_deref().map(|gpus| vec![gpu_request(gpus)]),
        ..Default::default()
    }
}

fn security_of(spec: &ContainerSpec) -> Vec<String> {
    let profile = spec.fixed_addresses.then(|| format!("seccomp={}", profile::fixed_addresses()));
    ["no-new-privileges".to_owned()].into_iter().chain(profile).collect()
}

/// The only devices that a replay gets: with them the service computes, and through others it would touch something real.
fn gpu_device(path: &str) -> models::DeviceMapping {
    models::DeviceMapping {
        path_on_host: Some(path.to_owned()),
        path_in_container: Some(path.to_owned()),
        cgroup_permissions: Some("rwm".to_owned()),
    }
}

fn sysctls(config: &ContainerConfig) -> HashMap<String, String> {
    let pairs = config.sysctls.iter().filter_map(|setting| setting.split_once('='));
    let ours = [(IPV6_SWITCH, "0")];
    // A recorded one has the last word.
    ours.into_iter().chain(pairs).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

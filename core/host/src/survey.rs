//! What this machine and its container engine offer, for `retake doctor`.
//!
//! In: `/proc`, `/sys`, the file system, the engine's own account of itself. Out: facts without judgement: what each is
//! needed for, and what to do where it is missing, is the doctor's to say.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bollard::{models, query_parameters as query};

use crate::{docker::Docker, error::DockerError};

/// What the kernel offers, as far as replays use it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelSurvey {
    /// Its release.
    pub release: String,
    /// The machine's architecture, as `uname -m` has it.
    pub architecture: String,
    /// True where `::1` is there.
    pub has_ipv6_loopback: bool,
    /// 1 or 2; `None` where no control groups are mounted.
    pub cgroup_version: Option<u8>,
    /// True where a filter can ask another process about a system call, from Linux 5.0 on.
    pub has_seccomp_notifications: bool,
    /// Yama's restriction of ptrace (0: none, 1: children only, 2: administrators, 3: nobody); `None` without Yama.
    pub ptrace_scope: Option<u8>,
}

/// Asks the kernel.
pub fn kernel_survey() -> KernelSurvey {
    let name = rustix::system::uname();
    let number = |path: &str| fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    let addresses = fs::read_to_string("/proc/self/net/if_inet6").unwrap_or_default();
    let actions = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail").unwrap_or_default();
    KernelSurvey {
        release: name.release().to_string_lossy().into_owned(),
        architecture: name.machine().to_string_lossy().into_owned(),
        has_ipv6_loopback: addresses.lines().any(|line| line.starts_with("00000000000000000000000000000001 ")),
        cgroup_version: cgroup_version(Path::new("/sys/fs/cgroup")),
        has_seccomp_notifications: actions.split_ascii_whitespace().any(|action| action == "user_notif"),
        ptrace_scope: number("/proc/sys/kernel/yama/ptrace_scope"),
    }
}

/// Version 2 has its list of controllers at the top; version 1 a folder for each (cgroups(7)).
fn cgroup_version(mount: &Path) -> Option<u8> {
    if mount.join("cgroup.controllers").exists() { Some(2) } else { mount.join("memory").exists().then_some(1) }
}

/// Room on the file system that holds a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSurvey {
    /// The folder that was looked at: the one asked for, or the nearest above it that exists.
    pub folder: PathBuf,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: u64,
    /// Size of the file system in bytes.
    pub total_bytes: u64,
}

/// Room for what is to be written below `folder`, which need not exist yet.
///
/// # Errors
/// The system's.
pub fn disk_survey(folder: &Path) -> io::Result<DiskSurvey> {
    let absolute = std::path::absolute(folder)?;
    let existing = absolute.ancestors().find(|above| above.exists()).unwrap_or(Path::new("/")).to_owned();
    let room = rustix::fs::statvfs(&existing)?;
    Ok(DiskSurvey {
        folder: existing,
        free_bytes: room.f_bavail.saturating_mul(room.f_frsize),
        total_bytes: room.f_blocks.saturating_mul(room.f_frsize),
    })
}

/// What a container engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSurvey {
    /// Where it was reached, as in `DOCKER_HOST`.
    pub address: String,
    /// Its version.
    pub version: String,
    /// Newest version of the API that it speaks.
    pub api_version: String,
    /// Architecture of the machine that it runs on, as `uname -m` has it.
    pub architecture: String,
    /// `linux` or `windows`.
    pub os: String,
    /// The folder that it keeps images and containers in, on its own machine.
    pub root_folder: PathBuf,
    /// True where its machine is this one.
    pub is_here: bool,
    /// Limits that it cannot put on a container here.
    pub limits_missing: Vec<String>,
    /// Address of this machine in its default network; empty where there is none.
    pub gateway: String,
    /// Containers that replays left behind, running or not.
    pub left_behind: usize,
}

impl Docker {
    /// Asks the engine about itself.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn survey(&self) -> Result<EngineSurvey, DockerError> {
        let version = self.engine.version().await.map_err(DockerError::refused("tell its version"))?;
        let info = self.engine.info().await.map_err(DockerError::refused("describe itself"))?;
        let limits = [
            ("memory", info.memory_limit),
            ("swap", info.swap_limit),
            ("CPU time", info.cpu_cfs_quota),
            ("CPU set", info.cpu_set),
            ("number of processes", info.pids_limit),
        ];
        let limits_missing = limits.into_iter().filter(|(_, offered)| *offered == Some(false));
        Ok(EngineSurvey {
            address: engine_address(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            architecture: info.architecture.unwrap_or_default(),
            os: info.os_type.unwrap_or_default(),
            root_folder: info.docker_root_dir.unwrap_or_default().into(),
            is_here: self.machine().await?.is_here,
            limits_missing: limits_missing.map(|(name, _)| name.to_owned()).collect(),
            gateway: self.default_gateway().await,
            left_behind: self.left_behind_count().await?,
        })
    }

    /// A machine may have no such network, which is no trouble.
    async fn default_gateway(&self) -> String {
        let network = self.engine.inspect_network("bridge", None::<query::InspectNetworkOptions>).await.ok();
        network.as_ref().and_then(gateway_of).unwrap_or_default()
    }
}

/// This machine's address in a network, as the engine has or would have it.
pub(crate) fn gateway_of(network: &models::NetworkInspect) -> Option<String> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    let gateway = |config: &models::IpamConfig| {
        config.gateway.clone().filter(|gateway| !gateway.is_empty()).or_else(|| first_of(config.subnet.as_deref()?))
    };
    configs.into_iter().flatten().find_map(gateway)
}

/// The first address of a subnet `172.17.0.0/16`, which the engine gives itself where it is told no other.
fn first_of(subnet: &str) -> Option<String> {
    let network: std::net::Ipv4Addr = subnet.split_once('/')?.0.parse().ok()?;
    Some(std::net::Ipv4Addr::from_bits(network.to_bits().checked_add(1)?).to_string())
}

/// Where the engine is looked for: `DOCKER_HOST`, else the local socket.
pub fn engine_address() -> String {
    let named = std::env::var("DOCKER_HOST").ok().filter(|address| !address.is_empty());
    named.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_a_release_and_an_architecture() {
        let kernel = kernel_survey();
        assert!(!kernel.release.is_empty());
        assert_eq!(kernel.architecture, std::env::consts::ARCH);
    }

    #[test]
    fn control_groups_are_told_apart_by_what_is_at_their_top() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(cgroup_version(folder.path()), None);
        fs::create_dir(folder.path().join("memory")).unwrap();
        assert_eq!(cgroup_version(folder.path()), Some(1));
        fs::write(folder.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert_eq!(cgroup_version(folder.path()), Some(2));
    }

    #[test]
    fn an_engine_that_names_no_gateway_has_the_first_address_of_its_network() {
        assert_eq!(first_of("172.17.0.0/16").as_deref(), Some("172.17.0.1"));
        assert_eq!((first_of("fd00::/64"), first_of("255.255.255.255/32"), first_of("x")), (None, None, None));
    }

    #[test]
    fn room_is_that_of_the_nearest_folder_that_exists() {
        let folder = tempfile::tempdir().unwrap();
        let room = disk_survey(&folder.path().join("not/made/yet")).unwrap();
        assert_eq!(room.folder, folder.path());
        assert!(room.total_bytes >= room.free_bytes && room.total_bytes > 0);
    }
}

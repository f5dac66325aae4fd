//! The environment that an exchange ran in.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// What the service ran in, as far as it can be seen from outside. Stored once per content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// What ran.
    pub subject: Subject,
    /// What it ran on.
    pub host: HostEnvironment,
    /// Packages found in the image or beside the process.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
}

impl Fingerprint {
    /// The environment variables of what ran; none where that is not known.
    pub fn variables(&self) -> &[Variable] {
        match &self.subject {
            Subject::Container(container) => &container.config.variables,
            Subject::Process(process) => &process.variables,
            Subject::Unknown => &[],
        }
    }
}

/// What a fingerprint is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "subject", rename_all = "kebab-case")]
pub enum Subject {
    /// A container.
    Container(Box<ContainerIdentity>),
    /// A process on this machine.
    Process(Box<ProcessIdentity>),
    /// Neither was named; only the host is known.
    Unknown,
}

/// A container: its image and how it was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerIdentity {
    /// The image it was made from.
    pub image: ImageIdentity,
    /// How it was started.
    pub config: ContainerConfig,
}

/// Which image, by every name that proves it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIdentity {
    /// Digest of the image's configuration (`sha256:…`), where the engine tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// `name@sha256:…`, sorted; empty for an image that was never in a registry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repository_digests: Vec<String>,
    /// Names it had; proof of nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `sha256:…` of each layer's uncompressed content, lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<String>,
    /// The part of its configuration that matters when it runs.
    #[serde(default)]
    pub runtime: RuntimeConfig,
    /// `linux/amd64` and the like.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub platform: String,
}

/// The part of an image's configuration that matters when it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeConfig {
    /// `Entrypoint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// `Env`, secrets kept as hashes only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// `User`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `WorkingDir`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `StopSignal`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
}

/// How a container was started, as far as it changes what the service does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// The entrypoint in force, image's or given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The command in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables in force, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    /// User in force, empty for the image's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Working folder in force.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Host name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The signal that asks it to end, image's or given; empty for the engine's default, `SIGTERM`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// `host`, `bridge`, `none` or a network's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// True when the root file system was mounted read-only.
    #[serde(default)]
    pub read_only: bool,
    /// Its addresses in its networks, sorted; empty with the host's network or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its ports that lead to ports of the host, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// Names added to its hosts file, as name and address (or `host-gateway`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<(String, String)>,
    /// How the engine found out whether the service was well, image's or given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
    /// Mounts, sorted by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// Limits on what it may use.
    #[serde(default)]
    pub limits: Limits,
    /// Linux capabilities beyond the engine's usual ones, or `ALL`: upper case, without `CAP_`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities_added: Vec<String>,
    /// Linux capabilities of the engine's usual ones that it did not have, or `ALL`; written likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities_dropped: Vec<String>,
    /// Groups of its user beside those that the image gives, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Size of `/dev/shm` in bytes, where it is not the engine's default of 64 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shm_bytes: Option<u64>,
    /// Settings of its kernel name spaces, as `name=value`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sysctls: Vec<String>,
    /// True when its output went to a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
    /// Devices of the host that it was given, by their paths inside, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Graphics processors that it was given: `all`, a number, or their ids with commas between.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<String>,
}

impl ContainerConfig {
    /// True when it was given a graphics processor, of whatever maker.
    pub fn uses_gpu(&self) -> bool {
        self.gpus.is_some() || self.gpu_devices().next().is_some()
    }

    /// The devices that lead to graphics processors, by their paths inside.
    pub fn gpu_devices(&self) -> impl Iterator<Item = &String> {
        const PREFIXES: [&str; 3] = ["/dev/nvidia", "/dev/dri", "/dev/kfd"];
        self.devices.iter().filter(|path| PREFIXES.iter().any(|prefix| path.starts_with(prefix)))
    }
}

/// A port of a container that leads to one of its host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortMapping {
    /// In the container.
    pub container: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Address of the host that it is published on; empty for all of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host_address: String,
    /// On the host.
    pub host: u16,
}

/// A `HEALTHCHECK`: a command run in the container, which exits with 0 while the service is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// `CMD` and a command with its arguments, or `CMD-SHELL` and a line for `/bin/sh -c`.
    pub test: Vec<String>,
    /// How long one run of it may take, in nanoseconds; 0 for the engine's default of 30 s.
    #[serde(default)]
    pub timeout_ns: u64,
}

impl HealthCheck {
    /// The command to run, or `None` for a test of a kind that is not known.
    pub fn command(&self) -> Option<Vec<String>> {
        match self.test.split_first() {
            Some((kind, command)) if kind == "CMD" && !command.is_empty() => Some(command.to_vec()),
            Some((kind, [line])) if kind == "CMD-SHELL" => {
                Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()])
            }
            _ => None,
        }
    }
}

/// Limits of a container; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// CPU time in billionths of a CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_nanos: Option<u64>,
    /// `0-3,5`: the CPUs it may run on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_set: Option<String>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Ulimits as `name=soft:hard`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<String>,
}

impl Limits {
    /// How many CPUs are in the set; `None` where there is none, or one that makes no sense.
    pub fn cpu_set_len(&self) -> Option<u32> {
        let len_of = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            last.checked_sub(first)?.checked_add(1)
        };
        self.cpu_set.as_ref()?.split(',').map(len_of).try_fold(0_u32, |sum, len| sum.checked_add(len?))
    }
}

/// Something mounted into a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, in the container.
    pub path: String,
    /// `bind`, `volume` or `tmpfs`.
    pub kind: String,
    /// What, on the host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// True when the container could not write to it.
    #[serde(default)]
    pub read_only: bool,
    /// Options of a `tmpfs`: `size=64m,mode=1777`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub options: String,
    /// Digest of its content when the capture began: of a file BLAKE3, of a folder as `docs/format.md` says. `None` where it
    /// could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Bytes of all its files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// 16 bytes in hex, where the digest has files that look like secrets by a slow salted hash alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// What is in a folder, so that a difference can be named: files by themselves, and folders where there are too many
    /// of them. Sorted by path; empty for a file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outline: Vec<MountEntry>,
}

/// A file of a mount, or a folder with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountEntry {
    /// Where in the mount.
    pub path: String,
    /// Digest of it and of all below it, as `docs/format.md` says.
    pub digest: Digest,
    /// Bytes of its files.
    pub bytes: u64,
}

/// One environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, or what is kept of it.
    pub value: VariableValue,
}

/// The value of a variable, or what is kept of a secret one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariableValue {
    /// As it was.
    Plain(String),
    /// A secret: enough to recognise it again, not enough to find it out.
    Secret {
        /// Random, 16 bytes in hex.
        salt: String,
        /// argon2id of the value with that salt, in hex.
        hash: String,
        /// A value of the same length and alphabet that stands in for it when none is given.
        stand_in: String,
    },
}

/// A process on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Path of the executable.
    pub executable: String,
    /// BLAKE3 of the executable's content; `None` when it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// The arguments, with the program's name as the first, secrets replaced.
    pub arguments: Vec<String>,
    /// Digests of the files that the arguments name, as path and BLAKE3.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, Digest)>,
    /// Those of them that look like secrets, as path and slow hash with `salt`: as of a mount that is one secret file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_files: Vec<(String, Digest)>,
    /// 16 bytes in hex, where there are such files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// The working folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Its environment, sorted by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// The machine that a service ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEnvironment {
    /// `x86_64`, `aarch64`, …
    pub architecture: String,
    /// As the kernel names it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cpu_model: String,
    /// SIMD and other flags, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu_flags: Vec<String>,
    /// CPUs that were online.
    #[serde(default)]
    pub cpu_count: u32,
    /// Release of the kernel.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kernel: String,
    /// Memory of the machine in bytes.
    #[serde(default)]
    pub memory_bytes: u64,
    /// Graphics processors with their driver.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    /// Version of the container engine, where one answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// A graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its model.
    pub model: String,
    /// Version of its driver.
    pub driver: String,
}

/// A package found in an image or beside a process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// `dpkg`, `apk`, `python`, `node`.
    pub ecosystem: String,
    /// Its name there.
    pub name: String,
    /// Its version.
    pub version: String,
}

//! The machine that a service runs on, from `/proc` and `uname`, or as its container engine describes it.

use std::{fs, path::Path};

use bollard::models::SystemInfo;
use exchange::{Gpu, HostEnvironment};

use crate::{docker::Docker, error::DockerError};

/// A machine that something runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// What is known of it.
    pub environment: HostEnvironment,
    /// True where it is this one; of another it is only known what its engine tells.
    pub is_here: bool,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        Self { environment: host_environment(), is_here: true }
    }
}

impl Docker {
    /// The machine that the engine runs its containers on. Where that is this one, all that is seen of it here; of another
    /// one only what the engine tells, which is nothing of the CPU's model and flags.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn machine(&self) -> Result<Machine, DockerError> {
        let info = self.engine.info().await.map_err(DockerError::refused("describe itself"))?;
        let told = told_by(info);
        let here = host_environment();
        let is_here = self.is_local() && is_one(&told, &here);
        let environment = if is_here { here } else { told };
        let engine = Some(self.version().to_owned());
        Ok(Machine { environment: HostEnvironment { engine, ..environment }, is_here })
    }
}

/// What an engine says of its machine.
fn told_by(info: SystemInfo) -> HostEnvironment {
    HostEnvironment {
        architecture: info.architecture.unwrap_or_default(),
        cpu_count: info.ncpu.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        kernel: info.kernel_version.unwrap_or_default(),
        memory_bytes: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default(),
        ..HostEnvironment::default()
    }
}

/// A socket of this machine may lead to another one, which tells another kernel or another amount of memory.
fn is_one(told: &HostEnvironment, here: &HostEnvironment) -> bool {
    let marks = |host: &HostEnvironment| (host.architecture.clone(), host.kernel.clone(), host.memory_bytes);
    marks(told) == marks(here)
}

/// This machine, as far as an ordinary user sees it. The engine's version is filled in by whoever talks to it.
pub fn host_environment() -> HostEnvironment {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = rustix::system::uname();
    HostEnvironment {
        architecture: kernel.machine().to_string_lossy().into_owned(),
        cpu_model: value_of(&cpu, "model name").to_owned(),
        cpu_flags: flags(&cpu),
        cpu_count: u32::try_from(cpu.lines().filter(|line| line.starts_with("processor")).count()).unwrap_or_default(),
        kernel: kernel.release().to_string_lossy().into_owned(),
        memory_bytes: kibibytes(value_of(&memory, "MemTotal")),
        gpus: nvidia_gpus(Path::new("/proc/driver/nvidia")),
        engine: None,
    }
}

/// The value of the first line `name : value`.
fn value_of<'a>(text: &'a str, name: &str) -> &'a str {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

fn flags(cpu: &str) -> Vec<String> {
    let mut flags: Vec<_> = value_of(cpu, "flags").split_ascii_whitespace().map(str::to_owned).collect();
    flags.sort_unstable();
    flags
}

/// `24000000 kB` in bytes.
fn kibibytes(text: &str) -> u64 {
    let number = text.split_ascii_whitespace().next().and_then(|digits| digits.parse::<u64>().ok());
    number.unwrap_or_default().saturating_mul(1024)
}

/// What the NVIDIA driver shows: a folder for each GPU, and its own version.
fn nvidia_gpus(driver: &Path) -> Vec<Gpu> {
    let version = fs::read_to_string(driver.join("version")).unwrap_or_default();
    let version = version
        .split_ascii_whitespace()
        .find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()));
    let version = version.unwrap_or_default().to_owned();
    let Ok(folders) = fs::read_dir(driver.join("gpus")) else { return Vec::new() };
    let mut gpus: Vec<_> = folders
        .flatten()
        .filter_map(|folder| fs::read_to_string(folder.path().join("information")).ok())
        .map(|text| Gpu { model: value_of(&text, "Model").to_owned(), driver: version.clone() })
        .collect();
    gpus.sort_by(|one, other| one.model.cmp(&other.model));
    gpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_an_architecture_a_kernel_memory_and_a_cpu() {
        let here = host_environment();
        assert_eq!(here.architecture, std::env::consts::ARCH);
        assert!(!here.kernel.is_empty() && here.memory_bytes > 0 && here.cpu_count > 0);
        assert!(here.cpu_flags.is_sorted());
    }

    #[test]
    fn an_engines_machine_is_this_one_only_with_the_same_kernel_and_the_same_memory() {
        let here = host_environment();
        let info = |memory: u64| SystemInfo {
            architecture: Some(here.architecture.clone()),
            kernel_version: Some(here.kernel.clone()),
            mem_total: i64::try_from(memory).ok(),
            ncpu: Some(64),
            ..SystemInfo::default()
        };
        assert!(is_one(&told_by(info(here.memory_bytes)), &here));
        let another = told_by(info(here.memory_bytes + 1));
        assert!(!is_one(&another, &here));
        assert_eq!((another.cpu_count, another.cpu_model.as_str()), (64, ""));
    }

    #[test]
    fn a_driver_folder_is_read_as_the_driver_writes_it() {
        let folder = tempfile::tempdir().unwrap();
        let gpu = folder.path().join("gpus/0000:01:00.0");
        fs::create_dir_all(&gpu).unwrap();
        fs::write(gpu.join("information"), "Model: \t\t NVIDIA L4\nIRQ:   \t\t 30\n").unwrap();
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\nGCC version: 12\n";
        fs::write(folder.path().join("version"), version).unwrap();
        let gpus = nvidia_gpus(folder.path());
        assert_eq!(gpus, [Gpu { model: "NVIDIA L4".to_owned(), driver: "550.54.15".to_owned() }]);
        assert!(nvidia_gpus(Path::new("/nonexistent")).is_empty());
    }
}

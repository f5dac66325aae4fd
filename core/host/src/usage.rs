//! What a container or a process uses: CPU, throttling, memory and pressure, from its control group or from `/proc`.
//!
//! In: the files of control groups (version 1 and 2) and of `/proc`. Out: numbers under the names of
//! [`exchange::surroundings::column`], those that count as they stand there. What cannot be seen is left out. How often,
//! and what came on top since, is the capture's.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bollard::query_parameters as query;
use exchange::surroundings::column;
use futures_util::StreamExt as _;

use crate::{Docker, DockerError};

/// A limit on memory from which on it is none, in bytes: version 1 of control groups writes the largest number of pages.
const NO_MEMORY_LIMIT: u64 = 1 << 62;

/// Length of one tick of the times in `/proc`, in microseconds: `USER_HZ` is 100 on every Linux that this runs on.
const TICK_US: u64 = 10_000;

/// How long `nvidia-smi` may take. A choice.
const GPU_PATIENCE: Duration = Duration::from_secs(2);

/// One look at what is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What is in use now.
    pub gauges: BTreeMap<&'static str, u64>,
    /// What was used since the beginning, whenever that was.
    pub counters: BTreeMap<&'static str, u64>,
}

/// Where what is used is looked up.
#[derive(Clone, Debug)]
pub enum UsageOf {
    /// A control group, by the folders of its controllers.
    Group(Group),
    /// A process alone.
    Process(u32),
}

/// The folders of a control group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Version 2: one folder.
    unified: Option<PathBuf>,
    /// Version 1: one for each controller.
    cpu: Option<PathBuf>,
    cpuacct: Option<PathBuf>,
    memory: Option<PathBuf>,
}

impl UsageOf {
    /// The control group of a container's first process, where both are of this machine: the group is named for the id.
    pub fn container(pid: u32, id: &str) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Group::find(&groups_of_container(&groups, id), &mounts).map(Self::Group)
    }

    /// The control group of a process, where only what it started is in it; else the process alone.
    pub fn process(pid: u32) -> Self {
        Group::owned_by(pid).map_or(Self::Process(pid), Self::Group)
    }

    /// Looks. Reads a few small files of the kernel, which wait for nothing.
    ///
    /// # Errors
    /// When the process or the group is gone.
    pub fn look(&self) -> io::Result<Usage> {
        let mut usage = match self {
            Self::Group(group) => group.look()?,
            Self::Process(pid) => of_process(*pid)?,
        };
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        usage.counters.extend(steal_ms(&stat).map(|steal| (column::STEAL_MS, steal)));
        Ok(usage)
    }
}

impl Group {
    /// The folders, from `/proc/PID/cgroup` and where control groups are mounted here.
    fn find(groups: &str, mountinfo: &str) -> Option<Self> {
        let mut found = Self::default();
        for line in groups.lines() {
            let mut parts = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
            if path.split('/').any(|step| step == "..") {
                continue;
            }
            let folder = |controller: &str| mounted_at(mountinfo, controller, path);
            for controller in controllers.split(',') {
                match controller {
                    "" => found.unified = folder("").filter(|folder| folder.join("memory.current").exists()),
                    "cpu" => found.cpu = folder("cpu"),
                    "cpuacct" => found.cpuacct = folder("cpuacct"),
                    "memory" => found.memory = folder("memory"),
                    _ => {}
                }
            }
        }
        (found != Self::default()).then_some(found)
    }

    /// The folders of a process's groups, where it and what descends from it are alone in each.
    fn owned_by(pid: u32) -> Option<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let found = Self::find(&groups, &fs::read_to_string("/proc/self/mountinfo").ok()?)?;
        let is_alone = |folder: &PathBuf| {
            let members = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            !members.is_empty() && members.lines().all(|member| member.parse().is_ok_and(|one| descends(one, pid)))
        };
        let is_own = found.folders().all(is_alone);
        is_own.then_some(found)
    }

    fn folders(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.unified, &self.cpu, &self.cpuacct, &self.memory].into_iter().flatten()
    }

    fn look(&self) -> io::Result<Usage> {
        if !self.folders().any(|folder| folder.exists()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mut usage = Usage::default();
        if let Some(folder) = &self.cpu {
            let stat = pairs(folder, "cpu.stat");
            count(&mut usage, column::THROTTLED, stat.get("nr_throttled").copied());
            count(&mut usage, column::THROTTLED_US, stat.get("throttled_time").map(|ns| ns / 1_000));
        }
        if let Some(folder) = &self.cpuacct {
            count(&mut usage, column::CPU_US, number(folder, "cpuacct.usage").map(|ns| ns / 1_000));
        }
        if let Some(folder) = &self.memory {
            gauge(&mut usage, column::MEMORY_BYTES, number(folder, "memory.usage_in_bytes"));
            gauge(&mut usage, column::MEMORY_LIMIT_BYTES, number(folder, "memory.limit_in_bytes").filter(is_limit));
            count(&mut usage, column::OOM_KILLS, pairs(folder, "memory.oom_control").get("oom_kill").copied());
        }
        if let Some(folder) = &self.unified {
            look_unified(folder, &mut usage);
        }
        Ok(usage)
    }
}

/// The lines of `/proc/PID/cgroup` whose group is this container's or in it, with the container's own in its place: `ID`,
/// `docker-ID.scope`, `libpod-ID.scope/container`. Where another container's name comes after, as in docker-in-docker, the
/// process is that one's.
fn groups_of_container(groups: &str, id: &str) -> String {
    const ID_LEN: usize = 64;
    let id_of = |step: &str| {
        let step = step.strip_suffix(".scope").unwrap_or(step);
        let last = step.rsplit('-').next().unwrap_or_default();
        let is_id = last.len() == ID_LEN && last.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| last.to_owned())
    };
    let own = |line: &str| {
        let (hierarchy, path) = line.match_indices(':').nth(1).map(|(at, _)| line.split_at(at + 1))?;
        let steps: Vec<&str> = path.split('/').collect();
        let (last, found) = steps.iter().enumerate().rev().find_map(|(at, step)| Some((at, id_of(step)?)))?;
        (found == id).then(|| format!("{hierarchy}{}\n", steps[..=last].join("/")))
    };
    groups.lines().filter_map(own).collect()
}

fn look_unified(folder: &Path, usage: &mut Usage) {
    let stat = pairs(folder, "cpu.stat");
    count(usage, column::CPU_US, stat.get("usage_usec").copied());
    count(usage, column::THROTTLED, stat.get("nr_throttled").copied());
    count(usage, column::THROTTLED_US, stat.get("throttled_usec").copied());
    gauge(usage, column::MEMORY_BYTES, number(folder, "memory.current"));
    gauge(usage, column::MEMORY_LIMIT_BYTES, number(folder, "memory.max").filter(is_limit));
    count(usage, column::OOM_KILLS, pairs(folder, "memory.events").get("oom_kill").copied());
    count(usage, column::PRESSURE_CPU_US, pressure(folder, "cpu.pressure"));
    count(usage, column::PRESSURE_MEMORY_US, pressure(folder, "memory.pressure"));
    count(usage, column::PRESSURE_IO_US, pressure(folder, "io.pressure"));
}

fn count(usage: &mut Usage, name: &'static str, value: Option<u64>) {
    usage.counters.extend(value.map(|value| (name, value)));
}

fn gauge(usage: &mut Usage, name: &'static str, value: Option<u64>) {
    usage.gauges.extend(value.map(|value| (name, value)));
}

fn is_limit(bytes: &u64) -> bool {
    *bytes < NO_MEMORY_LIMIT
}

/// A file of one number.
fn number(folder: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
}

/// A file of lines `name number`.
fn pairs(folder: &Path, name: &str) -> BTreeMap<String, u64> {
    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect()
}

/// Microseconds for which some task waited: `some avg10=0.00 avg60=0.00 avg300=0.00 total=1234`.
fn pressure(folder: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    text.lines().find(|line| line.starts_with("some "))?.rsplit_once("total=")?.1.trim().parse().ok()
}

/// Where a controller's hierarchy (that of version 2 for an empty name) is mounted, and in it the group's folder.
fn mounted_at(mountinfo: &str, controller: &str, group: &str) -> Option<PathBuf> {
    let is_it = |line: &&str| {
        let Some((_, after)) = line.split_once(" - ") else { return false };
        let mut words = after.split(' ');
        match (words.next(), controller) {
            (Some("cgroup2"), "") => true,
            (Some("cgroup"), name) if !name.is_empty() => {
                words.nth(1).is_some_and(|options| options.split(',').any(|option| option == name))
            }
            _ => false,
        }
    };
    let mut words = mountinfo.lines().find(is_it)?.split(' ');
    let (root, place) = (words.nth(3)?, words.next()?);
    let below = if root == "/" { group } else { group.strip_prefix(root)? };
    Some(Path::new(place).join(below.trim_start_matches('/')))
}

/// Time that was stolen from all CPUs: the eighth number of the first line.
fn steal_ms(stat: &str) -> Option<u64> {
    let ticks: u64 = stat.lines().next()?.split_ascii_whitespace().nth(8)?.parse().ok()?;
    Some(ticks.saturating_mul(TICK_US / 1_000))
}

fn of_process(pid: u32) -> io::Result<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut usage = Usage::default();
    let ticks = after_name(&stat)
        .and_then(|fields| Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?));
    count(&mut usage, column::CPU_US, ticks.map(|ticks| ticks.saturating_mul(TICK_US)));
    let value = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    gauge(&mut usage, column::MEMORY_BYTES, value("VmRSS:").map(|kibibytes| kibibytes * 1024));
    gauge(&mut usage, column::THREADS, value("Threads:"));
    Ok(usage)
}

/// True for a process itself and whatever descends from it, as far as 64 generations.
fn descends(process: u32, from: u32) -> bool {
    const GENERATIONS_MAX: usize = 64;
    let parent = |child: &u32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        after_name(&stat)?.get(1)?.parse().ok()
    };
    std::iter::successors(Some(process), parent).take(GENERATIONS_MAX).any(|one| one == from)
}

/// The fields of `/proc/PID/stat` behind the name, which may have anything in it; the first of them is field 3.
fn after_name(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace().collect())
}

impl Docker {
    /// What a container uses, as far as the engine tells: where its control group is on another machine.
    ///
    /// # Errors
    /// When the engine does not tell.
    pub async fn container_usage(&self, id: &str) -> Result<Usage, DockerError> {
        let options = query::StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut stats = Box::pin(self.engine.stats(id, Some(options)));
        let Some(stats) = stats.next().await else { return Ok(Usage::default()) };
        let stats = stats.map_err(DockerError::refused("tell what the container uses"))?;
        let mut usage = Usage::default();
        let cpu = stats.cpu_stats.unwrap_or_default();
        count(&mut usage, column::CPU_US, cpu.cpu_usage.and_then(|cpu| cpu.total_usage).map(|ns| ns / 1_000));
        let throttling = cpu.throttling_data.unwrap_or_default();
        count(&mut usage, column::THROTTLED, throttling.throttled_periods);
        count(&mut usage, column::THROTTLED_US, throttling.throttled_time.map(|ns| ns / 1_000));
        let memory = stats.memory_stats.unwrap_or_default();
        gauge(&mut usage, column::MEMORY_BYTES, memory.usage);
        gauge(&mut usage, column::MEMORY_LIMIT_BYTES, memory.limit.filter(is_limit));
        Ok(usage)
    }
}

/// True where there is a GPU whose use can be looked up.
pub fn has_gpu() -> bool {
    Path::new("/proc/driver/nvidia/version").exists()
}

/// What all GPUs of the machine are used for; empty where `nvidia-smi` does not tell in time.
pub async fn gpu_usage() -> Usage {
    let mut command = tokio::process::Command::new("nvidia-smi");
    command.args(["--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]).kill_on_drop(true);
    let said = tokio::time::timeout(GPU_PATIENCE, command.output()).await;
    let text = said.ok().and_then(Result::ok).map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    gpus_of(&text.unwrap_or_default())
}

/// `37, 1024` for each GPU: percent, MiB.
fn gpus_of(text: &str) -> Usage {
    let lines = text.lines().filter_map(|line| line.split_once(','));
    let gpus: Vec<(u64, u64)> =
        lines.filter_map(|(busy, used)| Some((busy.trim().parse().ok()?, used.trim().parse().ok()?))).collect();
    let mut usage = Usage::default();
    gauge(&mut usage, column::GPU_PERCENT, gpus.iter().map(|gpu| gpu.0).max());
    gauge(&mut usage, column::GPU_MEMORY_BYTES, gpus.iter().map(|gpu| gpu.1 << 20).reduce(|sum, more| sum + more));
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| fs::write(folder.path().join(name), text).unwrap());
        folder
    }

    #[test]
    fn a_group_of_version_2_is_read() {
        let folder = folder(&[
            ("cpu.stat", "usage_usec 1500\nuser_usec 1000\nnr_throttled 3\nthrottled_usec 900\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.events", "low 0\noom 1\noom_kill 1\n"),
            (
                "cpu.pressure",
                "some avg10=1.00 avg60=0.50 avg300=0.10 total=777\nfull avg10=0 avg60=0 avg300=0 total=5\n",
            ),
        ]);
        let usage = Group { unified: Some(folder.path().to_owned()), ..Group::default() }.look().unwrap();
        let counters = [
            (column::CPU_US, 1500),
            (column::OOM_KILLS, 1),
            (column::PRESSURE_CPU_US, 777),
            (column::THROTTLED, 3),
            (column::THROTTLED_US, 900),
        ];
        assert_eq!(usage.counters, BTreeMap::from(counters));
        assert_eq!(usage.gauges, BTreeMap::from([(column::MEMORY_BYTES, 4096)]), "`max` is no limit");
    }

    #[test]
    fn a_group_of_version_1_is_read_and_one_that_is_gone_says_so() {
        let folder = folder(&[
            ("cpu.stat", "nr_periods 10\nnr_throttled 4\nthrottled_time 5000000\n"),
            ("cpuacct.usage", "7000000\n"),
            ("memory.usage_in_bytes", "8192\n"),
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
        ]);
        let all = Some(folder.path().to_owned());
        let group = Group { unified: None, cpu: all.clone(), cpuacct: all.clone(), memory: all };
        let usage = group.look().unwrap();
        assert_eq!((usage.counters[column::CPU_US], usage.counters[column::THROTTLED_US]), (7_000, 5_000));
        assert_eq!((usage.counters[column::OOM_KILLS], usage.gauges.get(column::MEMORY_LIMIT_BYTES)), (2, None));
        drop(folder);
        assert!(group.look().is_err());
    }

    #[test]
    fn a_group_is_found_where_its_controllers_are_mounted() {
        let mounts = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                      35 31 0:32 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let found = Group::find("4:memory:/outer/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n", mounts).unwrap();
        assert_eq!(found.cpu.as_deref(), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/docker/abc")));
        assert_eq!(found.memory.as_deref(), Some(Path::new("/sys/fs/cgroup/memory/docker/abc")));
        assert_eq!(Group::find("4:memory:/../../etc\n", mounts), None);
        assert_eq!(Group::find("nonsense", mounts), None);
    }

    #[test]
    fn a_group_is_a_containers_where_the_last_name_of_a_container_in_its_path_is_its_own() {
        let (outer, inner) = ("a1".repeat(32), "b2".repeat(32));
        let of = |path: &str, id: &str| groups_of_container(&format!("4:cpu,cpuacct:{path}\n"), id);
        let kept = |path: &str| format!("4:cpu,cpuacct:{path}\n");
        let nested = format!("/docker/{outer}/docker/{inner}");
        assert_eq!((of(&nested, &inner), of(&nested, &outer)), (kept(&nested), String::new()));
        for name in [outer.clone(), format!("docker-{outer}.scope"), format!("cri-containerd-{outer}.scope")] {
            let group = format!("/system.slice/{name}");
            assert_eq!(of(&group, &outer), kept(&group));
            assert_eq!(of(&format!("{group}/init.scope"), &outer), kept(&group), "all of the container is meant");
            assert_eq!(of(&group, &inner), "");
        }
        assert_eq!(of("/user.slice", &outer), "");
        assert_eq!(of(&format!("/docker/{outer}"), &outer[..12]), "", "a beginning of an id is no id");
        assert_eq!(
            groups_of_container(&format!("0::/docker/{outer}\n3:pids:/\nnonsense"), &outer),
            format!("0::/docker/{outer}\n")
        );
    }

    #[test]
    fn this_process_has_memory_and_descends_from_its_parent() {
        let pid = std::process::id();
        assert!(UsageOf::Process(pid).look().unwrap().gauges[column::MEMORY_BYTES] > 0);
        assert!(UsageOf::Process(u32::MAX).look().is_err());
        assert!(descends(pid, pid) && descends(pid, std::os::unix::process::parent_id()) && !descends(1, pid));
    }

    #[test]
    fn gpus_and_stolen_time_are_read_as_they_are_written() {
        let usage = gpus_of("37, 1024\n90, 1\n");
        assert_eq!((usage.gauges[column::GPU_PERCENT], usage.gauges[column::GPU_MEMORY_BYTES]), (90, 1025 << 20));
        assert_eq!(gpus_of("no GPU"), Usage::default());
        assert_eq!(steal_ms("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n"), Some(80));
    }
}

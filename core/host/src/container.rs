//! A container for one replay: started as recorded, without any network, removed when it ends.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::{container::LogOutput, models, query_parameters as query};
use exchange::{ContainerConfig, LogLine, Stream};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use crate::{
    capabilities,
    docker::Docker,
    docker::is_not_found,
    elf,
    error::DockerError,
    inspect::{gpu_request, read_ulimit},
};

/// Label that names the run a container belongs to.
pub const RUN_LABEL: &str = "retake.run";
/// Label that names the process that started it.
pub const OWNER_LABEL: &str = "retake.owner";
/// Where our own things stand in the container.
const INSIDE: &str = "/.retake";
/// Longest log line kept, in bytes; the rest of it is left out.
const LOG_LINE_BYTES_MAX: usize = 64 << 10;
/// Most log lines kept of one run. A choice; what is left out is said by a last line.
const LOG_LINES_MAX: usize = 100_000;

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct ContainerSpec {
    /// What the engine calls the image.
    pub image: String,
    /// How it was started when it was recorded; variables are taken from `variables` instead.
    pub config: ContainerConfig,
    /// The image's own entrypoint and command, where the recording had no other.
    pub argv: Vec<String>,
    /// Name and value.
    pub variables: Vec<(String, String)>,
    /// Names for its hosts file, and the address of its loopback that each leads to.
    pub hosts: Vec<(String, IpAddr)>,
    /// What is mounted beside our own.
    pub mounts: Vec<MountSpec>,
    /// This program: statically linked, becomes pid 1.
    pub executable: PathBuf,
    /// Folder with the bridge's socket and `init.json`, mounted into the container.
    pub run_folder: PathBuf,
    /// The run's id, for the label.
    pub run: String,
}

/// Something to mount into a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// Where, in the container.
    pub path: String,
    /// What it is.
    pub source: MountSource,
    /// True where the container may not write to it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A file or folder of the engine's machine.
    Here(PathBuf),
    /// A volume of this name.
    Volume(String),
    /// An empty volume of the container's own, which goes with it.
    Fresh,
}

/// A container that runs, or did.
pub struct RunningContainer {
    docker: Docker,
    id: String,
    logs: Arc<Mutex<Vec<LogLine>>>,
    follower: JoinHandle<()>,
    waiter: JoinHandle<Option<i64>>,
    warnings: Vec<String>,
    removed: bool,
}

impl Docker {
    /// Creates and starts a container with our init, no network, no capability beyond its own files and users, no new
    /// privilege.
    ///
    /// # Errors
    /// `NotStatic` for an executable that would not run in every image, else what the engine refuses.
    pub async fn start(
        &self,
        spec: &ContainerSpec,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        if !elf::is_static(&spec.executable) {
            return Err(DockerError::NotStatic { path: spec.executable.display().to_string() });
        }
        self.start_body(body_of(spec), clock).await
    }

    async fn start_body(
        &self,
        body: models::ContainerCreateBody,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        let created = self.engine.create_container(None, body).await;
        let created = created.map_err(DockerError::refused("create the container"))?;
        let id = created.id;
        let logs = Arc::new(Mutex::new(Vec::new()));
        let started = self.engine.start_container(&id, None).await;
        let mut container = RunningContainer {
            docker: self.clone(),
            logs: Arc::clone(&logs),
            follower: tokio::spawn(follow(self.engine.clone(), id.clone(), logs, clock)),
            waiter: tokio::spawn(wait(self.engine.clone(), id.clone())),
            id,
            warnings: created.warnings,
            removed: false,
        };
        if let Err(error) = started {
            container.remove().await?;
            return Err(DockerError::refused("start the container")(error));
        }
        Ok(container)
    }

    /// Starts an image as it is on this machine's own network, as `docker run --network host` does: a service to be recorded.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn start_on_host_network(
        &self,
        image: &str,
        variables: &[(String, String)],
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        let body = models::ContainerCreateBody {
            image: Some(image.to_owned()),
            env: Some(variables.iter().map(|(name, value)| format!("{name}={value}")).collect()),
            labels: Some(labels("service")),
            host_config: Some(models::HostConfig { network_mode: Some("host".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        self.start_body(body, clock).await
    }

    /// Removes containers of runs whose owner is gone. Returns how many.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn remove_left_behind(&self) -> Result<usize, DockerError> {
        let left = self.left_behind().await?;
        for id in &left {
            remove(&self.engine, id).await?;
        }
        Ok(left.len())
    }

    /// How many containers of runs there are whose owner is gone.
    ///
    /// # Errors
    /// What the engine refuses.
    pub(crate) async fn left_behind_count(&self) -> Result<usize, DockerError> {
        Ok(self.left_behind().await?.len())
    }

    async fn left_behind(&self) -> Result<Vec<String>, DockerError> {
        let filters = HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])]);
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers =
            self.engine.list_containers(Some(options)).await.map_err(DockerError::refused("list its containers"))?;
        let owner_of = |container: &models::ContainerSummary| {
            container.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL)).cloned().unwrap_or_default()
        };
        let left = containers.into_iter().filter(|container| !is_alive(&owner_of(container)));
        Ok(left.filter_map(|container| container.id).collect())
    }
}

impl RunningContainer {
    /// What the engine did otherwise than it was asked to, in its own words.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// What the engine calls it.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn engine(&self) -> &bollard::Docker {
        &self.docker.engine
    }

    /// True when it has ended by itself.
    pub fn has_ended(&self) -> bool {
        self.waiter.is_finished()
    }

    /// Waits until it ends and gives its exit status; `None` when the engine does not tell.
    pub async fn ended(&mut self) -> Option<i64> {
        (&mut self.waiter).await.ok().flatten()
    }

    /// The last lines it wrote so far, at most `count`.
    pub fn last_lines(&self, count: usize) -> Vec<LogLine> {
        let logs = self.logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        logs[logs.len().saturating_sub(count)..].to_vec()
    }

    /// Asks it to stop, and kills it after `patience`.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn stop(&self, patience: Duration) -> Result<(), DockerError> {
        let seconds = i32::try_from(patience.as_secs()).unwrap_or(i32::MAX);
        let options = query::StopContainerOptionsBuilder::default().t(seconds).build();
        match self.docker.engine.stop_container(&self.id, Some(options)).await {
            Err(error) if !is_not_found(&error) => Err(DockerError::refused("stop the container")(error)),
            _ => Ok(()),
        }
    }

    /// Removes it with its volumes and gives back all that it logged.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn remove(&mut self) -> Result<Vec<LogLine>, DockerError> {
        // The log ends by itself once the container has; a stuck engine is not waited for.
        let followed = tokio::time::timeout(Duration::from_secs(2), &mut self.follower).await;
        remove(&self.docker.engine, &self.id).await?;
        self.removed = true;
        if followed.is_err() {
            self.follower.abort();
        }
        Ok(std::mem::take(&mut *self.logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner)))
    }
}

impl Drop for RunningContainer {
    /// What was not removed in order is removed behind our back, as long as there is a runtime to do it.
    fn drop(&mut self) {
        if self.removed {
            return;
        }
        let (engine, id) = (self.docker.engine.clone(), self.id.clone());
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { drop(remove(&engine, &id).await) });
        }
    }
}

pub(crate) async fn remove(engine: &bollard::Docker, id: &str) -> Result<(), DockerError> {
    let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.remove_container(id, Some(options)).await {
        Err(error) if !is_not_found(&error) => Err(DockerError::refused("remove the container")(error)),
        _ => Ok(()),
    }
}

fn body_of(spec: &ContainerSpec) -> models::ContainerCreateBody {
    let config = &spec.config;
    let mut argv = vec![format!("{INSIDE}/run/init.json"), "--".to_owned()];
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
        labels: Some(labels(&spec.run)),
        // A health check of the image would be one more client; readiness is asked for through the bridge.
        healthcheck: Some(models::HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
        host_config: Some(host_config(spec)),
        ..Default::default()
    }
}

impl MountSpec {
    fn to_engine(&self) -> models::Mount {
        let (typ, source) = match &self.source {
            MountSource::Here(path) => (models::MountType::BIND, Some(path.display().to_string())),
            MountSource::Volume(name) => (models::MountType::VOLUME, Some(name.clone())),
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

pub(crate) fn labels(run: &str) -> HashMap<String, String> {
    HashMap::from([(RUN_LABEL.to_owned(), run.to_owned()), (OWNER_LABEL.to_owned(), owner_of_this_process())])
}

fn host_config(spec: &ContainerSpec) -> models::HostConfig {
    let config = &spec.config;
    let limits = &config.limits;
    let signed = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    let bind = |path: &Path, inside: &str| models::Mount {
        target: Some(format!("{INSIDE}/{inside}")),
        source: Some(path.display().to_string()),
        typ: Some(models::MountType::BIND),
        read_only: Some(true),
        ..Default::default()
    };
    let tmpfs = config.mounts.iter().filter(|mount| mount.kind == "tmpfs");
    let tmpfs_options = |mount: &exchange::Mount| match (mount.options.as_str(), mount.read_only) {
        ("", true) => "ro".to_owned(),
        ("", false) => "rw".to_owned(),
        (options, _) => options.to_owned(),
    };
    let tmpfs = tmpfs.map(|mount| (mount.path.clone(), tmpfs_options(mount)));
    let ours = [bind(&spec.executable, "retake"), bind(&spec.run_folder, "run")];
    models::HostConfig {
        network_mode: Some("none".to_owned()),
        mounts: Some(ours.into_iter().chain(spec.mounts.iter().map(MountSpec::to_engine)).collect()),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(capabilities::kept(config)),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
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
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Reads the container's output line by line until it ends.
async fn follow(
    engine: bollard::Docker,
    id: String,
    logs: Arc<Mutex<Vec<LogLine>>>,
    clock: Arc<dyn Fn() -> u64 + Send + Sync>,
) {
    let options = query::LogsOptionsBuilder::default().follow(true).stdout(true).stderr(true).build();
    let mut output = Box::pin(engine.logs(&id, Some(options)));
    let mut unfinished: [Vec<u8>; 2] = Default::default();
    while let Some(Ok(piece)) = output.next().await {
        let stream = if matches!(piece, LogOutput::StdErr { .. }) { Stream::Stderr } else { Stream::Stdout };
        let rest = &mut unfinished[usize::from(stream == Stream::Stderr)];
        let at_ns = clock();
        for part in piece.into_bytes().split_inclusive(|&byte| byte == b'\n') {
            let room = LOG_LINE_BYTES_MAX.saturating_sub(rest.len());
            rest.extend_from_slice(&part[..part.len().min(room)]);
            if part.ends_with(b"\n") {
                keep(&logs, at_ns, stream, &std::mem::take(rest));
            }
        }
    }
    let at_ns = clock();
    for (rest, stream) in unfinished.into_iter().zip([Stream::Stdout, Stream::Stderr]) {
        if !rest.is_empty() {
            keep(&logs, at_ns, stream, &rest);
        }
    }
}

fn keep(logs: &Mutex<Vec<LogLine>>, at_ns: u64, stream: Stream, line: &[u8]) {
    let mut logs = logs.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let text = match logs.len() {
        0..LOG_LINES_MAX => String::from_utf8_lossy(line.trim_ascii_end()).into_owned(),
        LOG_LINES_MAX => format!("(more than {LOG_LINES_MAX} lines: the rest is not kept)"),
        _ => return,
    };
    logs.push(LogLine { at_ns, stream, text });
}

async fn wait(engine: bollard::Docker, id: String) -> Option<i64> {
    let mut ended = Box::pin(engine.wait_container(&id, None));
    match ended.next().await? {
        Ok(response) => Some(response.status_code),
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => Some(code),
        Err(_) => None,
    }
}

/// Pid and start time, so that a pid that was given out again is not taken for the owner.
fn owner_of_this_process() -> String {
    let pid = std::process::id();
    format!("{pid}:{}", start_time_of(pid).unwrap_or_default())
}

fn is_alive(owner: &str) -> bool {
    let Some((pid, started)) = owner.split_once(':') else { return false };
    pid.parse().ok().and_then(start_time_of).is_some_and(|found| found == started)
}

/// Field 22 of `/proc/PID/stat` (proc(5)), counted behind the command's closing parenthesis.
fn start_time_of(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_as_long_as_its_process_and_a_reused_pid_is_another() {
        assert!(is_alive(&owner_of_this_process()));
        assert!(!is_alive(&format!("{}:1", std::process::id())));
        assert!(!is_alive("nonsense"));
    }
}

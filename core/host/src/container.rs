//! A container for one replay: started as recorded, without any network, removed when it ends.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use bollard::{models, query_parameters as query};
use exchange::{ContainerConfig, LogLine};
use futures_util::StreamExt;
use tokio::task::JoinHandle;

use self::{
    body::{body_of, without_ipv6},
    changed::made_by_engine,
    logs::follow,
};
use crate::{
    deliver::{Delivered, Delivery, deliver},
    docker::{Docker, is_not_found, is_under_way},
    elf,
    error::DockerError,
    owner::labels,
};

mod body;
mod changed;
mod logs;
mod profile;

/// How long the engine may take to tell of a container. A choice.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// How long an engine that ends may answer after it has stopped its containers. A choice.
const ENGINE_ENDING: Duration = Duration::from_secs(1);

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
    /// Volumes made for it, which go with it, also where it cannot be started.
    pub volumes: Vec<String>,
    /// This program: statically linked, becomes pid 1.
    pub executable: PathBuf,
    /// Folder with `init.json`, and with the bridge's socket where it is mounted.
    pub run_folder: PathBuf,
    /// How the program and the folder get into the container.
    pub delivery: Delivery,
    /// The run's id, for the label.
    pub run: String,
    /// Whether its programs may be started at fixed addresses, for which it gets a seccomp profile of ours.
    pub fixed_addresses: bool,
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
    /// What the waiter gave, once it was asked.
    status: Option<Option<i64>>,
    warnings: Vec<String>,
    /// Volumes made for it, which go with it.
    volumes: Vec<String>,
    /// Where the engine made something in it so that there is something to mount on.
    made: Vec<String>,
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
        let mut volumes = spec.volumes.clone();
        match self.start_delivered(spec, &mut volumes, clock).await {
            Ok(mut container) => {
                container.volumes = volumes;
                Ok(container)
            }
            Err(error) => {
                self.remove_volumes(&volumes).await;
                Err(error)
            }
        }
    }

    async fn start_delivered(
        &self,
        spec: &ContainerSpec,
        volumes: &mut Vec<String>,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        let Delivered { mounts, volume } = deliver(self, spec).await?;
        volumes.extend(volume);
        self.start_with_ipv6(body_of(spec, mounts), clock).await
    }

    /// With `::1`, unless this kernel has none.
    async fn start_with_ipv6(
        &self,
        body: models::ContainerCreateBody,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        match self.start_body(body.clone(), Arc::clone(&clock)).await {
            Err(error) if error.is_about_ipv6() => self.start_body(without_ipv6(body), clock).await,
            started => started,
        }
    }

    async fn start_body(
        &self,
        body: models::ContainerCreateBody,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        self.start_filled(body, None, clock).await
    }

    /// Creates a container, puts files into it where there are some, and starts it. Nothing is left where one of these fails.
    pub(crate) async fn start_filled(
        &self,
        body: models::ContainerCreateBody,
        files: Option<&(PathBuf, String)>,
        clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    ) -> Result<RunningContainer, DockerError> {
        let made = made_by_engine(&body);
        let created = self.engine.create_container(None, body).await;
        let created = created.map_err(DockerError::refused("create the container"))?;
        let id = created.id;
        let logs = Arc::new(Mutex::new(Vec::new()));
        let started = self.fill_and_start(&id, files).await;
        let mut container = RunningContainer {
            docker: self.clone(),
            logs: Arc::clone(&logs),
            follower: tokio::spawn(follow(self.engine.clone(), id.clone(), logs, clock)),
            waiter: tokio::spawn(wait(self.engine.clone(), id.clone())),
            status: None,
            id,
            warnings: created.warnings,
            volumes: Vec::new(),
            made,
            removed: false,
        };
        if let Err(error) = started {
            container.remove().await?;
            return Err(error);
        }
        Ok(container)
    }

    async fn fill_and_start(&self, id: &str, files: Option<&(PathBuf, String)>) -> Result<(), DockerError> {
        if let Some((from, to)) = files {
            self.put_into(id, from, to).await?;
        }
        self.engine.start_container(id, None).await.map_err(DockerError::refused("start the container"))
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

    /// True when the engine that started it has gone away under it, also where another one answers by now. An engine that
    /// ends ends its containers.
    pub async fn lost_its_engine(&mut self) -> bool {
        match self.is_running().await {
            None => return true,
            Some(true) => return false,
            Some(false) => {}
        }
        // Where the engine ended meanwhile, the wait for its container broke off; it stops its containers before it is gone.
        let status = tokio::time::timeout(ANSWER_PATIENCE, self.ended()).await;
        if status == Ok(None) {
            return true;
        }
        tokio::time::sleep(ENGINE_ENDING).await;
        self.is_running().await.is_none()
    }

    /// Whether it runs; `None` where no engine answers.
    async fn is_running(&self) -> Option<bool> {
        let asked = tokio::time::timeout(ANSWER_PATIENCE, self.docker.engine.inspect_container(&self.id, None)).await;
        match asked.ok()? {
            Ok(container) => Some(container.state.and_then(|state| state.running).unwrap_or_default()),
            Err(error) => is_not_found(&error).then_some(false),
        }
    }

    /// Waits until it ends and gives its exit status; `None` when the engine does not tell.
    pub async fn ended(&mut self) -> Option<i64> {
        // What was waited for once is not waited for again: asking a second time gives the same.
        if self.status.is_none() {
            self.status = Some((&mut self.waiter).await.ok().flatten());
        }
        self.status.flatten()
    }

    /// The name of the program that its first process runs now, as the kernel has it; `None` where the engine does not tell.
    pub async fn first_program(&self) -> Option<String> {
        let engine = &self.docker.engine;
        let pid = engine.inspect_container(&self.id, None).await.ok()?.state?.pid?.to_string();
        let options = query::TopOptionsBuilder::default().ps_args("-eo pid,comm").build();
        let processes = engine.top_processes(&self.id, Some(options)).await.ok()?.processes?;
        let row = processes.into_iter().find(|row| row.first() == Some(&pid))?;
        row.into_iter().nth(1)
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

    /// Removes it with its volumes, those made for it too, and gives back all that it logged.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn remove(&mut self) -> Result<Vec<LogLine>, DockerError> {
        // The log ends by itself once the container has; a stuck engine is not waited for.
        let followed = tokio::time::timeout(Duration::from_secs(2), &mut self.follower).await;
        remove(&self.docker.engine, &self.id).await?;
        self.removed = true;
        for volume in &self.volumes {
            self.docker.remove_volume(volume).await?;
        }
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
        let (docker, id, volumes) = (self.docker.clone(), self.id.clone(), std::mem::take(&mut self.volumes));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                drop(remove(&docker.engine, &id).await);
                docker.remove_volumes(&volumes).await;
            });
        }
    }
}

pub(crate) async fn remove(engine: &bollard::Docker, id: &str) -> Result<(), DockerError> {
    let options = query::RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.remove_container(id, Some(options)).await {
        // Where it is being removed already, by whoever ended its run or by an earlier attempt, it will be gone.
        Err(error) if !is_not_found(&error) && !is_under_way(&error) => {
            Err(DockerError::refused("remove the container")(error))
        }
        _ => Ok(()),
    }
}

async fn wait(engine: bollard::Docker, id: String) -> Option<i64> {
    let mut ended = Box::pin(engine.wait_container(&id, None));
    match ended.next().await? {
        Ok(response) => Some(response.status_code),
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => Some(code),
        Err(_) => None,
    }
}

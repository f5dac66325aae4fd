//! Whose a container or a volume is, and the removal of what dead owners left behind.
//!
//! Everything made for a run is labelled with the run and with the process that owns it. Several machines, or several
//! containers, may share one engine, and a process's number says something only where it was given out: an owner from
//! elsewhere is never judged, and what is its stays.

use std::{collections::HashMap, fs};

use bollard::{models, query_parameters as query};

use crate::{container, docker::Docker, error::DockerError};

/// Label that names the run a container or volume belongs to.
pub const RUN_LABEL: &str = "retake.run";
/// Label that names the process that made it, as [`owner_of`] writes it.
pub const OWNER_LABEL: &str = "retake.owner";

/// What is put on everything that is made for a run.
pub(crate) fn labels(run: &str) -> HashMap<String, String> {
    let owner = owner_of(std::process::id()).unwrap_or_default();
    HashMap::from([(RUN_LABEL.to_owned(), run.to_owned()), (OWNER_LABEL.to_owned(), owner)])
}

/// A process as an owner: `PID:START@BOOT/NAMESPACE`. With the start time a number that was given out again is not taken
/// for the owner; the boot of the kernel and the process name space say where the number means anything.
///
/// `None` for a process that is not there, or where the kernel does not tell.
pub fn owner_of(pid: u32) -> Option<String> {
    Some(format!("{pid}:{}@{}", start_time_of(pid)?, place()?))
}

/// What of a run is left whose owner is gone.
#[derive(Debug, Default)]
struct LeftBehind {
    containers: Vec<String>,
    volumes: Vec<String>,
}

impl Docker {
    /// Removes containers and volumes of runs whose owner is gone. Returns how many.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn remove_left_behind(&self) -> Result<usize, DockerError> {
        let left = self.left_behind().await?;
        for id in &left.containers {
            container::remove(&self.engine, id).await?;
        }
        for name in &left.volumes {
            self.remove_volume(name).await?;
        }
        Ok(left.containers.len() + left.volumes.len())
    }

    /// How many containers and volumes of runs there are whose owner is gone.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn left_behind_count(&self) -> Result<usize, DockerError> {
        let left = self.left_behind().await?;
        Ok(left.containers.len() + left.volumes.len())
    }

    async fn left_behind(&self) -> Result<LeftBehind, DockerError> {
        let filters = HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])]);
        let options = query::ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let containers =
            self.engine.list_containers(Some(options)).await.map_err(DockerError::refused("list its containers"))?;
        let of_dead = |container: &models::ContainerSummary| is_of_a_dead(container.labels.as_ref());
        let containers = containers.into_iter().filter(of_dead).filter_map(|container| container.id).collect();
        let options = query::ListVolumesOptionsBuilder::default().filters(&filters).build();
        let volumes =
            self.engine.list_volumes(Some(options)).await.map_err(DockerError::refused("list its volumes"))?;
        let volumes = volumes.volumes.unwrap_or_default().into_iter();
        let volumes = volumes.filter(|volume| is_of_a_dead(Some(&volume.labels))).map(|volume| volume.name).collect();
        Ok(LeftBehind { containers, volumes })
    }
}

fn is_of_a_dead(labels: Option<&HashMap<String, String>>) -> bool {
    let owner = labels.and_then(|labels| labels.get(OWNER_LABEL)).map_or("", String::as_str);
    is_alive(owner) == Some(false)
}

/// Whether an owner is there; `None` where that cannot be told from here.
fn is_alive(owner: &str) -> Option<bool> {
    let (process, place_of_owner) = owner.split_once('@')?;
    let (pid, started) = process.split_once(':')?;
    let pid = pid.parse().ok()?;
    (place_of_owner == place()?).then(|| start_time_of(pid).is_some_and(|found| found == started))
}

/// This boot of this kernel, and this process name space (random(4), namespaces(7)).
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let name_space = fs::read_link("/proc/self/ns/pid").ok()?;
    let number = name_space.to_str()?.trim_start_matches("pid:[").trim_end_matches(']').to_owned();
    Some(format!("{}/{number}", boot.trim()))
}

/// Field 22 of `/proc/PID/stat` (proc(5)), counted behind the command's closing parenthesis.
fn start_time_of(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_as_long_as_its_process_and_a_reused_pid_is_another() {
        let owner = owner_of(std::process::id()).unwrap();
        assert_eq!(is_alive(&owner), Some(true));
        let (_, place) = owner.split_once('@').unwrap();
        assert_eq!(is_alive(&format!("{}:1@{place}", std::process::id())), Some(false));
    }

    #[test]
    fn an_owner_on_another_machine_or_among_other_processes_is_not_judged() {
        let owner = owner_of(std::process::id()).unwrap();
        let (_, place) = owner.split_once('@').unwrap();
        let (boot, name_space) = place.split_once('/').unwrap();
        for elsewhere in [format!("another-boot/{name_space}"), format!("{boot}/1"), String::new()] {
            assert_eq!(is_alive(&format!("1:1@{elsewhere}")), None, "{elsewhere}");
        }
        for nonsense in ["", "nonsense", "1:1", "@", &format!("x:1@{place}")] {
            assert_eq!(is_alive(nonsense), None, "{nonsense}");
        }
    }
}

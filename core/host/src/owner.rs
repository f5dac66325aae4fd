//! Whose a container is, and which are left of runs that nobody minds any more.

use std::collections::HashMap;

use bollard::{models, query_parameters as query};

use crate::{container, docker::Docker, error::DockerError};

/// Label that names the run a container belongs to.
pub const RUN_LABEL: &str = "retake.run";
/// Label that names the process that started it.
pub const OWNER_LABEL: &str = "retake.owner";

pub(crate) fn labels(run: &str) -> HashMap<String, String> {
    HashMap::from([(RUN_LABEL.to_owned(), run.to_owned()), (OWNER_LABEL.to_owned(), owner_of_this_process())])
}

impl Docker {
    /// Removes containers of runs whose owner is gone. Returns how many.
    ///
    /// # Errors
    /// What the engine refuses.
    pub async fn remove_left_behind(&self) -> Result<usize, DockerError> {
        let left = self.left_behind().await?;
        for id in &left {
            container::remove(&self.engine, id).await?;
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

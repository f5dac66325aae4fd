//! Takes the fingerprint of what is recorded.
//!
//! In: whose it is to be. Out: always a fingerprint, and why it says less than was asked, where it does. What is in it is
//! `host`'s.

use std::sync::Arc;

use content::redact::Redactor;
use exchange::{Fingerprint, HostEnvironment, Subject};
use host::Docker;

use crate::error::with_causes;

/// Whose fingerprint is taken.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    /// The host's alone.
    Nobody,
    /// A container's.
    Container(String),
    /// A process's.
    Process(u32),
}

/// Takes a fingerprint; with the reason when its subject could not be seen.
pub(crate) async fn take(
    whose: Whose,
    redactor: Arc<Redactor>,
    secret_names: Arc<[String]>,
) -> (Fingerprint, Option<String>) {
    let mut engine = None;
    let subject = match whose {
        Whose::Nobody => Ok(Subject::Unknown),
        Whose::Container(name) => see_container(&name, &secret_names, &mut engine).await,
        Whose::Process(pid) => see_process(pid, redactor, secret_names).await,
    };
    let environment = tokio::task::spawn_blocking(host::host_environment).await.unwrap_or_default();
    let host = HostEnvironment { engine, ..environment };
    let (subject, problem) = match subject {
        Ok(subject) => (subject, None),
        Err(problem) => (Subject::Unknown, Some(problem)),
    };
    (Fingerprint { subject, host, packages: Vec::new() }, problem)
}

async fn see_container(name: &str, secret_names: &[String], engine: &mut Option<String>) -> Result<Subject, String> {
    let docker = Docker::connect().await.map_err(|error| with_causes(&error))?;
    *engine = Some(docker.version().to_owned());
    let identity = docker.container_identity(name, secret_names).await.map_err(|error| with_causes(&error))?;
    Ok(Subject::Container(Box::new(identity)))
}

async fn see_process(pid: u32, redactor: Arc<Redactor>, secret_names: Arc<[String]>) -> Result<Subject, String> {
    let seen = tokio::task::spawn_blocking(move || host::process_identity(pid, &redactor, &secret_names)).await;
    let identity = seen.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))?;
    Ok(Subject::Process(Box::new(identity)))
}

//! Takes the fingerprint of what is recorded.
//!
//! In: whose it is to be. Out: always a fingerprint, and why it says less than was asked, where it does. What is in it is
//! `host`'s.

mod following;

use std::{path::Path, sync::Arc, time::Duration};

use content::redact::Redactor;
use exchange::{ContainerIdentity, Fingerprint, HostEnvironment, Package, Subject};
use host::{Docker, DockerError, ProcessError, Reach, SeenProcess, TreeLimits};

pub(crate) use self::following::Following;
use crate::{CaptureError, Clock, Service, error::with_causes};

/// Longest wait for a container engine or a process to show itself: meanwhile exchanges wait for their environment. A choice.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longest wait for the engine before anything is recorded: a capture begins without one that hangs. A choice.
const FINDING_PATIENCE: Duration = Duration::from_secs(3);

/// Makes sure that what is to be recorded is there, and finds out how a container reaches this machine. Where no engine
/// answers that is not known, and the capture goes on without: requests matter more.
///
/// # Errors
/// `Container` or `Process` when there is none of that name.
pub(crate) async fn find(service: &Service) -> Result<Option<Reach>, CaptureError> {
    match service {
        Service::Process(pid) if !Path::new("/proc").join(pid.to_string()).exists() => {
            Err(CaptureError::Process(ProcessError::Gone { pid: *pid }))
        }
        Service::Container(name) => {
            let finding = async { Docker::connect().await?.reach(name).await };
            match tokio::time::timeout(FINDING_PATIENCE, finding).await {
                Ok(Err(error @ DockerError::NoContainer { .. })) => Err(CaptureError::Container(error)),
                Ok(found) => Ok(found.ok()),
                Err(_) => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

/// Whose fingerprint is taken.
#[derive(Clone, Debug)]
pub(crate) enum Whose {
    /// The host's alone.
    Nobody,
    /// A container's.
    Container(String),
    /// A process's, with what it was started with where that is known.
    Process(u32, Arc<[String]>),
}

impl Whose {
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Process(pid, _) => Some(*pid),
            Self::Container(_) | Self::Nobody => None,
        }
    }
}

/// What could not be seen, and why.
#[derive(Debug, Default)]
pub(crate) struct Unseen {
    /// The subject.
    pub(crate) subject: Option<String>,
    /// Its packages, where the rest of it was seen.
    pub(crate) packages: Option<String>,
    /// Mounts whose content could not be, each with why.
    pub(crate) mounts: Vec<String>,
    /// What a process shows in the place of its arguments.
    pub(crate) arguments: Option<String>,
}

/// What a look gave.
struct Look {
    fingerprint: Fingerprint,
    unseen: Unseen,
    /// When the engine had said what the container is, in nanoseconds since the session's start: what changed later is not in it.
    seen_ns: u64,
}

/// Takes a fingerprint; says what could not be seen of it. What did not change since the container was `known` is in the same
/// words.
async fn take(
    whose: Whose,
    known: Option<&ContainerIdentity>,
    clock: Clock,
    redactor: Arc<Redactor>,
    secret_names: Arc<[String]>,
) -> Look {
    let mut beside = Beside::default();
    let mut arguments = None;
    let seeing = async {
        match whose {
            Whose::Nobody => Ok(Subject::Unknown),
            Whose::Container(name) => {
                let (redactor, secret_names) = (&redactor, &secret_names);
                Seeing { known, clock, redactor, secret_names }.container(&name, &mut beside).await
            }
            Whose::Process(pid, command) => {
                let seen = see_process(pid, command, redactor, secret_names).await?;
                arguments = seen.shows;
                Ok(Subject::Process(Box::new(seen.identity)))
            }
        }
    };
    let late = |_| Err(format!("it did not show itself within {} s", PATIENCE.as_secs()));
    let subject = tokio::time::timeout(PATIENCE, seeing).await.unwrap_or_else(late);
    let Beside { seen_ns, machine, packages, mounts } = beside;
    let host = match machine {
        Some(machine) => machine,
        None => tokio::task::spawn_blocking(host::host_environment).await.unwrap_or_default(),
    };
    let mut unseen = Unseen { mounts, arguments, ..Unseen::default() };
    let packages = packages.unwrap_or_else(|problem| {
        unseen.packages = Some(problem);
        Vec::new()
    });
    let subject = subject.unwrap_or_else(|problem| {
        unseen.subject = Some(problem);
        Subject::Unknown
    });
    let seen_ns = seen_ns.unwrap_or_else(|| clock.now_ns());
    Look { fingerprint: Fingerprint { subject, host, packages }, unseen, seen_ns }
}

/// What is found beside a container's identity, and stays where the rest takes too long.
struct Beside {
    /// As a [`Look`] has it.
    seen_ns: Option<u64>,
    machine: Option<HostEnvironment>,
    packages: Result<Vec<Package>, String>,
    /// Mounts whose content could not be seen.
    mounts: Vec<String>,
}

impl Default for Beside {
    fn default() -> Self {
        Self { seen_ns: None, machine: None, packages: Ok(Vec::new()), mounts: Vec::new() }
    }
}

/// How a container is seen.
struct Seeing<'a> {
    known: Option<&'a ContainerIdentity>,
    clock: Clock,
    redactor: &'a Redactor,
    secret_names: &'a [String],
}

impl Seeing<'_> {
    async fn container(&self, name: &str, beside: &mut Beside) -> Result<Subject, String> {
        let docker = Docker::connect().await.map_err(|error| with_causes(&error))?;
        beside.machine = docker.machine().await.ok().map(|machine| machine.environment);
        let looking = docker.container_identity(name, self.known, self.secret_names);
        let mut identity = looking.await.map_err(|error| with_causes(&error))?;
        beside.seen_ns = Some(self.clock.now_ns());
        host::secret::conceal_arguments(&mut identity, self.redactor);
        // What cannot be read in time stays without a digest, and whoever replays is told so.
        let known_mounts = self.known.map(|known| &known.config.mounts[..]).unwrap_or_default();
        let into = &mut identity.config.mounts;
        let looking = docker.digest_mounts(name, into, known_mounts, TreeLimits::default(), PATIENCE / 2);
        beside.mounts = looking.await;
        // Together less than the whole patience: without these the rest is still worth having.
        let listed = tokio::time::timeout(PATIENCE / 4, docker.packages(name)).await;
        beside.packages = match listed {
            Ok(listed) => listed.map_err(|error| with_causes(&error)),
            Err(_) => Err("the engine takes too long to list them".to_owned()),
        };
        Ok(Subject::Container(Box::new(identity)))
    }
}

async fn see_process(
    pid: u32,
    command: Arc<[String]>,
    redactor: Arc<Redactor>,
    secret_names: Arc<[String]>,
) -> Result<SeenProcess, String> {
    let look = move || host::process_identity(pid, &command, &redactor, &secret_names);
    let seen = tokio::task::spawn_blocking(look).await;
    seen.map_err(|error| error.to_string())?.map_err(|error| with_causes(&error))
}

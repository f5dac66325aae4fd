//! What keeps a replay from being started: usage or environment trouble, or damage. What makes it void is in the receipt.

use std::path::PathBuf;

use exchange::Id;

use crate::{beside::BesideError, journal::ResumeError, secrets::SecretsError};

/// Why there was no replay. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A record could not be read.
    #[error("cannot read the recording")]
    Read(#[from] bundle::ReadError),
    /// A file could not be opened or does not verify.
    #[error("cannot use `{path}`")]
    Open {
        /// The bundle or store.
        path: PathBuf,
        /// Why.
        #[source]
        source: bundle::OpenError,
    },
    /// There is nothing in it to replay.
    #[error("there is no exchange of a client with the service in it")]
    NothingRecorded,
    /// A dependency call was named.
    #[error("`{id}` is a call of the service to a dependency; what is replayed is a client's call to the service")]
    NotIngress {
        /// The call.
        id: Id,
        /// The exchange it belongs to.
        parent: Option<Id>,
    },
    /// The recording does not know what ran.
    #[error("the recording names neither an image nor a process")]
    NothingPinned,
    /// The recording spans several images.
    #[error("the selection was recorded from {count} different images or commands")]
    SeveralTargets {
        /// How many.
        count: usize,
    },
    /// No container engine.
    #[error("no container can be started for the replay")]
    Docker(#[from] host::DockerError),
    /// A command or address given on the command line.
    #[error("cannot replay against `{target}`: {reason}")]
    Target {
        /// As given.
        target: String,
        /// Why not.
        reason: String,
    },
    /// An address of the recording cannot be listened on.
    #[error("cannot listen on `{address}` for dependency `{name}`")]
    Listen {
        /// The dependency.
        name: String,
        /// The address.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something listens already where the service is to listen.
    #[error("something listens on port {port} of this machine already, and would get the requests")]
    PortTaken {
        /// The service's port.
        port: u16,
    },
    /// The recording has no such dependency.
    #[error("the recording has no dependency `{name}`; it has {known}")]
    UnknownDependency {
        /// As given.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The recording does not tell where the service listened.
    #[error("the recording does not tell which port the service listened on")]
    NoPort,
    /// There is no dependency call in it.
    #[error("there is no call to a dependency in it")]
    NoDependencies,
    /// The file of secrets cannot be used.
    #[error("cannot use `{path}`")]
    Secrets {
        /// The file.
        path: PathBuf,
        /// Which line, and why.
        #[source]
        source: SecretsError,
    },
    /// A mount was given that the recorded container had not.
    #[error("the recorded container had nothing mounted at `{path}`; it had {known}")]
    UnknownMount {
        /// As given.
        path: String,
        /// Those there are.
        known: String,
    },
    /// What was asked to run beside the service cannot.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// One service cannot answer several repeats.
    #[error("`--reset none` cannot repeat what was said to `{dependency}`, a connection that is no HTTP")]
    NeedsReset {
        /// The dependency.
        dependency: String,
    },
    /// Something is given for a dependency that was not recorded.
    #[error("`--live {name}=…`: no dependency of that name was recorded")]
    NoSuchDependency {
        /// The name.
        name: String,
        /// Those that were.
        known: Vec<String>,
    },
    /// What was said on a connection that is no HTTP answers once.
    #[error("`--load` cannot multiply what was said to `{dependency}`, a connection that is no HTTP")]
    NeedsOneCopy {
        /// The dependency.
        dependency: String,
    },
    /// The bridge or a temporary folder failed.
    #[error("cannot prepare the run")]
    Prepare(#[source] std::io::Error),
    /// The run could not be written.
    #[error("cannot write the run")]
    Write(#[from] bundle::WriteError),
    /// A run cannot be gone on with.
    #[error("the run cannot be gone on with")]
    Resume(#[from] ResumeError),
    /// A run's file cannot be written again without what is to be done anew.
    #[error("the run cannot be gone on with")]
    TakeUp(#[from] bundle::PruneError),
    /// Somebody else writes to a run.
    #[error("`{path}` is being written: its replay is still under way")]
    RunInUse {
        /// The file.
        path: PathBuf,
    },
    /// What a run was made from is no longer what it was.
    #[error("`{path}` is another recording than the one that run {run} was begun with")]
    OtherSource {
        /// The recording.
        path: String,
        /// The run.
        run: Id,
    },
    /// A name leads to something else than when the run began.
    #[error("`{what}` is another than when run {run} began: it was {was}, and is {is} now")]
    Otherwise {
        /// The run.
        run: Id,
        /// As it was named, with its flag.
        what: String,
        /// What it was.
        was: String,
        /// What it is.
        is: String,
    },
    /// The service of a run that is gone on with cannot be judged.
    #[error("run {run} cannot be gone on with: {reason}")]
    CannotGoOn {
        /// The run.
        run: Id,
        /// Why.
        reason: String,
    },
    /// It went no further; what was judged by then is there.
    #[error("the replay was cut off; what was judged by then is kept")]
    CutOff {
        /// The run.
        run: Id,
        /// Why.
        #[source]
        source: Box<ReplayError>,
    },
}

impl ReplayError {
    /// True where the container engine is not there, or not any more.
    pub(crate) fn is_without_engine(&self) -> bool {
        matches!(self, Self::Docker(source) if source.is_gone())
    }

    /// What the user can do next.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Read(source) => source.help().map(Into::into),
            Self::Open { source, .. } => source.help().map(Into::into),
            Self::NothingRecorded => Some("see what is in it with `retake ls`".to_owned()),
            Self::NotIngress { parent: Some(parent), .. } => {
                Some(format!("replay its parent: `retake replay --only {parent} …`"))
            }
            Self::NothingPinned => {
                Some("say what to replay against: `--image REF`, `--process CMD` or `--target URL`".to_owned())
            }
            Self::SeveralTargets { .. } => {
                Some("choose exchanges of one of them with `--only ID`, or say `--image REF`".to_owned())
            }
            Self::Docker(host::DockerError::NoImage { reference }) => Some(format!(
                "`docker images` lists those that are; get this one with `docker pull {reference}`, or build it"
            )),
            Self::Docker(source @ host::DockerError::NoEngine { .. }) => {
                source.help().map(|help| format!("{help}; `retake doctor` checks what is there"))
            }
            Self::Docker(source) => source.help().map(Into::into),
            Self::Target { .. } => Some(
                "a command is written as in a shell: `--process './serve --port 8000'`; a service that runs already as \
                 `--target http://HOST:PORT`"
                    .to_owned(),
            ),
            Self::Secrets { .. } => {
                Some("write lines `PSEUDONYM=VALUE`; `retake inspect` lists the recording's pseudonyms".to_owned())
            }
            Self::UnknownMount { .. } => {
                Some("`retake inspect` lists the mounts; with `--image REF` others may be given".to_owned())
            }
            Self::Beside(source) => Some(source.help()),
            Self::NeedsReset { .. } => Some("say `--reset container`: each repeat gets a service of its own".to_owned()),
            Self::NoSuchDependency { known, .. } if known.is_empty() => Some("none was recorded".to_owned()),
            Self::NoSuchDependency { known, .. } => Some(format!("recorded are {}", known.join(", "))),
            Self::NeedsOneCopy { .. } => {
                Some("leave `--load` out, or run a real one beside the service with `--beside NAME=IMAGE`".to_owned())
            }
            Self::Resume(source) => source.help().map(Into::into),
            Self::TakeUp(source) => source.help().map(Into::into),
            Self::RunInUse { .. } => Some("wait until it has ended".to_owned()),
            Self::OtherSource { .. } => Some("put the recording back, or replay this one anew".to_owned()),
            Self::Otherwise { .. } => {
                Some("let the name lead to what it was again, and go on; or replay anew, as it is now. The run stays as it is".to_owned())
            }
            Self::CannotGoOn { .. } => Some("it stays as it is; put right what is wrong, and go on with it".to_owned()),
            Self::CutOff { run, source } => {
                let help = source.help().map(|help| format!("{help}; then ")).unwrap_or_default();
                Some(format!("{help}go on with it: `retake replay --resume {}`", run.short()))
            }
            Self::NoPort => Some("say it with `--port N`".to_owned()),
            Self::PortTaken { .. } => {
                Some("end it, or let the service listen elsewhere and say so with `--port N`".to_owned())
            }
            Self::Listen { .. } => Some("end what listens there, or choose another address".to_owned()),
            _ => None,
        }
    }
}

//! Why a capture cannot begin.

use std::{error::Error, io, net::SocketAddr};

use bundle::StoreError;

/// Why a capture cannot begin. Once it has begun, nothing ends it but its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// There is nothing to record.
    #[error("there is neither a service nor a dependency to record")]
    NothingToRecord,
    /// The service itself is said to speak something else than HTTP.
    #[error("`{upstream}` cannot be the service: what clients ask of it has to be HTTP to be sent again")]
    RawUpstream {
        /// As given.
        upstream: String,
    },
    /// Two dependencies have one name.
    #[error("the dependency `{name}` is given twice")]
    SameName {
        /// The name.
        name: String,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on `{address}` for {whom}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// `clients`, or the dependency.
        whom: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// There is no such container.
    #[error(transparent)]
    Container(host::DockerError),
    /// There is no such process.
    #[error(transparent)]
    Process(host::ProcessError),
    /// The store cannot be written to.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// The service cannot be started.
    #[error("cannot start `{program}`")]
    Command {
        /// The program.
        program: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The operating system gave no randomness, or no thread.
    #[error("cannot begin a session")]
    Session(#[source] io::Error),
}

impl CaptureError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NothingToRecord => Some("name the service with `--upstream http://HOST:PORT`"),
            Self::RawUpstream { .. } => Some("record what it calls, with `--dependency NAME=tcp://HOST:PORT`"),
            Self::SameName { .. } => Some("give each dependency a name of its own"),
            Self::Listen { source, .. } => Some(listen_help(source.kind())),
            Self::Container(error) => error.help(),
            Self::Process(error) => error.help(),
            Self::Store(error) => error.help(),
            Self::Command { .. } => Some("check the command after `--`"),
            Self::Session(_) => None,
        }
    }
}

fn listen_help(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those that it has, `docker network inspect bridge` the one \
             that containers reach it at"
        }
        io::ErrorKind::PermissionDenied => "ports below 1024 are for root: choose a higher one",
        _ => {
            "something else listens there, perhaps another capture: end it, or choose another address with `--listen` or, for a \
             dependency, `NAME=URL,listen=ADDRESS:PORT`"
        }
    }
}

/// What lies behind an error, without what the errors on the way say of it.
pub(crate) fn first_cause(error: &dyn Error) -> String {
    let mut first = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    first.to_string()
}

/// An error's message and those of its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

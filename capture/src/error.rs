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
            Self::SameName { .. } => Some("give each dependency a name of its own"),
            Self::Listen { .. } => Some("is something else listening there? name another address with `--listen`"),
            Self::Store(error) => error.help(),
            Self::Command { .. } => Some("check the command after `--`"),
            Self::Session(_) => None,
        }
    }
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

//! What can go wrong with a container engine.

use bollard::errors::Error;

/// Why the container engine did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DockerError {
    /// No engine answered.
    #[error("no container engine answers at `{address}`")]
    NoEngine {
        /// Where it was looked for.
        address: String,
        /// Why not.
        #[source]
        source: Box<Error>,
    },
    /// The engine went away.
    #[error("the container engine went away under the container that it had started")]
    Lost,
    /// The engine is to be reached through TLS.
    #[error("the container engine at `{address}` is behind TLS, which is not spoken here")]
    BehindTls {
        /// Where it is.
        address: String,
    },
    /// There is no such container.
    #[error("there is no container `{name}`")]
    NoContainer {
        /// As it was named.
        name: String,
    },
    /// There is no such image.
    #[error("there is no image `{reference}` on this machine")]
    NoImage {
        /// As it was named.
        reference: String,
    },
    /// What is to go into the container is not a static executable.
    #[error("`{path}` is not a static executable, and only such a one runs in every image")]
    NotStatic {
        /// The executable.
        path: String,
    },
    /// The engine refused.
    #[error("the container engine refused to {action}")]
    Refused {
        /// What was asked of it.
        action: String,
        /// Its answer.
        #[source]
        source: Box<Error>,
    },
    /// What is to be loaded as an image could not be read.
    #[error("cannot read the image's archive")]
    Archive(#[source] std::io::Error),
}

impl DockerError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::NoEngine { source, .. } if matches!(**source, Error::UnsupportedURISchemeError { .. }) => Some(
                "DOCKER_HOST is understood as `unix://PATH`, `tcp://HOST:PORT` or `http://HOST:PORT`; bring what is behind \
                 ssh here with `ssh -nNT -L ./docker.sock:/var/run/docker.sock HOST`, then set DOCKER_HOST to \
                 `unix://$PWD/docker.sock`",
            ),
            Self::BehindTls { .. } => Some(
                "bring its socket here with `ssh -nNT -L ./docker.sock:/var/run/docker.sock HOST`, then set DOCKER_HOST to \
                 `unix://$PWD/docker.sock`",
            ),
            Self::NoEngine { .. } => Some(
                "start Docker (on Debian: `apt-get install docker.io`, then `dockerd`), or set DOCKER_HOST; without it, \
                 replay against `--process CMD` or `--target URL`",
            ),
            Self::Lost => Some("see to it that Docker runs: `docker info`"),
            Self::NoContainer { .. } => Some("see the running ones with `docker ps`"),
            Self::NoImage { .. } => Some("pull it, or load it from a bundle that was exported with `--with-image`"),
            Self::NotStatic { .. } => {
                Some("use the release's binary, or build with the target and flags in `.cargo/config.toml`")
            }
            Self::Refused { .. } if self.sees_other_files() => Some(
                "the engine sees other files than this program: it runs on another machine, or this program in a container; \
                 leave `--bridge` out, or say `--bridge exec`",
            ),
            Self::Refused { .. } | Self::Archive(_) => None,
        }
    }

    /// True where what was to be mounted from here is not there for the engine.
    pub fn sees_other_files(&self) -> bool {
        self.refused_over("bind source path does not exist")
    }

    /// True where the kernel or the engine has no switch for IPv6 in a container.
    pub(crate) fn is_about_ipv6(&self) -> bool {
        self.refused_over("disable_ipv6")
    }

    /// True where the engine itself is not there, or not any more.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::NoEngine { .. } | Self::Lost => true,
            Self::Refused { source, .. } => matches!(
                **source,
                Error::HyperLegacyError { .. }
                    | Error::HyperResponseError { .. }
                    | Error::HttpClientError { .. }
                    | Error::IOError { .. }
                    | Error::SocketNotFoundError(_)
            ),
            _ => false,
        }
    }

    fn refused_over(&self, words: &str) -> bool {
        matches!(self, Self::Refused { source, .. } if source.to_string().contains(words))
    }

    pub(crate) fn refused(action: impl Into<String>) -> impl FnOnce(Error) -> Self {
        let action = action.into();
        move |source| Self::Refused { action, source: Box::new(source) }
    }
}

/// Why a process could not be described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// There is no such process.
    #[error("there is no process {pid}")]
    Gone {
        /// Its number.
        pid: u32,
    },
    /// Something of the process cannot be read.
    #[error("cannot read `{path}`")]
    Unreadable {
        /// The file or link.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// There are no random bytes for the salt of a secret.
    #[error("the operating system gives no random bytes")]
    Random(#[source] std::io::Error),
}

impl ProcessError {
    /// What the user can do next.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Gone { .. } => Some("see the running ones with `ps`"),
            Self::Unreadable { .. } => Some("run as the process's own user, or as root"),
            Self::Random(_) => None,
        }
    }
}

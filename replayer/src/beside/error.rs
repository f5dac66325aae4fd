//! What is wrong with what was asked to run beside the service.

use std::path::PathBuf;

use super::known;

/// Why `--beside` cannot be done. Exit code 2.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BesideError {
    /// The service is in no container.
    #[error("`--beside {name}` shares the network of the service's container, and {instead}")]
    NoContainer {
        /// The first that was asked for.
        name: String,
        /// What there is instead.
        instead: &'static str,
    },
    /// There is no such image.
    #[error("there is no image `{image}` {} to run beside the service as `{name}`", place(*is_here))]
    NoImage {
        /// As it was given.
        name: String,
        /// As it was named.
        image: String,
        /// False where the engine may be on another machine.
        is_here: bool,
    },
    /// Nothing says where it listens.
    #[error("which port `{name}` listens on is not known: the image `{image}` {says}")]
    NoPort {
        /// As it was given.
        name: String,
        /// As it was named.
        image: String,
        /// What it does say.
        says: String,
    },
    /// Something else has its port.
    #[error("`{name}` listens on port {port}, and so does {other}; a replay has one network for all")]
    SamePort {
        /// As it was given.
        name: String,
        /// Their port.
        port: u16,
        /// Who has it too.
        other: String,
    },
    /// A recorded dependency has its port.
    #[error("`{name}` listens on port {port}, where the recorded dependency `{recorded}` is to be answered")]
    RecordedPort {
        /// As it was given.
        name: String,
        /// As it was named.
        image: String,
        /// Their port.
        port: u16,
        /// The dependency's name.
        recorded: String,
    },
    /// The dump cannot be read.
    #[error("cannot read `{path}`, the dump for `{name}`")]
    NoDump {
        /// As it was given.
        name: String,
        /// As it was named.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Nothing says where the image reads a dump.
    #[error("where the image `{image}` reads a dump is not known, so `{path}` has no place in `{name}`")]
    NoPlace {
        /// As it was given.
        name: String,
        /// As it was named.
        image: String,
        /// The dump.
        path: PathBuf,
    },
    /// The image passes such a file over.
    #[error("`{path}` is nothing that the image of {title} reads at its start: that ends in {endings}")]
    OtherForm {
        /// The dump.
        path: PathBuf,
        /// What the image is.
        title: &'static str,
        /// What it takes.
        endings: String,
        /// How a dump is made that it reads.
        dump: &'static str,
    },
}

fn place(is_here: bool) -> &'static str {
    if is_here { "on this machine" } else { "in the engine that DOCKER_HOST names" }
}

impl BesideError {
    /// What the user can do next.
    pub fn help(&self) -> String {
        match self {
            Self::NoContainer { .. } => {
                "replay in a container, the recorded image or another with `--image REF`; or start the service with a real \
                 one yourself, and replay against it with `--target URL` and without `--beside`"
                    .to_owned()
            }
            Self::NoImage { image, is_here: false, .. } => {
                format!(
                    "take it there: `docker --host unix:///var/run/docker.sock save {image} | docker load`; or `docker pull {image}`, \
                     which that engine does; nothing is pulled without being asked"
                )
            }
            Self::NoImage { image, .. } => {
                format!(
                    "nothing is pulled without being asked: `docker pull {image}`; `docker images` lists those that are here"
                )
            }
            Self::NoPort { name, image, .. } => format!("say it: `--beside {name}={image},port=N`"),
            Self::SamePort { name, port, .. } => format!(
                "let it listen elsewhere, and say where (for PostgreSQL `--beside {name}=…,env=PGPORT={0},port={0}`): the service is led there",
                port.wrapping_add(1).max(1024)
            ),
            Self::RecordedPort { name, image, recorded, .. } => format!(
                "where the two are one, give it that name: `--beside {recorded}={image}`; else let it listen elsewhere, and say where: `--beside {name}={image},port=N`"
            ),
            Self::NoDump { .. } => "name a file or folder of this machine".to_owned(),
            Self::NoPlace { name, image, path } => format!(
                "say where it is to be: `--beside {name}={image},dump={},at=/PATH/IN/IT`; known without are {}",
                path.display(),
                known::titles()
            ),
            Self::OtherForm { dump, .. } => {
                format!("make one with {dump}, or say with `at=` where it is to be all the same")
            }
        }
    }
}

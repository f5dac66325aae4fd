//! Docker, processes, fingerprints: what the service runs in, and how to run it again.
//!
//! In: the container engine's API and this machine's files. Out: identities and fingerprints in the vocabulary's words,
//! secrets already hashed, and containers whose lives end with their owner's. What is done with a running service is left
//! to the actors.

mod beside;
mod capabilities;
mod container;
mod deliver;
mod docker;
mod elf;
mod error;
mod exec;
mod fit;
mod image;
mod inspect;
mod known;
mod machine;
mod mounts;
mod owner;
mod packages;
mod proc;
mod reach;
pub mod secret;
mod survey;
mod tree;
mod usage;
mod volume;
mod watch;

pub use beside::{BesideSpec, ServerImage};
pub use container::{ContainerSpec, MountSource, MountSpec, RunningContainer};
pub use deliver::{Delivery, INIT_SETTINGS};
pub use docker::Docker;
pub use elf::is_static;
pub use error::{DockerError, ProcessError};
pub use exec::{InsideStream, RanInside, Said};
pub use fit::{Capacity, Unfit, fitted};
pub use image::{FoundImage, SameImage, file_of_archive, same_image};
pub use known::secret_values;
pub use machine::{Machine, host_environment};
pub use mounts::mounted_below;
pub use owner::{OWNER_LABEL, RUN_LABEL, owner_of};
pub use proc::{ProgramMark, SeenProcess, file_digest, process_identity, program_of, secret_file_digest};
pub use reach::{Networks, Reach};
pub use survey::{DiskSurvey, EngineSurvey, KernelSurvey, disk_survey, engine_address, kernel_survey};
pub use tree::{Difference, Looking, Tree, TreeLimits, local_tree};
pub use usage::{Usage, UsageOf, gpu_usage, has_gpu};
pub use volume::{Content, RunVolume};
pub use watch::{ContainerEvent, ContainerNow, LogPiece};

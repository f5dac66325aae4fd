//! Where this environment differs from the recorded one, and what the service gets in the place of what cannot be had here.
//!
//! In: the recorded fingerprint, this machine, and what was given on the command line. Out: what keeps a replay from being
//! what it claims, what is only worth a warning, and what the service is started with, every replacement listed.

mod addresses;
mod arguments;
mod devices;
mod mounts;
mod obstacles;
mod variables;

pub(crate) use addresses::{Addresses, Recorded as RecordedAddresses, Told, looked_for};
pub use arguments::pseudonyms_in_commands;
pub(crate) use arguments::{reveal_arguments, reveal_commands};
pub(crate) use devices::devices_left_out;
pub use mounts::GivenMount;
pub(crate) use mounts::{Found, Look, MountPlan, Mounted, Origin, not_recorded, plan as plan_mounts};
pub(crate) use obstacles::{differences, obstacle};
pub use variables::GivenVariable;
pub(crate) use variables::{Variables, container_variables, process_variables};

//! Makes a recorded service do it again, and says how that went.
//!
//! In: a verified recording and what to run it against. Out: a receipt, a verdict for each exchange, and the run as a bundle
//! of its own. Read the modules in this order: [`replay`](mod@replay) is the sentence; `select` chooses exchanges, `order`
//! keeps what came before what, `timing` when, `container`, `process` and `target` start the service, `beside` real servers with it, `drive`
//! sends, `compare` looks at each answer, `answer` plays the dependencies (`converse` those that are no HTTP), `judge` decides,
//! `ledger` writes, `journal` what a run that is cut off is gone on with from, [`receipt`] proves.

mod absent;
mod answer;
mod baseline;
mod beside;
mod compare;
mod connections;
mod container;
mod conversations;
mod converse;
mod copies;
pub mod determinism;
mod drive;
mod environment;
mod error;
mod fitted;
mod forward;
mod held;
mod in_flight;
mod job;
mod journal;
mod judge;
mod ledger;
mod mounting;
mod noise;
mod on_miss;
mod order;
mod pace;
mod pieces;
mod process;
mod punctuality;
mod ready;
pub mod receipt;
mod rehearsal;
mod renew;
mod repeat;
pub mod replay;
mod resume;
mod rules;
mod run_folder;
mod secrets;
mod select;
mod serve;
mod service;
mod target;
mod timing;
mod trials;
mod unanswerable;
mod weigh;

pub use beside::{BesideError, GivenBeside};
pub use container::BridgeWay;
pub use environment::{GivenMount, GivenVariable, pseudonyms_in_commands};
pub use error::ReplayError;
pub use journal::{BEGAN, BEGAN_NOISE, Began, BeganNoise, HELD, Resumable, ResumeError};
pub use noise::{AlarmRate, FoundNoise, FoundProfile, NoiseProof, ProfileProof, service_version};
pub use on_miss::{GivenLive, OnMiss};
pub use order::Order;
pub use rehearsal::{Rehearsed, rehearse};
pub use repeat::{Repeating, Reset};
pub use run_folder::{LeftService, dead_run_folders};
pub use secrets::{Secrets, SecretsError};
pub use serve::{Place, ServeSettings, Serving};
pub use timing::{Loop, Pacing, Speed, Timing, TimingError};
pub use unanswerable::{Unanswerable, unanswerable};

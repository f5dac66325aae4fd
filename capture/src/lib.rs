//! The recording policy on top of the proxy: what is kept, of whom, in how much memory, and what is said about the rest.
//!
//! In: [`Settings`]. Out: a running proxy, and a store that holds what passed. Secrets are replaced before anything is
//! queued. Recording is off the path: when the queue or the disk is full, records are lost and counted, never a request.
//! Data passes through the modules in this order: `listen` binds, `record` listens to the proxy (with `attribute` saying
//! which call belongs to which request), `queue` carries, `write` puts into the store, `session` holds it together; `surround` (with `lines`)
//! records what the service logs and uses meanwhile; `advice` says what the service has to call, `warned` what of its
//! dependencies no replay can answer.
//! Printing is left to the command line, reading to the replayer.

mod advice;
mod attribute;
mod child;
mod clock;
mod environment;
mod error;
mod forward;
mod lines;
mod listen;
mod notice;
mod queue;
mod record;
mod session;
mod settings;
mod surround;
mod warned;
mod write;

pub use clock::Clock;
pub use content::place::PlaceError;
pub use error::CaptureError;
pub use forward::{BoundForward, ForwardSettings};
pub use listen::Bound;
pub use notice::Notice;
pub use session::{Started, Summary, run};
pub use settings::{
    Annotate, AnnotateError, ConversationAt, Dependency, DependencyError, Service, Settings, default_dependencies,
};

//! The vocabulary that every other crate speaks: exchange, head, body, timing, id, digest, event, fingerprint.
//!
//! In: nothing but values. Out: the types of Retake's records, which are written as JSON inside a bundle
//! (`docs/format.md`), and the derivation of ids and digests. No files, sockets, clock or threads.

mod body;
mod bytes_text;
mod context;
mod digest;
mod environment;
mod event;
#[allow(clippy::module_inception, reason = "the crate is named for its main type")]
mod exchange;
mod fingerprint;
mod head;
mod id;
mod imported;
mod media;
mod noise;
mod session;
pub mod surroundings;
mod timing;

pub use body::{Body, Chunk, Gap, Part};
pub use bytes_text::{bytes_of_text, text_of_bytes};
pub use context::{Annotation, Context, Conversation, ConversationSource};
pub use digest::Digest;
pub use environment::{Doubt, Holding};
pub use event::{Event, LogLine, LogLines, OTHERS_IN_FLIGHT, Stream};
pub use exchange::{
    Certainty, Digests, End, Exchange, Interim, Parent, Redaction, Repeats, Request, Response, Role, Seed, SeedPlace,
    Trace, Transport,
};
pub use fingerprint::{
    ContainerConfig, ContainerIdentity, Fingerprint, Gpu, HealthCheck, HostEnvironment, ImageIdentity, Limits, Mount,
    MountEntry, Package, PortMapping, ProcessIdentity, RuntimeConfig, Subject, Variable, VariableValue,
};
pub use head::{Field, Head, RequestLine, StatusLine};
pub use id::{Id, IdParseError};
pub use imported::{Imported, Lack};
pub use media::MediaKind;
pub use noise::{NoiseProfile, NoisyPlace, SeenForm};
pub use session::{ForwardProxy, ImageRecord, Listener, RUN_RESULTS, Run, Session, SessionCounts, SessionEnd};
pub use timing::{ClockPair, Times};

//! HTTP/1.1 on the socket: the streaming proxy with its tee, a client and a server of recorded bytes, the container bridge.
//!
//! In: sockets and streams. Out: the same bytes, passed on as they came, and to whoever listens what they mean and when
//! they passed. Our own codec, because a recording wants names, case, order and repetition of fields unchanged
//! (`docs/decisions/0001-own-http1-codec.md`). What is kept of it is `capture`'s, what is answered is the replayer's.

pub mod bridge;
pub mod ca;
pub mod client;
mod connect;
mod edit;
pub mod framing;
pub mod head;
pub mod proxy;
mod rewound;
pub mod server;
mod tee;
mod upstream;

pub use connect::{ConnectError, Connector, Stream};
pub use rewound::Rewound;
pub use tee::{Begun, Observer, Start, Tap, Ticket};
pub use upstream::{Scheme, Upstream, UpstreamError};

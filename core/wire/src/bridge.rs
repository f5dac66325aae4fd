//! The way into a container that has no network: many connections over one stream.
//!
//! Outside, [`Host`] opens connections to ports inside ([`Host::open`]) and is handed the connections that the
//! service makes to its recorded dependencies ([`Host::incoming`]). Inside, [`inside`] listens on the recorded
//! addresses, connects to the service, and tells what it saw of attempts to leave: names asked of a resolver on the
//! container's loopback, how often the kernel found no route, and what init saw of connects. The host also has things done to a
//! service that is traced ([`Host::set_clock`]), is told how far that holds ([`Observed::reached`]), and when the service is at rest
//! ([`Host::rest`]). In between runs any ordered byte stream, as a rule a unix socket in a folder that is mounted into the container;
//! `frame` says what passes over it.
//!
//! What the bytes mean (HTTP, recorded answers) and when a container starts or ends is left to others.

mod attempt;
mod carry;
mod control;
mod counters;
mod determinism;
mod detour;
mod frame;
mod host;
mod inside;
mod link;
mod pump;
mod reached;
mod resolver;
mod rest;
mod stream;
#[cfg(test)]
mod tests;

use std::{fs, io, os::unix::fs::PermissionsExt as _, path::Path};

pub use attempt::{Attempt, Attempts, Destination, Fate};
pub use carry::Tracer;
pub use control::{CONTROL_LINE_MAX, ControlError, Order, answer_line};
pub use determinism::{Monotonic, SetsClock, Virtual, WallClock};
pub use frame::BridgeError;
pub use host::{Host, ListenerInside, NameAsked, Observed};
pub use inside::{Inside, inside};
pub use reached::{Held, Reached};
pub use rest::{Rest, SeesRest};
pub use stream::BridgeStream;
use tokio::net::UnixListener;

/// Name of the socket in the folder that is mounted into the container.
pub const SOCKET_NAME: &str = "bridge.sock";

/// Listens on [`SOCKET_NAME`] in `folder`, for whatever user the container runs as.
///
/// The socket is open to every user that can reach the folder, so keep the folder itself inside one of mode 0700:
/// a bind mount does not pass through its parents.
///
/// # Errors
/// The system's, where it cannot bind; above all `InvalidInput` for a path longer than 107 bytes (unix(7)).
pub fn listen(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET_NAME);
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

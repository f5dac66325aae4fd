//! The bridge's way out where no folder is shared: over the standard streams of a program that the engine starts in the
//! container.
//!
//! The bridge listens on an abstract socket, which belongs to the network name space and so needs no file, and takes one
//! connection before the service is started; the relay, started by whoever replays, is that connection. When the bridge has
//! said its last word, the relay stays until whoever replays has closed its side, and so has got it: a container's end
//! takes with it what is still in its pipes.

use std::{
    fs::File,
    io::{self, Read, Write},
    net::Shutdown,
    os::{
        fd::AsFd as _,
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener, UnixStream},
    },
    thread,
    time::Duration,
};

use crate::{InitError, system};

/// The socket's name. Nobody else is in the container's network name space when it is bound.
const NAME: &[u8] = b"retake-bridge";

/// How often the relay looks whether the bridge listens by now, and how many times. Choices: 5 ms, for 30 s in all.
const RETRY: Duration = Duration::from_millis(5);
const RETRIES_MAX: usize = 6_000;

/// How much is carried at a time, in bytes: what a pipe holds (pipe(7)).
const PIECE_LEN: usize = 64 << 10;

/// Listens for the relay.
pub(crate) fn listen() -> io::Result<tokio::net::UnixListener> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?)?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

/// Is the relay: carries standard input to the bridge and what the bridge says to standard output, until that ends.
pub(crate) fn run() -> Result<u8, InitError> {
    // As the bridge, it outlives what the service signals to everything it can reach.
    system::ignore_polite_signals();
    let failed = |source| InitError::System { what: "relay to the container bridge", source };
    let bridge = connect().map_err(failed)?;
    carry_both_ways(bridge).map_err(failed)?;
    Ok(0)
}

fn connect() -> io::Result<UnixStream> {
    let address = SocketAddr::from_abstract_name(NAME)?;
    for _ in 0..RETRIES_MAX {
        match UnixStream::connect_addr(&address) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => pause(),
            connected => return connected,
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

#[expect(clippy::disallowed_methods, reason = "there is no clock here to be told by, and nothing to wake us")]
fn pause() {
    thread::sleep(RETRY);
}

fn carry_both_ways(bridge: UnixStream) -> io::Result<()> {
    // As files of their own: the standard library's would gather lines.
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let from_bridge = bridge.try_clone()?;
    let inward = thread::Builder::new().spawn(move || {
        let carried = carry(input, &bridge);
        // One that has ended already has nothing to be told.
        drop(bridge.shutdown(Shutdown::Write));
        carried
    })?;
    carry(from_bridge, output)?;
    // What is still sent to a bridge that has ended goes nowhere, and is no failure.
    drop(inward.join());
    Ok(())
}

/// Not `io::copy`: from a socket to a pipe that is splice(2), which waits for the socket with the pipe locked, and whoever
/// reads the pipe waits with it.
fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE_LEN];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(len) => to.write_all(&piece[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

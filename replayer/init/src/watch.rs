//! Sees what the service tries to connect to, and what there is.
//!
//! A thread puts a filter on itself and starts the service, which inherits it; from then on each connect of the service,
//! and each datagram that it sends to an address, waits for that thread. It reads the address from the caller's memory,
//! notes it, and lets the call go on, whatever it is: it only looks on. Where any of this cannot be had, the service runs
//! without, and what it tries is not observed.
//!
//! Calls that wait for a thread that is gone fail, so this is done only as the first process of a name space, whose end
//! is the end of everything in it. Not seen are io_uring, sendmsg, and calls of another architecture.

mod listening;
mod sockaddr;
mod tell;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    net::SocketAddr,
    os::unix::{ffi::OsStrExt as _, fs::FileExt as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin},
    sync::mpsc,
    thread,
};

use wire::bridge::{Attempts, Destination, Fate};

use crate::{
    Config, InitError,
    service::Launch,
    system::{
        self,
        seccomp::{self, Call},
    },
};

pub(crate) use tell::Bell;

use listening::TcpListeners;
use sockaddr::Peer;

/// The first release that can let a call go on (seccomp_unotify(2)).
const KERNEL_MIN: (u32, u32) = (5, 5);

/// Starts the service, watched where that can be. `input` is the bridge's, which is told; the bell is to be rung at the
/// end.
pub(crate) fn start(
    settings: &Config,
    launch: &Launch,
    input: &ChildStdin,
) -> Result<(Child, Option<Bell>), InitError> {
    match is_possible().then(|| start_watched(settings, launch, input)) {
        Some(Ok((child, bell))) => Ok((child?, Some(bell))),
        Some(Err(_)) | None => Ok((launch.start()?, None)),
    }
}

/// The outer error means that there are no threads to be had; the service was not started then.
fn start_watched(
    settings: &Config,
    launch: &Launch,
    input: &ChildStdin,
) -> io::Result<(Result<Child, InitError>, Bell)> {
    let attempts = Attempts::default();
    let bell = tell::start(attempts.clone(), input)?;
    let (send, started) = mpsc::sync_channel(1);
    let watch = Watch {
        recorded: settings.listen.clone(),
        resolver: settings.resolver.then(|| ([127, 0, 0, 1], 53).into()),
        listeners: TcpListeners::of_this_name_space(),
        attempts,
        bell: bell.clone(),
    };
    let launch = launch.clone();
    let run = thread::Builder::new().name("watch".to_owned()).spawn(move || watch.run(&launch, &send));
    match run.and_then(|_| started.recv().map_err(io::Error::other)) {
        Ok(child) => Ok((child, bell)),
        Err(error) => {
            bell.end();
            Err(error)
        }
    }
}

/// True where all that comes with us ends with us, what `/proc` shows are the processes that we are told of, and a call can
/// be let go on.
fn is_possible() -> bool {
    let is_first = std::process::id() == 1;
    let is_our_proc = || fs::read_link("/proc/self").is_ok_and(|pid| pid == Path::new("1"));
    let release = || fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    is_first && is_our_proc() && release().and_then(|text| version_of(&text)).is_some_and(|found| found >= KERNEL_MIN)
}

/// `6.1.0-18-amd64` is 6.1.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What looks on.
struct Watch {
    recorded: Vec<SocketAddr>,
    /// Where names are asked, which are seen there.
    resolver: Option<SocketAddr>,
    listeners: TcpListeners,
    attempts: Attempts,
    bell: Bell,
}

impl Watch {
    /// Starts the service from this thread, so that nobody else is filtered, and looks on as long as this process lives.
    fn run(&self, launch: &Launch, started: &mpsc::SyncSender<Result<Child, InitError>>) {
        let listener = seccomp::filter_this_thread();
        if listener.is_ok() {
            self.attempts.begin();
            self.bell.ring();
        }
        // Init waits for it; when it does not, this process is about to end.
        drop(started.send(launch.start()));
        let Ok(listener) = listener else { return };
        loop {
            // An error is that of a caller who was killed while it waited, or a signal.
            let Ok(call) = listener.next() else { continue };
            let seen = see(call);
            if listener.still_waits(call) {
                self.note(call, seen);
            }
            listener.go_on(call);
        }
    }

    fn note(&self, call: Call, seen: io::Result<Option<Target>>) {
        let told = match seen {
            Ok(None) => return,
            Ok(Some(Target::Tcp(address) | Target::Udp(address))) if Some(address) == self.resolver => return,
            Ok(Some(target)) => self.fate_of(call, &target).map(|fate| (target.destination(), fate)),
            Err(error) => Err(error),
        };
        match told {
            Ok((destination, fate)) => self.attempts.add(destination, fate),
            Err(_) => self.attempts.add_unread(),
        }
        self.bell.ring();
    }

    /// What there is at this moment, before the call goes on.
    fn fate_of(&self, call: Call, target: &Target) -> io::Result<Fate> {
        let is_there = match target {
            Target::Tcp(address) if self.recorded.iter().any(|recorded| serves(*recorded, *address)) => {
                return Ok(Fate::Recorded);
            }
            Target::Tcp(address) | Target::Udp(address) if !address.ip().is_loopback() => return Ok(Fate::Outside),
            Target::Tcp(address) => self.listeners.accept(*address)?,
            Target::Udp(address) => listening::udp(*address)?,
            Target::Path(path) => is_path_there(call.pid, path)?,
            Target::Abstract(name) => listening::abstract_name(name)?,
        };
        Ok(if is_there { Fate::Inside } else { Fate::Absent })
    }
}

fn serves(recorded: SocketAddr, address: SocketAddr) -> bool {
    let is_any = recorded.ip().is_unspecified() && recorded.is_ipv4() == address.is_ipv4();
    recorded.port() == address.port() && (recorded.ip() == address.ip() || is_any && address.ip().is_loopback())
}

/// Where a call goes.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    Tcp(SocketAddr),
    Udp(SocketAddr),
    Path(Vec<u8>),
    Abstract(Vec<u8>),
}

impl Target {
    fn destination(&self) -> Destination {
        match self {
            Self::Tcp(address) => Destination::Tcp(*address),
            Self::Udp(address) => Destination::Udp(*address),
            Self::Path(path) => Destination::unix(path),
            Self::Abstract(name) => Destination::unix(&[b"@", &name[..]].concat()),
        }
    }
}

/// Where a call goes; nothing for what has no such address, or neither is TCP nor UDP nor a unix socket.
fn see(call: Call) -> io::Result<Option<Target>> {
    let Some(peer) = Peer::read(&address_of(call)?) else { return Ok(None) };
    Ok(match peer {
        Peer::Path(path) => Some(Target::Path(path)),
        Peer::Abstract(name) => Some(Target::Abstract(name)),
        Peer::Inet(address) => match system::protocol_of(call.pid, call.socket)?.as_str() {
            "TCP" | "TCPv6" | "MPTCP" | "MPTCPv6" => Some(Target::Tcp(address)),
            "UDP" | "UDPv6" => Some(Target::Udp(address)),
            _ => None,
        },
    })
}

/// The address's bytes, out of the caller's memory. It waits, so they are its own unless it has another thread change them.
fn address_of(call: Call) -> io::Result<Vec<u8>> {
    let len = usize::try_from(call.address_len).unwrap_or(usize::MAX).min(sockaddr::LEN_MAX);
    let mut bytes = vec![0; len];
    let read = File::open(format!("/proc/{}/mem", call.pid))?.read_at(&mut bytes, call.address)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Whether the path is there for the caller, whose root and working folder may be others than ours.
fn is_path_there(pid: u32, path: &[u8]) -> io::Result<bool> {
    let start = if path.starts_with(b"/") { "root" } else { "cwd" };
    let mut seen = PathBuf::from(format!("/proc/{pid}/{start}")).into_os_string();
    seen.push("/");
    seen.push(OsStr::from_bytes(path));
    match fs::metadata(seen) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_version_is_its_first_two_numbers() {
        assert_eq!(version_of("6.18.44-fc-v509\n"), Some((6, 18)));
        assert_eq!(version_of("5.4.0-150-generic"), Some((5, 4)));
        assert_eq!(version_of("unknown"), None);
        assert!((5, 4) < KERNEL_MIN && (5, 10) > KERNEL_MIN);
    }

    #[test]
    fn a_recorded_address_serves_itself_and_one_on_every_address_all_of_the_loopback() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert!(serves(at("127.0.0.1:80"), at("127.0.0.1:80")));
        assert!(serves(at("0.0.0.0:80"), at("127.0.0.2:80")));
        for (recorded, address) in [
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:80", "10.0.0.1:80"),
        ] {
            assert!(!serves(at(recorded), at(address)), "{recorded} {address}");
        }
    }
}

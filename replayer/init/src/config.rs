//! The file that tells init what to serve; `host` writes it.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Read as _,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use serde::Deserialize;
use wire::bridge::Virtual;

use crate::InitError;

/// Largest file taken, in bytes. A choice: thousands of listeners fit.
const LEN_MAX: u64 = 1024 * 1024;

/// What init is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The bridge's socket; without one, and without a relay, there is no bridge.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// Whether the bridge's stream comes through a relay (`--relay`) that is started in the container.
    #[serde(default)]
    pub relay: bool,
    /// The recorded addresses to listen on.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Recorded addresses to listen on, and where in here each leads to.
    #[serde(default)]
    pub detours: BTreeMap<SocketAddr, SocketAddr>,
    /// Whether the service starts only once the host lets it go.
    #[serde(default)]
    pub waits: bool,
    /// Whether to answer as a resolver on the loopback.
    #[serde(default)]
    pub resolver: bool,
    /// Names for the hosts file and where each leads to, for a process; a container's engine sees to its own.
    #[serde(default)]
    pub hosts: BTreeMap<String, IpAddr>,
    /// Files to stand at paths of the system, for a process; a container's engine sees to its own.
    #[serde(default)]
    pub over: BTreeMap<PathBuf, PathBuf>,
    /// The program's file, where the command's first word is not where it is found.
    #[serde(default)]
    pub program: Option<PathBuf>,
    /// A library to be loaded before the service's own, where programs here load glibc's.
    #[serde(default)]
    pub preload: Option<PathBuf>,
    /// What of its time and chance the service is given; nothing where this is left out.
    #[serde(default)]
    pub determinism: Option<Virtual>,
}

impl Config {
    pub(crate) fn has_bridge(&self) -> bool {
        self.socket.is_some() || self.relay
    }

    pub(crate) fn read(path: &Path) -> Result<Self, InitError> {
        let failed = |reason: String| InitError::Config { path: path.display().to_string(), reason };
        let bytes = read_capped(path).map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
    }
}

fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LEN_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

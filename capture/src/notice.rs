//! What the user should hear of while a capture runs. The words are the command line's.

use std::net::SocketAddr;

use content::unrepeatable::Unrepeatable;
use wire::ca::TlsTrouble;

/// Something that the user should hear of while a capture runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The store takes nothing; the proxy goes on, and recordings are lost once the queue is full.
    StoreFails {
        /// What failed, with its causes.
        reason: String,
    },
    /// The store takes what is recorded again.
    StoreWorks,
    /// The wall's clock was set, or the machine slept. Order and durations are another clock's, and stay right.
    ClockSet {
        /// By how much, in nanoseconds: less than 0 where it went back.
        by_ns: i64,
    },
    /// The service's environment could not be seen.
    EnvironmentUnknown {
        /// Why.
        reason: String,
    },
    /// The service has written over its arguments, and they are not recorded; the rest of its environment is.
    ArgumentsUnknown {
        /// What it shows in their place.
        shows: String,
    },
    /// The service's container became another one, and a new fingerprint of it was taken.
    EnvironmentChanged {
        /// Which container.
        container: String,
    },
    /// What is mounted into the service's container could not be read; the rest of its environment was.
    MountUnknown {
        /// Which mount, and why.
        reason: String,
    },
    /// The log of the service's container cannot be read.
    LogUnknown {
        /// Why.
        reason: String,
    },
    /// What the service uses cannot be seen.
    UsageUnknown {
        /// Why.
        reason: String,
    },
    /// The packages in the service's container could not be seen; the rest of its environment was.
    PackagesUnknown {
        /// Why.
        reason: String,
    },
    /// What the service says to a host through the forward proxy could not be read, and its connection ended.
    TlsUnreadable {
        /// The host, with its port where it is not TLS's own.
        host: String,
        /// Why.
        trouble: TlsTrouble,
    },
    /// No replay can answer a connection to a dependency that is no HTTP.
    Unrepeatable {
        /// The dependency.
        dependency: String,
        /// Why.
        why: Unrepeatable,
    },
    /// More passed on a connection to a dependency that is no HTTP than is kept of one; the rest of it is not recorded.
    ConnectionCut {
        /// The dependency.
        dependency: String,
    },
    /// Nothing accepts where the service is said to be.
    UpstreamSilent {
        /// The container that it runs in, where one was named.
        container: Option<String>,
        /// Where.
        upstream: String,
        /// Why not.
        reason: String,
    },
    /// Others than this machine can call a listener.
    OpenToOthers {
        /// Whose it is; `None` for the one that clients call.
        dependency: Option<String>,
        /// Where it listens.
        address: SocketAddr,
        /// An address for the same that only this machine, or the service's container, can call.
        instead: SocketAddr,
    },
    /// The service's container cannot call a dependency where that listens.
    OutOfReach {
        /// The container.
        container: String,
        /// The dependency.
        dependency: String,
        /// Where it listens.
        listens: SocketAddr,
        /// Where its calls go.
        upstream: String,
        /// Where it has to listen.
        address: SocketAddr,
        /// What the service has to call then, each of them as good.
        urls: Vec<String>,
    },
    /// What the service has to call where a dependency listens on every address.
    CalledAt {
        /// The container.
        container: String,
        /// The dependency.
        dependency: String,
        /// What the service has to call, each of them as good.
        urls: Vec<String>,
    },
    /// The service's container has no network, and can call nothing.
    NoNetwork {
        /// The container.
        container: String,
    },
    /// The service's container has networks, and this machine no address in them.
    NoWayHere {
        /// The container.
        container: String,
        /// The dependency.
        dependency: String,
        /// The networks with their drivers.
        networks: Vec<String>,
    },
}

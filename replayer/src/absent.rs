//! What the service looked for and did not find, because it was not recorded; and what can be done about each.
//!
//! In: what was observed of its attempts, and where the capture listened. Out: a sentence and an advice for each thing that a person would want back.
//! Attempts that tell nothing are left out here, and stay in the list of attempts: an address that was reached in the end,
//! the other family's loopback, the daemons that libraries try in passing, datagrams to nobody in particular.

mod known;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use exchange::Listener;
use known::{Known, Speaks};

use crate::receipt::{Absent, Attempt, Egress, Transport, Void};

/// Things named at most. A choice: who looks for more than these has another problem.
const ABSENT_MAX: usize = 32;

/// All that was looked for and not found: dependencies first, what is sent without an answer last.
pub(crate) fn absent(egress: &Egress, listeners: &[&Listener]) -> Vec<Absent> {
    let telemetry = missing_addresses(egress).into_iter().filter(Missing::is_telemetry);
    let mut absent = dependencies(egress, listeners);
    absent.extend(telemetry.map(|missing| missing.words(listeners)));
    absent.truncate(ABSENT_MAX);
    absent
}

/// Why a service never became ready, with what it looked for in vain: the commonest cause that there is.
pub(crate) fn explain(void: Void, egress: &Egress, listeners: &[&Listener]) -> Void {
    let dependencies = dependencies(egress, listeners);
    let Some(first) = dependencies.first() else { return void };
    let more = match dependencies.len() - 1 {
        0 => String::new(),
        1 => " (and one thing more)".to_owned(),
        count => format!(" (and {count} things more)"),
    };
    let otherwise = if void.help.is_empty() { String::new() } else { format!("; else {}", void.help) };
    Void {
        reason: format!("{}; {}{more}", void.reason, first.what),
        help: format!("{}{otherwise}", first.help),
        ..void
    }
}

/// What a service may not be able to do without.
fn dependencies(egress: &Egress, listeners: &[&Listener]) -> Vec<Absent> {
    let addresses = missing_addresses(egress).into_iter().filter(|missing| !missing.is_telemetry());
    let names = egress.names.iter().flatten().filter(|name| is_telling(name));
    let mut absent: Vec<_> = addresses.map(|missing| missing.words(listeners)).collect();
    absent.extend(names.map(|name| of_name(name, listeners)));
    absent.extend(missing_paths(egress));
    absent
}

/// An address where nothing was.
#[derive(Debug)]
struct Missing {
    address: SocketAddr,
    count: u64,
    is_udp: bool,
}

/// Addresses that were tried, and not reached at any time, over any family's loopback.
fn missing_addresses(egress: &Egress) -> Vec<Missing> {
    let attempts = attempts_of(egress);
    let parsed = |transport: Transport| {
        let of_transport = attempts.iter().filter(move |attempt| attempt.transport == transport);
        of_transport.filter_map(|attempt| Some((attempt.address.parse::<SocketAddr>().ok()?, attempt)))
    };
    let mut missing = BTreeMap::new();
    for (address, attempt) in parsed(Transport::Tcp).filter(|(_, attempt)| attempt.found.is_nothing()) {
        // `localhost` is tried as `::1` and as `127.0.0.1`: that is one thing, shown as the latter.
        let key = (if address.ip().is_loopback() { None } else { Some(address.ip()) }, address.port());
        let one = missing.entry(key).or_insert(Missing { address, count: 0, is_udp: false });
        one.count = one.count.max(attempt.count);
        one.address = one.address.min(address);
    }
    let reached = parsed(Transport::Tcp).filter(|(_, attempt)| !attempt.found.is_nothing());
    let reached: BTreeSet<_> = reached.map(|(address, _)| address.port()).collect();
    missing.retain(|(ip, port), _| ip.is_some() || !reached.contains(port));
    let datagrams = parsed(Transport::Udp).filter(|(address, attempt)| {
        attempt.found.is_nothing()
            && known::of_port(address.port()).is_some_and(|known| known.speaks == Speaks::Telemetry)
    });
    let datagrams = datagrams.map(|(address, attempt)| Missing { address, count: attempt.count, is_udp: true });
    missing.into_values().chain(datagrams).collect()
}

fn attempts_of(egress: &Egress) -> &[Attempt] {
    egress.attempts.as_deref().unwrap_or_default()
}

impl Missing {
    fn is_telemetry(&self) -> bool {
        self.known().is_some_and(|known| known.speaks == Speaks::Telemetry)
    }

    fn known(&self) -> Option<Known> {
        known::of_port(self.address.port())
    }

    fn words(&self, listeners: &[&Listener]) -> Absent {
        let Self { address, count, is_udp } = self;
        let did = if *is_udp { "was tried over UDP" } else { "was connected to" };
        let nothing = if address.ip().is_loopback() { "nothing is there" } else { "there is no network in a replay" };
        let usually = self.known().map(|known| format!(" ({} is usually {})", address.port(), known.title));
        Absent {
            what: format!("`{address}` {did} {} and {nothing}{}", times(*count), usually.unwrap_or_default()),
            help: passed_by(listeners, |host, port| self.is_at(host, port)).unwrap_or_else(|| self.help()),
        }
    }

    /// True where an upstream of this host and port is what was looked for.
    fn is_at(&self, host: &str, port: u16) -> bool {
        let ip = self.address.ip();
        let is_host = match host.parse::<IpAddr>() {
            Ok(host) => host == ip || host.is_loopback() && ip.is_loopback(),
            Err(_) => host == "localhost" && ip.is_loopback(),
        };
        is_host && port == self.address.port() && !self.is_udp
    }

    fn help(&self) -> String {
        let address = self.address;
        match self.known() {
            Some(known) if self.is_udp => {
                format!("nothing, as a rule: what is sent to {} comes back in no answer", known.title)
            }
            Some(known) => record(&address.to_string(), known),
            None => format!(
                "record it with `retake capture --dependency NAME=http://{address}`, or with `NAME=tcp://{address}` where it speaks no \
                 HTTP"
            ),
        }
    }
}

/// What to do about a dependency that the capture listened for while the service called it itself, past the listener.
fn passed_by(listeners: &[&Listener], is_it: impl Fn(&str, u16) -> bool) -> Option<String> {
    listeners.iter().find_map(|listener| {
        let name = listener.dependency.as_deref()?;
        let upstream: wire::Upstream = listener.upstream.parse().ok()?;
        let scheme = upstream.scheme.in_the_clear().word();
        is_it(&upstream.host, upstream.port).then(|| {
            format!(
                "the service called it past the recording, which listened for `{name}` at `{0}`: record again with a service that calls \
                 `{scheme}://{0}` instead",
                listener.listen
            )
        })
    })
}

/// How something well known is recorded.
fn record(address: &str, known: Known) -> String {
    let Known { name, .. } = known;
    match known.speaks {
        Speaks::Http => format!("record it with `retake capture --dependency {name}=http://{address}`"),
        Speaks::Https => format!("record it with `retake capture --dependency {name}=https://{address}`"),
        Speaks::Tcp => format!(
            "record it with `retake capture --dependency {name}=tcp://{address}`, or run a real one beside a container: `retake \
             replay --beside {name}=IMAGE`"
        ),
        Speaks::Telemetry => "nothing, as a rule: telemetry changes no answer".to_owned(),
    }
}

/// Sockets that were not there, but for those of daemons, and for those that came to be there.
fn missing_paths(egress: &Egress) -> Vec<Absent> {
    let sockets = || attempts_of(egress).iter().filter(|attempt| attempt.transport == Transport::Unix);
    let was_there = |path: &str| sockets().any(|attempt| attempt.address == path && !attempt.found.is_nothing());
    let missing = sockets().filter(|attempt| !known::is_daemon(&attempt.address) && !was_there(&attempt.address));
    missing.map(of_path).collect()
}

fn of_path(attempt: &Attempt) -> Absent {
    let path = &attempt.address;
    let known = known::of_path(path);
    let title = if known::is_engine(path) { Some("a container engine") } else { known.map(|known| known.title) };
    let usually = title.map(|title| format!(" (usually {title})")).unwrap_or_default();
    let help = match known {
        _ if known::is_engine(path) => {
            "a container engine is not recorded: let the service do without, or replay against one that runs with `--target URL`"
                .to_owned()
        }
        Some(known) => {
            let tcp = record(&format!("127.0.0.1:{}", known.port), known);
            format!("unix sockets are not recorded; over TCP, {tcp}")
        }
        None => "unix sockets are not recorded: let the service use TCP, and record that with `retake capture --dependency`"
            .to_owned(),
    };
    Absent {
        what: format!("the socket `{path}` was connected to {} and is not there{usually}", times(attempt.count)),
        help,
    }
}

/// A name by which somebody is looked for; the names of addresses are asked in passing.
fn is_telling(name: &str) -> bool {
    !name.is_empty() && !name.ends_with(".arpa")
}

fn of_name(name: &str, listeners: &[&Listener]) -> Absent {
    let record = || {
        format!(
            "record it with `retake capture --dependency NAME=https://{name}`, or `http://`, or `tcp://{name}:PORT` where it \
             speaks no HTTP"
        )
    };
    Absent {
        what: format!("`{name}` was looked up and is not recorded"),
        help: passed_by(listeners, |host, _| host.eq_ignore_ascii_case(name)).unwrap_or_else(record),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests;

//! Where the service finds its recorded dependencies in a place that has nothing but a loopback.
//!
//! In: the recorded listeners, the names and addresses that the service called them by, and its variables and arguments.
//! Out: what to listen on inside, the names for its hosts file, and texts with the addresses that cannot exist in there
//! replaced by those that do, each replacement in words. Pure: whoever starts the service carries it out.
//!
//! What is not loopback's becomes an address of loopback with the same ports, one for each recorded host: all of 127.0.0.0/8
//! is there (RFC 6890, section 2.2.2). Only the service's own port is kept free everywhere, since it binds that on every
//! address, as a rule; a dependency with the same port gets another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::serve::Place;

mod beside;
mod texts;

pub(crate) use beside::{Told, looked_for};
use texts::{authorities_of, begins, begins_authority, ends, ends_without_port, host_and_port, in_url, is_host_name};

/// Most names that are put into a hosts file. A choice: a recording names as many as its service has dependencies.
const NAMES_MAX: usize = 256;

/// Most places that are served, and most hosts and ports that count as called. A choice, as above.
const PLACES_MAX: usize = 256;
const CALLED_MAX: usize = 1024;

/// Most addresses of 127.0.0.0/8 that stand in for others. A choice, far above what is recorded.
const STAND_INS_MAX: u8 = 250;

/// The port from which one is looked for where the service needs a dependency's recorded one for itself. A choice: below
/// the range that the kernel gives out (ip(7), `ip_local_port_range`).
const PORT_MOVED_FIRST: u16 = 20_001;

/// What the recording tells of where the dependencies were called.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Where the capture listened, and for which dependency.
    pub(crate) listeners: Vec<Place>,
    /// The dependency's name and the authority that the service called it by (`llm.internal:9101`).
    pub(crate) called: BTreeSet<(String, String)>,
    /// Names that the recorded container had in its hosts file.
    pub(crate) hosts: Vec<(String, String)>,
    /// The port that the service itself listens on.
    pub(crate) service_port: Option<u16>,
    /// The service's own host name, which is never taken from it.
    pub(crate) hostname: String,
    /// What runs beside the service, and the port that it listens on.
    pub(crate) beside: BTreeMap<String, u16>,
}

/// Where each dependency is inside, and how the service finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// What to listen on inside, with the dependency's name.
    pub(crate) places: Vec<Place>,
    /// What to listen on as well where that can be had: `localhost` may mean either family.
    pub(crate) companions: Vec<Place>,
    /// Names for the hosts file, with the address inside.
    pub(crate) hosts: BTreeMap<String, IpAddr>,
    /// Recorded addresses and those inside.
    moved: BTreeMap<SocketAddr, SocketAddr>,
    /// Names with a recorded port, and the port inside where it is another one.
    renamed: BTreeMap<(String, u16), u16>,
    /// As in [`Recorded`].
    beside: BTreeMap<String, u16>,
}

/// A host that the service called: an address that is not loopback's, or a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Host {
    Address(IpAddr),
    Name(String),
}

impl Addresses {
    /// Decides where everything is inside. Hosts in `texts` (variables and arguments) count as called where their port is
    /// a listener's.
    pub(crate) fn of<'a>(recorded: &Recorded, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut addresses = Self { beside: recorded.beside.clone(), ..Self::default() };
        // What is real is at its port before anything else is.
        recorded.servers().for_each(|place| addresses.serve(place));
        for place in &recorded.listeners {
            addresses.keep(place, recorded);
        }
        let called = Called::of(recorded, texts);
        for (ip, place) in &called.on_loopback {
            addresses.serve(Place { address: SocketAddr::new(*ip, place.address.port()), ..place.clone() });
        }
        for (host, places) in &called.hosts {
            addresses.stand_in(host, places, recorded);
        }
        for (name, address) in &recorded.hosts {
            addresses.take_entry(name, address, recorded);
        }
        addresses.add_companions(recorded);
        addresses
    }

    /// Everything that may be listened on to be answered from the recording.
    pub(crate) fn listeners(&self) -> Vec<Place> {
        let all = self.places.iter().chain(&self.companions);
        all.filter(|place| !self.beside.contains_key(&place.name)).cloned().collect()
    }

    /// Addresses that lead to what runs beside the service at another port, and where that is.
    pub(crate) fn detours(&self) -> BTreeMap<SocketAddr, SocketAddr> {
        let all = self.places.iter().chain(&self.companions);
        let detour = |place: &Place| {
            let port = *self.beside.get(&place.name)?;
            let server = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
            (place.address.port() != port).then_some((place.address, server))
        };
        all.filter_map(detour).collect()
    }

    /// A listener whose address is there inside as well keeps it.
    fn keep(&mut self, place: &Place, recorded: &Recorded) {
        let (ip, port) = (place.address.ip(), place.address.port());
        if ip.is_loopback() {
            self.serve(place.clone());
        } else if ip.is_unspecified() && Some(port) != recorded.service_port {
            self.serve(Place { address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port), ..place.clone() });
        }
    }

    /// The first to have an address keeps it.
    fn serve(&mut self, place: Place) {
        if self.at(place.address).is_none() && self.places.len() < PLACES_MAX {
            self.places.push(place);
        }
    }

    fn at(&self, address: SocketAddr) -> Option<&Place> {
        self.places.iter().find(|place| place.address == address)
    }

    /// Gives a host an address of loopback where all its ports lead to the dependencies that they led to.
    fn stand_in(&mut self, host: &Host, recorded_places: &[Place], recorded: &Recorded) {
        let moved: Vec<(u16, Place)> = recorded_places.iter().map(|place| self.with_port(place, recorded)).collect();
        let fits = |ip: &IpAddr| {
            let taken = |(port, place): &(u16, Place)| {
                self.at(SocketAddr::new(*ip, *port)).is_some_and(|other| other.name != place.name)
            };
            !moved.iter().any(taken)
        };
        let mut candidates = (1..=STAND_INS_MAX).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let Some(ip) = candidates.find(fits) else { return };
        for (port, place) in moved {
            let recorded_port = place.address.port();
            let inside = SocketAddr::new(ip, port);
            match host {
                Host::Address(outside) => {
                    self.moved.insert(SocketAddr::new(*outside, recorded_port), inside);
                }
                Host::Name(name) if port != recorded_port => {
                    self.renamed.insert((name.clone(), recorded_port), port);
                }
                Host::Name(_) => {}
            }
            self.serve(Place { address: inside, ..place });
        }
        if let Host::Name(name) = host {
            self.name(name, ip, recorded);
        }
    }

    /// The port inside: the recorded one, unless the service has that itself.
    fn with_port(&self, place: &Place, recorded: &Recorded) -> (u16, Place) {
        let port = place.address.port();
        if Some(port) != recorded.service_port {
            return (port, place.clone());
        }
        // One dependency has one such port, whatever it was called by.
        let own = |other: &&Place| other.name == place.name && other.address.port() >= PORT_MOVED_FIRST;
        let mut own = self.places.iter().filter(own).map(|other| other.address.port());
        let own = own.find(|port| recorded.listeners.iter().all(|listener| listener.address.port() != *port));
        let is_free = |port: &u16| {
            let is_other = |other: &Place| other.address.port() != *port;
            self.places.iter().chain(&recorded.listeners).all(is_other)
        };
        (own.or_else(|| (PORT_MOVED_FIRST..).find(is_free)).unwrap_or(port), place.clone())
    }

    /// An entry of the recorded hosts file: it leads to what stands in for its address.
    fn take_entry(&mut self, name: &str, address: &str, recorded: &Recorded) {
        let outside = address.parse::<IpAddr>();
        let ip = match outside {
            Ok(ip) if ip.is_loopback() => Some(ip),
            Ok(ip) => self.moved.iter().find(|(from, _)| from.ip() == ip).map(|(_, to)| to.ip()),
            // `host-gateway` was this machine, as was every listener.
            Err(_) if self.places.is_empty() => None,
            Err(_) => {
                let of_machine = |from: &SocketAddr| recorded.listeners.iter().any(|it| it.address.ip() == from.ip());
                let moved = self.moved.iter().find(|(from, _)| of_machine(from)).map(|(_, to)| to.ip());
                Some(moved.unwrap_or(Ipv4Addr::LOCALHOST.into()))
            }
        };
        if let Some(ip) = ip {
            self.name(name, ip, recorded);
        }
    }

    fn name(&mut self, name: &str, ip: IpAddr, recorded: &Recorded) {
        let name = plain_name(name);
        if is_host_name(&name) && !recorded.is_own_name(&name) && self.hosts.len() < NAMES_MAX {
            self.hosts.entry(name).or_insert(ip);
        }
    }

    fn add_companions(&mut self, recorded: &Recorded) {
        let other_family = |ip: IpAddr| match ip {
            IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            _ => None,
        };
        let companion = |place: &Place| {
            let address = SocketAddr::new(other_family(place.address.ip())?, place.address.port());
            let is_free = self.at(address).is_none() && Some(address.port()) != recorded.service_port;
            is_free.then(|| Place { address, ..place.clone() })
        };
        self.companions = self.places.iter().filter_map(companion).collect();
    }

    /// The text with the addresses replaced that cannot exist inside, and each replacement as `FROM → TO, because …`.
    pub(crate) fn replace_in(&self, text: &str) -> (String, Vec<String>) {
        let mut replaced = text.to_owned();
        let mut notes = Vec::new();
        let mut replace = |from: &str, to: &str, belongs: &dyn Fn(&str, &str) -> bool, because: &str| {
            if let Some(now) = texts::replace(&replaced, from, to, belongs) {
                replaced = now;
                notes.push(format!("{from} → {to}, because {because}"));
            }
        };
        let (no_address, own_port) = ("there is no such address in here", "the service has that port itself");
        for (from, to) in &self.moved {
            let because = if from.port() == to.port() { no_address } else { own_port };
            replace(&from.to_string(), &to.to_string(), &|before, behind| begins(before) && ends(behind), because);
            if let IpAddr::V4(ip) = from.ip() {
                let mapped = format!("[::ffff:{ip}]:{}", from.port());
                replace(&mapped, &to.to_string(), &|before, behind| begins(before) && ends(behind), because);
            }
            if from.port() != to.port() && matches!(from.port(), 80 | 443) {
                let in_url_without_port =
                    |before: &str, behind: &str| begins_authority(before) && ends_without_port(behind);
                replace(&in_url(from.ip()), &to.to_string(), &in_url_without_port, because);
            }
        }
        let ips: BTreeMap<IpAddr, IpAddr> = self.moved.iter().map(|(from, to)| (from.ip(), to.ip())).collect();
        let alone = |before: &str, behind: &str| begins(before) && ends_without_port(behind);
        for (from, to) in ips {
            replace(&in_url(from), &in_url(to), &alone, no_address);
            if from.is_ipv6() {
                replace(&from.to_string(), &to.to_string(), &alone, no_address);
            }
        }
        for ((host, recorded_port), port) in self.renamed_in(text) {
            let to = format!("{host}:{port}");
            replace(
                &format!("{host}:{recorded_port}"),
                &to,
                &|before, behind| begins(before) && ends(behind),
                own_port,
            );
            let in_url_without_port =
                |before: &str, behind: &str| begins_authority(before) && ends_without_port(behind);
            if matches!(recorded_port, 80 | 443) {
                replace(&host, &to, &in_url_without_port, own_port);
            }
        }
        (replaced, notes)
    }

    /// The names of a text, as they are written there, whose port is another one inside.
    fn renamed_in(&self, text: &str) -> BTreeMap<(String, u16), u16> {
        let named = authorities_of(text).into_iter().filter_map(|(host, port)| {
            let inside = self.renamed.get(&(plain_name(&host), port))?;
            Some(((host, port), *inside))
        });
        named.collect()
    }

    /// The hosts file's lines, in words.
    pub(crate) fn hosts_in_words(&self) -> Vec<String> {
        self.hosts.iter().map(|(name, ip)| format!("{name}: {ip} by its hosts file")).collect()
    }

    /// The ports that had to move or lead elsewhere, in words.
    pub(crate) fn moved_ports_in_words(&self) -> Vec<String> {
        let led = self.places.iter().filter_map(|place| {
            let port = self.beside.get(&place.name).filter(|port| **port != place.address.port())?;
            Some(format!("{}: led to `{}`, which listens on port {port}", place.address, place.name))
        });
        let moved = self.renamed.iter().map(|((name, recorded), port)| {
            format!("{name}:{recorded} is served at {name}:{port}, because the service has port {recorded} itself")
        });
        moved.chain(led).collect()
    }
}

impl Recorded {
    /// What runs beside the service, where it listens.
    fn servers(&self) -> impl Iterator<Item = Place> {
        let place = |(name, port): (&String, &u16)| Place {
            name: name.clone(),
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port),
        };
        self.beside.iter().map(place)
    }

    /// Where a dependency was listened for, or where what runs beside the service under its name listens.
    fn place_of(&self, dependency: &str) -> Option<Place> {
        let listener = self.listeners.iter().find(|place| place.name == dependency).cloned();
        listener.or_else(|| self.servers().find(|place| place.name == dependency))
    }

    fn is_own_name(&self, name: &str) -> bool {
        name == "localhost" || name.ends_with(".localhost") || name == self.hostname.to_ascii_lowercase()
    }
}

/// By what the service called its dependencies; each place has the port that was called.
#[derive(Debug, Default)]
struct Called {
    on_loopback: Vec<(IpAddr, Place)>,
    /// Addresses before names, so that the usual single one is 127.0.0.1.
    hosts: BTreeMap<Host, Vec<Place>>,
    count: usize,
}

impl Called {
    fn of<'a>(recorded: &Recorded, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut called = Self::default();
        for place in &recorded.listeners {
            let ip = place.address.ip();
            if !ip.is_loopback() && !ip.is_unspecified() {
                called.add(Host::Address(ip), place.clone());
            }
        }
        for (dependency, authority) in &recorded.called {
            let place = recorded.place_of(dependency);
            if let (Some(place), Some((host, port))) = (place, host_and_port(authority, 80)) {
                called.take(&host, at_port(&place, port), recorded);
            }
        }
        for (host, port) in texts.into_iter().flat_map(authorities_of) {
            let is_address = host.parse::<IpAddr>().is_ok();
            // Another address than the listener's own is another listener's, or nobody's.
            let may_be =
                |place: &&Place| place.address.port() == port && (!is_address || place.address.ip().is_unspecified());
            if let Some(place) = recorded.listeners.iter().find(may_be) {
                called.take(&host, place.clone(), recorded);
            }
        }
        called
    }

    fn take(&mut self, host: &str, place: Place, recorded: &Recorded) {
        self.count += 1;
        if self.count > CALLED_MAX {
            return;
        }
        let own_port = Some(place.address.port()) == recorded.service_port;
        match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => {}
            Ok(ip) if ip.is_loopback() && own_port => {}
            Ok(ip) if ip.is_loopback() => self.on_loopback.push((ip, place)),
            Ok(ip) => self.add(Host::Address(ip), place),
            Err(_) if recorded.is_own_name(&plain_name(host)) && own_port => {}
            Err(_) if recorded.is_own_name(&plain_name(host)) => {
                self.on_loopback.push((Ipv4Addr::LOCALHOST.into(), place));
            }
            Err(_) => self.add(Host::Name(plain_name(host)), place),
        }
    }

    /// The first dependency that a host's port led to counts.
    fn add(&mut self, host: Host, place: Place) {
        if matches!(&host, Host::Name(name) if !is_host_name(name)) {
            return;
        }
        let places = self.hosts.entry(host).or_default();
        if places.iter().all(|other| other.address.port() != place.address.port()) {
            places.push(place);
        }
    }
}

fn at_port(place: &Place, port: u16) -> Place {
    Place { address: SocketAddr::new(place.address.ip(), port), ..place.clone() }
}

/// As names are compared: in lower case, without the dot of the root.
fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests;

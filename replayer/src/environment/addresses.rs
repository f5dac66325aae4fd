//! Where the service finds its recorded dependencies in a place that has nothing but a loopback.
//!
//! In: the recorded listeners, the names and addresses that the service called them by, and its variables and arguments.
//! Out: what to listen on inside, the names for its hosts file, and texts with the addresses that cannot exist in there
//! replaced by those that do, each replacement in words. Pure: whoever starts the service carries it out.
//!
//! An address that is not loopback's becomes one of loopback's with the same port, always the same one for one address:
//! all of 127.0.0.0/8 is there (RFC 6890, section 2.2.2).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::serve::Place;

/// Most names that are put into a hosts file. A choice: a recording names as many as its service has dependencies.
const NAMES_MAX: usize = 256;

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
}

/// Where each dependency is inside, and how the service finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// What to listen on inside, with the dependency's name.
    pub(crate) places: Vec<Place>,
    /// Names for the hosts file, with the address inside.
    pub(crate) hosts: BTreeMap<String, IpAddr>,
    /// Recorded addresses and those inside.
    moved: BTreeMap<SocketAddr, SocketAddr>,
    /// Ports of listeners on every address: whatever address was called with one of these was ours.
    everywhere: BTreeMap<u16, SocketAddr>,
}

impl Addresses {
    /// Decides where everything is inside. Names in `texts` (variables and arguments) count as called where their port is
    /// a listener's.
    pub(crate) fn of<'a>(recorded: &Recorded, texts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut addresses = Self::default();
        let mut stand_ins = StandIns { service_port: recorded.service_port, ..StandIns::default() };
        // Those that stay where they are come first, so that what stands in for another address finds another place.
        let (mut listeners, moved): (Vec<_>, Vec<_>) =
            recorded.listeners.iter().partition(|place| stays(place.address));
        listeners.extend(moved);
        for place in listeners {
            let inside = stand_ins.inside(place.address);
            addresses.serve(&place.name, inside);
            if place.address.ip().is_unspecified() {
                addresses.everywhere.insert(place.address.port(), inside);
            } else if inside != place.address {
                addresses.moved.insert(place.address, inside);
            }
        }
        for (name, authority) in &recorded.called {
            addresses.take_called(name, authority, recorded);
        }
        for (name, address) in &recorded.hosts {
            let stands_for = address.parse().ok().and_then(|ip: IpAddr| addresses.inside_ip(ip));
            // What a name led to that is no address (`host-gateway`) is this machine, and so was every listener.
            let is_gateway = address == "host-gateway" && !addresses.places.is_empty();
            if let Some(ip) = stands_for.or(is_gateway.then_some(IpAddr::V4(Ipv4Addr::LOCALHOST))) {
                addresses.name(name, ip, recorded);
            }
        }
        for text in texts {
            for (host, port) in authorities_of(text) {
                if let Some(place) = addresses.places.iter().find(|place| place.address.port() == port) {
                    addresses.name(&host, place.address.ip(), recorded);
                }
            }
        }
        addresses
    }

    fn serve(&mut self, name: &str, address: SocketAddr) {
        if self.places.iter().all(|place| place.address != address) {
            self.places.push(Place { name: name.to_owned(), address });
        }
    }

    /// An authority by which a dependency was called: a name goes into the hosts file, and a port that is not the
    /// listener's own, as with a mapping in between, is served too.
    fn take_called(&mut self, dependency: &str, authority: &str, recorded: &Recorded) {
        let Some((host, port)) = host_and_port(authority, 80) else { return };
        let Some(place) = self.places.iter().find(|place| place.name == dependency).cloned() else { return };
        let ip = match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_loopback() => ip,
            Ok(ip) => self.inside_ip(ip).unwrap_or(place.address.ip()),
            Err(_) => {
                self.name(&host, place.address.ip(), recorded);
                place.address.ip()
            }
        };
        let called = SocketAddr::new(ip, port);
        let is_served = self.places.iter().any(|place| place.address == called);
        let moved_here = self.moved.keys().any(|from| from.port() == port && host == from.ip().to_string());
        if !is_served && !moved_here && Some(port) != recorded.service_port {
            self.serve(dependency, called);
        }
        if let Ok(outside) = host.parse::<IpAddr>()
            && !outside.is_loopback()
        {
            self.moved.entry(SocketAddr::new(outside, port)).or_insert(called);
        }
    }

    fn inside_ip(&self, outside: IpAddr) -> Option<IpAddr> {
        if outside.is_loopback() {
            return Some(outside);
        }
        self.moved.iter().find(|(from, _)| from.ip() == outside).map(|(_, to)| to.ip())
    }

    fn name(&mut self, name: &str, ip: IpAddr, recorded: &Recorded) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_own = name == "localhost" || name == recorded.hostname.to_ascii_lowercase();
        if is_host_name(&name) && !is_own && (self.hosts.len() < NAMES_MAX) {
            self.hosts.entry(name).or_insert(ip);
        }
    }

    /// The text with the addresses replaced that cannot exist inside, and each replacement as `FROM is TO in here`.
    pub(crate) fn replace_in(&self, text: &str) -> (String, Vec<String>) {
        let mut replaced = text.to_owned();
        let mut notes = Vec::new();
        let mut replace = |from: &str, to: &str, followed: Followed| {
            if let Some(now) = replace_words(&replaced, from, to, followed) {
                replaced = now;
                notes.push(format!("{from} is {to} in here"));
            }
        };
        for (from, to) in &self.moved {
            replace(&from.to_string(), &to.to_string(), Followed::ByNoDigit);
        }
        let ips: BTreeMap<IpAddr, IpAddr> = self.moved.iter().rev().map(|(from, to)| (from.ip(), to.ip())).collect();
        for (from, to) in ips {
            replace(&in_url(from), &in_url(to), Followed::ByNoPort);
            if from.is_ipv6() {
                replace(&from.to_string(), &to.to_string(), Followed::ByNoPort);
            }
        }
        for (host, port) in authorities_of(text) {
            let ip = host.parse::<IpAddr>().ok().filter(|ip| !ip.is_loopback());
            if let (Some(ip), Some(inside)) = (ip, self.everywhere.get(&port)) {
                replace(&SocketAddr::new(ip, port).to_string(), &inside.to_string(), Followed::ByNoDigit);
            }
        }
        (replaced, notes)
    }

    /// The hosts file's lines in words.
    pub(crate) fn hosts_in_words(&self) -> Vec<String> {
        self.hosts.iter().map(|(name, ip)| format!("{name}: {ip} by its hosts file")).collect()
    }
}

fn stays(address: SocketAddr) -> bool {
    address.ip().is_loopback() || address.ip().is_unspecified()
}

/// Which loopback address stands for which other one.
#[derive(Default)]
struct StandIns {
    by_ip: BTreeMap<IpAddr, IpAddr>,
    taken: BTreeSet<SocketAddr>,
    service_port: Option<u16>,
}

impl StandIns {
    /// The address inside for a recorded one.
    fn inside(&mut self, recorded: SocketAddr) -> SocketAddr {
        let ip = recorded.ip();
        let inside = match ip {
            _ if ip.is_loopback() => recorded,
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) | IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
                SocketAddr::new(Ipv4Addr::LOCALHOST.into(), recorded.port())
            }
            _ => self.stand_in(recorded),
        };
        self.taken.insert(inside);
        inside
    }

    fn stand_in(&mut self, recorded: SocketAddr) -> SocketAddr {
        let port = if Some(recorded.port()) == self.service_port { self.free_port() } else { recorded.port() };
        if let Some(ip) = self.by_ip.get(&recorded.ip()) {
            return SocketAddr::new(*ip, port);
        }
        let candidates = (1..=STAND_INS_MAX).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let is_free = |ip: &IpAddr| {
            !self.taken.contains(&SocketAddr::new(*ip, port)) && !self.by_ip.values().any(|taken| taken == ip)
        };
        let ip = candidates.into_iter().find(is_free).unwrap_or(Ipv4Addr::LOCALHOST.into());
        self.by_ip.insert(recorded.ip(), ip);
        SocketAddr::new(ip, port)
    }

    /// A port that no recorded listener has: the service binds its own on every address, as a rule.
    fn free_port(&self) -> u16 {
        let is_free = |port: &u16| self.taken.iter().all(|address| address.port() != *port);
        (PORT_MOVED_FIRST..).find(is_free).unwrap_or(PORT_MOVED_FIRST)
    }
}

/// What may follow an address that is replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Followed {
    /// No further digit, which would make it another port.
    ByNoDigit,
    /// Neither that nor a port: that one is another listener's, or nobody's.
    ByNoPort,
}

/// Replaces `from` where it stands as a word of its own; `None` where it does not.
fn replace_words(text: &str, from: &str, to: &str, followed: Followed) -> Option<String> {
    let mut replaced = String::new();
    let mut rest = text;
    let mut before = None;
    let mut found = false;
    while let Some(at) = rest.find(from) {
        let (head, tail) = (&rest[..at], &rest[at + from.len()..]);
        let left = head.chars().next_back().or(before);
        // `::ffff:172.17.0.1` is an address of its own kind, and `[` opens one of IPv6's.
        let begins = left.is_none_or(|left| !left.is_ascii_alphanumeric() && !matches!(left, '.' | ':' | '-' | '_'));
        let mut right = tail.chars();
        let next = right.next();
        let is_word = next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '.' || next == '_');
        let has_port = next == Some(':') && right.next().is_some_and(|digit| digit.is_ascii_digit());
        let ends = !is_word && (followed == Followed::ByNoDigit || !has_port);
        replaced.push_str(head);
        replaced.push_str(if begins && ends { to } else { from });
        found |= begins && ends;
        before = from.chars().next_back();
        rest = tail;
    }
    replaced.push_str(rest);
    found.then_some(replaced)
}

/// As an address stands in a URL: IPv6 in brackets (RFC 3986, section 3.2.2).
fn in_url(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// `host`, `host:port`, `[::1]:port`.
fn host_and_port(authority: &str, usual: u16) -> Option<(String, u16)> {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.filter(|port| !port.is_empty()).map_or(Some(usual), |port| port.parse().ok())?;
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The hosts and ports that a text names: in URLs, and as the whole of it or of an option's value.
fn authorities_of(text: &str) -> Vec<(String, u16)> {
    let mut found = Vec::new();
    for word in text.split(|it: char| it.is_ascii_whitespace() || matches!(it, ',' | ';' | '"' | '\'' | '=')) {
        let (authority, usual) = match word.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                (&rest[..end], if scheme.ends_with('s') && scheme != "redis" { 443 } else { 80 })
            }
            None if word.contains(':') && !word.contains('/') => (word, 0),
            None => continue,
        };
        found.extend(host_and_port(authority, usual).filter(|(_, port)| *port > 0));
    }
    found
}

/// Letters, digits, `-`, `_` and dots (RFC 952 as it is used), and no address.
fn is_host_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=253).contains(&name.len())
        && name.bytes().all(is_part)
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str, address: &str) -> Place {
        Place { name: name.to_owned(), address: address.parse().unwrap() }
    }

    fn recorded(listeners: &[(&str, &str)]) -> Recorded {
        let listeners = listeners.iter().map(|(name, address)| place(name, address)).collect();
        Recorded { listeners, ..Recorded::default() }
    }

    fn inside(addresses: &Addresses) -> Vec<String> {
        addresses.places.iter().map(|place| format!("{} {}", place.name, place.address)).collect()
    }

    #[test]
    fn loopback_stays_and_every_address_becomes_loopback() {
        let recorded = recorded(&[("a", "127.0.0.1:1"), ("b", "[::1]:2"), ("c", "0.0.0.0:3"), ("d", "[::]:4")]);
        let addresses = Addresses::of(&recorded, []);
        assert_eq!(inside(&addresses), ["a 127.0.0.1:1", "b [::1]:2", "c 127.0.0.1:3", "d 127.0.0.1:4"]);
        assert_eq!(addresses.replace_in("http://127.0.0.1:1/v1"), ("http://127.0.0.1:1/v1".to_owned(), Vec::new()));
    }

    #[test]
    fn an_address_that_cannot_exist_is_replaced_in_texts_and_another_that_begins_like_it_is_not() {
        let addresses = Addresses::of(&recorded(&[("llm", "172.17.0.1:9001")]), []);
        assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001"]);
        for (text, expected) in [
            ("http://172.17.0.1:9001/v1", "http://127.0.0.1:9001/v1"),
            ("172.17.0.1:9001,172.17.0.1:9001", "127.0.0.1:9001,127.0.0.1:9001"),
            ("--url=172.17.0.1:9001", "--url=127.0.0.1:9001"),
            ("172.17.0.1", "127.0.0.1"),
            ("http://user:pw@172.17.0.1/x", "http://user:pw@127.0.0.1/x"),
            ("172.17.0.10:9001", "172.17.0.10:9001"),
            ("172.17.0.1:90010", "172.17.0.1:90010"),
            ("172.17.0.1:5432", "172.17.0.1:5432"),
            ("1172.17.0.1:9001", "1172.17.0.1:9001"),
            ("[::ffff:172.17.0.1]:9001", "[::ffff:172.17.0.1]:9001"),
            ("v172.17.0.1.2", "v172.17.0.1.2"),
        ] {
            assert_eq!(addresses.replace_in(text).0, expected);
        }
        let (_, notes) = addresses.replace_in("http://172.17.0.1:9001/v1");
        assert_eq!(notes, ["172.17.0.1:9001 is 127.0.0.1:9001 in here"]);
    }

    #[test]
    fn two_addresses_with_one_port_stay_two() {
        let recorded =
            recorded(&[("a", "10.0.0.1:80"), ("b", "10.0.0.2:80"), ("c", "127.0.0.1:80"), ("d", "10.0.0.2:81")]);
        let addresses = Addresses::of(&recorded, []);
        assert_eq!(
            inside(&addresses),
            ["a 127.0.0.1:80", "b 127.0.0.2:80", "d 127.0.0.2:81"].map(str::to_owned).to_vec(),
            "c is a's"
        );
    }

    #[test]
    fn a_name_that_the_service_called_is_in_the_hosts_file_and_its_port_is_served() {
        let called =
            [("llm", "LLM.internal:9001"), ("llm", "api.corp"), ("llm", "localhost:9001"), ("llm", "127.0.0.1:9001")];
        let recorded = Recorded {
            called: called.map(|(name, authority)| (name.to_owned(), authority.to_owned())).into(),
            hostname: "svc".to_owned(),
            hosts: vec![
                ("host.docker.internal".to_owned(), "host-gateway".to_owned()),
                ("db".to_owned(), "10.9.9.9".to_owned()),
            ],
            ..recorded(&[("llm", "127.0.0.1:9001")])
        };
        let addresses = Addresses::of(&recorded, ["http://other.name:9001/x", "svc:9001", "http://unrecorded:1/"]);
        assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001", "llm 127.0.0.1:80"]);
        let names: Vec<&str> = addresses.hosts.keys().map(String::as_str).collect();
        assert_eq!(names, ["api.corp", "host.docker.internal", "llm.internal", "other.name"]);
    }

    #[test]
    fn a_listener_on_every_address_was_called_by_one_of_them() {
        let mut recorded = recorded(&[("llm", "0.0.0.0:9001")]);
        recorded.called.insert(("llm".to_owned(), "172.17.0.1:9001".to_owned()));
        let addresses = Addresses::of(&recorded, []);
        assert_eq!(addresses.replace_in("http://172.17.0.1:9001/v1").0, "http://127.0.0.1:9001/v1");
        assert_eq!(addresses.replace_in("http://192.168.1.5:9001").0, "http://127.0.0.1:9001");
        assert_eq!(inside(&addresses), ["llm 127.0.0.1:9001"]);
    }

    #[test]
    fn a_dependency_whose_port_the_service_has_itself_moves() {
        let recorded = Recorded { service_port: Some(8000), ..recorded(&[("llm", "172.17.0.1:8000")]) };
        let addresses = Addresses::of(&recorded, []);
        assert_eq!(inside(&addresses), ["llm 127.0.0.1:20001"]);
        assert_eq!(addresses.replace_in("http://172.17.0.1:8000").0, "http://127.0.0.1:20001");
    }

    #[test]
    fn an_address_of_ipv6_is_replaced_with_its_brackets() {
        let addresses = Addresses::of(&recorded(&[("llm", "[fd00::1]:9001")]), []);
        assert_eq!(addresses.replace_in("http://[fd00::1]:9001/v1").0, "http://127.0.0.1:9001/v1");
        assert_eq!(addresses.replace_in("fd00::1").0, "127.0.0.1");
    }
}

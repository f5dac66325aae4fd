//! Socket addresses as programs hand them to the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest address there is, in bytes: `struct sockaddr_storage` (socket(7)).
pub(super) const LEN_MAX: usize = 128;

/// Address families (address_families(7)), as numbers of their first two bytes.
const UNIX: u16 = libc::AF_UNIX as u16;
const INET: u16 = libc::AF_INET as u16;
const INET6: u16 = libc::AF_INET6 as u16;

/// An address that somebody may be found at.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// IPv4, or IPv6 that is not IPv4 in another dress. "Any address" is the loopback, where connects to it go (ip(7)).
    Inet(SocketAddr),
    /// A unix socket's path.
    Path(Vec<u8>),
    /// A unix socket's abstract name, without the zero byte before it.
    Abstract(Vec<u8>),
}

impl Peer {
    /// Reads `struct sockaddr_in`, `sockaddr_in6` or `sockaddr_un`; nothing for other families, for port 0, and for what
    /// is too short.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (family, rest) = bytes.split_first_chunk()?;
        match u16::from_ne_bytes(*family) {
            UNIX => Self::read_unix(rest),
            INET => {
                let ip: [u8; 4] = rest.get(2..6)?.try_into().ok()?;
                Self::inet(Ipv4Addr::from(ip).into(), rest)
            }
            INET6 => {
                let ip: [u8; 16] = rest.get(6..22)?.try_into().ok()?;
                Self::inet(Ipv6Addr::from(ip).to_canonical(), rest)
            }
            _ => None,
        }
    }

    fn inet(ip: IpAddr, rest: &[u8]) -> Option<Self> {
        let port = u16::from_be_bytes(*rest.first_chunk()?);
        let ip = match ip {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        (port != 0).then_some(Self::Inet(SocketAddr::new(ip, port)))
    }

    fn read_unix(path: &[u8]) -> Option<Self> {
        match path {
            [] | [0] => None,
            [0, name @ ..] => Some(Self::Abstract(name.to_vec())),
            path => path.split(|&byte| byte == 0).next().map(|path| Self::Path(path.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_family(family: u16, rest: &[u8]) -> Vec<u8> {
        [&family.to_ne_bytes()[..], rest].concat()
    }

    fn inet(text: &str) -> Option<Peer> {
        Some(Peer::Inet(text.parse().unwrap()))
    }

    #[test]
    fn internet_addresses_are_read_with_their_port_and_in_their_plain_form() {
        let v4 = with_family(INET, &[0x18, 0xeb, 10, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Peer::read(&v4), inet("10.0.0.7:6379"));
        assert_eq!(Peer::read(&with_family(INET, &[0, 80, 0, 0, 0, 0])), inet("127.0.0.1:80"));
        let v6 = |ip: &str| {
            let ip: Ipv6Addr = ip.parse().unwrap();
            with_family(INET6, &[&[0, 80, 0, 0, 0, 0][..], &ip.octets(), &[0; 4]].concat())
        };
        assert_eq!(Peer::read(&v6("2001:db8::1")), inet("[2001:db8::1]:80"));
        assert_eq!(Peer::read(&v6("::ffff:127.0.0.1")), inet("127.0.0.1:80"));
        assert_eq!(Peer::read(&v6("::")), inet("[::1]:80"));
    }

    #[test]
    fn unix_sockets_are_read_by_path_and_by_abstract_name() {
        let path = with_family(UNIX, b"/run/docker.sock\0\0\0");
        assert_eq!(Peer::read(&path), Some(Peer::Path(b"/run/docker.sock".to_vec())));
        assert_eq!(Peer::read(&path[..6]), Some(Peer::Path(b"/run".to_vec())));
        assert_eq!(Peer::read(&with_family(UNIX, b"\0name\0x")), Some(Peer::Abstract(b"name\0x".to_vec())));
    }

    #[test]
    fn what_is_nobodys_address_is_none() {
        let whole = with_family(INET, &[0, 80, 10, 0, 0, 7]);
        for cut in 0..whole.len() {
            assert_eq!(Peer::read(&whole[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Peer::read(&with_family(INET, &[0, 0, 10, 0, 0, 7])), None, "port 0");
        assert_eq!(Peer::read(&with_family(libc::AF_UNSPEC as u16, &[0; 14])), None, "an end to a connection");
        assert_eq!(Peer::read(&with_family(libc::AF_NETLINK as u16, &[0; 10])), None);
        assert_eq!(Peer::read(&with_family(UNIX, b"\0")), None);
    }
}

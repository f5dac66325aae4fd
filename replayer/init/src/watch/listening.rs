//! Who listens in this network name space: the kernel is asked, or its tables are read (proc_net(5)).

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Lines},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::system::diag::Diag;

/// States of sockets in the tables: TCP that listens, and UDP that has no peer (net/tcp_states.h).
const LISTENS: &str = "0A";
const HAS_NO_PEER: &str = "07";

/// Whoever knows who accepts TCP connections.
#[derive(Debug)]
pub(super) struct TcpListeners(Option<Diag>);

impl TcpListeners {
    pub(super) fn of_this_name_space() -> Self {
        Self(Diag::open().ok())
    }

    /// True when a TCP connection to `address` would be accepted.
    pub(super) fn accept(&self, address: SocketAddr) -> io::Result<bool> {
        self.0.as_ref().map_or_else(|| tcp(address), |diag| diag.accepts(address))
    }
}

fn tcp(address: SocketAddr) -> io::Result<bool> {
    // Whoever listens stands first.
    let hears = |rows: Rows| rows.take_while(|row| row.state == LISTENS).any(|row| row.hears(address));
    Ok(hears(Rows::open("/proc/net/tcp")?) || Rows::open_v6("/proc/net/tcp6")?.is_some_and(hears))
}

/// True when a datagram to `address` would find a socket.
pub(super) fn udp(address: SocketAddr) -> io::Result<bool> {
    let hears = |mut rows: Rows| rows.any(|row| row.state == HAS_NO_PEER && row.hears(address));
    Ok(hears(Rows::open("/proc/net/udp")?) || Rows::open_v6("/proc/net/udp6")?.is_some_and(hears))
}

/// True when a unix socket has this abstract name, which the table shows with `@` for each zero byte.
pub(super) fn abstract_name(name: &[u8]) -> io::Result<bool> {
    let shown: Vec<u8> = [b"\0", name].concat().into_iter().map(|byte| if byte == 0 { b'@' } else { byte }).collect();
    let mut lines = BufReader::new(File::open("/proc/net/unix")?).split(b'\n').map_while(Result::ok);
    Ok(lines.any(|line| name_of(&line).is_some_and(|name| name == shown)))
}

/// The sockets of one table.
struct Rows(Lines<BufReader<File>>);

impl Rows {
    fn open(table: &str) -> io::Result<Self> {
        Ok(Self(BufReader::new(File::open(table)?).lines()))
    }

    /// A kernel without IPv6 has no such table, and nobody listens that way.
    fn open_v6(table: &str) -> io::Result<Option<Self>> {
        match Self::open(table) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }
}

impl Iterator for Rows {
    type Item = Row;

    /// The next line that is a row: the first one holds titles.
    fn next(&mut self) -> Option<Row> {
        self.0.by_ref().map_while(Result::ok).find_map(|line| Row::read(&line))
    }
}

/// One socket.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    address: SocketAddr,
    state: String,
}

impl Row {
    /// `sl: local remote state …`; an address is its words in the machine's byte order and the port, all in hexadecimal.
    fn read(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (ip, port) = fields.next()?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let state = fields.nth(1)?.to_owned();
        Some(Self { address: SocketAddr::new(read_ip(ip)?, port), state })
    }

    /// One that listens on `::` is taken to hear IPv4 too: whether it does, the table does not say.
    fn hears(&self, address: SocketAddr) -> bool {
        let ip = match self.address.ip() {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => return self.address.port() == address.port(),
            ip => ip.to_canonical(),
        };
        let is_any = ip == Ipv4Addr::UNSPECIFIED && address.is_ipv4();
        self.address.port() == address.port() && (is_any || ip == address.ip())
    }
}

fn read_ip(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Some(Ipv6Addr::from(bytes).into())
        }
        _ => None,
    }
}

/// The last of eight fields, where there is one.
fn name_of(line: &[u8]) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..7 {
        let start = rest.iter().position(|&byte| byte != b' ')?;
        let field = &rest[start..];
        rest = &field[field.iter().position(|&byte| byte == b' ')?..];
    }
    rest.strip_prefix(b" ")
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn row(line: &str) -> Row {
        Row::read(line).unwrap()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rows_are_read_as_the_kernel_writes_them() {
        let line = "   0: 0100007F:18EB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0";
        let redis = row(line);
        assert_eq!((redis.address, redis.state.as_str()), (address("127.0.0.1:6379"), LISTENS));
        let v6 = row("   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0");
        assert_eq!(v6.address, address("[::1]:80"));
        assert_eq!(Row::read("  sl  local_address rem_address   st tx_queue"), None);
    }

    #[test]
    fn a_listener_on_every_address_hears_all_and_others_only_their_own() {
        let at = |text: &str| Row { address: address(text), state: LISTENS.to_owned() };
        assert!(at("0.0.0.0:80").hears(address("127.0.0.1:80")));
        assert!(!at("0.0.0.0:80").hears(address("[::1]:80")));
        assert!(at("[::]:80").hears(address("127.0.0.1:80")) && at("[::]:80").hears(address("[::1]:80")));
        assert!(at("[::ffff:127.0.0.1]:80").hears(address("127.0.0.1:80")));
        assert!(!at("127.0.0.1:80").hears(address("127.0.0.2:80")));
        assert!(!at("[::]:80").hears(address("127.0.0.1:81")));
    }

    #[test]
    fn this_kernels_tables_show_who_listens_here() {
        let (listener, socket) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let (to_listener, to_socket) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
        assert!(tcp(to_listener).unwrap() && udp(to_socket).unwrap());
        drop((listener, socket));
        assert!(!tcp(to_listener).unwrap() && !udp(to_socket).unwrap());
    }

    #[test]
    fn a_unix_sockets_name_is_the_last_field() {
        let line = b"ffff8a: 00000002 00000000 00010000 0001 01 12345 @a name";
        assert_eq!(name_of(line), Some(&b"@a name"[..]));
        assert_eq!(name_of(&line[..line.len() - 8]), None);
    }
}

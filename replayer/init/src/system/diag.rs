//! Asks the kernel which TCP socket would get a connection (sock_diag(7)): one question, where the tables under `/proc`
//! would have to be read whole, which takes milliseconds on a machine with much memory.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
};

use super::check;

/// Numbers of the protocol (linux/sock_diag.h, linux/netlink.h, net/tcp_states.h).
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const LISTENS: u8 = 10;

/// Lengths in bytes of a message's header and of `struct inet_diag_req_v2`.
const HEADER_LEN: usize = 16;
const REQUEST_LEN: usize = 56;

/// A port that no client has for its own: what asks has to come from somewhere.
const NOBODYS_PORT: u16 = 1;

/// Somebody to ask.
#[derive(Debug)]
pub(crate) struct Diag(OwnedFd);

impl Diag {
    /// An error where the kernel has no answers to give.
    pub(crate) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
        // SAFETY: the descriptor is checked before it is owned.
        let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_INET_DIAG) };
        check(socket)?;
        // SAFETY: it is open and nobody else has it.
        let diag = Self(unsafe { OwnedFd::from_raw_fd(socket) });
        diag.accepts((Ipv4Addr::LOCALHOST, NOBODYS_PORT).into())?;
        Ok(diag)
    }

    /// True when somebody in this name space accepts connections at `address`.
    pub(crate) fn accepts(&self, address: SocketAddr) -> io::Result<bool> {
        let message = question(address);
        // SAFETY: the message outlives the call.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        let mut answer = [0_u8; 1024];
        // The kernel has answered by the time that the question is sent.
        // SAFETY: the kernel writes at most as many bytes as there are.
        let len =
            unsafe { libc::recv(self.0.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), libc::MSG_DONTWAIT) };
        let len = usize::try_from(len).map_err(|_| io::Error::last_os_error())?;
        read_answer(&answer[..len])
    }
}

/// A message that asks for the one socket that a connection from the loopback to `address` would find.
fn question(address: SocketAddr) -> Vec<u8> {
    let (family, here) = match address {
        SocketAddr::V4(_) => (libc::AF_INET, IpAddr::from(Ipv4Addr::LOCALHOST)),
        SocketAddr::V6(_) => (libc::AF_INET6, IpAddr::from(Ipv6Addr::LOCALHOST)),
    };
    let byte = |number: i32| u8::try_from(number).expect("families and protocols have small numbers");
    let len = u32::try_from(HEADER_LEN + REQUEST_LEN).expect("72");
    let mut message = Vec::with_capacity(HEADER_LEN + REQUEST_LEN);
    message.extend(len.to_ne_bytes());
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // Sequence number and sender, which nobody looks at.
    message.extend([0; 8]);
    message.extend([byte(family), byte(libc::IPPROTO_TCP), 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(address.port().to_be_bytes());
    message.extend(NOBODYS_PORT.to_be_bytes());
    message.extend(sixteen(address.ip()));
    message.extend(sixteen(here));
    // Any interface, and no cookie.
    message.extend([0; 4]);
    message.extend([0xff; 8]);
    message
}

fn sixteen(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&ip.octets());
            bytes
        }
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn read_answer(answer: &[u8]) -> io::Result<bool> {
    let odd = || io::Error::from(io::ErrorKind::InvalidData);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes).ok_or_else(odd)?;
    let body = answer.get(HEADER_LEN..).ok_or_else(odd)?;
    match kind {
        BY_FAMILY => body.get(1).map(|state| *state == LISTENS).ok_or_else(odd),
        ERROR => {
            let number = i32::from_ne_bytes(*body.first_chunk().ok_or_else(odd)?);
            if number == -libc::ENOENT { Ok(false) } else { Err(io::Error::from_raw_os_error(number.saturating_neg())) }
        }
        _ => Err(odd()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_listens_accepts_at_its_own_address_and_at_no_other_until_it_is_gone() {
        let Ok(diag) = Diag::open() else { return eprintln!("skipped: this kernel has no sock_diag") };
        for (listens, asked, other) in
            [("127.0.0.1", "127.0.0.1", "127.0.0.2"), ("0.0.0.0", "127.0.0.2", "::1"), ("::1", "::1", "127.98.76.54")]
        {
            let ip = |text: &str| text.parse::<IpAddr>().unwrap();
            let Ok(listener) = TcpListener::bind((ip(listens), 0)) else { continue };
            let port = listener.local_addr().unwrap().port();
            let accepts = |address: &str| diag.accepts((ip(address), port).into()).unwrap();
            assert!(accepts(asked), "{listens}");
            assert!(!accepts(other), "{listens}");
            drop(listener);
            assert!(!accepts(asked), "{listens}");
        }
    }

    #[test]
    fn answers_that_are_cut_or_of_another_kind_are_errors() {
        assert!(read_answer(&[]).is_err());
        assert!(read_answer(&[0; 16]).is_err());
        let mut refused = vec![0; 20];
        refused[4..6].copy_from_slice(&ERROR.to_ne_bytes());
        refused[16..].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        assert!(!read_answer(&refused).unwrap());
        refused[16..].copy_from_slice(&(-libc::EOPNOTSUPP).to_ne_bytes());
        assert!(read_answer(&refused).is_err());
        refused.truncate(18);
        assert!(read_answer(&refused).is_err());
    }
}

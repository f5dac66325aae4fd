//! A resolver that knows no name and remembers which ones it was asked.
//!
//! It answers every question with "no such name" (RCODE 3, RFC 1035 section 4.1.1), over UDP and TCP. In a container
//! without network the answer is true, and the name asked tells who the service wanted to talk to.
//!
//! A look-up that never reaches a resolver is not seen: names in the hosts file, and with glibc those asked for one
//! address family and `AI_ADDRCONFIG` at once, which it refuses by itself where only the loopback has addresses.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
    task::JoinSet,
};

use super::link::locked;

/// Length of a message's header in bytes (RFC 1035, section 4.1.1).
const HEADER_LEN: usize = 12;

/// Longest name in bytes as sent (RFC 1035, section 2.3.4).
const NAME_LEN_MAX: usize = 255;

/// Largest question taken over UDP, in bytes. Longer ones are cut, which loses options but not the name.
const DATAGRAM_LEN_MAX: usize = 1024;

/// TCP connections served at once, and how long each may last. Choices: resolvers fall back to TCP only for long
/// answers, and ours are short.
const CONNECTIONS_MAX: usize = 32;
const CONNECTION_PATIENCE: Duration = Duration::from_secs(10);

/// Pause after a failed receive or accept. A choice.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Different names that are told apart inside; the host keeps its own limit.
const NAMES_MAX: usize = 8192;

/// A resolver that has its sockets.
pub(super) struct Resolver {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Resolver {
    /// Takes both sockets at `address`.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind(address).await?;
        let tcp = TcpListener::bind(udp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    #[cfg(test)]
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Answers from now on in `tasks`, and adds each name asked to `names`.
    pub(super) fn start(self, names: &Arc<Mutex<Names>>, tasks: &mut JoinSet<()>) {
        tasks.spawn(serve_udp(self.udp, Arc::clone(names)));
        tasks.spawn(serve_tcp(self.tcp, Arc::clone(names)));
    }
}

async fn serve_udp(socket: UdpSocket, names: Arc<Mutex<Names>>) {
    let mut buffer = [0; DATAGRAM_LEN_MAX];
    loop {
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(FAILURE_PAUSE).await;
            continue;
        };
        if let Some(reply) = answer(&buffer[..len], &names) {
            // Whoever asked may be gone by now, which is its own affair.
            socket.send_to(&reply, from).await.unwrap_or_default();
        }
    }
}

async fn serve_tcp(listener: TcpListener, names: Arc<Mutex<Names>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((connection, _)) = listener.accept().await else {
            tokio::time::sleep(FAILURE_PAUSE).await;
            continue;
        };
        let names = Arc::clone(&names);
        tokio::spawn(async move {
            // An error or a late question ends the connection, and that is all there is to do.
            drop(tokio::time::timeout(CONNECTION_PATIENCE, serve_connection(connection, &names)).await);
            drop(place);
        });
    }
}

async fn serve_connection(mut connection: TcpStream, names: &Mutex<Names>) -> io::Result<()> {
    loop {
        let len = connection.read_u16().await?;
        let mut question = vec![0; usize::from(len)];
        connection.read_exact(&mut question).await?;
        let Some(reply) = answer(&question, names) else { return Ok(()) };
        let len = u16::try_from(reply.len()).expect("a header and one question are far below 64 KiB");
        connection.write_all(&[&len.to_be_bytes()[..], &reply].concat()).await?;
    }
}

/// The reply to `message`, or `None` where there is no question to reply to.
fn answer(message: &[u8], names: &Mutex<Names>) -> Option<Vec<u8>> {
    let question = Question::read(message)?;
    locked(names).add(question.name);
    let mut reply = message[..question.end].to_vec();
    // A response (QR) with the question's opcode and its wish for recursion; recursion available, no such name.
    reply[2] = 0x80 | (message[2] & 0x79);
    reply[3] = 0x83;
    reply[4..HEADER_LEN].copy_from_slice(&[0, 1, 0, 0, 0, 0, 0, 0]);
    Some(reply)
}

/// The first question of a message.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    name: String,
    /// Where the question ends, in bytes from the message's start.
    end: usize,
}

impl Question {
    fn read(message: &[u8]) -> Option<Self> {
        let is_query = message.get(2)? & 0x80 == 0;
        let question_count = u16::from_be_bytes([*message.get(4)?, *message.get(5)?]);
        if !is_query || question_count == 0 {
            return None;
        }
        let (name, after_name) = read_name(message, HEADER_LEN)?;
        let end = after_name + 4;
        (end <= message.len()).then_some(Self { name, end })
    }
}

/// A name that is written out; a question has nothing before it that it could point to.
fn read_name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1;
        if len == 0 {
            return Some((name, at));
        }
        if len > 63 || at + len - start > NAME_LEN_MAX {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        message.get(at..at + len)?.iter().for_each(|&byte| push_byte(&mut name, byte));
        at += len;
    }
}

/// Lower case as it is compared, and what is not plain as `\DDD` (RFC 1035, section 5.1).
fn push_byte(name: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => name.extend(['\\', char::from(byte)]),
        0x21..=0x7e => name.push(char::from(byte.to_ascii_lowercase())),
        other => name.push_str(&format!("\\{other:03}")),
    }
}

/// Names and how often each was asked, and which of them the host does not know yet.
#[derive(Default)]
pub(super) struct Names {
    counts: BTreeMap<String, u64>,
    changed: BTreeSet<String>,
}

impl Names {
    pub(super) fn add(&mut self, name: String) {
        if self.counts.len() >= NAMES_MAX && !self.counts.contains_key(&name) {
            return;
        }
        *self.counts.entry(name.clone()).or_default() += 1;
        self.changed.insert(name);
    }

    /// The names whose count has changed since this was last asked, with the count.
    pub(super) fn changed(&mut self) -> Vec<(u64, String)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|name| (self.counts[&name], name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `API.example.com`, type A, class IN, wish for recursion.
    fn question() -> Vec<u8> {
        let header = [0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        [&header[..], b"\x03API\x07example\x03com\x00", &[0, 1, 0, 1]].concat()
    }

    async fn resolver() -> (SocketAddr, Arc<Mutex<Names>>, JoinSet<()>) {
        let resolver = Resolver::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let (address, names, mut tasks) = (resolver.address().unwrap(), Arc::default(), JoinSet::new());
        resolver.start(&names, &mut tasks);
        (address, names, tasks)
    }

    #[tokio::test]
    async fn a_name_asked_over_udp_and_tcp_is_counted_and_does_not_exist() {
        let (address, names, _tasks) = resolver().await;
        let socket = UdpSocket::bind(("127.0.0.1", 0)).await.unwrap();
        socket.send_to(&question(), address).await.unwrap();
        let mut reply = [0; 512];
        let len = socket.recv(&mut reply).await.unwrap();
        assert_eq!(&reply[..4], [0xab, 0xcd, 0x81, 0x83]);
        assert_eq!(reply[4..len], question()[4..]);

        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_u16(question().len() as u16).await.unwrap();
        connection.write_all(&question()).await.unwrap();
        assert_eq!(usize::from(connection.read_u16().await.unwrap()), len);
        assert_eq!(locked(&names).changed(), [(2, "api.example.com".to_owned())]);
        assert!(locked(&names).changed().is_empty());
    }

    #[test]
    fn messages_that_are_no_question_get_no_answer() {
        let names = Mutex::default();
        let good = question();
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut], &names), None, "cut at {cut}");
        }
        let mut reply = good.clone();
        reply[2] |= 0x80;
        assert_eq!(answer(&reply, &names), None);
        let mut pointer = good;
        pointer[HEADER_LEN] = 0xc0;
        assert_eq!(answer(&pointer, &names), None);
        assert!(locked(&names).changed().is_empty());
    }

    #[test]
    fn bytes_that_are_not_plain_are_written_so_that_a_terminal_takes_no_harm() {
        let message = [&[0; HEADER_LEN][..], b"\x04\x1b.[\xff\x00", &[0, 1, 0, 1]].concat();
        assert_eq!(read_name(&message, HEADER_LEN).unwrap().0, "\\027\\.[\\255");
    }
}

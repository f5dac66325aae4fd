//! Something between storage and its client that counts, stalls or cuts.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::server::Server;

/// A way to a server that something happens on.
pub(crate) struct Between {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    /// Bytes of requests after which it happens.
    bytes_max: u64,
    cuts: bool,
    asked: AtomicU64,
    answered: AtomicU64,
    stalled: (Mutex<bool>, Condvar),
}

impl Between {
    pub(crate) fn counting(server: &Server) -> Self {
        Self::start(server, u64::MAX, false)
    }

    pub(crate) fn stalling_after(server: &Server, bytes: u64) -> Self {
        Self::start(server, bytes, false)
    }

    /// From then on every connection is closed on which a part is sent; what takes parts back gets through.
    pub(crate) fn cutting_after(server: &Server, bytes: u64) -> Self {
        Self::start(server, bytes, true)
    }

    fn start(server: &Server, bytes_max: u64, cuts: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.address(),
            bytes_max,
            cuts,
            asked: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            stalled: (Mutex::new(false), Condvar::new()),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(accepting.server) else { break };
                let (asks, answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (asking, answering) = (Arc::clone(&accepting), Arc::clone(&accepting));
                thread::spawn(move || asking.pass_requests(asks, server));
                thread::spawn(move || answering.pass_answers(answers, client));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::SeqCst)
    }

    pub(crate) fn wait_until_it_stalls(&self) {
        let (stalled, told) = &self.shared.stalled;
        let waited = told.wait_timeout_while(stalled.lock().unwrap(), Duration::from_secs(120), |stalled| !*stalled);
        assert!(*waited.unwrap().0, "as much was never sent");
    }
}

impl Shared {
    fn pass_requests(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            if self.asked.fetch_add(len as u64, Ordering::SeqCst) + len as u64 > self.bytes_max {
                if self.cuts && !buffer.starts_with(b"DELETE ") {
                    break;
                }
                if self.cuts {
                    to.write_all(&buffer[..len]).ok();
                    continue;
                }
                *self.stalled.0.lock().unwrap() = true;
                self.stalled.1.notify_all();
                // Until the client is gone; nothing is passed on.
                while matches!(from.read(&mut buffer), Ok(1..)) {}
                break;
            }
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
        from.shutdown(Shutdown::Both).ok();
    }

    fn pass_answers(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(len @ 1..) = from.read(&mut buffer) {
            self.answered.fetch_add(len as u64, Ordering::SeqCst);
            if to.write_all(&buffer[..len]).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    }
}

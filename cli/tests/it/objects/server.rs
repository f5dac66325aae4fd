//! Real storage on loopback: moto and s3s-fs, as processes.

use std::{
    env, fs,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Condvar, Mutex},
    time::Duration,
};

use tempfile::TempDir;

use crate::shipped::skipped;

pub(crate) const BUCKET: &str = "cases";
pub(crate) const KEY: &str = "AKIDRETAKE";
pub(crate) const SECRET: &str = "not-a-secret";

/// A server, ended with this.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    pub(crate) fn moto(test: &str) -> Option<Self> {
        let program = found("moto/bin/moto_server", test)?;
        let server = Self::start(|address, _| {
            let mut command = Command::new(&program);
            command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
            command
        });
        assert!(server.asked("PUT", &format!("/{BUCKET}")).starts_with("HTTP/1.1 200"));
        Some(server)
    }

    pub(crate) fn s3s_fs(test: &str) -> Option<Self> {
        let program = found("s3s/bin/s3s-fs", test)?;
        Some(Self::start(|address, folder| {
            fs::create_dir(folder.path().join(BUCKET)).unwrap();
            let mut command = Command::new(&program);
            command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
            command.args(["--access-key", KEY, "--secret-key", SECRET]).arg(folder.path());
            command
        }))
    }

    fn start(command: impl FnOnce(SocketAddr, &TempDir) -> Command) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut command = command(address, &folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, address, folder };
        let pause = (Mutex::new(()), Condvar::new());
        for _ in 0..600 {
            if TcpStream::connect(address).is_ok() {
                return server;
            }
            drop(pause.1.wait_timeout(pause.0.lock().unwrap(), Duration::from_millis(100)).unwrap());
        }
        panic!("it does not listen after a minute");
    }

    /// Uploads that were begun and not ended: parts that are no object.
    pub(crate) fn unfinished(&self) -> usize {
        let is_upload = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(".upload");
        let in_files =
            fs::read_dir(self.folder.path()).unwrap().filter(|entry| is_upload(entry.as_ref().unwrap())).count();
        in_files + self.asked("GET", &format!("/{BUCKET}?uploads")).matches("<UploadId>").count()
    }

    /// What is answered without credentials.
    fn asked(&self, method: &str, target: &str) -> String {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: s3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// What `scripts/object-servers` installed.
fn found(program: &str, test: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/.cache").join(program);
    if path.exists() {
        return Some(path);
    }
    skipped(test, &format!("there is no {program}: run scripts/object-servers"));
    None
}

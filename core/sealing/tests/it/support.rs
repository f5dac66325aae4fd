//! Keys and files for these tests, made by the tools that people have.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sealing::Recipients;
use tempfile::TempDir;

/// A folder with what one test needs.
pub(crate) struct Desk {
    pub(crate) folder: TempDir,
}

impl Desk {
    /// `None` where a tool is missing and may be: the test is skipped, and says so.
    pub(crate) fn new() -> Option<Self> {
        let has = |tool: &str| Command::new(tool).arg("--no-such-option").stdin(Stdio::null()).output().is_ok();
        if let Some(tool) = ["age", "age-keygen", "ssh-keygen"].into_iter().find(|tool| !has(tool)) {
            skipped(&format!("there is no {tool}"));
            return None;
        }
        Some(Self { folder: tempfile::tempdir().unwrap() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }

    pub(crate) fn open(&self, name: &str) -> File {
        File::open(self.path(name)).unwrap()
    }

    /// Runs a tool in the folder, and gives what it wrote where it succeeded.
    pub(crate) fn run(&self, tool: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
        let mut command = Command::new(tool);
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("`{tool}` ({error}): `scripts/setup` installs it"));
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let feeding = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// A key of age: private in `NAME`, its recipient given back.
    pub(crate) fn age_key(&self, name: &str) -> String {
        self.run("age-keygen", &["-o", name], b"").unwrap();
        let recipient = self.run("age-keygen", &["-y", name], b"").unwrap();
        String::from_utf8(recipient).unwrap().trim().to_owned()
    }

    /// A key of SSH: private in `NAME`, public in `NAME.pub`.
    pub(crate) fn ssh_key(&self, name: &str, kind: &[&str], passphrase: &str) {
        let arguments = [&["-q", "-N", passphrase, "-C", "a comment", "-f", name, "-t"], kind].concat();
        self.run("ssh-keygen", &arguments, b"").unwrap();
    }
}

/// Says that the running test is skipped, and why: to the reader, and in the file that `RETAKE_SKIPS` names.
fn skipped(why: &str) {
    assert!(std::env::var_os("RETAKE_REQUIRE_DOCKER").is_none(), "{why}: run scripts/setup");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    eprintln!("skipped: {why}");
    if let Some(path) = std::env::var_os("RETAKE_SKIPS") {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}

/// These recipients, as they are typed.
pub(crate) fn recipients(texts: &[&str]) -> Recipients {
    let mut recipients = Recipients::new();
    texts.iter().try_for_each(|text| recipients.add(text)).unwrap();
    recipients
}

/// Encrypts to these.
pub(crate) fn encrypted(plain: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    assert_eq!(sealing::encrypt(plain, &mut out, &recipients(texts)).unwrap(), plain.len() as u64);
    out
}

/// Decrypts a file with these keys.
pub(crate) fn decrypted(path: &Path, keys: &[PathBuf]) -> Result<Vec<u8>, sealing::DecryptError> {
    let mut plain = Vec::new();
    let identities = sealing::Identities::read(keys).unwrap();
    sealing::decrypt(&File::open(path).unwrap(), &identities)?.read_to_end(&mut plain).unwrap();
    Ok(plain)
}

/// Bytes that do not repeat.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..len).map(next).collect()
}

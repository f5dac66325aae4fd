//! Bundles on object storage, against real servers on this machine: moto and s3s-fs.

mod between;
mod server;

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    thread,
};

use tempfile::{TempDir, tempdir};

use self::{
    between::Between,
    server::{BUCKET, Server},
};
use crate::{
    Ran, command,
    recordings::{Told, store},
    retake,
};

/// Exchanges of a recording that goes in parts, each with a megabyte that does not compress.
const MANY: u8 = 48;
/// A key that nobody has, as `age-keygen` writes it.
const AGE_KEY: &str = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
/// A part, as `remote` has it.
const PART_BYTES: u64 = 8 << 20;

/// A store in a folder, and the storage that it is exported to.
struct Desk {
    folder: TempDir,
    server: Server,
}

impl Desk {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn retake(&self, arguments: &[&str]) -> Ran {
        self.retake_at(&self.server.url(), arguments)
    }

    fn retake_at(&self, endpoint: &str, arguments: &[&str]) -> Ran {
        Ran::of(&self.command_at(endpoint, arguments).output().unwrap())
    }

    fn command_at(&self, endpoint: &str, arguments: &[&str]) -> std::process::Command {
        let mut command = command(self.path(), arguments);
        command.env("AWS_ENDPOINT_URL", endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", server::KEY).env("AWS_SECRET_ACCESS_KEY", server::SECRET);
        command
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let ran = self.retake(arguments);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains("help"), "it says what to do: {}", ran.err);
        ran.err
    }
}

fn object(key: &str) -> String {
    format!("s3://{BUCKET}/{key}")
}

#[test]
fn slow_objects_on_moto_are_bundles_as_files_are() {
    if let Some(server) = Server::moto("objects on moto") {
        let desk = tell(server);
        let nobody = "s3://nobody/case.retake";
        assert!(desk.refused(&["export", ".retake", "-o", nobody]).contains(&format!("there is no `{nobody}`")));
    }
}

#[test]
fn slow_objects_on_s3s_fs_are_bundles_as_files_are() {
    if let Some(server) = Server::s3s_fs("objects on s3s-fs") {
        let desk = tell(server);
        let mut stranger = desk.command_at(&desk.server.url(), &["ls", &object("a/case.retake")]);
        let ran = Ran::of(&stranger.env("AWS_SECRET_ACCESS_KEY", "another").output().unwrap());
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains("is refused") && ran.err.contains(&object("a/case.retake")), "{}", ran.err);
    }
}

fn tell(server: Server) -> Desk {
    let desk = Desk { folder: tempdir().unwrap(), server };
    let call = Told { number: 2, path: "/v1/chat", call: Some(("model", 1)), ..Told::default() };
    let another = Told { number: 3, path: "/tickets/3", asked: r#"{"text":"no heat"}"#, ..Told::default() };
    store(&desk.path().join(".retake"), &[Told::default(), call, another]);
    small(&desk);
    refusals(&desk);
    together(&desk);
    interrupted(&desk);
    desk
}

/// A small bundle is written and read as one in a file is.
fn small(desk: &Desk) {
    let case = object("a/case.retake");
    assert_eq!(retake(desk.path(), &["export", ".retake", "-o", "case.retake"]).code, 0);
    let ran = desk.retake(&["export", ".retake", "-o", &case]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with(&format!("`{case}`: 3 exchanges, ")), "{}", ran.out);
    for command in [&["ls"][..], &["inspect"], &["verify"], &["ls", "--route", "/tickets"]] {
        let of = |source: &str| desk.retake(&command.iter().copied().chain([source]).collect::<Vec<_>>());
        let (near, far) = (of("case.retake"), of(&case));
        assert_eq!(far.code, near.code, "{command:?}: {}", far.err);
        assert_eq!(far.out, near.out.replace("case.retake", &case));
    }
    for (command, said) in [
        (&["grep", "no light", &case][..], "no light"),
        (&["show", &case, "0303"], "no heat"),
        (&["diff", "case.retake", &case], "same"),
        (&["export", &case, "-o", "again.retake"], "3 exchanges"),
        (&["export", &case, "-o", "case.har"], "3 exchanges"),
    ] {
        let ran = desk.retake(command);
        assert!(ran.code == 0 && ran.out.contains(said), "{command:?}: {}{}", ran.out, ran.err);
    }
    assert_eq!(fs::read(desk.path().join("again.retake")).unwrap(), fs::read(desk.path().join("case.retake")).unwrap());
    replayed(desk, &case);
}

/// What cannot be done is said, with bucket and key and what to do.
fn refusals(desk: &Desk) {
    let case = object("a/case.retake");
    assert!(desk.refused(&["export", ".retake", "-o", &case]).contains(&format!("`{case}` exists already")));
    assert_eq!(desk.retake(&["export", ".retake", "-o", &case, "--force"]).code, 0);
    let none = object("none.retake");
    for (command, said) in [
        (&["ls", &none][..], &*format!("there is no `{none}`")),
        (&["ls", "s3://nobody/case.retake"], "s3://nobody/case.retake"),
        (&["ls", "s3://"], "it names no bucket"),
        (&["ls", &object("a//b.retake")], "a part of its key is empty"),
        (&["ls", &object("nothing/")], "there is no store"),
        (&["index", &case], "is on object storage"),
        (&["verify", &case, "--salvage", "saved.retake"], "nothing is saved"),
        (&["export", ".retake", "-o", &object("a.har"), "--format", "har"], "no HAR"),
        (&["gc", "--store", &object("team/")], "kept in a folder"),
    ] {
        let err = desk.refused(command);
        assert!(err.contains(said), "{command:?}: {err}");
    }
    let nameless = retake(desk.path(), &["ls", &case]);
    assert!(nameless.code == 2 && nameless.err.contains("AWS_ACCESS_KEY_ID"), "{}", nameless.err);
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    for (endpoint, said) in [
        ("http://storage.example", "neither https nor this machine"),
        (&*format!("http://{nobody}"), "cannot be reached"),
    ] {
        let ran = desk.retake_at(endpoint, &["ls", &case]);
        assert!(ran.code == 2 && ran.err.contains(said) && ran.err.contains(&case), "{endpoint}: {}", ran.err);
    }
}

/// Bundles under one prefix are a store.
fn together(desk: &Desk) {
    let team = object("team/");
    for id in ["0101", "0303", "0303"] {
        let ran = desk.retake(&["export", ".retake", id, "-o", &team]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.starts_with(&format!("`{team}segments/")), "{}", ran.out);
    }
    let verified = desk.retake(&["verify", &team, "--json"]).json();
    assert_eq!((&verified["files"], &verified["exchanges"]), (&2.into(), &3.into()), "{verified}");
    let listed = |source: &str| desk.retake(&["ls", source, "--json"]).json()["exchanges"].clone();
    assert_eq!(listed(&team), listed(".retake"));
    let ran = desk.retake(&["export", &team, "-o", "team.retake"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(desk.retake(&["diff", "case.retake", "team.retake"]).code, 0);
    replayed(desk, &team);
    assert!(desk.refused(&["export", ".retake", "-o", &team, "--encrypt-to", AGE_KEY]).contains("neither encrypted"));
}

/// A service that gives the recorded answer is found to give it.
fn replayed(desk: &Desk, source: &str) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(len @ 1..) => asked.extend_from_slice(&buffer[..len]),
                    _ => break,
                }
            }
            let body = r#"{"answer":"yes","id":1}"#;
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{head}{body}").as_bytes()).ok();
        }
    });
    let ran = desk.retake(&["replay", source, "--target", &url, "--json"]);
    let document = ran.json();
    assert_eq!(document["receipt"]["tally"]["same"], 2, "{}{}", ran.out, ran.err);
}

/// A large one goes in parts, is read by ranges, and is not there until all of it is.
fn interrupted(desk: &Desk) {
    let texts: Vec<String> = (0..MANY).map(text).collect();
    let told = |(number, text): (u8, &'static str)| Told { number, answered: Some(text), ..Told::default() };
    let texts = (0..MANY).zip(texts.into_iter().map(|text| &*text.leak()));
    store(&desk.path().join("large"), &texts.map(told).collect::<Vec<_>>());
    let big = object("big.retake");
    let into = ["export", "large", "-o", &big];

    // Killed when two parts are there: no object.
    let between = Between::stalling_after(&desk.server, 2 * PART_BYTES + PART_BYTES / 2);
    let mut killed = desk.command_at(&between.url(), &into);
    let mut killed = killed.stderr(Stdio::null()).spawn().unwrap();
    between.wait_until_it_stalls();
    killed.kill().unwrap();
    killed.wait().unwrap();
    drop(between);
    assert!(desk.refused(&["ls", &big]).contains("there is no"));
    let left = desk.server.unfinished();
    assert!(left > 0, "parts of what was killed are there, and no object");

    // Cut off: it says so, and takes back what it sent.
    let between = Between::cutting_after(&desk.server, 2 * PART_BYTES + PART_BYTES / 2);
    let ran = desk.retake_at(&between.url(), &into);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains(&big), "{}", ran.err);
    drop(between);
    assert!(desk.refused(&["ls", &big]).contains("there is no"));
    assert_eq!(desk.server.unfinished(), left, "what was sent is taken back");

    let ran = desk.retake(&into);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let verified = desk.retake(&["verify", &big]);
    assert_eq!(verified.code, 0, "{}{}", verified.out, verified.err);
    let between = Between::counting(&desk.server);
    let listed = desk.retake_at(&between.url(), &["ls", &big, "--json"]);
    assert_eq!(listed.json()["exchanges"].as_array().unwrap().len(), usize::from(MANY));
    let passed = between.answered();
    assert!(passed < 2 << 20, "a list reads the end of a bundle, and read {passed} bytes");
}

/// A megabyte of text that half of it is needed for.
fn text(number: u8) -> String {
    let mut bytes = vec![0; 512 << 10];
    blake3::Hasher::new().update(&[number]).finalize_xof().fill(&mut bytes);
    format!("\"{}\"", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

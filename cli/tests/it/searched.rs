//! `retake grep`, on recordings whose content is known.

use std::{collections::BTreeSet, fs::File, process::Stdio};

use bundle::{Archive, Record, Writer};
use exchange::{Body, Exchange, Head, Request, Response};

use crate::{
    command,
    recordings::{Told, bundle, id},
    retake,
    shipped::shipped,
};

/// `a hidden needle`, as gzip makes it.
const PACKED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x54\xc8\xc8\x4c\x49\x49\xcd\x53\xc8\x4b\x4d\x4d\xc9\x49\x05\0\x76\xf7\xca\xf0\x0f\0\0\0";

#[test]
fn all_that_have_a_text_are_found_and_no_other() {
    let archive = Archive::open(&shipped()).unwrap();
    let has = |bytes: &[u8]| bytes.windows(6).any(|window| window == b"refund");
    let of_body = |body: &Body| archive.body(body, 1 << 20).unwrap();
    let expected: BTreeSet<String> = archive
        .entries()
        .iter()
        .map(|entry| archive.exchange(&entry.id).unwrap())
        .filter(|exchange| {
            let Exchange { request, response, .. } = exchange;
            let Response { head, body } = response.as_ref().unwrap();
            has(&request.head.bytes) || has(&head.bytes) || has(&of_body(&request.body)) || has(&of_body(body))
        })
        .map(|exchange| exchange.id.to_string())
        .collect();
    assert!(expected.len() > 10 && expected.len() < 500, "{}", expected.len());
    let folder = tempfile::tempdir().unwrap();
    let source = shipped();
    let source = source.to_str().unwrap();
    let listed = retake(folder.path(), &["grep", "-l", "refund", source]);
    assert_eq!((listed.code, listed.out.lines().map(str::to_owned).collect::<BTreeSet<_>>()), (0, expected.clone()));
    let document = retake(folder.path(), &["grep", "refund", source, "--json"]).json();
    assert_eq!((&document["schema"], &document["searched"]), (&"retake.matches/0".into(), &600.into()));
    assert_eq!(document["exchanges"].as_array().unwrap().len(), expected.len());
    let of_the_store = retake(folder.path(), &["grep", "-l", "refund", source, "--dependency", "store"]);
    assert!(of_the_store.out.lines().count() < expected.len() && of_the_store.code == 0);
}

#[test]
fn what_is_found_is_shown_where_it_is_and_nothing_drives_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.retake");
    bundle(
        &path,
        &[
            Told { number: 0x11, asked: r#"{"text":"no light","lamp":{"kind":"Desk"}}"#, ..Told::default() },
            Told { number: 0x12, asked: "light\x1b[2J light", path: "/other", status: 404, ..Told::default() },
        ],
    );
    insta::assert_snapshot!(retake(folder.path(), &["grep", "light", "a.retake"]).out, @r#"
    111111111111  POST /tickets  200
      request body: {"text":"no light","lamp":{"kind":"Desk"}}
    121212121212  POST /other  404
      request body: light\x1b[2J light  (2 times)
    "#);
    let at = |arguments: &[&str]| {
        let all = [&["grep"], arguments, &["a.retake"]].concat();
        let ran = retake(folder.path(), &all);
        (ran.code, ran.out, ran.err)
    };
    let (code, found, _) = at(&["--at", "/lamp/kind", "^desk$", "-i"]);
    assert_eq!((code, found.contains("/lamp/kind: Desk")), (0, true), "{found}");
    assert_eq!(at(&["--at", "/lamp/kind", "light"]).0, 1);
    assert_eq!(at(&["-F", "li.ht"]).0, 1);
    assert_eq!(at(&["li.ht", "--status", "404", "-l"]).1, format!("{}\n", id(0x12)));
    insta::assert_snapshot!(at(&["nowhere"]).2, @"nothing in the 2 exchanges of `a.retake` that were searched");
    let (code, _, refused) = at(&["li(ht"]);
    assert_eq!(code, 2);
    insta::assert_snapshot!(refused, @r"
    error: the pattern cannot be read: regex parse error:
        li(ht
          ^
    error: unclosed group
    help: where it is meant as plain text, say so with `-F`
    ");
    insta::assert_snapshot!(at(&["x", "--at", "lamp"]).2, @r"
    error: `--at lamp`: `lamp` is no place in a request or response: a pointer begins with `/`
    help: write a pointer into the body (`/usage/total_tokens`) or `header:NAME`, where `request:` or `response:` may stand before it, and before that a route (`POST /tickets /label`)
    ");
}

#[test]
fn a_packed_body_is_searched_as_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("told.retake");
    bundle(&told, &[Told::default()]);
    let archive = Archive::open(&told).unwrap();
    let exchange = archive.exchange(&id(1)).unwrap();
    let mut writer = Writer::create(&folder.path().join("a.retake")).unwrap();
    let parts = writer.put_body_bytes(PACKED).unwrap();
    let body = Body { parts, len: PACKED.len() as u64, ..Body::default() };
    let head = Head::new(*b"POST / HTTP/1.1\r\ncontent-encoding: gzip\r\n\r\n");
    let exchange = Exchange { request: Request { head, body }, response: None, ..exchange };
    writer.append(&Record::Exchange(Box::new(exchange))).unwrap();
    writer.seal().unwrap();
    let found = retake(folder.path(), &["grep", "hidden", "a.retake"]);
    assert!(found.out.contains("request body: a hidden needle"), "{}{}", found.out, found.err);
}

#[test]
fn a_reader_that_has_enough_ends_it_and_damage_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut child =
        command(folder.path(), &["grep", ".", shipped().to_str().unwrap()]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());

    let path = folder.path().join("damaged.retake");
    let bytes = std::fs::read(shipped()).unwrap();
    // The first block of exchanges, somewhere in its middle.
    let kind_4 = bytes.windows(16).position(|it| it[..8] == *b"\x51\x2a\x4d\x18\x50\0\0\0" && it[12] == 4).unwrap();
    let mut damaged = bytes;
    damaged[kind_4 + 1000] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let found = command(folder.path(), &["grep", "refund", "damaged.retake"])
        .stdout(Stdio::from(File::create(folder.path().join("out")).unwrap()))
        .output()
        .unwrap();
    assert_eq!(found.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&found.stderr).contains("was not searched"));
}

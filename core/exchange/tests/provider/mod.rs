//! Recorded traffic of real model providers, for the tests of several crates (`#[path = "…"] mod provider;`).
//!
//! `RETAKE_TEST_DATA` names the folder with `provider_exchanges.jsonl.xz`: HTTP exchanges with model APIs, one JSON object
//! a line, made from the VCR cassettes of Apache-2.0 projects. It is not part of the project; without it these tests are
//! skipped, and say so.

use std::{env, fs, io::Write as _, path::PathBuf, process::Command};

use exchange::Head;
use serde_json::Value;

/// How many there are.
pub(crate) const EXCHANGES: usize = 1013;

/// One of them.
#[allow(dead_code, reason = "not every crate looks at all of it")]
pub(crate) struct Recorded {
    /// Its line, from 1.
    pub(crate) line: usize,
    pub(crate) request_head: Head,
    pub(crate) request: Vec<u8>,
    pub(crate) response_head: Head,
    pub(crate) response: Vec<u8>,
    /// Equal for equal requests.
    pub(crate) key: String,
}

/// All of them, or `None` where they are not there: the test is then skipped, which is noted.
pub(crate) fn exchanges(test: &str) -> Option<Vec<Recorded>> {
    let Some(folder) = env::var_os("RETAKE_TEST_DATA") else {
        skip(test, "RETAKE_TEST_DATA does not name a folder with provider_exchanges.jsonl.xz");
        return None;
    };
    let path = PathBuf::from(folder).join("provider_exchanges.jsonl.xz");
    let output = Command::new("xz").arg("-dc").arg(&path).output().expect("the `xz` command is there");
    assert!(output.status.success(), "cannot read {}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("the lines are UTF-8");
    let read: Vec<_> = text.lines().enumerate().map(|(at, line)| recorded(at + 1, line)).collect();
    assert_eq!(read.len(), EXCHANGES);
    Some(read)
}

fn skip(test: &str, why: &str) {
    let line = format!("{test}: {why}");
    eprintln!("skipped: {line}");
    if let Some(path) = env::var_os("RETAKE_SKIPS") {
        let mut skips = fs::OpenOptions::new().append(true).create(true).open(path).expect("the list can be opened");
        writeln!(skips, "{line}").expect("the list can be written");
    }
}

fn recorded(number: usize, line: &str) -> Recorded {
    let fields: Value = serde_json::from_str(line).expect("each line is JSON");
    let url = fields["url"].as_str().expect("there is a URL");
    let (host, target) = url
        .split_once("://")
        .map_or((url, "/"), |(_, rest)| rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash)));
    let first = format!("{} {target} HTTP/1.1\r\nHost: {host}", fields["method"].as_str().unwrap_or("GET"));
    Recorded {
        line: number,
        request_head: head(&first, &fields["req_headers"]),
        request: body(&fields["req"]),
        response_head: head(&format!("HTTP/1.1 {} OK", fields["status"]), &fields["resp_headers"]),
        response: body(&fields["resp"]),
        key: fields["key"].as_str().unwrap_or_default().to_owned(),
    }
}

fn head(first: &str, fields: &Value) -> Head {
    let mut head = format!("{first}\r\n");
    for (name, value) in fields.as_object().into_iter().flatten() {
        head.push_str(&format!("{name}: {}\r\n", value.as_str().unwrap_or_default()));
    }
    Head::new(format!("{head}\r\n"))
}

fn body(body: &Value) -> Vec<u8> {
    match (body["text"].as_str(), body["b64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(text)) => of_base64(text),
        (None, None) => Vec::new(),
    }
}

/// RFC 4648, section 4.
fn of_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| ALPHABET.iter().position(|&digit| digit == byte));
    let (mut bytes, mut bits, mut bits_len) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        (bits, bits_len) = ((bits << 6 | digit) & 0xffff, bits_len + 6);
        if bits_len >= 8 {
            bits_len -= 8;
            bytes.push((bits >> bits_len & 0xff) as u8);
        }
    }
    bytes
}

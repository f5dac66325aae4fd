//! Whatever is written comes back: bodies that resemble one another, with much memory and with little.
#![no_main]

use std::{fs, sync::LazyLock};

use bundle::{Archive, Record, Writer, WriterOptions};
use exchange::{
    Body, ClockPair, Context, Digests, End, Exchange, Head, Id, Request, Response, Role, Session, Times, Transport,
};
use fuzzed::{Scratch, parts_in};
use libfuzzer_sys::fuzz_target;

static SCRATCH: LazyLock<Scratch> = LazyLock::new(Scratch::new);
const KEY: [u8; 32] = [7; 32];
const SESSION: Id = Id([9; 16]);

fuzz_target!(|input: &[u8]| {
    let Some((&settings, rest)) = input.split_first() else { return };
    let parts = parts_in(rest);
    let path = SCRATCH.path("written.retake");
    fs::remove_file(&path).ok();
    let dedup_bytes_max = if settings & 1 == 0 { 64 << 20 } else { 1 << 10 };
    let options = WriterOptions { dedup_bytes_max, ..WriterOptions::default() };
    let mut writer = Writer::create_with(&path, options).expect("a file is made");
    writer.append(&Record::Session(session())).expect("a session is written");
    if settings & 2 != 0 {
        writer.derive_ids(SESSION, KEY);
    }
    let mut written = Vec::new();
    for (number, pair) in parts.chunks(2).enumerate() {
        let mut body = |bytes: &[u8]| {
            // As of a capture that could not hold it in memory: part by part.
            let halves: Vec<_> = bytes.chunks(if settings & 4 == 0 { bytes.len() + 1 } else { bytes.len() / 2 + 1 }).collect();
            let parts = halves.iter().flat_map(|half| writer.put_body_bytes(half).expect("a body is written"));
            Body { parts: parts.collect(), len: bytes.len() as u64, ..Body::default() }
        };
        let request = Request { head: Head::new(format!("POST /{number} HTTP/1.1\r\n\r\n")), body: body(pair[0]) };
        let response = pair.get(1).map(|bytes| Response { head: Head::new(bytes.to_vec()), body: body(bytes) });
        let exchange = exchange(number as u64, u64::from(settings) << 20, request, response);
        writer.append(&Record::Exchange(Box::new(exchange.clone()))).expect("an exchange is written");
        written.push(exchange);
        if settings & 8 != 0 {
            writer.flush().expect("a block is written");
        }
    }
    writer.seal().expect("a file is sealed");
    let archive = Archive::open_verified(&path).expect("what was written verifies");
    assert_eq!(archive.entries().len(), written.len());
    for (exchange, pair) in written.iter().zip(parts.chunks(2)) {
        let read = archive.exchange(&exchange.id).expect("what was written is there");
        assert_eq!(&read, exchange);
        assert_eq!(archive.body(&read.request.body, u64::MAX).expect("it has its body"), pair[0]);
        if let (Some(response), Some(bytes)) = (&read.response, pair.get(1)) {
            assert_eq!(&archive.body(&response.body, u64::MAX).expect("it has its body"), bytes);
        }
    }
});

fn session() -> Session {
    Session {
        id: SESSION,
        tool_version: String::new(),
        started: ClockPair { monotonic_ns: 0, wall_unix_ns: 1 },
        listeners: Vec::new(),
        service_version: None,
        command: Vec::new(),
        conversation: None,
    }
}

fn exchange(sequence: u64, apart_ns: u64, request: Request, response: Option<Response>) -> Exchange {
    let started_ns = sequence.wrapping_mul(apart_ns);
    Exchange {
        id: Id::derive(&KEY, sequence),
        session: SESSION,
        sequence,
        role: Role::Ingress,
        transport: Transport::Http1,
        request,
        interim: Vec::new(),
        response,
        end: End::Complete,
        times: Times { started_ns, ended_ns: started_ns, ..Times::default() },
        trace: None,
        seeds: Vec::new(),
        fingerprint: None,
        context: Context::default(),
        digests: Digests::default(),
        redactions: Vec::new(),
        repeats: None,
    }
}

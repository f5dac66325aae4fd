//! Recorded traffic of real providers, through a bundle.

#[path = "../../../exchange/tests/provider/mod.rs"]
mod recorded;

use bundle::{Archive, Record, Writer};
use content::{canonical, seeds};
use exchange::{Body, Chunk, Digests, End, Exchange, Id, Request, Response, Role, Seed, SeedPlace, Times, Transport};
use recorded::Recorded;

fn body(writer: &mut Writer, bytes: &[u8]) -> Body {
    let chunks = (0..bytes.len() as u64).step_by(1000).map(|offset| Chunk { offset, at_ns: offset }).collect();
    Body { parts: writer.put_body_bytes(bytes).unwrap(), len: bytes.len() as u64, chunks, ..Body::default() }
}

fn exchange_of(writer: &mut Writer, recorded: &Recorded) -> Exchange {
    let (request, response) = (&recorded.request_head, &recorded.response_head);
    let mut seeds = seeds::find_in_request(request, &recorded.request);
    seeds.extend(seeds::find_in_response(response, &recorded.response));
    let digests = Digests {
        request: Some(canonical::request_digest(request, &recorded.request, Transport::Http1)),
        response: Some(canonical::response_digest(response, &recorded.response)),
    };
    let sequence = recorded.line as u64;
    Exchange {
        id: Id::derive(&[7; 32], sequence),
        session: Id::derive(&[7; 32], 0),
        sequence,
        role: Role::Dependency { name: "model".to_owned(), parent: None },
        transport: Transport::Http1,
        request: Request { head: request.clone(), body: body(writer, &recorded.request) },
        interim: Vec::new(),
        response: Some(Response { head: response.clone(), body: body(writer, &recorded.response) }),
        end: End::Complete,
        times: Times { started_ns: sequence * 10, ended_ns: sequence * 10 + 5, ..Times::default() },
        trace: None,
        seeds,
        fingerprint: None,
        context: exchange::Context::default(),
        digests,
        redactions: Vec::new(),
        repeats: None,
    }
}

#[test]
fn slow_provider_every_exchange_is_read_back_to_the_byte() {
    let test = "slow_provider_every_exchange_is_read_back_to_the_byte";
    let Some(all) = recorded::exchanges(test) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("provider.retake");
    let mut writer = Writer::create(&path).unwrap();
    let mut written = Vec::new();
    for recorded in &all {
        let exchange = exchange_of(&mut writer, recorded);
        writer.append(&Record::Exchange(Box::new(exchange.clone()))).unwrap();
        written.push(exchange);
    }
    let sealed = writer.seal().unwrap();

    assert_eq!(sealed.counts.exchanges, all.len() as u64);
    let raw_len: usize = all.iter().map(|it| it.request.len() + it.response.len()).sum();
    let alone_len: usize = all.iter().flat_map(|it| [&it.request, &it.response]).map(|body| alone(body)).sum();
    eprintln!(
        "{} exchanges, {raw_len} bytes of bodies, {alone_len} each by itself, {} bytes of bundle",
        all.len(),
        sealed.len
    );
    assert!(sealed.len < alone_len as u64, "with all that is kept beside them it is shorter than the bodies alone");

    let archive = Archive::open_verified(&path).unwrap();
    for (recorded, written) in all.iter().zip(&written) {
        let read = archive.exchange(&written.id).unwrap();
        assert_eq!(&read, written, "line {}", recorded.line);
        assert_eq!(archive.body(&read.request.body, 8 << 20).unwrap(), recorded.request, "line {}", recorded.line);
        let response = read.response.unwrap().body;
        assert_eq!(archive.body(&response, 8 << 20).unwrap(), recorded.response, "line {}", recorded.line);
    }
    assert_seeds(&all, &written);
}

/// Length of a body that zstd has packed by itself, as its tool does at its default level.
fn alone(body: &[u8]) -> usize {
    zstd::bulk::compress(body, 3).unwrap().len()
}

/// Every request's own model, temperature and so on is among its seeds, whatever the provider calls its body's type.
fn assert_seeds(all: &[Recorded], written: &[Exchange]) {
    const NAMES: [&str; 9] =
        ["model", "seed", "temperature", "top_p", "top_k", "max_tokens", "n", "min_p", "frequency_penalty"];
    let mut found = 0;
    for (recorded, exchange) in all.iter().zip(written) {
        let Ok(request) = serde_json::from_slice::<serde_json::Value>(&recorded.request) else { continue };
        for name in NAMES {
            let Some(value) = request.get(name).filter(|value| !value.is_null()) else { continue };
            let is_it = |seed: &&Seed| seed.place == SeedPlace::Request && seed.pointer == format!("/{name}");
            let seed = exchange.seeds.iter().find(is_it).unwrap_or_else(|| panic!("line {}: {name}", recorded.line));
            assert_eq!(&serde_json::from_str::<serde_json::Value>(&seed.value).unwrap(), value);
            found += 1;
        }
    }
    eprintln!("{found} seeds of requests found");
    assert!(found > 1000);
}

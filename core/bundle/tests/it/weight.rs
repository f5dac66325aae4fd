//! What is never the worse for being kept together: bodies of which nothing comes again.

use bundle::Writer;

/// Bodies of each kind.
const BODIES: u64 = 300;
/// What a file has beside bodies: its opening, index, manifest and footer.
const BESIDE_BYTES: u64 = 1 << 10;

/// What makes a body of a kind.
type Kind = (&'static str, fn(u64) -> Vec<u8>);

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Words that make a text like no other.
fn text(seed: u64, words: usize) -> String {
    let word =
        |bytes: &[u8]| format!("{}{} ", ["answer", "ticket", "lamp", "please"][usize::from(bytes[0] % 4)], bytes[1]);
    noise(seed, 2 * words).chunks(2).map(word).collect()
}

/// A message of protobuf (a text, packed floats) in the framing of gRPC.
fn grpc(seed: u64) -> Vec<u8> {
    let asked = text(seed, 12);
    let floats: Vec<u8> = noise(seed, 384 * 2).chunks(2).flat_map(|it| [0, it[0], it[1], 0x3d]).collect();
    let mut message = vec![0x0a, u8::try_from(asked.len()).unwrap()];
    message.extend_from_slice(asked.as_bytes());
    message.extend_from_slice(&[0x12, 0x80 | (floats.len() & 0x7f) as u8, (floats.len() >> 7) as u8]);
    message.extend_from_slice(&floats);
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

/// An array of floats as numpy has it: three bytes of four look like chance, and the fourth does not.
fn floats(seed: u64) -> Vec<u8> {
    let exponents = [0x3c, 0x3d, 0x3e, 0x3f, 0xbc, 0xbd, 0xbe, 0xbf];
    noise(seed, 768 * 4).chunks(4).flat_map(|it| [it[0], it[1], it[2], exponents[usize::from(it[3] % 8)]]).collect()
}

/// Bodies of kinds that have nothing in common, one after another.
fn in_turn(seed: u64) -> Vec<u8> {
    match seed % 4 {
        0 => floats(seed),
        1 => zstd::bulk::compress(text(seed, 900).as_bytes(), 3).unwrap(),
        2 => text(seed, 400).into_bytes(),
        _ => noise(seed, 700),
    }
}

#[test]
fn no_kind_of_body_takes_more_than_each_body_packed_by_itself() {
    let kinds: [Kind; 8] = [
        ("packed", |seed| zstd::bulk::compress(text(seed, 900).as_bytes(), 3).unwrap()),
        ("noise", |seed| noise(seed, 3000)),
        ("gRPC", grpc),
        ("text", |seed| text(seed, 400).into_bytes()),
        ("short", |seed| noise(seed, 40)),
        ("floats", floats),
        ("floats among packed", |seed| if seed % 4 == 0 { floats(seed) } else { in_turn(1 + 4 * seed) }),
        ("each in turn", in_turn),
    ];
    for (kind, body) in kinds {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(&folder.path().join("a.retake")).unwrap();
        let mut alone = 0;
        for seed in 0..BODIES {
            let body = body(seed);
            alone += zstd::bulk::compress(&body, 3).unwrap().len() as u64;
            writer.put_body_bytes(&body).unwrap();
        }
        let kept = writer.seal().unwrap().len;
        eprintln!("{kind}: {kept} bytes, {alone} each by itself");
        assert!(kept <= alone + BESIDE_BYTES, "{kind}: {kept} bytes, and {alone} each by itself");
    }
}

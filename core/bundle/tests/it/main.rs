//! The crate through its public face: files that must never read differently, and input that nobody should trust.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

mod golden;
mod hostile;
mod provider;
mod weight;

/// What zstd frames hold, skippable ones passed over. The fixtures hold a few MiB at most.
fn unpacked(frames: impl std::io::Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(frames).unwrap();
    std::io::Read::read_to_end(&mut std::io::Read::take(decoder, 16 << 20), &mut bytes).unwrap();
    bytes
}

//! HTTP/1.1: where a head ends, what it says, and a body in its framing, fed whole and in pieces of as many bytes as the
//! first byte says.
#![no_main]

use exchange::Head;
use libfuzzer_sys::fuzz_target;
use wire::{
    framing::{FrameDecoder, Piece},
    head::{Framing, HeadEnd, find_head_end, may_become_request, may_become_response, read_request, read_response},
};

fuzz_target!(|input: &[u8]| {
    let Some((&step, bytes)) = input.split_first() else { return };
    may_become_request(bytes);
    may_become_response(bytes);
    let Some((head, rest)) = head_of(bytes) else { return };
    let Ok(facts) = read_request(&head) else { return };
    follow(facts.framing, rest, step);
    let Some((head, rest)) = head_of(rest) else { return };
    if let Ok(answer) = read_response(&head, &facts) {
        follow(answer.framing, rest, step);
    }
});

fn head_of(bytes: &[u8]) -> Option<(Head, &[u8])> {
    match find_head_end(bytes, 0) {
        HeadEnd::Found { start, end } => Some((Head::new(bytes[start..end].to_vec()), &bytes[end..])),
        HeadEnd::Partial { resume_at } => {
            assert!(resume_at <= bytes.len());
            None
        }
    }
}

/// What is payload does not depend on how the bytes came.
fn follow(framing: Framing, bytes: &[u8], step: u8) {
    let whole = followed(framing, bytes.chunks(bytes.len().max(1)));
    let pieces = followed(framing, bytes.chunks(usize::from(step).max(1)));
    assert_eq!(whole, pieces);
}

/// Payload, trailers, and how far the body went, where it ended or goes on.
fn followed<'a>(framing: Framing, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<u8>, Option<usize>) {
    let mut decoder = FrameDecoder::new(framing);
    let (mut payload, mut trailers, mut taken) = (Vec::new(), Vec::new(), 0);
    for bytes in pieces {
        taken += decoder.feed(bytes, |piece| match piece {
            Piece::Payload(bytes) => payload.extend_from_slice(bytes),
            Piece::Trailers(bytes) => trailers.extend_from_slice(bytes),
        });
        if decoder.is_done() || decoder.is_broken() {
            break;
        }
    }
    (payload, trailers, (!decoder.is_broken()).then_some(taken))
}

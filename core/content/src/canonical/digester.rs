//! The digest of canonical content whose body comes in pieces.

use exchange::{Digest, Head, Transport};

use super::{BODY_BYTES_MAX, Reading, write_body, write_request_head, write_response_head};

/// Digests a message while its body passes.
///
/// Keeps at most [`BODY_BYTES_MAX`] bytes of the body, those that canonical form may have to decode; of a longer body, or
/// one whose bytes have no meaning of their own, nothing is kept.
#[derive(Clone, Debug)]
pub struct Digester<'a> {
    head: &'a Head,
    hasher: blake3::Hasher,
    /// The body so far; `None` once its form is known to be the bytes as sent, which are then hashed as they come.
    kept: Option<Vec<u8>>,
}

impl<'a> Digester<'a> {
    /// Begins with a request's head.
    pub fn request(head: &'a Head, transport: Transport) -> Self {
        let mut bytes = Vec::new();
        write_request_head(head, &mut bytes);
        Self::beginning_with(head, &bytes, Reading::of_request(transport))
    }

    /// Begins with a response's head.
    pub fn response(head: &'a Head) -> Self {
        let mut bytes = Vec::new();
        write_response_head(head, &mut bytes);
        Self::beginning_with(head, &bytes, Reading::of_response(head))
    }

    fn beginning_with(head: &'a Head, canonical_head: &[u8], reading: Reading) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(canonical_head);
        let mut digester = Self { head, hasher, kept: Some(Vec::new()) };
        if reading == Reading::AsSent {
            digester.give_up_keeping();
        }
        digester
    }

    /// Takes the body's next bytes as sent.
    pub fn feed(&mut self, bytes: &[u8]) {
        let room = |kept: &Vec<u8>| BODY_BYTES_MAX.saturating_sub(kept.len() as u64);
        if self.kept.as_ref().is_some_and(|kept| bytes.len() as u64 > room(kept)) {
            self.give_up_keeping();
        }
        match &mut self.kept {
            Some(kept) => kept.extend_from_slice(bytes),
            None => {
                self.hasher.update(bytes);
            }
        }
    }

    /// The digest, after the body's last byte: what [`super::request_digest`] or [`super::response_digest`] give.
    pub fn finish(mut self) -> Digest {
        if let Some(kept) = self.kept.take() {
            let mut canonical = Vec::with_capacity(kept.len() + 16);
            write_body(self.head, &kept, Reading::Decoded, &mut canonical);
            self.hasher.update(&canonical);
        }
        Digest(*self.hasher.finalize().as_bytes())
    }

    fn give_up_keeping(&mut self) {
        self.hasher.update(b"sent\n");
        if let Some(kept) = self.kept.take() {
            self.hasher.update(&kept);
        }
    }
}

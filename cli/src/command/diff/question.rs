//! What an exchange asks, as a key that is equal on either side when the same was asked.
//!
//! In: an exchange of an archive, and what rules take out of its body. Out: a [`Question`]. It is method, target and canonical
//! body, as calls are matched in a replay: header fields say where and by whom something is asked (`Host` has the port of a
//! listener, which is another in each capture), not what.

use bundle::Entry;
use content::{canonical, json::Value};
use exchange::{Digest, Exchange, text_of_bytes};

use super::{COMPARED_BYTES_MAX, unreadable::Unreadable};
use crate::source::Source;

/// Digest of method, target and canonical body; method and target alone where the body cannot tell.
pub(crate) type Question = Result<Digest, String>;

/// What an exchange asks, less what `take_out` takes out of a JSON body.
///
/// # Errors
/// Where the exchange or its body cannot be read.
pub(crate) fn question(
    source: &Source,
    entry: &Entry,
    take_out: impl FnOnce(&mut Value),
) -> Result<Question, Unreadable> {
    let Exchange { request, digests, .. } = source.archive.exchange(&entry.id).map_err(Unreadable::of(source))?;
    let (Some(line), Some(target)) = (request.head.request_line(), request.head.origin_target()) else {
        return Ok(digests.request.ok_or_else(|| entry.title.to_string()));
    };
    if !request.body.is_whole() || request.body.len > COMPARED_BYTES_MAX {
        return Ok(digests.request.ok_or_else(|| entry.title.to_string()));
    }
    let body = source.archive.body(&request.body, COMPARED_BYTES_MAX).map_err(Unreadable::of(source))?;
    let mut bytes = format!("{} {}\n", text_of_bytes(line.method), text_of_bytes(target)).into_bytes();
    match canonical::body(&request.head, &body) {
        canonical::CanonicalBody::Json(mut value) => {
            take_out(&mut value);
            value.write_canonical(&mut bytes);
        }
        _ => bytes.extend(canonical::canonical_body_bytes(&request.head, &body)),
    }
    Ok(Ok(Digest::of(&bytes)))
}

//! Answers that the store knows to say the same: their bodies are not read.

use diff::{Comparison, Route, Rules};
use exchange::{Exchange, Head, MediaKind, Response};

/// Compares two answers by their heads where the digests of their canonical content are equal; `None` where the bodies have to
/// be read. Of a stream they have to: when its events came is told too.
pub(super) fn compare(before: &Exchange, now: &Exchange, rules: &Rules, route: &Route) -> Option<Comparison> {
    let (digest, other_digest) = (before.digests.response?, now.digests.response?);
    let (one, other) = (whole(before)?, whole(now)?);
    // A length that is not that of the body is to be told.
    let announced = |head: &Head| head.value_of("content-length").map(<[u8]>::to_vec);
    let is_odd = one.body.len == other.body.len && announced(&one.head) != announced(&other.head);
    if digest != other_digest || is_odd || [one, other].iter().any(|it| is_stream(it)) {
        return None;
    }
    Some(diff::compare_unread((&one.head, one.body.len), (&other.head, other.body.len), rules, route))
}

fn whole(exchange: &Exchange) -> Option<&Response> {
    exchange.response.as_ref().filter(|response| exchange.end.is_complete() && response.body.is_whole())
}

fn is_stream(response: &Response) -> bool {
    MediaKind::of(&response.head) == MediaKind::EventStream
}

//! Copies of sessions: the same exchanges several times at once, each under a trace of its own.
//!
//! In: the trace id of a recorded request, and which copy of it is sent. Out: the copy's own trace id, so that calls that carry
//! it are told apart. The first copy is the recording's own: nothing is changed in it.

/// The trace id of a copy, as 32 hex digits: the first 16 bytes of BLAKE3 over the recorded one and the copy's number.
pub(crate) fn trace_id(recorded: &str, copy: u32) -> String {
    if copy == 0 {
        return recorded.to_owned();
    }
    let mut hash = blake3::Hasher::new_derive_key("retake 2026-11 trace id of a copy");
    hash.update(recorded.as_bytes()).update(&copy.to_le_bytes());
    hash.finalize().to_hex()[..32].to_owned()
}

/// Writes a copy's trace id over the recorded one in the `traceparent` fields of a head; true where one was.
pub(crate) fn retrace(head: &mut [u8], recorded: &str, copy: u32) -> bool {
    const NAME: &[u8] = b"traceparent:";
    let own = trace_id(recorded, copy);
    if copy == 0 || own.len() != recorded.len() {
        return false;
    }
    let (mut start, mut is_changed) = (0, false);
    while let Some(len) = head[start..].iter().position(|&byte| byte == b'\n').map(|at| at + 1) {
        let line = &mut head[start..start + len];
        let is_field = line.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
        let at = memchr::memmem::find(line, recorded.as_bytes()).filter(|_| is_field && start > 0);
        if let Some(at) = at {
            line[at..at + own.len()].copy_from_slice(own.as_bytes());
            is_changed = true;
        }
        start += len;
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn each_copy_has_a_trace_of_its_own_and_the_first_the_recorded_one() {
        let ids: std::collections::BTreeSet<_> = (0..100).map(|copy| trace_id(RECORDED, copy)).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.contains(RECORDED) && ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn only_the_traceparent_is_changed_and_nothing_of_its_length() {
        let text = format!(
            "GET /{RECORDED} HTTP/1.1\r\nX: {RECORDED}\r\nTraceParent: 00-{RECORDED}-b7ad6b7169203331-01\r\n\r\n"
        );
        let mut head = text.clone().into_bytes();
        assert!(!retrace(&mut head, RECORDED, 0) && head == text.as_bytes());
        assert!(retrace(&mut head, RECORDED, 3));
        let own = trace_id(RECORDED, 3);
        let expected = text.replace(&format!("00-{RECORDED}"), &format!("00-{own}"));
        assert_eq!(String::from_utf8(head).unwrap(), expected);
        assert!(!retrace(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec(), RECORDED, 3));
    }
}

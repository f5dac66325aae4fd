//! The changes that the proxy makes to a head, each of them listed in `proxy`'s header. All other bytes stay as they are.

use exchange::Head;

/// What is changed in a request's head.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestEdit<'a> {
    /// Replaces the value of `Host`.
    pub(crate) host: Option<&'a str>,
    /// Put before a target that begins with `/`.
    pub(crate) base_path: &'a str,
    /// True to make of a target with a host one without, and to leave out what was meant for a proxy alone.
    pub(crate) for_origin: bool,
    /// Added as `traceparent`.
    pub(crate) traceparent: Option<&'a str>,
}

/// The head with these changes.
pub(crate) fn edit_request(head: &[u8], edit: RequestEdit<'_>) -> Vec<u8> {
    let mut edited = Vec::with_capacity(head.len() + 128);
    for (number, line) in head.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match edit.host {
            _ if number == 0 && edit.for_origin => push_origin_line(&mut edited, line),
            _ if number == 0 => push_request_line(&mut edited, line, edit.base_path),
            _ if edit.for_origin && is_for_proxy(line) => {}
            Some(host) if is_field(line, b"host") => push_field(&mut edited, &line[..4], host, line_end_of(line)),
            _ => edited.extend_from_slice(line),
        }
    }
    if let Some(traceparent) = edit.traceparent {
        add_field(&mut edited, "traceparent", traceparent);
    }
    edited
}

/// The head of an answer without length for a client that knows chunks, as the head of a chunked one.
pub(crate) fn reframe_as_chunked(head: &Head) -> Vec<u8> {
    let mut edited = head.bytes.clone();
    if let Some(version) = edited.get_mut(..8) {
        version.copy_from_slice(b"HTTP/1.1");
    }
    add_field(&mut edited, "Transfer-Encoding", "chunked");
    let says_close = head.text_of("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    if !says_close {
        add_field(&mut edited, "Connection", "close");
    }
    edited
}

fn push_request_line(out: &mut Vec<u8>, line: &[u8], base_path: &str) {
    match line.windows(2).position(|pair| pair == b" /") {
        Some(at) if !line[..at].contains(&b' ') => {
            out.extend_from_slice(&line[..=at]);
            out.extend_from_slice(base_path.as_bytes());
            out.extend_from_slice(&line[at + 1..]);
        }
        _ => out.extend_from_slice(line),
    }
}

/// The request line with the path of its target alone.
fn push_origin_line(out: &mut Vec<u8>, line: &[u8]) {
    let scheme_end = line.windows(3).position(|part| part == b"://");
    let target_start = line.iter().position(|&byte| byte == b' ');
    let (Some(target_start), Some(scheme_end)) = (target_start, scheme_end) else {
        return out.extend_from_slice(line);
    };
    out.extend_from_slice(&line[..=target_start]);
    let after = &line[scheme_end + 3..];
    let path_start = after.iter().position(|byte| matches!(byte, b'/' | b'?' | b' ')).unwrap_or(after.len());
    if after.get(path_start) != Some(&b'/') {
        out.push(b'/');
    }
    out.extend_from_slice(&after[path_start..]);
}

fn is_for_proxy(line: &[u8]) -> bool {
    is_field(line, b"proxy-authorization") || is_field(line, b"proxy-connection")
}

fn is_field(line: &[u8], name: &[u8]) -> bool {
    line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name) && line[name.len()] == b':'
}

fn push_field(out: &mut Vec<u8>, name: &[u8], value: &str, line_end: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(line_end);
}

/// Adds a field before the blank line at the head's end, with the line end that the head uses.
fn add_field(head: &mut Vec<u8>, name: &str, value: &str) {
    let line_end = line_end_of(head).to_vec();
    head.truncate(head.len() - line_end.len());
    push_field(head, name.as_bytes(), value, &line_end);
    head.extend_from_slice(&line_end);
}

fn line_end_of(line: &[u8]) -> &'static [u8] {
    if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(head: &str, edit: RequestEdit<'_>) -> String {
        String::from_utf8(edit_request(head.as_bytes(), edit)).unwrap()
    }

    #[test]
    fn without_an_edit_a_head_stays_as_it_is() {
        let head = "GET /a[b]?x= /y HTTP/1.1\r\nB:1\r\nhost : x\r\nB: 2\n\r\n";
        assert_eq!(edited(head, RequestEdit::default()), head);
    }

    #[test]
    fn host_base_path_and_traceparent_change_and_nothing_else() {
        let edit = RequestEdit {
            host: Some("api.example"),
            base_path: "/v1",
            traceparent: Some("00-1-2-00"),
            ..RequestEdit::default()
        };
        let head = "POST /chat?x=/y HTTP/1.1\r\nB:1\r\nHOST:  127.0.0.1:1\r\nb: 2\r\n\r\n";
        let expected =
            "POST /v1/chat?x=/y HTTP/1.1\r\nB:1\r\nHOST: api.example\r\nb: 2\r\ntraceparent: 00-1-2-00\r\n\r\n";
        assert_eq!(edited(head, edit), expected);
        assert_eq!(edited("OPTIONS * HTTP/1.1\n\n", edit), "OPTIONS * HTTP/1.1\ntraceparent: 00-1-2-00\n\n");
        assert_eq!(
            edited("GET http://x/y HTTP/1.1\n\n", RequestEdit { base_path: "/v1", ..RequestEdit::default() }),
            "GET http://x/y HTTP/1.1\n\n"
        );
    }

    #[test]
    fn a_request_that_names_its_host_becomes_one_for_that_host_alone() {
        let edit = RequestEdit { host: Some("api.test"), for_origin: true, ..RequestEdit::default() };
        let head = "GET http://api.test:80/a?b=http://x/ HTTP/1.1\r\nHost: other\r\nProxy-Connection: keep-alive\r\n\
                    Proxy-Authorization: Basic eA==\r\nA: b\r\n\r\n";
        assert_eq!(edited(head, edit), "GET /a?b=http://x/ HTTP/1.1\r\nHost: api.test\r\nA: b\r\n\r\n");
        assert_eq!(edited("GET http://x HTTP/1.1\r\n\r\n", edit), "GET / HTTP/1.1\r\n\r\n");
        assert_eq!(edited("GET http://x?y HTTP/1.1\r\n\r\n", edit), "GET /?y HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn an_answer_until_close_becomes_a_chunked_one() {
        let reframed = |head: &str| String::from_utf8(reframe_as_chunked(&Head::new(head.as_bytes()))).unwrap();
        let expected = "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        assert_eq!(reframed("HTTP/1.0 200 OK\r\nA: b\r\n\r\n"), expected);
        assert_eq!(
            reframed("HTTP/1.1 200 OK\nconnection: close\n\n"),
            "HTTP/1.1 200 OK\nconnection: close\nTransfer-Encoding: chunked\n\n"
        );
    }
}

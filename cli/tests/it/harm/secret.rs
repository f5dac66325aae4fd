//! Secrets that pass through: none of them is in the store, in whatever place they came.

use super::*;

/// Each stands somewhere else; none looks like a secret by its form.
const PLANTED: [&str; 18] = [
    "planted-authorization-1",
    "planted-proxy-2",
    "planted-cookie-3",
    "planted-query-4",
    "planted-userinfo-5",
    "planted-referer-6",
    "planted-apikey-7",
    "planted-folded-8",
    "planted-reqtrailer-9",
    "planted-setcookie-10",
    "planted-location-11",
    "planted-restrailer-12",
    "planted-interim-13",
    "planted-rawhead-14",
    "planted-rawsecond-15",
    "planted-rawcr-16",
    "planted-rawanswer-17",
    "planted-rawtarget-18",
];

fn answer_with_secrets(mut stream: TcpStream) {
    let mut last = String::new();
    loop {
        let head = read_head(&mut stream);
        if head.is_empty() {
            return;
        }
        if head.contains("chunked") {
            // The trailers end like a head.
            last = read_head(&mut stream);
        }
        let answer = "HTTP/1.1 103 Early Hints\r\nSet-Cookie: hint=planted-interim-13\r\n\r\n\
            HTTP/1.1 200 OK\r\nSet-Cookie: session=planted-setcookie-10; Path=/\r\n\
            Location: http://x/?access_token=planted-location-11\r\nTransfer-Encoding: chunked\r\nTrailer: X-Auth-Token\r\n\r\n\
            2\r\nok\r\n0\r\nX-Auth-Token: planted-restrailer-12\r\n\r\n";
        let raw = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=planted-rawanswer-17\r\n\r\n0\r\n\r\n";
        let odd = head.contains("/raw") || last.contains("/raw");
        if stream.write_all(if odd { raw } else { answer }.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn no_secret_reaches_the_store_by_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = serve(answer_with_secrets);
    let capture = Capture::of(folder.path(), upstream, &[]);
    let address = capture.address(0);
    let clear = "POST http://user:planted-userinfo-5@x/chat?api_key=planted-query-4&n=1 HTTP/1.1\r\nHost: x\r\n\
        Authorization: Bearer planted-authorization-1\r\nProxy-Authorization: Basic planted-proxy-2\r\n\
        Cookie: a=b; session=planted-cookie-3\r\nReferer: http://x/?token=planted-referer-6\r\nX-Api-Key: planted-apikey-7\r\n\
        X-Auth-Token:\r\n planted-folded-8\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
        2\r\nhi\r\n0\r\nX-Auth-Token: planted-reqtrailer-9\r\n\r\n";
    let mut stream = connect(address);
    stream.write_all(clear.as_bytes()).unwrap();
    let mut got = String::new();
    while !got.contains("restrailer") {
        let mut bytes = [0; 512];
        let count = stream.read(&mut bytes).unwrap();
        got.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    for secret in ["planted-setcookie-10", "planted-location-11", "planted-restrailer-12", "planted-interim-13"] {
        assert!(got.contains(secret), "the client gets what was sent: {got}");
    }
    drop(stream);
    // What no two servers read alike passes raw, in single bytes, and so does what follows it.
    let raw = "POST /raw?api_key=planted-rawtarget-18 HTTP/1.1\r\nAuthorization: Bearer planted-rawhead-14\r\nA: b\rX-Api-Key: planted-rawcr-16\r\n\
        Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /raw HTTP/1.1\r\nCookie: a=planted-rawsecond-15\r\n\r\n";
    let mut stream = connect(address);
    for byte in raw.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
        pause(Duration::from_micros(100));
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(String::from_utf8(read_rest(&mut stream).0).unwrap().contains("planted-rawanswer-17"));
    capture.stop();

    let exchanges = list(folder.path());
    assert_eq!(exchanges.len(), 2, "{exchanges:?}");
    for (name, bytes) in files_unpacked(&folder.path().join(".retake")) {
        for secret in PLANTED {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {name}");
        }
    }
    // They were there, and something of the same length is now.
    let shown = retake(folder.path(), &["show", exchanges[0]["id"].as_str().unwrap()]);
    let line = shown.out.lines().find(|line| line.trim_start().starts_with("Authorization: Bearer ")).unwrap();
    assert_eq!(line.trim().len(), "Authorization: Bearer planted-authorization-1".len(), "{line}");
    let raw_shown = retake(folder.path(), &["show", exchanges[1]["id"].as_str().unwrap(), "--json"]);
    assert!(
        raw_shown.out.contains("request stream header:authorization"),
        "what was replaced is noted: {}",
        raw_shown.out
    );
}

/// Every file of the store as it is, and what is compressed in it.
pub(crate) fn files_unpacked(store: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let (name, bytes) = (path.display().to_string(), std::fs::read(&path).unwrap());
            if path.extension().is_some_and(|extension| extension == "retake") {
                found.push((format!("{name}, unpacked"), unpacked(&bytes)));
            }
            found.push((name, bytes));
        }
    }
    assert!(found.iter().any(|(name, bytes)| name.ends_with("unpacked") && bytes.len() > 1000));
    found
}

/// A segment is frames of zstd behind skippable ones, which every decoder reads.
fn unpacked(segment: &[u8]) -> Vec<u8> {
    let head = exchange::Head::new(&b"HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n"[..]);
    content::encoding::decode(&head, segment, 1 << 30).unwrap().into_owned()
}

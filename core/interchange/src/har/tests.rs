use content::redact::{Extra, Redactor};
use exchange::{Digest, Lack};

use super::*;
use crate::{Imported, Importer, Roles};

/// What a file gives, and how reading it ended.
fn read(text: &[u8]) -> (Vec<Item>, Result<Passed, Fault>) {
    read_within(text, 1 << 20)
}

fn read_within(text: &[u8], item_bytes_max: u64) -> (Vec<Item>, Result<Passed, Fault>) {
    let mut items = Vec::new();
    let result = Har.read(&mut &text[..], Limits { item_bytes_max }, &mut |item| {
        items.push(item);
        Next::GoOn
    });
    (items, result)
}

fn har(entries: &str) -> String {
    format!("{{\"log\":{{\"version\":\"1.2\",\"pages\":[{{\"id\":\"p\"}}],\n\"entries\":[{entries}]}}}}\n")
}

const ENTRY: &str = r#"{"startedDateTime":"2026-11-26T02:17:00.000Z","time":12.5,"cache":{},
"request":{"method":"POST","url":"https://api.example/v1/chat?key=abcdefghij1234567890#top","httpVersion":"h2",
 "headers":[{"name":":authority","value":"api.example"},{"name":"content-type","value":"application/json"},
  {"name":"authorization","value":"Bearer sk-secretsecretsecret12"}],
 "postData":{"mimeType":"application/json","text":"{\"seed\":7}"},"bodySize":10},
"response":{"status":200,"statusText":"OK","httpVersion":"h2","headers":[{"name":"set-cookie","value":"a=1\nb=2"},
  {"name":"content-encoding","value":"br"},{"name":"content-type","value":"application/json"}],
 "content":{"size":11,"mimeType":"application/json","text":"{\"ok\":true}"}},
"timings":{"blocked":1,"dns":-1,"send":1.5,"wait":5,"receive":5}}"#;

fn head_of(message: &crate::ItemMessage) -> String {
    String::from_utf8(message.head.bytes.clone()).unwrap()
}

#[test]
fn an_entry_becomes_heads_bodies_and_times_and_says_what_it_lacks() {
    let (items, result) = read(har(ENTRY).as_bytes());
    assert_eq!((items.len(), result), (1, Ok(Passed::default())));
    let item = &items[0];
    assert_eq!(
        head_of(&item.request),
        "POST /v1/chat?key=abcdefghij1234567890 HTTP/1.1\r\nHost: api.example\r\ncontent-type: application/json\r\n\
         authorization: Bearer sk-secretsecretsecret12\r\nContent-Length: 10\r\n\r\n"
    );
    let response = item.response.as_ref().unwrap();
    assert_eq!(
        head_of(response),
        "HTTP/1.1 200 OK\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-type: application/json\r\nContent-Length: 11\r\n\r\n"
    );
    assert_eq!((&item.request.body[..], &response.body[..]), (&b"{\"seed\":7}"[..], &b"{\"ok\":true}"[..]));
    assert_eq!(
        (item.request_ended_ns, item.response_started_ns, item.ended_ns),
        (Some(2_500_000), Some(7_500_000), 12_500_000)
    );
    let always = [Lack::ChunkTimes, Lack::Fingerprint, Lack::RawHeads, Lack::Trailers];
    assert_eq!(item.lacks, [&always[..], &[Lack::Protocol, Lack::ContentCoding]].concat());
}

fn imported(text: &str, roles: Roles) -> Vec<Imported> {
    let (items, result) = read(text.as_bytes());
    result.unwrap();
    let redactor = Redactor::new([7; 32], &Extra::default());
    let mut importer = Importer::new("har", Digest::of(text.as_bytes()), 0, roles, redactor);
    items.into_iter().map(|item| importer.take(item)).collect()
}

#[test]
fn secrets_are_replaced_seeds_found_and_the_same_file_gives_the_same_exchanges() {
    let text = har(&[ENTRY, ENTRY].join(","));
    let [one, other] = &imported(&text, Roles::default())[..] else { panic!("two entries") };
    let head = String::from_utf8_lossy(&one.exchange.request.head.bytes).into_owned();
    assert!(!head.contains("secretsecret") && !head.contains("abcdefghij1234567890"), "{head}");
    assert_eq!(one.exchange.redactions.len(), 3);
    assert_eq!(one.exchange.seeds[0].pointer, "/seed");
    assert_ne!(one.exchange.id, other.exchange.id);
    assert_eq!(one.exchange.digests, other.exchange.digests);
    assert!(one.exchange.digests.response.is_some() && one.exchange.context.imported.is_some());
    assert_eq!(imported(&text, Roles::default()), imported(&text, Roles::default()));
}

#[test]
fn what_is_no_http_is_passed_over_and_what_was_not_answered_says_so() {
    let blocked = ENTRY.replace("\"status\":200", "\"status\":0,\"_error\":\"net::ERR_ABORTED\"");
    let data = ENTRY.replace("https://api.example/v1/chat?key=abcdefghij1234567890#top", "data:text/plain,hi");
    let (items, result) = read(har(&[data, blocked].join(",")).as_bytes());
    assert_eq!((items.len(), items[0].position, result), (1, 1, Ok(Passed { not_http: 1 })));
    assert!(items[0].response.is_none() && items[0].lacks.contains(&Lack::Response));
    assert_eq!(items[0].failure.as_deref(), Some("net::ERR_ABORTED"));
}

#[test]
fn nothing_in_a_name_or_value_can_begin_a_line_of_its_own() {
    let field =
        r#"{"name":"x-a","value":"1\r\nInjected: 2"},{"name":"bad name","value":"3"},{"name":"x\r\ny","value":"4"}"#;
    let entry = ENTRY
        .replace(r#"{"name":"set-cookie","value":"a=1\nb=2"}"#, field)
        .replace("v1/chat?", "v1/chat HTTP\\/1.1\\r\\nEvil: 1?");
    let (items, _) = read(har(&entry).as_bytes());
    let response = items[0].response.as_ref().unwrap();
    let names: Vec<_> = response.head.fields().map(|field| String::from_utf8_lossy(field.name).into_owned()).collect();
    assert_eq!(names, ["x-a", "x-a", "content-type", "Content-Length"]);
    assert_eq!(items[0].request.head.request_line().unwrap().version, b"HTTP/1.1");
    assert_eq!(items[0].request.head.value_of("evil"), None);
    assert!(items[0].lacks.contains(&Lack::Fields));
}

#[test]
fn binary_and_forms_are_bytes_again_and_a_body_that_is_not_told_is_lacking() {
    let binary = ENTRY
        .replace("\"text\":\"{\\\"ok\\\":true}\"", "\"text\":\"AP/+\",\"encoding\":\"base64\"")
        .replace("\"text\":\"{\\\"seed\\\":7}\"", "\"params\":[{\"name\":\"a b\",\"value\":\"c&d\"}]")
        .replace(
            "\"postData\":{\"mimeType\":\"application/json\"",
            "\"postData\":{\"mimeType\":\"application/x-www-form-urlencoded\"",
        );
    let untold = ENTRY.replace(",\"text\":\"{\\\"ok\\\":true}\"", "");
    let (items, result) = read(har(&[binary, untold].join(",")).as_bytes());
    result.unwrap();
    assert_eq!(items[0].response.as_ref().unwrap().body, [0x00, 0xff, 0xfe]);
    assert_eq!(items[0].request.body, b"a%20b=c%26d");
    assert!(items[0].lacks.contains(&Lack::FormBody));
    let untold = items[1].response.as_ref().unwrap();
    assert_eq!((untold.body.len(), untold.len), (0, 11));
    assert!(items[1].lacks.contains(&Lack::ResponseBody));
}

#[test]
fn a_body_of_one_character_for_each_byte_is_those_bytes_and_other_text_is_utf8() {
    let body_of = |size: &str, text: &str| {
        let content = format!("\"size\":{size},\"mimeType\":\"\",\"text\":\"{text}\"");
        let told = "\"size\":11,\"mimeType\":\"application/json\",\"text\":\"{\\\"ok\\\":true}\"";
        assert!(ENTRY.contains(told));
        read(har(&ENTRY.replace(told, &content)).as_bytes()).0.remove(0).response.unwrap().body
    };
    assert_eq!(body_of("3", "a\u{ff}\u{80}"), [b'a', 0xff, 0x80]);
    assert_eq!(body_of("3", "aé"), "aé".as_bytes());
    assert_eq!(body_of("2", "a€"), "a€".as_bytes());
    assert_eq!(body_of("-1", "é"), "é".as_bytes());
}

#[test]
fn a_file_cut_anywhere_names_its_end_and_keeps_what_came_before() {
    let text = format!("\u{feff}{}", har(&[ENTRY, ENTRY].join(",")));
    let whole = text.trim_end().len();
    let first_end = text.find(ENTRY).unwrap() + ENTRY.len();
    for len in 0..whole {
        let (items, result) = read(&text.as_bytes()[..len]);
        let fault = result.unwrap_err();
        assert_eq!(fault.place.offset, if len < 3 { fault.place.offset } else { len as u64 }, "{fault}");
        assert_eq!(items.len(), usize::from(len >= first_end) + usize::from(len > first_end + ENTRY.len()), "{len}");
    }
    assert_eq!(read(text.as_bytes()).0.len(), 2);
}

#[test]
fn a_wrong_byte_is_named_with_its_line() {
    let wrong_type = ENTRY.replace("\"status\":200", "\"status\":\"200\"");
    let text = har(&[ENTRY.to_owned(), wrong_type].join(","));
    let (items, result) = read(text.as_bytes());
    let fault = result.unwrap_err();
    let at = text.find("\"status\":\"200\"").unwrap() + "\"status\":\"200\"".len();
    assert_eq!(items.len(), 1);
    assert_eq!(fault.place, Place { offset: at as u64, line: 15 }, "{fault}");
    assert!(fault.what.contains("invalid type: string"), "{fault}");
}

#[test]
fn what_is_hostile_is_refused() {
    let deep = "[".repeat(100_000);
    let long = ENTRY.replace("{\\\"ok\\\":true}", &"x".repeat(2 << 20));
    let base64 = ENTRY.replace("\"text\":\"{\\\"ok\\\":true}\"", "\"text\":\"A!\",\"encoding\":\"base64\"");
    for (what, text) in [
        ("no JSON", "hello".to_owned()),
        ("no HAR", "{\"log\":{}}".to_owned()),
        ("no object", "[]".to_owned()),
        ("deep", deep.clone()),
        ("deep inside", har(&ENTRY.replace("\"cache\":{}", &format!("\"cache\":{deep}")))),
        ("long", har(&long)),
        ("base64", har(&base64)),
        ("twice", "{\"log\":{\"entries\":[],\"entries\":[]}}".to_owned()),
        ("twice inside", har(&ENTRY.replace("\"time\":12.5", "\"time\":12.5,\"time\":1"))),
        ("types", har("null")),
        ("more behind", har(ENTRY) + "x"),
        ("method", har(&ENTRY.replace("\"POST\"", "\"PO ST\""))),
    ] {
        let (_, result) = read(text.as_bytes());
        assert!(result.is_err(), "{what}");
    }
    let (items, result) = read_within(har(&[ENTRY, ENTRY].join(",")).as_bytes(), ENTRY.len() as u64 + 10);
    assert_eq!((items.len(), result), (2, Ok(Passed::default())));
}

proptest::proptest! {
    #[test]
    fn a_changed_byte_is_survived(at in proptest::prelude::any::<proptest::sample::Index>(), byte in proptest::prelude::any::<u8>()) {
        let mut text = har(&[ENTRY, ENTRY].join(",")).into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        let (items, result) = read(&text);
        proptest::prop_assert!(items.len() == 2 || result.is_err() || result.is_ok_and(|passed| passed.not_http > 0));
    }
}

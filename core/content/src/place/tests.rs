use super::*;

const REQUEST: &str = "POST /tickets/7?draft=1 HTTP/1.1\r\nX-Tenant: acme\r\n\r\n";

fn found(place: &str, asked: &str, answered: (&str, &str)) -> Option<String> {
    let place: Place = place.parse().unwrap();
    let request = Head::new(REQUEST);
    let response = Head::new(format!("HTTP/1.1 200 OK\r\nX-Model: m1\r\nContent-Type: {}\r\n\r\n", answered.0));
    let texts = (asked, answered.1);
    let (asked, answered) =
        (canonical::body(&request, asked.as_bytes()), canonical::body(&response, answered.1.as_bytes()));
    let found = place
        .find(Message { head: &request, body: Some(&asked) }, Some(Message { head: &response, body: Some(&answered) }));
    let in_sent = |side, head: &Head, sent: &str| {
        let may_be = place.may_be_in(side, &request);
        may_be.then(|| find_in_sent(&[&place], head, Some(sent.as_bytes())).remove(0)).flatten()
    };
    let in_response = in_sent(Side::Response, &response, texts.1);
    assert_eq!(
        in_response.or_else(|| in_sent(Side::Request, &request, texts.0)),
        found,
        "read either way it is the same"
    );
    match found? {
        Found::Value(value) => Some(value.to_compact_text()),
        Found::TooLong => Some("too long".to_owned()),
    }
}

#[test]
fn the_response_is_looked_at_first_and_a_side_may_be_named() {
    let both = |place: &str| found(place, r#"{"label":"a","user":1}"#, ("application/json", r#"{"label":"b"}"#));
    assert_eq!(both("/label").as_deref(), Some(r#""b""#));
    assert_eq!(both("request:/label").as_deref(), Some(r#""a""#));
    assert_eq!(both("/user").as_deref(), Some("1"), "curl announces JSON as a form");
    assert_eq!(both("response:/user"), None);
    assert_eq!(both("header:x-tenant").as_deref(), Some(r#""acme""#));
    assert_eq!(both("header:X-Model").as_deref(), Some(r#""m1""#));
    assert_eq!(both("request:header:x-model"), None);
}

#[test]
fn a_route_limits_a_place() {
    let of = |place: &str| found(place, "", ("application/json", r#"{"label":"b"}"#)).is_some();
    assert!(of("POST /tickets/* /label") && of("* /tickets/7 response:/label"));
    assert!(!of("GET /tickets/* /label") && !of("POST /tickets /label"));
}

#[test]
fn a_star_gathers_and_a_stream_gives_its_last() {
    let json = ("application/json", r#"{"rows":[{"v":1.50},{"v":2},{}],"none":null}"#);
    assert_eq!(found("/rows/*/v", "", json).as_deref(), Some("[1.50,2]"));
    assert_eq!(found("/rows/1/v", "", json).as_deref(), Some("2"));
    assert_eq!(found("/none", "", json), None);
    let events = "data: {\"usage\":{\"total\":1}}\n\ndata: {\"usage\":{\"total\":9}}\n\ndata: {}\n\ndata: [DONE]\n\n";
    assert_eq!(found("/usage/total", "", ("text/event-stream", events)).as_deref(), Some("9"));
    assert_eq!(found("sse:/usage/total", "", ("text/event-stream", events)).as_deref(), Some("9"));
}

#[test]
fn a_value_that_is_too_long_says_so() {
    let long = format!(r#"{{"v":"{}"}}"#, "x".repeat(VALUE_BYTES_MAX));
    assert_eq!(found("/v", "", ("application/json", &long)).as_deref(), Some("too long"));
}

#[test]
fn what_is_no_place_says_why_and_what_one_looks_like() {
    for wrong in ["", "label", "post /x /y", "POST x /y", "POST /x", "header:", "header:a b", "/a*", "/~3"] {
        let error = wrong.parse::<Place>().unwrap_err();
        assert!(error.help().is_some() && error.to_string().contains(wrong), "{error}");
    }
}

//! What counts of an answer, as bytes: two replays gave the same answer under the same rules when these are equal.
//!
//! In: an answer and the rules. Out: status, compared header fields and body, each part preceded by its label and
//! length, fields that a rule covers taken out. `Content-Length` is left out, since it follows from the body and from
//! what was taken out of it.

use content::{json::Value, message};

use crate::{
    Output, Route, Rules,
    headers::{compared_fields, without_boundaries},
    json::{in_order, without},
    pointer::Cover,
    pointer::rule_for_root,
    rules::Active,
    said::Message,
    stream,
    view::View,
};

/// The canonical bytes of an answer, less what the rules for its route cover.
pub fn outcome_bytes(output: &Output<'_>, rules: &Rules, route: &Route) -> Vec<u8> {
    let active = rules.for_response(route);
    let mut out = Vec::new();
    if let Some(line) = output.head.status_line().filter(|_| active.status.is_none()) {
        write_part("status", line.status.to_string().as_bytes(), &mut out);
    }
    let view = View::of(output, rules.reading(&route.path));
    let mut fields = compared_fields(output.head);
    if matches!(view, View::Structured(_)) {
        without_boundaries(&mut fields);
    }
    for (name, values) in fields {
        if name != "content-length" && active.for_header(&name).is_none() {
            write_part("field", name.as_bytes(), &mut out);
            values.iter().for_each(|value| write_part("value", value.as_bytes(), &mut out));
        }
    }
    if output.is_part() {
        write_part("part", b"", &mut out);
    }
    write_body(&view, &active, &mut out);
    out
}

fn write_body(view: &View<'_>, rules: &Active<'_>, out: &mut Vec<u8>) {
    let is_covered = rule_for_root(&rules.body).is_some();
    match view {
        View::Nothing => {}
        View::Json(tree, written) => {
            let value = message::normal(tree.root()).map_or_else(|| tree.root().to_value(), in_order);
            write_document(if written.in_lines { "lines" } else { "json" }, value, rules, out);
        }
        View::CutLines(tree, None) => write_document("cut lines", tree.root().to_value(), rules, out),
        View::Events(events) | View::Lines(_, events) | View::CutLines(_, Some(events)) => {
            let mut bytes = Vec::new();
            match Message::of(events, false, rules) {
                Some(message) => {
                    message.write_what_counts(rules, &mut bytes);
                    write_part("message", &bytes, out);
                }
                None => {
                    stream::write_what_counts(events, rules, &mut bytes);
                    write_part("events", &bytes, out);
                }
            }
        }
        View::Structured(structured) => write_document("document", structured.value(), rules, out),
        View::Media(media) => write_document("media", media.what_counts(rules), rules, out),
        View::Text(_) | View::Bytes(_) if is_covered => {}
        View::Text(text) => write_part("text", text.as_bytes(), out),
        View::Bytes(bytes) => write_part("bytes", bytes, out),
    }
}

/// What rules for bodies leave of a document.
fn write_document(label: &str, value: Value, rules: &Active<'_>, out: &mut Vec<u8>) {
    if let Some(kept) = without(&value, &mut Vec::new(), &mut Cover::new(&rules.body), &mut |_, _, _| {}) {
        let mut canonical = Vec::new();
        kept.write_canonical(&mut canonical);
        write_part(label, &canonical, out);
    }
}

fn write_part(label: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{label} {}\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use exchange::Head;

    use super::*;

    fn outcome(head: &str, body: &str, rules: &[&str]) -> Vec<u8> {
        let rules = rules.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
        let head = Head::new(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n"));
        let output = Output { head: &head, body: body.as_bytes(), complete: true, whole: true };
        outcome_bytes(&output, &rules, &Route::default())
    }

    const JSON: &str = "content-type: application/json";

    #[test]
    fn two_answers_that_differ_in_ignored_fields_only_have_equal_outcomes() {
        let rules = ["/id", "/notes/*/at", "header:x-pod"];
        let one = outcome(
            &format!("{JSON}\r\nx-pod: 1\r\ncontent-length: 40"),
            r#"{"id":1,"a":"x","notes":[{"at":1}]}"#,
            &rules,
        );
        let other = outcome(&format!("{JSON}\r\ndate: now"), r#"{"notes": [{}], "a":"x"}"#, &rules);
        assert_eq!(one, other);
        assert_ne!(one, outcome(JSON, r#"{"notes": [{}], "a":"y"}"#, &rules));
        assert_ne!(one, outcome(JSON, r#"{"notes": [{},{}], "a":"x"}"#, &rules));
    }

    #[test]
    fn events_lose_their_ignored_fields_and_split_points() {
        let head = "content-type: text/event-stream";
        let one = outcome(head, "data: {\"id\":1,\"t\":\"a\"}\n\ndata: [DONE]\n\n", &["sse:/id"]);
        assert_eq!(one, outcome(head, ": hi\r\ndata: {\"t\":\"a\"}\r\n\r\ndata: [DONE]\r\n\r\n", &["sse:/id"]));
        assert_ne!(one, outcome(head, "data: {\"t\":\"b\"}\n\ndata: [DONE]\n\n", &["sse:/id"]));
        assert_ne!(one, outcome(head, "data: {\"t\":\"a\"}\n\n", &["sse:/id"]));
    }
}

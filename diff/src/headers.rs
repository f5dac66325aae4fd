//! Status and header fields compared.
//!
//! In: two heads. Out: one difference for the status and one for each name whose values differ. Not compared is what
//! belongs to a connection or names a single request; [`headers_not_compared`] lists it for the receipt.

use std::collections::BTreeMap;

use content::{
    canonical::{HEADERS_LEFT_OUT, HeaderClass, left_out_class},
    multipart,
};
use exchange::{Head, text_of_bytes};

use crate::{Change, ChangeKind, Shown, findings::Findings, rules::Active};

/// Fields that say which server it was, on which connection, and when: not compared, beside those of trace context and
/// those that name a request.
const NAMES: &[&str] = &["connection", "date", "keep-alive", "server", "transfer-encoding", "via"];

/// Compared only where both have one and the bytes of the bodies are equal: it follows from the body.
const CONTENT_LENGTH: &str = "content-length";

/// Compared without the cookie's value, of which only a pseudonym is kept, by another key in each run.
const SET_COOKIE: &str = "set-cookie";

/// Compared without the boundary of parts, which follows from the body; where the bodies are equal, with it.
const CONTENT_TYPE: &str = "content-type";

/// The header fields that are never compared, for the receipt: names in lower case, `*` at the end for any rest.
pub fn headers_not_compared() -> Vec<String> {
    let named = HEADERS_LEFT_OUT.iter().filter(|(class, _)| is_never_compared(*class)).flat_map(|(_, names)| *names);
    let mut names: Vec<String> = NAMES.iter().chain(named).map(|name| (*name).to_owned()).collect();
    names.push(format!("{CONTENT_LENGTH} (where the body differs, or one side has none)"));
    names.push(format!("{CONTENT_TYPE} (the boundary of parts, where the bodies differ)"));
    names.push(format!("{SET_COOKIE} (its value)"));
    names.sort();
    names
}

fn is_never_compared(class: HeaderClass) -> bool {
    matches!(class, HeaderClass::Trace | HeaderClass::RequestId)
}

/// Values by name in lower case, equal names in order.
pub(crate) type Fields = BTreeMap<String, Vec<String>>;

/// Compares two heads.
pub(crate) fn compare(
    recorded: &Head,
    replayed: &Head,
    bodies_equal: bool,
    rules: &Active<'_>,
    findings: &mut Findings,
) {
    compare_status(recorded, replayed, rules, findings);
    let (mut recorded, mut replayed) = (compared_fields(recorded), compared_fields(replayed));
    if !(bodies_equal && recorded.contains_key(CONTENT_LENGTH) && replayed.contains_key(CONTENT_LENGTH)) {
        recorded.remove(CONTENT_LENGTH);
        replayed.remove(CONTENT_LENGTH);
    }
    if !bodies_equal {
        without_boundaries(&mut recorded);
        without_boundaries(&mut replayed);
    }
    let mut names: Vec<&String> = recorded.keys().chain(replayed.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (one, other) = (recorded.get(name), replayed.get(name));
        if one != other {
            let shown = |values: &Vec<String>| values.join(", ");
            let pointer = format!("header:{name}");
            add(pointer, rules.for_header(name), one.map(shown), other.map(shown), findings);
        }
    }
}

fn compare_status(recorded: &Head, replayed: &Head, rules: &Active<'_>, findings: &mut Findings) {
    let status = |head: &Head| head.status_line().map(|line| line.status.to_string());
    let (recorded, replayed) = (status(recorded), status(replayed));
    if recorded != replayed {
        add("status".to_owned(), rules.status, recorded, replayed, findings);
    }
}

fn add(
    pointer: String,
    rule: Option<usize>,
    recorded: Option<String>,
    replayed: Option<String>,
    findings: &mut Findings,
) {
    if let Some(rule_at) = rule {
        return findings.count_use(rule_at, || pointer);
    }
    if !findings.has_room() {
        return;
    }
    let kind = match (&recorded, &replayed) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    let shown = |text: Option<String>| text.map(|text| Shown::beginning_of(&text));
    findings.add(Change { recorded: shown(recorded), replayed: shown(replayed), ..Change::at(pointer, kind) });
}

/// The fields that are compared. Names are shown as they are on the wire, bytes above ASCII as in ISO 8859-1.
pub(crate) fn compared_fields(head: &Head) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in unfolded(head) {
        let is_left_out = NAMES.contains(&name.as_str()) || left_out_class(&name).is_some_and(is_never_compared);
        if !is_left_out {
            let value = if name == SET_COOKIE { without_cookie_value(&value) } else { value };
            fields.entry(name).or_default().push(value);
        }
    }
    fields
}

/// `session=***; Path=/` for `session=abc; Path=/`.
fn without_cookie_value(cookie: &str) -> String {
    let (pair, attributes) = cookie.split_once(';').map_or((cookie, None), |(pair, rest)| (pair, Some(rest)));
    let name = pair.split_once('=').map_or("", |(name, _)| name);
    let value_hidden = format!("{name}=***");
    attributes.map_or_else(|| value_hidden.clone(), |attributes| format!("{value_hidden};{attributes}"))
}

/// The fields without what only says where parts begin.
pub(crate) fn without_boundaries(fields: &mut Fields) {
    for value in fields.get_mut(CONTENT_TYPE).into_iter().flatten() {
        if multipart::essence(value).starts_with("multipart/") {
            *value = multipart::without_parameter(value, "boundary");
        }
    }
}

/// Each field with lower-case name and whole value: lines that begin with white space continue the one before (RFC 9112,
/// section 5.2), and the vocabulary's reading leaves them out.
fn unfolded(head: &Head) -> Vec<(String, String)> {
    let lines = head.bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines.skip(1).take_while(|line| !line.is_empty()) {
        if line[0].is_ascii_whitespace() {
            if let Some((_, value)) = fields.last_mut() {
                value.push(' ');
                value.push_str(&text_of_bytes(line.trim_ascii()));
            }
            continue;
        }
        let colon = line.iter().position(|&byte| byte == b':').unwrap_or(line.len());
        let name = text_of_bytes(line[..colon].trim_ascii()).to_ascii_lowercase();
        fields.push((name, text_of_bytes(line.get(colon + 1..).unwrap_or_default().trim_ascii())));
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ComparedAs, Comparison, Route, Rules};

    fn between(recorded: &str, replayed: &str, bodies_equal: bool, rules: &Rules) -> Comparison {
        let head = |fields: &str| Head::new(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
        let mut findings = Findings::new();
        let active = rules.for_response(&Route::default());
        compare(&head(recorded), &head(replayed), bodies_equal, &active, &mut findings);
        findings.into_comparison(rules, ComparedAs::Nothing)
    }

    fn told(recorded: &str, replayed: &str, bodies_equal: bool) -> String {
        let shown = |shown: &Option<Shown>| shown.as_ref().map_or("-".to_owned(), |shown| shown.text.clone());
        let changes = between(recorded, replayed, bodies_equal, &Rules::strict()).changes;
        let lines = changes
            .iter()
            .map(|it| format!("{} {} {} {}", it.kind.word(), it.pointer, shown(&it.recorded), shown(&it.replayed)));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_belongs_to_a_connection_or_names_one_request_is_not_compared_and_the_rest_is() {
        let recorded =
            "Date: Mon\r\nX-Request-Id: 1\r\nServer: a\r\nTraceparent: 00-1\r\nCache-Control: no-store\r\nX-Gone: 1";
        let replayed =
            "date: Tue\r\nx-request-id: 2\r\nserver: b\r\ntraceparent: 00-2\r\ncache-control: max-age=1\r\nAge: 3";
        insta::assert_snapshot!(told(recorded, replayed, true), @r"
        added header:age - 3
        changed header:cache-control no-store max-age=1
        removed header:x-gone 1 -
        ");
    }

    #[test]
    fn content_length_counts_only_where_the_bodies_are_equal() {
        assert_eq!(told("Content-Length: 1", "Content-Length: 2", false), "");
        assert_eq!(told("Content-Length: 1", "Content-Length: 2", true), "changed header:content-length 1 2");
        assert_eq!(told("Content-Length: 1", "Transfer-Encoding: chunked", true), "");
    }

    #[test]
    fn the_case_of_a_name_and_the_order_of_different_names_do_not_matter_but_that_of_equal_names_does() {
        assert_eq!(told("A: 1\r\nB: 2", "b: 2\r\na: 1", true), "");
        assert_eq!(told("A: 1\r\nA: 2", "A: 2\r\nA: 1", true), "changed header:a 1, 2 2, 1");
    }

    #[test]
    fn a_cookie_is_compared_without_its_value() {
        assert_eq!(told("Set-Cookie: s=a1; Path=/", "Set-Cookie: s=b2; Path=/", true), "");
        assert_eq!(
            told("Set-Cookie: s=a; Path=/", "Set-Cookie: s=a; Path=/x", true),
            "changed header:set-cookie s=***; Path=/ s=***; Path=/x"
        );
    }

    #[test]
    fn where_parts_begin_is_compared_only_where_the_bodies_are_equal() {
        let (one, other) =
            ("Content-Type: multipart/form-data; boundary=a", "Content-Type: multipart/form-data; Boundary=\"b;c\"");
        assert_eq!(told(one, other, false), "");
        assert_eq!(
            told(one, other, true),
            "changed header:content-type multipart/form-data; boundary=a multipart/form-data; Boundary=\"b;c\""
        );
        let more = "Content-Type: multipart/form-data; boundary=b; charset=utf-8";
        assert_eq!(
            told(one, more, false),
            "changed header:content-type multipart/form-data multipart/form-data; charset=utf-8"
        );
        let no_parts = ["a", "b"].map(|boundary| format!("Content-Type: text/plain; boundary={boundary}"));
        assert!(told(&no_parts[0], &no_parts[1], false).starts_with("changed"));
    }

    #[test]
    fn a_folded_value_is_compared_whole() {
        assert_eq!(told("A: one\r\n two", "A: one\r\n three", true), "changed header:a one two one three");
    }

    #[test]
    fn a_rule_hides_a_field_that_only_one_side_has_and_is_counted() {
        let rules = Rules::strict().ignoring("header:X-Pod").unwrap();
        let comparison = between("X-Pod: a", "", true, &rules);
        assert!(comparison.is_equal());
        assert_eq!((comparison.rules_used[0].count, &*comparison.rules_used[0].pointer), (1, "header:x-pod"));
        assert!(between("X-Pod: a", "X-Pod: a", true, &rules).rules_used.is_empty(), "nothing was hidden");
    }

    #[test]
    fn the_list_for_the_receipt_names_what_the_comparison_leaves_out() {
        let listed = headers_not_compared();
        for name in
            ["connection", "date", "keep-alive", "server", "traceparent", "transfer-encoding", "via", "x-request-id"]
        {
            assert!(listed.iter().any(|known| known == name), "{name}");
            assert_eq!(told(&format!("{name}: 1"), &format!("{name}: 2"), true), "", "{name}");
        }
    }
}

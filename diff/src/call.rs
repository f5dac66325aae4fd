//! One call to a dependency against another: where its arguments differ.
//!
//! In: dependency, target and body of both. Out: differences, with pointers as rules for calls have them: `dep:NAME:/…` leads into
//! the body, `dep:NAME:path:/1` to a segment of the target's path, from 0, and `dep:NAME:query:/since` to a field of its query. Header
//! fields are not compared, since calls are not matched by them.

use content::{redact::without_credentials, urlencoded};
use exchange::Head;

use crate::{
    Change, ChangeKind, ComparedAs, ListSeen, Output, Route, Rules, Shown,
    compare::Views,
    findings::Findings,
    json::{self, Document},
    pointer::{Step, pointer_text},
    said::Cut,
    view::View,
};

/// What pointers into calls begin with.
pub(crate) const CALL: &str = "dep:";

/// A call, as it is compared.
#[derive(Clone, Copy, Debug)]
pub struct CallRequest<'a> {
    /// The dependency's name.
    pub dependency: &'a str,
    /// The request's head.
    pub head: &'a Head,
    /// All of its body, as sent.
    pub body: &'a [u8],
}

impl CallRequest<'_> {
    /// Dependency, method and path, what looks like an id as `*`: `llm POST /v1/chat/completions`.
    pub fn route(&self) -> String {
        format!("{} {}", self.dependency, Route::of(self.head))
    }

    fn target(&self) -> Vec<u8> {
        without_credentials(self.head.origin_target().unwrap_or_default())
    }

    fn view(&self, rules: &Rules) -> View<'_> {
        let output = Output { head: self.head, body: self.body, complete: true, whole: true };
        View::of(&output, rules.reading_call(&Route::of(self.head).path))
    }
}

/// Where a call differs from another one of the same route, less what the `dep:NAME:/…` rules cover. `None` where they are of two
/// routes, or something differs that no pointer leads to: which fields a query has, or more than is listed.
pub fn compare_calls(recorded: &CallRequest<'_>, asked: &CallRequest<'_>, rules: &Rules) -> Option<Vec<Change>> {
    compare(recorded, asked, rules, Findings::new()).map(|(changes, _)| changes)
}

/// The same, and the lists in which something differs.
pub(crate) fn compare_calls_with_lists(
    recorded: &CallRequest<'_>,
    asked: &CallRequest<'_>,
    rules: &Rules,
) -> Option<(Vec<Change>, Vec<ListSeen>)> {
    compare(recorded, asked, rules, Findings::noting_lists())
}

fn compare(
    recorded: &CallRequest<'_>,
    asked: &CallRequest<'_>,
    rules: &Rules,
    mut findings: Findings,
) -> Option<(Vec<Change>, Vec<ListSeen>)> {
    if recorded.route() != asked.route() {
        return None;
    }
    let targets = [recorded.target(), asked.target()];
    let [was, is] = targets.each_ref().map(|target| String::from_utf8_lossy(target));
    let mut changes = compare_targets(&was, &is)?;
    if changes.is_empty() && targets[0] != targets[1] {
        return None;
    }
    if recorded.body != asked.body {
        let active = rules.for_call_request(recorded.dependency);
        match (recorded.view(rules), asked.view(rules)) {
            (View::Json(one, _), View::Json(other, _)) => {
                json::compare(one.root(), other.root(), 0, Document::default(), active.for_body(), &mut findings);
            }
            (one, other) => drop(Views { one, other, cut: Cut::default() }.compare(&active, &mut findings)),
        }
    }
    let lists = findings.take_lists();
    let bodies = findings.into_comparison(rules, ComparedAs::Json);
    changes.extend(bodies.changes);
    let place = |pointer: &String| format!("{CALL}{}:{pointer}", recorded.dependency);
    let placed = |change: Change| Change {
        pointer: place(&change.pointer),
        replayed_pointer: change.replayed_pointer.as_ref().map(place),
        ..change
    };
    let placed_list = |list: ListSeen| ListSeen { pointer: place(&list.pointer), ..list };
    let placed = || (changes.into_iter().map(placed).collect(), lists.into_iter().map(placed_list).collect());
    (bodies.changes_more == 0).then(placed)
}

/// Where two targets of one route differ; `None` where that has no pointer.
fn compare_targets(recorded: &str, asked: &str) -> Option<Vec<Change>> {
    let (path, query) = recorded.split_once('?').unwrap_or((recorded, ""));
    let (asked_path, asked_query) = asked.split_once('?').unwrap_or((asked, ""));
    let segments = path.split('/').skip(1).zip(asked_path.split('/').skip(1)).enumerate();
    let mut changes: Vec<Change> =
        segments.filter_map(|(at, (was, is))| change(format!("path:/{at}"), was, is)).collect();
    let fields = |query: &str| -> Vec<(String, String)> {
        let pairs = query.split('&').map(|field| field.split_once('=').unwrap_or((field, "")));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (was, is) = (fields(query), fields(asked_query));
    if !was.iter().map(|(name, _)| name).eq(is.iter().map(|(name, _)| name)) {
        return None;
    }
    for (at, ((name, one), (_, other))) in was.iter().zip(&is).enumerate().filter(|(_, (one, other))| one != other) {
        // A field that is given again is another place.
        let again = was[..at].iter().filter(|(earlier, _)| earlier == name).count();
        let again = if again == 0 { String::new() } else { format!("/{again}") };
        let pointer = format!("query:{}{again}", pointer_text(&[Step::Key(name)]));
        changes.push(Change {
            recorded: shown(&decoded(one)),
            replayed: shown(&decoded(other)),
            ..Change::at(pointer, ChangeKind::Changed)
        });
    }
    Some(changes)
}

fn shown(text: &str) -> Option<Shown> {
    Some(Shown::beginning_of(text))
}

/// A query field's value without its percent-encoding, where it has one that holds.
fn decoded(value: &str) -> String {
    let fields = urlencoded::parse(format!("v={value}").as_bytes(), 1);
    fields.and_then(|mut fields| fields.pop()).map_or_else(|| value.to_owned(), |(_, value)| value)
}

fn change(pointer: String, was: &str, is: &str) -> Option<Change> {
    (was != is).then(|| Change {
        recorded: shown(was),
        replayed: shown(is),
        ..Change::at(pointer, ChangeKind::Changed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(one: (&str, &str), other: (&str, &str), rules: &[&str]) -> Option<Vec<String>> {
        let rules = rules.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
        let head = |target: &str| {
            Head::new(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\r\n"))
        };
        let (heads, bodies) = ([head(one.0), head(other.0)], [one.1, other.1]);
        let call = |at: usize| CallRequest { dependency: "llm", head: &heads[at], body: bodies[at].as_bytes() };
        let changes = compare_calls(&call(0), &call(1), &rules)?;
        Some(changes.into_iter().map(|change| change.pointer).collect())
    }

    #[test]
    fn arguments_differ_by_pointer_in_body_path_and_query() {
        let one = ("/orders/41/notes?since=5&by=a", r#"{"a":[{"id":"x"}],"q":1}"#);
        assert_eq!(changes(one, one, &[]), Some(Vec::new()));
        let other = ("/orders/42/notes?since=6&by=a", r#"{"q":1, "a":[{"id":"y"}]}"#);
        let places = ["dep:llm:path:/1", "dep:llm:query:/since", "dep:llm:/a/0/id"];
        assert_eq!(changes(one, other, &[]).unwrap(), places);
        assert_eq!(changes(one, other, &["dep:llm:/a"]).unwrap(), places[..2]);
    }

    #[test]
    fn fields_given_twice_and_bytes_that_are_no_text_are_told_apart() {
        let of = |target: &str| (target.to_owned(), "{}");
        let (one, other) = (of("/x?id=a&id=b"), of("/x?id=a&id=c"));
        let places = changes((&one.0, one.1), (&other.0, other.1), &[]).unwrap();
        assert_eq!(places, ["dep:llm:query:/id/1"]);
        assert_eq!(changes(("/x", "{}"), ("/x?", "{}"), &[]), None);
        assert_eq!(decoded("2026-11-27T13%3A17%3A13Z"), "2026-11-27T13:17:13Z");
    }

    #[test]
    fn another_route_and_other_fields_of_a_query_have_no_place() {
        let one = ("/orders?since=5&by=a", "{}");
        assert_eq!(changes(one, ("/others?since=5&by=a", "{}"), &[]), None);
        assert_eq!(changes(one, ("/orders?by=a&since=5", "{}"), &[]), None);
        assert_eq!(changes(one, ("/orders?since=5", "{}"), &[]), None);
        let many = |value: &str| format!("[{}]", vec![format!("{{\"n\":\"{value}\"}}"); 2_000].join(","));
        assert_eq!(changes(("/", &many("a")), ("/", &many("b")), &[]), None);
    }
}

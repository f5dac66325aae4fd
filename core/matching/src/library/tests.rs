use exchange::{Digest, Head};
use proptest::prelude::*;

use super::*;
use crate::AsRecorded;

fn id(number: u8) -> Id {
    Id([number; 16])
}

fn head(target: &str) -> Head {
    Head::new(format!("POST {target} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\r\n"))
}

fn scope(key: &str) -> Option<Scope> {
    Some(Scope { key: key.to_owned(), certainty: Certainty::Recorded })
}

fn recorded(number: u8, scope: Option<Scope>, body: &str) -> Recorded {
    Recorded {
        id: id(number),
        dependency: "llm".to_owned(),
        scope,
        conversation: None,
        head: head("/chat"),
        body: body.into(),
    }
}

fn library(recordings: impl IntoIterator<Item = Recorded>) -> Library {
    let mut library = Library::new(Box::new(AsRecorded));
    recordings.into_iter().for_each(|recorded| library.add(recorded));
    library
}

fn ask(library: &mut Library, scope: Option<Scope>, body: &str) -> Answer {
    let head = head("/chat");
    library.ask(Call {
        dependency: "llm",
        scope: scope.as_ref(),
        conversation: None,
        head: &head,
        body: body.as_bytes(),
    })
}

fn found(answer: Answer) -> Found {
    match answer {
        Answer::Found(found) => found,
        Answer::Missed(miss) => panic!("missed: {miss}"),
    }
}

fn missed(answer: Answer) -> Miss {
    match answer {
        Answer::Found(found) => panic!("found {found:?}"),
        Answer::Missed(miss) => miss,
    }
}

#[test]
fn each_exchange_gets_its_own_recording_of_two_equal_calls_whoever_asks_first() {
    let mut library = library([recorded(1, scope("a"), "{}"), recorded(2, scope("b"), "{}")]);
    let b = found(ask(&mut library, scope("b"), "{}"));
    assert_eq!((b.id, b.scope, b.repeated), (id(2), MatchScope::Parent, false));
    assert_eq!(found(ask(&mut library, scope("a"), "{}")).id, id(1));
    assert_eq!(library.never_asked(), []);
}

#[test]
fn equal_calls_of_one_exchange_are_answered_in_recorded_order_each_once() {
    let mut library = library([recorded(1, scope("a"), "{}"), recorded(2, scope("a"), "{}")]);
    let first = found(ask(&mut library, scope("a"), "{}"));
    assert_eq!((first.id, first.repeated), (id(1), true));
    assert_eq!(found(ask(&mut library, scope("a"), "{}")).id, id(2));
    let miss = missed(ask(&mut library, scope("a"), "{}"));
    insta::assert_snapshot!(miss, @"llm POST /chat was asked once more than the 2 times it was recorded");
}

#[test]
fn asked_anew_a_call_begins_at_its_first_recording_and_leaves_the_others_where_they_are() {
    let mut library =
        library([recorded(1, None, "{}"), recorded(2, None, "{}"), recorded(3, None, "[1]"), recorded(4, None, "[2]")]);
    let head = head("/chat");
    let mut served = |body: &str| {
        let call = Call { dependency: "llm", scope: None, conversation: None, head: &head, body: body.as_bytes() };
        let asked = library.reader().read(call);
        found(library.look_anew(call, &asked).compare(&asked)).id
    };
    assert_eq!([served("{}"), served("[1]"), served("[1]"), served("{}"), served("{}")], [1, 3, 3, 2, 1].map(id));
    assert_eq!(missed(ask(&mut library, None, "[9]")).exhausted, 0);
}

#[test]
fn one_call_too_many_borrows_and_takes_nothing_away_from_the_owner() {
    let mut library = library([recorded(1, scope("a"), "{}"), recorded(2, scope("b"), "{}")]);
    ask(&mut library, scope("a"), "{}");
    let borrowed = found(ask(&mut library, scope("a"), "{}"));
    assert_eq!((borrowed.id, borrowed.scope, borrowed.borrowed), (id(2), MatchScope::Anywhere, true));
    assert_eq!(library.never_asked(), [id(2)], "the owner has not asked yet");
    let owner = found(ask(&mut library, scope("b"), "{}"));
    assert_eq!((owner.id, owner.borrowed), (id(2), false));
    assert_eq!(missed(ask(&mut library, scope("a"), "{}")).exhausted, 2, "and borrows each only once");
}

#[test]
fn a_recording_of_no_known_parent_answers_anyone_once() {
    let ambiguous = Some(Scope { key: "a".to_owned(), certainty: Certainty::Ambiguous });
    let mut library = library([recorded(1, ambiguous, "{}")]);
    let answer = found(ask(&mut library, scope("b"), "{}"));
    assert_eq!((answer.scope, answer.borrowed), (MatchScope::Anywhere, false));
    assert_eq!(missed(ask(&mut library, scope("a"), "{}")).exhausted, 1);
}

#[test]
fn a_call_without_scope_uses_up_recordings_in_order_wherever_they_belong() {
    let mut library = library([recorded(1, scope("a"), "{}"), recorded(2, scope("b"), "{}")]);
    let first = found(ask(&mut library, None, "{}"));
    assert_eq!((first.id, first.scope, first.borrowed), (id(1), MatchScope::Anywhere, false));
    assert_eq!(found(ask(&mut library, None, "{}")).id, id(2));
    assert_eq!(missed(ask(&mut library, None, "{}")).exhausted, 2);
    assert_eq!(library.never_asked(), []);
}

#[test]
fn an_inferred_parent_on_either_side_is_a_weaker_scope() {
    let inferred = || Some(Scope { key: "a".to_owned(), certainty: Certainty::Inferred });
    let mut by_recording = library([recorded(1, inferred(), "{}")]);
    assert_eq!(found(ask(&mut by_recording, scope("a"), "{}")).scope, MatchScope::Inferred);
    let mut by_call = library([recorded(1, scope("a"), "{}")]);
    assert_eq!(found(ask(&mut by_call, inferred(), "{}")).scope, MatchScope::Inferred);
}

#[test]
fn white_space_and_the_order_of_members_do_not_matter_but_the_writing_of_a_number_does() {
    let mut library = library([recorded(1, None, r#"{"a": 1, "b": "é"}"#)]);
    assert_eq!(missed(ask(&mut library, None, r#"{"b":"é","a":1.0}"#)).exhausted, 0);
    assert_eq!(found(ask(&mut library, None, r#"{"b":"\u00e9","a":1}"#)).id, id(1));
}

#[test]
fn another_dependency_or_target_is_another_call() {
    let mut library = library([recorded(1, None, "{}")]);
    let (there, elsewhere) = (head("/chat"), head("/chat?debug=1"));
    let other = library.ask(Call { dependency: "store", scope: None, conversation: None, head: &there, body: b"{}" });
    insta::assert_snapshot!(missed(other), @"store POST /chat was not recorded, nor anything else of this dependency");
    let other = library.ask(Call { dependency: "llm", scope: None, conversation: None, head: &elsewhere, body: b"{}" });
    insta::assert_snapshot!(missed(other), @"llm POST /chat?debug=1 was not recorded; the nearest is 010101010101 (POST /chat): target: recorded /chat, asked /chat?debug=1");
}

#[test]
fn a_miss_names_the_nearest_recording_and_where_it_differs() {
    let chat = |text: &str, seed: u8| {
        format!(r#"{{"model":"m","seed":{seed},"messages":[{{"role":"user","content":"{text}"}}]}}"#)
    };
    let mut library = library([
        recorded(1, None, &chat("a quite different ticket", 1)),
        recorded(2, None, &chat("My invoice is wrong", 7)),
    ]);
    let miss = missed(ask(&mut library, None, &chat("My invoice is right", 7)));
    insta::assert_snapshot!(miss, @r#"llm POST /chat was not recorded; the nearest is 020202020202 (POST /chat): /messages/0/content: recorded "My invoice is wrong", asked "My invoice is right""#);
}

#[test]
fn long_texts_are_shown_from_where_they_part_and_no_more_than_five_places_are_named() {
    let body = |end: &str| {
        format!(
            r#"{{"a":"{}{end}","l":[{}]}}"#,
            "long ".repeat(50),
            (0..9).map(|n| format!("\"{n}{end}\"")).collect::<Vec<_>>().join(",")
        )
    };
    let mut library = library([recorded(1, None, &body("old"))]);
    let miss = missed(ask(&mut library, None, &body("new")));
    insta::assert_snapshot!(miss, @r#"llm POST /chat was not recorded; the nearest is 010101010101 (POST /chat): /a: recorded …long long long old", asked …long long long new"; /l/0: recorded "0old", asked "0new"; /l/1: recorded "1old", asked "1new"; /l/2: recorded "2old", asked "2new"; /l/3: recorded "3old", asked "3new"; and 5 more"#);
}

#[test]
fn bytes_are_compared_as_bytes() {
    let head = Head::new(*b"PUT /blob HTTP/1.1\r\ncontent-type: application/octet-stream\r\n\r\n");
    let mut library = Library::new(Box::new(AsRecorded));
    library.add(Recorded {
        id: id(1),
        dependency: "s3".to_owned(),
        scope: None,
        conversation: None,
        head: head.clone(),
        body: vec![0xff, 0],
    });
    let ask = |library: &mut Library, body: &[u8]| {
        library.ask(Call { dependency: "s3", scope: None, conversation: None, head: &head, body })
    };
    insta::assert_snapshot!(missed(ask(&mut library, &[0xff])), @"s3 PUT /blob was not recorded; the nearest is 010101010101 (PUT /blob): body: recorded 2 bytes, asked 1 byte");
    assert_eq!(found(ask(&mut library, &[0xff, 0])).id, id(1));
}

/// Leaves the member `user` out, as a rule by hand would.
struct WithoutUser;

impl Normalise for WithoutUser {
    fn body(&self, _dependency: &str, body: &mut content::json::Value) -> Vec<LeftOut> {
        let content::json::Value::Object(members) = body else { return Vec::new() };
        let Some(at) = members.iter().position(|(key, _)| key == "user") else { return Vec::new() };
        let digest = Digest::of(members.remove(at).1.to_compact_text().as_bytes());
        vec![LeftOut { rule: "dep:llm:/user".to_owned(), pointer: "/user".to_owned(), digest }]
    }
}

#[test]
fn what_a_rule_leaves_out_is_reported_only_where_it_differs_or_is_absent_on_one_side() {
    let ask_user = |user: &str| {
        let mut library = Library::new(Box::new(WithoutUser));
        library.add(recorded(1, None, r#"{"user":"u1","n":1}"#));
        found(ask(&mut library, None, user)).left_out.len()
    };
    assert_eq!(ask_user(r#"{"user":"u1","n":1}"#), 0);
    assert_eq!(ask_user(r#"{"user":"u2","n":1}"#), 1);
    assert_eq!(ask_user(r#"{"n":1}"#), 1);
}

#[test]
fn a_body_that_there_is_no_room_for_is_still_found_and_a_miss_says_that_it_cannot_tell_where() {
    let mut library = Library { explained_bytes_left: 100, ..library([]) };
    library.add(recorded(1, None, r#"{"text":"long enough to be over the room that is left, with its keys counted"}"#));
    let miss = missed(ask(&mut library, None, r#"{"text":"other"}"#));
    insta::assert_snapshot!(miss, @"llm POST /chat was not recorded; the nearest is 010101010101 (POST /chat): the body differs; it is not held in memory to say where");
    let same = r#"{"text":"long enough to be over the room that is left, with its keys counted"}"#;
    assert_eq!(found(ask(&mut library, None, same)).id, id(1));
}

#[test]
fn a_call_of_unknown_parent_gets_its_conversations_recording_first() {
    let of = |number: u8, conversation: &str, scope: Option<Scope>| Recorded {
        conversation: Some(conversation.to_owned()),
        ..recorded(number, scope, "{}")
    };
    let recordings = || library([recorded(1, None, "{}"), of(2, "x", scope("a")), of(3, "y", scope("b"))]);
    let ask_in = |library: &mut Library, conversation, scope: Option<&Scope>| {
        let call = Call { dependency: "llm", scope, conversation, head: &head("/chat"), body: b"{}" };
        let found = found(library.ask(call));
        (found.id, found.scope)
    };
    let mut library = recordings();
    assert_eq!(ask_in(&mut library, Some("y"), None), (id(3), MatchScope::Conversation));
    assert_eq!(ask_in(&mut library, Some("y"), None), (id(1), MatchScope::Anywhere), "its own is used up");
    let own = scope("a");
    let parent_first = ask_in(&mut recordings(), Some("y"), own.as_ref());
    assert_eq!(parent_first, (id(2), MatchScope::Parent), "the parent is the stronger scope");
    assert_eq!(ask_in(&mut recordings(), None, None), (id(1), MatchScope::Anywhere));
}

proptest! {
    /// Whatever the order in which exchanges ask for what they asked before, each gets exactly its own recordings.
    #[test]
    fn a_replay_that_asks_the_same_gets_the_same(
        calls in prop::collection::vec((0..4u8, 0..3u8), 1..30),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        let recordings = calls.iter().enumerate().map(|(at, (owner, body))| {
            recorded(at as u8, scope(&owner.to_string()), &format!("[{body}]"))
        });
        let mut library = library(recordings);
        let mut waiting: Vec<Vec<(u8, u8)>> = (0..4u8).map(|owner| calls.iter().enumerate().filter(|(_, call)| call.0 == owner).map(|(at, call)| (at as u8, call.1)).collect()).collect();
        for index in order {
            let open: Vec<usize> = (0..4).filter(|&owner| !waiting[owner].is_empty()).collect();
            if open.is_empty() {
                break;
            }
            let owner = open[index.index(open.len())];
            let (at, body) = waiting[owner].remove(0);
            let answer = found(ask(&mut library, scope(&owner.to_string()), &format!("[{body}]")));
            prop_assert_eq!((answer.id, answer.scope), (id(at), MatchScope::Parent));
        }
        prop_assert_eq!(library.never_asked(), Vec::<Id>::new());
    }

    /// No recording is served more often than once to its own exchange, and once to each other.
    #[test]
    fn nothing_is_served_twice_to_one_scope(asks in prop::collection::vec(0..4u8, 0..40), owners in prop::collection::vec(prop::option::of(0..4u8), 0..8)) {
        let recordings = owners.iter().enumerate().map(|(at, owner)| recorded(at as u8, owner.and_then(|owner| scope(&owner.to_string())), "{}"));
        let mut library = library(recordings);
        let mut served = BTreeSet::new();
        for asker in asks {
            if let Answer::Found(found) = ask(&mut library, scope(&asker.to_string()), "{}") {
                prop_assert!(served.insert((asker, found.id)));
            }
        }
    }
}

/// The nearest of recordings of text, each of one exchange and with its target, to a call of `asked`.
fn nearest_of(recordings: &[(&str, &str)], asked: (&str, &str)) -> (u8, Vec<u8>) {
    let head = |target: &str| Head::new(format!("POST {target} HTTP/1.1\r\ncontent-type: text/plain\r\n\r\n"));
    let mut library = Library::new(Box::new(WithIds));
    for (number, (target, body)) in (1..).zip(recordings) {
        let dependency = "llm".to_owned();
        let (conversation, body) = (None, body.as_bytes().to_vec());
        library.add(Recorded { id: id(number), dependency, scope: scope("a"), conversation, head: head(target), body });
    }
    let (head, scope) = (head(asked.0), scope("a"));
    let body = asked.1.as_bytes();
    let miss =
        missed(library.ask(Call { dependency: "llm", scope: scope.as_ref(), conversation: None, head: &head, body }));
    let number = |nearest: &crate::Nearest| nearest.id.0[0];
    (miss.nearest.as_ref().map(number).unwrap(), miss.near.iter().map(number).collect())
}

/// Numbers in a path are ids.
struct WithIds;

impl Normalise for WithIds {
    fn route(&self, method: &str, target: &str) -> String {
        let path = target.split('?').next().unwrap_or_default();
        let segments = path.split('/').map(|it| if it.parse::<u64>().is_ok() { "*" } else { it });
        format!("{method} {}", segments.collect::<Vec<_>>().join("/"))
    }
}

#[test]
fn of_texts_that_all_differ_the_one_with_most_words_in_common_is_the_nearest() {
    let texts = [("/say", "where is my parcel"), ("/say", "my invoice is wrong"), ("/say", "cancel my order")];
    assert_eq!(nearest_of(&texts, ("/say", "my invoice is right")), (2, vec![2, 1, 3]));
}

#[test]
fn the_nearest_is_of_the_calls_own_route_however_much_else_differs() {
    let recordings = [("/orders", "cancel it"), ("/orders/41", "quite another"), ("/orders/41/notes", "cancel it")];
    assert_eq!(nearest_of(&recordings, ("/orders/42", "cancel it")), (2, vec![2]));
    assert!(nearest_of(&recordings, ("/others", "cancel it")).1.is_empty(), "none of another route may be meant");
}

#[test]
fn the_path_itself_goes_first_then_fields_of_the_query_then_how_alike_they_are() {
    let recordings = [("/orders/7?page=1&by=a", ""), ("/orders/8?page=2&by=a", ""), ("/orders/8?page=1&by=b", "")];
    assert_eq!(nearest_of(&recordings, ("/orders/8?page=1&by=a", "")), (2, vec![2, 3, 1]));
    let searches = [("/find?q=lost+parcel", ""), ("/find?q=how+to+bake", "")];
    assert_eq!(nearest_of(&searches, ("/find?q=how+to+cook", "")).0, 2);
}

#[test]
fn what_was_served_to_a_call_that_equals_it_is_not_meant_and_what_is_left_comes_first() {
    let mut library =
        library([recorded(1, scope("a"), r#"{"q":"one","n":1}"#), recorded(2, scope("a"), r#"{"q":"two","n":2}"#)]);
    assert_eq!(found(ask(&mut library, scope("a"), r#"{"q":"one","n":1}"#)).id, id(1));
    let miss = missed(ask(&mut library, scope("a"), r#"{"q":"one","n":7}"#));
    assert_eq!(miss.nearest.as_ref().map(|nearest| nearest.id), Some(id(2)));
    assert_eq!(miss.near.iter().map(|near| near.id).collect::<Vec<_>>(), [id(2)]);
}

#[test]
fn among_more_recordings_than_are_compared_those_that_may_be_alike_are() {
    let topics = ["invoice", "parcel", "order", "refund", "address", "password"];
    let words = |at: usize| (0..30).map(|n| format!("{}{} ", topics[(at + n) % 6], at * n)).collect::<String>();
    let texts: Vec<String> = (0..250).map(words).collect();
    let recordings: Vec<(&str, &str)> = texts.iter().map(|text| ("/say", text.as_str())).collect();
    let asked = texts[199].replacen("order", "ordre", 1);
    let (nearest, near) = nearest_of(&recordings, ("/say", &asked));
    assert_eq!((nearest, near.len()), (200, nearest::CANDIDATES_LEN_MAX));
}

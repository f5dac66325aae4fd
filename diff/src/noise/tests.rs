//! Noise that is learned, and what it hides and what not.

use exchange::Head;

use super::*;
use crate::{Apart, Inside, Output, Rules, compare_responses, places_apart};

const EXCHANGE: Id = Id([1; 16]);
const OTHER: Id = Id([2; 16]);

fn head() -> Head {
    Head::new("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned())
}

fn compared(one: &str, other: &str) -> Comparison {
    let head = head();
    let output = |body: &'static str| Output { head: &head, body: body.as_bytes(), complete: true, whole: true };
    let (one, other) = (&*one.to_owned().leak(), &*other.to_owned().leak());
    compare_responses(&output(one), &output(other), &Rules::strict(), &Route::new("POST", "/a"))
}

/// What is learned of these answers to one exchange, the first one first.
fn learn_of(learner: &mut NoiseLearner, exchange: Id, answers: &[String]) {
    let head = head();
    let output = |body: &'static str| Output { head: &head, body: body.as_bytes(), complete: true, whole: true };
    let first: &'static str = answers[0].clone().leak();
    for answer in &answers[1..] {
        let places =
            places_apart(&output(first), &output(answer.clone().leak()), &Route::new("POST", "/a"), &Rules::strict());
        learner.add(exchange, "POST /a", &places);
    }
}

fn learned(answers: &[String]) -> Noise {
    let mut learner = NoiseLearner::default();
    learn_of(&mut learner, EXCHANGE, answers);
    Noise::of([learner.conclude("v1".to_owned(), vec![Id([9; 16])])])
}

/// What is left of the difference of two answers: pointers that changed, pointers that are noise.
fn judged(noise: &Noise, one: &str, other: &str) -> (Vec<String>, Vec<String>) {
    let mut comparison = compared(one, other);
    noise.set_apart(&mut comparison, &Route::new("POST", "/a"), EXCHANGE);
    let changed = comparison.changes.into_iter().map(|change| change.pointer).collect();
    (changed, comparison.noise.into_iter().map(|noisy| noisy.change.pointer).collect())
}

fn is_noise(noise: &Noise, one: &str, other: &str) -> bool {
    judged(noise, one, other).0.is_empty()
}

fn uuid(number: usize) -> String {
    format!("{:08x}-4f7d-4a52-9c7e-1d2f3a4b5c6d", 0x9b9a_6c1e_usize + number * 7919)
}

#[test]
fn a_place_that_always_has_another_uuid_hides_a_uuid_and_nothing_else() {
    let answers: Vec<_> = (0..31).map(|at| format!(r#"{{"id":"{}","a":1}}"#, uuid(at))).collect();
    let noise = learned(&answers);
    let with = |id: &str| format!(r#"{{"id":{id},"a":1}}"#);
    let (one, other) = (with(&format!("\"{}\"", uuid(100))), with(&format!("\"{}\"", uuid(200))));
    assert_eq!(judged(&noise, &one, &other), (vec![], vec!["/id".to_owned()]));
    for beyond in ["7", "null", "\"none\"", "\"\"", "\"9b9a6c1e\"", "[1]"] {
        assert_eq!(judged(&noise, &one, &with(beyond)).0, ["/id"], "{beyond}");
    }
    assert_eq!(judged(&noise, &one, r#"{"a":1}"#).0, ["/id"]);
    // A change beside it is one, and the noise is still told.
    let other = other.replace("\"a\":1", "\"a\":2");
    assert_eq!(judged(&noise, &one, &other), (vec!["/a".to_owned()], vec!["/id".to_owned()]));
    // On another route nothing was measured.
    let mut comparison = compared(&one, &other);
    noise.set_apart(&mut comparison, &Route::new("POST", "/b"), EXCHANGE);
    assert_eq!(comparison.changes.len(), 2);
}

#[test]
fn a_place_with_three_values_hides_these_and_no_fourth_one_and_none_of_another_exchange() {
    let value = |at: usize| ["\"low\"", "\"medium\"", "\"high\""][at % 3];
    let answer = |value: &str| format!(r#"{{"priority":{value}}}"#);
    let answers: Vec<_> = (0..31).map(|at| answer(value(at))).collect();
    let mut learner = NoiseLearner::default();
    learn_of(&mut learner, EXCHANGE, &answers);
    learn_of(&mut learner, OTHER, &(0..31).map(|at| answer(["\"a\"", "\"b\""][at % 2])).collect::<Vec<_>>());
    let noise = Noise::of([learner.conclude("v1".to_owned(), Vec::new())]);
    assert!(is_noise(&noise, &answer("\"low\""), &answer("\"high\"")));
    for beyond in ["\"urgent\"", "\"lower\"", "1", "null", "\"a\""] {
        assert!(!is_noise(&noise, &answer("\"low\""), &answer(beyond)), "{beyond}");
        // Whichever side has it.
        assert!(!is_noise(&noise, &answer(beyond), &answer("\"low\"")), "{beyond}");
    }
    assert!(!is_noise(&noise, &answer("\"low\""), "{}"));
    // Over repeats it is what is asked.
    assert!(!is_noise(&noise.for_repeats(), &answer("\"low\""), &answer("\"high\"")));
}

#[test]
fn a_number_that_varies_may_lie_somewhat_outside_and_not_far() {
    let answers: Vec<_> = (0..31).map(|at| format!(r#"{{"took":{}.5}}"#, 100 + at * 3)).collect();
    let noise = learned(&answers);
    let took = |number: &str| format!(r#"{{"took":{number}}}"#);
    assert!(is_noise(&noise, &took("104.25"), &took("250.75")));
    assert!(is_noise(&noise, &took("104.25"), &took("250")));
    for beyond in ["300", "5.5", "-1.5", "\"104.25\"", "1e9"] {
        assert!(!is_noise(&noise, &took("104.25"), &took(beyond)), "{beyond}");
    }
}

#[test]
fn times_move_on_and_stay_times_even_where_many_came_in_one_second() {
    let answers: Vec<_> = (0..31).map(|at| format!(r#"{{"created":{}}}"#, 1_764_208_800 + at / 8)).collect();
    let noise = learned(&answers);
    assert!(is_noise(&noise, r#"{"created":1700000000}"#, r#"{"created":1800000000}"#));
    assert!(!is_noise(&noise, r#"{"created":1700000000}"#, r#"{"created":1800000000000}"#));
    assert!(!is_noise(&noise, r#"{"created":1700000000}"#, r#"{"created":0}"#));
}

#[test]
fn what_comes_and_goes_is_a_value_like_others() {
    let answers: Vec<_> = (0..31).map(|at| if at % 2 == 0 { r#"{"cached":true}"# } else { "{}" }.to_owned()).collect();
    let noise = learned(&answers);
    assert!(is_noise(&noise, r#"{"cached":true}"#, "{}"));
    assert!(is_noise(&noise, "{}", r#"{"cached":true}"#));
    assert!(!is_noise(&noise, "{}", r#"{"cached":false}"#));
}

#[test]
fn few_comparisons_are_no_measure_and_the_status_is_no_noise() {
    let answers = |count: usize| (0..count).map(|at| format!(r#"{{"id":"{}"}}"#, uuid(at))).collect::<Vec<_>>();
    let (one, other) = (format!(r#"{{"id":"{}"}}"#, uuid(50)), format!(r#"{{"id":"{}"}}"#, uuid(60)));
    assert!(!is_noise(&learned(&answers(10)), &one, &other));
    assert!(is_noise(&learned(&answers(11)), &one, &other));
    let mut learner = NoiseLearner::default();
    let status = Apart {
        pointer: "status".to_owned(),
        count: 1,
        one: None,
        other: None,
        sightings: Vec::new(),
        inside: Inside::default(),
    };
    (0..30).for_each(|_| learner.add(EXCHANGE, "POST /a", std::slice::from_ref(&status)));
    assert!(learner.is_empty());
}

#[test]
fn an_exchange_that_was_steady_is_not_excused_by_another_that_was_not() {
    let summary = |text: &str| format!(r#"{{"summary":"{text}"}}"#);
    let mut learner = NoiseLearner::default();
    let varied: Vec<_> = (0..31).map(|at| summary(&format!("the card number {at} was declined"))).collect();
    learn_of(&mut learner, OTHER, &varied);
    learn_of(&mut learner, EXCHANGE, &vec![summary("the card number 91 was declined"); 31]);
    let noise = Noise::of([learner.conclude("v1".to_owned(), Vec::new())]);
    let (one, other) = (summary("the card number 91 was declined"), summary("the card number 92 was declined"));
    assert!(!is_noise(&noise, &one, &other));
    let of = |exchange| {
        let mut comparison = compared(&one, &other);
        noise.set_apart(&mut comparison, &Route::new("POST", "/a"), exchange);
        comparison.is_equal()
    };
    assert!(of(OTHER) && of(Id([77; 16])) && !of(EXCHANGE));
}

#[test]
fn how_often_it_will_be_wrong_is_told() {
    // One of 31 answers had a value that no other had: about so often the next one will.
    let answers: Vec<_> = (0..31).map(|at| format!(r#"{{"id":"{}","a":{}}}"#, uuid(at), u8::from(at == 9))).collect();
    let noise = learned(&answers);
    let alarms = noise.alarms("POST /a").unwrap();
    assert_eq!((alarms.events, alarms.of), (1, 30));
    assert!(noise.alarms("POST /b").is_none());
    let evidence = &{
        let mut comparison = compared(&answers[0], &answers[1]);
        noise.set_apart(&mut comparison, &Route::new("POST", "/a"), EXCHANGE);
        comparison.noise
    }[0]
    .evidence;
    assert_eq!((evidence.place.as_str(), evidence.differed.events, evidence.differed.of), ("/id", 30, 30));
    assert_eq!(evidence.runs, [Id([9; 16])]);
}

#[test]
fn long_values_are_told_apart_behind_what_is_shown_of_them() {
    let long = |end: &str| format!(r#"{{"text":"{}{end}"}}"#, "x ".repeat(300));
    let answers: Vec<_> = (0..31).map(|at| long(["one", "two"][at % 2])).collect();
    let noise = learned(&answers);
    assert!(is_noise(&noise, &long("one"), &long("two")));
    assert!(!is_noise(&noise, &long("one"), &long("six")));
}

#[test]
fn pairs_of_two_instances_teach_what_repeats_do() {
    let head = head();
    let output = |body: String| Output { head: &head, body: body.leak().as_bytes(), complete: true, whole: true };
    let answer = |at: usize| format!(r#"{{"id":"{}","priority":{}}}"#, uuid(at), ["\"low\"", "\"high\""][at / 2 % 2]);
    let mut learner = NoiseLearner::of_pairs();
    for at in 0..20 {
        let (one, other) = (output(answer(2 * at)), output(answer(2 * at + at % 3)));
        learner.add(EXCHANGE, "POST /a", &places_apart(&one, &other, &Route::new("POST", "/a"), &Rules::strict()));
    }
    let noise = Noise::of([learner.conclude("v1".to_owned(), Vec::new())]);
    let with = |at: usize, priority: &str| format!(r#"{{"id":"{}","priority":"{priority}"}}"#, uuid(at));
    assert!(is_noise(&noise, &with(500, "low"), &with(600, "high")));
    assert_eq!(judged(&noise, &with(500, "low"), &with(600, "urgent")).0, ["/priority"]);
}

#[test]
fn an_id_that_each_event_of_an_answer_repeats_is_seen_once() {
    let answers: Vec<_> =
        (0..31).map(|at| format!(r#"{{"events":[{{"id":"{0}"}},{{"id":"{0}"}},{{"id":"{0}"}}]}}"#, uuid(at))).collect();
    let noise = learned(&answers);
    let with = |at: usize| format!(r#"{{"events":[{{"id":"{0}"}},{{"id":"{0}"}},{{"id":"{0}"}}]}}"#, uuid(at));
    assert!(is_noise(&noise, &with(700), &with(800)));
}

/// Calls to a model with these bodies, at a target with this id.
fn with_calls<T>(bodies: &[String], ids: &[String], look: impl FnOnce(&[CallRequest<'_>]) -> T) -> T {
    let head =
        |id: &String| Head::new(format!("POST /orders/{id}?by=a HTTP/1.1\r\ncontent-type: application/json\r\n\r\n"));
    let heads: Vec<Head> = ids.iter().map(head).collect();
    let call = |(head, body)| CallRequest { dependency: "llm", head, body };
    let calls: Vec<_> = heads.iter().zip(bodies.iter().map(String::as_bytes)).map(call).collect();
    look(&calls)
}

#[test]
fn calls_whose_ids_are_others_each_time_are_noise_and_whatever_else_differs_makes_all_of_it_count() {
    let bodies: Vec<_> = (0..31).map(|at| format!(r#"{{"user":"{}","q":"a"}}"#, uuid(at))).collect();
    let ids: Vec<_> = (100..131).map(uuid).collect();
    let mut learner = NoiseLearner::default();
    with_calls(&bodies, &ids, |calls| {
        for call in &calls[1..] {
            let places = crate::places_of_calls_apart(&calls[0], call, &Rules::strict()).unwrap();
            learner.add(EXCHANGE, &call.route(), &places);
        }
    });
    assert_eq!(learner.places().iter().map(|place| place.compared).collect::<Vec<_>>(), [30, 30]);
    let noise = Noise::of([learner.conclude("v1".to_owned(), vec![Id([9; 16])])]);
    assert_eq!(noise.calls().into_iter().collect::<Vec<_>>(), ["llm POST /orders/*"]);
    let body = |user: &str, q: &str| format!(r#"{{"user":{user},"q":"{q}"}}"#);
    let of = |user: &str, q: &str| {
        let bodies = [body(&format!("\"{}\"", uuid(200)), "a"), body(user, q)];
        with_calls(&bodies, &[uuid(300), uuid(301)], |calls| {
            noise.of_call(&calls[0], &calls[1], &Rules::strict(), EXCHANGE)
        })
    };
    let fresh = format!("\"{}\"", uuid(201));
    let found = of(&fresh, "a").unwrap();
    let places: Vec<_> = found.iter().map(|noisy| noisy.evidence.place.as_str()).collect();
    assert_eq!(places, ["dep:llm:path:/1", "dep:llm:/user"]);
    assert!(found.iter().all(|noisy| noisy.evidence.call == "llm POST /orders/*"));
    assert_eq!(of(&fresh, "b"), None);
    assert_eq!(of("null", "a"), None);
    assert_eq!(of("7", "a"), None);
    let mut uses = Vec::new();
    NoiseUse::merge(&mut uses, "POST /tickets", &found);
    assert_eq!((uses.len(), uses[0].route.as_str()), (2, "llm POST /orders/*"));
    // What is known of calls says nothing of answers.
    assert!(noise.alarms("POST /orders/*").is_none() && noise.alarms("llm POST /orders/*").is_some());
}

#[test]
fn a_fresh_id_in_a_path_hides_no_other_segment_of_it() {
    let head = |user: usize, order: usize| {
        Head::new(format!("GET /users/{}/orders/{} HTTP/1.1\r\n\r\n", uuid(user), uuid(order)))
    };
    fn call(head: &Head) -> CallRequest<'_> {
        CallRequest { dependency: "shop", head, body: b"" }
    }
    let mut learner = NoiseLearner::default();
    let first = head(1, 100);
    for at in 1..31 {
        let other = head(1, 100 + at);
        let places = crate::places_of_calls_apart(&call(&first), &call(&other), &Rules::strict()).unwrap();
        learner.add(EXCHANGE, &call(&first).route(), &places);
    }
    let noise = Noise::of([learner.conclude("v1".to_owned(), vec![Id([9; 16])])]);
    let is_noise = |asked: &Head| noise.of_call(&call(&first), &call(asked), &Rules::strict(), EXCHANGE).is_some();
    assert!(is_noise(&head(1, 500)));
    assert!(!is_noise(&head(2, 500)), "another user's orders");
    assert!(!is_noise(&head(2, 100)));
}

/// What is left of a difference that is noise at one place: the place that was measured, and how often it differed of how many.
fn evidence(noise: &Noise, one: &str, other: &str) -> Vec<(String, u64, u64)> {
    let mut comparison = compared(one, other);
    noise.set_apart(&mut comparison, &Route::new("POST", "/a"), EXCHANGE);
    assert_eq!(comparison.changes, []);
    let told = |it: NoisyChange| (it.evidence.place, it.evidence.differed.events, it.evidence.differed.of);
    comparison.noise.into_iter().map(told).collect()
}

#[test]
fn an_element_that_never_varied_is_not_excused_by_its_neighbours() {
    let ids = |first: usize, tenant: usize| format!(r#"{{"ids":["{}","{}"]}}"#, uuid(first), uuid(tenant));
    let noise = learned(&(0..31).map(|at| ids(at, 9_000)).collect::<Vec<_>>());
    assert_eq!(evidence(&noise, &ids(50, 9_000), &ids(60, 9_000)), [("/ids/0".to_owned(), 30, 30)]);
    let of_another_tenant = judged(&noise, &ids(50, 9_000), &ids(60, 9_001));
    assert_eq!(of_another_tenant, (vec!["/ids/1".to_owned()], vec!["/ids/0".to_owned()]));
    // Nor is one that was never there.
    let longer = ids(60, 9_000).replace("\"]", &format!("\",\"{}\"]", uuid(61)));
    assert_eq!(judged(&noise, &ids(50, 9_000), &longer).0, ["/ids/2"]);
}

#[test]
fn each_element_of_a_list_of_one_length_has_values_of_its_own() {
    let pair = |id: usize, state: &str| format!(r#"[["{}","{state}"]]"#, uuid(id));
    let noise = learned(&(0..31).map(|at| pair(at, ["on", "off"][at % 2])).collect::<Vec<_>>());
    assert_eq!(evidence(&noise, &pair(50, "on"), &pair(60, "off")).len(), 2);
    assert_eq!(judged(&noise, &pair(50, "on"), &pair(60, "lost")).0, ["/0/1"]);
    assert_eq!(judged(&noise, &pair(50, "on"), &pair(60, &uuid(70))).0, ["/0/1"]);
}

fn items(ids: impl Iterator<Item = usize>) -> String {
    let items: Vec<_> = ids.map(|id| format!(r#"{{"v":{{"id":"{}"}}}}"#, uuid(id))).collect();
    format!(r#"{{"items":[{}]}}"#, items.join(","))
}

#[test]
fn elements_of_lists_of_many_lengths_are_one_place_where_all_of_them_vary() {
    let of = |from: usize, len: usize| items(from * 100..from * 100 + len);
    let noise = learned(&(0..31).map(|at| of(at, [4, 3, 5][at % 3])).collect::<Vec<_>>());
    let ids = |found: (Vec<String>, Vec<String>)| (found.0.len(), found.1.len());
    assert_eq!(ids(judged(&noise, &of(50, 4), &of(60, 4))), (0, 4));
    // The fourth one was there in twenty of thirty.
    assert_eq!(evidence(&noise, &of(50, 1), &of(60, 1)), [("/items/*/v/id".to_owned(), 20, 20)]);
    // A length that is another one is noise too: elements that come and go are fresh ones like the others.
    assert_eq!(judged(&noise, &of(50, 4), &of(60, 3)).0, Vec::<String>::new());
    assert_eq!(judged(&noise, &of(50, 4), &of(60, 5)).0, Vec::<String>::new());
    // Of a list that is longer than any that was seen too.
    assert_eq!(judged(&noise, &of(50, 9), &of(60, 9)).0, Vec::<String>::new());
}

#[test]
fn an_element_that_is_always_the_same_in_lists_of_many_lengths_stays_a_finding() {
    let of = |from: usize, first: usize, len: usize| items(std::iter::once(first).chain(from * 100..from * 100 + len));
    let noise = learned(&(0..31).map(|at| of(at, 9_999, [4, 3, 5][at % 3])).collect::<Vec<_>>());
    assert_eq!(judged(&noise, &of(50, 9_999, 4), &of(60, 9_999, 4)).0, Vec::<String>::new());
    assert_eq!(judged(&noise, &of(50, 9_999, 4), &of(60, 8_888, 4)).0, ["/items/0/v/id"]);
    // What was never there is no longer excused.
    assert!(!is_noise(&noise, &of(50, 9_999, 9), &of(60, 9_999, 9)));
}

#[test]
fn an_element_that_was_steady_in_an_exchange_is_not_excused_by_another_exchange() {
    let mut learner = NoiseLearner::default();
    let of = |at: usize, last: usize, len: usize| items((at * 100..at * 100 + len).chain([last]));
    learn_of(&mut learner, EXCHANGE, &(0..31).map(|at| of(at, 9_999, 1)).collect::<Vec<_>>());
    learn_of(&mut learner, OTHER, &(40..71).map(|at| of(at, at * 100 + 50, 3)).collect::<Vec<_>>());
    let noise = Noise::of([learner.conclude("v1".to_owned(), Vec::new())]);
    assert_eq!(judged(&noise, &of(80, 9_999, 1), &of(90, 8_888, 1)).0, ["/items/1/v/id"]);
    assert_eq!(judged(&noise, &of(80, 9_999, 1), &of(90, 9_999, 1)).0, Vec::<String>::new());
}

#[test]
fn a_list_inside_of_which_nothing_varied_is_not_excused_by_the_one_beside_it() {
    let of = |id: usize, len: usize, other: usize| {
        let ids: Vec<_> = (0..len).map(|at| format!("\"{}\"", uuid(id * 100 + at))).collect();
        format!(r#"{{"a":[{{"b":[{}]}},{{"b":["{}"]}}]}}"#, ids.join(","), uuid(other))
    };
    let noise = learned(&(0..31).map(|at| of(at, [3, 2, 4][at % 3], 9_999)).collect::<Vec<_>>());
    assert_eq!(judged(&noise, &of(50, 3, 9_999), &of(60, 3, 9_999)).0, Vec::<String>::new());
    assert_eq!(judged(&noise, &of(50, 3, 9_999), &of(60, 3, 8_888)).0, ["/a/1/b/0"]);
}

#[test]
fn members_with_numbers_as_keys_are_as_elements_are() {
    let of = |keys: [usize; 2], id: usize, steady: usize| {
        format!(r#"{{"7":"{}","{}":"{}","{}":1}}"#, uuid(steady), keys[0], uuid(id), keys[1])
    };
    let noise = learned(&(0..31).map(|at| of([1, 2], at, 9_999)).collect::<Vec<_>>());
    assert_eq!(evidence(&noise, &of([1, 2], 50, 9_999), &of([1, 2], 60, 9_999)), [("/1".to_owned(), 30, 30)]);
    assert_eq!(judged(&noise, &of([1, 2], 50, 9_999), &of([1, 2], 60, 8_888)).0, ["/7"]);
}

#[test]
fn of_a_list_too_long_to_measure_each_element_all_count_by_the_one_that_varied_least_or_none_does() {
    let of = |from: usize, last: usize| items((from * 1000..from * 1000 + 150).chain([last]));
    let varied: Vec<_> = (0..31).map(|at| of(at, at / 28)).collect();
    let noise = learned(&varied);
    let found = evidence(&noise, &of(50, 0), &of(60, 0));
    assert_eq!((found.len(), &found[0]), (150, &("/items/*/v/id".to_owned(), 3, 30)));
    let steady: Vec<_> = (0..31).map(|at| of(at, 9)).collect();
    assert_eq!(judged(&learned(&steady), &of(50, 9), &of(60, 9)).1, Vec::<String>::new());
}

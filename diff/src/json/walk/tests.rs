use content::json::parse;
use proptest::prelude::*;

use super::*;
use crate::{ComparedAs, Comparison, Route, Rules, json::any_value};

fn values(recorded: &str, replayed: &str) -> (Value, Value) {
    (parse(recorded.as_bytes()).unwrap(), parse(replayed.as_bytes()).unwrap())
}

fn between(recorded: &Value, replayed: &Value, texts: &[&str]) -> Comparison {
    let rules = texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
    let mut findings = Findings::new();
    let document = Document { prefix: "", events: None };
    compare(recorded, replayed, 0, document, &rules.for_response(&Route::default()).body, &mut findings);
    findings.into_comparison(&rules, ComparedAs::Json)
}

fn told(recorded: &str, replayed: &str, rules: &[&str]) -> String {
    let (recorded, replayed) = values(recorded, replayed);
    let lines = between(&recorded, &replayed, rules).changes.into_iter().map(|change| {
        let shown = |shown: Option<Shown>| shown.map_or("-".to_owned(), |shown| shown.text);
        let moved = change.replayed_pointer.map(|pointer| format!(" -> {pointer}")).unwrap_or_default();
        format!(
            "{} {}{moved}: {} | {}",
            change.kind.word(),
            change.pointer,
            shown(change.recorded),
            shown(change.replayed)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn each_place_that_differs_is_one_line_and_the_order_of_members_is_none() {
    let recorded = r#"{"b":1,"a":"yes","list":[1,2],"gone":null,"kind":"1"}"#;
    let replayed = r#"{"kind":1,"list":[1,3],"a":"no","new":{"x":[]},"b":1}"#;
    insta::assert_snapshot!(told(recorded, replayed, &[]), @r#"
    changed /a: "yes" | "no"
    removed /gone: null | -
    type changed /kind: "1" | 1
    changed /list/1: 2 | 3
    added /new: - | {"x":[]}
    "#);
}

#[test]
fn numbers_are_compared_as_written() {
    insta::assert_snapshot!(told("[1.0, 10000000000000000000001]", "[1.00, 10000000000000000000002]", &[]), @r"
    changed /0: 1.0 | 1.00
    changed /1: 10000000000000000000001 | 10000000000000000000002
    ");
}

#[test]
fn one_element_put_in_is_one_line_and_what_follows_it_is_compared_with_its_own() {
    let recorded = r#"[{"id":1,"t":"a"},{"id":2,"t":"b"},{"id":3,"t":"c"}]"#;
    let replayed = r#"[{"id":1,"t":"a"},{"id":9,"t":"new"},{"id":2,"t":"b"},{"id":3,"t":"C"}]"#;
    insta::assert_snapshot!(told(recorded, replayed, &[]), @r#"
    added /1: - | {"id":9,"t":"new"}
    changed /2/t -> /3/t: "c" | "C"
    "#);
}

#[test]
fn elements_that_differ_in_ignored_fields_only_are_equal_when_arrays_are_aligned_and_each_use_counts() {
    let (recorded, replayed) = values(r#"[{"id":1,"t":"a"},{"id":2,"t":"b"}]"#, r#"[{"id":8,"t":"b"}]"#);
    let comparison = between(&recorded, &replayed, &["/*/id"]);
    assert_eq!(comparison.changes.len(), 1);
    assert_eq!((comparison.changes[0].pointer.as_str(), comparison.changes[0].kind), ("/0", ChangeKind::Removed));
    assert_eq!((comparison.rules_used[0].count, comparison.rules_used[0].pointer.as_str()), (1, "/1/id"));
}

#[test]
fn a_rule_hides_a_changed_an_added_and_a_removed_field_and_is_not_counted_where_nothing_differs() {
    let uses = |recorded: &str, replayed: &str| {
        let (recorded, replayed) = values(recorded, replayed);
        let comparison = between(&recorded, &replayed, &["/id", "/**/at"]);
        assert!(comparison.is_equal(), "{comparison:?}");
        comparison.rules_used.iter().map(|used| (used.rule.clone(), used.count)).collect::<Vec<_>>()
    };
    let used = |rule: &str, count: u64| (rule.to_owned(), count);
    assert_eq!(uses(r#"{"id":1}"#, r#"{"id":2}"#), [used("/id", 1)]);
    assert_eq!(uses(r#"{"id":1}"#, "{}"), [used("/id", 1)]);
    assert_eq!(uses("{}", r#"{"id":1}"#), [used("/id", 1)]);
    assert_eq!(uses(r#"{"id":{"a":1,"b":2}}"#, r#"{"id":{"b":2,"a":1}}"#), []);
    assert_eq!(uses(r#"{"id":1,"l":[{"at":1},{"at":2}]}"#, r#"{"id":1,"l":[{"at":3},{"at":4}]}"#), [used("/**/at", 2)]);
}

#[test]
fn a_rule_covers_just_its_place_and_not_its_neighbours() {
    assert_eq!(told(r#"{"a":{"id":1,"n":1}}"#, r#"{"a":{"id":2,"n":2}}"#, &["/a/id"]), "changed /a/n: 1 | 2");
    assert_eq!(told(r#"{"id":1}"#, r#"{"id":2}"#, &["/a/id", "/*/id"]), "changed /id: 1 | 2");
}

#[test]
fn a_vector_of_numbers_is_compared_by_position_and_more_differences_than_are_listed_are_counted() {
    let vector = |offset: usize| Value::Array((0..1_500).map(|at| Value::Number((at + offset).to_string())).collect());
    let comparison = between(&vector(0), &vector(1), &[]);
    assert_eq!((comparison.changes.len(), comparison.changes_more), (crate::CHANGES_LEN_MAX, 500));
    assert!(!comparison.coarse);
}

#[test]
fn a_long_text_tells_where_it_parts() {
    let long = "word ".repeat(30);
    let (recorded, replayed) = values(&format!(r#"["{long}old"]"#), &format!(r#"["{long}new"]"#));
    let change = &between(&recorded, &replayed, &[]).changes[0];
    assert_eq!(change.text.as_ref().unwrap().first_difference, 150);
}

#[test]
fn the_deepest_documents_and_the_longest_arrays_are_compared_in_bounded_work() {
    let deep = |leaf: &str| format!("{}{leaf}{}", "[[1],".repeat(120), "]".repeat(120));
    assert_eq!(told(&deep("1"), &deep("2"), &[]).lines().count(), 1);
    let long =
        |offset: usize| Value::Array((0..20_000).map(|at| Value::String(format!("{}", at * 2 + offset))).collect());
    let Value::Array(mut longer) = long(1) else { unreachable!("an array was made") };
    longer.push(Value::Null);
    assert!(between(&long(0), &Value::Array(longer), &[]).coarse);
}

/// The same value with its members in another order, all the way down.
fn members_reversed(value: &Value) -> Value {
    match value {
        Value::Array(elements) => Value::Array(elements.iter().map(members_reversed).collect()),
        Value::Object(members) => {
            Value::Object(members.iter().rev().map(|(key, value)| (key.clone(), members_reversed(value))).collect())
        }
        scalar => scalar.clone(),
    }
}

/// A value and one that differs from it here and there.
fn two_alike() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        (any_value(), any_value()),
        prop::collection::vec((any_value(), any::<bool>(), any::<bool>()), 0..8).prop_map(|elements| {
            let side = |keep: fn(&(Value, bool, bool)) -> bool| {
                Value::Array(elements.iter().filter(|element| keep(element)).map(|element| element.0.clone()).collect())
            };
            (side(|element| element.1), side(|element| element.2))
        }),
    ]
}

proptest! {
    #[test]
    fn nothing_differs_from_itself_in_whatever_order_its_members_are(value in any_value()) {
        prop_assert_eq!(between(&value, &members_reversed(&value), &["/a"]), Comparison { compared_as: ComparedAs::Json, ..Comparison::default() });
    }

    #[test]
    fn swapping_sides_swaps_the_list((recorded, replayed) in two_alike(), rule in prop_oneof![Just("/**/a"), Just("/0"), Just("/b/*")]) {
        let swapped = between(&replayed, &recorded, &[rule]);
        let mut mirrored = between(&recorded, &replayed, &[rule]).mirrored();
        // One place of several may be named.
        for (used, other) in mirrored.rules_used.iter_mut().zip(&swapped.rules_used) {
            used.pointer.clone_from(&other.pointer);
        }
        prop_assert_eq!(mirrored, swapped);
    }

    #[test]
    fn the_order_of_members_never_matters((recorded, replayed) in two_alike()) {
        prop_assert_eq!(between(&recorded, &replayed, &[]), between(&members_reversed(&recorded), &members_reversed(&replayed), &[]));
    }

    #[test]
    fn values_are_equal_exactly_when_nothing_differs((recorded, replayed) in two_alike()) {
        prop_assert_eq!(between(&recorded, &replayed, &[]).is_equal(), equal(&recorded, &replayed));
    }
}

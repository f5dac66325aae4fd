use content::json::{Value, parse, parse_tree};
use proptest::prelude::*;

use super::*;
use crate::{ComparedAs, Comparison, Route, Rules, json::any_value};

fn values(recorded: &str, replayed: &str) -> (Value, Value) {
    (parse(recorded.as_bytes()).unwrap(), parse(replayed.as_bytes()).unwrap())
}

fn between(recorded: &Value, replayed: &Value, texts: &[&str]) -> Comparison {
    let rules = texts.iter().try_fold(Rules::strict(), |rules, text| rules.ignoring(text)).unwrap();
    let mut findings = Findings::new();
    let (one, other) = (recorded.to_compact_text(), replayed.to_compact_text());
    let tree = |text| parse_tree(text, usize::MAX).unwrap();
    let (one, other) = (tree(one.as_bytes()), tree(other.as_bytes()));
    let active = rules.for_response(&Route::default());
    compare(one.root(), other.root(), 0, Document::default(), active.for_body(), &mut findings);
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
fn more_differences_than_are_listed_are_counted() {
    let vector = |offset: usize| Value::Array((0..1_500).map(|at| Value::Number((at + offset).to_string())).collect());
    let vector = |offset: usize| match vector(offset) {
        Value::Array(numbers) => Value::Array(numbers.into_iter().map(|it| Value::Array(vec![it])).collect()),
        other => other,
    };
    let comparison = between(&vector(0), &vector(5_000), &[]);
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
        let canonical = |value: &Value| {
            let mut bytes = Vec::new();
            value.write_canonical(&mut bytes);
            bytes
        };
        prop_assert_eq!(between(&recorded, &replayed, &[]).is_equal(), canonical(&recorded) == canonical(&replayed));
        let (one, other) = (recorded.to_compact_text(), members_reversed(&replayed).to_compact_text());
        let (one, other) = (parse_tree(one.as_bytes(), 1_000).unwrap(), parse_tree(other.as_bytes(), 1_000).unwrap());
        prop_assert_eq!(one.root().equals(other.root()), canonical(&recorded) == canonical(&replayed));
    }
}

#[test]
fn an_element_that_moved_is_one_line_and_one_that_changed_too_is_known_by_its_name() {
    insta::assert_snapshot!(told(r#"["a","b","c","d"]"#, r#"["b","c","d","a"]"#, &[]), @r#"moved /0 -> /3: "a" | "a""#);
    let recorded = r#"[{"id":"x","v":1},{"id":"y","v":2},{"id":"z","v":3}]"#;
    let replayed = r#"[{"id":"y","v":2},{"id":"z","v":3},{"id":"x","v":9}]"#;
    insta::assert_snapshot!(told(recorded, replayed, &[]), @r#"
    moved /0 -> /2: {"id":"x","v":1} | {"id":"x","v":9}
    changed /0/v -> /2/v: 1 | 9
    "#);
    assert_eq!(told(r#"[{"id":1,"v":1},{"id":2}]"#, r#"[{"id":7,"v":1},{"id":2}]"#, &[]), "changed /0/id: 1 | 7");
}

#[test]
fn elements_that_are_known_by_a_name_have_moved_where_they_changed_places() {
    let list = |order: &[u8]| {
        let elements: Vec<String> = order.iter().map(|id| format!(r#"{{"id":{id},"v":"{id}","w":[{id}]}}"#)).collect();
        format!("[{}]", elements.join(","))
    };
    insta::assert_snapshot!(told(&list(&[0, 1, 2]), &list(&[2, 1, 0]), &[]), @r#"
    moved /0 -> /2: {"id":0,"v":"0","w":[0]} | {"id":0,"v":"0","w":[0]}
    moved /2 -> /0: {"id":2,"v":"2","w":[2]} | {"id":2,"v":"2","w":[2]}
    "#);
    insta::assert_snapshot!(told(&list(&[0, 1, 2, 3]), &list(&[3, 1, 2, 9]), &[]), @r#"
    removed /0: {"id":0,"v":"0","w":[0]} | -
    added /3: - | {"id":9,"v":"9","w":[9]}
    moved /3 -> /0: {"id":3,"v":"3","w":[3]} | {"id":3,"v":"3","w":[3]}
    "#);
    let numbers = ["[0,1,2]", "[2,1,0]"];
    assert_eq!(told(numbers[0], numbers[1], &[]), "changed /0: 0 | 2\nchanged /2: 2 | 0", "without names the position");
}

#[test]
fn numbers_that_a_tolerance_covers_are_no_difference_and_its_uses_are_counted() {
    let (recorded, replayed) = values(r#"{"a":1.0,"b":1.0,"c":"1.0"}"#, r#"{"a":1.05,"b":1.5,"c":"1.05"}"#);
    let comparison = between(&recorded, &replayed, &["tolerance /*=abs:0.1"]);
    let pointers: Vec<_> = comparison.changes.iter().map(|change| change.pointer.as_str()).collect();
    assert_eq!(pointers, ["/b", "/c"]);
    assert_eq!((&*comparison.rules_used[0].rule, comparison.rules_used[0].count), ("tolerance /*=abs:0.1", 1));
}

fn within(recorded: &str, replayed: &str, rules: &[&str]) -> Comparison {
    let (recorded, replayed) = values(recorded, replayed);
    between(&recorded, &replayed, rules)
}

#[test]
fn integers_too_few_for_a_vector_are_found_where_they_moved_to_and_measures_stay_in_place() {
    let kinds = |one: &str, other: &str, tolerances: &[&str]| {
        let comparison = within(one, other, tolerances);
        let shown = comparison.changes.iter().map(|it| format!("{} {}", it.pointer, it.kind.word()));
        shown.collect::<Vec<_>>()
    };
    let (ids, rotated) = ("[101,102,103,104,105,106]", "[106,101,102,103,104,105]");
    assert_eq!(kinds(ids, rotated, &[]), ["/5 moved"]);
    assert_eq!(kinds(rotated, ids, &[]), ["/0 moved"]);
    assert_eq!(kinds("[1,2,3]", "[1,7,3]", &[]), ["/1 changed"], "the position decides");
    assert_eq!(kinds("[0.1,0.2,0.3]", "[0.3,0.1,0.2]", &[]).len(), 3);
    assert_eq!(kinds("[1,2,3]", "[2,3,4]", &["tolerance /*=abs:1"]), [""; 0], "measures, as the tolerance says");
    assert_eq!(kinds("[1,2,3]", "[2,3,4]", &[]), ["/0 removed", "/2 added"]);
}

#[test]
fn a_tolerance_covers_an_embedding_in_base64() {
    let embedding = |offset: f32| {
        let floats = (0..32_u8).flat_map(|at| (f32::from(at) + offset).to_le_bytes());
        let text = content::base64::encode(&floats.collect::<Vec<u8>>());
        format!(r#"{{"data":[{{"embedding":"{text}"}}]}}"#)
    };
    let (one, near, far) = (embedding(0.0), embedding(0.001), embedding(50.0));
    let tolerances = ["tolerance /data/*/embedding=cos:0.99"];
    let comparison = within(&one, &near, &tolerances);
    assert!(comparison.is_equal() && comparison.rules_used.len() == 1, "{comparison:?}");
    assert!(within(&one, &near, &["tolerance /data/*/embedding=abs:0.01"]).is_equal());
    assert_eq!(within(&one, &far, &tolerances).changes.len(), 1);
    assert_eq!(within(&one, &near, &[]).changes.len(), 1);
    let text = |text: &str| format!(r#"{{"data":[{{"embedding":"{text}"}}]}}"#);
    assert_eq!(within(&text("a"), &text("b"), &tolerances).changes.len(), 1, "what is no vector has no distance");
}

#[test]
fn a_vector_that_differs_all_over_is_one_difference_and_one_that_differs_here_and_there_is_listed() {
    let vector = |offset: usize| {
        let numbers: Vec<String> = (0..1_536).map(|at| format!("0.{:04}", (at * 7 + offset) % 10_000)).collect();
        format!(r#"{{"embedding":[{}]}}"#, numbers.join(","))
    };
    let (recorded, replayed) = values(&vector(0), &vector(1));
    let comparison = between(&recorded, &replayed, &[]);
    let change = &comparison.changes[0];
    assert_eq!((comparison.changes.len(), change.pointer.as_str()), (1, "/embedding"));
    let apart = change.vector.unwrap();
    assert_eq!((apart.len, apart.differing), (1_536, 1_536));
    assert!(apart.cosine.unwrap().get() > 0.999 && apart.max_abs.unwrap().get() < 1.0);
    assert!(between(&recorded, &replayed, &["tolerance /embedding=cos:0.99"]).is_equal());
    assert!(between(&recorded, &replayed, &["/embedding/*"]).is_equal());
    let (recorded, replayed) = values(&vector(0), &vector(0).replacen("0.0007", "0.0008", 1));
    assert_eq!(between(&recorded, &replayed, &[]).changes[0].pointer, "/embedding/1");
}

#[test]
fn values_that_look_like_something_known_are_shown_as_such_and_still_count() {
    let (recorded, replayed) = values(r#"{"id":"msg_01AbCdEfGhIj","n":1}"#, r#"{"id":"msg_01ZyXwVuTsRq","n":2}"#);
    let formats: Vec<_> = between(&recorded, &replayed, &[]).changes.iter().map(|change| change.format).collect();
    assert_eq!(formats, [Some(Format::Id), None]);
}

/// The replayed value, made of the recorded one and the changes: what a difference says is all there is to it.
mod applied {
    use content::json::{Value, parse};

    use crate::{
        Change, ChangeKind, Shown,
        pointer::{Step, pointer_text},
    };

    /// `None` where a value is not shown whole.
    pub(super) fn to(recorded: &Value, changes: &[Change]) -> Option<Value> {
        below(recorded, String::new(), String::new(), changes)
    }

    /// `here` leads to the value on the recorded side, `there` on the replayed one.
    fn below(value: &Value, here: String, there: String, changes: &[Change]) -> Option<Value> {
        let of = |kinds: &[ChangeKind], pointer: &str| {
            changes.iter().find(|change| change.pointer == pointer && kinds.contains(&change.kind))
        };
        if let Some(change) = of(&[ChangeKind::Changed, ChangeKind::TypeChanged], &here) {
            return whole(change.replayed.as_ref());
        }
        let at = |parent: &str, step: Step<'_>| format!("{parent}{}", pointer_text(&[step]));
        match value {
            Value::Object(members) => {
                let mut made = Vec::new();
                for (key, member) in members {
                    let (here, there) = (at(&here, Step::Key(key)), at(&there, Step::Key(key)));
                    if of(&[ChangeKind::Removed], &here).is_none() {
                        made.push((key.clone(), below(member, here, there, changes)?));
                    }
                }
                for (step, change) in added(&there, changes) {
                    made.push((step, whole(change.replayed.as_ref())?));
                }
                Some(Value::Object(made))
            }
            Value::Array(elements) => {
                let mut placed: Vec<(usize, Value)> = Vec::new();
                for (step, change) in added(&there, changes) {
                    placed.push((step.parse().ok()?, whole(change.replayed.as_ref())?));
                }
                let mut kept = Vec::new();
                for (index, element) in elements.iter().enumerate() {
                    let here = at(&here, Step::Index(index));
                    if of(&[ChangeKind::Removed], &here).is_some() {
                        continue;
                    }
                    match of(&[ChangeKind::Moved], &here) {
                        Some(moved) => {
                            let to = moved.replayed_pointer.clone().unwrap_or_else(|| here.clone());
                            let index = to.rsplit('/').next()?.parse().ok()?;
                            placed.push((index, below(element, here, to, changes)?));
                        }
                        None => kept.push((here, element)),
                    }
                }
                let len = placed.len() + kept.len();
                let mut kept = kept.into_iter();
                let mut made = Vec::new();
                for index in 0..len {
                    match placed.iter().position(|(at, _)| *at == index) {
                        Some(found) => made.push(placed.swap_remove(found).1),
                        None => {
                            let (here, element) = kept.next()?;
                            made.push(below(element, here, at(&there, Step::Index(index)), changes)?);
                        }
                    }
                }
                Some(Value::Array(made))
            }
            scalar => Some(scalar.clone()),
        }
    }

    /// What was added to this object or array, by its last step.
    fn added<'c>(there: &str, changes: &'c [Change]) -> Vec<(String, &'c Change)> {
        let added = changes.iter().filter(|change| change.kind == ChangeKind::Added);
        added
            .filter_map(|change| {
                let (parent, step) = change.pointer.rsplit_once('/')?;
                let step = step.replace("~1", "/").replace("~2", "*").replace("~0", "~");
                (parent == there).then_some((step, change))
            })
            .collect()
    }

    fn whole(shown: Option<&Shown>) -> Option<Value> {
        let shown = shown?;
        (shown.text.len() as u64 == shown.len).then(|| parse(shown.text.as_bytes()).unwrap())
    }
}

/// Elements that may have names, put together anew on the other side.
fn two_orders() -> impl Strategy<Value = (Value, Value)> {
    let element = |(name, value): (u8, u8)| {
        let number = |it: u8| Value::Number(it.to_string());
        Value::Object(vec![("id".to_owned(), number(name)), ("v".to_owned(), number(value))])
    };
    let side = prop::collection::vec((0_u8..6, 0_u8..2), 0..7);
    (side.clone(), side).prop_map(move |(one, other)| {
        let array = |side: Vec<(u8, u8)>| Value::Array(side.into_iter().map(element).collect());
        (array(one), array(other))
    })
}

fn applies(recorded: &Value, replayed: &Value) {
    let comparison = between(recorded, replayed, &[]);
    let canonical = |value: &Value| {
        let mut bytes = Vec::new();
        value.write_canonical(&mut bytes);
        String::from_utf8(bytes).unwrap()
    };
    if let Some(made) = applied::to(recorded, &comparison.changes) {
        assert_eq!(canonical(&made), canonical(replayed), "{} and {:#?}", canonical(recorded), comparison.changes);
    }
}

proptest! {
    #[test]
    fn the_changes_applied_to_one_side_give_the_other((recorded, replayed) in prop_oneof![two_alike(), two_orders()]) {
        applies(&recorded, &replayed);
    }

    #[test]
    fn two_elements_with_names_that_change_places_are_two_moves_and_one_where_they_are_neighbours(
        len in 2_usize..9, one in 0_usize..9, other in 0_usize..9,
    ) {
        let one = one % len;
        let other = (one + 1 + other % (len - 1)) % len;
        let list = |order: &[usize]| {
            let element = |id: &usize| Value::Object(vec![
                ("v".to_owned(), Value::String("the same".to_owned())),
                ("name".to_owned(), Value::String(format!("n{id}"))),
            ]);
            Value::Array(order.iter().map(element).collect())
        };
        let order: Vec<usize> = (0..len).collect();
        let mut swapped = order.clone();
        swapped.swap(one, other);
        let (recorded, replayed) = (list(&order), list(&swapped));
        let changes = between(&recorded, &replayed, &[]).changes;
        prop_assert!(changes.iter().all(|change| change.kind == ChangeKind::Moved), "{changes:?}");
        prop_assert_eq!(changes.len(), one.abs_diff(other).min(2));
        applies(&recorded, &replayed);
    }

    #[test]
    fn swapping_sides_swaps_moves_too((recorded, replayed) in two_orders()) {
        prop_assert_eq!(between(&recorded, &replayed, &[]).mirrored(), between(&replayed, &recorded, &[]));
    }
}

/// The cases of <https://github.com/json-patch/json-patch-tests>: each document and what its patch makes of it.
#[test]
fn documents_of_the_json_patch_suite_and_what_is_expected_of_them_are_told_apart_and_together() {
    let suite = include_str!("../../../../fixtures/suites/json-patch-tests/tests.json");
    let spec = include_str!("../../../../fixtures/suites/json-patch-tests/spec_tests.json");
    let mut count = 0;
    for text in [suite, spec] {
        let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
        for case in &cases {
            let (Some(recorded), Some(replayed)) = (case.get("doc"), case.get("expected")) else { continue };
            let read = |value: &serde_json::Value| parse(value.to_string().as_bytes()).unwrap();
            let (recorded, replayed) = (read(recorded), read(replayed));
            applies(&recorded, &replayed);
            applies(&replayed, &recorded);
            assert!(between(&recorded, &recorded, &[]).is_equal());
            count += 1;
        }
    }
    assert!(count >= 60, "{count} cases");
}

/// The JSON Pointers of <https://github.com/json-schema-org/JSON-Schema-Test-Suite>: what is one is read as a rule and written as
/// the place that another reader follows; what is none is refused, but for `~2`, which is a rule's own escape.
#[test]
fn pointers_of_the_json_schema_suite_are_read_written_and_followed() {
    let suite = include_str!("../../../../fixtures/suites/json-schema-tests/json-pointer.json");
    let groups: Vec<serde_json::Value> = serde_json::from_str(suite).unwrap();
    let cases = groups.iter().flat_map(|group| group["tests"].as_array().unwrap());
    let cases = cases.filter_map(|case| Some((case["data"].as_str()?, case["valid"].as_bool().unwrap())));
    let (mut valid_count, mut refused_count) = (0, 0);
    for (pointer, is_valid) in cases {
        let pattern = crate::pointer::Pattern::parse(pointer);
        if !is_valid {
            assert!(pattern.is_err() || pointer == "/~2", "{pointer}");
            refused_count += 1;
            continue;
        }
        assert!(pattern.is_ok(), "{pointer}");
        let keys: Vec<String> = pointer.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect();
        let document =
            |leaf: u8| keys.iter().rev().fold(serde_json::json!(leaf), |held, key| serde_json::json!({ key: held }));
        let read = |value: &serde_json::Value| parse(value.to_string().as_bytes()).unwrap();
        let comparison = between(&read(&document(1)), &read(&document(2)), &[]);
        let pointers: Vec<&str> = comparison.changes.iter().map(|change| change.pointer.as_str()).collect();
        assert_eq!(pointers, [pointer]);
        assert_eq!(document(1).pointer(pointer), Some(&serde_json::json!(1)));
        valid_count += 1;
    }
    assert!(valid_count >= 20 && refused_count >= 12, "{valid_count} valid, {refused_count} not");
}

/// The examples of RFC 6901, section 5: each pointer is that of its value.
#[test]
fn the_examples_of_json_pointer_are_the_places_of_their_values() {
    let document = r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    for (from, to, pointer) in [
        ("\"bar\"", "\"x\"", "/foo/0"),
        ("\"\":0", "\"\":9", "/"),
        ("\"a/b\":1", "\"a/b\":9", "/a~1b"),
        ("\"c%d\":2", "\"c%d\":9", "/c%d"),
        ("\"e^f\":3", "\"e^f\":9", "/e^f"),
        ("\"g|h\":4", "\"g|h\":9", "/g|h"),
        ("\"i\\\\j\":5", "\"i\\\\j\":9", "/i\\j"),
        ("\"k\\\"l\":6", "\"k\\\"l\":9", "/k\"l"),
        ("\" \":7", "\" \":9", "/ "),
        ("\"m~n\":8", "\"m~n\":9", "/m~0n"),
    ] {
        let (one, other) = values(document, &document.replacen(from, to, 1));
        assert_eq!(between(&one, &other, &[]).changes[0].pointer, pointer);
        // White space at the end of a rule is taken off.
        assert!(pointer == "/ " || between(&one, &other, &[pointer]).is_equal(), "{pointer}");
    }
}

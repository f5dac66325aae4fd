//! Fields of which nothing says whether they may be repeated: of forms, and of messages without a schema.
//!
//! In: two documents in which each such field is a list of what stands for it. Out: the same two, fields that stand once at most, wherever
//! they are on either side, without their list. So a pointer leads to a field as one would write it, and a second value of a field is one
//! added and not another type.

use std::collections::BTreeSet;

use content::json::Value;

/// Takes the lists away from fields that are never repeated. Only objects on the first `levels` levels have such fields; the lists
/// around them do not count.
pub(crate) fn without_lists(mut one: Value, mut other: Value, levels: usize) -> (Value, Value) {
    let mut repeated = BTreeSet::new();
    for value in [&one, &other] {
        find_repeated(value, &mut String::new(), levels, &mut repeated);
    }
    take_lists(&mut one, &mut String::new(), levels, &repeated);
    take_lists(&mut other, &mut String::new(), levels, &repeated);
    (one, other)
}

/// The same for one by itself.
pub(crate) fn of_one(value: Value, levels: usize) -> Value {
    without_lists(value, Value::Null, levels).0
}

/// Appends a step; gives the length to go back to.
fn enter(path: &mut String, key: &str) -> usize {
    let before = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    before
}

fn find_repeated(value: &Value, path: &mut String, levels: usize, found: &mut BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter().for_each(|it| find_repeated(it, path, levels, found)),
        Value::Object(members) if levels > 0 => {
            for (key, list) in members {
                let before = enter(path, key);
                if matches!(list, Value::Array(values) if values.len() != 1) && !found.contains(path) {
                    found.insert(path.clone());
                }
                find_repeated(list, path, levels - 1, found);
                path.truncate(before);
            }
        }
        _ => {}
    }
}

fn take_lists(value: &mut Value, path: &mut String, levels: usize, repeated: &BTreeSet<String>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|it| take_lists(it, path, levels, repeated)),
        Value::Object(members) if levels > 0 => {
            for (key, list) in members {
                let before = enter(path, key);
                take_lists(list, path, levels - 1, repeated);
                if let Value::Array(values) = list
                    && values.len() == 1
                    && !repeated.contains(path)
                {
                    *list = values.remove(0);
                }
                path.truncate(before);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(one: &str, other: &str, levels: usize) -> (String, String) {
        let read = |text: &str| content::json::parse(text.as_bytes()).unwrap();
        let (one, other) = without_lists(read(one), read(other), levels);
        (one.to_compact_text(), other.to_compact_text())
    }

    #[test]
    fn a_field_keeps_its_list_where_it_is_repeated_on_either_side() {
        let (one, other) = both(r#"{"a":[1],"b":[2]}"#, r#"{"a":[1,3],"c":[4]}"#, 1);
        assert_eq!((one.as_str(), other.as_str()), (r#"{"a":[1],"b":2}"#, r#"{"a":[1,3],"c":4}"#));
    }

    #[test]
    fn fields_of_fields_are_looked_at_together_and_only_so_deep_as_said() {
        let (one, other) = both(r#"[{"1":[{"2":[5]},{"2":[6,7]}],"3":[{"2":[8]}]}]"#, "[]", 9);
        assert_eq!((one.as_str(), other.as_str()), (r#"[{"1":[{"2":[5]},{"2":[6,7]}],"3":{"2":8}}]"#, "[]"));
        assert_eq!(both(r#"{"a":[{"b":[1]}]}"#, "null", 1).0, r#"{"a":{"b":[1]}}"#);
    }
}

//! Five hundred changes of seventeen kinds, planted in real providers' answers: each that matters is reported with its kind and
//! its place, none that by definition does not. Beside it, what a plain differ of JSON, the `json-patch` crate, makes of the same
//! pairs.

use std::collections::BTreeMap;

use content::json::{self, Value};
use diff::{ChangeKind, Comparison, Output, Route, Rules, compare_responses};
use exchange::{Head, MediaKind};

use crate::recorded::{self, Recorded};

/// Changes planted, all kinds together.
const PLANTED: usize = 500;

/// The first of two elements that change places.
const SWAPPED: &str = "/ranking/0";

/// Stands for any place in the data of one event.
const AT_ITS_EVENT: &str = "sse:/…";

/// What is to be reported: kind and pointer; nothing where it does not matter.
type Expected = Option<(ChangeKind, String)>;

/// One planted change.
struct Plant {
    recorded: (Head, Vec<u8>),
    replayed: (Head, Vec<u8>),
    expected: Expected,
}

/// Makes a plant of one kind of an answer, where it has room for one.
type Planter = fn(&Recorded) -> Option<Plant>;

const KINDS: [(&str, Planter); 17] = [
    ("value", |it| {
        in_leaf(it, |leaf| matches!(leaf, Value::String(_)), |_| Some(text("another")), ChangeKind::Changed)
    }),
    ("type", |it| {
        in_leaf(it, |leaf| matches!(leaf, Value::String(_)), |_| Some(Value::Bool(true)), ChangeKind::TypeChanged)
    }),
    ("missing field", |it| in_leaf(it, |leaf| !matches!(leaf, Value::Null), |_| None, ChangeKind::Removed)),
    ("moved element", moved_element),
    ("swapped elements", swapped_elements),
    ("tool argument", tool_argument),
    ("reordered parallel calls", reordered_calls),
    ("call before what was said", call_before_text),
    ("truncated stream", truncated_stream),
    ("extra event", extra_event),
    ("line for an event's type gone", type_line_gone),
    ("piece that contradicts the whole", contradicting_piece),
    ("arguments no longer a text", arguments_as_object),
    ("number in the last digit", |it| {
        in_leaf(it, |leaf| matches!(leaf, Value::Number(_)), last_digit, ChangeKind::Changed)
    }),
    ("text in the middle", |it| in_leaf(it, is_long, in_the_middle, ChangeKind::Changed)),
    ("status", status),
    ("header", header),
];

#[derive(Debug, Default)]
struct Row {
    planted: usize,
    right: usize,
    plain_seen: usize,
    plain_right: usize,
    plain_false: usize,
}

#[test]
fn slow_provider_five_hundred_planted_changes_of_seventeen_kinds_are_reported_as_what_they_are() {
    let test = "slow_provider_five_hundred_planted_changes_of_seventeen_kinds_are_reported_as_what_they_are";
    let Some(all) = recorded::exchanges(test) else { return };
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    let mut wrong = Vec::new();
    let each = PLANTED / KINDS.len() + 1;
    for (kind, plant) in KINDS {
        // Spread over all answers that have room for one.
        let able: Vec<(u64, Plant)> = all.iter().filter_map(|it| Some((it.line as u64, plant(it)?))).collect();
        let step = (able.len() / each).max(1);
        for (line, plant) in able.iter().step_by(step).take(each) {
            let row = rows.entry(kind).or_default();
            row.planted += 1;
            let found = compared(plant);
            if is_right(&found, &plant.expected) {
                row.right += 1;
            } else {
                let told: Vec<_> = found.changes.iter().take(3).map(|it| (it.kind, it.pointer.clone())).collect();
                wrong.push(format!("{kind}, line {line}: expected {:?}, found {told:?}", plant.expected));
            }
            let plain = plain_changes(plant);
            match &plant.expected {
                Some((_, pointer)) => {
                    row.plain_seen += usize::from(!plain.is_empty());
                    row.plain_right += usize::from(plain.len() == 1 && plain[0] == *pointer);
                }
                None => row.plain_false += usize::from(!plain.is_empty()),
            }
        }
    }
    let mut planted = 0;
    for (kind, _) in KINDS {
        let row = &rows[kind];
        planted += row.planted;
        eprintln!(
            "| {kind} | {} | {} | {} | {} | {} |",
            row.planted, row.right, row.plain_seen, row.plain_right, row.plain_false
        );
    }
    eprintln!("{planted} planted");
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(20)]);
    assert!(planted >= PLANTED, "{planted}");
}

fn compared(plant: &Plant) -> Comparison {
    let (one, other) = (&plant.recorded, &plant.replayed);
    let one = Output { head: &one.0, body: &one.1, complete: true, whole: true };
    let other = Output { head: &other.0, body: &other.1, complete: true, whole: true };
    compare_responses(&one, &other, &Rules::strict(), &Route::default())
}

/// A change of this kind is there, at this place; and nothing where nothing is expected. A stream that ends too early says
/// less besides.
fn is_right(found: &Comparison, expected: &Expected) -> bool {
    match expected {
        None => found.is_equal(),
        Some((kind, pointer)) if pointer == "sse:end" || pointer == "sse:" => {
            let is_it = |change: &diff::Change| {
                change.kind == *kind && (change.pointer == "sse:end" || change.pointer.starts_with("sse:"))
            };
            found.changes.iter().any(is_it)
        }
        // A stream that is not joined has one event more.
        Some((kind, pointer)) if pointer == AT_ITS_EVENT => {
            matches!(&found.changes[..], [change] if change.kind == *kind && change.pointer.starts_with("sse:/") && change.event.is_some())
        }
        Some((_, pointer)) if found.compared_as == diff::ComparedAs::Events && pointer.ends_with("/content") => {
            matches!(&found.changes[..], [change] if change.kind == ChangeKind::Added && change.pointer == "sse:")
        }
        // Two changed places: both have moved.
        Some((kind, pointer)) if pointer == SWAPPED => match &found.changes[..] {
            [one, other] => {
                let mut places = [one.pointer.as_str(), other.pointer.as_str()];
                places.sort_unstable();
                (one.kind, other.kind) == (*kind, *kind) && places == [SWAPPED, "/ranking/2"]
            }
            _ => false,
        },
        Some((kind, pointer)) => match &found.changes[..] {
            [change] => change.kind == *kind && change.pointer == *pointer,
            _ => false,
        },
    }
}

/// What a differ finds that knows JSON and nothing else (the `json-patch` crate, RFC 6902); what is no JSON is one text to it.
fn plain_changes(plant: &Plant) -> Vec<String> {
    let read = |body: &[u8]| {
        serde_json::from_slice(body).unwrap_or_else(|_| serde_json::Value::from(String::from_utf8_lossy(body)))
    };
    let patch = json_patch::diff(&read(&plant.recorded.1), &read(&plant.replayed.1));
    patch.0.iter().map(|operation| operation.path().to_string().replace('*', "~2")).collect()
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1").replace('*', "~2")
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn json_of(it: &Recorded) -> Option<Value> {
    (MediaKind::of(&it.response_head) == MediaKind::Json).then(|| json::parse(&it.response).ok()).flatten()
}

/// The events of a stream, each with the blank line that ends it.
fn events_of(it: &Recorded) -> Option<Vec<String>> {
    if MediaKind::of(&it.response_head) != MediaKind::EventStream {
        return None;
    }
    let text = std::str::from_utf8(&it.response).ok()?.replace("\r\n", "\n");
    let events: Vec<String> = text.split_inclusive("\n\n").map(str::to_owned).collect();
    (events.len() > 4 && events.iter().all(|event| event.ends_with("\n\n"))).then_some(events)
}

fn plant(it: &Recorded, recorded: Vec<u8>, replayed: Vec<u8>, expected: Expected) -> Plant {
    let head = || it.response_head.clone();
    Plant { recorded: (head(), recorded), replayed: (head(), replayed), expected }
}

fn plant_json(it: &Recorded, recorded: &Value, replayed: &Value, expected: Expected) -> Plant {
    plant(it, recorded.to_compact_text().into_bytes(), replayed.to_compact_text().into_bytes(), expected)
}

/// Leads to one value: keys, or indices as digits.
fn leaves(value: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>, wanted: &dyn Fn(&Value) -> bool) {
    let mut below = |step: String, value: &Value, found: &mut Vec<Vec<String>>| {
        at.push(step);
        leaves(value, at, found, wanted);
        at.pop();
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| below(key.clone(), value, found)),
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, value)| below(index.to_string(), value, found));
        }
        leaf if wanted(leaf) && matches!(at.last(), Some(last) if last.parse::<usize>().is_err()) => {
            found.push(at.clone())
        }
        _ => {}
    }
}

fn value_at<'v>(value: &'v mut Value, steps: &[String]) -> &'v mut Value {
    let Some((step, rest)) = steps.split_first() else { return value };
    let below = match value {
        Value::Object(members) => &mut members.iter_mut().find(|(key, _)| key == step).unwrap().1,
        Value::Array(elements) => &mut elements[step.parse::<usize>().unwrap()],
        _ => unreachable!("steps lead through objects and arrays"),
    };
    value_at(below, rest)
}

fn pointer_of(steps: &[String]) -> String {
    steps.iter().map(|step| format!("/{}", escaped(step))).collect()
}

/// Changes one leaf of a JSON answer; which one depends on the line.
fn in_leaf(
    it: &Recorded,
    wanted: fn(&Value) -> bool,
    edit: impl Fn(&Value) -> Option<Value>,
    kind: ChangeKind,
) -> Option<Plant> {
    let recorded = json_of(it)?;
    let mut found = Vec::new();
    leaves(&recorded, &mut Vec::new(), &mut found, &wanted);
    // Ids and arguments of calls have tests of their own.
    found.retain(|steps| !steps.iter().any(|step| step.contains("tool_calls") || step == "function_call"));
    let steps = found.get(it.line * 7 % found.len().max(1))?.clone();
    let mut replayed = recorded.clone();
    let (last, parent) = steps.split_last()?;
    match edit(value_at(&mut replayed, &steps)) {
        Some(value) => *value_at(&mut replayed, &steps) = value,
        None => {
            let Value::Object(members) = value_at(&mut replayed, parent) else { return None };
            members.retain(|(key, _)| key != last);
        }
    }
    if is_call_below(&recorded) {
        return None;
    }
    Some(plant_json(it, &recorded, &replayed, Some((kind, pointer_of(&steps)))))
}

/// True where the answer has calls, whose ids are not compared.
fn is_call_below(value: &Value) -> bool {
    let text = value.to_compact_text();
    ["\"tool_use\"", "\"function_call\"", "\"tool_calls\"", "\"toolUse\""].iter().any(|word| text.contains(word))
}

fn last_digit(value: &Value) -> Option<Value> {
    let Value::Number(written) = value else { unreachable!("a number was asked for") };
    let (rest, last) = written.split_at(written.len() - 1);
    let other = if last == "1" { "2" } else { "1" };
    Some(Value::Number(format!("{rest}{other}")))
}

fn is_long(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.len() > 80 && text.is_ascii())
}

fn in_the_middle(value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    let (before, after) = text.split_at(text.len() / 2);
    Some(Value::String(format!("{before} not {after}")))
}

/// The first of at least three different elements goes to the end.
fn moved_element(it: &Recorded) -> Option<Plant> {
    let recorded = json_of(it)?;
    let steps = array_of_different(&recorded, &mut Vec::new()).or_else(|| {
        // Where an answer lists nothing, it lists three models.
        matches!(recorded, Value::Object(_)).then(Vec::new)
    })?;
    let mut recorded = recorded;
    let steps = if steps.is_empty() {
        let models = ["small", "medium", "large"].map(|name| Value::Object(vec![("model".to_owned(), text(name))]));
        let Value::Object(members) = &mut recorded else { return None };
        members.push(("alternatives".to_owned(), Value::Array(models.to_vec())));
        vec!["alternatives".to_owned()]
    } else {
        steps
    };
    let mut replayed = recorded.clone();
    let Value::Array(elements) = value_at(&mut replayed, &steps) else { return None };
    elements.rotate_left(1);
    Some(plant_json(it, &recorded, &replayed, Some((ChangeKind::Moved, format!("{}/0", pointer_of(&steps))))))
}

fn array_of_different(value: &Value, at: &mut Vec<String>) -> Option<Vec<String>> {
    let mut below = |step: String, value: &Value| {
        at.push(step);
        let found = array_of_different(value, at);
        at.pop();
        found
    };
    match value {
        Value::Object(members) => members.iter().find_map(|(key, value)| below(key.clone(), value)),
        Value::Array(elements) => {
            let is_plain = |it: &Value| matches!(it, Value::Object(_) | Value::String(_)) && !is_call_below(it);
            let is_different = (1..elements.len()).all(|index| !elements[..index].contains(&elements[index]));
            if elements.len() >= 3 && is_different && elements.iter().all(is_plain) {
                return Some(at.clone());
            }
            elements.iter().enumerate().find_map(|(index, value)| below(index.to_string(), value))
        }
        _ => None,
    }
}

/// Of three elements that have names the first and the last change places; the first one's is named.
fn swapped_elements(it: &Recorded) -> Option<Plant> {
    let mut recorded = json_of(it)?;
    let model = |(name, rank): (&str, &str)| {
        Value::Object(vec![("name".to_owned(), text(name)), ("rank".to_owned(), Value::Number(rank.to_owned()))])
    };
    let mut models = [("small", "1"), ("medium", "2"), ("large", "3")].map(model);
    let mut replayed = recorded.clone();
    for answer in [&mut recorded, &mut replayed] {
        let Value::Object(members) = answer else { return None };
        members.push(("ranking".to_owned(), Value::Array(models.to_vec())));
        models.swap(0, 2);
    }
    Some(plant_json(it, &recorded, &replayed, Some((ChangeKind::Moved, SWAPPED.to_owned()))))
}

/// A call that stood behind a text stands before it.
fn call_before_text(it: &Recorded) -> Option<Plant> {
    let mut recorded = with_calls(it, &[("call_a1", r#"{"city":"Bonn"}"#)])?;
    recorded.get("content")?;
    let said = json::parse(br#"{"type":"text","text":"I look that up."}"#).unwrap();
    let Value::Array(blocks) = value_at(&mut recorded, &["content".to_owned()]) else { return None };
    blocks.insert(0, said);
    let mut replayed = recorded.clone();
    let Value::Array(blocks) = value_at(&mut replayed, &["content".to_owned()]) else { return None };
    blocks.swap(0, 1);
    Some(plant_json(it, &recorded, &replayed, Some((ChangeKind::Moved, "/content/1".to_owned()))))
}

/// An answer of this line's own with calls, as the provider writes them.
fn with_calls(it: &Recorded, calls: &[(&str, &str)]) -> Option<Value> {
    let mut answer = json_of(it)?;
    let message = match (&answer, answer.get("choices")) {
        (_, Some(Value::Array(choices))) if choices.first().is_some_and(|choice| choice.get("message").is_some()) => {
            ["choices", "0", "message"].map(str::to_owned).to_vec()
        }
        (Value::Object(_), None) if matches!(answer.get("content"), Some(Value::Array(_))) => Vec::new(),
        _ => return None,
    };
    let is_chat = !message.is_empty();
    let call = |(id, arguments): &(&str, &str)| {
        let body = if is_chat {
            let written = text(arguments).to_compact_text();
            format!(r#"{{"id":"{id}","type":"function","function":{{"name":"look_up","arguments":{written}}}}}"#)
        } else {
            format!(r#"{{"type":"tool_use","id":"{id}","name":"look_up","input":{arguments}}}"#)
        };
        json::parse(body.as_bytes()).unwrap()
    };
    let Value::Object(members) = value_at(&mut answer, &message) else { return None };
    let key = if is_chat { "tool_calls" } else { "content" };
    members.retain(|(name, _)| name != key);
    members.push((key.to_owned(), Value::Array(calls.iter().map(call).collect())));
    Some(answer)
}

fn tool_argument(it: &Recorded) -> Option<Plant> {
    let recorded = with_calls(it, &[("call_a1", r#"{"city": "Bonn", "days": 3}"#)])?;
    let replayed = with_calls(it, &[("call_b2", r#"{"days": 3, "city": "Kiel"}"#)])?;
    let pointer = if recorded.get("choices").is_some() {
        "/choices/0/message/tool_calls/0/function/arguments/city"
    } else {
        "/content/0/input/city"
    };
    Some(plant_json(it, &recorded, &replayed, Some((ChangeKind::Changed, pointer.to_owned()))))
}

fn reordered_calls(it: &Recorded) -> Option<Plant> {
    let (bonn, kiel) = (r#"{"city":"Bonn"}"#, r#"{"city":"Kiel"}"#);
    let recorded = with_calls(it, &[("call_a1", bonn), ("call_a2", kiel)])?;
    let replayed = with_calls(it, &[("call_b1", kiel), ("call_b2", bonn)])?;
    Some(plant_json(it, &recorded, &replayed, None))
}

fn truncated_stream(it: &Recorded) -> Option<Plant> {
    let events = events_of(it)?;
    let kept = events[..events.len() * 2 / 3].concat();
    Some(plant(it, events.concat().into_bytes(), kept.into_bytes(), Some((ChangeKind::Removed, "sse:end".to_owned()))))
}

/// A piece of text that comes once more; in every third stream a comment, which says nothing.
fn extra_event(it: &Recorded) -> Option<Plant> {
    let mut events = events_of(it)?;
    let recorded = events.concat().into_bytes();
    if it.line.is_multiple_of(3) {
        events.insert(2, ": still here\n\n".to_owned());
        return Some(plant(it, recorded, events.concat().into_bytes(), None));
    }
    let chat = |event: &String| event.contains("\"delta\":{\"content\":\"") && !event.contains("\"content\":\"\"");
    let block = |event: &String| event.contains("\"text_delta\"");
    let at = events.iter().position(|event| chat(event) || block(event))?;
    let pointer = if block(&events[at]) {
        // Before the text there may be what the model thought.
        let index = events[at].split_once("\"index\":")?.1.trim_start();
        format!("/content/{}/text", index.split(|it: char| !it.is_ascii_digit()).next()?)
    } else {
        "/choices/0/message/content".to_owned()
    };
    let again = events[at].clone();
    events.insert(at, again);
    Some(plant(it, recorded, events.concat().into_bytes(), Some((ChangeKind::Changed, pointer))))
}

/// One event, which one depends on the line, has no line with its type any more.
fn type_line_gone(it: &Recorded) -> Option<Plant> {
    let mut events = events_of(it)?;
    let recorded = events.concat().into_bytes();
    let with_line: Vec<usize> = (0..events.len()).filter(|&at| events[at].starts_with("event:")).collect();
    let at = *with_line.get(it.line * 7 % with_line.len().max(1))?;
    events[at] = events[at].split_once('\n')?.1.to_owned();
    Some(plant(it, recorded, events.concat().into_bytes(), Some((ChangeKind::Removed, "sse:event".to_owned()))))
}

/// A value that the stream says again: in every second one a piece of a text, else who is said to answer at the beginning.
fn contradicting_piece(it: &Recorded) -> Option<Plant> {
    let mut events = events_of(it)?;
    let recorded = events.concat().into_bytes();
    let is_said_whole = |event: &String| event.contains("\"response.output_text.done\"");
    let begins = |event: &String| event.contains("\"response.created\"") || event.contains("\"chat.completion.chunk\"");
    let (at, key) = match events.iter().position(is_said_whole).filter(|_| it.line.is_multiple_of(2)) {
        Some(at) => (at, "\"text\":\""),
        None => (events.iter().position(begins)?, "\"model\":\""),
    };
    let behind = events[at].find(key)? + key.len();
    events[at].insert_str(behind, "another ");
    Some(plant(it, recorded, events.concat().into_bytes(), Some((ChangeKind::Changed, AT_ITS_EVENT.to_owned()))))
}

/// A call whose arguments are an object, where they were one in a text.
fn arguments_as_object(it: &Recorded) -> Option<Plant> {
    let recorded = with_calls(it, &[("call_a1", r#"{"city": "Bonn"}"#)])?;
    recorded.get("choices")?;
    let mut replayed = recorded.clone();
    let at = ["choices", "0", "message", "tool_calls", "0", "function", "arguments"].map(str::to_owned);
    *value_at(&mut replayed, &at) = json::parse(br#"{"city":"Bonn"}"#).unwrap();
    Some(plant_json(it, &recorded, &replayed, Some((ChangeKind::TypeChanged, pointer_of(&at)))))
}

fn status(it: &Recorded) -> Option<Plant> {
    let head = String::from_utf8(it.response_head.bytes.to_vec()).ok()?;
    let line_end = head.find("\r\n")?;
    let plant = plant(it, it.response.clone(), it.response.clone(), Some((ChangeKind::Changed, "status".to_owned())));
    let head = Head::new(format!("HTTP/1.1 299 Changed{}", &head[line_end..]));
    Some(Plant { replayed: (head, plant.replayed.1), ..plant })
}

/// A field that says something; in every fourth answer one that says which server it was.
fn header(it: &Recorded) -> Option<Plant> {
    let head = String::from_utf8(it.response_head.bytes.to_vec()).ok()?;
    let says_nothing = it.line.is_multiple_of(4);
    let field = if says_nothing { "Date: Thu, 01 Jan 1970 00:00:00 GMT" } else { "X-Model-Tier: other" };
    let expected = (!says_nothing).then(|| (ChangeKind::Added, "header:x-model-tier".to_owned()));
    let head = Head::new(head.replacen("\r\n", &format!("\r\n{field}\r\n"), 1));
    let plant = plant(it, it.response.clone(), it.response.clone(), expected);
    Some(Plant { replayed: (head, plant.replayed.1), ..plant })
}

//! Real providers' answers that differ in ids, times and split points alone: never reported once 30 repeats taught the noise.

use std::collections::BTreeMap;

use content::json::{self, Value};
use diff::{Noise, NoiseLearner, Output, Route, Rules, compare_responses, places_apart};
use exchange::{Id, MediaKind};

use crate::{
    noise::Chance,
    recorded::{self, Recorded},
};

const LEARNED: usize = 30;
const JUDGED: usize = 4;
const EXCHANGE: Id = Id([1; 16]);

/// Keys of ids, beside those that end with `_id`.
const IDS: [&str; 5] = ["id", "system_fingerprint", "request_id", "generation_id", "response_id"];
/// Keys of texts that come in pieces.
const PIECES: [&str; 6] = ["content", "text", "response", "partial_json", "arguments", "delta"];

/// One more answer that says the same: new ids and times, and where it is streamed, other pieces.
struct Variant<'c> {
    chance: &'c mut Chance,
    ids: BTreeMap<String, String>,
    later_s: u64,
}

impl Variant<'_> {
    /// The same id for the same id, of the same form: digits for digits and letters for letters.
    fn id(&mut self, id: &str) -> String {
        if let Some(known) = self.ids.get(id) {
            return known.clone();
        }
        let all_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        // Words say of what it is an id.
        let is_word = |piece: &&str| {
            piece.strip_suffix(['-', '_']).is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()))
        };
        let words = id.split_inclusive(['-', '_']).take_while(is_word);
        let prefix_len = if all_hex(id) { 0 } else { words.map(str::len).sum() };
        let is_hex = all_hex(&id[prefix_len..]);
        let mut new = id[..prefix_len].to_owned();
        for character in id[prefix_len..].chars() {
            new.push(match character {
                'a'..='z' if is_hex => char::from(b"abcdef"[self.chance.below(6) as usize]),
                'a'..='z' => char::from(b'a' + self.chance.below(26) as u8),
                'A'..='Z' => char::from(b'A' + self.chance.below(26) as u8),
                '0'..='9' => char::from(b'0' + self.chance.below(10) as u8),
                other => other,
            });
        }
        self.ids.insert(id.to_owned(), new.clone());
        new
    }

    fn vary(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Object(members) => members.iter_mut().for_each(|(key, member)| self.vary(key, member)),
            Value::Array(elements) => elements.iter_mut().for_each(|element| self.vary(key, element)),
            Value::String(text) if (IDS.contains(&key) || key.ends_with("_id")) && is_random(text) => {
                *text = self.id(text);
            }
            // The fraction of a second.
            Value::String(text) if key == "created_at" && text.contains('.') => {
                let (seconds, fraction) = text.split_once('.').unwrap();
                let digits = |character: char| match character {
                    '0'..='9' => char::from(b'0' + self.chance.below(10) as u8),
                    other => other,
                };
                *text = format!("{seconds}.{}", fraction.chars().map(digits).collect::<String>());
            }
            Value::Number(written) if matches!(key, "created" | "created_at" | "completed_at") => {
                // Who says 0 says nothing yet.
                if let Some(time) = written.parse::<u64>().ok().filter(|time| *time > 0) {
                    *written = (time + self.later_s).to_string();
                }
            }
            _ => {}
        }
    }

    /// Pieces of one text that follow each other, cut elsewhere.
    fn cut_elsewhere(&mut self, events: Vec<(String, Option<Value>)>) -> Vec<(String, Option<Value>)> {
        let mut cut: Vec<(String, Option<Value>)> = Vec::new();
        let mut events = events;
        for (_, value) in &mut events {
            if number_in(value).is_some_and(|number| {
                "0".clone_into(number);
                true
            }) && let Some(Value::Object(members)) = value
            {
                members.retain(|(key, _)| key != "obfuscation");
            }
        }
        let mut rest = events.into_iter().peekable();
        while let Some((head, value)) = rest.next() {
            let Some(mut value) = value else {
                cut.push((head, None));
                continue;
            };
            let Some(mut text) = piece_in(&mut value).map(std::mem::take) else {
                cut.push((head, Some(value)));
                continue;
            };
            while let Some((other_head, Some(other))) = rest.peek()
                && *other_head == head
                && let mut skeleton = other.clone()
                && let Some(more) = piece_in(&mut skeleton).map(std::mem::take)
                && skeleton == value
            {
                text.push_str(&more);
                rest.next();
            }
            let mut characters = text.chars().peekable();
            while characters.peek().is_some() {
                let len = 1 + self.chance.below(9) as usize;
                let mut piece = value.clone();
                *piece_in_emptied(&mut piece).unwrap() = characters.by_ref().take(len).collect();
                cut.push((head.clone(), Some(piece)));
            }
        }
        cut
    }
}

fn is_random(text: &str) -> bool {
    text.len() >= 8 && text.bytes().any(|byte| byte.is_ascii_digit()) && !text.contains(' ')
}

/// The one text that is a piece, where there is just one that is not empty.
fn piece_in(value: &mut Value) -> Option<&mut String> {
    // What a response says whole as well stays whole.
    let is_whole = |kind: &str| kind.starts_with("response.") && !kind.ends_with(".delta");
    if value.get("type").and_then(Value::as_str).is_some_and(is_whole) {
        return None;
    }
    only(value, "", &|text| !text.is_empty())
}

/// The same once it was taken.
fn piece_in_emptied(value: &mut Value) -> Option<&mut String> {
    only(value, "", &|_| true)
}

fn only<'v>(value: &'v mut Value, key: &str, wanted: &dyn Fn(&str) -> bool) -> Option<&'v mut String> {
    match value {
        Value::Object(members) => members.iter_mut().find_map(|(key, member)| only(member, &key.clone(), wanted)),
        Value::Array(elements) => elements.iter_mut().find_map(|element| only(element, key, wanted)),
        Value::String(text) if PIECES.contains(&key) && wanted(text) => Some(text),
        _ => None,
    }
}

/// The events or lines of a streamed answer: what stands before the data, and the data; `None` where it is not streamed as text.
fn events_of(it: &Recorded) -> Option<Vec<(String, Option<Value>)>> {
    let text = std::str::from_utf8(&it.response).ok()?;
    let is_lines = it.response_head.text_of("content-type").is_some_and(|it| it.contains("ndjson"));
    if is_lines {
        let line = |line: &str| Some((String::new(), Some(json::parse(line.as_bytes()).ok()?)));
        return text.lines().filter(|line| !line.trim().is_empty()).map(line).collect();
    }
    (MediaKind::of(&it.response_head) == MediaKind::EventStream).then_some(())?;
    let text = text.replace("\r\n", "\n");
    let event = |event: &str| match event.rsplit_once("data: ") {
        Some((head, data)) => match json::parse(data.as_bytes()) {
            Ok(value) => Some((format!("{head}data: "), Some(value))),
            Err(_) => Some((event.to_owned(), None)),
        },
        None => None,
    };
    text.split("\n\n").filter(|event| !event.trim().is_empty()).map(event).collect()
}

/// The number of an event, where it has one.
fn number_in(value: &mut Option<Value>) -> Option<&mut String> {
    let Some(Value::Object(members)) = value else { return None };
    let number = members.iter_mut().find(|(key, _)| key == "sequence_number");
    number.and_then(|(_, value)| if let Value::Number(written) = value { Some(written) } else { None })
}

/// One more answer.
fn variant(it: &Recorded, chance: &mut Chance) -> Option<Vec<u8>> {
    let later_s = chance.below(100_000);
    let mut variant = Variant { chance, ids: BTreeMap::new(), later_s };
    if MediaKind::of(&it.response_head) == MediaKind::Json {
        let mut value = json::parse(&it.response).ok()?;
        variant.vary("", &mut value);
        return Some(value.to_compact_text().into_bytes());
    }
    let mut events = events_of(it)?;
    for (_, value) in &mut events {
        value.iter_mut().for_each(|value| variant.vary("", value));
    }
    let end = if events.iter().all(|(head, _)| head.is_empty()) { "\n" } else { "\n\n" };
    let is_numbered = events.iter_mut().any(|(_, value)| number_in(value).is_some());
    let mut events = variant.cut_elsewhere(events);
    if is_numbered {
        for (at, (_, value)) in events.iter_mut().enumerate() {
            number_in(value).into_iter().for_each(|number| *number = at.to_string());
        }
    }
    let written = |(head, value): (String, Option<Value>)| {
        format!("{head}{}{end}", value.map(|value| value.to_compact_text()).unwrap_or_default())
    };
    Some(events.into_iter().map(written).collect::<String>().into_bytes())
}

fn output<'a>(it: &'a Recorded, body: &'a [u8]) -> Output<'a> {
    Output { head: &it.response_head, body, complete: true, whole: true }
}

#[test]
fn slow_provider_answers_that_differ_in_ids_times_and_split_points_alone_are_never_reported() {
    let test = "slow_provider_answers_that_differ_in_ids_times_and_split_points_alone_are_never_reported";
    let Some(all) = recorded::exchanges(test) else { return };
    let (route, rules) = (Route::new("POST", "/answer"), Rules::strict());
    let (mut of, mut streamed, mut apart, mut reported) = (0, 0, 0, Vec::new());
    for it in &all {
        let mut chance = Chance(it.line as u64);
        // What is not joined has split points that are differences.
        let is_stream = events_of(it).is_some_and(|events| events.len() > 1);
        let stream = match it.response_head.text_of("content-type") {
            Some(kind) if kind.contains("ndjson") => {
                std::str::from_utf8(&it.response).ok().and_then(content::message::lines)
            }
            _ => Some(content::sse::parse(&it.response)),
        };
        if is_stream && stream.as_ref().and_then(content::message::joined).is_none() {
            continue;
        }
        let Some(first) = variant(it, &mut chance) else { continue };
        let mut learner = NoiseLearner::default();
        for _ in 0..LEARNED {
            let body = variant(it, &mut chance).unwrap();
            learner.add(
                EXCHANGE,
                &route.to_string(),
                &places_apart(&output(it, &first), &output(it, &body), &route, &Rules::strict()),
            );
        }
        let noise = Noise::of([learner.conclude("v1".to_owned(), Vec::new())]);
        for _ in 0..JUDGED {
            let (one, other) = (variant(it, &mut chance).unwrap(), variant(it, &mut chance).unwrap());
            let mut comparison = compare_responses(&output(it, &one), &output(it, &other), &rules, &route);
            apart += usize::from(!comparison.is_equal());
            noise.set_apart(&mut comparison, &route, EXCHANGE);
            of += 1;
            streamed += usize::from(is_stream);
            if let Some(change) = comparison.changes.first() {
                reported.push(format!("line {}: {:?} {}: {change:?}", it.line, change.kind, change.pointer));
            }
        }
    }
    eprintln!("{of} pairs, {streamed} of them streamed; {apart} differ without noise, {} with it", reported.len());
    assert!(reported.is_empty(), "{} reported: {:#?}", reported.len(), &reported[..reported.len().min(12)]);
    assert!(of > 3_000 && streamed > 500 && apart > 1_000, "{of} {streamed} {apart}");
}

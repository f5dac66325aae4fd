//! What providers of models answer: the message that a stream of events joins to, and calls of tools in one form.
//!
//! In: an answer, read. Out: a document in which two answers that say the same are the same. Known are the formats of OpenAI
//! (completions, chat completions, responses, and what speaks them), of Anthropic (messages), of Cohere (chat, version 2), of
//! Ollama (chat and generate), and of Bedrock (converse, and what it wraps of others). Joining is strict: a stream that contradicts itself, or has anything in it that the format does not know, is not
//! joined, so that nothing in it goes unseen.

mod anthropic;
mod bedrock;
mod chat;
mod cohere;
mod manner;
mod ollama;
mod responses;
#[cfg(test)]
mod tests;
mod unfinished;

use std::collections::{BTreeMap, BTreeSet};

use exchange::Digest;

pub use manner::Manner;
pub use unfinished::{Step, Unfinished};

use crate::{
    canonical::VALUES_MAX,
    eventstream::EXCEPTION,
    json::{self, Node, Value},
    sse::{Event, Stream},
};

/// What stands for the id of a call in the normal form, before the name of its tool. The provider's own is another one each
/// time, and only ties the call to its result; where a tool was called more than once, the result has the arguments as well.
pub const CALL_LABEL: &str = "call of ";

/// What stands behind it where a call of something else has the same id.
const SHARED: &str = ", with the id of another";

/// Longest part of a tool's name that stands in for the id of its call, in characters: each result that names the call would
/// have it too. A choice: providers allow 64 or 128.
const LABEL_CHARS_MAX: usize = 128;

/// Longest arguments that stand beside it, in bytes; of longer ones there is the digest. A choice.
const LABEL_ARGUMENTS_BYTES_MAX: usize = 128;

/// Members of events that are pieces of a text, in all formats: where one is cut, its beginning is a piece too.
pub const PIECES: [&str; 14] = [
    "content",
    "refusal",
    "reasoning",
    "reasoning_content",
    "thinking",
    "text",
    "delta",
    "arguments",
    "partial_json",
    "signature",
    "tool_plan",
    "input",
    "response",
    "outputText",
];

/// Most members that an object of a message may gather from the events. A choice: those of real messages have a dozen, and
/// each is looked for among the others.
const MEMBERS_MAX: usize = 256;

/// A stream, joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The answer as it would have come in one piece; an error that ended the stream is its member `error`.
    pub message: Value,
    /// What said that the stream is whole: `[DONE]`, `message_stop`, `response.completed`, …; `None` where it just ended.
    pub end: Option<String>,
    /// Events that carried a piece of what was said.
    pub pieces: u64,
    /// What could have come yet, had the stream gone on.
    pub unfinished: Unfinished,
    /// How the events tell it, as far as that decides what clients do with them.
    pub manner: Manner,
}

/// An event that joining looks at.
struct Piece {
    /// The event's type.
    event: Option<String>,
    data: Value,
}

/// The message that the events join to; `None` where they are of no format that is known, or contradict it.
pub fn joined(stream: &Stream) -> Option<Joined> {
    if stream.trailing.is_some() || !stream.events.iter().all(is_plain) {
        return None;
    }
    let (mut pieces, done) = pieces(&stream.events)?;
    if !done && pieces.first().is_some_and(|piece| piece.event.as_deref() == Some("chunk")) {
        // What Bedrock wraps is what the model's provider sends by itself.
        let error = pieces.pop_if(|piece| failure(piece).is_some()).and_then(|piece| failure(&piece));
        for piece in &mut pieces {
            piece.event.take().filter(|event| event == "chunk")?;
        }
        let mut joined = if let Some((events, beside)) = bedrock::unwrapped(&pieces) {
            bedrock::joined(&events, &beside, true)?
        } else if pieces.first().is_some_and(bedrock::is_titan) {
            bedrock::of_titan(&pieces)?
        } else {
            of_provider(&pieces, false)?
        };
        if let (Some(error), Value::Object(members)) = (error, &mut joined.message) {
            members.push(("error".to_owned(), error));
        }
        return Some(joined);
    }
    of_provider(&pieces, done)
}

/// The message by the format of its first event.
fn of_provider(pieces: &[Piece], done: bool) -> Option<Joined> {
    let first = pieces.iter().find(|piece| piece.text("type") != Some("ping"))?;
    match first.text("type") {
        Some("message-start") => cohere::joined(pieces, done),
        _ if first.event.as_deref() == Some("messageStart") => bedrock::joined(pieces, &[], false).filter(|_| !done),
        None if ollama::is_one(first) => ollama::joined(pieces).filter(|_| !done),
        Some("message_start") => anthropic::joined(pieces).filter(|_| !done),
        Some(kind) if kind.starts_with("response.") => responses::joined(pieces).filter(|_| !done),
        _ if matches!(first.data.get("choices"), Some(Value::Array(_))) => chat::joined(pieces, done),
        _ => None,
    }
}

/// True for the data of an event that only adds to the message, so that its beginning says nothing else than all of it: others
/// say again what was said, or how it ended.
pub fn only_adds(data: &Value) -> bool {
    let kind = data.get("type").and_then(Value::as_str).unwrap_or_default();
    let says_again = kind.starts_with("response.") && !kind.ends_with(".delta");
    let is_error = data.get("error").is_some_and(|error| *error != Value::Null);
    !says_again && !is_error && !matches!(kind, "error" | "message-end")
}

/// A stream that says nothing but what went wrong, as a message of whatever format.
pub fn error_alone(stream: &Stream) -> Option<Joined> {
    let (pieces, done) = pieces(&stream.events).filter(|_| stream.trailing.is_none())?;
    let mut said = pieces.iter().filter(|piece| piece.text("type") != Some("ping"));
    let (piece, more) = (said.next()?, said.next());
    let error = match piece.data.get("error") {
        Some(_) => piece.error_beside(&[])?,
        None if piece.text("type") == Some("error") => piece.data.clone(),
        None => failure(piece)?,
    };
    let message = Value::Object(vec![("error".to_owned(), error)]);
    let mut unfinished = Unfinished::default();
    unfinished.may_go_on([Step::Key("")]);
    let end = done.then(|| "[DONE]".to_owned());
    let manner = Manner { is_named: failure(piece).is_none().then_some(piece.event.is_some()), ..Manner::default() };
    more.is_none().then_some(Joined { message, end, pieces: 0, unfinished, manner })
}

/// What went wrong, where a message of Amazon's framing tells that.
fn failure(piece: &Piece) -> Option<Value> {
    let kind = piece.event.as_deref()?.strip_prefix(EXCEPTION)?;
    let mut error = Members(vec![("type".to_owned(), Value::String(kind.to_owned()))]);
    let mut said = piece.members()?.iter().filter(|(key, _)| key != "p");
    said.try_for_each(|(key, value)| error.agree(key, value))?;
    Some(error.into_value())
}

/// The same of a document that was cut: what stands behind the last line end is the trailing event.
pub fn cut_lines(text: &str) -> Option<Stream> {
    let (whole, rest) = text.split_at(text.rfind('\n')? + 1);
    let events = events_of(whole);
    let trailing = (!rest.trim().is_empty()).then(|| Event {
        data: rest.trim_start().to_owned(),
        has_data: true,
        range: whole.len()..text.len(),
        ..Event::default()
    });
    (!events.is_empty()).then_some(Stream { events, trailing })
}

/// Lines with an object in each as events, so that they can be [`joined`]: `None` for a document that has none or one.
pub fn lines(text: &str) -> Option<Stream> {
    let events = events_of(text);
    (events.len() > 1).then_some(Stream { events, trailing: None })
}

fn events_of(text: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        if !line.trim().is_empty() {
            let data = line.trim().to_owned();
            events.push(Event { data, has_data: true, dispatched: true, range, ..Event::default() });
        }
    }
    events
}

/// An event as formats have them: a type at most, and data.
fn is_plain(event: &Event) -> bool {
    event.has_data && event.id.is_none() && event.retry.is_none() && event.others.is_empty()
}

/// The data of all events, and whether `[DONE]` ends them.
fn pieces(events: &[Event]) -> Option<(Vec<Piece>, bool)> {
    let done = events.last().is_some_and(|event| event.data.trim() == "[DONE]" && event.event.is_none());
    let mut values_left = VALUES_MAX;
    let mut pieces = Vec::with_capacity(events.len());
    for event in &events[..events.len() - usize::from(done)] {
        let tree = json::parse_tree(event.data.as_bytes(), values_left).ok()?;
        values_left = values_left.checked_sub(tree.len())?;
        pieces.push(Piece { event: event.event.clone(), data: tree.root().to_value() });
    }
    Some((pieces, done))
}

impl Piece {
    fn text(&self, key: &str) -> Option<&str> {
        self.data.get(key).and_then(Value::as_str)
    }

    /// The error that this tells of, with what else is said of it beside these members.
    fn error_beside(&self, others: &[&str]) -> Option<Value> {
        let is_of_it = |(key, value): &&(String, Value)| {
            !others.contains(&key.as_str()) && (key != "type" || value.as_str() != Some("error"))
        };
        let said: Vec<(String, Value)> = self.members()?.iter().filter(is_of_it).cloned().collect();
        match &said[..] {
            [(key, error)] if key == "error" => Some(error.clone()),
            _ => Some(Value::Object(said)),
        }
    }

    /// The members, each to be known; `None` where the data is no object.
    fn members(&self) -> Option<&[(String, Value)]> {
        match &self.data {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }
}

/// Members in the order in which they came.
#[derive(Clone, Debug, Default)]
struct Members(Vec<(String, Value)>);

impl Members {
    /// Those of an object; `None` where it is none, or has too many.
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Object(members) if members.len() <= MEMBERS_MAX => Some(Self(members.clone())),
            _ => None,
        }
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Takes a value that may be said again, when the last one counts; `None` where there are too many.
    fn say(&mut self, key: &str, value: &Value) -> Option<()> {
        match self.get_mut(key) {
            Some(known) => *known = value.clone(),
            None => self.push(key, value)?,
        }
        Some(())
    }

    fn push(&mut self, key: &str, value: &Value) -> Option<()> {
        (self.0.len() < MEMBERS_MAX).then(|| self.0.push((key.to_owned(), value.clone())))
    }

    /// Takes further elements of a list; `None` where it is none, or there are too many members.
    fn extend(&mut self, key: &str, more: &[Value]) -> Option<()> {
        match self.get_mut(key) {
            Some(Value::Array(known)) => known.extend(more.iter().cloned()),
            Some(_) => return None,
            None => self.push(key, &Value::Array(more.to_vec()))?,
        }
        Some(())
    }

    /// Takes out the object of this key, to be put back with more in it; an empty one where there is none yet, `None` for
    /// anything else. What was gathered is never copied: each event may add to it.
    fn take_object(&mut self, key: &str) -> Option<Self> {
        match self.get_mut(key).map(|value| std::mem::replace(value, Value::Null)) {
            None => Some(Self::default()),
            Some(Value::Object(members)) => Some(Self(members)),
            Some(_) => None,
        }
    }

    fn set(&mut self, key: &str, value: Value) {
        match self.get_mut(key) {
            Some(known) => *known = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Takes a value that is said again with every event; `None` where it is another one now. A number is said, 0 too, but for a
    /// time that is not known yet.
    fn agree(&mut self, key: &str, value: &Value) -> Option<()> {
        let says_nothing =
            |value: &Value| says_nothing(value) && (key == "created" || !matches!(value, Value::Number(_)));
        match self.get_mut(key) {
            Some(known) if says_nothing(known) => *known = value.clone(),
            Some(known) if says_nothing(value) || known == value => {}
            Some(_) => return None,
            None => self.push(key, value)?,
        }
        Some(())
    }

    /// Takes what may be said more than once, but only in the same way; `None` where it is anything else now.
    fn repeat(&mut self, key: &str, value: &Value) -> Option<()> {
        match self.get_mut(key) {
            Some(known @ Value::Null) => *known = value.clone(),
            Some(known) => (known == value).then_some(())?,
            None => self.push(key, value)?,
        }
        Some(())
    }

    /// Takes a further piece of a text.
    fn append(&mut self, key: &str, piece: &Value) -> Option<()> {
        match (self.get_mut(key), piece) {
            (Some(Value::String(known)), Value::String(piece)) => known.push_str(piece),
            (Some(_), Value::Null) => {}
            (Some(known @ Value::Null), Value::String(_)) => *known = piece.clone(),
            (None, Value::Null | Value::String(_)) => self.push(key, piece)?,
            _ => return None,
        }
        Some(())
    }

    fn into_value(self) -> Value {
        Value::Object(self.0)
    }
}

/// What events say that have nothing to say yet: `null`, an empty text, 0.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(written) => written == "0",
        _ => false,
    }
}

/// Arguments of a call that came in pieces: an object where they are one, else the text that they are.
fn arguments_of(written: String) -> Value {
    match json::parse(written.as_bytes()) {
        Ok(arguments @ Value::Object(_)) => arguments,
        _ => Value::String(written),
    }
}

/// A number from 0 that says where something belongs.
fn index(value: &Value) -> Option<usize> {
    match value {
        Value::Number(written) => written.parse().ok(),
        _ => None,
    }
}

/// An answer in normal form: the arguments of calls as JSON where they are JSON in a string, and in place of each call's id
/// the name of its tool. `None` where that changes nothing.
pub fn normal(root: Node<'_>) -> Option<Value> {
    may_have_calls(root).then(|| normal_of(root.to_value()))
}

/// The same for a value.
pub fn normal_of(mut value: Value) -> Value {
    let mut calls = Calls::default();
    normalise(&mut value, &mut calls);
    calls.mark_objects(&mut value);
    calls.name_results(&mut value, &calls.tools());
    value
}

/// As [`normal`], of two that are to be compared: a result names its call the same way in both. `None` where it changes neither.
pub fn normal_pair(one: Node<'_>, other: Node<'_>) -> Option<(Value, Value)> {
    let (in_one, in_other) = (may_have_calls(one), may_have_calls(other));
    let both = || normal_pair_of((one.to_value(), in_one), (other.to_value(), in_other));
    (in_one || in_other).then(both)
}

/// The same for values.
pub fn normal_of_both(one: Value, other: Value) -> (Value, Value) {
    normal_pair_of((one, true), (other, true))
}

/// Of each it is said whether it may have calls.
fn normal_pair_of((mut one, in_one): (Value, bool), (mut other, in_other): (Value, bool)) -> (Value, Value) {
    let (mut calls, mut other_calls) = (Calls::default(), Calls::default());
    if in_one {
        normalise(&mut one, &mut calls);
    }
    if in_other {
        normalise(&mut other, &mut other_calls);
    }
    if Arguments::are_mixed([&calls, &other_calls]) {
        calls.write_texts(&mut one);
        other_calls.write_texts(&mut other);
    }
    let tools = calls.tools().and(other_calls.tools());
    calls.name_results(&mut one, &tools);
    other_calls.name_results(&mut other, &tools);
    (one, other)
}

fn may_have_calls(root: Node<'_>) -> bool {
    let words = [
        "\"tool_calls\"",
        "\"tool_use\"",
        "\"function_call\"",
        "\"toolUse\"",
        "\"server_tool_use\"",
        "\"custom_tool_call\"",
    ];
    let raw = root.raw().as_bytes();
    let is_answer = root.members().any(|(key, _)| matches!(key, "choices" | "content" | "output" | "message"));
    is_answer && words.iter().any(|word| memchr::memmem::find(raw, word.as_bytes()).is_some())
}

/// The name of the tool where this is a call of one.
pub fn call_name(node: Node<'_>) -> Option<&str> {
    call(node, Node::get, Node::text)
}

/// As [`call_name`].
fn call_of_value(value: &Value) -> Option<&str> {
    call(value, Value::get, Value::as_str)
}

fn call<'v, V: Copy>(
    value: V,
    get: impl Fn(V, &str) -> Option<V>,
    text: impl Fn(V) -> Option<&'v str>,
) -> Option<&'v str> {
    let kind = get(value, "type").and_then(&text);
    let called = match kind {
        Some("tool_use" | "server_tool_use" | "function_call" | "custom_tool_call") => value,
        Some("custom") => get(value, "custom").filter(|it| get(*it, "input").is_some())?,
        Some("function") | None => match get(value, "toolUse") {
            Some(called) => called,
            None => get(value, "function").filter(|it| get(*it, "arguments").is_some())?,
        },
        _ => return None,
    };
    text(get(called, "name")?)
}

/// The calls of a message, in the order in which they stand there.
#[derive(Default)]
struct Calls {
    all: Vec<Called>,
    /// By each id those that have it: one, unless a provider gives all of them the same.
    by_id: BTreeMap<String, Vec<usize>>,
    /// How arguments were written, in the order in which they stand there.
    arguments: Vec<Arguments>,
}

/// How the arguments of a call were written: whoever reads them as JSON in a text fails where they are an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    /// An object in a text.
    Text,
    /// An object.
    Object,
    /// Anything else.
    Other,
}

impl Arguments {
    /// Rewrites an object that was written into a string as what it is.
    fn read(value: &mut Value) -> Self {
        match value {
            Value::Object(_) => Self::Object,
            Value::String(text) => match json::parse_limited(text.as_bytes(), VALUES_MAX) {
                Ok(parsed @ Value::Object(_)) => {
                    *value = parsed;
                    Self::Text
                }
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// True where some are texts and some objects, on whichever side.
    fn are_mixed(sides: [&Calls; 2]) -> bool {
        [Self::Text, Self::Object].iter().all(|way| sides.iter().any(|calls| calls.arguments.contains(way)))
    }
}

/// A member of arguments that are an object, in the form that is hashed: they are not those that a text has.
const OBJECT_MARK: &str = "\u{0}written as an object";

/// A call, as results name it.
struct Called {
    /// The name of its tool.
    label: String,
    /// Its arguments, written one way.
    arguments: String,
    /// Of all that it says, its ids aside.
    digest: Digest,
}

impl Calls {
    /// Takes the id of the call that is being read, and puts the tool's name in its place. An empty one ties it to nothing.
    fn relabel(&mut self, id: &mut Value, label: &str) {
        if let Value::String(text) = id
            && !text.is_empty()
        {
            let id = std::mem::replace(text, label.to_owned());
            self.by_id.entry(id).or_default().push(self.all.len());
        }
    }

    /// Takes the arguments of a call, which are read where they are an object in a text.
    fn take_arguments(&mut self, value: &mut Value) {
        self.arguments.push(Arguments::read(value));
    }

    /// Marks arguments that are no text.
    fn mark_objects(&self, value: &mut Value) {
        if !self.arguments.contains(&Arguments::Object) {
            return;
        }
        each_arguments(value, &mut self.arguments.iter(), &mut |arguments, way| {
            if let (Value::Object(members), Arguments::Object) = (arguments, way) {
                members.push((OBJECT_MARK.to_owned(), Value::Null));
            }
        });
    }

    /// Makes texts again of those that were texts, written one way.
    fn write_texts(&self, value: &mut Value) {
        each_arguments(value, &mut self.arguments.iter(), &mut |arguments, way| {
            if way == Arguments::Text {
                let mut written = Vec::new();
                arguments.write_canonical(&mut written);
                *arguments = Value::String(String::from_utf8_lossy(&written).into_owned());
            }
        });
    }

    /// Takes a call that was read.
    fn push(&mut self, label: String, call: &Value) {
        let canonical = |value: &Value| {
            let mut bytes = Vec::new();
            value.write_canonical(&mut bytes);
            bytes
        };
        let called = ["function", "toolUse", "custom"].into_iter().find_map(|key| call.get(key)).unwrap_or(call);
        let arguments = ["arguments", "input"].into_iter().find_map(|key| called.get(key)).map(canonical);
        let arguments = match arguments {
            Some(long) if long.len() > LABEL_ARGUMENTS_BYTES_MAX => Digest::of(&long).to_string(),
            short => String::from_utf8_lossy(&short.unwrap_or_default()).into_owned(),
        };
        self.all.push(Called { label, arguments, digest: Digest::of(&canonical(call)) });
    }

    /// What has to be known of the tools that are called, so that calls can be named.
    fn tools(&self) -> Tools {
        let mut tools = Tools::default();
        let mut seen = BTreeSet::new();
        for call in &self.all {
            if !seen.insert(&call.label) {
                tools.repeated.insert(call.label.clone());
            }
        }
        let shared = self.by_id.values().filter(|calls| !self.tells_one(calls)).flatten();
        tools.untold.extend(shared.map(|&at| self.all[at].label.clone()));
        tools
    }

    /// True where it does not matter which of these calls, which have one id, is meant.
    fn tells_one(&self, calls: &[usize]) -> bool {
        calls.iter().all(|&call| self.all[call].digest == self.all[calls[0]].digest)
    }

    /// Puts in place of each id what names the call that has it, whatever the order of calls: where its tool was called more than
    /// once, with its arguments, and among equal ones with a number.
    fn name_results(&self, value: &mut Value, tools: &Tools) {
        if self.by_id.is_empty() {
            return;
        }
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        let key = |at: usize| {
            let call = &self.all[at];
            (&call.label, &call.arguments, call.digest, at)
        };
        order.sort_by(|&one, &other| key(one).cmp(&key(other)));
        let mut labels = vec![String::new(); self.all.len()];
        let is_equal = |one: usize, other: usize| {
            let (one, other) = (&self.all[one], &self.all[other]);
            (&one.label, &one.arguments) == (&other.label, &other.arguments)
        };
        for equal in order.chunk_by(|&one, &other| is_equal(one, other)) {
            for (number, &at) in equal.iter().enumerate() {
                let Called { label, arguments, .. } = &self.all[at];
                labels[at] = match number {
                    _ if !tools.repeated.contains(label) || tools.untold.contains(label) => label.clone(),
                    0 => format!("{label} {arguments}"),
                    number => format!("{label} {arguments}, {}", number + 1),
                };
            }
        }
        let labels = self.by_id.iter().map(|(id, calls)| (id.clone(), labels[calls[0]].clone())).collect();
        refer(value, &labels);
        let shared: BTreeSet<usize> =
            self.by_id.values().filter(|calls| !self.tells_one(calls)).flatten().copied().collect();
        if !shared.is_empty() {
            mark(value, &shared, &mut 0);
        }
    }
}

/// Says of the calls with these numbers that another one has their id, too: results cannot tell them apart.
fn mark(value: &mut Value, shared: &BTreeSet<usize>, at: &mut usize) {
    let is_call = call_of_value(value).is_some();
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| mark(element, shared, at)),
        Value::Object(members) if is_call => {
            for (key, member) in members {
                let id = match (key.as_str(), member) {
                    ("id" | "call_id", id) => Some(id),
                    ("toolUse", Value::Object(members)) => {
                        members.iter_mut().find(|(key, _)| key == "toolUseId").map(|(_, id)| id)
                    }
                    _ => None,
                };
                if let Some(Value::String(label)) = id.filter(|_| shared.contains(at))
                    && label.starts_with(CALL_LABEL)
                {
                    label.push_str(SHARED);
                }
            }
            *at += 1;
        }
        Value::Object(members) => {
            let others = members.iter_mut().filter(|(key, _)| key != "function_call");
            others.for_each(|(_, member)| mark(member, shared, at));
        }
        _ => {}
    }
}

/// What is known of tools, over all answers that are compared.
#[derive(Default)]
struct Tools {
    /// Labels of those that are called more than once.
    repeated: BTreeSet<String>,
    /// Labels of those of which it is not known which call a result is of.
    untold: BTreeSet<String>,
}

impl Tools {
    fn and(mut self, mut other: Self) -> Self {
        self.repeated.append(&mut other.repeated);
        self.untold.append(&mut other.untold);
        self
    }
}

/// Rewrites all calls below, and gathers them.
fn normalise(value: &mut Value, calls: &mut Calls) {
    let label = call_of_value(value).map(|name| {
        let end = name.char_indices().nth(LABEL_CHARS_MAX).map_or(name.len(), |(end, _)| end);
        format!("{CALL_LABEL}{}", &name[..end])
    });
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| normalise(element, calls)),
        Value::Object(members) => {
            for (key, member) in &mut *members {
                match (key.as_str(), &label) {
                    ("id" | "call_id", Some(label)) => calls.relabel(member, label),
                    // As calls were written before there could be several.
                    ("function_call", None) => normalise_function(member, None, calls),
                    ("function" | "toolUse", Some(label)) => normalise_function(member, Some(label), calls),
                    ("arguments", Some(_)) => calls.take_arguments(member),
                    // What the model wrote is as it wrote it.
                    (_, Some(_)) => {}
                    (_, None) => normalise(member, calls),
                }
            }
        }
        _ => {}
    }
    if let Some(label) = label {
        calls.push(label, value);
    }
}

fn normalise_function(value: &mut Value, label: Option<&str>, calls: &mut Calls) {
    let Value::Object(members) = value else { return };
    for (key, member) in members {
        match (key.as_str(), label) {
            ("arguments", _) => calls.take_arguments(member),
            ("toolUseId", Some(label)) => calls.relabel(member, label),
            _ => {}
        }
    }
}

/// Goes to the arguments of calls in the order in which [`normalise`] took them, with how each was written.
fn each_arguments(
    value: &mut Value,
    ways: &mut std::slice::Iter<'_, Arguments>,
    edit: &mut impl FnMut(&mut Value, Arguments),
) {
    let is_call = call_of_value(value).is_some();
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| each_arguments(element, ways, edit)),
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), is_call) {
                    ("arguments", true) => edit(member, next_of(ways)),
                    ("function_call", false) | ("function" | "toolUse", true) => {
                        if let Value::Object(members) = member {
                            let arguments = members.iter_mut().filter(|(key, _)| key == "arguments");
                            arguments.for_each(|(_, arguments)| edit(arguments, next_of(ways)));
                        }
                    }
                    (_, true) => {}
                    (_, false) => each_arguments(member, ways, edit),
                }
            }
        }
        _ => {}
    }
}

fn next_of(ways: &mut std::slice::Iter<'_, Arguments>) -> Arguments {
    ways.next().copied().unwrap_or(Arguments::Other)
}

/// Results of calls name the call as the call names itself.
fn refer(value: &mut Value, labels: &BTreeMap<String, String>) {
    match value {
        Value::Array(elements) => elements.iter_mut().for_each(|element| refer(element, labels)),
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(id) if key == "tool_use_id" || key == "call_id" => {
                        if let Some(label) = labels.get(id) {
                            id.clone_from(label);
                        }
                    }
                    member => refer(member, labels),
                }
            }
        }
        _ => {}
    }
}

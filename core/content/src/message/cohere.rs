//! Chats as Cohere's second version streams them: each event has the piece of the message where it stands in the whole.

use super::{
    Joined, Members, Piece,
    Step::{Index, Key},
    Unfinished, index,
    manner::{Manner, are_named},
};
use crate::json::Value;

/// What an event begins, adds to and ends: its name before the `-`, and whether it is open.
const CONTENT: &str = "content";
const CALL: &str = "tool-call";
const CITATION: &str = "citation";

#[derive(Default)]
struct State {
    answer: Members,
    message: Members,
    contents: Vec<Element>,
    calls: Vec<Element>,
    citations: Vec<Element>,
}

struct Element {
    members: Members,
    is_open: bool,
}

/// The answer that the events join to.
pub(super) fn joined(pieces: &[Piece], done: bool) -> Option<Joined> {
    let (mut state, mut end, mut pieces_count) = (State::default(), None, 0);
    let manner = Manner { is_named: Some(are_named(pieces)?), ..Manner::default() };
    for (at, piece) in pieces.iter().enumerate() {
        let kind = piece.text("type")?;
        (end.is_none() && (kind == "message-start") == (at == 0)).then_some(())?;
        pieces_count += u64::from(kind.ends_with("-delta"));
        state.take(kind, piece)?;
        if kind == "message-end" {
            end = Some(if done { "[DONE]".to_owned() } else { kind.to_owned() });
        }
    }
    let unfinished = state.unfinished();
    let message = state.into_value();
    Some(Joined { message, end, pieces: pieces_count, unfinished, manner })
}

/// What an event says, below `delta` and `message`: this member, and nothing beside it.
fn said<'p>(piece: &'p Piece, member: &str) -> Option<&'p Value> {
    has_only(&piece.data, &["type", "index", "delta"])?;
    let delta = piece.data.get("delta")?;
    has_only(delta, &["message"])?;
    let message = delta.get("message")?;
    has_only(message, &[member])?;
    message.get(member)
}

/// An object has nothing but these members.
fn has_only(value: &Value, known: &[&str]) -> Option<()> {
    let Value::Object(members) = value else { return None };
    members.iter().all(|(key, _)| known.contains(&key.as_str())).then_some(())
}

/// True for what is to come in pieces: no text yet, no elements yet.
fn is_yet_to_come(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(_) => false,
    }
}

impl State {
    fn take(&mut self, kind: &str, piece: &Piece) -> Option<()> {
        match kind {
            "message-start" => {
                if let Some(id) = piece.data.get("id") {
                    self.answer.set("id", id.clone());
                }
                has_only(&piece.data, &["type", "id", "delta"])?;
                let delta = piece.data.get("delta")?;
                has_only(delta, &["message"])?;
                self.message = Members::of(delta.get("message")?)?;
                let come_later = ["content", "tool_plan", "tool_calls", "citations"];
                come_later.iter().all(|key| is_yet_to_come(self.message.get(key))).then_some(())
            }
            "message-end" => {
                has_only(&piece.data, &["type", "id", "delta"])?;
                if let Some(id) = piece.data.get("id") {
                    self.answer.repeat("id", id)?;
                }
                let Value::Object(members) = piece.data.get("delta")? else { return None };
                members.iter().try_for_each(|(key, value)| self.answer.say(key, value))
            }
            "tool-plan-delta" => self.message.append("tool_plan", said(piece, "tool_plan")?),
            _ => {
                let (what, step) = kind.rsplit_once('-')?;
                let (elements, member) = match what {
                    CONTENT => (&mut self.contents, "content"),
                    CALL => (&mut self.calls, "tool_calls"),
                    CITATION => (&mut self.citations, "citations"),
                    _ => return None,
                };
                take_element(elements, member, step, piece)
            }
        }
    }

    fn unfinished(&self) -> Unfinished {
        let mut unfinished = Unfinished::default();
        let lists = [("content", &self.contents), ("tool_calls", &self.calls), ("citations", &self.citations)];
        for (member, elements) in lists {
            let list = [Key("message"), Key(member)];
            for (at, _) in elements.iter().enumerate().filter(|(_, element)| element.is_open) {
                unfinished.left_open.push([&list[..], &[Index(at)]].concat());
                let ends: &[&[_]] = match member {
                    "content" => &[&[Key("text")], &[Key("thinking")]],
                    "tool_calls" => &[&[Key("function"), Key("arguments")]],
                    _ => &[],
                };
                ends.iter().for_each(|end| unfinished.may_go_on([&list[..], &[Index(at)], end].concat()));
            }
            unfinished.may_go_on([&list[..], &[Index(elements.len())]].concat());
        }
        if self.contents.is_empty() && self.calls.is_empty() {
            unfinished.may_go_on([Key("message"), Key("tool_plan")]);
        }
        unfinished
    }

    fn into_value(mut self) -> Value {
        for (member, elements) in
            [("content", self.contents), ("tool_calls", self.calls), ("citations", self.citations)]
        {
            let all: Vec<Value> = elements.into_iter().map(|it| it.members.into_value()).collect();
            // What the beginning announces as an empty list and nothing was added to says nothing.
            if all.is_empty() {
                self.message.0.retain(|(key, value)| key != member || *value != Value::Array(Vec::new()));
            } else {
                self.message.set(member, Value::Array(all));
            }
        }
        self.message.0.retain(|(key, value)| key != "tool_plan" || value.as_str() != Some(""));
        self.answer.set("message", self.message.into_value());
        self.answer.into_value()
    }
}

fn take_element(elements: &mut Vec<Element>, member: &str, step: &str, piece: &Piece) -> Option<()> {
    let at = index(piece.data.get("index")?)?;
    match step {
        "start" if at == elements.len() => {
            let begun = said(piece, member)?;
            let is_begun =
                ["text", "thinking"].iter().all(|key| member == "citations" || is_yet_to_come(begun.get(key)));
            let arguments = begun.get("function").and_then(|function| function.get("arguments"));
            (is_begun && is_yet_to_come(arguments)).then_some(())?;
            let members = Members::of(begun)?;
            elements.push(Element { members, is_open: true });
            Some(())
        }
        "delta" => {
            let Value::Object(more) = said(piece, member)? else { return None };
            let element = elements.get_mut(at).filter(|it| it.is_open)?;
            more.iter().try_for_each(|(key, value)| add(&mut element.members, key, value))
        }
        "end" => {
            has_only(&piece.data, &["type", "index"])?;
            let element = elements.get_mut(at).filter(|it| it.is_open)?;
            element.is_open = false;
            Some(())
        }
        _ => None,
    }
}

/// Texts go on; of a call's function its arguments do.
fn add(members: &mut Members, key: &str, value: &Value) -> Option<()> {
    match (key, value) {
        ("function", Value::Object(more)) => {
            let mut function = members.take_object(key)?;
            for (key, value) in more {
                if key == "arguments" { function.append(key, value)? } else { function.agree(key, value)? }
            }
            members.set(key, function.into_value());
            Some(())
        }
        ("text" | "thinking", piece) => members.append(key, piece),
        (key, value) => members.agree(key, value),
    }
}

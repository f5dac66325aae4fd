//! Responses as OpenAI streams them: everything is said twice, in pieces and whole. Both have to agree.

use std::collections::BTreeMap;

use super::{Joined, Members, Piece, index};
use crate::json::Value;

/// Events that carry a piece of a text, what they are called without `.delta`, and the member in which `.done` has all of it.
const TEXTS: [(&str, &str); 6] = [
    ("response.output_text", "text"),
    ("response.refusal", "refusal"),
    ("response.function_call_arguments", "arguments"),
    ("response.reasoning_summary_text", "text"),
    ("response.reasoning_text", "text"),
    ("response.custom_tool_call_input", "input"),
];

/// Where a text belongs: the item, the part of it, and what kind of text.
type Place = (usize, usize, usize);

/// What an item of the output is so far.
struct Item {
    value: Value,
    is_done: bool,
}

/// The response that the events join to.
pub(super) fn joined(pieces: &[Piece]) -> Option<Joined> {
    let mut state = State::default();
    let is_numbered = pieces.first()?.data.get("sequence_number").is_some();
    for (at, piece) in pieces.iter().enumerate() {
        let kind = piece.text("type")?;
        let number = piece.data.get("sequence_number");
        let numbered = number.map(index) == is_numbered.then_some(Some(at));
        if !numbered || state.end.is_some() || piece.event.as_deref().is_some_and(|event| event != kind) {
            return None;
        }
        state.take(kind, piece)?;
    }
    let message = state.message()?;
    Some(Joined { message, end: state.end, pieces: state.pieces_count })
}

#[derive(Default)]
struct State {
    base: Option<Value>,
    items: Vec<Item>,
    texts: BTreeMap<Place, String>,
    /// Parts of each item so far: of its content, and of its summary.
    parts: BTreeMap<(usize, &'static str), usize>,
    whole: Option<Value>,
    end: Option<String>,
    pieces_count: u64,
}

impl State {
    fn take(&mut self, kind: &str, piece: &Piece) -> Option<()> {
        match kind {
            "response.created" if self.base.is_none() => self.base = Some(piece.data.get("response")?.clone()),
            "response.in_progress" | "response.queued" => {
                let without_status = |value: &Value| {
                    let mut members = Members::of(value)?;
                    members.set("status", Value::Null);
                    Some(members.into_value())
                };
                let (base, now) = (self.base.as_ref()?, piece.data.get("response")?);
                (without_status(base)? == without_status(now)?).then_some(())?;
            }
            "response.output_item.added" => {
                (index(piece.data.get("output_index")?)? == self.items.len()).then_some(())?;
                self.items.push(Item { value: piece.data.get("item")?.clone(), is_done: false });
            }
            "response.output_item.done" => {
                let item = self.items.get_mut(index(piece.data.get("output_index")?)?).filter(|item| !item.is_done)?;
                let done = piece.data.get("item")?;
                (item.value.get("id") == done.get("id")).then_some(())?;
                *item = Item { value: done.clone(), is_done: true };
            }
            "response.content_part.added" => self.take_part(piece, "content_index", true)?,
            "response.content_part.done" => self.take_part(piece, "content_index", false)?,
            "response.reasoning_summary_part.added" => self.take_part(piece, "summary_index", true)?,
            "response.reasoning_summary_part.done" => self.take_part(piece, "summary_index", false)?,
            "response.completed" | "response.incomplete" | "response.failed" => {
                self.whole = Some(piece.data.get("response")?.clone());
                self.end = Some(kind.to_owned());
            }
            "error" => {
                let Some(Value::Object(members)) = self.base.take() else { return None };
                let mut base = Members(members);
                base.set("error", piece.data.clone());
                self.base = Some(base.into_value());
            }
            _ => self.take_text(kind, piece)?,
        }
        Some(())
    }

    /// A piece of a text, or all of it, which has to be what came in pieces.
    fn take_text(&mut self, kind: &str, piece: &Piece) -> Option<()> {
        let (kind_at, (name, whole)) = TEXTS
            .iter()
            .enumerate()
            .find(|(_, (name, _))| kind.strip_prefix(name).is_some_and(|rest| matches!(rest, ".delta" | ".done")))?;
        self.takes_item_of(piece)?;
        let part = match *name {
            "response.function_call_arguments" | "response.custom_tool_call_input" => 0,
            "response.reasoning_summary_text" => index(piece.data.get("summary_index")?)?,
            _ => index(piece.data.get("content_index")?)?,
        };
        let place = (index(piece.data.get("output_index")?)?, part, kind_at);
        let known = self.texts.entry(place).or_default();
        if kind.len() > name.len() + ".done".len() {
            known.push_str(piece.text("delta")?);
            self.pieces_count += 1;
            return Some(());
        }
        (known == piece.text(whole)?).then_some(())
    }

    /// A part begins behind the others, or one of them ends.
    fn take_part(&mut self, piece: &Piece, which: &'static str, begins: bool) -> Option<()> {
        self.takes_item_of(piece)?;
        let count = self.parts.entry((index(piece.data.get("output_index")?)?, which)).or_default();
        let at = index(piece.data.get(which)?)?;
        (if begins { at == *count } else { at < *count }).then_some(())?;
        *count += usize::from(begins);
        Some(())
    }

    /// The item that an event is about has the id that the event gives.
    fn takes_item_of(&self, piece: &Piece) -> Option<()> {
        let item = self.items.get(index(piece.data.get("output_index")?)?)?;
        (item.value.get("id") == piece.data.get("item_id")).then_some(())
    }

    fn message(&self) -> Option<Value> {
        let mut items = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            items.push(if item.is_done { self.agreed(at, item)? } else { self.unfinished(at, item)? });
        }
        let output = Value::Array(items);
        if let Some(whole) = &self.whole {
            return (whole.get("output") == Some(&output)).then(|| whole.clone());
        }
        let mut base = Members::of(self.base.as_ref()?)?;
        base.set("output", output);
        Some(base.into_value())
    }

    /// An item that says what its pieces said.
    fn agreed(&self, at: usize, item: &Item) -> Option<Value> {
        let part_of = |list: &str, part: usize| match item.value.get(list) {
            Some(Value::Array(parts)) => parts.get(part),
            _ => None,
        };
        for ((_, part, kind), text) in self.texts.range((at, 0, 0)..(at + 1, 0, 0)) {
            let (name, member) = TEXTS[*kind];
            let found = match name {
                "response.function_call_arguments" | "response.custom_tool_call_input" => item.value.get(member),
                "response.reasoning_summary_text" => part_of("summary", *part).and_then(|part| part.get(member)),
                _ => part_of("content", *part).and_then(|part| part.get(member)),
            };
            (found.and_then(Value::as_str) == Some(text.as_str())).then_some(())?;
        }
        Some(item.value.clone())
    }

    /// An item as far as it came.
    fn unfinished(&self, at: usize, item: &Item) -> Option<Value> {
        let mut members = Members::of(&item.value)?;
        let mut parts = Vec::new();
        for ((_, _, kind), text) in self.texts.range((at, 0, 0)..(at + 1, 0, 0)) {
            let (name, member) = TEXTS[*kind];
            let text = Value::String(text.clone());
            if name.ends_with("arguments") || name.ends_with("input") {
                members.set(member, text);
            } else {
                parts.push(Value::Object(vec![(member.to_owned(), text)]));
            }
        }
        if !parts.is_empty() {
            members.set("content", Value::Array(parts));
        }
        Some(members.into_value())
    }
}

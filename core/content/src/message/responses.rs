//! Responses as OpenAI streams them: everything is said twice, in pieces and whole. Both have to agree.

use std::collections::BTreeMap;

use super::{
    Joined, Members, Piece,
    Step::{Index, Key},
    Unfinished, index,
    manner::{Manner, are_named},
};
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

/// The end of a response that went wrong.
const FAILED: &str = "response.failed";

/// Where a text belongs: the item, the part of it, and what kind of text.
type Place = (usize, usize, usize);

/// What an item of the output is so far.
struct Item {
    value: Value,
    is_done: bool,
}

/// What a part of an item is so far.
#[derive(Default)]
struct Part {
    value: Members,
    is_done: bool,
}

/// The response that the events join to.
pub(super) fn joined(pieces: &[Piece]) -> Option<Joined> {
    let mut state = State::default();
    let is_numbered = pieces.first()?.data.get("sequence_number").is_some();
    let manner = Manner { is_named: Some(are_named(pieces)?), is_numbered: Some(is_numbered), ..Manner::default() };
    for (at, piece) in pieces.iter().enumerate() {
        let kind = piece.text("type")?;
        let number = piece.data.get("sequence_number");
        let numbered = number.map(index) == is_numbered.then_some(Some(at));
        (numbered && state.end.is_none()).then_some(())?;
        state.take(kind, piece)?;
    }
    let message = state.message()?;
    let unfinished = state.unfinished();
    Some(Joined { message, end: state.end, pieces: state.pieces_count, unfinished, manner })
}

#[derive(Default)]
struct State {
    base: Option<Value>,
    items: Vec<Item>,
    texts: BTreeMap<Place, String>,
    /// Parts of each item so far: of its content, and of its summary.
    parts: BTreeMap<(usize, &'static str), Vec<Part>>,
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
            "response.completed" | "response.incomplete" | FAILED => {
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
        let parts = self.parts.entry((index(piece.data.get("output_index")?)?, which)).or_default();
        let at = index(piece.data.get(which)?)?;
        let part = Part { value: piece.data.get("part").and_then(Members::of).unwrap_or_default(), is_done: !begins };
        if begins {
            (at == parts.len()).then(|| parts.push(part))
        } else {
            parts.get_mut(at).map(|known| *known = part)
        }
    }

    /// The item that an event is about has the id that the event gives.
    fn takes_item_of(&self, piece: &Piece) -> Option<()> {
        let item = self.items.get(index(piece.data.get("output_index")?)?)?;
        (item.value.get("id") == piece.data.get("item_id")).then_some(())
    }

    fn message(&self) -> Option<Value> {
        let mut items = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            items.push(if item.is_done { self.agreed(at, item)? } else { self.unfinished_item(at, item)? });
        }
        let output = Value::Array(items);
        if let Some(whole) = &self.whole {
            let has_error =
                self.base.as_ref().is_some_and(|base| base.get("error").is_some_and(|it| *it != Value::Null));
            if has_error {
                return None;
            }
            let has_all = whole.get("output") == Some(&output);
            if has_all || self.end.as_deref() != Some(FAILED) {
                return has_all.then(|| whole.clone());
            }
            // What failed need not say again what had come of it, but it may not say otherwise.
            let says_nothing = match whole.get("output") {
                None | Some(Value::Null) => true,
                Some(Value::Array(items)) => items.is_empty(),
                Some(_) => false,
            };
            let mut whole = Members::of(whole).filter(|_| says_nothing)?;
            whole.set("output", output);
            return Some(whole.into_value());
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
            let (_, member) = TEXTS[*kind];
            let found = match list_of(*kind) {
                None => item.value.get(member),
                Some(list) => part_of(list, *part).and_then(|part| part.get(member)),
            };
            (found.and_then(Value::as_str) == Some(text.as_str())).then_some(())?;
        }
        Some(item.value.clone())
    }

    /// An item as far as it came.
    fn unfinished_item(&self, at: usize, item: &Item) -> Option<Value> {
        let mut members = Members::of(&item.value)?;
        for (which, member) in LISTS {
            let mut list: Vec<Members> = Vec::new();
            list.extend(self.parts.get(&(at, which)).into_iter().flatten().map(|part| part.value.clone()));
            for ((part, kind), text) in self.texts_of(at).filter(|((_, kind), _)| list_of(*kind) == Some(member)) {
                let text = Value::String(text.clone());
                match list.get_mut(part) {
                    Some(known) => known.set(TEXTS[kind].1, text),
                    None => list.push(Members(vec![(TEXTS[kind].1.to_owned(), text)])),
                }
            }
            if !list.is_empty() {
                members.set(member, Value::Array(list.into_iter().map(Members::into_value).collect()));
            }
        }
        for ((_, kind), text) in self.texts_of(at).filter(|((_, kind), _)| list_of(*kind).is_none()) {
            members.set(TEXTS[kind].1, Value::String(text.clone()));
        }
        Some(members.into_value())
    }

    /// Part and kind of each text of an item.
    fn texts_of(&self, at: usize) -> impl Iterator<Item = ((usize, usize), &String)> {
        self.texts.range((at, 0, 0)..(at + 1, 0, 0)).map(|((_, part, kind), text)| ((*part, *kind), text))
    }

    fn unfinished(&self) -> Unfinished {
        let mut unfinished = Unfinished::changing(&["status", "usage", "service_tier"]);
        unfinished.may_go_on([Key("output"), Index(self.items.len())]);
        for (at, _) in self.items.iter().enumerate().filter(|(_, item)| !item.is_done) {
            let item = [Key("output"), Index(at)];
            unfinished.may_change([&item[..], &[Key("status")]].concat());
            for (which, list) in LISTS {
                let parts = self.parts.get(&(at, which)).map_or(&[][..], Vec::as_slice);
                unfinished.may_go_on([&item[..], &[Key(list), Index(parts.len())]].concat());
                // One that was only begun has no text yet.
                for (part, _) in parts.iter().enumerate().filter(|(_, part)| !part.is_done) {
                    unfinished.may_go_on([&item[..], &[Key(list), Index(part), Key("text")]].concat());
                }
            }
            for ((part, kind), _) in self.texts_of(at) {
                let (_, member) = TEXTS[kind];
                let is_done =
                    |which| self.parts.get(&(at, which)).and_then(|parts| parts.get(part)).is_some_and(|it| it.is_done);
                match list_of(kind) {
                    None => unfinished.may_go_on([&item[..], &[Key(member)]].concat()),
                    Some(list) if LISTS.iter().any(|(which, name)| *name == list && is_done(*which)) => {}
                    Some(list) => unfinished.may_go_on([&item[..], &[Key(list), Index(part), Key(member)]].concat()),
                }
            }
        }
        unfinished
    }
}

/// Lists of an item's parts: what their place is called in events, and the item's member.
const LISTS: [(&str, &str); 2] = [("content_index", "content"), ("summary_index", "summary")];

/// The list that a text's part is in; `None` for a text of the item itself.
fn list_of(kind: usize) -> Option<&'static str> {
    match TEXTS[kind].0 {
        "response.function_call_arguments" | "response.custom_tool_call_input" => None,
        "response.reasoning_summary_text" => Some("summary"),
        _ => Some("content"),
    }
}

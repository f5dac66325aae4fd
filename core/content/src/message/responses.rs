//! Responses as OpenAI streams them: everything is said twice, in pieces and whole. Both have to agree.

use std::collections::BTreeMap;

use super::{
    Joined, Members, Piece,
    Step::{Index, Key},
    Unfinished, index,
    manner::{Manner, are_named},
};
use crate::json::Value;

/// Events that carry a piece of a text, what they are called without `.delta`, the member in which `.done` has all of it, and
/// the type of the item or part that has it.
const TEXTS: [(&str, &str, &str); 6] = [
    ("response.output_text", "text", "output_text"),
    ("response.refusal", "refusal", "refusal"),
    ("response.function_call_arguments", "arguments", "function_call"),
    ("response.reasoning_summary_text", "text", "summary_text"),
    ("response.reasoning_text", "text", "reasoning_text"),
    ("response.custom_tool_call_input", "input", "custom_tool_call"),
];

/// Members that say where the part of an event belongs, and what of the text it has.
const OF_PART: [&str; 5] = ["item_id", "output_index", "content_index", "summary_index", "part"];
const OF_TEXT: [&str; 5] = ["item_id", "output_index", "content_index", "summary_index", "logprobs"];

/// What an answer or an item is called while it is not done.
const IN_WORK: [&str; 2] = ["in_progress", "queued"];

/// What of an item another one stands for each time it is told: what a model thought, sealed.
const SEALED: &str = "encrypted_content";

/// The tier that is asked for where any will do: the answer is of another one.
const ANY_TIER: &str = "auto";

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

/// A text as it came in pieces.
#[derive(Default)]
struct Text {
    text: String,
    /// What the pieces say of each token, where they do.
    logprobs: Vec<Value>,
    /// True when all of it was said again.
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
    texts: BTreeMap<Place, Text>,
    /// Parts of each item so far: of its content, and of its summary.
    parts: BTreeMap<(usize, &'static str), Vec<Part>>,
    whole: Option<Value>,
    end: Option<String>,
    pieces_count: u64,
}

impl State {
    fn take(&mut self, kind: &str, piece: &Piece) -> Option<()> {
        let is_failed = self.base.as_ref().is_some_and(|base| base.get("error").is_some_and(|it| *it != Value::Null));
        (!is_failed || kind == "error").then_some(())?;
        match kind {
            "response.created" => {
                let response = response_of(piece)?;
                (self.base.is_none() && is_in_work(response)).then_some(())?;
                self.base = Some(Members::of(response)?.into_value());
            }
            "response.in_progress" | "response.queued" => {
                let without_status = |value: &Value| {
                    let mut members = Members::of(value)?;
                    members.set("status", Value::Null);
                    Some(members.into_value())
                };
                let (base, now) = (self.base.as_ref()?, response_of(piece)?);
                (is_in_work(now) && without_status(base)? == without_status(now)?).then_some(())?;
            }
            "response.output_item.added" => {
                has_only(piece, &["output_index", "item"])?;
                (index(piece.data.get("output_index")?)? == self.items.len()).then_some(())?;
                let value = Members::of(piece.data.get("item")?)?.into_value();
                self.items.push(Item { value, is_done: false });
            }
            "response.output_item.done" => {
                has_only(piece, &["output_index", "item"])?;
                let item = self.items.get_mut(index(piece.data.get("output_index")?)?).filter(|item| !item.is_done)?;
                let done = piece.data.get("item")?;
                becomes(&item.value, done)?;
                *item = Item { value: done.clone(), is_done: true };
            }
            "response.content_part.added" => self.take_part(piece, "content_index", true)?,
            "response.content_part.done" => self.take_part(piece, "content_index", false)?,
            "response.reasoning_summary_part.added" => self.take_part(piece, "summary_index", true)?,
            "response.reasoning_summary_part.done" => self.take_part(piece, "summary_index", false)?,
            "response.completed" | "response.incomplete" | FAILED => {
                let whole = response_of(piece)?;
                becomes(self.base.as_ref()?, whole)?;
                self.whole = Some(whole.clone());
                self.end = Some(kind.to_owned());
            }
            "error" => {
                let Some(Value::Object(members)) = self.base.take() else { return None };
                let mut base = Members(members);
                base.repeat("error", &piece.data)?;
                self.base = Some(base.into_value());
            }
            _ => self.take_text(kind, piece)?,
        }
        Some(())
    }

    /// A piece of a text, or all of it, which has to be what came in pieces.
    fn take_text(&mut self, kind: &str, piece: &Piece) -> Option<()> {
        let (kind_at, (name, whole, _)) = TEXTS
            .iter()
            .enumerate()
            .find(|(_, (name, ..))| kind.strip_prefix(name).is_some_and(|rest| matches!(rest, ".delta" | ".done")))?;
        has_only(piece, &[&OF_TEXT[..], &["delta", whole, "name"]].concat())?;
        let item = self.item_of(piece)?;
        let part = match *name {
            "response.function_call_arguments" | "response.custom_tool_call_input" => 0,
            "response.reasoning_summary_text" => index(piece.data.get("summary_index")?)?,
            _ => index(piece.data.get("content_index")?)?,
        };
        let is_delta = kind.ends_with(".delta");
        let is_of_call = item.get("name").is_none_or(|called| piece.data.get("name").is_none_or(|name| name == called));
        let is_said_once = piece.data.get(if is_delta { whole } else { "delta" }).is_none();
        (is_of_call && is_said_once && self.is_text_of(item, piece, kind_at, part)).then_some(())?;
        let place = (index(piece.data.get("output_index")?)?, part, kind_at);
        let known = self.texts.entry(place).or_default();
        self.pieces_count += u64::from(is_delta);
        if is_delta { known.take(piece) } else { known.end(piece, whole) }
    }

    /// True where a text of this kind is the item's, or that of a part that was begun and has not ended.
    fn is_text_of(&self, item: &Value, piece: &Piece, kind: usize, part: usize) -> bool {
        let is_of_type = |value: Option<&Value>| value.is_none_or(|it| it.as_str() == Some(TEXTS[kind].2));
        let Some(list) = list_of(kind) else { return is_of_type(item.get("type")) };
        let begun = LISTS.iter().find(|(_, name)| *name == list).and_then(|(index_name, _)| {
            let at = index(piece.data.get("output_index")?)?;
            self.parts.get(&(at, *index_name))?.get(part)
        });
        begun.is_some_and(|part| !part.is_done && is_of_type(part.value.get("type")))
    }

    /// A part begins behind the others, or one of them ends.
    fn take_part(&mut self, piece: &Piece, which: &'static str, begins: bool) -> Option<()> {
        has_only(piece, &OF_PART)?;
        self.item_of(piece)?;
        let parts = self.parts.entry((index(piece.data.get("output_index")?)?, which)).or_default();
        let at = index(piece.data.get(which)?)?;
        let value = piece.data.get("part").and_then(Members::of)?;
        if begins {
            (at == parts.len()).then(|| parts.push(Part { value, is_done: false }))
        } else {
            let known = parts.get_mut(at).filter(|part| !part.is_done)?;
            members_become(&known.value, &value)?;
            *known = Part { value, is_done: true };
            Some(())
        }
    }

    /// The item that an event is about: it has the id that the event gives, and is not done.
    fn item_of(&self, piece: &Piece) -> Option<&Value> {
        let item = self.items.get(index(piece.data.get("output_index")?)?).filter(|item| !item.is_done)?;
        (item.value.get("id") == piece.data.get("item_id")).then_some(&item.value)
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

    /// An item that says what its pieces and parts said, and nothing of what comes in pieces that did not come so.
    fn agreed(&self, at: usize, item: &Item) -> Option<Value> {
        for ((part, kind), text) in self.texts_of(at) {
            let holder = match list_of(kind) {
                None => Some(&item.value),
                Some(list) => elements_of(&item.value, list).get(part),
            };
            text.is_in(holder?, TEXTS[kind].1).then_some(())?;
        }
        for (which, list) in LISTS {
            let (parts, elements) = (self.parts_of(at, which), elements_of(&item.value, list));
            (parts.len() == elements.len()).then_some(())?;
            for (number, (part, element)) in parts.iter().zip(elements).enumerate() {
                let is_agreed = !part.is_done || matches!(element, Value::Object(members) if *members == part.value.0);
                (is_agreed && self.came_in_pieces(at, number, Some(list), element)).then_some(())?;
            }
        }
        self.came_in_pieces(at, 0, None, &item.value).then(|| item.value.clone())
    }

    /// True where each text of an item or a part of it came in pieces.
    fn came_in_pieces(&self, at: usize, part: usize, list: Option<&str>, holder: &Value) -> bool {
        let kinds = |member: &str| -> Vec<usize> {
            (0..TEXTS.len()).filter(|&kind| TEXTS[kind].1 == member && list_of(kind) == list).collect()
        };
        let is_told = |member: &str| kinds(member).iter().any(|kind| self.texts.contains_key(&(at, part, *kind)));
        let is_silent = |member: &str| holder.get(member).and_then(Value::as_str).is_none_or(str::is_empty);
        let mut members = TEXTS.iter().map(|(_, member, _)| *member).filter(|member| !kinds(member).is_empty());
        members.all(|member| is_silent(member) || is_told(member))
    }

    fn parts_of(&self, at: usize, which: &'static str) -> &[Part] {
        self.parts.get(&(at, which)).map_or(&[], Vec::as_slice)
    }

    /// An item as far as it came.
    fn unfinished_item(&self, at: usize, item: &Item) -> Option<Value> {
        let mut members = Members::of(&item.value)?;
        for (which, member) in LISTS {
            let mut list: Vec<Members> = Vec::new();
            list.extend(self.parts.get(&(at, which)).into_iter().flatten().map(|part| part.value.clone()));
            for ((part, kind), text) in self.texts_of(at).filter(|((_, kind), _)| list_of(*kind) == Some(member)) {
                let text = Value::String(text.text.clone());
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
            members.set(TEXTS[kind].1, Value::String(text.text.clone()));
        }
        Some(members.into_value())
    }

    /// Part and kind of each text of an item.
    fn texts_of(&self, at: usize) -> impl Iterator<Item = ((usize, usize), &Text)> {
        self.texts.range((at, 0, 0)..(at + 1, 0, 0)).map(|((_, part, kind), text)| ((*part, *kind), text))
    }

    fn unfinished(&self) -> Unfinished {
        let mut unfinished = Unfinished::changing(&["status", "usage", "service_tier"]);
        self.add_left_open(&mut unfinished);
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
                let (_, member, _) = TEXTS[kind];
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

impl State {
    /// Texts and parts of which nothing said that they end.
    fn add_left_open(&self, unfinished: &mut Unfinished) {
        for ((at, part, kind), _) in self.texts.iter().filter(|(_, text)| !text.is_done) {
            let mut place = vec![Key("output"), Index(*at)];
            place.extend(list_of(*kind).into_iter().flat_map(|list| [Key(list), Index(*part)]));
            place.push(Key(TEXTS[*kind].1));
            unfinished.left_open.push(place);
        }
        for ((at, which), parts) in &self.parts {
            let list = LISTS.iter().find(|(name, _)| name == which).map_or("content", |(_, list)| *list);
            let open = parts.iter().enumerate().filter(|(_, part)| !part.is_done);
            unfinished.left_open.extend(open.map(|(part, _)| vec![Key("output"), Index(*at), Key(list), Index(part)]));
        }
    }
}

impl Text {
    fn take(&mut self, piece: &Piece) -> Option<()> {
        (!self.is_done).then_some(())?;
        self.text.push_str(piece.text("delta")?);
        match piece.data.get("logprobs") {
            None => {}
            Some(Value::Array(more)) => self.logprobs.extend(more.iter().cloned()),
            Some(_) => return None,
        }
        Some(())
    }

    /// All of it, which has to be what came in pieces.
    fn end(&mut self, piece: &Piece, whole: &str) -> Option<()> {
        let is_first = !std::mem::replace(&mut self.is_done, true);
        (is_first && piece.data.get(whole).is_some() && self.is_in(&piece.data, whole)).then_some(())
    }

    /// True where that says the same, and the same of each token, in so far as either says anything of them.
    fn is_in(&self, holder: &Value, member: &str) -> bool {
        let logprobs = match holder.get("logprobs") {
            Some(Value::Array(logprobs)) => logprobs.as_slice(),
            Some(_) => return false,
            None => &[],
        };
        holder.get(member).and_then(Value::as_str) == Some(self.text.as_str()) && *logprobs == *self.logprobs
    }
}

/// The answer that an event has, and nothing else.
fn response_of(piece: &Piece) -> Option<&Value> {
    has_only(piece, &["response"])?;
    piece.data.get("response")
}

/// An event has nothing but these members, and what every event may have.
fn has_only(piece: &Piece, known: &[&str]) -> Option<()> {
    let of_all = ["type", "sequence_number", "obfuscation"];
    let is_known = |(key, _): &(String, Value)| of_all.contains(&key.as_str()) || known.contains(&key.as_str());
    piece.members()?.iter().all(is_known).then_some(())
}

/// True for an answer that is not done, where it says how it stands.
fn is_in_work(response: &Value) -> bool {
    response.get("status").is_none_or(|status| status.as_str().is_some_and(|status| IN_WORK.contains(&status)))
}

/// What was said at the beginning agrees with what is said when it is done.
fn becomes(begun: &Value, done: &Value) -> Option<()> {
    members_become(&Members::of(begun)?, &Members::of(done)?)
}

fn members_become(begun: &Members, done: &Members) -> Option<()> {
    begun.0.iter().all(|(key, value)| done.get(key) == Some(value) || is_yet_to_come(key, value)).then_some(())
}

/// What a member says before all of it came.
fn is_yet_to_come(key: &str, value: &Value) -> bool {
    match (key, value) {
        ("status", Value::String(status)) => IN_WORK.contains(&status.as_str()),
        ("service_tier", Value::String(tier)) => tier == ANY_TIER,
        (SEALED, Value::String(_)) => true,
        ("text" | "refusal" | "arguments" | "input", Value::String(text)) => text.is_empty(),
        ("output" | "content" | "summary" | "annotations" | "logprobs", Value::Array(list)) => list.is_empty(),
        (_, value) => *value == Value::Null,
    }
}

fn elements_of<'v>(value: &'v Value, list: &str) -> &'v [Value] {
    match value.get(list) {
        Some(Value::Array(elements)) => elements,
        _ => &[],
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

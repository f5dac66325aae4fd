//! Completions and chat completions as OpenAI streams them, and whoever speaks that: each event has a piece of each choice.

use std::collections::BTreeMap;

use super::{
    Joined, Manner, Members, Piece,
    Step::{Index, Key},
    Unfinished, index, says_nothing,
};
use crate::json::Value;

/// Members of a delta that are pieces of a text.
const TEXTS: [&str; 5] = ["content", "refusal", "reasoning", "reasoning_content", "thinking"];

/// Members that every event has, or none.
const ENVELOPE: [&str; 4] = ["id", "object", "created", "model"];

#[derive(Default)]
struct Choice {
    /// Beside the message.
    members: Members,
    message: Members,
    calls: BTreeMap<usize, Call>,
    last: Last,
}

/// What was said last.
#[derive(Clone, Copy)]
enum Last {
    Text(&'static str),
    Call(usize),
    Function,
}

impl Default for Last {
    fn default() -> Self {
        Self::Text("content")
    }
}

#[derive(Default)]
struct Call {
    members: Members,
    function: Members,
    /// Of a call whose argument is a text.
    custom: Members,
}

/// The completion that the chunks join to.
pub(super) fn joined(pieces: &[Piece], done: bool) -> Option<Joined> {
    let mut envelope = Members::default();
    let mut choices: BTreeMap<usize, Choice> = BTreeMap::new();
    let (mut pieces_count, mut said, mut errors) = (0, [0; ENVELOPE.len()], 0);
    let mut manner = Manner::default();
    for piece in pieces {
        let members = piece.members()?;
        let is_error = piece.data.get("choices").is_none() && piece.data.get("error").is_some();
        if piece.event.as_deref().is_some_and(|event| !is_error || event != "error") {
            return None;
        }
        if is_error {
            errors += 1;
            let is_named = piece.event.is_some();
            (*manner.is_named.get_or_insert(is_named) == is_named).then_some(())?;
            let mut repeated = members.iter().filter(|(key, _)| ENVELOPE.contains(&key.as_str()));
            repeated.try_for_each(|(key, value)| envelope.agree(key, value))?;
            envelope.agree("error", &piece.error_beside(&ENVELOPE)?)?;
            continue;
        }
        (errors == 0).then_some(())?;
        for (count, key) in said.iter_mut().zip(ENVELOPE) {
            *count += usize::from(members.iter().any(|(name, _)| name == key));
        }
        for (key, value) in members {
            match (key.as_str(), value) {
                ("choices", Value::Array(deltas)) => {
                    pieces_count += u64::from(!deltas.is_empty());
                    for delta in deltas {
                        let at = index(delta.get("index")?)?;
                        choices.entry(at).or_default().take(delta)?;
                    }
                }
                ("choices", _) => return None,
                // Padding that hides how long pieces are; says nothing.
                ("obfuscation" | "p", Value::String(_)) => {}
                // Some count as they go, some at the end.
                ("usage", Value::Null) => {}
                ("usage", usage) => envelope.set("usage", usage.clone()),
                // Groq's last event says more in it than its first.
                ("x_groq", Value::Object(members)) => {
                    let mut known = envelope.take_object(key)?;
                    members.iter().try_for_each(|(key, value)| known.repeat(key, value))?;
                    envelope.set(key, known.into_value());
                }
                _ => envelope.agree(key, value)?,
            }
        }
    }
    // What each event repeats, none leaves out but one that tells of an error.
    said.iter().all(|count| *count == 0 || *count == pieces.len() - errors).then_some(())?;
    if let Some(Value::String(object)) = envelope.get_mut("object")
        && object == "chat.completion.chunk"
    {
        "chat.completion".clone_into(object);
    }
    let mut unfinished = Unfinished::changing(&["usage", "x_groq"]);
    unfinished.may_go_on([Key("choices"), Index(choices.len())]);
    for (at, choice) in choices.values().enumerate() {
        choice.add_unfinished(at, &mut unfinished);
    }
    for (at, choice) in &choices {
        manner.calls_from.extend(choice.calls_from()?.map(|first| (*at, first)));
    }
    envelope.set("choices", Value::Array(choices.into_iter().map(Choice::into_value).collect()));
    let end = done.then(|| "[DONE]".to_owned());
    Some(Joined { message: envelope.into_value(), end, pieces: pieces_count, unfinished, manner })
}

impl Choice {
    /// Until it says why it is done, its text goes on, or its last call.
    fn add_unfinished(&self, at: usize, unfinished: &mut Unfinished) {
        if self.members.get("finish_reason").is_some_and(|reason| !says_nothing(reason)) {
            return;
        }
        let choice = [Key("choices"), Index(at)];
        let place: &[_] = match self.last {
            Last::Text(text) if self.members.get(text).is_some() => &[Key(text)],
            Last::Text(text) => &[Key("message"), Key(text)],
            Last::Call(call) => {
                let before = self.calls.range(..call).count();
                let is_custom = self.calls.get(&call).is_some_and(|call| !call.custom.0.is_empty());
                let [called, argument] = if is_custom { ["custom", "input"] } else { ["function", "arguments"] };
                &[Key("message"), Key("tool_calls"), Index(before), Key(called), Key(argument)]
            }
            Last::Function => &[Key("message"), Key("function_call"), Key("arguments")],
        };
        unfinished.may_go_on([&choice, place].concat());
        unfinished.may_go_on([&choice[..], &[Key("message"), Key("tool_calls"), Index(self.calls.len())]].concat());
        for key in ["content_filter_results", "content_filter_result", "content_filter_offsets"] {
            unfinished.may_change([&choice[..], &[Key(key)]].concat());
        }
        for key in ["content", "refusal"] {
            if let Some(Value::Array(list)) = self.members.get("logprobs").and_then(|lists| lists.get(key)) {
                unfinished.may_go_on([&choice[..], &[Key("logprobs"), Key(key), Index(list.len())]].concat());
            }
        }
    }

    /// The index of its first call, where it has one; `None` where one is left out between them.
    fn calls_from(&self) -> Option<Option<usize>> {
        let first = self.calls.keys().next().copied();
        let from = first.unwrap_or_default();
        self.calls.keys().copied().eq(from..from + self.calls.len()).then_some(first)
    }

    fn take(&mut self, delta: &Value) -> Option<()> {
        let Value::Object(members) = delta else { return None };
        let piece = delta.get("delta");
        let says_more = [Some(delta), piece].into_iter().flatten().any(goes_on);
        let is_ended = |choice: Option<&Value>| choice.is_some_and(|reason| !says_nothing(reason));
        let goes_on_behind_end =
            says_more && is_ended(self.members.get("finish_reason")) && !is_ended(delta.get("finish_reason"));
        (!goes_on_behind_end).then_some(())?;
        for (key, value) in members {
            match (key.as_str(), value) {
                ("index", _) => {}
                ("delta", Value::Object(members)) => self.take_delta(members)?,
                // Writer says each piece twice (its API's reference calls the second one deprecated).
                ("message", said) if piece.is_some() => {
                    (*said == Value::Null || piece == Some(said)).then_some(())?;
                }
                ("text", piece) => {
                    self.members.append("text", piece)?;
                    self.last = Last::Text("text");
                }
                ("logprobs", Value::Object(lists)) => self.take_logprobs(lists)?,
                // What a filter says of the text so far.
                (key, value) if key.starts_with("content_filter") => self.members.say(key, value)?,
                (_, Value::Null) => {}
                (key, value) => self.members.agree(key, value)?,
            }
        }
        Some(())
    }

    fn take_delta(&mut self, members: &[(String, Value)]) -> Option<()> {
        for (key, value) in members {
            match (key.as_str(), value) {
                (key, piece) if TEXTS.contains(&key) => {
                    self.message.append(key, piece)?;
                    if let Some(text) = TEXTS.into_iter().find(|text| *text == key && !says_nothing(piece)) {
                        self.last = Last::Text(text);
                    }
                }
                ("tool_calls", Value::Array(calls)) => {
                    for call in calls {
                        let at = index(call.get("index")?)?;
                        self.calls.entry(at).or_default().take(call)?;
                        self.last = Last::Call(at);
                    }
                }
                ("function_call", Value::Object(members)) => {
                    let mut call = self.message.take_object("function_call")?;
                    take_function(&mut call, members)?;
                    self.message.set("function_call", call.into_value());
                    self.last = Last::Function;
                }
                (_, Value::Null) => {}
                (key, value) => self.message.agree(key, value)?,
            }
        }
        Some(())
    }

    /// Lists with an entry for each token.
    fn take_logprobs(&mut self, lists: &[(String, Value)]) -> Option<()> {
        let mut known = self.members.take_object("logprobs")?;
        for (key, value) in lists {
            match (known.get_mut(key), value) {
                (Some(Value::Array(known)), Value::Array(more)) => known.extend(more.iter().cloned()),
                (_, Value::Null) => {}
                _ => known.agree(key, value)?,
            }
        }
        self.members.set("logprobs", known.into_value());
        Some(())
    }

    fn into_value((at, mut choice): (usize, Self)) -> Value {
        if !choice.calls.is_empty() {
            let calls = choice.calls.into_values().map(Call::into_value).collect();
            choice.message.set("tool_calls", Value::Array(calls));
        }
        let mut members = Members(vec![("index".to_owned(), Value::Number(at.to_string()))]);
        if !choice.message.0.is_empty() {
            members.set("message", choice.message.into_value());
        }
        members.0.append(&mut choice.members.0);
        members.into_value()
    }
}

impl Call {
    fn take(&mut self, call: &Value) -> Option<()> {
        let Value::Object(members) = call else { return None };
        for (key, value) in members {
            match (key.as_str(), value) {
                ("index", _) => {}
                ("function", Value::Object(members)) => take_function(&mut self.function, members)?,
                ("custom", Value::Object(members)) => take_function(&mut self.custom, members)?,
                (key, value) => self.members.agree(key, value)?,
            }
        }
        Some(())
    }

    fn into_value(mut self) -> Value {
        if !self.function.0.is_empty() {
            self.members.set("function", self.function.into_value());
        }
        if !self.custom.0.is_empty() {
            self.members.set("custom", self.custom.into_value());
        }
        self.members.into_value()
    }
}

/// True for a choice or a delta that says more of the message: whoever stops at the end that was told does not see it.
fn goes_on(delta: &Value) -> bool {
    let says =
        |key: &&str| delta.get(key).is_some_and(|value| !says_nothing(value) && *value != Value::Array(Vec::new()));
    TEXTS.iter().chain(&["text", "tool_calls", "function_call"]).any(says)
}

fn take_function(function: &mut Members, members: &[(String, Value)]) -> Option<()> {
    for (key, value) in members {
        let is_piece = matches!(key.as_str(), "arguments" | "input");
        if is_piece { function.append(key, value)? } else { function.agree(key, value)? }
    }
    Some(())
}

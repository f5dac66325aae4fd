//! Messages as Bedrock's `ConverseStream` sends them, as Nova's models stream in their own format, which is the same with each event's
//! type as its only member, and as Titan's do (Bedrock's user guide, "Amazon Titan Text models"): pieces of one text.

use std::collections::BTreeMap;

use super::{
    Joined, Manner, Members, Piece,
    Step::{self, Index, Key},
    Unfinished, arguments_of, failure, index,
};
use crate::json::Value;

/// What Bedrock adds to what a model says.
const BEDROCK: &str = "amazon-bedrock-";

/// Where the input of a call stands in its block.
const CALL_INPUT: &[Step] = &[Key("toolUse"), Key("input")];

#[derive(Default)]
struct Block {
    members: Members,
    /// Of a call: its input as far as it came.
    input: Option<String>,
    is_closed: bool,
    /// Where its last piece belongs.
    last: &'static [Step],
}

/// Events, and what Bedrock added to them.
type Unwrapped = (Vec<Piece>, Vec<(String, Value)>);

/// Unwraps what a model of Nova says in its own format; `None` where it is another one.
pub(super) fn unwrapped(pieces: &[Piece]) -> Option<Unwrapped> {
    let (mut events, mut beside) = (Vec::new(), Vec::new());
    for piece in pieces {
        let (added, said): (Vec<_>, Vec<_>) =
            piece.members()?.iter().cloned().partition(|(key, _)| key.starts_with(BEDROCK));
        let [(event, data)] = <[_; 1]>::try_from(said).ok()?;
        beside.extend(added);
        events.push(Piece { event: Some(event), data });
    }
    Some((events, beside))
}

/// The answer that the events join to. `beside` is what Bedrock added, of which the last word counts; where there are blocks for
/// each piece of a text (`in_pieces`), they are one.
pub(super) fn joined(pieces: &[Piece], beside: &[(String, Value)], in_pieces: bool) -> Option<Joined> {
    let (mut answer, mut message) = (Members::default(), Members::default());
    let mut blocks: BTreeMap<usize, Block> = BTreeMap::new();
    let (mut end, mut is_told, mut pieces_count) = (None, false, 0);
    for (at, piece) in pieces.iter().enumerate() {
        let kind = piece.event.as_deref()?;
        let members = piece.members()?;
        // Padding that hides how long pieces are says nothing.
        let said = || members.iter().filter(|(key, _)| key != "p");
        let only = |known: &[&str]| said().all(|(key, _)| known.contains(&key.as_str()));
        let is_first = at == 0;
        let may_come = match kind {
            "metadata" => !is_told,
            _ => end.is_none(),
        };
        (may_come && answer.get("error").is_none()).then_some(())?;
        match kind {
            "messageStart" if is_first => said().try_for_each(|(key, value)| message.push(key, value))?,
            _ if is_first => return None,
            "contentBlockStart" if only(&["contentBlockIndex", "start"]) => {
                let block = blocks.entry(index(piece.data.get("contentBlockIndex")?)?).or_default();
                block.members.0.is_empty().then_some(())?;
                block.members = Members::of(piece.data.get("start")?)?;
                block.has_no_input().then_some(())?;
                block.last = CALL_INPUT;
            }
            "contentBlockDelta" if only(&["contentBlockIndex", "delta"]) => {
                pieces_count += 1;
                let block = blocks.entry(index(piece.data.get("contentBlockIndex")?)?).or_default();
                (!block.is_closed).then_some(())?;
                block.take(piece.data.get("delta")?)?;
            }
            "contentBlockStop" if only(&["contentBlockIndex"]) => {
                let block = blocks.entry(index(piece.data.get("contentBlockIndex")?)?).or_default();
                (!std::mem::replace(&mut block.is_closed, true)).then_some(())?;
            }
            "messageStop" => {
                said().try_for_each(|(key, value)| answer.say(key, value))?;
                end = Some(kind.to_owned());
            }
            "metadata" => {
                said().try_for_each(|(key, value)| answer.say(key, value))?;
                is_told = true;
            }
            _ => answer.set("error", failure(piece)?),
        }
    }
    beside.iter().try_for_each(|(key, value)| answer.say(key, value))?;
    // Where each piece of a text is a block, their indices say where it was split.
    (in_pieces || blocks.keys().copied().eq(0..blocks.len())).then_some(())?;
    let mut content = Vec::new();
    let mut unfinished = Unfinished::default();
    let list = [Key("output"), Key("message"), Key("content")];
    for block in blocks.into_values() {
        let (is_closed, last) = (block.is_closed && !in_pieces, block.last);
        add(&mut content, block.into_value(), in_pieces);
        if !is_closed {
            let block = [&list[..], &[Index(content.len() - 1)]].concat();
            unfinished.may_go_on([&block[..], last].concat());
            unfinished.left_open.extend((!in_pieces).then_some(block));
        }
    }
    unfinished.may_go_on([&list[..], &[Index(content.len())]].concat());
    message.set("content", Value::Array(content));
    answer.set("output", Value::Object(vec![("message".to_owned(), message.into_value())]));
    Some(Joined { message: answer.into_value(), end, pieces: pieces_count, unfinished, manner: Manner::default() })
}

/// True for a piece of a text by Titan.
pub(super) fn is_titan(piece: &Piece) -> bool {
    matches!(piece.data.get("outputText"), Some(Value::String(_)))
}

/// The answer that the pieces of a text by Titan join to: the one that its models give where they do not stream.
pub(super) fn of_titan(pieces: &[Piece]) -> Option<Joined> {
    let (mut answer, mut result, mut end) = (Members::default(), Members::default(), None);
    for piece in pieces {
        end.is_none().then_some(())?;
        for (key, value) in piece.members()? {
            match (key.as_str(), value) {
                ("outputText", piece) => result.append(key, piece)?,
                // Where it was split.
                ("index", Value::Number(_)) => {}
                (_, Value::Null) => {}
                // So far.
                ("totalOutputTextTokenCount", count) => result.say("tokenCount", count)?,
                ("completionReason", reason) => {
                    result.agree(key, reason)?;
                    end = Some(key.clone());
                }
                ("inputTextTokenCount", count) => answer.agree(key, count)?,
                (key, value) if key.starts_with(BEDROCK) => answer.say(key, value)?,
                _ => return None,
            }
        }
    }
    answer.set("results", Value::Array(vec![result.into_value()]));
    let result = [Key("results"), Index(0)];
    let mut unfinished = Unfinished::default();
    unfinished.may_go_on([&result[..], &[Key("outputText")]].concat());
    unfinished.may_change([&result[..], &[Key("tokenCount")]].concat());
    Some(Joined {
        message: answer.into_value(),
        end,
        pieces: pieces.len() as u64,
        unfinished,
        manner: Manner::default(),
    })
}

/// Adds a block; a piece of a text to the text before it.
fn add(content: &mut Vec<Value>, block: Value, in_pieces: bool) {
    let text = |value: &Value| match value {
        Value::Object(members) => matches!(&members[..], [(key, _)] if key == "text"),
        _ => false,
    };
    if in_pieces
        && text(&block)
        && let Some(Value::Object(known)) = content.last_mut().filter(|last| text(last))
        && let [(_, Value::String(known))] = &mut known[..]
    {
        known.push_str(block.get("text").and_then(Value::as_str).unwrap_or_default());
    } else {
        content.push(block);
    }
}

impl Block {
    /// True where no call, or one whose input is yet to come, begins it.
    fn has_no_input(&self) -> bool {
        self.members.get("toolUse").is_none_or(|call| call.get("input").is_none())
    }

    fn take(&mut self, delta: &Value) -> Option<()> {
        let Value::Object(members) = delta else { return None };
        let [(key, value)] = &members[..] else { return None };
        self.last = match key.as_str() {
            "toolUse" => CALL_INPUT,
            "reasoningContent" => &[Key("reasoningContent"), Key("reasoningText"), Key("text")],
            _ => &[Key("text")],
        };
        match (key.as_str(), value) {
            ("text", piece) => self.members.append(key, piece),
            ("toolUse", Value::Object(members)) => match &members[..] {
                [(key, Value::String(piece))] if key == "input" => {
                    self.input.get_or_insert_default().push_str(piece);
                    Some(())
                }
                _ => None,
            },
            ("reasoningContent", Value::Object(members)) => {
                let mut reasoning = self.members.take_object(key)?;
                for (key, piece) in members {
                    match key.as_str() {
                        "text" | "signature" => {
                            let mut text = reasoning.take_object("reasoningText")?;
                            text.append(key, piece)?;
                            reasoning.set("reasoningText", text.into_value());
                        }
                        "redactedContent" => reasoning.append(key, piece)?,
                        _ => return None,
                    }
                }
                self.members.set(key, reasoning.into_value());
                Some(())
            }
            _ => None,
        }
    }

    fn into_value(mut self) -> Value {
        if let Some(input) = self.input
            && let Some(mut call) = self.members.take_object("toolUse")
        {
            // A call without arguments sends an empty text.
            call.set("input", arguments_of(if input.is_empty() { "{}".to_owned() } else { input }));
            self.members.set("toolUse", call.into_value());
        }
        self.members.into_value()
    }
}

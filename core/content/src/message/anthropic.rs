//! Messages as Anthropic streams them: a message without content, then its blocks piece by piece, then why it ended.

use super::{
    Joined, Members, Piece,
    Step::{Index, Key},
    Unfinished, arguments_of, index,
    manner::{Manner, are_named},
    says_nothing,
};
use crate::json::Value;

/// Members of a block that come in pieces, or whole with its beginning.
const IN_PIECES: [&str; 4] = ["text", "thinking", "signature", INPUT];

/// The arguments of a call.
const INPUT: &str = "input";

struct Block {
    members: Members,
    /// Of a call: its input as far as it came; `None` where no piece of it did.
    input: Option<String>,
    is_open: bool,
    /// What its last piece was of.
    last: &'static str,
}

/// The message that the events join to.
pub(super) fn joined(pieces: &[Piece]) -> Option<Joined> {
    let mut message: Option<Members> = None;
    let mut blocks: Vec<Block> = Vec::new();
    let (mut end, mut pieces_count) = (None, 0);
    let mut manner = Manner { is_named: Some(are_named(pieces)?), ..Manner::default() };
    for piece in pieces {
        let kind = piece.text("type")?;
        let is_failed =
            message.as_ref().is_some_and(|message| message.get("error").is_some_and(|error| *error != Value::Null));
        (end.is_none() && (!is_failed || matches!(kind, "error" | "ping"))).then_some(())?;
        let members = piece.members()?;
        let only = |known: &[&str]| members.iter().all(|(key, _)| key == "type" || known.contains(&key.as_str()));
        match kind {
            "ping" if only(&[]) => {}
            "message_start" if message.is_none() && only(&["message"]) => {
                let begun = Members::of(piece.data.get("message")?)?;
                begun.get("content").is_none_or(|content| *content == Value::Array(Vec::new())).then_some(())?;
                message = Some(begun);
            }
            "content_block_start" if only(&["index", "content_block"]) => {
                message.as_ref()?.get("content")?;
                (index(piece.data.get("index")?)? == blocks.len()).then_some(())?;
                blocks.push(Block::begun(piece.data.get("content_block")?, &mut manner)?);
            }
            "content_block_delta" if only(&["index", "delta"]) => {
                pieces_count += 1;
                let block = blocks.get_mut(index(piece.data.get("index")?)?).filter(|block| block.is_open)?;
                block.take(piece.data.get("delta")?, &mut manner)?;
            }
            "content_block_stop" if only(&["index"]) => {
                let block = blocks.get_mut(index(piece.data.get("index")?)?).filter(|block| block.is_open)?;
                block.is_open = false;
            }
            "message_delta" => {
                let message = message.as_mut()?;
                members.iter().try_for_each(|(key, value)| take_message_delta(message, key, value))?;
            }
            "message_stop" => {
                let message = message.as_mut()?;
                let mut others = members.iter().filter(|(key, _)| key != "type");
                others.try_for_each(|(key, value)| message.repeat(key, value))?;
                end = Some(kind.to_owned());
            }
            "error" if only(&["error", "request_id"]) => {
                message.as_mut()?.repeat("error", piece.data.get("error")?)?;
            }
            _ => return None,
        }
    }
    let mut message = message?;
    let mut unfinished = Unfinished::changing(&["usage"]);
    unfinished.may_go_on([Key("content"), Index(blocks.len())]);
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.is_open) {
        unfinished.left_open.push(vec![Key("content"), Index(at)]);
        unfinished.may_go_on([Key("content"), Index(at), Key(block.last)]);
        if let Some(Value::Array(citations)) = block.members.get("citations") {
            unfinished.may_go_on([Key("content"), Index(at), Key("citations"), Index(citations.len())]);
        }
    }
    if !blocks.is_empty() {
        message.set("content", Value::Array(blocks.into_iter().map(Block::into_value).collect()));
    }
    Some(Joined { message: message.into_value(), end, pieces: pieces_count, unfinished, manner })
}

/// Why a message ended and what it took, said at its end, replaces what was said at its beginning; all else has to agree with it.
fn take_message_delta(message: &mut Members, key: &str, value: &Value) -> Option<()> {
    match (key, value) {
        ("type", _) => {}
        ("delta", Value::Object(members)) => {
            for (key, value) in members {
                let is_of_end = matches!(key.as_str(), "stop_reason" | "stop_sequence");
                if is_of_end { message.say(key, value)? } else { message.repeat(key, value)? }
            }
        }
        ("usage", Value::Object(counts)) => {
            let mut usage = message.take_object("usage")?;
            counts.iter().try_for_each(|(key, value)| usage.say(key, value))?;
            message.set("usage", usage.into_value());
        }
        (key, value) => message.repeat(key, value)?,
    }
    Some(())
}

impl Block {
    fn begun(block: &Value, manner: &mut Manner) -> Option<Self> {
        let members = Members::of(block)?;
        let has_come = |key: &&str| members.get(key).is_some_and(|value| !is_yet_to_come(value));
        IN_PIECES.into_iter().filter(has_come).try_for_each(|key| manner.note(key, false))?;
        Some(Self { members, input: None, is_open: true, last: "text" })
    }

    fn take(&mut self, delta: &Value, manner: &mut Manner) -> Option<()> {
        let Value::Object(members) = delta else { return None };
        let kind = delta.get("type")?.as_str()?;
        let (key, value) = match members.iter().filter(|(key, _)| key != "type").collect::<Vec<_>>()[..] {
            [(key, value)] => (key.as_str(), value),
            _ => return None,
        };
        self.last = match key {
            "thinking" | "signature" => "thinking",
            "partial_json" => "input",
            _ => "text",
        };
        match (kind, key, value) {
            ("text_delta", "text", piece)
            | ("thinking_delta", "thinking", piece)
            | ("signature_delta", "signature", piece) => {
                self.note_piece(key, piece, manner)?;
                self.members.append(key, piece)
            }
            ("input_json_delta", "partial_json", Value::String(text)) => {
                self.note_piece(INPUT, value, manner)?;
                self.input.get_or_insert_default().push_str(text);
                (self.members.get(INPUT) == Some(&Value::Object(Vec::new()))).then_some(())
            }
            ("citations_delta", "citation", citation) => {
                match self.members.get_mut("citations") {
                    Some(Value::Array(citations)) => citations.push(citation.clone()),
                    _ => self.members.set("citations", Value::Array(vec![citation.clone()])),
                }
                Some(())
            }
            _ => None,
        }
    }

    /// Notes that a member comes in pieces, as far as this one says anything.
    fn note_piece(&self, key: &str, piece: &Value, manner: &mut Manner) -> Option<()> {
        let member = IN_PIECES.into_iter().find(|member| *member == key)?;
        if says_nothing(piece) { Some(()) } else { manner.note(member, true) }
    }

    fn into_value(mut self) -> Value {
        if let Some(input) = self.input.filter(|input| !input.is_empty()) {
            self.members.set(INPUT, arguments_of(input));
        }
        self.members.into_value()
    }
}

/// True for a member of a block that is to come in pieces.
fn is_yet_to_come(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Object(members) => members.is_empty(),
        value => *value == Value::Null,
    }
}

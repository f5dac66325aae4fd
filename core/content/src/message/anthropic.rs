//! Messages as Anthropic streams them: a message without content, then its blocks piece by piece, then why it ended.

use super::{
    Joined, Members, Piece,
    Step::{Index, Key},
    Unfinished, index,
    manner::{Manner, are_named},
};
use crate::json::{self, Value};

struct Block {
    members: Members,
    /// Of a call: its input as far as it came.
    input: String,
    is_open: bool,
    /// What its last piece was of.
    last: &'static str,
}

/// The message that the events join to.
pub(super) fn joined(pieces: &[Piece]) -> Option<Joined> {
    let mut message: Option<Members> = None;
    let mut blocks: Vec<Block> = Vec::new();
    let (mut end, mut pieces_count) = (None, 0);
    let manner = Manner { is_named: Some(are_named(pieces)?), ..Manner::default() };
    for piece in pieces {
        let kind = piece.text("type")?;
        end.is_none().then_some(())?;
        let members = piece.members()?;
        let only = |known: &[&str]| members.iter().all(|(key, _)| key == "type" || known.contains(&key.as_str()));
        match kind {
            "ping" if only(&[]) => {}
            "message_start" if message.is_none() && only(&["message"]) => {
                message = Some(Members::of(piece.data.get("message")?)?);
            }
            "content_block_start" if only(&["index", "content_block"]) => {
                let members = Members::of(piece.data.get("content_block")?)?;
                let is_next = index(piece.data.get("index")?)? == blocks.len();
                blocks.push(Block { members, input: String::new(), is_open: is_next.then_some(true)?, last: "text" });
            }
            "content_block_delta" if only(&["index", "delta"]) => {
                pieces_count += 1;
                let block = blocks.get_mut(index(piece.data.get("index")?)?).filter(|block| block.is_open)?;
                block.take(piece.data.get("delta")?)?;
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
                others.try_for_each(|(key, value)| message.say(key, value))?;
                end = Some(kind.to_owned());
            }
            "error" if only(&["error", "request_id"]) => {
                message.as_mut()?.set("error", piece.data.get("error")?.clone());
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
    message.set("content", Value::Array(blocks.into_iter().map(Block::into_value).collect()));
    Some(Joined { message: message.into_value(), end, pieces: pieces_count, unfinished, manner })
}

/// What is said at the end of a message replaces what was said at its beginning.
fn take_message_delta(message: &mut Members, key: &str, value: &Value) -> Option<()> {
    match (key, value) {
        ("type", _) => {}
        ("delta", Value::Object(members)) => {
            members.iter().try_for_each(|(key, value)| message.say(key, value))?;
        }
        ("usage", Value::Object(counts)) => {
            let mut usage = message.take_object("usage")?;
            counts.iter().try_for_each(|(key, value)| usage.say(key, value))?;
            message.set("usage", usage.into_value());
        }
        (key, value) => message.say(key, value)?,
    }
    Some(())
}

impl Block {
    fn take(&mut self, delta: &Value) -> Option<()> {
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
            | ("signature_delta", "signature", piece) => self.members.append(key, piece),
            ("input_json_delta", "partial_json", Value::String(piece)) => {
                self.input.push_str(piece);
                Some(())
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

    fn into_value(mut self) -> Value {
        if !self.input.is_empty() {
            let input = json::parse(self.input.as_bytes()).unwrap_or(Value::String(self.input));
            self.members.set("input", input);
        }
        self.members.into_value()
    }
}

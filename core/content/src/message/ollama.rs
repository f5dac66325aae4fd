//! Chats and completions as Ollama streams them: an object a line, the last of which says that it is done.

use super::{
    Joined, Manner, Members, Piece,
    Step::{Index, Key},
    Unfinished, says_nothing,
};
use crate::json::Value;

/// Members that are pieces of a text, of a line and of its message.
const TEXTS: [&str; 3] = ["response", "thinking", "content"];

/// True for a line as Ollama writes them.
pub(super) fn is_one(piece: &Piece) -> bool {
    let has_text = piece.data.get("message").is_some() || piece.data.get("response").is_some();
    has_text && piece.data.get("model").is_some() && matches!(piece.data.get("done"), Some(Value::Bool(_)))
}

/// The answer that the lines join to.
pub(super) fn joined(pieces: &[Piece]) -> Option<Joined> {
    let (mut answer, mut message) = (Members::default(), None);
    let (mut end, mut pieces_count, mut last) = (None, 0, "content");
    for piece in pieces {
        let said = |key: &str| piece.data.get(key).or_else(|| piece.data.get("message")?.get(key));
        last = TEXTS.into_iter().find(|key| said(key).is_some_and(|text| !says_nothing(text))).unwrap_or(last);
        if end.is_some() || piece.event.is_some() {
            return None;
        }
        for (key, value) in piece.members()? {
            match (key.as_str(), value) {
                ("message", Value::Object(members)) => take(message.get_or_insert_with(Members::default), members)?,
                ("model", model) => answer.agree(key, model)?,
                (key, piece) if TEXTS.contains(&key) => answer.append(key, piece)?,
                // The time of the last line is that of the answer.
                ("created_at", time) => answer.say(key, time)?,
                ("done", Value::Bool(_)) => answer.say(key, value)?,
                ("done", _) => return None,
                // Each line has those of its own tokens.
                ("logprobs", Value::Array(more)) => answer.extend(key, more)?,
                (key, value) => answer.repeat(key, value)?,
            }
        }
        pieces_count += u64::from(piece.data.get("message").is_some() || piece.data.get("response").is_some());
        if piece.data.get("done") == Some(&Value::Bool(true)) {
            end = Some("done".to_owned());
        }
    }
    let mut unfinished = Unfinished::changing(&["done", "created_at"]);
    unfinished.may_go_on(if message.is_some() { vec![Key("message"), Key(last)] } else { vec![Key(last)] });
    if let Some(Value::Array(calls)) = message.as_ref().and_then(|message| message.get("tool_calls")) {
        unfinished.may_go_on([Key("message"), Key("tool_calls"), Index(calls.len())]);
    }
    if let Some(Value::Array(tokens)) = answer.get("logprobs") {
        unfinished.may_go_on([Key("logprobs"), Index(tokens.len())]);
    }
    if let Some(message) = message {
        answer.set("message", message.into_value());
    }
    Some(Joined { message: answer.into_value(), end, pieces: pieces_count, unfinished, manner: Manner::default() })
}

fn take(message: &mut Members, members: &[(String, Value)]) -> Option<()> {
    for (key, value) in members {
        match (key.as_str(), value) {
            (key, piece) if TEXTS.contains(&key) => message.append(key, piece)?,
            // Each line has further ones.
            ("tool_calls" | "images", Value::Array(more)) => message.extend(key, more)?,
            (key, value) => message.agree(key, value)?,
        }
    }
    Some(())
}

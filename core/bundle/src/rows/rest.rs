//! What few exchanges have, or what has no form by columns: JSON beside the row.

use std::collections::BTreeMap;

use exchange::{
    Context, End, Exchange, Gap, Id, Interim, Redaction, Repeats, Seed, Trace, bytes_of_text, text_of_bytes,
};
use serde::{Deserialize, Serialize};

/// The rest of an exchange. Fields that this build does not know stay in the text.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Rest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    interim: Vec<Interim>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreachable: Option<String>,
    #[serde(skip_serializing_if = "BodyRest::is_empty")]
    request: BodyRest,
    #[serde(skip_serializing_if = "BodyRest::is_empty")]
    response: BodyRest,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<Trace>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    seeds: Vec<Seed>,
    #[serde(skip_serializing_if = "Context::is_empty")]
    context: Context,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redactions: Vec<Redaction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeats: Option<Repeats>,
}

/// The rest of a body.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct BodyRest {
    /// Bytes as text.
    #[serde(skip_serializing_if = "String::is_empty")]
    trailers: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
}

impl BodyRest {
    fn of(body: &exchange::Body) -> Self {
        Self { trailers: text_of_bytes(&body.trailers), gap: body.gap }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn give(self, body: &mut exchange::Body) -> Result<(), String> {
        body.trailers = bytes_of_text(&self.trailers).ok_or("a character above U+00FF stands for no byte")?;
        body.gap = self.gap;
        Ok(())
    }
}

impl Rest {
    /// The rest of this exchange as it is written; `trace` is one that has no shorter form. Empty where there is none.
    pub(super) fn text_of(exchange: &Exchange, trace: Option<&Trace>) -> Result<String, serde_json::Error> {
        let unreachable = match &exchange.end {
            End::Unreachable { reason } => Some(reason.clone()),
            _ => None,
        };
        let rest = Self {
            interim: exchange.interim.clone(),
            unreachable,
            request: BodyRest::of(&exchange.request.body),
            response: exchange.response.as_ref().map(|response| BodyRest::of(&response.body)).unwrap_or_default(),
            trace: trace.cloned(),
            seeds: exchange.seeds.clone(),
            context: exchange.context.clone(),
            redactions: exchange.redactions.clone(),
            repeats: exchange.repeats.clone(),
        };
        written(&rest)
    }

    /// `rest` for an exchange with another answer: what tells of the answer is this exchange's, all else stays as it is written,
    /// fields that this build does not know included.
    pub(super) fn with_answer_of(rest: &str, exchange: &Exchange) -> Result<String, serde_json::Error> {
        let mut fields: BTreeMap<String, serde_json::Value> =
            if rest.is_empty() { BTreeMap::new() } else { serde_json::from_str(rest)? };
        let own: BTreeMap<String, serde_json::Value> = match Self::text_of(exchange, None)?.as_str() {
            "" => BTreeMap::new(),
            text => serde_json::from_str(text)?,
        };
        for key in ["interim", "unreachable", "response", "seeds", "redactions"] {
            match own.get(key) {
                Some(value) => drop(fields.insert(key.to_owned(), value.clone())),
                None => drop(fields.remove(key)),
            }
        }
        written(&fields)
    }

    /// Gives an exchange its rest.
    pub(super) fn give(text: &str, exchange: &mut Exchange) -> Result<(), String> {
        let rest: Self = read(text)?;
        exchange.interim = rest.interim;
        if let (End::Unreachable { reason }, Some(text)) = (&mut exchange.end, rest.unreachable) {
            *reason = text;
        }
        rest.request.give(&mut exchange.request.body)?;
        if let Some(response) = &mut exchange.response {
            rest.response.give(&mut response.body)?;
        }
        exchange.trace = exchange.trace.take().or(rest.trace);
        exchange.seeds = rest.seeds;
        exchange.context = rest.context;
        exchange.redactions = rest.redactions;
        exchange.repeats = rest.repeats;
        Ok(())
    }
}

/// What the index says of an exchange beside its columns.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct EntryRest {
    #[serde(skip_serializing_if = "Context::is_empty")]
    pub(crate) context: Context,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) original: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repeat: Option<u32>,
}

/// As JSON, and nothing where there is nothing.
pub(crate) fn written<T: Serialize>(rest: &T) -> Result<String, serde_json::Error> {
    let text = serde_json::to_string(rest)?;
    Ok(if text == "{}" { String::new() } else { text })
}

/// The other way.
pub(crate) fn read<T: for<'a> Deserialize<'a> + Default>(text: &str) -> Result<T, String> {
    if text.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_str(text).map_err(|error| format!("the rest of an exchange: {error}"))
}

//! What bodies mean: content encodings, base64, JSON, SSE, seeds, places that users name, conversations, providers' messages, redaction, values looked for, canonical form.

pub mod base64;
pub mod canonical;
pub mod conversation;
pub mod encoding;
mod fields;
pub mod instant;
pub mod json;
pub mod message;
pub mod place;
pub mod redact;
pub mod search;
pub mod seeds;
pub mod sse;
pub mod unrepeatable;

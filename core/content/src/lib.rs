//! What bodies mean: content encodings, base64, JSON, SSE, forms, HTML, protobuf, pictures and sounds, seeds, places that users name, conversations, providers' messages, redaction, values looked for, canonical form.

pub mod base64;
pub mod canonical;
pub mod conversation;
pub mod encoding;
pub mod eventstream;
mod fields;
pub mod instant;
pub mod json;
pub mod markup;
pub mod media;
pub mod message;
pub mod multipart;
pub mod place;
pub mod protobuf;
pub mod redact;
pub mod search;
pub mod seeds;
pub mod sse;
pub mod unrepeatable;
pub mod urlencoded;

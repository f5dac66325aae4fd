//! What bodies mean: content encodings, JSON, SSE, seeds, redaction, canonical form.

pub mod canonical;
pub mod encoding;
mod fields;
pub mod json;
pub mod redact;
pub mod seeds;
pub mod sse;

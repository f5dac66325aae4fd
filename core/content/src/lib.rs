//! What bodies mean: content encodings, JSON, SSE, seeds, redaction, canonical form.

pub mod encoding;
pub mod json;

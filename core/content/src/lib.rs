//! What bodies mean: content encodings, JSON, SSE, seeds, redaction, canonical form.

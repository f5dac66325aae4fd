//! What kind of body a content type announces.

use crate::Head;

/// The kinds of body that Retake reads differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `application/json`, `…+json`.
    Json,
    /// `text/event-stream`.
    EventStream,
    /// Other `text/…`.
    Text,
    /// Anything else, or nothing said.
    Other,
}

impl MediaKind {
    /// The kind that the head's `Content-Type` announces.
    pub fn of(head: &Head) -> Self {
        let Some(content_type) = head.text_of("content-type") else { return Self::Other };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "text/event-stream" => Self::EventStream,
            "application/json" | "text/json" => Self::Json,
            _ if essence.ends_with("+json") => Self::Json,
            _ if essence.starts_with("text/") => Self::Text,
            _ => Self::Other,
        }
    }
}

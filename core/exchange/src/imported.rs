//! What an exchange that another tool recorded came from, and what it therefore lacks.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// Where an imported exchange comes from. Its id says which item of the source it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The source's format: `har`.
    pub format: String,
    /// BLAKE3 of the source's bytes.
    pub source: Digest,
    /// Scheme and authority that it went to, as the source told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What it does not tell, sorted.
    pub lacks: Vec<Lack>,
}

/// Something that a capture would have recorded and a source does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lack {
    /// When each chunk of a body came.
    ChunkTimes,
    /// The environment that the service ran in.
    Fingerprint,
    /// The bytes of the heads: they are put together from names and values.
    RawHeads,
    /// Trailer fields and informational responses.
    Trailers,
    /// When it began, or how long its parts took.
    Times,
    /// Its protocol is HTTP/2 or later, and its heads are written as HTTP/1.1, without pseudo-fields.
    Protocol,
    /// Header fields whose name or value cannot stand in a head.
    Fields,
    /// The body as sent: it is told decoded, and `Content-Encoding` was taken off.
    ContentCoding,
    /// The request's body, or its end.
    RequestBody,
    /// The request's body as sent: it is put together from the fields of a form.
    FormBody,
    /// The response's body, or its end.
    ResponseBody,
    /// Any response.
    Response,
}

impl Lack {
    /// What is missing, for a sentence that begins with "without".
    pub fn words(self) -> &'static str {
        match self {
            Self::ChunkTimes => "the times of chunks",
            Self::Fingerprint => "a fingerprint of the environment",
            Self::RawHeads => "the bytes of heads (put together from names and values)",
            Self::Trailers => "trailers and informational responses",
            Self::Times => "all times",
            Self::Protocol => "HTTP/2's own form (written as HTTP/1.1)",
            Self::Fields => "header fields that cannot stand in a head",
            Self::ContentCoding => "the coded body (kept decoded, without `Content-Encoding`)",
            Self::RequestBody => "the request's whole body",
            Self::FormBody => "the form as sent (put together from its fields)",
            Self::ResponseBody => "the response's whole body",
            Self::Response => "a response",
        }
    }
}

//! The header fields that are no content, and why.

use exchange::Head;

use crate::{
    fields::FieldAt,
    redact::{CREDENTIAL_HEADERS, is_credential_header},
};

/// Why a header field is no content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderClass {
    /// It speaks about one connection, or about how the body is framed on it.
    HopByHop,
    /// It carries a secret.
    Credential,
    /// It carries trace context.
    Trace,
    /// It tells the time, or how long something took.
    Time,
    /// It names this one request, and the next one differently.
    RequestId,
}

/// The names left out of canonical content, in lower case; `*` at the end stands for any rest.
///
/// Hop-by-hop: RFC 9110, section 7.6.1, and `Content-Length`, since framing may change. Trace: W3C Trace Context and
/// Baggage, B3, Jaeger, Datadog, Sentry and the clouds' own. The others are those that common model servers, gateways and
/// SDKs send; measured time stands beside canonical content, never in it. Credentials are these and whatever else
/// [`is_credential_header`] takes for one.
pub const HEADERS_LEFT_OUT: &[(HeaderClass, &[&str])] = &[
    (
        HeaderClass::HopByHop,
        &[
            "connection",
            "content-length",
            "http2-settings",
            "keep-alive",
            "proxy-authenticate",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ],
    ),
    (HeaderClass::Credential, CREDENTIAL_HEADERS),
    (
        HeaderClass::Trace,
        &[
            "b3",
            "baggage",
            "grpc-trace-bin",
            "sentry-trace",
            "traceparent",
            "traceresponse",
            "tracestate",
            "uber-trace-id",
            "uberctx-*",
            "x-amzn-trace-id",
            "x-b3-*",
            "x-cloud-trace-context",
            "x-datadog-*",
            "x-ot-span-context",
        ],
    ),
    (
        HeaderClass::Time,
        &[
            "age",
            "date",
            "openai-processing-ms",
            "server-timing",
            "x-compute-time",
            "x-envoy-upstream-service-time",
            "x-inference-time",
            "x-process-time",
            "x-processing-time",
            "x-queue-time",
            "x-response-time",
            "x-runtime",
            "x-time-per-token",
            "x-total-time",
            "x-validation-time",
        ],
    ),
    (
        HeaderClass::RequestId,
        &[
            "apim-request-id",
            "cf-ray",
            "idempotency-key",
            "request-id",
            "x-amz-cf-id",
            "x-amz-id-2",
            "x-amz-request-id",
            "x-amzn-requestid",
            "x-client-request-id",
            "x-correlation-id",
            "x-github-request-id",
            "x-goog-request-id",
            "x-idempotency-key",
            "x-ms-client-request-id",
            "x-ms-request-id",
            "x-request-id",
        ],
    ),
];

/// Why the field of this name is no content, or `None` when it is; whatever the name's case.
pub fn left_out_class(name: &str) -> Option<HeaderClass> {
    let name = name.to_ascii_lowercase();
    let matches = |pattern: &&str| match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == *pattern,
    };
    let listed = HEADERS_LEFT_OUT.iter().find(|(_, names)| names.iter().any(matches)).map(|(class, _)| *class);
    listed.or_else(|| is_credential_header(&name).then_some(HeaderClass::Credential))
}

/// True when the field of this name is no content, whatever the name's case.
pub fn is_left_out_header(name: &str) -> bool {
    left_out_class(name).is_some()
}

/// The names that `Connection` fields make hop-by-hop, in lower case.
pub(super) fn named_by_connection(head: &Head, fields: &[FieldAt]) -> Vec<String> {
    fields
        .iter()
        .filter(|field| field.lower_name(head) == "connection")
        .flat_map(|field| {
            let value = exchange::text_of_bytes(&field.value(head)).to_ascii_lowercase();
            value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

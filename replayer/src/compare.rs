//! One answer against production's, as soon as it has come, so that no body is held longer than its exchange lasts.
//!
//! In: the recorded exchange and what came back. Out: the comparison, and a digest of what counts of the answer. The verdict
//! is `judge`'s, which also knows what was asked of the dependencies.

use bundle::{Archive, ReadError};
use diff::{Comparison, Noise, Output, Route, Rules, compare_responses, outcome_bytes};
use exchange::{Digest, Exchange};

use crate::secrets::Secrets;

/// Largest recorded answer that is compared, in bytes: what the driver keeps of a replayed one.
const RECORDED_BODY_BYTES_MAX: u64 = 256 << 20;

/// What is kept of an answer once it was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compared {
    /// How the answers differ; `None` where one side has none.
    pub(crate) comparison: Option<Comparison>,
    /// Why they were not compared though there are two, if so.
    pub(crate) left_out: Option<String>,
    /// What counts of the answer, fields under a rule taken out; `None` where there is no answer.
    pub(crate) outcome: Option<Digest>,
}

/// Compares, and sets apart what is noise.
///
/// # Errors
/// When the recorded answer cannot be read.
pub(crate) fn compare(
    archive: &Archive,
    rules: &Rules,
    noise: &Noise,
    secrets: &Secrets,
    exchange: &Exchange,
    replayed: Option<&Output<'_>>,
) -> Result<Compared, ReadError> {
    let Some(replayed) = replayed else { return Ok(Compared::default()) };
    let route = Route::of(&exchange.request.head);
    let outcome = Some(Digest::of(&outcome_bytes(replayed, rules, &route)));
    let Some(response) = &exchange.response else { return Ok(Compared { outcome, ..Compared::default() }) };
    let len = response.body.kept_len();
    if len > RECORDED_BODY_BYTES_MAX {
        let left_out = format!("the recorded answer has {len} bytes, more than the {RECORDED_BODY_BYTES_MAX} compared");
        return Ok(Compared { outcome, left_out: Some(left_out), comparison: None });
    }
    let mut body = archive.body(&response.body, RECORDED_BODY_BYTES_MAX)?;
    // Bodies are recorded as they were: a secret in one is a pseudonym on both sides now.
    let mut head = response.head.clone();
    secrets.conceal_message(&mut head, &mut body, &mut Vec::new());
    let recorded =
        Output { head: &head, body: &body, complete: exchange.end.is_complete(), whole: response.body.is_whole() };
    let mut comparison = compare_responses(&recorded, replayed, rules, &route);
    noise.set_apart(&mut comparison, &route, exchange.id);
    Ok(Compared { comparison: Some(comparison), left_out: None, outcome })
}

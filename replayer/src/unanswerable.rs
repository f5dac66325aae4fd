//! What of the recorded connections that are no HTTP a replay cannot answer, found without replaying anything.
//!
//! In: a recording. Out: for whoever reads it before, each dependency that has to be there for real, and why.

use std::collections::BTreeMap;

use bundle::{Archive, ReadError};
use content::{redact::spoken::Spoken, unrepeatable};
use exchange::{Body, Exchange, Transport};
use serde::Serialize;

use crate::connections::raw_names;

/// Most connections of one dependency that are looked at. A choice: what one of them does the others do.
const CONNECTIONS_MAX: u64 = 1_000;

/// Most bytes of one part of a body, as large as a reader allows a blob to be.
const PART_BYTES_MAX: u64 = 16 << 20;

/// Connections to one dependency that cannot be answered for the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unanswerable {
    /// The dependency.
    pub dependency: String,
    /// Why, as words after `it`.
    pub why: &'static str,
    /// How many connections.
    pub count: u64,
    /// True where only their end is missing.
    pub in_part: bool,
}

/// All that cannot be answered from recorded bytes, by dependency.
///
/// # Errors
/// When a record cannot be read.
pub fn unanswerable(archive: &Archive) -> Result<Vec<Unanswerable>, ReadError> {
    let names = raw_names(archive);
    let mut looked_at: BTreeMap<&str, u64> = BTreeMap::new();
    let mut found: BTreeMap<(String, bool, &'static str), u64> = BTreeMap::new();
    for entry in archive.entries() {
        let Some(name) = entry.dependency.as_deref().filter(|name| names.contains(*name)) else { continue };
        let count = looked_at.entry(name).or_default();
        *count += 1;
        if *count > CONNECTIONS_MAX {
            continue;
        }
        let call = archive.exchange(&entry.id)?;
        if let Some((in_part, why)) = why(archive, &call)? {
            *found.entry((name.to_owned(), in_part, why)).or_default() += 1;
        }
    }
    let found = found.into_iter();
    Ok(found.map(|((dependency, in_part, why), count)| Unanswerable { dependency, why, count, in_part }).collect())
}

fn why(archive: &Archive, call: &Exchange) -> Result<Option<(bool, &'static str)>, ReadError> {
    if call.transport != Transport::Raw {
        return Ok(None);
    }
    let said = beginning(archive, &call.request.body)?;
    let answered = call.response.as_ref().map(|response| beginning(archive, &response.body)).transpose()?;
    let mut spoken = Spoken::default();
    spoken.hear(&said);
    let why = unrepeatable::of_connection(&spoken, &said, &answered.unwrap_or_default());
    let is_cut = call.request.body.gap.is_some() || call.response.iter().any(|response| response.body.gap.is_some());
    Ok(match why {
        Some(why) => Some((false, why.words())),
        None => is_cut.then_some((true, CUT)),
    })
}

/// What is said of a connection that was not kept to its end.
pub(crate) const CUT: &str = "was cut where more passed than is kept of one";

/// The first part of a body: more is not needed to tell.
fn beginning(archive: &Archive, body: &Body) -> Result<Vec<u8>, ReadError> {
    let parts = body.parts.first().cloned().into_iter().collect();
    archive.body(&Body { parts, ..Body::default() }, PART_BYTES_MAX)
}

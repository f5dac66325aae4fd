//! Pictures and sounds compared by what they decode to.
//!
//! In: two files, and the rules for bodies. Out: differences of what they are (`/format`, `/width`, …); of their samples (`/pixels`,
//! `/samples`) with their distance; and where nothing else differs of the file itself (`/file`): the same picture, packed otherwise or with
//! another note in it. What cannot be decoded is compared by size and digest, which is said to be coarse.

use std::borrow::Cow;

use content::{
    json::Value,
    media::{self, Samples},
};
use exchange::Digest;

use crate::{
    ComparedAs, VectorChange,
    findings::Findings,
    json::{Document, compare as compare_json},
    numbers,
    pointer::{Cover, Step},
    rules::Active,
    said::tree_of,
};

/// A picture or sound.
#[derive(Debug)]
pub(crate) struct Media<'a> {
    pub(crate) compared_as: ComparedAs,
    /// What it is called by its first bytes, or by its content type where those are unknown.
    format: String,
    samples: Option<Samples>,
    pub(crate) bytes: Cow<'a, [u8]>,
}

impl<'a> Media<'a> {
    /// A body of this content type, by its first bytes or by what it says; `None` for what is neither picture nor sound.
    pub(crate) fn of(essence: &str, bytes: Cow<'a, [u8]>) -> Result<Self, Cow<'a, [u8]>> {
        let says_so = essence.starts_with("image/") || essence.starts_with("audio/");
        // A text may begin like one of them.
        if !says_so && std::str::from_utf8(&bytes).is_ok() {
            return Err(bytes);
        }
        let format = media::format_of(&bytes);
        let is_picture = match format {
            Some(format) => media::is_picture(format),
            // A drawing is text.
            None if essence == "image/svg+xml" => return Err(bytes),
            None if essence.starts_with("image/") => true,
            None if essence.starts_with("audio/") => false,
            None => return Err(bytes),
        };
        let compared_as = if is_picture { ComparedAs::Image } else { ComparedAs::Audio };
        let format = format.unwrap_or(essence).to_owned();
        Ok(Self { compared_as, format, samples: media::decode(&bytes), bytes })
    }

    fn samples_name(&self) -> &'static str {
        if self.compared_as == ComparedAs::Image { "pixels" } else { "samples" }
    }

    /// What it is, with its samples and its file where they are to count.
    fn document(&self, with_samples: bool, with_file: bool) -> Value {
        let digest = |len: usize, unit: &str, digest: Digest| Value::String(format!("{len} {unit}, {digest}"));
        let mut members = vec![("format".to_owned(), Value::String(self.format.clone()))];
        if let Some(samples) = &self.samples {
            let shape = samples.shape.iter();
            members.extend(shape.map(|(name, size)| ((*name).to_owned(), Value::Number(size.to_string()))));
            if with_samples {
                members.push((self.samples_name().to_owned(), digest(samples.len(), "samples", samples.digest())));
            }
        }
        if with_file {
            let unit = if self.samples.is_some() { "bytes" } else { "bytes that were not decoded" };
            members.push(("file".to_owned(), digest(self.bytes.len(), unit, Digest::of(&self.bytes))));
        }
        Value::Object(members)
    }

    /// All that counts of it, as what [`compare`] compares.
    pub(crate) fn what_counts(&self, rules: &Active<'_>) -> Value {
        let is_covered = self.samples.is_some() && covers(rules, self.samples_name());
        self.document(true, !is_covered)
    }
}

/// True where a rule covers this member.
fn covers(rules: &Active<'_>, name: &str) -> bool {
    let mut cover = Cover::new(&rules.body);
    cover.enter(&Step::Key(name));
    cover.rule().is_some()
}

/// How far the samples are apart, where there are as many.
fn distance(one: &Media<'_>, other: &Media<'_>) -> Option<VectorChange> {
    let (one, other) = (one.samples.as_ref()?, other.samples.as_ref()?);
    (one.shape == other.shape && one.len() == other.len())
        .then(|| numbers::distance_of(one.numbers().zip(other.numbers())))
}

/// Compares two that are both pictures, or both sounds.
pub(crate) fn compare(one: &Media<'_>, other: &Media<'_>, rules: &Active<'_>, findings: &mut Findings) -> Option<()> {
    let name = one.samples_name();
    let distance = distance(one, other);
    let is_apart = distance.is_none_or(|distance| distance.differing > 0);
    let tolerated = distance.filter(|_| is_apart).and_then(|distance| rules.tolerance_of(name, &distance));
    if let Some(rule_at) = tolerated {
        findings.count_use(rule_at, || format!("/{name}"));
    }
    let decoded = one.samples.is_some() && other.samples.is_some();
    // Samples that differ, tolerated or not, explain a file that does.
    let is_file_alone = !decoded || (!is_apart && one.format == other.format);
    let document = |it: &Media<'_>| tree_of(&it.document(decoded && tolerated.is_none(), is_file_alone));
    let (document_one, document_other) = (document(one)?, document(other)?);
    if !decoded && one.bytes != other.bytes {
        findings.note_coarse();
    }
    compare_json(document_one.root(), document_other.root(), 0, Document::default(), rules.for_body(), findings);
    if let Some(distance) = distance {
        findings.tell_distance(&format!("/{name}"), distance);
    }
    Some(())
}

//! What is looked for, and where.
//!
//! In: an exchange. Out: where in it the pattern is, if anywhere.

use std::borrow::Cow;

use bundle::{Archive, Entry};
use content::{
    encoding,
    place::{self, Found as Value, Place, Side},
};
use exchange::{Body, Exchange};
use regex::bytes::{Regex, RegexBuilder};

use super::found::{Found, Hit};
use crate::{args::GrepArgs, console::Console, trouble::Trouble};

/// Longest body that is searched, in bytes, as sent and decoded. A choice: what is longer is files, and named.
const BODY_BYTES_MAX: u64 = 256 << 20;

/// A pattern and where it is looked for.
pub(super) struct Looking {
    pattern: Regex,
    /// Texts of places and the places; everywhere where there is none.
    places: Vec<(String, Place)>,
    /// Bodies and values that were too long.
    left_out: u64,
}

impl Looking {
    /// Reads pattern and places.
    pub(super) fn of(args: &GrepArgs) -> Result<Self, Trouble> {
        let pattern = if args.fixed_strings { regex::escape(&args.pattern) } else { args.pattern.clone() };
        let pattern = RegexBuilder::new(&pattern).case_insensitive(args.ignore_case).multi_line(true).build();
        let pattern = pattern.map_err(|error| {
            let trouble = Trouble::new(format!("the pattern cannot be read: {error}"));
            trouble.help("where it is meant as plain text, say so with `-F`")
        })?;
        let place = |text: &String| -> Result<_, Trouble> {
            let refused = |error: content::place::PlaceError| {
                let trouble = Trouble::new(format!("`--at {text}`: {error}"));
                match error.help() {
                    Some(help) => trouble.help(help),
                    None => trouble,
                }
            };
            Ok((text.clone(), text.parse().map_err(refused)?))
        };
        let places = args.at.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { pattern, places, left_out: 0 })
    }

    /// Where in this exchange the pattern is.
    pub(super) fn at<'a>(
        &mut self,
        archive: &Archive,
        entry: &'a Entry,
    ) -> Result<Option<Found<'a>>, bundle::ReadError> {
        let exchange = archive.exchange(&entry.id)?;
        let hits = if self.places.is_empty() {
            self.anywhere(archive, &exchange)?
        } else {
            self.at_places(archive, &exchange)?
        };
        Ok((!hits.is_empty()).then_some(Found { entry, hits }))
    }

    fn anywhere(&mut self, archive: &Archive, exchange: &Exchange) -> Result<Vec<Hit>, bundle::ReadError> {
        let mut hits = Vec::new();
        let asked = &exchange.request;
        let answered = exchange.response.as_ref().map(|it| ("response", &it.head, &it.body));
        for (side, head, body) in [("request", &asked.head, &asked.body)].into_iter().chain(answered) {
            let body = self.bytes(archive, body)?;
            hits.extend(Hit::of(&self.pattern, &format!("{side} head"), &head.bytes));
            let Some(body) = body else { continue };
            let decoded = match encoding::decode(head, &body, BODY_BYTES_MAX) {
                Ok(decoded) => decoded,
                Err(error) => match error.decoded() {
                    Some(decoded) => Cow::Owned(decoded.to_vec()),
                    None => Cow::Borrowed(&body[..]),
                },
            };
            hits.extend(Hit::of(&self.pattern, &format!("{side} body"), &decoded));
        }
        Ok(hits)
    }

    /// Reads no more than it takes to know: often that is the answer alone.
    fn at_places(&mut self, archive: &Archive, exchange: &Exchange) -> Result<Vec<Hit>, bundle::ReadError> {
        let mut found: Vec<Option<Value>> = self.places.iter().map(|_| None).collect();
        let asked = &exchange.request;
        let answered = exchange.response.as_ref().map(|it| (Side::Response, &it.head, &it.body));
        for (side, head, body) in answered.into_iter().chain([(Side::Request, &asked.head, &asked.body)]) {
            let is_looked_for = |at: &usize| found[*at].is_none() && self.places[*at].1.may_be_in(side, &asked.head);
            let looked_for: Vec<usize> = (0..found.len()).filter(is_looked_for).collect();
            if looked_for.is_empty() {
                continue;
            }
            let needs_body = looked_for.iter().any(|at| self.places[*at].1.is_in_body());
            let sent = if needs_body { self.bytes(archive, body)? } else { None };
            let places: Vec<&Place> = looked_for.iter().map(|at| &self.places[*at].1).collect();
            for (at, value) in looked_for.into_iter().zip(place::find_in_sent(&places, head, sent.as_deref())) {
                found[at] = value;
            }
        }
        let mut hits = Vec::new();
        for ((text, _), value) in self.places.iter().zip(found) {
            match value {
                Some(Value::Value(content::json::Value::String(value))) => {
                    hits.extend(Hit::of(&self.pattern, text, value.as_bytes()));
                }
                Some(Value::Value(value)) => {
                    hits.extend(Hit::of(&self.pattern, text, value.to_compact_text().as_bytes()));
                }
                Some(Value::TooLong) => self.left_out += 1,
                None => {}
            }
        }
        Ok(hits)
    }

    fn bytes(&mut self, archive: &Archive, body: &Body) -> Result<Option<Vec<u8>>, bundle::ReadError> {
        if body.kept_len() > BODY_BYTES_MAX {
            self.left_out += 1;
            return Ok(None);
        }
        archive.body(body, BODY_BYTES_MAX).map(Some)
    }

    /// Says how much was too long to be looked into.
    pub(super) fn say_what_was_left_out(&self, console: &Console) {
        match (self.left_out, self.places.is_empty()) {
            (0, _) => {}
            (count, true) => console.warn(&format!("{count} bodies of more than 256 MiB were not searched")),
            (count, false) => console.warn(&format!("{count} values of more than 8 KiB were not looked into")),
        }
    }
}

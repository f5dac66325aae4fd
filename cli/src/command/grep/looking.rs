//! What is looked for, and where.
//!
//! In: an exchange. Out: where in it the pattern is, if anywhere.

use std::borrow::Cow;

use bundle::{Archive, Entry};
use content::{
    canonical::{self, CanonicalBody},
    encoding,
    place::{Found as Value, Message, Place},
};
use exchange::{Body, Head};
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
        let request = self.bytes(archive, &exchange.request.body)?;
        let response = exchange.response.as_ref();
        let answer = response.map_or(Ok(None), |response| self.bytes(archive, &response.body))?;
        let answer = response.map(|response| (&response.head, answer));
        let hits = if self.places.is_empty() {
            self.anywhere(&exchange.request.head, request, answer)
        } else {
            self.at_places(&exchange.request.head, request, answer)
        };
        Ok((!hits.is_empty()).then_some(Found { entry, hits }))
    }

    fn anywhere(&mut self, head: &Head, body: Option<Vec<u8>>, answer: Option<(&Head, Option<Vec<u8>>)>) -> Vec<Hit> {
        let mut hits = Vec::new();
        let sides = [Some(("request", head, body)), answer.map(|(head, body)| ("response", head, body))];
        for (side, head, body) in sides.into_iter().flatten() {
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
        hits
    }

    fn at_places(&mut self, head: &Head, body: Option<Vec<u8>>, answer: Option<(&Head, Option<Vec<u8>>)>) -> Vec<Hit> {
        let read = |head: &Head, body: Option<Vec<u8>>| body.map(|body| canonical::body(head, &body));
        let request = read(head, body);
        let answer: Option<(&Head, Option<CanonicalBody>)> = answer.map(|(head, body)| (head, read(head, body)));
        let request = Message { head, body: request.as_ref() };
        let response = answer.as_ref().map(|(head, body)| Message { head, body: body.as_ref() });
        let mut hits = Vec::new();
        for (text, place) in &self.places {
            match place.find(request, response) {
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
        hits
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

//! By what runs were judged: what fails by some rules, or with less noise known, may pass by others.
//!
//! In: the archives of runs. Out: one digest for each, the same for runs by which the same is a difference.

use std::collections::BTreeSet;

use bundle::Archive;
use exchange::Digest;
use replayer::{BEGAN_NOISE, HELD};
use serde_json::Value as Json;

use crate::again::began;

/// Flags that decide what counts as a difference. Files are known by what they say.
const FLAGS: [&str; 3] = ["ignore", "tolerance", "message"];
/// Flags that name such files.
const FILES: [&str; 2] = ["--rules ", "--descriptors "];

/// What decided what is a difference in a run.
pub(super) struct JudgedBy {
    rules: Vec<String>,
    /// Places of which it knew that they vary.
    known: BTreeSet<String>,
    /// Those that it set apart.
    set_apart: BTreeSet<String>,
}

impl JudgedBy {
    /// Of this run, with its receipt; `None` where it does not say how it began.
    pub(super) fn of(archive: &Archive, receipt: &Json) -> Option<Self> {
        let began = began(archive)?;
        let mut rules: Vec<String> = FLAGS.iter().map(|flag| began.settings["flags"][*flag].to_string()).collect();
        let mut known = BTreeSet::new();
        for event in archive.events().filter_map(Result::ok) {
            let held = event.data["what"].as_str().unwrap_or_default();
            if event.kind == HELD && FILES.iter().any(|flag| held.starts_with(flag)) {
                rules.push(event.data["is"].to_string());
            } else if event.kind == BEGAN_NOISE {
                let places = event.data["places"].as_array().into_iter().flatten();
                known.extend(places.map(|place| named(&place["route"], &place["pointer"])));
            }
        }
        rules[FLAGS.len()..].sort();
        let hidden = receipt["noise"]["hidden"].as_array().into_iter().flatten();
        let set_apart = hidden.map(|used| named(&used["route"], &used["evidence"]["place"])).collect();
        Some(Self { rules, known, set_apart })
    }

    /// The digests of all of these: of the noise that each knows what any of them set apart. The rest has decided nothing.
    pub(super) fn digests(all: &[Option<Self>]) -> Vec<Option<Digest>> {
        let set_apart: BTreeSet<&String> = all.iter().flatten().flat_map(|it| &it.set_apart).collect();
        let digest = |it: &Self| {
            let noise = it.known.iter().filter(|place| set_apart.contains(place)).cloned();
            Digest::of(it.rules.iter().cloned().chain(noise).collect::<Vec<_>>().join("\n").as_bytes())
        };
        all.iter().map(|it| it.as_ref().map(digest)).collect()
    }
}

fn named(route: &Json, place: &Json) -> String {
    format!("{} {}", route.as_str().unwrap_or_default(), place.as_str().unwrap_or_default())
}

//! The command that does again what a page shows, up to an exchange's id, which comes last.
//!
//! In: how a replay was asked for, or two sides of a comparison. Out: words that a shell takes. Values of variables, and whatever looks
//! like a secret, stay out: whoever does it again gives them anew.

use std::path::Path;

use bundle::Archive;
use content::redact::{Extra, Redactor};
use exchange::Id;
use replayer::Began;

use crate::{
    args::{KeyArgs, ReplayArgs},
    settings::Said,
    source::Source,
};

/// Flags that say where something goes, or which exchanges are meant.
const LEFT_OUT: [&str; 6] = ["resume", "trust", "html", "only", "store", "identity"];

/// Where the store is that no command has to name.
pub(crate) const DEFAULT_STORE: &str = "./.retake";

/// As a shell takes it: in quotes where it needs them.
pub(crate) fn quoted(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), std::borrow::Cow::into_owned)
}

/// What replays one exchange of `source` as `args` ask.
pub(crate) fn replayed_again(source: &str, args: &ReplayArgs) -> String {
    let flags = args.said.as_ref().map(|said| said.flags.clone()).unwrap_or_default();
    replay(source, &flags, &args.store.store, &args.keys)
}

/// What shows a difference between two sides again: a replay, where the second is a run of something that is there, and no secret was
/// needed for it; else what was compared.
pub(crate) enum Shown {
    /// The recorded exchange replayed.
    Replayed(String),
    /// The second side's exchange.
    Exchange(String),
}

impl Shown {
    /// Of the second side, in which these recorded exchanges were compared.
    pub(crate) fn of(replayed: &Source, ids: &[Id], store: &Path, keys: &KeyArgs) -> Self {
        let is_there = |began: &Began| {
            let source = Source::open(Some(&began.source.path), store, keys);
            source.is_ok_and(|source| ids.iter().all(|id| source.archive.entry(id).is_some()))
        };
        match began(&replayed.archive).filter(is_there).and_then(|began| Some((flags_of(&began)?, began))) {
            Some((flags, began)) => Self::Replayed(replay(&began.source.path, &flags, store, keys)),
            None => Self::Exchange(
                ["retake show".to_owned(), quoted(&replayed.name)]
                    .into_iter()
                    .chain(places(store, keys))
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
        }
    }
}

fn replay(source: &str, flags: &[(String, Vec<String>)], store: &Path, keys: &KeyArgs) -> String {
    let mut words = vec![asked(source, flags)];
    words.extend(places(store, keys));
    words.push("--only".to_owned());
    words.join(" ")
}

/// The replay of a source by these flags, wherever its run is kept and shown.
pub(crate) fn asked(source: &str, flags: &[(String, Vec<String>)]) -> String {
    let finder = Redactor::new([0; 32], &Extra::default());
    let mut words = vec!["retake replay".to_owned(), quoted(source)];
    for (flag, values) in flags.iter().filter(|(flag, _)| !LEFT_OUT.contains(&flag.as_str())) {
        let value = |value: &String| Said::without_values(flag, value);
        let told = |value: String| if finder.text(&value).0 == value { quoted(&value) } else { "…".to_owned() };
        match &values[..] {
            [] => words.push(format!("--{flag}")),
            values => words.extend(values.iter().map(|it| format!("--{flag}={}", told(value(it))))),
        }
    }
    words.join(" ")
}

/// Where the store and the keys are.
pub(crate) fn places<'a>(store: &'a Path, keys: &'a KeyArgs) -> impl Iterator<Item = String> + 'a {
    let store = (store != Path::new(DEFAULT_STORE)).then_some(("store", store));
    let identities = keys.identity.iter().map(|path| ("identity", path.as_path()));
    let word = |(flag, path): (&str, &Path)| format!("--{flag}={}", quoted(&path.display().to_string()));
    store.into_iter().chain(identities).map(word)
}

/// How a single run began, where it says so.
pub(crate) fn began(archive: &Archive) -> Option<Began> {
    match &archive.runs().ok()?[..] {
        [_] => {}
        _ => return None,
    }
    let event = archive.events().filter_map(Result::ok).find(|event| event.kind == replayer::BEGAN)?;
    serde_json::from_value(event.data).ok()
}

/// The flags that a run was begun with; `None` where some are not written down.
fn flags_of(began: &Began) -> Option<Vec<(String, Vec<String>)>> {
    let withheld = began.settings["withheld"].as_array()?;
    let flags = began.settings["flags"].as_object()?;
    let values = |values: &serde_json::Value| -> Option<Vec<String>> {
        values.as_array()?.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    };
    let flags = flags.iter().map(|(flag, of)| Some((flag.clone(), values(of)?))).collect::<Option<_>>()?;
    withheld.is_empty().then_some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_has_all_flags_of_the_replay_and_no_values_of_variables_or_secrets() {
        let flags: [(String, Vec<String>); 6] = [
            ("process", vec!["env V=2 ./serve"]),
            ("port", vec!["8080"]),
            ("until-failure", vec![]),
            ("env", vec!["TOKEN=hunter2", "PLAIN"]),
            ("live", vec!["model=https://u:sk-abcdefghijklmnopqrstuvwxyz012345@model.example"]),
            ("html", vec!["page.html"]),
        ]
        .map(|(flag, values)| (flag.to_owned(), values.into_iter().map(str::to_owned).collect()));
        let told = replay("my case.retake", &flags, Path::new("lab"), &KeyArgs { identity: Vec::new() });
        assert!(
            told.starts_with(
                "retake replay 'my case.retake' --process='env V=2 ./serve' --port=8080 --until-failure --env=TOKEN \
                 --env=PLAIN --live="
            ),
            "{told}"
        );
        assert!(told.ends_with(" --store=lab --only") && !told.contains("sk-abc") && !told.contains("html"), "{told}");
        assert_eq!(
            replay("a.retake", &[], Path::new(DEFAULT_STORE), &KeyArgs { identity: Vec::new() }),
            "retake replay a.retake --only"
        );
    }
}

//! `retake diff A B --learn`: what differs between two instances of one version is noise.
//!
//! In: pairs of answers to the same request, and of calls made for it. Out: a noise profile of each, kept beside the runs of the store, where replays find it.

use bundle::{Record, Store, Writer};
use diff::{NoiseLearner, Route, Rules, places_apart};
use exchange::{Digest, Id, NoiseProfile};
use report::json;
use serde::Serialize;

use super::{
    calls::{Counterparts, counterparts},
    pair::{self, Pair},
    with_outputs,
};
use crate::{args::DiffArgs, console::Console, exit::Exit, noise::versions_of, source::Source, trouble::Trouble};

/// Learns, keeps the profile and says where.
pub(super) fn learn(
    (recorded, replayed): (&Source, &Source),
    pairs: &[Pair<'_>],
    rules: &Rules,
    args: &DiffArgs,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let version = one_version(recorded, replayed)?;
    let (mut learner, mut learner_of_calls) = (NoiseLearner::of_pairs(), NoiseLearner::of_pairs());
    let mut count = 0_u64;
    for pair in pairs {
        let Pair::Both(one, other) = pair else { continue };
        let (before, now) = (recorded.archive.exchange(&one.id)?, replayed.archive.exchange(&other.id)?);
        let route = Route::of(&before.request.head);
        let places =
            with_outputs((&before, recorded), (&now, replayed), |one, other| places_apart(one, other, &route, rules))?;
        if let Some(places) = places {
            learner.add(pair::original(one), &route.to_string(), &places);
            count += 1;
        }
        for Counterparts { id, route, places } in counterparts((recorded, &one.id), (replayed, &other.id), rules)? {
            learner_of_calls.add(id, &route, &places);
        }
    }
    let runs: Vec<Id> = runs_of(recorded)?.into_iter().chain(runs_of(replayed)?).collect();
    let profile = learner.conclude(version.clone(), runs.clone());
    let calls = Some(learner_of_calls.conclude(version, runs)).filter(|calls| !calls.places.is_empty());
    let path = keep(&profile, calls.as_ref(), args)?;
    let places = profile.places.len();
    let text = if as_json {
        json::document("noise", &Learned { path: &path, pairs: count, profile: &profile, calls: calls.as_ref() })
    } else {
        let few = if count < diff::COMPARED_MIN {
            format!("; fewer than {} of a route are no measure yet", diff::COMPARED_MIN)
        } else {
            String::new()
        };
        let of_calls = calls.as_ref().map_or(0, |calls| calls.places.len());
        let of_calls = if of_calls > 0 { format!(", and {of_calls} of their calls") } else { String::new() };
        format!("{count} pairs of {}: {places} places differ{of_calls}{few}; kept in `{path}`\n", profile.version)
    };
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

/// What was learned, for machines.
#[derive(Serialize)]
struct Learned<'a> {
    /// The file.
    path: &'a str,
    /// Pairs of answers.
    pairs: u64,
    /// Of answers.
    profile: &'a NoiseProfile,
    /// Of calls to dependencies, where those differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls: Option<&'a NoiseProfile>,
}

/// The version that both are of.
fn one_version(recorded: &Source, replayed: &Source) -> Result<String, Trouble> {
    let (one, other) = (versions_of(recorded)?, versions_of(replayed)?);
    let mut all = one.union(&other);
    match (all.next(), all.next()) {
        (Some(version), None) if one == other => Ok(version.clone()),
        _ => Err(Trouble::new(format!(
            "`{}` and `{}` are not known to be of one version",
            recorded.name, replayed.name
        ))
        .help("noise is what two instances of the same image or program disagree on; leave out `--learn` to compare")),
    }
}

fn runs_of(source: &Source) -> Result<Vec<Id>, Trouble> {
    Ok(source.archive.runs()?.into_iter().map(|run| run.id).collect())
}

/// Keeps profiles in a file of their own, named for its content.
fn keep(profile: &NoiseProfile, calls: Option<&NoiseProfile>, args: &DiffArgs) -> Result<String, Trouble> {
    let profiles = || [Some(profile), calls].into_iter().flatten();
    let content: Vec<Vec<u8>> =
        profiles().map(serde_json::to_vec).collect::<Result<_, _>>().map_err(|error| Trouble::of(&error))?;
    let content = content.concat();
    let name = Id::of_item(&Digest::of(&content), 0);
    let store = Store::open_or_create(&args.store.store)?;
    let path = store.runs_dir().join(format!("{name}.{}", bundle::EXTENSION));
    if !path.exists() {
        std::fs::create_dir_all(store.runs_dir())?;
        let mut writer = Writer::create(&path)?;
        profiles().try_for_each(|profile| writer.append(&Record::Noise(profile.clone())))?;
        writer.seal()?;
    }
    Ok(path.display().to_string())
}

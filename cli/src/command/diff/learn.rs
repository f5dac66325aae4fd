//! `retake diff A B --learn`: what differs between two instances of one version is noise.
//!
//! In: pairs of answers to the same request. Out: a noise profile, kept beside the runs of the store, where replays find it.

use bundle::{Record, Store, Writer};
use diff::{NoiseLearner, Route, places_apart};
use exchange::{Digest, Id, NoiseProfile};
use report::json;

use super::{
    pair::{self, Pair},
    with_outputs,
};
use crate::{args::DiffArgs, console::Console, exit::Exit, noise::versions_of, source::Source, trouble::Trouble};

/// Learns, keeps the profile and says where.
pub(super) fn learn(
    (recorded, replayed): (&Source, &Source),
    pairs: &[Pair<'_>],
    args: &DiffArgs,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let version = one_version(recorded, replayed)?;
    let mut learner = NoiseLearner::of_pairs();
    let mut count = 0_u64;
    for pair in pairs {
        let Pair::Both(one, other) = pair else { continue };
        let (before, now) = (recorded.archive.exchange(&one.id)?, replayed.archive.exchange(&other.id)?);
        let route = Route::of(&before.request.head);
        let places =
            with_outputs((&before, recorded), (&now, replayed), |one, other| places_apart(one, other, &route))?;
        if let Some(places) = places {
            learner.add(pair::original(one), &route.to_string(), &places);
            count += 1;
        }
    }
    let profile = learner.conclude(version, runs_of(recorded)?.into_iter().chain(runs_of(replayed)?).collect());
    let path = keep(&profile, args)?;
    let places = profile.places.len();
    let text = if as_json {
        json::document("noise", &serde_json::json!({ "path": path, "pairs": count, "profile": profile }))
    } else {
        let few = if count < diff::COMPARED_MIN {
            format!("; fewer than {} of a route are no measure yet", diff::COMPARED_MIN)
        } else {
            String::new()
        };
        format!("{count} pairs of {}: {places} places differ{few}; kept in `{path}`\n", profile.version)
    };
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
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

/// Keeps a profile in a file of its own, named for its content.
fn keep(profile: &NoiseProfile, args: &DiffArgs) -> Result<String, Trouble> {
    let content = serde_json::to_vec(profile).map_err(|error| Trouble::of(&error))?;
    let name = Id::of_item(&Digest::of(&content), 0);
    let store = Store::open_or_create(&args.store.store)?;
    let path = store.runs_dir().join(format!("{name}.{}", bundle::EXTENSION));
    if !path.exists() {
        std::fs::create_dir_all(store.runs_dir())?;
        let mut writer = Writer::create(&path)?;
        writer.append(&Record::Noise(profile.clone()))?;
        writer.seal()?;
    }
    Ok(path.display().to_string())
}

//! What the service asked its dependencies, on either side of a pair.
//!
//! In: both archives, and the exchange on either side. Out: a [`Divergence`]: calls that only one side made, by dependency
//! and what was asked, less the fields that `dep:` rules name and what is noise; and pairs of calls, for whoever learns noise. Their
//! answers are not compared: the same question is.

use std::collections::BTreeMap;

use bundle::Entry;
use diff::{Apart, CallRequest, Divergence, Noise, NoisyChange, Rules, places_of_calls_apart};
use exchange::{Head, Id};

use super::{
    COMPARED_BYTES_MAX, pair,
    question::{Question, question},
    unreadable::Unreadable,
};
use crate::{noise::route_of, source::Source};

/// Most calls of one route and exchange on either side that are held against each other, to find noise or to learn it. A choice:
/// each is held against each.
const HELD_LEN_MAX: usize = 64;

/// A call and what it asked.
struct Call<'a> {
    entry: &'a Entry,
    asked: Asked,
}

/// Dependency, and what it was asked.
type Asked = (String, Question);

/// A call as it was sent.
struct Sent {
    dependency: String,
    head: Head,
    body: Vec<u8>,
}

impl Sent {
    fn request(&self) -> CallRequest<'_> {
        CallRequest { dependency: &self.dependency, head: &self.head, body: &self.body }
    }
}

/// How the calls of one exchange differ from those of the other, and what of that is noise.
///
/// # Errors
/// Where a call of either cannot be read.
pub(crate) fn divergence(
    (recorded, one): (&Source, &Id),
    (replayed, other): (&Source, &Id),
    rules: &Rules,
    noise: &Noise,
) -> Result<(Divergence, Vec<NoisyChange>), Unreadable> {
    let (before, mut now) = (calls(recorded, one, rules)?, calls(replayed, other, rules)?);
    let mut noisy = Vec::new();
    let (gone, new) = by_route(&before, &now);
    for (route, gone) in gone.into_iter().filter(|(route, _)| noise.knows_call(route)) {
        let new = new.get(&route).map(Vec::as_slice).unwrap_or_default();
        if gone.len().max(new.len()) > HELD_LEN_MAX {
            continue;
        }
        let mut left: Vec<(Id, Sent)> = Vec::new();
        for (entry, _) in new {
            left.extend(sent(replayed, entry)?.map(|sent| (entry.id, sent)));
        }
        for (entry, asked) in gone {
            let Some(call) = sent(recorded, entry)? else { continue };
            let original = pair::original(entry);
            let within = left.iter().enumerate().filter_map(|(at, (_, is))| {
                Some((at, noise.of_call(&call.request(), &is.request(), rules, original)?))
            });
            let Some((at, changes)) = within.min_by_key(|(_, changes)| changes.len()) else { continue };
            let (id, _) = left.remove(at);
            noisy.extend(changes);
            // From here on it counts as the same question.
            now.iter_mut().filter(|call| call.entry.id == id).for_each(|call| call.asked = asked.clone());
        }
    }
    let never_asked = only_in(&before, &now).into_iter().map(|call| title(call.entry));
    let extra = only_in(&now, &before).into_iter().map(|call| title(call.entry));
    let mut divergence =
        Divergence { never_asked: never_asked.collect(), extra: extra.collect(), ..Divergence::default() };
    let order = |calls: &[Call<'_>]| calls.iter().map(|call| call.asked.clone()).collect::<Vec<_>>();
    divergence.reordered = !divergence.diverges() && order(&before) != order(&now);
    Ok((divergence, noisy))
}

/// Calls by their route.
type ByRoute<'a> = BTreeMap<String, Vec<(&'a Entry, Asked)>>;

/// The calls that only one side made, of either.
fn by_route<'a>(before: &[Call<'a>], now: &[Call<'a>]) -> (ByRoute<'a>, ByRoute<'a>) {
    let grouped = |calls: Vec<&Call<'a>>| {
        let mut by_route = ByRoute::new();
        for call in calls {
            by_route.entry(route_of(call.entry)).or_default().push((call.entry, call.asked.clone()));
        }
        by_route
    };
    (grouped(only_in(before, now)), grouped(only_in(now, before)))
}

/// A pair of calls that stand for each other, for whoever learns noise.
pub(crate) struct Counterparts {
    /// The recorded call.
    pub(crate) id: Id,
    /// Dependency, method and path.
    pub(crate) route: String,
    /// Where they differ.
    pub(crate) places: Vec<Apart>,
}

/// The calls of one exchange, each with that of the other which stands for it: equal ones, and of those left on a route the one with
/// the fewest places that differ, messages read as `rules` do. Where the two sides have not as many left, which belong together is not known.
pub(crate) fn counterparts(
    (recorded, one): (&Source, &Id),
    (replayed, other): (&Source, &Id),
    rules: &Rules,
) -> Result<Vec<Counterparts>, Unreadable> {
    let strict = Rules::strict();
    let (before, now) = (calls(recorded, one, &strict)?, calls(replayed, other, &strict)?);
    let (gone, new) = by_route(&before, &now);
    let is_gone = |call: &&Call<'_>| gone.values().flatten().any(|(entry, _)| entry.id == call.entry.id);
    let mut pairs: Vec<Counterparts> = before
        .iter()
        .filter(|call| !is_gone(call))
        .map(|call| Counterparts { id: pair::original(call.entry), route: route_of(call.entry), places: Vec::new() })
        .collect();
    for (route, gone) in gone {
        let new = new.get(&route).map(Vec::as_slice).unwrap_or_default();
        if gone.len() != new.len() || gone.len() > HELD_LEN_MAX {
            continue;
        }
        let mut left = Vec::new();
        for (entry, _) in new {
            left.extend(sent(replayed, entry)?);
        }
        for (entry, _) in gone {
            let Some(call) = sent(recorded, entry)? else { continue };
            let apart = left.iter().enumerate();
            let apart =
                apart.filter_map(|(at, is)| Some((at, places_of_calls_apart(&call.request(), &is.request(), rules)?)));
            let Some((at, places)) = apart.min_by_key(|(_, places)| places.len()) else { continue };
            left.remove(at);
            pairs.push(Counterparts { id: pair::original(entry), route: route.clone(), places });
        }
    }
    Ok(pairs)
}

fn calls<'a>(source: &'a Source, parent: &Id, rules: &Rules) -> Result<Vec<Call<'a>>, Unreadable> {
    let of_parent = source.archive.entries().iter().filter(|entry| entry.parent.as_ref() == Some(parent));
    of_parent.map(|entry| Ok(Call { entry, asked: asked(source, entry, rules)? })).collect()
}

fn asked(source: &Source, entry: &Entry, rules: &Rules) -> Result<Asked, Unreadable> {
    let name = entry.dependency.as_deref().unwrap_or_default().to_owned();
    let asked = question(source, entry, |body| drop(rules.take_out_of_call(&name, body)))?;
    Ok((name, asked))
}

/// A call as it was sent; `None` where not all of it was kept.
fn sent(source: &Source, entry: &Entry) -> Result<Option<Sent>, Unreadable> {
    let request = source.archive.exchange(&entry.id).map_err(Unreadable::of(source))?.request;
    if !request.body.is_whole() || request.body.len > COMPARED_BYTES_MAX {
        return Ok(None);
    }
    let body = source.archive.body(&request.body, COMPARED_BYTES_MAX).map_err(Unreadable::of(source))?;
    let dependency = entry.dependency.as_deref().unwrap_or_default().to_owned();
    Ok(Some(Sent { dependency, head: request.head, body }))
}

/// The calls of `these` that `those` lack; two equal calls against one leave one.
fn only_in<'a, 'e>(these: &'a [Call<'e>], those: &[Call<'_>]) -> Vec<&'a Call<'e>> {
    let mut left: BTreeMap<&Asked, usize> = BTreeMap::new();
    those.iter().for_each(|call| *left.entry(&call.asked).or_default() += 1);
    let is_alone = |call: &&Call<'_>| match left.get_mut(&call.asked) {
        Some(count) if *count > 0 => {
            *count -= 1;
            false
        }
        _ => true,
    };
    these.iter().filter(is_alone).collect()
}

fn title(entry: &Entry) -> String {
    format!("{} {} ({})", entry.dependency.as_deref().unwrap_or("?"), entry.title, entry.id.short())
}

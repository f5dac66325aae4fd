//! What the service asked its dependencies, on either side of a pair.
//!
//! In: both archives, and the exchange on either side. Out: a [`Divergence`]: calls that only one side made, by dependency
//! and what was asked, less the fields that `dep:` rules name. Their answers are not compared: the same question is.

use std::collections::BTreeMap;

use bundle::Entry;
use diff::{Divergence, Rules};
use exchange::Id;

use super::question::{Question, question};
use crate::{source::Source, trouble::Trouble};

/// A call and what it asked.
struct Call<'a> {
    entry: &'a Entry,
    asked: Asked,
}

/// Dependency, and what it was asked.
type Asked = (String, Question);

/// How the calls of one exchange differ from those of the other.
pub(crate) fn divergence(
    (recorded, one): (&Source, &Id),
    (replayed, other): (&Source, &Id),
    rules: &Rules,
) -> Result<Divergence, Trouble> {
    let (before, now) = (calls(recorded, one, rules)?, calls(replayed, other, rules)?);
    let never_asked = only_in(&before, &now).into_iter().map(|call| title(call.entry));
    let extra = only_in(&now, &before).into_iter().map(|call| title(call.entry));
    let mut divergence =
        Divergence { never_asked: never_asked.collect(), extra: extra.collect(), ..Divergence::default() };
    let order = |calls: &[Call<'_>]| calls.iter().map(|call| call.asked.clone()).collect::<Vec<_>>();
    divergence.reordered = !divergence.diverges() && order(&before) != order(&now);
    Ok(divergence)
}

fn calls<'a>(source: &'a Source, parent: &Id, rules: &Rules) -> Result<Vec<Call<'a>>, Trouble> {
    let of_parent = source.archive.entries().iter().filter(|entry| entry.parent.as_ref() == Some(parent));
    of_parent.map(|entry| Ok(Call { entry, asked: asked(source, entry, rules)? })).collect()
}

fn asked(source: &Source, entry: &Entry, rules: &Rules) -> Result<Asked, Trouble> {
    let name = entry.dependency.as_deref().unwrap_or_default().to_owned();
    let asked = question(source, entry, |body| drop(rules.take_out_of_call(&name, body)))?;
    Ok((name, asked))
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

//! Which part of a suite a case is in.
//!
//! In: what a bundle holds, and how long cases took before. Out: a number below the number of parts. A case stays in its part
//! whatever other cases come or go: it depends on its own content and on the file of durations alone.

use std::{collections::BTreeMap, path::Path};

use bundle::Archive;
use exchange::Digest;
use report::Suite;

use super::{case::Planned, merge};
use crate::{args::values::Shard, trouble::Trouble};

/// The cases of one part.
///
/// # Errors
/// When the file of durations cannot be read.
pub(super) fn part(planned: Vec<Planned>, shard: Shard, balance: Option<&Path>) -> Result<Vec<Planned>, Trouble> {
    let balanced = match balance {
        Some(path) => by_duration(&durations(&merge::read(path)?), shard.of),
        None => BTreeMap::new(),
    };
    let is_in = |planned: &Planned| {
        let content = content_of(planned);
        let place = balanced.get(&content).copied().unwrap_or_else(|| by_content(&content, shard.of));
        place + 1 == shard.index
    };
    Ok(planned.into_iter().filter(is_in).collect())
}

/// What tells a bundle from others: its own digest; of one that cannot be opened (encrypted, damaged) that of its name.
fn content_of(planned: &Planned) -> Digest {
    let digest = Archive::open(&planned.found.bundle).ok().and_then(|archive| archive.digest());
    digest.unwrap_or_else(|| Digest::of(planned.name.as_bytes()))
}

/// Equal chances for each part.
fn by_content(content: &Digest, of: u32) -> u32 {
    let mut first = [0; 8];
    first.copy_from_slice(&Digest::of(&content.0).0[..8]);
    u32::try_from(u64::from_le_bytes(first) % u64::from(of)).expect("a remainder is below what it is of")
}

fn durations(suite: &Suite) -> BTreeMap<Digest, u64> {
    let took = suite.cases.iter().filter(|case| !case.replays.is_empty());
    took.filter_map(|case| Some((case.digest?, case.took_ms))).collect()
}

/// The longest first, each to the part that has least so far (Graham's rule: no part gets more than 4/3 of what the best way
/// would give the fullest). All that the file has counts, whether it is still there or not.
fn by_duration(took: &BTreeMap<Digest, u64>, of: u32) -> BTreeMap<Digest, u32> {
    let mut longest: Vec<_> = took.iter().collect();
    longest.sort_by_key(|(digest, ms)| (std::cmp::Reverse(**ms), **digest));
    let mut loads: Vec<(u64, u32)> = (0..of).map(|part| (0, part)).collect();
    let mut parts = BTreeMap::new();
    for (digest, ms) in longest {
        let least = loads.iter_mut().min().expect("there is a part");
        // Nothing takes no time.
        least.0 += (*ms).max(1);
        parts.insert(*digest, least.1);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: u32) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn each_case_is_in_one_part_and_parts_are_about_as_large() {
        let mut counts = [0; 4];
        (0..4000).for_each(|number| counts[by_content(&digest(number), 4) as usize] += 1);
        // Four standard deviations of a binomial with n = 4000 and p = 1/4: 110.
        assert!(counts.iter().all(|count| (890..=1110).contains(count)), "{counts:?}");
    }

    #[test]
    fn durations_even_out_the_parts_and_one_more_case_moves_none() {
        let took: BTreeMap<Digest, u64> = (0..100).map(|number| (digest(number), u64::from(number * number))).collect();
        let parts = by_duration(&took, 3);
        let mut loads = [0; 3];
        parts.iter().for_each(|(digest, part)| loads[*part as usize] += took[digest]);
        let (least, most) = (loads.iter().min().unwrap(), loads.iter().max().unwrap());
        assert!(most - least < 100, "{loads:?}");
        assert_eq!(by_duration(&took, 3), parts);
    }
}

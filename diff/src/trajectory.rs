//! The trajectory of an exchange: which calls it made to its dependencies, in which order, with which arguments, against those
//! that production made.
//!
//! In: both lists of calls, each in order, with what is known of which replayed one repeats which recorded one, and of the others how
//! far each recorded one is. Out: one aligned list, in which each call stands once. What a call's arguments are, and which recording
//! answered it, is `matching`'s to say.

use std::collections::{BTreeMap, BTreeSet};

use exchange::Id;
use serde::{Deserialize, Serialize};

/// Most steps of a trajectory that are kept. A choice: an agent's longest runs have a few hundred calls.
const STEPS_LEN_MAX: usize = 512;

/// A call that production made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// The recorded call.
    pub id: Id,
    /// Dependency, method and target.
    pub title: String,
}

/// A call that the replayed service made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayedCall {
    /// Dependency, method and target.
    pub title: String,
    /// The recorded call that it repeats.
    pub repeats: Option<Id>,
    /// Where none equals it: recorded calls in whose place it may have come.
    pub near: Vec<NearCall>,
}

/// A recorded call in whose place another may have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearCall {
    /// The recorded call.
    pub id: Id,
    /// How far it is: what compares less is nearer.
    pub distance: [u64; 3],
    /// Where the arguments differ, in words that begin with an RFC 6901 pointer.
    pub arguments: Vec<String>,
}

/// Both lists of calls, aligned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trajectory {
    /// One for each call of either side: in the order of the replayed ones, those that are missing where they were.
    pub steps: Vec<TrajectoryStep>,
    /// Steps beyond those that are kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_more: u64,
    /// How many calls production made.
    pub recorded: u64,
    /// How many calls were made here.
    pub replayed: u64,
}

/// One call, on either side or both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrajectoryStep {
    /// What became of it.
    pub step: StepKind,
    /// Dependency, method and target; of a changed one the replayed.
    pub title: String,
    /// Its number among production's calls, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<u64>,
    /// The recorded call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_id: Option<Id>,
    /// Its number among the calls made here, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<u64>,
    /// Where its arguments differ, each in words that begin with a pointer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// The same call in the same place among the others.
    Same,
    /// The same call, before or after others that it came after or before.
    Moved,
    /// A call in the place of a recorded one, with other arguments.
    Changed,
    /// Production made it, and the service does not any more.
    Missing,
    /// The service makes it, and production did not.
    Extra,
}

impl StepKind {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Moved => "moved",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

impl Trajectory {
    /// Aligns what was called with what had been. Replayed calls that repeat none take the places of recorded ones that were not made
    /// otherwise: of all pairs those that are nearest first. What moved is what is in no longest run of calls that kept their order.
    pub fn of(recorded: &[RecordedCall], replayed: &[ReplayedCall]) -> Self {
        let mut places: BTreeMap<Id, usize> = BTreeMap::new();
        recorded.iter().enumerate().for_each(|(at, call)| {
            places.entry(call.id).or_insert(at);
        });
        let mut taken = BTreeSet::new();
        let mut counterpart: Vec<Option<usize>> = replayed
            .iter()
            .map(|call| call.repeats.and_then(|id| places.get(&id).copied()).filter(|at| taken.insert(*at)))
            .collect();
        let mut changed: BTreeMap<usize, &NearCall> = BTreeMap::new();
        for Pair { at, recorded_at, near } in nearest_first(replayed, &places) {
            if counterpart[at].is_none() && taken.insert(recorded_at) {
                counterpart[at] = Some(recorded_at);
                changed.insert(at, near);
            }
        }
        let in_order = longest_increasing(&counterpart);
        let mut steps = Vec::new();
        let missing: Vec<usize> = (0..recorded.len()).filter(|at| !taken.contains(at)).collect();
        let mut missing = missing.into_iter().peekable();
        for (at, (call, counterpart)) in replayed.iter().zip(&counterpart).enumerate() {
            // What is missing stood before the next call that kept its order.
            while let Some(gone) =
                missing.next_if(|gone| in_order.contains(&at) && counterpart.is_some_and(|it| *gone < it))
            {
                steps.push(missing_step(recorded, gone));
            }
            let step = match (counterpart, call.repeats.is_some(), in_order.contains(&at)) {
                (None, ..) => StepKind::Extra,
                (Some(_), false, _) => StepKind::Changed,
                (Some(_), true, true) => StepKind::Same,
                (Some(_), true, false) => StepKind::Moved,
            };
            steps.push(TrajectoryStep {
                step,
                title: call.title.clone(),
                recorded_at: counterpart.map(|at| at as u64),
                recorded_id: counterpart.map(|at| recorded[at].id),
                replayed_at: Some(at as u64),
                arguments: changed.get(&at).map(|near| near.arguments.clone()).unwrap_or_default(),
            });
        }
        steps.extend(missing.map(|gone| missing_step(recorded, gone)));
        let steps_more = steps.len().saturating_sub(STEPS_LEN_MAX) as u64;
        steps.truncate(STEPS_LEN_MAX);
        Self { steps, steps_more, recorded: recorded.len() as u64, replayed: replayed.len() as u64 }
    }

    /// True where every call was made again, in its place, with its arguments, and no other.
    pub fn is_same(&self) -> bool {
        self.steps_more == 0 && self.steps.iter().all(|step| step.step == StepKind::Same)
    }
}

/// A replayed call and a recorded one in whose place it may have come.
struct Pair<'a> {
    at: usize,
    recorded_at: usize,
    near: &'a NearCall,
}

/// All pairs, the nearest first; of equal ones those whose calls come in the same order on both sides.
fn nearest_first<'a>(replayed: &'a [ReplayedCall], places: &BTreeMap<Id, usize>) -> Vec<Pair<'a>> {
    let unknown = replayed.iter().enumerate().filter(|(_, call)| call.repeats.is_none());
    let pair = |at: usize, near: &'a NearCall| Some(Pair { at, recorded_at: *places.get(&near.id)?, near });
    let mut pairs: Vec<Pair<'a>> =
        unknown.flat_map(|(at, call)| call.near.iter().filter_map(move |near| pair(at, near))).collect();
    pairs.sort_by_key(|pair| (pair.near.distance, pair.at, pair.recorded_at));
    pairs
}

fn missing_step(recorded: &[RecordedCall], at: usize) -> TrajectoryStep {
    TrajectoryStep {
        step: StepKind::Missing,
        title: recorded[at].title.clone(),
        recorded_at: Some(at as u64),
        recorded_id: Some(recorded[at].id),
        replayed_at: None,
        arguments: Vec::new(),
    }
}

/// The positions of a longest increasing subsequence of what is there, by patience sorting (C. Schensted, "Longest increasing
/// and decreasing subsequences", 1961).
fn longest_increasing(values: &[Option<usize>]) -> BTreeSet<usize> {
    // For each length: where the subsequence of that length with the smallest last value ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; values.len()];
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        let len = ends.partition_point(|&end| values[end].is_some_and(|last| last < *value));
        before[at] = len.checked_sub(1).map(|shorter| ends[shorter]);
        if len == ends.len() {
            ends.push(at);
        } else {
            ends[len] = at;
        }
    }
    let mut longest = BTreeSet::new();
    let mut next = ends.last().copied();
    while let Some(at) = next {
        longest.insert(at);
        next = before[at];
    }
    longest
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> Id {
        Id([number; 16])
    }

    fn recorded(numbers: &[u8]) -> Vec<RecordedCall> {
        numbers.iter().map(|&number| RecordedCall { id: id(number), title: format!("call {number}") }).collect()
    }

    fn again(number: u8) -> ReplayedCall {
        ReplayedCall { title: format!("call {number}"), repeats: Some(id(number)), near: Vec::new() }
    }

    fn other(nearest: Option<u8>) -> ReplayedCall {
        changed("another", &nearest.map(|number| (number, 1)).into_iter().collect::<Vec<_>>())
    }

    /// A call with the recorded ones in whose place it may have come, and in how many places each differs.
    fn changed(title: &str, near: &[(u8, u64)]) -> ReplayedCall {
        let near = near.iter().map(|&(number, places)| NearCall {
            id: id(number),
            distance: [0, places, 0],
            arguments: vec![format!("/model: recorded \"{number}\", asked \"b\"")],
        });
        ReplayedCall { title: title.to_owned(), repeats: None, near: near.collect() }
    }

    fn words(trajectory: &Trajectory) -> Vec<String> {
        trajectory.steps.iter().map(|step| format!("{} {}", step.step.word(), step.title)).collect()
    }

    #[test]
    fn the_same_calls_in_the_same_order_are_the_same() {
        let same = Trajectory::of(&recorded(&[1, 2]), &[again(1), again(2)]);
        assert!(same.is_same());
        assert_eq!(words(&same), ["same call 1", "same call 2"]);
        assert!(Trajectory::of(&[], &[]).is_same());
    }

    #[test]
    fn what_is_missing_stands_where_it_was_and_what_is_extra_where_it_came() {
        let trajectory = Trajectory::of(&recorded(&[1, 2, 3]), &[again(1), other(None), again(3)]);
        assert_eq!(words(&trajectory), ["same call 1", "extra another", "missing call 2", "same call 3"]);
        assert!(!trajectory.is_same());
        let none = Trajectory::of(&recorded(&[1, 2]), &[]);
        assert_eq!(words(&none), ["missing call 1", "missing call 2"]);
    }

    #[test]
    fn other_arguments_are_a_change_of_the_nearest_call_that_was_not_made_otherwise() {
        let trajectory = Trajectory::of(&recorded(&[1, 2]), &[again(1), other(Some(2)), other(Some(1))]);
        assert_eq!(words(&trajectory), ["same call 1", "changed another", "extra another"]);
        let step = &trajectory.steps[1];
        assert_eq!((step.recorded_at, step.replayed_at, step.recorded_id), (Some(1), Some(1), Some(id(2))));
        assert_eq!(step.arguments, ["/model: recorded \"2\", asked \"b\""]);
    }

    #[test]
    fn of_calls_that_may_each_have_come_in_several_places_the_nearest_pairs_go_together() {
        let both = [changed("x", &[(1, 2), (2, 3)]), changed("y", &[(1, 1), (2, 5)])];
        let trajectory = Trajectory::of(&recorded(&[1, 2]), &both);
        let of =
            |at: usize| (trajectory.steps[at].recorded_id.unwrap().0[0], trajectory.steps[at].arguments[0].as_str());
        assert_eq!(
            [of(0), of(1)],
            [(2, "/model: recorded \"2\", asked \"b\""), (1, "/model: recorded \"1\", asked \"b\"")]
        );
        let tied = [changed("x", &[(1, 1), (2, 1)]), changed("y", &[(1, 1), (2, 1)])];
        let trajectory = Trajectory::of(&recorded(&[1, 2]), &tied);
        assert_eq!(trajectory.steps.iter().map(|step| step.recorded_at).collect::<Vec<_>>(), [Some(0), Some(1)]);
    }

    #[test]
    fn a_changed_call_never_takes_the_place_of_one_that_comes_unchanged_later() {
        let trajectory = Trajectory::of(&recorded(&[1, 2]), &[changed("x", &[(2, 1), (1, 9)]), again(2)]);
        assert_eq!(words(&trajectory), ["changed x", "same call 2"]);
        assert_eq!(trajectory.steps[0].recorded_at, Some(0));
    }

    #[test]
    fn the_fewest_calls_that_explain_another_order_have_moved() {
        let trajectory = Trajectory::of(&recorded(&[1, 2, 3, 4]), &[again(4), again(1), again(2), again(3)]);
        assert_eq!(words(&trajectory), ["moved call 4", "same call 1", "same call 2", "same call 3"]);
    }

    #[test]
    fn of_too_many_steps_the_first_are_kept_and_the_others_counted() {
        let calls: Vec<_> = (0..600).map(|_| other(None)).collect();
        let trajectory = Trajectory::of(&[], &calls);
        assert_eq!((trajectory.steps.len(), trajectory.steps_more, trajectory.replayed), (512, 88, 600));
    }

    proptest! {
        #[test]
        fn every_call_of_either_side_stands_exactly_once(
            was in proptest::collection::vec(0..12_u8, 0..10),
            is in proptest::collection::vec((0..12_u8, proptest::collection::vec((0..12_u8, 0..4_u64), 0..4)), 0..10)
        ) {
            let was: Vec<u8> = was.into_iter().collect::<BTreeSet<_>>().into_iter().rev().collect();
            let calls: Vec<_> = is
                .iter()
                .map(|(number, near)| if was.contains(number) { again(*number) } else { changed("another", near) })
                .collect();
            let trajectory = Trajectory::of(&recorded(&was), &calls);
            let mut left: Vec<_> = trajectory.steps.iter().filter_map(|step| step.recorded_at).collect();
            left.sort_unstable();
            prop_assert_eq!(left, (0..was.len() as u64).collect::<Vec<_>>());
            let right: Vec<_> = trajectory.steps.iter().filter_map(|step| step.replayed_at).collect();
            prop_assert_eq!(right, (0..calls.len() as u64).collect::<Vec<_>>());
        }
    }
}

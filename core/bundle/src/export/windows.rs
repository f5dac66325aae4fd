//! Stretches of time in each session, such as those around what is exported.

use std::collections::BTreeMap;

use exchange::Id;

use crate::Entry;

/// For each session, stretches of time that do not touch, in order: from and to, in nanoseconds since its start.
#[derive(Debug, Default)]
pub(super) struct Windows(BTreeMap<Id, Vec<(u64, u64)>>);

impl Windows {
    /// From `around_ns` before the start of each of these to `around_ns` after its end.
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a Entry>, around_ns: u64) -> Self {
        let mut all: BTreeMap<Id, Vec<(u64, u64)>> = BTreeMap::new();
        for entry in entries {
            let window = (entry.started_ns.saturating_sub(around_ns), entry.ended_ns.saturating_add(around_ns));
            all.entry(entry.session).or_default().push(window);
        }
        all.values_mut().for_each(|windows| join(windows, 0));
        Self(all)
    }

    /// True where one of the stretches has an instant in common with this one.
    pub(super) fn meet(&self, session: &Id, from_ns: u64, to_ns: u64) -> bool {
        let Some(windows) = self.0.get(session) else { return false };
        let next = windows.partition_point(|(_, end)| *end < from_ns);
        windows.get(next).is_some_and(|(start, _)| *start <= to_ns)
    }
}

/// Makes one of stretches that overlap, or have no longer pause between them than this.
pub(super) fn join(windows: &mut Vec<(u64, u64)>, pause_ns: u64) {
    windows.sort_unstable();
    windows.dedup_by(|next, before| {
        let overlaps = next.0 <= before.1.saturating_add(pause_ns);
        if overlaps {
            before.1 = before.1.max(next.1);
        }
        overlaps
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn stretches_that_overlap_are_one_and_what_lies_between_two_is_in_none() {
        let mut windows = vec![(50, 60), (0, 20), (5, 10), (15, 30)];
        join(&mut windows, 0);
        assert_eq!(windows, [(0, 30), (50, 60)]);
        let windows = Windows(BTreeMap::from([(sample::id(1), windows)]));
        let meets = |from, to| windows.meet(&sample::id(1), from, to);
        assert!(meets(30, 30) && meets(31, 50) && meets(0, u64::MAX));
        assert!(!meets(31, 49) && !meets(61, 70) && !windows.meet(&sample::id(2), 0, 10));
    }
}

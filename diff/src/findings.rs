//! What a comparison has found so far, and how much work it may still do.

use crate::{
    CHANGES_LEN_MAX, Change, ComparedAs, Comparison, ListSeen, NotJson, Rules, Streams, VectorChange,
    rules::{RuleUse, Uses},
};

/// Work that one comparison may spend on finding the best way to pair things up, in bytes hashed and table cells filled
/// (under a nanosecond to a few each). A choice: a tenth of a second or so. Past it, pairing goes by position.
const WORK_MAX: u64 = 64 << 20;

/// Most lists that are noted of one comparison. A choice: of one that is not, nothing is known.
const LISTS_LEN_MAX: usize = 2_000;

/// Collects differences and uses of rules.
#[derive(Debug)]
pub(crate) struct Findings {
    changes: Vec<Change>,
    changes_more: u64,
    uses: Uses,
    work_left: u64,
    coarse: bool,
    streams: Option<Streams>,
    not_json: [Option<NotJson>; 2],
    /// The lists in which something differs, where that is asked.
    lists: Option<Vec<ListSeen>>,
}

impl Findings {
    /// Nothing found yet.
    pub(crate) fn new() -> Self {
        Self {
            changes: Vec::new(),
            changes_more: 0,
            uses: Uses::default(),
            work_left: WORK_MAX,
            coarse: false,
            streams: None,
            not_json: [None, None],
            lists: None,
        }
    }

    /// Nothing found yet, and it is asked which elements there are beside those that differ.
    pub(crate) fn noting_lists() -> Self {
        Self { lists: Some(Vec::new()), ..Self::new() }
    }

    /// True where lists are to be noted.
    pub(crate) fn notes_lists(&self) -> bool {
        self.lists.as_ref().is_some_and(|lists| lists.len() < LISTS_LEN_MAX)
    }

    /// Notes a list.
    pub(crate) fn note_list(&mut self, list: ListSeen) {
        self.lists.as_mut().expect("it was asked whether lists are noted").push(list);
    }

    /// The lists that were noted.
    pub(crate) fn take_lists(&mut self) -> Vec<ListSeen> {
        self.lists.take().unwrap_or_default()
    }

    /// True when one more difference will be listed. Where there is no more room it is counted here, and is not to be
    /// worked out and added.
    pub(crate) fn has_room(&mut self) -> bool {
        let has_room = self.changes.len() < CHANGES_LEN_MAX;
        self.changes_more += u64::from(!has_room);
        has_room
    }

    /// Lists a difference for which there is room.
    pub(crate) fn add(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Says how far apart the values at this place are, where they differ.
    pub(crate) fn tell_distance(&mut self, pointer: &str, distance: VectorChange) {
        if let Some(change) = self.changes.iter_mut().find(|change| change.pointer == pointer) {
            change.vector = Some(distance);
        }
    }

    /// Notes that a rule hid a difference.
    pub(crate) fn count_use(&mut self, rule_at: usize, pointer: impl FnOnce() -> String) {
        self.uses.count(rule_at, pointer);
    }

    /// Takes this much work out of the budget; false, and the comparison is coarse, when there is not enough left.
    pub(crate) fn spend(&mut self, work: u64) -> bool {
        let left = self.work_left.checked_sub(work);
        self.work_left = left.unwrap_or(self.work_left);
        self.coarse |= left.is_none();
        left.is_some()
    }

    /// Says that something was compared less finely than it could be.
    pub(crate) fn note_coarse(&mut self) {
        self.coarse = true;
    }

    /// Says how streams came.
    pub(crate) fn note_streams(&mut self, streams: Streams) {
        self.streams = Some(streams);
    }

    /// Says why the recorded and the replayed body were not read as JSON.
    pub(crate) fn note_not_json(&mut self, not_json: [Option<NotJson>; 2]) {
        self.not_json = not_json;
    }

    /// How many differences were found.
    pub(crate) fn changes_count(&self) -> u64 {
        self.changes.len() as u64 + self.changes_more
    }

    /// The outcome.
    pub(crate) fn into_comparison(self, rules: &Rules, compared_as: ComparedAs) -> Comparison {
        let rules_used: Vec<RuleUse> = rules.report(self.uses);
        let [recorded_not_json, replayed_not_json] = self.not_json;
        Comparison {
            changes: self.changes,
            changes_more: self.changes_more,
            rules_used,
            noise: Vec::new(),
            recorded_part_only: false,
            replayed_part_only: false,
            coarse: self.coarse,
            recorded_not_json,
            replayed_not_json,
            compared_as,
            streams: self.streams,
        }
    }
}

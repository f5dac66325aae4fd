//! What of a message could have come yet when its stream ended before it was whole.
//!
//! Each format knows which of its texts were still being written, and which values are only said at the end. What stands
//! around such a text may have further members and elements, too; all else was said.

/// A step into a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// To an object's member.
    Key(&'static str),
    /// To an array's element.
    Index(usize),
}

/// Places of a message that its stream had not come to the end of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Texts that could go on, and where the next element or member would stand.
    pub goes_on: Vec<Vec<Step>>,
    /// Values that are said again at the end.
    pub changes: Vec<Vec<Step>>,
    /// Parts that were begun and of which nothing said that they end, though their format does: whoever acts when they end, never does.
    pub left_open: Vec<Vec<Step>>,
}

impl Unfinished {
    /// With values of the message itself that are said again at the end.
    pub(super) fn changing(keys: &[&'static str]) -> Self {
        Self { changes: keys.iter().map(|key| vec![Step::Key(key)]).collect(), ..Self::default() }
    }

    pub(super) fn may_go_on(&mut self, place: impl Into<Vec<Step>>) {
        self.goes_on.push(place.into());
    }

    pub(super) fn may_change(&mut self, place: impl Into<Vec<Step>>) {
        self.changes.push(place.into());
    }
}

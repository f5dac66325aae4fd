//! The rules that apply to one message, sorted by the kind of place they cover, and the count of their uses.

use std::collections::BTreeMap;

use super::Place;
use crate::pointer::Pattern;

/// The rules for one message, each with its number among all rules.
#[derive(Debug, Default)]
pub(crate) struct Active<'r> {
    /// The rule that covers the status.
    pub(crate) status: Option<usize>,
    /// Rules for header fields, by lower-case name.
    pub(crate) headers: Vec<(usize, &'r str)>,
    /// Rules for a JSON body.
    pub(crate) body: Vec<(usize, &'r Pattern)>,
    /// Rules for the data of events.
    pub(crate) event_data: Vec<(usize, &'r Pattern)>,
    /// Rules for other fields of events.
    pub(crate) event_fields: Vec<(usize, EventField)>,
}

/// A field of an event beside its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventField {
    /// The event's type.
    Event,
    /// The last event id.
    Id,
    /// The reconnection time.
    Retry,
    /// All fields that the standard does not know.
    Others,
}

impl EventField {
    /// All of them, in the order in which they are compared.
    pub(crate) const ALL: [Self; 4] = [Self::Event, Self::Id, Self::Retry, Self::Others];

    /// The name by which rules and pointers call it: that of the stream.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Id => "id",
            Self::Retry => "retry",
            Self::Others => "others",
        }
    }
}

impl<'r> Active<'r> {
    /// Sorts in a rule if it is for a response of the service itself.
    pub(super) fn add_for_response(&mut self, at: usize, place: &'r Place) {
        match place {
            Place::Status => self.status = self.status.or(Some(at)),
            Place::Header(name) => self.headers.push((at, name)),
            Place::Body(pattern) => self.body.push((at, pattern)),
            Place::EventData(pattern) => self.event_data.push((at, pattern)),
            Place::EventField(field) => self.event_fields.push((at, *field)),
            Place::CallRequest { .. } | Place::CallResponse { .. } => {}
        }
    }

    /// The rule that covers this header field, its name in lower case.
    pub(crate) fn for_header(&self, name: &str) -> Option<usize> {
        self.headers.iter().find(|(_, covered)| *covered == name).map(|(at, _)| *at)
    }

    /// The rule that covers this field of an event.
    pub(crate) fn for_event_field(&self, field: EventField) -> Option<usize> {
        self.event_fields.iter().find(|(_, covered)| *covered == field).map(|(at, _)| *at)
    }
}

/// How often each rule hid a difference, and where it did first.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    counts: BTreeMap<usize, (String, u64)>,
}

impl Uses {
    /// Counts one use of a rule; `pointer` is asked for the first time only.
    pub(crate) fn count(&mut self, rule_at: usize, pointer: impl FnOnce() -> String) {
        self.counts.entry(rule_at).or_insert_with(|| (pointer(), 0)).1 += 1;
    }

    pub(super) fn into_counts(self) -> impl Iterator<Item = (usize, (String, u64))> {
        self.counts.into_iter()
    }
}

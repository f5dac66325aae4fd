//! The rules that apply to one message, sorted by the kind of place they cover, and the count of their uses.

use std::collections::BTreeMap;

use super::Place;
use crate::{
    VectorChange,
    numbers::Tolerance,
    pointer::{Cover, Pattern, Patterns, Step},
};

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
    /// Where numbers of a JSON body need only be near each other.
    body_tolerated: Vec<(usize, &'r Pattern)>,
    /// Where numbers of the data of events need only be near each other.
    event_tolerated: Vec<(usize, &'r Pattern)>,
    /// How near, by rule.
    tolerances: Vec<(usize, Tolerance)>,
}

/// The rules for one document.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Covered<'r> {
    /// What is not compared.
    pub(crate) ignored: &'r Patterns<'r>,
    /// Where numbers need only be near each other.
    pub(crate) tolerated: &'r Patterns<'r>,
    /// How near, by rule.
    pub(crate) tolerances: &'r [(usize, Tolerance)],
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
    /// What ends the stream of a message: that it came.
    End,
}

impl EventField {
    /// Those of a single event, in the order in which they are compared.
    pub(crate) const ALL: [Self; 4] = [Self::Event, Self::Id, Self::Retry, Self::Others];

    /// The name by which rules and pointers call it: that of the stream.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Id => "id",
            Self::Retry => "retry",
            Self::Others => "others",
            Self::End => "end",
        }
    }
}

impl<'r> Active<'r> {
    /// Sorts in a rule if it is for a response of the service itself.
    pub(super) fn add_for_response(&mut self, at: usize, place: &'r Place, tolerance: Option<Tolerance>) {
        if let Some(tolerance) = tolerance {
            self.tolerances.push((at, tolerance));
        }
        match place {
            Place::Body(pattern) if tolerance.is_some() => self.body_tolerated.push((at, pattern)),
            Place::EventData(pattern) if tolerance.is_some() => self.event_tolerated.push((at, pattern)),
            Place::Status => self.status = self.status.or(Some(at)),
            Place::Header(name) => self.headers.push((at, name)),
            Place::Body(pattern) => self.body.push((at, pattern)),
            Place::EventData(pattern) => self.event_data.push((at, pattern)),
            Place::EventField(field) => self.event_fields.push((at, *field)),
            Place::CallRequest { .. } | Place::CallResponse { .. } => {}
        }
    }

    /// Sorts in a rule for responses of the dependency that is meant.
    pub(super) fn add_for_call(&mut self, at: usize, pattern: &'r Pattern, tolerance: Option<Tolerance>) {
        let (body, event) = match tolerance {
            Some(tolerance) => {
                self.tolerances.push((at, tolerance));
                (&mut self.body_tolerated, &mut self.event_tolerated)
            }
            None => (&mut self.body, &mut self.event_data),
        };
        body.push((at, pattern));
        event.push((at, pattern));
    }

    /// The rules for a JSON body.
    pub(crate) fn for_body(&self) -> Covered<'_> {
        Covered { ignored: &self.body, tolerated: &self.body_tolerated, tolerances: &self.tolerances }
    }

    /// The tolerance that covers vectors which are so far apart, in this member of a body.
    pub(crate) fn tolerance_of(&self, member: &str, distance: &VectorChange) -> Option<usize> {
        let mut cover = Cover::new(&self.body_tolerated);
        cover.enter(&Step::Key(member));
        let rule_at = cover.rule()?;
        let covers = |(at, tolerance): &(usize, Tolerance)| *at == rule_at && tolerance.covers_vector(distance);
        self.tolerances.iter().any(covers).then_some(rule_at)
    }

    /// The rules for the data of events.
    pub(crate) fn for_event_data(&self) -> Covered<'_> {
        Covered { ignored: &self.event_data, tolerated: &self.event_tolerated, tolerances: &self.tolerances }
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

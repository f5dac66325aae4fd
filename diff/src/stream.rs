//! Server-sent events compared one by one.
//!
//! In: two streams and the rules. Out: differences of events that belong together, and events that only one side has.
//! Split points, comments and line ends never matter; an event's data that is JSON is compared as JSON. Of a stream that
//! was cut, the events that are there are compared, the last one as far as it goes.

use std::borrow::Cow;

use content::{
    canonical::VALUES_MAX,
    eventstream,
    json::{self, Tree},
    sse::{Event, Stream},
};
use exchange::Digest;

use crate::{
    Change, ChangeKind, Shown,
    align::{Pairing, align},
    findings::Findings,
    json::{Document, compare as compare_json, parse_cut, without},
    pointer::{Cover, rule_for_root},
    rules::{Active, EventField},
    text,
    view::CUT,
};

/// What stands before the pointer of anything in an event.
const PREFIX: &str = "sse:";

/// One event as it is compared.
struct Item<'s> {
    event: &'s Event,
    data: Data<'s>,
    /// True when it was cut: what the other side has beyond it is not compared.
    is_cut: bool,
    /// False for a last event that no blank line ended, in a stream that was not cut.
    is_finished: bool,
}

enum Data<'s> {
    /// No `data` field.
    Nothing,
    /// JSON, and how many values at its end were cut off.
    Json(Tree<'s>, usize),
    /// Anything else.
    Text(&'s str),
}

/// Compares two streams; `is_part` when the recorded one was cut.
pub(crate) fn compare(
    recorded: &Stream,
    replayed: &Stream,
    is_part: bool,
    rules: &Active<'_>,
    findings: &mut Findings,
) {
    let recorded = items(recorded, is_part);
    let mut replayed = items(replayed, false);
    if is_part {
        replayed.truncate(recorded.len());
    }
    for pairing in pairings(&recorded, &replayed, rules, findings) {
        let one = pairing.recorded.and_then(|at| recorded.get(at));
        let other = pairing.replayed.and_then(|at| replayed.get(at));
        let at = At { recorded: pairing.recorded, replayed: pairing.replayed };
        match (one, other) {
            (Some(one), Some(other)) if pairing.moved => {
                if findings.has_room() {
                    let change = at.change(PREFIX, Some(one.shown()), Some(other.shown()));
                    findings.add(Change { kind: ChangeKind::Moved, ..change });
                }
            }
            (Some(one), Some(other)) => pair(one, other, at, rules, findings),
            (one, other) => at.add(PREFIX, one.map(Item::shown), other.map(Item::shown), findings),
        }
    }
}

/// Appends what rules leave of each event, unambiguously: every part is preceded by its length.
pub(crate) fn write_what_counts(stream: &Stream, rules: &Active<'_>, out: &mut Vec<u8>) {
    for item in items(stream, false) {
        let mut event = Vec::new();
        item.write_what_counts(rules, &mut event);
        write_part(&event, out);
    }
}

fn items(stream: &Stream, is_part: bool) -> Vec<Item<'_>> {
    let mut values_left = VALUES_MAX;
    let mut data = |event, is_cut| Data::of(event, is_cut, &mut values_left);
    let whole = stream.events.iter();
    let mut items: Vec<Item<'_>> =
        whole.map(|event| Item { event, data: data(event, false), is_cut: false, is_finished: true }).collect();
    if let Some(event) = stream.trailing.as_ref().filter(|event| !is_part || event.has_data) {
        items.push(Item { event, data: data(event, is_part), is_cut: is_part, is_finished: is_part });
    }
    items
}

fn pairings(recorded: &[Item<'_>], replayed: &[Item<'_>], rules: &Active<'_>, findings: &mut Findings) -> Vec<Pairing> {
    align(&fingerprints(recorded, rules), &fingerprints(replayed, rules), findings)
}

fn fingerprints(items: &[Item<'_>], rules: &Active<'_>) -> Vec<Digest> {
    let print = |item: &Item<'_>| {
        let mut bytes = Vec::new();
        item.write_what_counts(rules, &mut bytes);
        Digest::of(&bytes)
    };
    items.iter().map(print).collect()
}

/// Compares two events that belong together.
fn pair(recorded: &Item<'_>, replayed: &Item<'_>, at: At, rules: &Active<'_>, findings: &mut Findings) {
    for field in EventField::ALL {
        let (one, other) = (recorded.field(field), replayed.field(field));
        let may_come_later = recorded.is_cut && one.is_none();
        if one == other || may_come_later {
            continue;
        }
        let pointer = format!("{PREFIX}{}", field.name());
        match rules.for_event_field(field) {
            Some(rule_at) => findings.count_use(rule_at, || pointer),
            None => {
                let shown = |text: Option<Cow<'_, str>>| text.map(|text| Shown::beginning_of(&text));
                at.add(&pointer, shown(one), shown(other), findings);
            }
        }
    }
    if recorded.is_finished != replayed.is_finished {
        return at.add(PREFIX, Some(recorded.shown()), Some(replayed.shown()), findings);
    }
    pair_data(recorded, replayed, at, rules, findings);
}

fn pair_data(recorded: &Item<'_>, replayed: &Item<'_>, at: At, rules: &Active<'_>, findings: &mut Findings) {
    let is_equal = match (&recorded.data, &replayed.data) {
        (Data::Json(one, open), Data::Json(other, _)) => {
            let document = Document { prefix: PREFIX, events: at.numbers(), has_calls: false };
            return compare_json(one.root(), other.root(), *open, document, rules.for_event_data(), findings);
        }
        (Data::Text(one), Data::Text(other)) if recorded.is_cut => other.starts_with(one),
        (Data::Text(one), Data::Text(other)) => one == other,
        (Data::Nothing, Data::Nothing) => true,
        (Data::Text(_), Data::Json(..)) if recorded.is_cut => replayed.event.data.starts_with(&recorded.event.data),
        _ => false,
    };
    if is_equal {
        return;
    }
    match rule_for_root(&rules.event_data) {
        Some(rule_at) => findings.count_use(rule_at, || PREFIX.to_owned()),
        None => add_data(recorded, replayed, at, findings),
    }
}

fn add_data(recorded: &Item<'_>, replayed: &Item<'_>, at: At, findings: &mut Findings) {
    if !findings.has_room() {
        return;
    }
    let is_type_changed =
        matches!((&recorded.data, &replayed.data), (Data::Json(..), Data::Text(_)) | (Data::Text(_), Data::Json(..)));
    let shown = |item: &Item<'_>| item.event.has_data.then(|| item.shown());
    let mut change = at.change(PREFIX, shown(recorded), shown(replayed));
    if is_type_changed {
        change.kind = ChangeKind::TypeChanged;
    }
    if let (Data::Text(one), Data::Text(other)) = (&recorded.data, &replayed.data) {
        change.text = Some(text::change(one, other, findings));
    }
    findings.add(change);
}

impl<'s> Data<'s> {
    /// Reads an event's data as JSON where it is, as long as all events together have not too many values.
    fn of(event: &'s Event, is_cut: bool, values_left: &mut usize) -> Self {
        if !event.has_data {
            return Self::Nothing;
        }
        let bytes = event.data.as_bytes();
        let whole = json::parse_tree(bytes, *values_left).map(|tree| (tree, 0)).ok();
        let read = whole.or_else(|| if is_cut { parse_cut(bytes, *values_left) } else { None });
        let Some((tree, open)) = read else { return Self::Text(&event.data) };
        *values_left = values_left.saturating_sub(tree.len());
        Self::Json(tree, open)
    }
}

impl Item<'_> {
    fn field(&self, field: EventField) -> Option<Cow<'_, str>> {
        let event = self.event;
        match field {
            // A browser calls an event without type `message`, and so does canonical content.
            EventField::Event => event.event.as_deref().map(Cow::Borrowed).filter(|name| name != "message"),
            EventField::Id => event.id.as_deref().map(Cow::Borrowed),
            EventField::Retry => event.retry.as_deref().map(Cow::Borrowed),
            EventField::End => None,
            EventField::Others => {
                let others: Vec<_> = event.others.iter().map(|(name, value)| format!("{name}: {value}")).collect();
                (!others.is_empty()).then(|| Cow::Owned(others.join("\n")))
            }
        }
    }

    fn write_what_counts(&self, rules: &Active<'_>, out: &mut Vec<u8>) {
        for field in EventField::ALL {
            if let Some(value) = self.field(field).filter(|_| rules.for_event_field(field).is_none()) {
                write_part(field.name().as_bytes(), out);
                write_part(value.as_bytes(), out);
            }
        }
        out.push(u8::from(self.is_finished));
        let is_covered = rule_for_root(&rules.event_data).is_some();
        match &self.data {
            Data::Json(tree, _) => {
                let value = tree.root().to_value();
                if let Some(kept) =
                    without(&value, &mut Vec::new(), &mut Cover::new(&rules.event_data), &mut |_, _, _| {})
                {
                    out.push(b'j');
                    kept.write_canonical(out);
                }
            }
            Data::Text(text) if !is_covered => {
                out.push(b't');
                out.extend_from_slice(text.as_bytes());
            }
            Data::Text(_) | Data::Nothing => {}
        }
    }

    /// Its data, or its type where it has none.
    fn shown(&self) -> Shown {
        let mut shown = match &self.data {
            Data::Json(tree, _) => Shown::of_json(tree.root()),
            Data::Text(text) => Shown::beginning_of(text),
            Data::Nothing => {
                Shown::beginning_of(&format!("event: {}", self.event.event.as_deref().unwrap_or("message")))
            }
        };
        if !self.is_finished {
            let is_cut = self.event.event.as_deref() == Some(eventstream::CUT);
            shown.text.insert_str(0, if is_cut { CUT } else { "(no blank line ends it) " });
        }
        shown
    }
}

fn write_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.len() as u64).to_le_bytes());
    out.extend_from_slice(part);
}

/// Which events are compared, by number.
#[derive(Clone, Copy)]
struct At {
    recorded: Option<usize>,
    replayed: Option<usize>,
}

impl At {
    fn numbers(self) -> Option<(u64, u64)> {
        Some((self.recorded? as u64, self.replayed? as u64))
    }

    fn add(self, pointer: &str, recorded: Option<Shown>, replayed: Option<Shown>, findings: &mut Findings) {
        if findings.has_room() {
            findings.add(self.change(pointer, recorded, replayed));
        }
    }

    /// A difference between these events, or of one that only one side has.
    fn change(self, pointer: &str, recorded: Option<Shown>, replayed: Option<Shown>) -> Change {
        let kind = match (&recorded, &replayed) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        };
        let number = |at: Option<usize>| at.map(|at| at as u64);
        let (one, other) = (number(self.recorded), number(self.replayed));
        let event = one.or(other);
        let replayed_event = other.filter(|other| event != Some(*other));
        Change { event, replayed_event, recorded, replayed, ..Change::at(pointer, kind) }
    }
}

#[cfg(test)]
mod tests;

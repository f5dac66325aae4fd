//! Answers of model providers compared by what they say: a stream by the message that its events join to.
//!
//! In: two answers, read, and the rules. Out: differences with pointers into the message, as it would have come in one piece,
//! and beside them how each stream came: split points are told, and are no difference. Rules for the data of events take
//! out what they cover before the events are joined; rules for bodies apply to the message.

mod reach;

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use content::{
    canonical::VALUES_MAX,
    json::{self, Tree, Value},
    message::{self, Joined},
    sse::{Event, Stream},
};
use exchange::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    Change, ChangeKind, Shown,
    findings::Findings,
    json::{Document, canonical_digest, compare as compare_json, in_order, parse_cut, without},
    pointer::{Cover, Step, pointer_text, rule_for_root},
    rules::{Active, EventField},
    said::reach::{ERROR, cut_to_reach},
};

/// How two streams of one kind of message came. None of it is content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    /// The recorded one; absent where the recorded answer came in one piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Streamed>,
    /// The replayed one; absent where the replayed answer came in one piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<Streamed>,
}

/// How a stream came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streamed {
    /// How many events.
    pub events: u64,
    /// How many of them carried a piece of the message.
    pub pieces: u64,
    /// What said that the message is whole; absent where the stream just ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

impl Streams {
    pub(crate) fn mirrored(self) -> Self {
        Self { recorded: self.replayed, replayed: self.recorded }
    }
}

/// What rules took out of the data of events: by rule, each pointer with what stood there.
type TakenOut = BTreeMap<usize, BTreeSet<(String, Digest)>>;

/// A stream as the message that it joins to.
pub(crate) struct Message {
    joined: Joined,
    events: u64,
    taken: TakenOut,
    /// What came of an event behind the message, which no browser sees, of a stream that was not cut.
    rest: Option<Event>,
}

/// Which of two answers were cut, so that more of them may have come than is there.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cut {
    /// The recorded one.
    pub(crate) recorded: bool,
    /// The replayed one as well.
    pub(crate) both: bool,
}

/// The end of a message of Bedrock, behind which an event with its usage comes.
const END_BEFORE_USAGE: &str = "messageStop";

/// How far a stream came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// To an error.
    Failed,
    /// Nothing says that it is whole: some providers never do.
    Ended,
    Whole,
}

impl Message {
    /// Joins a stream; `None` where it is no message of a format that is known. Of one that was cut, the last event counts as
    /// far as it goes, where that can be joined.
    pub(crate) fn of(stream: &Stream, is_part: bool, rules: &Active<'_>) -> Option<Self> {
        let last = stream.trailing.as_ref().filter(|_| is_part).and_then(closed);
        let further = last.and_then(|last| Self::join(stream, Some(last), rules, message::joined));
        let rest = stream.trailing.clone().filter(|_| !is_part);
        let message = Self { rest, ..Self::join(stream, None, rules, message::joined)? };
        // What is no piece of the message, such as an item with all that is in it, says nothing before it is whole.
        Some(further.filter(|further| further.joined.pieces > message.joined.pieces).unwrap_or(message))
    }

    /// The message of a stream that is nothing but an error.
    pub(crate) fn of_error(stream: &Stream, rules: &Active<'_>) -> Option<Self> {
        Self::join(stream, None, rules, message::error_alone).filter(|_| stream.trailing.is_none())
    }

    fn join(
        stream: &Stream,
        last: Option<Event>,
        rules: &Active<'_>,
        join: fn(&Stream) -> Option<Joined>,
    ) -> Option<Self> {
        if rule_for_root(&rules.event_data).is_some() {
            return None;
        }
        let mut taken = TakenOut::new();
        let joined = if rules.event_data.is_empty() && last.is_none() && stream.trailing.is_none() {
            join(stream)?
        } else {
            let all = stream.events.iter().chain(&last);
            let events = match rules.event_data.is_empty() {
                true => all.cloned().collect(),
                false => all.map(|event| less(event, rules, &mut taken)).collect(),
            };
            join(&Stream { events, trailing: None })?
        };
        Some(Self { joined, events: stream.events.len() as u64, taken, rest: None })
    }

    fn standing(&self) -> Standing {
        match (self.joined.message.get(ERROR), &self.joined.end) {
            (Some(error), _) if *error != Value::Null => Standing::Failed,
            (_, None) => Standing::Ended,
            (_, Some(_)) => Standing::Whole,
        }
    }

    /// True where more of the message may have come: what says that it is whole did not, or it is that of a format which tells of
    /// usage behind it.
    fn may_go_on(&self) -> bool {
        self.standing() != Standing::Whole || self.joined.end.as_deref() == Some(END_BEFORE_USAGE)
    }

    /// True where what ended it is a difference of its own, and no rule hides that.
    fn is_told(&self, rules: &Active<'_>) -> bool {
        match self.standing() {
            Standing::Failed => {
                let mut cover = Cover::new(&rules.body);
                let at_root = cover.rule();
                cover.enter(&Step::Key(ERROR));
                at_root.or(cover.rule()).is_none()
            }
            Standing::Ended => rules.for_event_field(EventField::End).is_none(),
            Standing::Whole => false,
        }
    }

    /// Appends what rules leave of it.
    pub(crate) fn write_what_counts(&self, rules: &Active<'_>, out: &mut Vec<u8>) {
        if let Some(end) = self.joined.end.as_ref().filter(|_| rules.for_event_field(EventField::End).is_none()) {
            out.extend_from_slice(end.as_bytes());
        }
        if self.standing() == Standing::Whole && rules.for_event_field(EventField::End).is_none() {
            out.extend_from_slice(format!("{:?}", self.joined.unfinished.left_open).as_bytes());
        }
        let mut manner = self.joined.manner.clone();
        if rules.for_event_field(EventField::Event).is_some() {
            manner.is_named = None;
        }
        out.extend_from_slice(format!("{manner:?}\n").as_bytes());
        if let Some(rest) = &self.rest {
            out.extend_from_slice(format!("{:?}\n", what_counts(rest)).as_bytes());
        }
        let value = in_order(message::normal_of(self.joined.message.clone()));
        if let Some(kept) = without(&value, &mut Vec::new(), &mut Cover::new(&rules.body), &mut |_, _, _| {}) {
            kept.write_canonical(out);
        }
    }

    fn streamed(&self) -> Streamed {
        Streamed { events: self.events, pieces: self.joined.pieces, end: self.joined.end.clone() }
    }
}

/// An event without what rules cover of its data.
fn less(event: &Event, rules: &Active<'_>, taken: &mut TakenOut) -> Event {
    let Ok(value) = json::parse_limited(event.data.as_bytes(), VALUES_MAX) else { return event.clone() };
    let mut cover = Cover::new(&rules.event_data);
    let kept = without(&value, &mut Vec::new(), &mut cover, &mut |rule_at, path, value| {
        taken.entry(rule_at).or_default().insert((pointer_text(path), canonical_digest(value)));
    });
    Event { data: kept.map(|value| value.to_compact_text()).unwrap_or_default(), ..event.clone() }
}

/// The event as it would be if it ended where it was cut; `None` where it was cut elsewhere than in a text that comes in pieces.
fn closed(event: &Event) -> Option<Event> {
    let (tree, open) = parse_cut(event.data.as_bytes(), VALUES_MAX)?;
    let value = tree.root().to_value();
    let takes = message::only_adds(&value) && (open == 0 || ends_in_piece(&value, open));
    takes.then(|| Event { data: value.to_compact_text(), ..event.clone() })
}

/// True where the innermost of so many values that were cut off, from the root down the last ones, is a text of the message.
fn ends_in_piece(value: &Value, open: usize) -> bool {
    let Some(open) = open.checked_sub(1) else { return false };
    match value {
        Value::Object(members) => members.last().is_some_and(|(key, last)| match (open, last) {
            (1, Value::String(_)) => message::PIECES.contains(&key.as_str()),
            _ => ends_in_piece(last, open),
        }),
        Value::Array(elements) => elements.last().is_some_and(|last| ends_in_piece(last, open)),
        _ => false,
    }
}

/// What an event says, wherever it stands and whatever comments it has.
fn what_counts(event: &Event) -> Event {
    Event { comments: Vec::new(), range: 0..0, ..event.clone() }
}

/// Compares two streams by their messages. Where one did not come to its end, and the other did or came further, or where it
/// was cut, it is compared as far as it goes: what ended it is a difference of its own.
pub(crate) fn compare(
    recorded: &Message,
    replayed: &Message,
    cut: Cut,
    rules: &Active<'_>,
    findings: &mut Findings,
) -> Option<()> {
    recorded.joined.manner.is_like(&replayed.joined.manner).then_some(())?;
    let standings = (recorded.standing(), replayed.standing());
    let rests = [recorded, replayed].map(|message| message.rest.as_ref().map(what_counts));
    let is_end_told = match standings.0.cmp(&standings.1) {
        Ordering::Less => recorded.is_told(rules),
        Ordering::Equal => false,
        Ordering::Greater => replayed.is_told(rules),
    };
    if !cut.recorded && !is_end_told && rests[0] != rests[1] {
        return None;
    }
    let (mut one, mut other) = (recorded.joined.message.clone(), replayed.joined.message.clone());
    if cut.recorded && recorded.may_go_on() || standings.0 < standings.1 && recorded.is_told(rules) {
        cut_to_reach(&mut one, &mut other, &recorded.joined.unfinished);
    }
    // How far a part would have come is not known: only an error is less.
    let is_less = if cut.recorded { standings.1 == Standing::Failed } else { standings.1 < standings.0 };
    if cut.both && replayed.may_go_on() || is_less && replayed.is_told(rules) {
        cut_to_reach(&mut other, &mut one, &replayed.joined.unfinished);
    }
    let (one, other) = message::normal_of_both(one, other);
    let (one, other) = (tree_of(&one)?, tree_of(&other)?);
    findings.note_streams(Streams { recorded: Some(recorded.streamed()), replayed: Some(replayed.streamed()) });
    count_taken(recorded, replayed, findings);
    let document = Document { has_calls: true, ..Document::default() };
    compare_json(one.root(), other.root(), 0, document, rules.for_body(), findings);
    compare_names(recorded, replayed, rules, findings);
    let ends = (recorded.joined.end.as_deref(), replayed.joined.end.as_deref());
    // Some formats say themselves that they are whole, and `[DONE]` comes behind that.
    let is_before = |end: Option<&str>, other: Option<&str>| end.is_none() || other == Some("[DONE]");
    let may_come_later = cut.recorded && is_before(ends.0, ends.1) || cut.both && is_before(ends.1, ends.0);
    if ends.0 != ends.1 && !may_come_later {
        compare_ends(ends.0, ends.1, rules, findings);
    }
    if standings == (Standing::Whole, Standing::Whole) && !cut.recorded && !cut.both {
        compare_left_open(recorded, replayed, rules, findings);
    }
    Some(())
}

/// Whether events have lines with their types, by which clients choose what they do with each.
fn compare_names(recorded: &Message, replayed: &Message, rules: &Active<'_>, findings: &mut Findings) {
    let [one, other] = [recorded, replayed].map(|message| message.joined.manner.is_named);
    let shown = |is_named: bool| is_named.then_some("the type of each event");
    if let Some((one, other)) = one.zip(other) {
        compare_field(EventField::Event, shown(one), shown(other), rules, findings);
    }
}

/// Of messages that are whole: whether the same parts of them came to their end.
fn compare_left_open(recorded: &Message, replayed: &Message, rules: &Active<'_>, findings: &mut Findings) {
    let [one, other] = [recorded, replayed].map(|message| &message.joined.unfinished.left_open);
    let ended = |place: &Vec<message::Step>| {
        let step = |step: &message::Step| match step {
            message::Step::Key(key) => format!("/{key}"),
            message::Step::Index(at) => format!("/{at}"),
        };
        format!("the end of {}", place.iter().map(step).collect::<String>())
    };
    for place in other.iter().filter(|place| !one.contains(place)) {
        compare_ends(Some(&ended(place)), None, rules, findings);
    }
    for place in one.iter().filter(|place| !other.contains(place)) {
        compare_ends(None, Some(&ended(place)), rules, findings);
    }
}

fn count_taken(recorded: &Message, replayed: &Message, findings: &mut Findings) {
    let rules: BTreeSet<usize> = recorded.taken.keys().chain(replayed.taken.keys()).copied().collect();
    for rule_at in rules {
        let (one, other) = (recorded.taken.get(&rule_at), replayed.taken.get(&rule_at));
        if one != other {
            let first = one.or(other).and_then(BTreeSet::first).map(|(pointer, _)| pointer.as_str());
            findings.count_use(rule_at, || format!("sse:{}", first.unwrap_or_default()));
        }
    }
}

fn compare_ends(one: Option<&str>, other: Option<&str>, rules: &Active<'_>, findings: &mut Findings) {
    compare_field(EventField::End, one, other, rules, findings);
}

/// Tells of something that is said of the stream as a whole, where it is not the same on both sides.
fn compare_field(
    field: EventField,
    one: Option<&str>,
    other: Option<&str>,
    rules: &Active<'_>,
    findings: &mut Findings,
) {
    if one == other {
        return;
    }
    let pointer = format!("sse:{}", field.name());
    if let Some(rule_at) = rules.for_event_field(field) {
        return findings.count_use(rule_at, || pointer);
    }
    if !findings.has_room() {
        return;
    }
    let kind = match (one, other) {
        (None, _) => ChangeKind::Added,
        (_, None) => ChangeKind::Removed,
        _ => ChangeKind::Changed,
    };
    let (recorded, replayed) = (one.map(Shown::beginning_of), other.map(Shown::beginning_of));
    findings.add(Change { recorded, replayed, ..Change::at(pointer, kind) });
}

/// Compares a stream with an answer in one piece by what both say; `is_mirrored` when the stream is the replayed one, `is_part`
/// when it was cut.
///
/// What a stream leaves out is not compared: members that say nothing (`null`, an empty list), and counts of tokens and the
/// like that only one side gives.
pub(crate) fn compare_with_whole(
    stream: &Message,
    whole: &Tree<'_>,
    is_mirrored: bool,
    is_part: bool,
    rules: &Active<'_>,
    findings: &mut Findings,
) -> Option<()> {
    if stream.rest.is_some() {
        return None;
    }
    let (mut said, mut answer) = (stream.joined.message.clone(), whole.root().to_value());
    if is_part && stream.may_go_on() || stream.standing() == Standing::Failed && stream.is_told(rules) {
        cut_to_reach(&mut said, &mut answer, &stream.joined.unfinished);
    }
    let (said, answer) = message::normal_of_both(said, answer);
    let (mut said, mut answer) = (telling(said), telling(answer));
    for key in ["usage", "system_fingerprint", "service_tier"] {
        if said.get(key).is_none() || answer.get(key).is_none() {
            remove(&mut said, key);
            remove(&mut answer, key);
        }
    }
    let (said, answer) = (tree_of(&said)?, tree_of(&answer)?);
    let streams = Streams { recorded: Some(stream.streamed()), replayed: None };
    let document = Document { has_calls: true, ..Document::default() };
    let rules = rules.for_body();
    if is_mirrored {
        findings.note_streams(streams.mirrored());
        compare_json(answer.root(), said.root(), 0, document, rules, findings);
    } else {
        findings.note_streams(streams);
        compare_json(said.root(), answer.root(), 0, document, rules, findings);
    }
    Some(())
}

/// What a model wrote as arguments of a call, where each member tells something.
const ARGUMENTS: [&str; 2] = ["arguments", "input"];

/// The value without members that say nothing.
fn telling(value: Value) -> Value {
    let is_empty =
        |value: &Value| *value == Value::Null || matches!(value, Value::Array(elements) if elements.is_empty());
    match value {
        Value::Array(elements) => Value::Array(elements.into_iter().map(telling).collect()),
        Value::Object(members) => {
            let kept = members.into_iter().filter(|(_, member)| !is_empty(member));
            let telling = |(key, member): (String, Value)| {
                let is_written = ARGUMENTS.contains(&key.as_str());
                (key, if is_written { member } else { telling(member) })
            };
            Value::Object(kept.map(telling).collect())
        }
        scalar => scalar,
    }
}

fn remove(value: &mut Value, key: &str) {
    if let Value::Object(members) = value {
        members.retain(|(name, _)| name != key);
    }
}

/// The value as a document; `None` where calls made it too deep.
pub(crate) fn tree_of(value: &Value) -> Option<Tree<'static>> {
    json::parse_tree_owned(value.to_compact_text(), usize::MAX, None).ok()
}

#[cfg(test)]
mod tests;

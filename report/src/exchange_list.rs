//! The list of exchanges: a line for each, the calls of a service under the exchange that they were made for.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::{self, Write},
};

use bundle::Entry;
use exchange::{Certainty, ConversationSource, Id, Session};
use serde::Serialize;

use crate::{Cell, Paint, Style, Table, bytes, instant, json, span};

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// The exchanges, in the archive's order.
    pub entries: &'a [&'a Entry],
    /// The sessions, for wall clocks.
    pub sessions: &'a [Session],
}

/// Lines of a page of a table. A choice: columns are as wide as the widest of the first ones need it.
const PAGE_LINES: usize = 1000;

/// Writes the list as a table, or nothing when it is empty. Of a long one the beginning comes at once.
///
/// # Errors
/// Those of `out`.
pub fn exchange_list(listed: &Listed<'_>, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let has_notes = listed.entries.iter().any(|entry| !notes(entry).is_empty());
    let columns = ["ID", "BEGAN (UTC)", "REQUEST", "STATUS", ">TOOK", ">SENT", ">GOT", "END", "NOTES"];
    let mut table = Table::new(if has_notes { &columns } else { &columns[..columns.len() - 1] });
    let walls = wall_starts(listed.sessions);
    for lines in as_tree(listed.entries).chunks(PAGE_LINES) {
        for &(entry, parent) in lines {
            let noted = has_notes.then(|| Cell::new(notes(entry), Paint::Dim));
            table.row(row(entry, parent, &walls).into_iter().chain(noted));
        }
        out.write_all(table.page(style).as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// Exchanges for a machine.
#[derive(Serialize)]
struct ListedExchanges<'a> {
    exchanges: Vec<ListedExchange<'a>>,
}

/// One exchange for a machine.
#[derive(Serialize)]
struct ListedExchange<'a> {
    #[serde(flatten)]
    entry: &'a Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_unix_ns: Option<u64>,
}

impl Listed<'_> {
    /// Writes the list as a document of schema `retake.exchanges`, in the archive's order.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        let walls = wall_starts(self.sessions);
        let mut exchanges = Vec::with_capacity(self.entries.len());
        for &entry in self.entries {
            let started_unix_ns = walls.get(&entry.session).map(|start| start.saturating_add(entry.started_ns));
            exchanges.push(ListedExchange { entry, started_unix_ns });
        }
        json::write_document(out, "exchanges", &ListedExchanges { exchanges })
    }
}

/// When each session began, in nanoseconds since 1970 by its machine's wall clock.
fn wall_starts(sessions: &[Session]) -> BTreeMap<Id, u64> {
    sessions.iter().map(|session| (session.id, session.started.wall_unix_ns)).collect()
}

/// Each entry with its parent where that is listed too: then it stands below it.
fn as_tree<'a>(entries: &[&'a Entry]) -> Vec<(&'a Entry, Option<&'a Entry>)> {
    let parents: HashSet<Id> = entries.iter().filter_map(|entry| entry.parent).collect();
    let listed = entries.iter().map(|entry| entry.id).filter(|id| !parents.is_empty() && parents.contains(id));
    let listed: HashSet<Id> = listed.collect();
    let parent_of = |entry: &Entry| entry.parent.filter(|parent| listed.contains(parent) && *parent != entry.id);
    let mut children: HashMap<Id, Vec<&Entry>> = HashMap::new();
    for entry in entries {
        if let Some(parent) = parent_of(entry) {
            children.entry(parent).or_default().push(entry);
        }
    }
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries.iter().filter(|entry| parent_of(entry).is_none()) {
        rows.push((*entry, None));
        rows.extend(children.remove(&entry.id).into_iter().flatten().map(|child| (child, Some(*entry))));
    }
    // A parent that is itself a child, or its own ancestor, is not what we record; such entries still show.
    let mut left: Vec<_> = children.into_values().flatten().collect();
    left.sort_by_key(|entry| (entry.session, entry.sequence, entry.id));
    rows.extend(left.into_iter().map(|entry| (entry, None)));
    rows
}

fn row(entry: &Entry, parent: Option<&Entry>, walls: &BTreeMap<Id, u64>) -> Vec<Cell> {
    let took = entry.ended_ns.saturating_sub(entry.started_ns);
    let is_complete = entry.end == "complete";
    let end = if entry.whole { entry.end.to_owned() } else { format!("{}, not kept whole", entry.end) };
    let end_paint = if is_complete && entry.whole { Paint::Dim } else { Paint::Yellow };
    vec![
        Cell::new(entry.id.short(), Paint::Cyan),
        began(entry, parent, walls),
        request(entry, parent.is_some()).into(),
        status(entry.status),
        span(took).into(),
        bytes(entry.request_len).into(),
        entry.response_len.map_or_else(|| "-".to_owned(), bytes).into(),
        Cell::new(end, end_paint),
    ]
}

/// What the user named, a conversation whose id was given, and whether its environment is in doubt:
/// `label="billing" talk=thread-1 uncertain`.
fn notes(entry: &Entry) -> String {
    let annotations = entry.context.annotations.iter();
    let annotations = annotations.filter_map(|it| Some(format!("{}={}", it.name, short(it.value.as_ref()?))));
    let conversation = entry.context.conversation.as_ref().filter(|it| it.how != ConversationSource::Prefix);
    let conversation = conversation.map(|it| format!("talk={}", short(&it.id)));
    let doubt = entry.context.doubt.iter().map(|doubt| doubt.word().to_owned());
    annotations.chain(conversation).chain(doubt).collect::<Vec<_>>().join(" ")
}

/// A value as a table has room for it.
fn short(value: &str) -> String {
    const SHOWN_CHARACTERS_MAX: usize = 24;
    match value.char_indices().nth(SHOWN_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// A clock time, or for a child the time since its parent began.
fn began(entry: &Entry, parent: Option<&Entry>, walls: &BTreeMap<Id, u64>) -> Cell {
    match (parent, walls.get(&entry.session)) {
        (Some(parent), _) if parent.session == entry.session => {
            Cell::new(format!("  +{}", span(entry.started_ns.saturating_sub(parent.started_ns))), Paint::Dim)
        }
        (_, Some(start)) => instant(start.saturating_add(entry.started_ns)).into(),
        (_, None) => Cell::new("unknown", Paint::Dim),
    }
}

fn request(entry: &Entry, is_child: bool) -> String {
    let mark = match entry.certainty {
        Some(Certainty::Inferred) => "~",
        Some(Certainty::Ambiguous) => "?",
        Some(Certainty::Recorded) | None => "",
    };
    match (&entry.dependency, is_child) {
        (None, _) => entry.title.to_string(),
        (Some(name), true) => format!("  └ {mark}{name}: {}", entry.title),
        (Some(name), false) => format!("→ {mark}{name}: {}", entry.title),
    }
}

pub(crate) fn status(status: Option<u16>) -> Cell {
    let paint = match status {
        Some(0..400) => Paint::Green,
        Some(400..500) => Paint::Yellow,
        Some(500..) | None => Paint::Red,
    };
    Cell::new(status.map_or_else(|| "-".to_owned(), |status| status.to_string()), paint)
}

#[cfg(test)]
pub(crate) mod tests {
    use exchange::ClockPair;

    use super::*;

    pub(crate) fn entry(number: u8, title: &str, dependency: Option<&str>, parent: Option<u8>) -> Entry {
        Entry {
            id: Id([number; 16]),
            session: Id([9; 16]),
            sequence: u64::from(number),
            dependency: dependency.map(Into::into),
            parent: parent.map(|number| Id([number; 16])),
            certainty: parent.map(|_| Certainty::Inferred),
            candidates: Vec::new(),
            title: title.into(),
            status: Some(200),
            end: "complete",
            started_ns: u64::from(number) * 1_000_000,
            ended_ns: u64::from(number) * 1_000_000 + 12_300_000,
            request_len: 42,
            response_len: Some(4200),
            whole: true,
            fingerprint: None,
            context: std::sync::Arc::default(),
            original: None,
            repeat: None,
        }
    }

    pub(crate) fn session() -> Session {
        let started = ClockPair { monotonic_ns: 0, wall_unix_ns: 1_795_460_651_000_000_000 };
        let listeners = Vec::new();
        Session {
            id: Id([9; 16]),
            tool_version: String::new(),
            started,
            listeners,
            service_version: None,
            command: Vec::new(),
            conversation: None,
        }
    }

    #[test]
    fn a_call_stands_under_its_parent_and_says_how_that_is_known() {
        let mut cut = entry(3, "POST /tickets", None, None);
        (cut.status, cut.response_len, cut.end) = (None, None, "client gone");
        let entries = [
            entry(1, "POST /tickets", None, None),
            cut,
            entry(2, "POST /v1/chat", Some("model"), Some(1)),
            entry(4, "GET /x\x1b[2J", Some("db"), Some(8)),
        ];
        let listed: Vec<&Entry> = entries.iter().collect();
        let mut text = Vec::new();
        exchange_list(&Listed { entries: &listed, sessions: &[session()] }, Style::PLAIN, &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
        ID            BEGAN (UTC)              REQUEST                    STATUS     TOOK  SENT      GOT  END
        010101010101  2026-11-23 19:04:11.001  POST /tickets              200     12.3 ms  42 B  4.1 KiB  complete
        020202020202    +1.0 ms                  └ ~model: POST /v1/chat  200     12.3 ms  42 B  4.1 KiB  complete
        030303030303  2026-11-23 19:04:11.003  POST /tickets              -       12.3 ms  42 B        -  client gone
        040404040404  2026-11-23 19:04:11.004  → ~db: GET /x\x1b[2J       200     12.3 ms  42 B  4.1 KiB  complete
        ");
    }

    #[test]
    fn exchanges_that_claim_to_be_each_others_parents_are_listed_once_each() {
        let entries =
            [entry(1, "a", Some("x"), Some(2)), entry(2, "b", Some("x"), Some(1)), entry(3, "c", Some("x"), Some(3))];
        let listed: Vec<&Entry> = entries.iter().collect();
        assert_eq!(as_tree(&listed).len(), 3);
    }
}

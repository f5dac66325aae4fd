//! What surrounded an exchange, on one timeline.
//!
//! In: moments, in any order. Out: a table for a person, throttling and pressure pointed out, or a document of schema
//! `retake.around`. Finding the moments is left to `cli`, which has the recording.

use std::collections::{BTreeMap, BTreeSet};

use exchange::{Exchange, Id, Session, Stream, surroundings::column};
use serde::Serialize;
use serde_json::json;

use crate::{Cell, Paint, Style, Table, bytes, escape_line, instant, json as document, span};

/// What may be missing from samples, and the column that says so.
const SEEN_BY: [(&str, &str); 3] =
    [("throttling", column::THROTTLED_US), ("pressure", column::PRESSURE_CPU_US), ("GPU", column::GPU_PERCENT)];

/// Share of a sample's time, in percent, from which on waiting is pointed out. A choice.
const PRESSURE_PERCENT_MIN: u64 = 10;

/// Share of the limit, in percent, from which on memory is pointed out. A choice.
const MEMORY_PERCENT_MIN: u64 = 90;

/// An exchange and what surrounded it.
#[derive(Clone, Copy, Debug)]
pub struct AroundPage<'a> {
    /// The exchange.
    pub exchange: &'a Exchange,
    /// Its session; `None` where it is not in the source.
    pub session: Option<&'a Session>,
    /// How long before and after it, in nanoseconds.
    pub around_ns: u64,
    /// What happened, in the order of time.
    pub moments: &'a [Moment],
    /// Moments that were too many, those farthest from the exchange.
    pub left_out: u64,
}

/// Something at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When, in nanoseconds since the session's start.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// The exchange began.
    Begin,
    /// Its answer began.
    AnswerBegan,
    /// It ended.
    End {
        /// Its status, or how it ended.
        how: String,
    },
    /// A call that was, or may have been, made for it began or ended; or another exchange, in flight with it.
    Other {
        /// Which.
        id: Id,
        /// The dependency that is called; `None` for another client's exchange.
        dependency: Option<String>,
        /// Method and path.
        title: String,
        /// Its status, or how it ended; `None` where it begins.
        ended: Option<String>,
    },
    /// The service logged a line.
    Log {
        /// Which container; empty for a process.
        #[serde(skip_serializing_if = "String::is_empty")]
        subject: String,
        /// Where it came from.
        stream: Stream,
        /// The line.
        text: String,
    },
    /// Lines were logged that are not recorded.
    LogGap {
        /// Whose.
        subject: String,
        /// How many.
        missed: u64,
    },
    /// What was used since the sample before.
    Used {
        /// By whom.
        subject: String,
        /// How long the sample before is ago, in nanoseconds, where there is one.
        since_ns: Option<u64>,
        /// The numbers by the names of their columns.
        numbers: BTreeMap<String, u64>,
    },
    /// Something happened to the service's container.
    Service {
        /// To whom, and what.
        text: String,
    },
}

/// The timeline for a person; times are since the exchange's begin.
pub fn around_page(page: &AroundPage<'_>, style: Style) -> String {
    let exchange = page.exchange;
    let began_ns = exchange.times.started_ns;
    let began = match page.session {
        Some(session) => format!("{} UTC", instant(session.started.wall_at(began_ns))),
        None => format!("{} into a session that is not here", span(began_ns)),
    };
    let title = escape_line(&exchange.title()).into_owned();
    let mut text = format!("{} {}, began {began}\n\n", style.cyan(&exchange.id.short()), style.bold(&title));
    let mut table = Table::new(&[">AT", "WHAT", ""]);
    let has_replicas = page.moments.iter().filter_map(|it| subject_of(&it.what)).collect::<BTreeSet<_>>().len() > 1;
    for moment in page.moments {
        let (word, paint, mut words) = in_words(&moment.what);
        if let Some(subject) = subject_of(&moment.what).filter(|_| has_replicas) {
            words = format!("{subject} | {words}");
        }
        table.row([Cell::from(since(began_ns, moment.at_ns)), Cell::new(word, paint), Cell::new(words, paint)]);
    }
    text += &table.to_text(style);
    text += &notes(page).into_iter().map(|note| format!("{}\n", style.dim(&note))).collect::<String>();
    text
}

/// The timeline as a document.
pub fn around_json(page: &AroundPage<'_>) -> String {
    let times = &page.exchange.times;
    let wall = page.session.map(|session| session.started.wall_at(times.started_ns));
    let fields = json!({
        "exchange": page.exchange.id,
        "session": page.exchange.session,
        "started_unix_ns": wall,
        "started_ns": times.started_ns,
        "ended_ns": times.ended_ns,
        "from_ns": times.started_ns.saturating_sub(page.around_ns),
        "to_ns": times.ended_ns.saturating_add(page.around_ns),
        "moments": page.moments,
        "left_out": page.left_out,
        "unseen": unseen(page.moments),
    });
    document::document("around", &fields)
}

/// `+1.20 s`, `-350.0 ms`.
fn since(began_ns: u64, at_ns: u64) -> String {
    match at_ns.checked_sub(began_ns) {
        Some(0) => "0".to_owned(),
        Some(after) => format!("+{}", span(after)),
        None => format!("-{}", span(began_ns - at_ns)),
    }
}

/// Which of several containers something is of, where that is not among its words.
fn subject_of(what: &What) -> Option<&str> {
    match what {
        What::Log { subject, .. } | What::LogGap { subject, .. } | What::Used { subject, .. } => {
            Some(subject.as_str()).filter(|it| !it.is_empty())
        }
        _ => None,
    }
}

fn in_words(what: &What) -> (&'static str, Paint, String) {
    match what {
        What::Begin => ("begins", Paint::Cyan, String::new()),
        What::AnswerBegan => ("answers", Paint::Cyan, String::new()),
        What::End { how } => ("ends", Paint::Cyan, how.clone()),
        What::Other { id, dependency, title, ended } => {
            let whose = dependency.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
            let ended = ended.as_deref().map_or_else(|| "begins".to_owned(), |how| format!("ends, {how}"));
            let word = if dependency.is_some() { "call" } else { "other" };
            (word, Paint::Plain, format!("{} {whose}{title} {ended}", id.short()))
        }
        What::Log { stream: Stream::Stdout, text, .. } => ("log", Paint::Plain, text.clone()),
        What::Log { stream: Stream::Stderr, text, .. } => ("log err", Paint::Plain, text.clone()),
        What::LogGap { missed, .. } => ("log", Paint::Yellow, format!("({missed} more, not recorded: too fast)")),
        What::Used { since_ns, numbers, .. } => {
            let (words, is_hard) = used(numbers, *since_ns);
            ("used", if is_hard { Paint::Yellow } else { Paint::Dim }, words)
        }
        What::Service { text } => ("service", Paint::Yellow, text.clone()),
    }
}

/// What was used, in words, and whether it went hard with the service.
fn used(numbers: &BTreeMap<String, u64>, since_ns: Option<u64>) -> (String, bool) {
    let number = |name: &str| numbers.get(name).copied();
    let some = |name: &str| number(name).filter(|&count| count > 0);
    let since_us = since_ns.map_or(0, |ns| ns / 1_000);
    let mut words = Vec::new();
    words.extend(number(column::CPU_US).map(|us| match us.saturating_mul(100).checked_div(since_us) {
        Some(percent) => format!("CPU {percent} %"),
        None => format!("CPU {}", span(us.saturating_mul(1_000))),
    }));
    let throttled = some(column::THROTTLED_US).or(some(column::THROTTLED));
    if throttled.is_some() {
        let lost = span(number(column::THROTTLED_US).unwrap_or_default().saturating_mul(1_000));
        words.push(format!("throttled for {lost} in {} periods", number(column::THROTTLED).unwrap_or_default()));
    }
    let limit = some(column::MEMORY_LIMIT_BYTES);
    let memory = number(column::MEMORY_BYTES);
    words.extend(memory.map(|used| match limit {
        Some(limit) => format!("memory {} of {}", bytes(used), bytes(limit)),
        None => format!("memory {}", bytes(used)),
    }));
    let is_full = memory.zip(limit).is_some_and(|(used, limit)| used / (limit / 100 + 1) >= MEMORY_PERCENT_MIN);
    let killed = some(column::OOM_KILLS);
    words.extend(killed.map(|count| format!("{count} killed for want of memory")));
    let waits =
        [("CPU", column::PRESSURE_CPU_US), ("memory", column::PRESSURE_MEMORY_US), ("disk", column::PRESSURE_IO_US)];
    let waits = waits.map(|(what, name)| (what, some(name).unwrap_or_default()));
    let is_long = |us: u64| since_us > 0 && us.saturating_mul(100) / since_us >= PRESSURE_PERCENT_MIN;
    let long = waits.iter().filter(|(_, us)| is_long(*us));
    words.extend(long.map(|(what, us)| format!("waited {} for {what}", span(us.saturating_mul(1_000)))));
    let stolen = some(column::STEAL_MS).filter(|ms| is_long(ms.saturating_mul(1_000)));
    words.extend(stolen.map(|ms| format!("the hypervisor took {}", span(ms.saturating_mul(1_000_000)))));
    words.extend(number(column::THREADS).map(|count| format!("{count} thread{}", if count == 1 { "" } else { "s" })));
    words.extend(number(column::GPU_PERCENT).map(|percent| format!("GPU {percent} %")));
    words.extend(number(column::GPU_MEMORY_BYTES).map(|used| format!("GPU memory {}", bytes(used))));
    let is_pressed = waits.iter().any(|(_, us)| is_long(*us)) || stolen.is_some();
    (words.join(", "), throttled.is_some() || killed.is_some() || is_full || is_pressed)
}

/// What the samples say nothing of; nothing at all without samples.
fn unseen(moments: &[Moment]) -> Vec<&'static str> {
    let mut seen: Option<BTreeSet<&str>> = None;
    for moment in moments {
        if let What::Used { numbers, .. } = &moment.what {
            seen.get_or_insert_default().extend(numbers.keys().map(String::as_str));
        }
    }
    let Some(seen) = seen else { return Vec::new() };
    SEEN_BY.into_iter().filter(|(_, column)| !seen.contains(column)).map(|(what, _)| what).collect()
}

fn notes(page: &AroundPage<'_>) -> Vec<String> {
    let has = |is_it: fn(&What) -> bool| page.moments.iter().any(|moment| is_it(&moment.what));
    let mut missing = Vec::new();
    if !has(|what| matches!(what, What::Log { .. })) {
        missing.push("log lines");
    }
    if !has(|what| matches!(what, What::Used { .. })) {
        missing.push("samples");
    }
    let mut notes = Vec::new();
    if !missing.is_empty() {
        notes.push(format!("no {} from {} before to as long after", missing.join(" and no "), span(page.around_ns)));
    }
    let unseen = unseen(page.moments);
    if !unseen.is_empty() {
        notes.push(format!("not seen where it was recorded: {}", unseen.join(", ")));
    }
    if page.left_out > 0 {
        notes.push(format!("{} more, farther from the exchange, are left out: give a shorter time", page.left_out));
    }
    notes
}

#[cfg(test)]
mod tests;

//! `retake show ID --around`: finds what surrounded an exchange.

use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

use bundle::Entry;
use exchange::{
    Event, Exchange,
    surroundings::{Happened, Samples, event_kind},
};
use report::{AroundPage, Moment, What, around_json, around_page};
use serde::Deserialize as _;

use crate::{console::Console, exit::Exit, source::Source, trouble::Trouble};

/// Most moments that are shown. A choice: more than anyone reads.
const MOMENTS_MAX: usize = 10_000;

/// Shows the timeline.
pub(super) fn show(
    source: &Source,
    exchange: &Exchange,
    around: Duration,
    as_json: bool,
    console: &Console,
) -> Result<Exit, Trouble> {
    let around_ns = u64::try_from(around.as_nanos()).unwrap_or(u64::MAX);
    let times = &exchange.times;
    let window = times.started_ns.saturating_sub(around_ns)..=times.ended_ns.saturating_add(around_ns);
    let mut timeline = Timeline { exchange, window, moments: Vec::new(), left_out: 0 };
    timeline.take_exchanges(source.archive.entries());
    for lines in source.archive.log_lines() {
        let lines = lines?;
        if lines.session == exchange.session {
            for it in lines.lines {
                let what = What::Log { subject: lines.subject.clone(), stream: it.stream, text: it.text };
                timeline.add(it.at_ns, what);
            }
        }
    }
    let mut sampled_ns = BTreeMap::new();
    for event in source.archive.events() {
        let event = event?;
        if event.session == Some(exchange.session) {
            timeline.take_event(event, &mut sampled_ns);
        }
    }
    timeline.keep_the_nearest(MOMENTS_MAX);
    timeline.moments.sort_by_key(|moment| moment.at_ns);
    let page = AroundPage {
        exchange,
        session: source.session(&exchange.session),
        around_ns,
        moments: &timeline.moments,
        left_out: timeline.left_out,
    };
    let text = if as_json { around_json(&page) } else { around_page(&page, console.out) };
    console.write(Exit::Passed, |out| out.write_all(text.as_bytes()))
}

struct Timeline<'a> {
    exchange: &'a Exchange,
    /// In nanoseconds since the session's start.
    window: RangeInclusive<u64>,
    moments: Vec<Moment>,
    left_out: u64,
}

impl Timeline<'_> {
    /// Takes a moment, where it lies in the window.
    fn add(&mut self, at_ns: u64, what: What) {
        if !self.window.contains(&at_ns) {
            return;
        }
        self.moments.push(Moment { at_ns, what });
        if self.moments.len() >= 2 * MOMENTS_MAX {
            self.keep_the_nearest(MOMENTS_MAX);
        }
    }

    /// Leaves out what is farther from the exchange than the first `most`.
    fn keep_the_nearest(&mut self, most: usize) {
        let times = &self.exchange.times;
        let distance = |moment: &Moment| {
            times.started_ns.saturating_sub(moment.at_ns).max(moment.at_ns.saturating_sub(times.ended_ns))
        };
        if self.moments.len() > most {
            self.moments.sort_by_key(distance);
            self.left_out += (self.moments.len() - most) as u64;
            self.moments.truncate(most);
        }
    }

    /// The exchange itself, its calls, and clients' exchanges in flight with it.
    fn take_exchanges<'a>(&mut self, entries: impl IntoIterator<Item = &'a Entry>) {
        let exchange = self.exchange;
        let times = &exchange.times;
        self.add(times.started_ns, What::Begin);
        if let Some(at_ns) = times.response_started_ns {
            self.add(at_ns, What::AnswerBegan);
        }
        let overlaps = |entry: &Entry| entry.started_ns <= times.ended_ns && entry.ended_ns >= times.started_ns;
        for entry in entries.into_iter().filter(|entry| entry.session == exchange.session && entry.id != exchange.id) {
            let is_other = entry.dependency.is_none() && overlaps(entry);
            if is_other || entry.may_belong_to(&exchange.id) {
                self.add(entry.started_ns, other(entry, None));
                self.add(entry.ended_ns, other(entry, Some(how(entry.status, entry.end))));
            }
        }
        self.add(times.ended_ns, What::End { how: how(exchange.status(), exchange.end.word()) });
    }

    /// An event of the session; of a kind that is not known here it is passed over. `sampled_ns` has when each subject
    /// was sampled last.
    fn take_event(&mut self, event: Event, sampled_ns: &mut BTreeMap<String, u64>) {
        match event.kind.as_str() {
            event_kind::SAMPLES => {
                if let Ok(samples) = Samples::deserialize(&event.data) {
                    self.take_samples(event.at_ns, event.subject, samples, sampled_ns);
                }
            }
            event_kind::LOG_GAP => {
                let missed = event.data.as_u64().unwrap_or_default();
                self.add(event.at_ns, What::LogGap { subject: event.subject, missed });
            }
            event_kind::CONTAINER => {
                if let Ok(Happened { what, detail }) = Happened::deserialize(&event.data) {
                    let detail = if detail.is_empty() { detail } else { format!(", {detail}") };
                    self.add(event.at_ns, What::Service { text: format!("{}: {what}{detail}", event.subject) });
                }
            }
            _ => {}
        }
    }

    fn take_samples(&mut self, at_ns: u64, subject: String, samples: Samples, sampled_ns: &mut BTreeMap<String, u64>) {
        for row in samples.rows {
            let mut row = row.into_iter();
            let Some(since_ms) = row.next().flatten() else { continue };
            let row_ns = at_ns.saturating_add(since_ms.saturating_mul(1_000_000));
            let before_ns = sampled_ns.insert(subject.clone(), row_ns);
            if self.window.contains(&row_ns) {
                let pairs = samples.columns.iter().zip(row);
                let numbers = pairs.filter_map(|(name, value)| Some((name.clone(), value?))).collect();
                let since_ns = before_ns.and_then(|before_ns| row_ns.checked_sub(before_ns)).filter(|ns| *ns > 0);
                self.add(row_ns, What::Used { subject: subject.clone(), since_ns, numbers });
            }
        }
    }
}

fn other(entry: &Entry, ended: Option<String>) -> What {
    What::Other {
        id: entry.id,
        dependency: entry.dependency.as_deref().map(str::to_owned),
        title: entry.title.to_string(),
        ended,
    }
}

/// The status, and how it ended where that is not as it should be.
fn how(status: Option<u16>, end: &str) -> String {
    match status {
        Some(status) if end == exchange::End::Complete.word() => status.to_string(),
        Some(status) => format!("{status}, {end}"),
        None => end.to_owned(),
    }
}

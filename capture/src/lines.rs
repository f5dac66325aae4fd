//! Makes lines of what the service logs, secrets replaced, bounded in length and rate.
//!
//! In: bytes as they come. Out: lines in the queue. Nobody waits for that: what is too much is passed over and counted.
//! Where the bytes come from is the caller's.

use std::sync::{Arc, Mutex, PoisonError, mpsc::Sender};

use content::redact::Redactor;
use exchange::{LogLine, Stream};

use crate::{
    Clock,
    queue::{Budget, Item, Losses},
};

/// Longest line recorded as one, in bytes; a longer one is recorded in pieces. A choice.
const LINE_BYTES_MAX: usize = 64 << 10;

/// What a service may log at once, in bytes, before its lines are passed over. A choice.
const BURST_BYTES: u64 = 4 << 20;

/// What it may log each second on the whole, in bytes. A choice: 3.5 GiB in an hour, before compression.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// What a line costs beside its text, in bytes.
const LINE_COST: usize = size_of::<LogLine>();

/// A line as it was written, secrets and all: looked through only once it is to be recorded.
#[derive(Clone)]
pub(crate) struct RawLine {
    at_ns: u64,
    stream: Stream,
    bytes: Vec<u8>,
}

/// Records lines.
#[derive(Clone)]
pub(crate) struct LineRecorder {
    /// False to record none.
    pub(crate) is_on: bool,
    /// Whose lines they are: the container's name. Empty for a process.
    pub(crate) subject: String,
    pub(crate) clock: Clock,
    pub(crate) redactor: Arc<Redactor>,
    /// Values of the service's secrets, the longest first: they are looked for whatever their form. Never kept.
    pub(crate) secrets: Arc<[String]>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) losses: Arc<Losses>,
    pub(crate) queue: Sender<Item>,
    pub(crate) rate: Arc<Mutex<Rate>>,
}

impl LineRecorder {
    /// The lines that end in `bytes`; `line` has what came before and keeps what does not end.
    pub(crate) fn split(&self, line: &mut Vec<u8>, bytes: &[u8], stream: Stream, at_ns: u64) -> Vec<RawLine> {
        let mut lines = Vec::new();
        if !self.is_on {
            return lines;
        }
        for &byte in bytes {
            if byte == b'\n' || line.len() >= LINE_BYTES_MAX {
                lines.push(RawLine { at_ns, stream, bytes: std::mem::take(line) });
            }
            if byte != b'\n' {
                line.push(byte);
            }
        }
        lines
    }

    /// What is left of a line that did not end; none where nothing is.
    pub(crate) fn rest(&self, line: &mut Vec<u8>, stream: Stream) -> Option<RawLine> {
        let bytes = std::mem::take(line);
        (!bytes.is_empty()).then(|| RawLine { at_ns: self.clock.now_ns(), stream, bytes })
    }

    /// A line without its secrets.
    fn redacted(&self, RawLine { at_ns, stream, bytes }: RawLine) -> LogLine {
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(&bytes);
        let (mut text, _) = self.redactor.text(&String::from_utf8_lossy(bytes));
        for secret in &*self.secrets {
            if text.contains(secret.as_str()) {
                let pseudonym = self.redactor.pseudonym(secret.as_bytes());
                text = text.replace(secret.as_str(), &String::from_utf8_lossy(&pseudonym));
            }
        }
        LogLine { at_ns, stream, text }
    }

    /// Looks for these as well from now on.
    pub(crate) fn know(&mut self, secrets: Vec<String>) {
        let mut all: Vec<_> = self.secrets.iter().cloned().chain(secrets).collect();
        all.sort_by(|one, other| other.len().cmp(&one.len()).then_with(|| one.cmp(other)));
        all.dedup();
        self.secrets = all.into();
    }

    /// Puts lines into the queue and empties the list. Those that come too fast, or find no room, are passed over and
    /// counted: exchanges come first, and lines are not waited for. What is passed over costs no search for secrets. Gives how
    /// many were passed over.
    pub(crate) fn send(&self, lines: &mut Vec<RawLine>) -> u64 {
        let came = lines.len() as u64;
        let slow_enough = self.slow_enough(lines);
        let lines: Vec<LogLine> = slow_enough.into_iter().map(|line| self.redacted(line)).collect();
        let count = lines.len() as u64;
        let cost = lines.iter().map(|line| line.text.len() + LINE_COST).sum();
        let held = self.budget.take(cost).filter(|_| self.is_on && count > 0);
        let kept = held.is_some();
        if let Some(held) = held {
            // Nobody reads the queue any more only when the capture is over.
            self.queue.send(Item::Lines { subject: self.subject.clone(), lines, held }).ok();
        }
        let missed = if !self.is_on { 0 } else { came - if kept { count } else { 0 } };
        self.losses.lose_lines(missed);
        missed
    }

    fn slow_enough(&self, lines: &mut Vec<RawLine>) -> Vec<RawLine> {
        let now_ns = self.clock.now_ns();
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        lines.drain(..).filter(|line| rate.allows((line.bytes.len() + LINE_COST) as u64, now_ns)).collect()
    }
}

/// How fast lines may come: [`BURST_BYTES`] at once, [`BYTES_PER_SECOND`] on the whole.
#[derive(Debug)]
pub(crate) struct Rate {
    left: u64,
    at_ns: u64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { left: BURST_BYTES, at_ns: 0 }
    }
}

impl Rate {
    /// True when this many bytes are allowed now; they are then gone.
    fn allows(&mut self, bytes: u64, now_ns: u64) -> bool {
        let since_us = now_ns.saturating_sub(self.at_ns) / 1_000;
        self.at_ns += since_us * 1_000;
        self.left = self.left.saturating_add(since_us.saturating_mul(BYTES_PER_SECOND) / 1_000_000).min(BURST_BYTES);
        let rest = self.left.checked_sub(bytes);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{atomic::Ordering, mpsc};

    use content::redact::Extra;

    use super::*;

    #[test]
    fn a_flood_is_passed_over_and_what_comes_later_is_not() {
        let mut rate = Rate::default();
        assert!(rate.allows(BURST_BYTES, 0) && !rate.allows(1_000, 10));
        assert!(!rate.allows(BYTES_PER_SECOND + 2, 1_000_000_000) && rate.allows(BYTES_PER_SECOND - 2, 1_000_000_000));
        assert!(!rate.allows(BURST_BYTES + 1, u64::MAX) && rate.allows(BURST_BYTES, u64::MAX));
    }

    #[test]
    fn lines_are_cut_where_they_end_lose_their_secrets_and_those_too_many_are_counted() {
        let (queue, items) = mpsc::channel();
        let recorder = LineRecorder {
            is_on: true,
            subject: String::new(),
            clock: Clock::start(),
            redactor: Arc::new(Redactor::new([1; 32], &Extra::default())),
            secrets: Arc::new([]),
            budget: Budget::new(10 * LINE_COST),
            losses: Arc::default(),
            queue,
            rate: Arc::default(),
        };
        let mut rest = Vec::new();
        let token = format!("key ghp_{}\r\nthe rest", "a1B2".repeat(9));
        let mut lines = recorder.split(&mut rest, token.as_bytes(), Stream::Stderr, 7);
        assert!(lines.len() == 1 && rest == b"the rest");
        assert_eq!(recorder.send(&mut lines), 0);
        let Item::Lines { lines, .. } = items.try_recv().unwrap() else { panic!("lines were sent") };
        assert!(lines[0].at_ns == 7 && !lines[0].text.contains("a1B2"), "{lines:?}");
        let line = |bytes: &[u8]| RawLine { at_ns: 0, stream: Stream::Stdout, bytes: bytes.to_vec() };
        let mut many = vec![line(b""); 11];
        assert_eq!((recorder.send(&mut many), recorder.losses.log_lines.load(Ordering::Relaxed)), (11, 11));
        let mut knowing = recorder.clone();
        knowing.know(vec!["blue-lamp".to_owned(), "blue-lamp-42".to_owned()]);
        let line = knowing.redacted(line(b"asked with blue-lamp-42 for blue")).text;
        assert!(line.starts_with("asked with ") && line.ends_with(" for blue") && !line.contains("lamp"), "{line}");
        let off = LineRecorder { is_on: false, ..recorder };
        assert!(off.split(&mut Vec::new(), b"one\n", Stream::Stdout, 0).is_empty());
    }
}

//! What the service inside tried to connect to: the table that it is gathered in, and the lines that tell of it.
//!
//! The same lines pass from init to the bridge beside it and from there, each in a frame, to the host. Every line says how
//! things stand now, so that a line that comes twice or late does no harm. Four kinds, a tab between the words:
//! `watching`; `unread COUNT`; `cut`; and `COUNT FATE TRANSPORT ADDRESS`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use super::link::locked;

/// Different attempts that are told apart. A choice: a service that scans ports must not fill our memory.
const ATTEMPTS_MAX: usize = 4096;

/// Longest address taken, in bytes. A unix socket's has 108 (unix(7)), of which each may be written as four.
const ADDRESS_LEN_MAX: usize = 108 * 4 + 1;

/// Where a connection or a datagram was to go.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// A TCP connection.
    Tcp(SocketAddr),
    /// A UDP datagram, or a UDP socket that was given a peer, by which nothing is sent yet.
    Udp(SocketAddr),
    /// A unix socket: its path, or `@` and its abstract name. What is not plain text is written as `\DDD`.
    Unix(String),
}

/// What there was at the destination when it was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// A recorded address, which the bridge serves.
    Recorded,
    /// Something inside that listens: the service itself, or what it started.
    Inside,
    /// Nothing: an address of the loopback where nobody listens, or a path that is not there.
    Absent,
    /// An address that is not the loopback's, in a place that has no network.
    Outside,
}

/// Attempts of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where to.
    pub destination: Destination,
    /// What there was.
    pub fate: Fate,
    /// How often.
    pub count: u64,
}

/// The table of attempts; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    counts: BTreeMap<(Destination, Fate), u64>,
    status: Status,
    /// What the other side does not know yet.
    changed: BTreeSet<(Destination, Fate)>,
    status_changed: bool,
}

/// How far attempts are seen at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) watching: bool,
    pub(super) unread_count: u64,
    pub(super) cut: bool,
}

impl Attempts {
    /// From now on attempts are seen.
    pub fn begin(&self) {
        locked(&self.0).change_status(|status| status.watching = true);
    }

    /// Counts one attempt.
    pub fn add(&self, destination: Destination, fate: Fate) {
        let mut table = locked(&self.0);
        let key = (destination, fate);
        let count = table.counts.get(&key).map_or(1, |count| count.saturating_add(1));
        table.set(key, count);
    }

    /// Counts one attempt of which it could not be seen where it went.
    pub fn add_unread(&self) {
        locked(&self.0).change_status(|status| status.unread_count = status.unread_count.saturating_add(1));
    }

    /// Takes a line as [`Self::changed`] gave it; false when it makes no sense.
    pub fn take(&self, line: &str) -> bool {
        locked(&self.0).take(line).is_some()
    }

    /// Lines, without their ends, for what has changed since this was last asked.
    pub fn changed(&self) -> Vec<String> {
        locked(&self.0).changed()
    }

    pub(super) fn status(&self) -> Status {
        locked(&self.0).status
    }

    pub(super) fn list(&self) -> Vec<Attempt> {
        let attempt = |((destination, fate), count): (&(Destination, Fate), &u64)| Attempt {
            destination: destination.clone(),
            fate: *fate,
            count: *count,
        };
        locked(&self.0).counts.iter().map(attempt).collect()
    }
}

impl Table {
    fn set(&mut self, key: (Destination, Fate), count: u64) {
        if self.counts.len() >= ATTEMPTS_MAX && !self.counts.contains_key(&key) {
            return self.change_status(|status| status.cut = true);
        }
        self.counts.insert(key.clone(), count);
        self.changed.insert(key);
    }

    fn change_status(&mut self, change: impl FnOnce(&mut Status)) {
        let before = self.status;
        change(&mut self.status);
        self.status_changed |= self.status != before;
    }

    fn take(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.splitn(4, '\t').collect();
        match words[..] {
            ["watching"] => self.change_status(|status| status.watching = true),
            ["cut"] => self.change_status(|status| status.cut = true),
            ["unread", count] => {
                let count = count.parse().ok()?;
                self.change_status(|status| status.unread_count = count);
            }
            [count, fate, transport, address] => {
                self.set((Destination::read(transport, address)?, Fate::read(fate)?), count.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    fn changed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        if std::mem::take(&mut self.status_changed) {
            let Status { watching, unread_count, cut } = self.status;
            lines.extend(watching.then(|| "watching".to_owned()));
            lines.extend((unread_count > 0).then(|| format!("unread\t{unread_count}")));
            lines.extend(cut.then(|| "cut".to_owned()));
        }
        for key in std::mem::take(&mut self.changed) {
            let (destination, fate) = &key;
            let (transport, address) = destination.words();
            lines.push(format!("{}\t{}\t{transport}\t{address}", self.counts[&key], fate.word()));
        }
        lines
    }
}

impl Destination {
    /// The transport's name (`tcp`, `udp`, `unix`), and the address.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::Tcp(address) => ("tcp", address.to_string()),
            Self::Udp(address) => ("udp", address.to_string()),
            Self::Unix(path) => ("unix", path.clone()),
        }
    }

    /// A unix socket by the bytes of its path, or of `@` and its abstract name.
    pub fn unix(bytes: &[u8]) -> Self {
        let mut text = String::with_capacity(bytes.len());
        for &byte in bytes {
            match byte {
                b'\\' => text.push_str(r"\\"),
                0x20..=0x7e => text.push(char::from(byte)),
                other => text.push_str(&format!("\\{other:03}")),
            }
        }
        Self::Unix(text)
    }

    fn read(transport: &str, address: &str) -> Option<Self> {
        match transport {
            "tcp" => address.parse().ok().map(Self::Tcp),
            "udp" => address.parse().ok().map(Self::Udp),
            "unix" if address.len() <= ADDRESS_LEN_MAX && !address.contains(char::is_control) => {
                Some(Self::Unix(address.to_owned()))
            }
            _ => None,
        }
    }
}

impl Fate {
    /// One word for it, as lines and receipts have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Inside => "inside",
            Self::Absent => "absent",
            Self::Outside => "outside",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [Self::Recorded, Self::Inside, Self::Absent, Self::Outside].into_iter().find(|fate| fate.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(text: &str) -> Destination {
        Destination::Tcp(text.parse().unwrap())
    }

    #[test]
    fn what_is_told_line_by_line_is_the_same_table_on_the_other_side() {
        let (near, far) = (Attempts::default(), Attempts::default());
        let tell = || near.changed().iter().for_each(|line| assert!(far.take(line), "{line}"));
        near.begin();
        near.add(tcp("127.0.0.1:6379"), Fate::Absent);
        near.add(Destination::unix(b"/run/a\tb\n\\\xff"), Fate::Absent);
        tell();
        near.add(tcp("127.0.0.1:6379"), Fate::Absent);
        near.add(tcp("127.0.0.1:6379"), Fate::Inside);
        near.add(Destination::Udp("[2001:db8::1]:53".parse().unwrap()), Fate::Outside);
        near.add_unread();
        tell();
        assert_eq!(far.list(), near.list());
        assert_eq!((far.status(), far.list()[0].count), (near.status(), 1));
        assert_eq!(far.list()[1], Attempt { destination: tcp("127.0.0.1:6379"), fate: Fate::Absent, count: 2 });
        assert_eq!(near.list()[3].destination, Destination::Unix(r"/run/a\009b\010\\\255".to_owned()));
        assert!(near.changed().is_empty());
    }

    #[test]
    fn more_destinations_than_are_told_apart_are_said_to_be_more() {
        let attempts = Attempts::default();
        for port in 1..=5000 {
            attempts.add(Destination::Tcp(([127, 0, 0, 1], port).into()), Fate::Absent);
        }
        assert_eq!((attempts.list().len(), attempts.status().cut), (ATTEMPTS_MAX, true));
    }

    #[test]
    fn lines_that_make_no_sense_are_refused() {
        let long = format!("1\tabsent\tunix\t{}", "x".repeat(ADDRESS_LEN_MAX + 1));
        for line in [
            "",
            "cut\t1",
            "unread\t-1",
            "1\tabsent\ttcp",
            "1\tgone\ttcp\t127.0.0.1:1",
            "1\tabsent\ttcp\tlocalhost:1",
            "-1\tabsent\ttcp\t127.0.0.1:1",
            "1\tabsent\tunix\t/a\tb",
            "1\tabsent\tunix\t/a\u{1b}[2J",
            &long,
        ] {
            assert!(!Attempts::default().take(line), "{line:?}");
        }
    }
}

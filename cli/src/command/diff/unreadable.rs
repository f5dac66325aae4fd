//! What cannot be read of a side, or is too long to be compared: it leaves its exchange unjudged, and ends nothing else.

use std::collections::BTreeMap;

use bundle::ReadError;
use exchange::Id;

use crate::{console::Console, exit::Exit, source::Source, trouble::Trouble};

/// Why something of a side cannot be compared.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The side, as it was named.
    name: String,
    error: ReadError,
}

impl Unreadable {
    /// Makes one of what comes of reading this side.
    pub(super) fn of(source: &Source) -> impl Fn(ReadError) -> Self {
        |error| Self { name: source.name.clone(), error }
    }

    /// What is said of the exchange.
    fn words(&self) -> String {
        let Self { name, error } = self;
        match error {
            ReadError::TooLong { kept_len, len_max } => {
                let [len, len_max] = [*kept_len, *len_max].map(report::bytes);
                format!("a body of `{name}` has {len}, and at most {len_max} of one are compared")
            }
            error => format!("`{name}` cannot be read: {error}"),
        }
    }

    fn is_damage(&self) -> bool {
        matches!(self.error, ReadError::Damaged(_) | ReadError::NoPiece { .. })
    }
}

impl From<Unreadable> for Trouble {
    fn from(unreadable: Unreadable) -> Self {
        unreadable.error.into()
    }
}

/// What could not be read so far.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Exchanges whose own request could not be read, so that nothing could be paired with them, and why.
    reasons: BTreeMap<Id, String>,
    /// How often damage was met.
    damaged: u64,
    /// The first of it, in words.
    first: String,
}

impl Unread {
    /// Takes note of it, and gives the words.
    ///
    /// # Errors
    /// Where it is neither damage nor length: a disk that fails or a network that is gone ends the comparison.
    pub(super) fn note(&mut self, unreadable: Unreadable) -> Result<String, Trouble> {
        let words = unreadable.words();
        if unreadable.is_damage() {
            self.damaged += 1;
            if self.first.is_empty() {
                self.first.clone_from(&words);
            }
        } else if !matches!(unreadable.error, ReadError::TooLong { .. }) {
            return Err(unreadable.into());
        }
        Ok(words)
    }

    /// The same of an exchange that nothing could be paired with.
    pub(super) fn note_unpaired(&mut self, id: Id, unreadable: Unreadable) -> Result<(), Trouble> {
        let words = self.note(unreadable)?;
        self.reasons.insert(id, words);
        Ok(())
    }

    /// Why this exchange has no counterpart in the source of this name.
    pub(super) fn why_alone(&self, id: &Id, missing_in: &str) -> String {
        match self.reasons.get(id) {
            Some(reason) => reason.clone(),
            None if self.reasons.is_empty() => format!("it has no counterpart in `{missing_in}`"),
            None => format!("it has no counterpart in `{missing_in}` that can be read"),
        }
    }

    /// What was read, or nothing beside a note of the damage.
    ///
    /// # Errors
    /// Where it is anything but damage.
    pub(super) fn if_read<T>(&mut self, source: &Source, read: Result<T, ReadError>) -> Result<Option<T>, Trouble> {
        match read.map_err(Unreadable::of(source)) {
            Ok(read) => Ok(Some(read)),
            Err(unreadable) if unreadable.is_damage() => self.note(unreadable).map(|_| None),
            Err(unreadable) => Err(unreadable.into()),
        }
    }

    /// Fails where anything could not be read.
    ///
    /// # Errors
    /// With the first of it.
    pub(super) fn refuse(&self) -> Result<(), Trouble> {
        match self.reasons.values().next() {
            None => Ok(()),
            Some(reason) => Err(Trouble::new(reason).help("`retake verify` lists all damage and what it costs")),
        }
    }

    /// Says that there is damage; what it touches was not judged.
    pub(super) fn warn(&self, console: &Console) -> Exit {
        if self.damaged == 0 {
            return Exit::Passed;
        }
        let times = if self.damaged > 1 { format!(" (met {} times)", self.damaged) } else { String::new() };
        console.warn(&format!(
            "{}; what damage touches was not judged{times}; `retake verify` lists all of it and what it costs",
            self.first
        ));
        Exit::Trouble
    }
}

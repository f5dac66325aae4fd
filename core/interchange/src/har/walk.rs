//! Goes down to `log.entries` and through them, passing over everything else without keeping it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use exchange::{Id, Session};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{entry::RawEntry, own::OwnLog};
use crate::{Item, Next, Passed, metered::Meter};

/// A walk under way.
pub(super) struct Walk<'a> {
    meter: &'a Meter,
    take: &'a mut dyn FnMut(Item) -> Next,
    position: u64,
    pub(super) passed: Passed,
    pub(super) has_entries: bool,
    /// Whoever takes the items wants no more.
    pub(super) has_stopped: bool,
    /// Sessions that the file tells of, where Retake wrote it.
    sessions: BTreeMap<Id, Arc<Session>>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(meter: &'a Meter, take: &'a mut dyn FnMut(Item) -> Next) -> Self {
        let (passed, sessions) = (Passed::default(), BTreeMap::new());
        Self { meter, take, position: 0, passed, has_entries: false, has_stopped: false, sessions }
    }

    /// The whole file: an object with a `log`.
    pub(super) fn file<'de, D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(Within { walk: self, level: Level::File })
    }

    fn entry<E: Error>(&mut self, raw: RawEntry) -> Result<(), E> {
        let position = self.position;
        self.position += 1;
        match raw.into_item(position, &self.sessions).map_err(|what| E::custom(format!("entry {position}: {what}")))? {
            None => self.passed.not_http += 1,
            Some(item) => {
                if (self.take)(item) == Next::Stop {
                    self.has_stopped = true;
                    return Err(E::custom("stopped"));
                }
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Level {
    File,
    Log,
}

impl Level {
    /// The one member of the object that is gone into.
    fn member(self) -> &'static str {
        match self {
            Self::File => "log",
            Self::Log => "entries",
        }
    }
}

/// An object of which one member matters.
struct Within<'w, 'a> {
    walk: &'w mut Walk<'a>,
    level: Level,
}

impl<'de> DeserializeSeed<'de> for Within<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Within<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "an object with `{}`", self.level.member())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let member = self.level.member();
        let mut is_seen = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "_retake" && matches!(self.level, Level::Log) {
                let sessions = map.next_value::<OwnLog<Session>>()?.check().map_err(A::Error::custom)?;
                self.walk.sessions = sessions.into_iter().map(|session| (session.id, Arc::new(session))).collect();
                continue;
            }
            if key != member {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if std::mem::replace(&mut is_seen, true) {
                return Err(A::Error::custom(format!("a second `{member}`")));
            }
            match self.level {
                Level::File => map.next_value_seed(Within { walk: &mut *self.walk, level: Level::Log })?,
                Level::Log => map.next_value_seed(Entries(&mut *self.walk))?,
            }
        }
        Ok(())
    }
}

/// The list of entries.
struct Entries<'w, 'a>(&'w mut Walk<'a>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        self.0.has_entries = true;
        self.0.meter.begin_item();
        while let Some(raw) = entries.next_element::<RawEntry>()? {
            self.0.entry(raw)?;
            self.0.meter.begin_item();
        }
        Ok(())
    }
}

//! What rows of exchanges and of the index have in common: which exchange it is, who called whom, when it began, and where
//! it ran.
//!
//! In: these, row after row. Out: columns, and the same again. An id that its session's key and its sequence lead to is not
//! written, nor is that of a parent which began not long before.

use std::collections::HashMap;

use exchange::{Certainty, Digest, Id, Parent};

use crate::columns::{Column, Columns, Known, Listed, Reading};

/// The keys that sessions derive ids with.
pub(crate) type Keys = HashMap<Id, SessionKey>;

/// What a session derives ids with: see [`Id::derive`].
pub(crate) type SessionKey = [u8; 32];

/// How far back a parent is looked for among the derived ids. A choice: as many calls as are in flight at once.
const PARENT_SEARCHED_MAX: u64 = 64;

/// Derived ids that are remembered. A choice.
const DERIVED_KEPT_MAX: usize = 4096;

/// What is common, to be written.
pub(crate) struct Who<'a> {
    pub(crate) id: Id,
    pub(crate) session: Id,
    pub(crate) sequence: u64,
    /// Absent of an ingress exchange, which has no parent either.
    pub(crate) dependency: Option<&'a str>,
    pub(crate) parent: Option<(Id, Certainty, &'a [Id])>,
    pub(crate) started_ns: u64,
    pub(crate) fingerprint: Option<Digest>,
}

/// Writes what is common.
#[derive(Default)]
pub(crate) struct WhoWriter {
    sessions: Known<Id>,
    dependencies: Known<String>,
    fingerprints: Known<Digest>,
    derived: HashMap<(Id, u64), Id>,
    last_sequence: u64,
    last_started_ns: u64,
}

impl WhoWriter {
    /// Puts a row.
    pub(crate) fn put(&mut self, columns: &mut Columns, who: &Who<'_>, keys: &Keys) {
        let key = keys.get(&who.session);
        let session = self.sessions.number(&who.session);
        columns.put(Column::Session, session);
        if session == 1 {
            columns.put_bytes(Column::Sessions, &who.session.0);
            columns.put_bytes(Column::Sessions, &[u8::from(key.is_some())]);
            columns.put_bytes(Column::Sessions, key.map(|key| &key[..]).unwrap_or_default());
        }
        columns.put_from(Column::Sequence, self.last_sequence.wrapping_add(1), who.sequence);
        self.last_sequence = who.sequence;
        let is_derived = key.is_some_and(|key| self.derived(who.session, key, who.sequence) == who.id);
        columns.put(Column::Id, u64::from(!is_derived));
        if !is_derived {
            columns.put_bytes(Column::Ids, &who.id.0);
        }
        let dependency = who.dependency.map_or(0, |name| self.dependencies.number(name));
        columns.put(Column::Dependency, dependency);
        if dependency == 1 {
            columns.put_text(Column::Dependencies, who.dependency.unwrap_or_default());
        }
        if dependency > 0 {
            self.put_parent(columns, who, key);
        }
        columns.put_from(Column::Started, self.last_started_ns, who.started_ns);
        self.last_started_ns = who.started_ns;
        let fingerprint = who.fingerprint.map_or(0, |digest| self.fingerprints.number(&digest));
        columns.put(Column::Fingerprint, fingerprint);
        if let (1, Some(digest)) = (fingerprint, who.fingerprint) {
            columns.put_bytes(Column::Fingerprints, &digest.0);
        }
    }

    fn put_parent(&mut self, columns: &mut Columns, who: &Who<'_>, key: Option<&SessionKey>) {
        let Some((parent, certainty, candidates)) = who.parent else { return columns.put(Column::Parent, 0) };
        self.put_other(columns, who, key, &parent);
        columns.put(Column::Certainty, certainty as u64);
        columns.put(Column::Candidates, candidates.len() as u64);
        for candidate in candidates {
            self.put_other(columns, who, key, candidate);
        }
    }

    /// Puts the id of an exchange that began before this one: how long before, or the id itself.
    fn put_other(&mut self, columns: &mut Columns, who: &Who<'_>, key: Option<&SessionKey>, other: &Id) {
        let mut back = 1..=PARENT_SEARCHED_MAX.min(who.sequence);
        let found = key.and_then(|key| back.find(|back| self.derived(who.session, key, who.sequence - back) == *other));
        columns.put(Column::Parent, found.map_or(1, |back| back + 1));
        if found.is_none() {
            columns.put_bytes(Column::Ids, &other.0);
        }
    }

    fn derived(&mut self, session: Id, key: &SessionKey, sequence: u64) -> Id {
        if self.derived.len() >= DERIVED_KEPT_MAX {
            self.derived.clear();
        }
        *self.derived.entry((session, sequence)).or_insert_with(|| Id::derive(key, sequence))
    }
}

/// What is common, as it was read.
#[derive(Clone, Debug)]
pub(crate) struct WhoRead {
    pub(crate) id: Id,
    pub(crate) session: Id,
    pub(crate) key: Option<SessionKey>,
    pub(crate) sequence: u64,
    /// The number of the name.
    pub(crate) dependency: Option<usize>,
    pub(crate) parent: Option<Parent>,
    pub(crate) started_ns: u64,
    pub(crate) fingerprint: Option<Digest>,
}

/// Reads what is common.
#[derive(Default)]
pub(crate) struct WhoReader<'a> {
    sessions: Listed<(Id, Option<SessionKey>)>,
    pub(crate) dependencies: Listed<&'a str>,
    fingerprints: Listed<Digest>,
    last_sequence: u64,
    last_started_ns: u64,
}

impl<'a> WhoReader<'a> {
    /// Takes a row.
    pub(crate) fn take(&mut self, reading: &mut Reading<'a>) -> Result<WhoRead, String> {
        let session = self.sessions.take(reading.take(Column::Session)?, || {
            let id = Id(reading.take_array(Column::Sessions)?);
            match reading.take_array(Column::Sessions)? {
                [0] => Ok((id, None)),
                [1] => Ok((id, Some(reading.take_array(Column::Sessions)?))),
                _ => Err("a session has a key of an unknown kind".to_owned()),
            }
        })?;
        let (session, key) = *self.sessions.get(session.ok_or("a row belongs to no session")?);
        let sequence = reading.take_from(Column::Sequence, self.last_sequence.wrapping_add(1))?;
        self.last_sequence = sequence;
        let id = match (reading.take(Column::Id)?, &key) {
            (0, Some(key)) => Id::derive(key, sequence),
            (1, _) => Id(reading.take_array(Column::Ids)?),
            _ => return Err("a row's id is of an unknown kind, or lacks its key".to_owned()),
        };
        let dependency = reading.take(Column::Dependency)?;
        let dependency = self.dependencies.take(dependency, || reading.take_text(Column::Dependencies))?;
        let parent = match dependency {
            Some(_) => take_parent(reading, key.as_ref(), sequence)?,
            None => None,
        };
        let started_ns = reading.take_from(Column::Started, self.last_started_ns)?;
        self.last_started_ns = started_ns;
        let fingerprint = reading.take(Column::Fingerprint)?;
        let fingerprint =
            self.fingerprints.take(fingerprint, || Ok(Digest(reading.take_array(Column::Fingerprints)?)))?;
        let fingerprint = fingerprint.map(|at| *self.fingerprints.get(at));
        Ok(WhoRead { id, session, key, sequence, dependency, parent, started_ns, fingerprint })
    }
}

fn take_parent(reading: &mut Reading<'_>, key: Option<&SessionKey>, sequence: u64) -> Result<Option<Parent>, String> {
    let Some(id) = take_other(reading, key, sequence)? else { return Ok(None) };
    let certainty = match reading.take(Column::Certainty)? {
        0 => Certainty::Recorded,
        1 => Certainty::Inferred,
        2 => Certainty::Ambiguous,
        _ => return Err("a parent is known in an unknown way".to_owned()),
    };
    let mut candidates = Vec::new();
    for _ in 0..reading.take(Column::Candidates)? {
        candidates.push(take_other(reading, key, sequence)?.ok_or("a candidate is nobody")?);
    }
    Ok(Some(Parent { id, certainty, candidates }))
}

fn take_other(reading: &mut Reading<'_>, key: Option<&SessionKey>, sequence: u64) -> Result<Option<Id>, String> {
    Ok(match reading.take(Column::Parent)? {
        0 => None,
        1 => Some(Id(reading.take_array(Column::Ids)?)),
        back => {
            let before = sequence.checked_sub(back - 1).zip(key);
            let (before, key) = before.ok_or("a parent began before its session, or lacks its key")?;
            Some(Id::derive(key, before))
        }
    })
}

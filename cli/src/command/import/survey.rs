//! The first reading of a file: what has to be known before its first exchange can be written.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
};

use exchange::{Digest, Listener};
use interchange::{Interchange, Limits, Next, Origin, Roles};

use crate::{console::Progress, trouble::Trouble};

/// Places that are told apart; the session's record has the first ones. A choice.
const ORIGINS_MAX: usize = 256;

/// What the first reading found.
pub(super) struct Surveyed {
    /// Of all bytes, also of those after a fault.
    pub(super) digest: Digest,
    /// Bytes in all.
    pub(super) len: u64,
    /// When the earliest item began; 0 where none tells.
    pub(super) started_unix_ns: u64,
    /// Where items went. The service is among them only where it is one.
    pub(super) listeners: Vec<Listener>,
    /// Items.
    pub(super) items: u64,
    /// Items that are dependency calls.
    pub(super) calls: u64,
    /// Entries that are no HTTP.
    pub(super) not_http: u64,
}

/// Reads all of a file once. Where it is wrong is the second reading's to say.
pub(super) fn survey(
    format: &dyn Interchange,
    file: &mut File,
    limits: Limits,
    roles: &Roles,
    progress: &Progress,
) -> Result<Surveyed, Trouble> {
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let mut hashing = Hashing { file, hasher: blake3::Hasher::new(), len: 0, progress, total };
    let mut origins: BTreeMap<Origin, Option<String>> = BTreeMap::new();
    let (mut started_unix_ns, mut items, mut calls) = (u64::MAX, 0, 0);
    let read = format.read(&mut hashing, limits, &mut |item| {
        items += 1;
        if let Some(own) = &item.own {
            // It has its own role and session.
            calls += u64::from(own.exchange.role.dependency().is_some());
            return Next::GoOn;
        }
        let dependency = roles.dependency_at(&item.origin);
        started_unix_ns = started_unix_ns.min(item.started_unix_ns.unwrap_or(u64::MAX));
        calls += u64::from(dependency.is_some());
        if origins.len() < ORIGINS_MAX {
            origins.insert(item.origin, dependency);
        }
        Next::GoOn
    });
    io::copy(&mut hashing, &mut io::sink()).map_err(|error| Trouble::of(&error).while_doing("cannot read the file"))?;
    Ok(Surveyed {
        digest: Digest(*hashing.hasher.finalize().as_bytes()),
        len: hashing.len,
        started_unix_ns: if started_unix_ns == u64::MAX { 0 } else { started_unix_ns },
        listeners: listeners_of(origins),
        items,
        calls,
        not_http: read.map_or(0, |passed| passed.not_http),
    })
}

/// One listener for each dependency, and one for the service where all its requests went to one place.
fn listeners_of(origins: BTreeMap<Origin, Option<String>>) -> Vec<Listener> {
    let services = origins.values().filter(|name| name.is_none()).count();
    let mut listeners: Vec<Listener> = Vec::new();
    for (origin, dependency) in origins {
        let is_ambiguous = dependency.is_none() && services > 1;
        let is_there = listeners.iter().any(|listener| listener.dependency == dependency);
        if !is_ambiguous && !is_there {
            listeners.push(Listener { dependency, upstream: origin.url(), ..Listener::default() });
        }
    }
    listeners
}

/// Hashes what is read.
struct Hashing<'a> {
    file: &'a mut File,
    hasher: blake3::Hasher,
    len: u64,
    progress: &'a Progress,
    total: u64,
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.len += read as u64;
        self.progress.show(self.len, self.total.max(self.len));
        Ok(read)
    }
}

//! Where the credentials stand in what a client says on a connection that is not HTTP.
//!
//! In: the client's bytes as they come. Out: the same bytes, and the ranges of them that are credentials: Redis' `AUTH`,
//! PostgreSQL's passwords and SASL, MySQL's scrambles, what is said by SASL to MongoDB, memcached, AMQP 0-9-1 and Kafka, the
//! `AUTH`, `PASS` and `LOGIN` of line protocols. What is found depends on the form of what was said and never on the values,
//! so that a recording with pseudonyms and a replay with the real ones have their credentials in the same places. Bytes are
//! held back only where a credential may have begun.
//!
//! Everything else that is said is data, and kept as it is. Within TLS nothing is found, since nothing can be read.

mod framed;
mod lines;
mod mongodb;
mod mysql;
mod postgres;
mod resp;

use std::ops::Range;

use self::{framed::Framed, lines::Lines, mysql::MySql, postgres::Postgres, resp::Resp};

/// Longest unit that is held to look at it whole, in bytes; what is longer passes without being looked at. A choice: a
/// credential is shorter.
const HELD_BYTES_MAX: usize = 64 << 10;

/// Most bytes that tell protocols apart: MySQL's first packet has its 23 zeroes up to here.
const TELLING_BYTES: usize = 36;

/// Listens to one client.
#[derive(Debug, Default)]
pub struct Spoken {
    protocol: Option<Protocol>,
    /// Read and not yet given out.
    held: Vec<u8>,
}

/// What was given out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// The bytes, as they came.
    pub bytes: Vec<u8>,
    /// The credentials among them, in order and apart.
    pub secrets: Vec<Secret>,
}

/// A credential, by its place among released bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// Where it is.
    pub range: Range<usize>,
    /// What says so: `redis AUTH`, `postgresql password`, …
    pub place: &'static str,
}

impl Released {
    /// The bytes with every credential filled with `*`: equal for a pseudonym and for what it stands in for.
    pub fn masked(mut self) -> Vec<u8> {
        for secret in &self.secrets {
            self.bytes[secret.range.clone()].fill(b'*');
        }
        self.bytes
    }

    /// Moves the first `count` of `held` to what was given out.
    fn pass(&mut self, held: &mut Vec<u8>, count: usize) {
        self.bytes.extend(held.drain(..count.min(held.len())));
    }

    /// As [`Self::pass`], for bytes of which some are credentials.
    fn pass_unit(&mut self, held: &mut Vec<u8>, count: usize, secrets: Vec<(Range<usize>, &'static str)>) {
        let from = self.bytes.len();
        let known = secrets.into_iter().filter(|(range, _)| !range.is_empty() && range.end <= count);
        self.secrets.extend(known.map(|(range, place)| Secret { range: range.start + from..range.end + from, place }));
        self.pass(held, count);
    }
}

/// A protocol whose messages say how long they are.
trait Messages {
    /// Takes a message, or its header where the rest of it passes. False when more bytes are needed.
    fn take(&mut self, held: &mut Vec<u8>, released: &mut Released) -> bool;

    /// True when what follows cannot be read.
    fn is_encrypted(&self) -> bool;

    /// Bytes of a message that pass without being looked at.
    fn passing(&mut self) -> &mut u64;

    /// Takes all messages that are there.
    fn go_on(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        loop {
            if self.is_encrypted() {
                return released.pass(held, usize::MAX);
            }
            let passing = self.passing();
            let count = usize::try_from(*passing).unwrap_or(usize::MAX).min(held.len());
            *passing -= count as u64;
            released.pass(held, count);
            if held.is_empty() || !self.take(held, released) {
                return;
            }
        }
    }
}

#[derive(Debug)]
enum Protocol {
    Resp(Resp),
    Postgres(Postgres),
    MySql(MySql),
    Framed(Framed),
    Lines(Lines),
    /// Encrypted: there is nothing to be read in it.
    Tls,
}

impl Spoken {
    /// Takes what one read delivered; gives out what can be given out by now.
    pub fn hear(&mut self, bytes: &[u8]) -> Released {
        self.held.extend_from_slice(bytes);
        let mut released = Released::default();
        if self.protocol.is_none() {
            self.protocol = tell(&self.held, false);
        }
        self.go_on(&mut released);
        released
    }

    /// Gives out what is held: nothing more comes, or not for a while. What had only begun is no credential.
    pub fn flush(&mut self) -> Released {
        let mut released = Released::default();
        if self.protocol.is_none() && !self.held.is_empty() {
            self.protocol = tell(&self.held, true);
        }
        self.go_on(&mut released);
        let Self { protocol, held } = self;
        match protocol {
            Some(Protocol::Lines(lines)) => lines.flush(held, &mut released),
            Some(Protocol::Resp(resp)) => resp.flush(held, &mut released),
            Some(Protocol::Postgres(postgres)) => postgres.flush(held, &mut released),
            Some(Protocol::MySql(mysql)) => mysql.flush(held, &mut released),
            Some(Protocol::Framed(framed)) => framed.flush(held, &mut released),
            Some(Protocol::Tls) | None => {}
        }
        released
    }

    /// True while something is held back.
    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// True when what is said is encrypted: it differs with every connection.
    pub fn is_encrypted(&self) -> bool {
        match &self.protocol {
            Some(Protocol::Tls) => true,
            Some(Protocol::Postgres(postgres)) => postgres.is_encrypted(),
            Some(Protocol::MySql(mysql)) => mysql.is_encrypted(),
            Some(Protocol::Lines(lines)) => lines.is_encrypted(),
            Some(Protocol::Resp(_) | Protocol::Framed(_)) | None => false,
        }
    }

    fn go_on(&mut self, released: &mut Released) {
        let Self { protocol, held } = self;
        match protocol {
            None => {}
            Some(Protocol::Resp(resp)) => resp.go_on(held, released),
            Some(Protocol::Postgres(postgres)) => postgres.go_on(held, released),
            Some(Protocol::MySql(mysql)) => mysql.go_on(held, released),
            Some(Protocol::Framed(framed)) => framed.go_on(held, released),
            Some(Protocol::Lines(lines)) => lines.go_on(held, released),
            Some(Protocol::Tls) => released.pass(held, usize::MAX),
        }
    }
}

/// Whose protocol begins like this; `None` while more bytes are needed to tell. The `last` ones are enough.
fn tell(bytes: &[u8], last: bool) -> Option<Protocol> {
    match bytes {
        [b'*', b'0'..=b'9', ..] => return Some(Protocol::Resp(Resp::default())),
        [0x16, 3, ..] => return Some(Protocol::Tls),
        [b'*' | 0x16] if !last => return None,
        _ => {}
    }
    let likely = framed::WIRES.into_iter().find(|wire| (wire.may_begin)(bytes));
    match likely {
        Some(wire) if bytes.len() >= wire.telling_len => return Some(Protocol::Framed(Framed::new(wire))),
        Some(_) if !last => return None,
        _ => {}
    }
    if let Some(is_postgres) = postgres::begins(bytes) {
        if is_postgres {
            return Some(Protocol::Postgres(Postgres::default()));
        }
    } else if !last {
        return None;
    }
    if mysql::may_begin(bytes) {
        if bytes.len() >= TELLING_BYTES {
            return Some(Protocol::MySql(MySql::default()));
        }
        if !last {
            return None;
        }
    }
    (!bytes.is_empty()).then(|| Protocol::Lines(Lines::default()))
}

#[cfg(test)]
mod tests;

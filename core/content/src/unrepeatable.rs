//! Connections that recorded bytes cannot answer, because what is said on them is another each time.
//!
//! In: the bytes of a connection that is no HTTP, as they come or afterwards. Out: why no replay can answer it, as soon as that
//! is known: while it is recorded something can still be done about it. Nothing of what was said is kept.

use crate::redact::spoken::Spoken;

/// How far into what a server says PostgreSQL's first demand stands, in bytes: behind refused encryption.
const DEMAND_BYTES: usize = 16;

/// How far into what a client says a line protocol's login is looked for, in bytes. A choice: it comes after a greeting.
const LOGIN_BYTES: usize = 4 << 10;

/// Length of the header of MongoDB's messages, and the codes of those that a client begins with (MongoDB Wire Protocol):
/// `OP_QUERY` and `OP_MSG`.
const MONGODB_HEADER_LEN: usize = 16;
const MONGODB_CODES: [u32; 2] = [2004, 2013];

/// Largest message of MongoDB, in bytes (`maxMessageSizeBytes`).
const MONGODB_LEN_MAX: u32 = 48_000_000;

/// Elements in MongoDB's messages: the mechanisms of SASL that make up numbers (`PLAIN` does not), with the length that stands
/// before them, and the session that every driver makes up.
const MONGODB_NAMES: [(&[u8], Unrepeatable); 5] = [
    (b"\x02mechanism\0\x0c\0\0\0SCRAM-SHA-1\0", Unrepeatable::SaltedLogin),
    (b"\x02mechanism\0\x0e\0\0\0SCRAM-SHA-256\0", Unrepeatable::SaltedLogin),
    (b"\x02mechanism\0\x0c\0\0\0MONGODB-AWS\0", Unrepeatable::SaltedLogin),
    (b"\x02mechanism\0\x07\0\0\0GSSAPI\0", Unrepeatable::SaltedLogin),
    (b"\x03lsid\0", Unrepeatable::OwnSession),
];

/// How line protocols ask for a salted login.
const SALTED_LINES: [(&[u8], Unrepeatable); 2] =
    [(b"AUTH SCRAM-", Unrepeatable::SaltedLogin), (b"AUTHENTICATE SCRAM-", Unrepeatable::SaltedLogin)];

/// Why recorded bytes cannot answer a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unrepeatable {
    /// TLS, from its beginning or from where the client asked for it.
    Encrypted,
    /// A login in which client and server both make up numbers: SCRAM.
    SaltedLogin,
    /// The client makes up an id for its session, and says it with every command: MongoDB's drivers.
    OwnSession,
}

impl Unrepeatable {
    /// What such a connection does, as words after its name.
    pub fn words(self) -> &'static str {
        match self {
            Self::Encrypted => "is encrypted, which differs with every connection",
            Self::SaltedLogin => "begins with a login (SASL) in which both sides make up numbers",
            Self::OwnSession => "has a session whose id its client makes up (MongoDB)",
        }
    }

    /// What can be done when it is recorded, or `None` where nothing can.
    pub fn remedy(self) -> Option<&'static str> {
        match self {
            Self::Encrypted => Some("record it without TLS (`redis://` for `rediss://`, `sslmode=disable`)"),
            Self::SaltedLogin => {
                Some("record it with a login that repeats (`md5`, `password` or `trust` in PostgreSQL's `pg_hba.conf`)")
            }
            Self::OwnSession => None,
        }
    }
}

/// Looks on while a connection goes by. Says why it cannot be repeated once, when that is first known.
#[derive(Debug, Default)]
pub struct Onlooker {
    said: Said,
    /// How the server began.
    answered: Vec<u8>,
    is_known: bool,
}

/// What is known of what a client said.
#[derive(Debug, Default)]
struct Said {
    len: usize,
    /// How it began.
    beginning: Vec<u8>,
    /// The last of what it said, where a name may have begun.
    tail: Vec<u8>,
}

impl Onlooker {
    /// Takes what the client said, and what its credentials were looked for with, which has heard it.
    pub fn said(&mut self, bytes: &[u8], is_encrypted: bool) -> Option<Unrepeatable> {
        if self.is_known {
            return None;
        }
        let found = if is_encrypted { Some(Unrepeatable::Encrypted) } else { self.said.hear(bytes) };
        self.know(found)
    }

    /// Takes what the server said.
    pub fn answered(&mut self, bytes: &[u8]) -> Option<Unrepeatable> {
        let room = DEMAND_BYTES - self.answered.len();
        if self.is_known || room == 0 {
            return None;
        }
        self.answered.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let found = demands_salted_login(&self.answered).then_some(Unrepeatable::SaltedLogin);
        self.know(found)
    }

    fn know(&mut self, found: Option<Unrepeatable>) -> Option<Unrepeatable> {
        self.is_known |= found.is_some();
        found
    }
}

impl Said {
    fn hear(&mut self, bytes: &[u8]) -> Option<Unrepeatable> {
        let room = MONGODB_HEADER_LEN - self.beginning.len();
        self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let is_mongodb = begins_as_mongodb(&self.beginning);
        let heard = self.len;
        self.len = heard.saturating_add(bytes.len());
        let bytes = if is_mongodb { bytes } else { &bytes[..bytes.len().min(LOGIN_BYTES - heard.min(LOGIN_BYTES))] };
        let names: &[(&[u8], Unrepeatable)] = if is_mongodb { &MONGODB_NAMES } else { &SALTED_LINES };
        let longest = names.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        // A name may stand across two reads.
        let seam = [&self.tail, &bytes[..bytes.len().min(longest)]].concat();
        let has = |name: &[u8]| memchr::memmem::find(bytes, name).or_else(|| memchr::memmem::find(&seam, name));
        let found = names.iter().find(|(name, _)| has(name).is_some()).map(|(_, why)| *why);
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(longest)..]);
        self.tail.drain(..self.tail.len().saturating_sub(longest));
        found
    }
}

/// Why a recorded connection cannot be repeated. `spoken` has heard all that the client `said`, of which as much is needed as
/// there is, and the beginning of what the server `answered`.
pub fn of_connection(spoken: &Spoken, said: &[u8], answered: &[u8]) -> Option<Unrepeatable> {
    let mut onlooker = Onlooker::default();
    onlooker.said(said, spoken.is_encrypted()).or_else(|| onlooker.answered(answered))
}

/// True for a PostgreSQL server that demands a SASL login: message `R` with code 10 (PostgreSQL documentation, "Message
/// Formats"), behind an `N` where encryption was asked for.
fn demands_salted_login(answered: &[u8]) -> bool {
    let demand = answered.strip_prefix(b"N").unwrap_or(answered);
    matches!(demand, [b'R', 0, 0, 0, _, 0, 0, 0, 10, ..])
}

fn begins_as_mongodb(beginning: &[u8]) -> bool {
    let number = |at: usize| beginning.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (len, answers, code) = (number(0), number(8), number(12));
    len.is_some_and(|len| (MONGODB_HEADER_LEN as u32..=MONGODB_LEN_MAX).contains(&len))
        && answers == Some(0)
        && code.is_some_and(|code| MONGODB_CODES.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a connection on which the client said these pieces, and the server these.
    fn known(said: &[&[u8]], answered: &[&[u8]]) -> Option<Unrepeatable> {
        let (mut spoken, mut onlooker) = (Spoken::default(), Onlooker::default());
        let by_client = said.iter().find_map(|piece| {
            spoken.hear(piece);
            onlooker.said(piece, spoken.is_encrypted())
        });
        by_client.or_else(|| answered.iter().find_map(|piece| onlooker.answered(piece)))
    }

    fn mongodb(body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(16 + body.len()).unwrap();
        let numbers = [len, 4711, 0, 2013].map(u32::to_le_bytes);
        [&numbers.concat(), body].concat()
    }

    #[test]
    fn postgresql_that_demands_a_salted_login_is_told_from_one_that_does_not() {
        let demand = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert_eq!(known(&[], &[demand]), Some(Unrepeatable::SaltedLogin));
        assert_eq!(known(&[], &[b"N", demand]), Some(Unrepeatable::SaltedLogin));
        assert_eq!(known(&[], &[&demand[..4], &demand[4..]]), Some(Unrepeatable::SaltedLogin));
        assert_eq!(known(&[], &[b"R\0\0\0\x0c\0\0\0\x05salt"]), None);
        assert_eq!(known(&[b"*1\r\n$4\r\nPING\r\n"], &[b"+PONG\r\n"]), None);
    }

    #[test]
    fn mongodb_is_known_by_its_login_and_its_sessions_and_whatever_only_has_the_words_is_not() {
        let start = b"\0\0\0\0\0\x30\0\0\0\x10saslStart\0\x01\0\0\0\x02mechanism\0";
        let login = mongodb(&[&start[..], b"\x0e\0\0\0SCRAM-SHA-256\0"].concat());
        assert_eq!(known(&[&login], &[]), Some(Unrepeatable::SaltedLogin));
        assert_eq!(known(&[&login[..50], &login[50..]], &[]), Some(Unrepeatable::SaltedLogin));
        assert_eq!(known(&[&mongodb(&[&start[..], b"\x06\0\0\0PLAIN\0"].concat())], &[]), None);
        let hello = mongodb(b"\0\0\0\0\0\x10\0\0\0\x10hello\0\x01\0\0\0\0");
        let find = mongodb(b"\0\0\0\0\0\x30\0\0\0\x02find\0\x02\0\0\0a\0\x03lsid\0\x1e\0\0\0");
        assert_eq!(known(&[&hello], &[]), None);
        assert_eq!(known(&[&hello, &find], &[]), Some(Unrepeatable::OwnSession));
        for at in 1..find.len() {
            let (one, other) = find.split_at(at);
            assert_eq!(known(&[&hello, one, other], &[]), Some(Unrepeatable::OwnSession), "cut at {at}");
        }
        assert_eq!(known(&[b"SET a saslStart\0\x03lsid\0\r\n"], &[]), None);
    }

    #[test]
    fn tls_is_known_at_once_and_where_a_client_asks_for_it() {
        assert_eq!(known(&[&[0x16, 3, 1, 2, 0, 1]], &[]), Some(Unrepeatable::Encrypted));
        assert_eq!(known(&[b"EHLO x\r\n", b"STARTTLS\r\n", &[0x16, 3, 1, 2]], &[]), Some(Unrepeatable::Encrypted));
        assert_eq!(known(&[b"a1 STARTTLS\r\n", &[0x16, 3, 1, 2]], &[]), Some(Unrepeatable::Encrypted));
        assert_eq!(known(&[b"EHLO x\r\n", b"STARTTLS\r\n", b"NOOP\r\n"], &[]), None, "it was refused");
        assert_eq!(known(&[b"EHLO x\r\n", b"AUTH SCRAM-SHA-256 abc\r\n"], &[]), Some(Unrepeatable::SaltedLogin));
    }

    #[test]
    fn it_is_said_once() {
        let (mut onlooker, hello) = (Onlooker::default(), [0x16, 3, 1]);
        assert_eq!(onlooker.said(&hello, true), Some(Unrepeatable::Encrypted));
        assert_eq!((onlooker.said(&hello, true), onlooker.answered(b"R\0\0\0\x17\0\0\0\x0a")), (None, None));
    }
}

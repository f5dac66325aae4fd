//! Cuts a recorded connection into turns.
//!
//! In: both directions with the times of their pieces. Out: the greeting and the turns. A client that sends several commands
//! of Redis at once, or one in several pieces, is cut into commands with one reply each; everything else is cut by who spoke
//! when.

use std::ops::Range;

use super::{Turn, resp};

/// A silence after which what is said is another turn, though nothing was answered, in nanoseconds. A choice: far above the
/// pauses within one message, below the time that is waited for the rest of one.
const SILENCE_NS: u64 = 1_000_000_000;

/// One direction of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// Its bytes; the client's with credentials masked.
    pub bytes: &'a [u8],
    /// What one read delivered each, in order; beginning with offset 0 where there are any bytes.
    pub pieces: &'a [Piece],
}

/// What one read delivered: from `offset` to the next one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where it begins.
    pub offset: usize,
    /// When it was read.
    pub at_ns: u64,
}

/// The greeting, as a range of what the server said, and the turns.
pub fn turns_of(client: Heard<'_>, server: Heard<'_>) -> (Range<usize>, Vec<Turn>) {
    let (greeting, turns) = by_time(client, server);
    if !greeting.is_empty() {
        return (greeting, turns);
    }
    match by_command(client, server) {
        Some(turns) => (greeting, turns),
        None => (greeting, turns),
    }
}

/// What the client said until the server spoke, and what the server said until the client spoke.
fn by_time(client: Heard<'_>, server: Heard<'_>) -> (Range<usize>, Vec<Turn>) {
    let ends = |heard: Heard<'_>| {
        let next = heard.pieces.iter().skip(1).map(|piece| piece.offset).chain([heard.bytes.len()]);
        heard.pieces.iter().zip(next).map(|(piece, end)| (piece.at_ns, end.min(heard.bytes.len()))).collect::<Vec<_>>()
    };
    // What was said comes before what was answered at the same time.
    let said = ends(client).into_iter().map(|(at_ns, end)| (at_ns, false, end));
    let answered = ends(server).into_iter().map(|(at_ns, end)| (at_ns, true, end));
    let mut events: Vec<(u64, bool, usize)> = said.chain(answered).collect();
    events.sort_by_key(|&(at_ns, is_answer, _)| (at_ns, is_answer));
    let (mut greeting, mut turns) = (0..0, Vec::<(u64, Range<usize>, Range<usize>)>::new());
    let mut said_ns = 0;
    for (at_ns, is_answer, end) in events {
        match (is_answer, turns.last_mut()) {
            (true, None) => greeting.end = greeting.end.max(end),
            (true, Some((_, _, answer))) => answer.end = answer.end.max(end),
            (false, Some((_, asked, answer)))
                if answer.end == answer.start && at_ns.saturating_sub(said_ns) < SILENCE_NS =>
            {
                asked.end = asked.end.max(end);
            }
            (false, last) => {
                let (from, answer_from) = last.map_or((0, greeting.end), |(_, asked, answer)| (asked.end, answer.end));
                turns.push((at_ns, from..end.max(from), answer_from..answer_from));
            }
        }
        if !is_answer {
            said_ns = at_ns;
        }
    }
    let turns = turns.into_iter().filter(|(_, asked, _)| !asked.is_empty());
    let turn = |(at_ns, asked, answer): (u64, Range<usize>, Range<usize>)| Turn {
        opens: opens(&client.bytes[asked.clone()]),
        asked: client.bytes[asked].to_vec(),
        answer,
        at_ns,
        owner: None,
    };
    (greeting, turns.map(turn).collect())
}

/// One reply for each command, where that is so.
fn by_command(client: Heard<'_>, server: Heard<'_>) -> Option<Vec<Turn>> {
    let commands = resp::commands(client.bytes)?;
    let replies = resp::replies(server.bytes)?;
    let is_unpaired = |range: &Range<usize>| resp::is_unpaired(&client.bytes[range.clone()]);
    if replies.len() > commands.len() || commands.iter().any(is_unpaired) {
        return None;
    }
    let nothing = server.bytes.len()..server.bytes.len();
    let replies = replies.into_iter().chain(std::iter::repeat(nothing));
    let turns = commands.into_iter().zip(replies).map(|(asked, answer)| Turn {
        at_ns: time_at(client.pieces, asked.start),
        opens: opens(&client.bytes[asked.clone()]),
        asked: client.bytes[asked].to_vec(),
        answer,
        owner: None,
    });
    Some(turns.collect())
}

/// When the byte at `offset` was read.
fn time_at(pieces: &[Piece], offset: usize) -> u64 {
    let after = pieces.partition_point(|piece| piece.offset <= offset);
    pieces.get(after.saturating_sub(1)).map_or(0, |piece| piece.at_ns)
}

/// True for what opens a connection: of Redis, the first messages and the passwords of PostgreSQL, memcached's login, AMQP's
/// header and all that its connections say of themselves.
fn opens(asked: &[u8]) -> bool {
    let is_start = matches!(asked, [0, 0, _, _, 0, 3, ..] | [0, 0, _, _, 0x04, 0xd2, 0x16, ..]);
    let is_password = matches!(asked, [b'p', 0, _, _, _, ..]);
    let is_memcached = matches!(asked, [0x80, 0x20..=0x22, _, _, _, 0, 0, 0, ..]);
    let is_amqp = matches!(asked, [b'A', b'M', b'Q', b'P', 0, 0, 9, ..] | [1, 0, 0, _, _, _, _, 0, 10, 0, ..]);
    is_start || is_password || is_memcached || is_amqp || resp::opens(asked)
}

//! Redis: commands as arrays of bulk strings (RESP), or inline as lines.

use super::{HELD_BYTES_MAX, Released, lines::Lines};

/// Most arguments remembered of a command, and their longest length, to know which argument is a secret. Choices.
const WORDS_MAX: usize = 16;
const WORD_BYTES_MAX: usize = 32;

/// Longest header line (`*3\r\n`, `$11\r\n`), in bytes: a sign and 19 digits fit.
const HEADER_BYTES_MAX: usize = 32;

/// One client of Redis.
#[derive(Debug, Default)]
pub(super) struct Resp {
    /// Arguments that have not come yet.
    arguments_left: u64,
    /// Bytes of an argument, its line end included, that pass without being looked at.
    passing: u64,
    /// The arguments so far, in capital letters, cut.
    words: Vec<Vec<u8>>,
    /// Set once what comes is no RESP.
    otherwise: Option<Lines>,
}

impl Resp {
    pub(super) fn go_on(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        loop {
            if let Some(lines) = &mut self.otherwise {
                return lines.go_on(held, released);
            }
            if held.is_empty() {
                return;
            }
            if self.passing > 0 {
                let count = usize::try_from(self.passing).unwrap_or(usize::MAX).min(held.len());
                self.passing -= count as u64;
                released.pass(held, count);
                continue;
            }
            if !self.take_header(held, released) {
                return;
            }
        }
    }

    pub(super) fn flush(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        match &mut self.otherwise {
            Some(lines) => lines.flush(held, released),
            None if held.is_empty() => {}
            // Half a header, or half a secret: the connection broke off, or this is something else.
            None => {
                let secrets = if self.awaits_secret() { vec![(0..held.len(), "redis AUTH")] } else { Vec::new() };
                let count = held.len();
                released.pass_unit(held, count, secrets);
                self.otherwise = Some(Lines::default());
            }
        }
    }

    /// Takes one header line, and an argument that is to be looked at. False when more bytes are needed.
    fn take_header(&mut self, held: &mut Vec<u8>, released: &mut Released) -> bool {
        let mark = if self.arguments_left == 0 { b'*' } else { b'$' };
        let Some(end) = held.iter().take(HEADER_BYTES_MAX).position(|&byte| byte == b'\n') else {
            let hopeless = held.len() >= HEADER_BYTES_MAX || held[0] != mark;
            if hopeless {
                self.otherwise = Some(Lines::default());
            }
            return hopeless;
        };
        let number = std::str::from_utf8(&held[1..end]).ok().and_then(|text| text.trim().parse::<u64>().ok());
        let (Some(number), true) = (number, held[0] == mark) else {
            self.otherwise = Some(Lines::default());
            return true;
        };
        let header = end + 1;
        if mark == b'*' {
            self.arguments_left = number;
            self.words.clear();
            released.pass(held, header);
            return true;
        }
        self.take_argument(held, released, header, number)
    }

    fn take_argument(&mut self, held: &mut Vec<u8>, released: &mut Released, header: usize, len: u64) -> bool {
        let whole = usize::try_from(len).ok().and_then(|len| len.checked_add(header + 2));
        let is_looked_at = self.words.len() < WORDS_MAX && len <= HELD_BYTES_MAX as u64;
        let Some(whole) = whole.filter(|_| is_looked_at) else {
            self.arguments_left -= 1;
            self.passing = len.saturating_add(2);
            released.pass(held, header);
            return true;
        };
        // Only the first words and what may be a secret are waited for.
        if held.len() < whole {
            if len as usize > WORD_BYTES_MAX && !self.may_be_secret() {
                self.words.push(Vec::new());
                self.arguments_left -= 1;
                self.passing = len.saturating_add(2);
                released.pass(held, header);
                return true;
            }
            return false;
        }
        let argument = &held[header..whole - 2];
        let place = self.secret_place(argument);
        self.words.push(argument[..argument.len().min(WORD_BYTES_MAX)].to_ascii_uppercase());
        self.arguments_left -= 1;
        let secrets = place.map(|place| (header..whole - 2, place)).into_iter().collect();
        released.pass_unit(held, whole, secrets);
        true
    }

    fn may_be_secret(&self) -> bool {
        self.words.is_empty() || self.secret_place(b">").is_some()
    }

    fn awaits_secret(&self) -> bool {
        self.arguments_left > 0 && self.secret_place(b">").is_some()
    }

    /// What makes the next argument a secret, if it is one.
    fn secret_place(&self, argument: &[u8]) -> Option<&'static str> {
        let words: Vec<&[u8]> = self.words.iter().map(Vec::as_slice).collect();
        match words[..] {
            // The last of one or two: a user's name is none.
            [b"AUTH", ..] if self.arguments_left == 1 => Some("redis AUTH"),
            [b"HELLO", .., b"AUTH", _] => Some("redis HELLO AUTH"),
            [b"CONFIG", b"SET", .., b"REQUIREPASS" | b"MASTERAUTH"] => Some("redis CONFIG SET"),
            [b"ACL", b"SETUSER", _, ..] if matches!(argument.first(), Some(b'>' | b'<' | b'#' | b'!')) => {
                Some("redis ACL SETUSER")
            }
            [b"MIGRATE", .., b"AUTH"] | [b"MIGRATE", .., b"AUTH2", _] => Some("redis MIGRATE"),
            _ => None,
        }
    }
}

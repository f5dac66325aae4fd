//! MySQL's protocol: packets of a length (3 bytes, the low one first), a number and a payload. The server speaks first; the
//! client's packets are credentials until its first command, which has the number 0 again.

use std::ops::Range;

use super::{HELD_BYTES_MAX, Messages, Released};

/// Capabilities (MySQL internals, "Capability Flags").
const PLUGIN_AUTH_LENENC: u32 = 0x0020_0000;
const SECURE_CONNECTION: u32 = 0x8000;

/// Where the user's name begins in a handshake's payload: after capabilities, packet size, charset and 23 zeroes.
const USER_AT: usize = 32;

/// One client of MySQL.
#[derive(Debug, Default)]
pub(super) struct MySql {
    phase: Phase,
    passing: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Handshake,
    Authenticating,
    Commands,
    Encrypted,
}

/// True when these bytes may be the beginning of the client's first packet.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let len = bytes.iter().take(3).rev().fold(0, |len, &byte| len << 8 | usize::from(byte));
    bytes.get(3).is_none_or(|&number| number == 1)
        && (bytes.len() < 3 || (USER_AT..HELD_BYTES_MAX).contains(&len))
        && bytes.get(2).is_none_or(|&high| high == 0)
        && bytes.get(13..).is_none_or(|rest| rest.iter().take(23).all(|&byte| byte == 0))
}

impl Messages for MySql {
    fn take(&mut self, held: &mut Vec<u8>, released: &mut Released) -> bool {
        let [a, b, c, number, ..] = held[..] else { return false };
        let len = usize::from(a) | usize::from(b) << 8 | usize::from(c) << 16;
        if number == 0 || self.phase == Phase::Commands || len > HELD_BYTES_MAX {
            self.phase = Phase::Commands;
            self.passing = len as u64 + 4;
            return true;
        }
        let Some(payload) = held.get(4..4 + len) else { return false };
        let secret = match self.phase {
            Phase::Handshake if len == USER_AT => None,
            Phase::Handshake => scramble_of(payload),
            _ => Some(0..len),
        };
        self.phase = match self.phase {
            Phase::Handshake if len == USER_AT => Phase::Encrypted,
            _ => Phase::Authenticating,
        };
        let secrets = secret.map(|range| (4 + range.start..4 + range.end, "mysql password")).into_iter().collect();
        released.pass_unit(held, 4 + len, secrets);
        true
    }

    fn is_encrypted(&self) -> bool {
        self.phase == Phase::Encrypted
    }

    fn passing(&mut self) -> &mut u64 {
        &mut self.passing
    }
}

impl MySql {
    pub(super) fn flush(&mut self, held: &mut Vec<u8>, released: &mut Released) {
        let is_secret = matches!(self.phase, Phase::Handshake | Phase::Authenticating) && held.len() > 4;
        let secrets = if is_secret { vec![(4..held.len(), "mysql password")] } else { Vec::new() };
        let count = held.len();
        released.pass_unit(held, count, secrets);
    }
}

/// What answers the server's challenge in a handshake; all after the user's name where that cannot be told.
fn scramble_of(payload: &[u8]) -> Option<Range<usize>> {
    let capabilities = u32::from_le_bytes(payload.get(..4)?.try_into().ok()?);
    let user_end = USER_AT + payload.get(USER_AT..)?.iter().position(|&byte| byte == 0)?;
    let at = user_end + 1;
    let all = at..payload.len();
    if capabilities & (PLUGIN_AUTH_LENENC | SECURE_CONNECTION) == 0 {
        return Some(all);
    }
    match payload.get(at) {
        // Longer ones have their length in several bytes, and are nothing that servers ask for here.
        Some(&len) if len < 251 && at + 1 + usize::from(len) <= payload.len() => {
            Some(at + 1..at + 1 + usize::from(len))
        }
        _ => Some(all),
    }
}

//! Instants as RFC 3339 writes them, and as HAR and container engines (ISO 8601) do: `2026-11-26T02:17:00.123+01:00`.

/// Nanoseconds since 1970, or `None` where the text is no such instant or lies before.
pub fn unix_ns(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let is_separated = bytes.len() > 19
        && [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].iter().all(|&(at, byte)| bytes[at] == byte)
        && matches!(bytes[10], b'T' | b't' | b' ');
    if !is_separated {
        return None;
    }
    let [year, month, day] = [number(bytes, 0, 4)?, number(bytes, 5, 2)?, number(bytes, 8, 2)?];
    let [hour, minute, second] = [number(bytes, 11, 2)?, number(bytes, 14, 2)?, number(bytes, 17, 2)?];
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = &bytes[19..];
    let digits = rest.strip_prefix(b".").map_or(0, |rest| rest.iter().take_while(|byte| byte.is_ascii_digit()).count());
    let (fraction, zone) = if digits == 0 { (&rest[..0], rest) } else { (&rest[1..=digits], &rest[digits + 1..]) };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset_s(zone)?;
    u64::try_from(seconds).ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds(fraction))
}

/// The instant in UTC with milliseconds: `2026-11-23T19:04:11.123Z`.
pub fn rfc3339(unix_ns: u64) -> String {
    let (days, ms) = (unix_ns / NS_PER_DAY, unix_ns % NS_PER_DAY / 1_000_000);
    let (year, month, day) = date_of(days);
    let [hour, minute, second] = [ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
}

const NS_PER_DAY: u64 = 86_400_000_000_000;

/// The date that many days after 1970-01-01; the other way round of [`days_since_1970`].
fn date_of(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

fn number(bytes: &[u8], at: usize, len: usize) -> Option<i64> {
    let digits = bytes.get(at..at + len)?;
    let is_number = digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.iter().fold(0, |number, digit| number * 10 + i64::from(digit - b'0')))
}

fn nanoseconds(fraction: &[u8]) -> u64 {
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    digits.fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// Seconds east of UTC; `Z`, nothing, `+01:00`, `+0100`.
fn offset_s(zone: &[u8]) -> Option<i64> {
    let sign = match zone.first() {
        None | Some(b'Z' | b'z') if zone.len() <= 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let minutes_at = if zone.get(3) == Some(&b':') { 4 } else { 3 };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, minutes_at, 2)?);
    (zone.len() == minutes_at + 2).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; leap days fall at the end of years that begin in March.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::{NS_PER_DAY, rfc3339, unix_ns};

    #[test]
    fn instants_are_read_with_their_zones_and_fractions() {
        for (text, ns) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00.5Z", 951_825_600_500_000_000),
            ("2026-11-26T02:17:00.123+01:00", 1_795_655_820_123_000_000),
            ("2026-11-26T01:17:00.123456789123+0000", 1_795_655_820_123_456_789),
            ("2026-11-25T20:17:00.123-05:00", 1_795_655_820_123_000_000),
        ] {
            assert_eq!(unix_ns(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_instant_to_the_millisecond() {
        assert_eq!(rfc3339(1_795_655_820_123_456_789), "2026-11-26T01:17:00.123Z");
        for day in 0..u64::MAX / NS_PER_DAY {
            let unix_ns_of_day = day * NS_PER_DAY + day % 86_400_000 * 1_000_000;
            assert_eq!(unix_ns(&rfc3339(unix_ns_of_day)), Some(unix_ns_of_day), "{day}");
        }
        assert_eq!(rfc3339(u64::MAX), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn what_is_no_instant_is_none() {
        for text in [
            "",
            "yesterday",
            "2026-13-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-26T02:17:00+1",
            "2026-11-26T02:17:00.Z",
        ] {
            assert_eq!(unix_ns(text), None, "{text}");
        }
        for len in 0.."2026-11-26T02:17:00.123+01:00".len() {
            unix_ns(&"2026-11-26T02:17:00.123+01:00"[..len]);
        }
    }
}

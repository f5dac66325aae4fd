//! Sizes, time spans and instants as people write them.

/// A size: `999 B`, `12.3 KiB`.
pub fn bytes(count: u64) -> String {
    scaled(count, 1024, "B", &["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A time span in nanoseconds: `850 µs`, `12.3 ms`, `4.56 s`, `3 min 05 s`.
pub fn span(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{}.{} ms", ns / 1_000_000, ns / 100_000 % 10),
        1_000_000_000..60_000_000_000 => format!("{seconds}.{:02} s", ns / 10_000_000 % 100),
        _ => format!("{} min {:02} s", seconds / 60, seconds % 60),
    }
}

/// An instant in UTC with milliseconds: `2026-11-23 19:04:11.123`; an impossible one as its number.
pub fn instant(unix_ns: u64) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
        Err(_) => format!("{unix_ns} ns"),
    }
}

/// The day of an instant, in UTC: `2026-11-23`.
pub fn day(unix_ns: u64) -> String {
    second(unix_ns).split('T').next().unwrap_or_default().to_owned()
}

/// The same to the second, without a zone, as XML Schema's `dateTime` has it: `2026-11-23T19:04:11`; the beginning of 1970 for
/// an impossible one.
pub(crate) fn second(unix_ns: u64) -> String {
    let timestamp = jiff::Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or_default();
    timestamp.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn scaled(count: u64, step: u64, smallest: &str, larger: &[&str]) -> String {
    if count < step {
        return format!("{count} {smallest}");
    }
    // Tenths, in whole numbers, so that the same input gives the same text everywhere.
    let mut tenths = u128::from(count) * 10;
    let mut unit = smallest;
    for next in larger {
        if tenths < u128::from(step) * 10 {
            break;
        }
        tenths /= u128::from(step);
        unit = next;
    }
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_spans_keep_the_digits_that_matter() {
        assert_eq!(
            [0, 1023, 1024, 1_500_000, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "15.9 EiB"]
        );
        assert_eq!([7, 850_000, 12_345_678, 4_567_000_000].map(span), ["7 ns", "850 µs", "12.3 ms", "4.56 s"]);
        assert_eq!(span(185_000_000_000), "3 min 05 s");
    }

    #[test]
    fn an_instant_is_in_utc_and_an_impossible_one_is_still_shown() {
        assert_eq!(instant(1_795_460_651_123_000_000), "2026-11-23 19:04:11.123");
        assert!(!instant(u64::MAX).is_empty());
    }
}

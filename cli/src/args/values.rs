//! Values that people write with a unit: sizes, times, ranges of status codes.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::builder::{PathBufValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use replayer::determinism::Control;

/// Status codes from and to, both included.
pub(crate) type StatusRange = RangeInclusive<u16>;

/// A folder of this machine.
pub(crate) fn folder() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| match path.starts_with("s3:") {
        true => Err("captures and runs are kept in a folder; a store on object storage is read as SOURCE"),
        false => Ok(path),
    })
}

/// A size in bytes: `64MiB`, `64M` (both powers of 1024), `64MB` (of 1000), `1024`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(format!("unit `{unit}` is none of KiB, MiB, GiB, KB, MB, GB")),
    };
    let number: u64 = number.parse().map_err(|_| "a size is a whole number and a unit, such as 64MiB".to_owned())?;
    number.checked_mul(scale).ok_or_else(|| "that is more than a file can hold".to_owned())
}

/// A time span: `200ms`, `60s`, `5m`, `1h`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale_ms: u64 = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(format!("unit `{unit}` is none of ms, s, m, h")),
    };
    let number: u64 = number.parse().map_err(|_| "a time is a whole number and a unit, such as 60s".to_owned())?;
    number.checked_mul(scale_ms).map(Duration::from_millis).ok_or_else(|| "that is longer than anyone waits".to_owned())
}

/// A level of determinism: 0 to 3.
pub(crate) fn level(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(level) if level <= replayer::determinism::LEVEL_MAX => Ok(level),
        Ok(4) => Err(
            "level 4 cannot be had: it takes one processor on which nothing interrupts the service, and a container \
                      gets that only from an engine that was set up for it; 3 is the highest"
                .to_owned(),
        ),
        _ => Err("a level is a number from 0 to 3".to_owned()),
    }
}

/// A control of determinism, by its name.
pub(crate) fn control() -> impl TypedValueParser<Value = Control> {
    let named = Control::ALL.map(|control| PossibleValue::new(control.word()).help(control.what()));
    let of_name = |name: String| Control::ALL.into_iter().find(|control| control.word() == name);
    PossibleValuesParser::new(named).try_map(move |name| of_name(name).ok_or("it is none"))
}

/// How many copies of each session: `x4`, or `4`.
pub(crate) fn load(text: &str) -> Result<u32, String> {
    /// A choice: each copy has a memory of its own of what it was answered.
    const COPIES_MAX: u32 = 256;
    let number = text.strip_prefix('x').unwrap_or(text);
    let copies = number.parse().ok().filter(|copies| (1..=COPIES_MAX).contains(copies));
    copies.ok_or_else(|| format!("a load is x and how many copies of each session, from x1 to x{COPIES_MAX}"))
}

/// How old something may be: a time span, or days or weeks: `30d`, `2w`.
pub(crate) fn age(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let hours: u64 = match unit {
        "d" => 24,
        "w" => 7 * 24,
        _ => return duration(text).map_err(|error| error.replace("ms, s, m, h", "ms, s, m, h, d, w")),
    };
    let number: u64 = number.parse().map_err(|_| "an age is a whole number and a unit, such as 30d".to_owned())?;
    let seconds = number.checked_mul(hours * 3600).ok_or_else(|| "that is older than anything".to_owned())?;
    Ok(Duration::from_secs(seconds))
}

/// A time, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    text: String,
    when: When,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Ago(Duration),
    UnixNs(u64),
}

impl Moment {
    /// Nanoseconds since 1970.
    pub(crate) fn unix_ns(&self, now_unix_ns: u64) -> u64 {
        match self.when {
            When::Ago(age) => now_unix_ns.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)),
            When::UnixNs(unix_ns) => unix_ns,
        }
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// How long ago, or an instant or day as RFC 3339 has it, of UTC where no zone is said: `2h`, `2026-11-27T08:00`.
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    const WHOLE: &str = "0000-00-00T00:00:00";
    let is_date = text.as_bytes().get(4) == Some(&b'-');
    let when = if is_date {
        // A day is its beginning, a minute likewise.
        let (said, zone) = text.split_at(zone_at(text).unwrap_or(text.len()));
        let rest = matches!(said.len(), 10 | 16).then(|| &WHOLE[said.len()..]).unwrap_or_default();
        let zone = if zone.is_empty() { "Z" } else { zone };
        content::instant::unix_ns(&format!("{said}{rest}{zone}")).map(When::UnixNs)
    } else {
        age(text).ok().map(When::Ago)
    };
    let when = when.ok_or("a time is how long ago, such as 2h or 30d, or an instant, such as 2026-11-27T08:00Z")?;
    Ok(Moment { text: text.to_owned(), when })
}

/// Where the zone begins: `Z`, or hours before or after UTC, whose sign comes after that of the day.
fn zone_at(text: &str) -> Option<usize> {
    text.find(['Z', 'z', '+']).or_else(|| text.rfind('-').filter(|at| *at > "0000-00-00".len()))
}

/// One part of a whole, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which, from 1.
    pub(crate) index: u32,
    /// Of how many.
    pub(crate) of: u32,
}

impl std::fmt::Display for Shard {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.index, self.of)
    }
}

/// Most parts of a whole. A choice: far more than anybody has machines.
const SHARDS_MAX: u32 = 1000;

/// Part of a whole: `2/4`.
pub(crate) fn shard(text: &str) -> Result<Shard, String> {
    let read = || {
        let (index, of) = text.split_once('/')?;
        let shard = Shard { index: index.parse().ok()?, of: of.parse().ok()? };
        (shard.of <= SHARDS_MAX && (1..=shard.of).contains(&shard.index)).then_some(shard)
    };
    read().ok_or_else(|| "a part is written as 2/4, from 1/4 to 4/4".to_owned())
}

/// A confidence: `0.95`.
pub(crate) fn confidence(text: &str) -> Result<stats::Confidence, String> {
    text.parse().map_err(|error: stats::ConfidenceError| error.to_string())
}

/// A share above 0 and at most 1: `0.05`.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "a share is a number above 0 and at most 1, such as 0.05".to_owned())
}

/// The first digits of an id, four at least.
pub(crate) fn id_prefix(text: &str) -> Result<String, String> {
    let is_prefix = (4..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_prefix.then(|| text.to_ascii_lowercase()).ok_or_else(|| "an id begins with 4 to 32 hex digits".to_owned())
}

/// How often something is done; `None` for never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Option<Duration>);

/// A time span of at least 100 ms, or `off`.
pub(crate) fn interval(text: &str) -> Result<Interval, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    if text == "off" {
        return Ok(Interval(None));
    }
    match duration(text)? {
        short if short < SHORTEST => Err("the shortest is 100ms; `off` is never".to_owned()),
        interval => Ok(Interval(Some(interval))),
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, or a port alone, which is one of 127.0.0.1.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080, or a port alone".to_owned())
}

/// The path of a URL with its query: `/healthz`.
pub(crate) fn path_of_url(text: &str) -> Result<String, String> {
    let is_path = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_path { Ok(text.to_owned()) } else { Err("write a path that begins with `/`, such as /healthz".to_owned()) }
}

/// One status code, or a class of them: `404`, `5xx`.
pub(crate) fn status_range(text: &str) -> Result<StatusRange, String> {
    let wrong = || "a status is three digits, such as 404, or a class, such as 5xx".to_owned();
    let lower = text.to_ascii_lowercase();
    if let Some(class) = lower.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class)).ok_or_else(wrong)?;
        return Ok(class * 100..=class * 100 + 99);
    }
    let status: u16 = lower.parse().ok().filter(|status| (100..=999).contains(status)).ok_or_else(wrong)?;
    Ok(status..=status)
}

/// `NAME=VALUE`.
pub(crate) fn name_and_value(text: &str) -> Result<(String, String), String> {
    let wrong = || "write a name, `=` and a value, such as label=billing".to_owned();
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_of_as_many_as_there_are() {
        assert_eq!(shard("4/4"), Ok(Shard { index: 4, of: 4 }));
        assert!(["0/4", "5/4", "1", "1/0", "a/b", "1/1001"].iter().all(|text| shard(text).is_err()));
    }

    #[test]
    fn a_size_has_the_unit_that_was_written_and_none_that_overflows() {
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("64 mb"), Ok(64_000_000));
        assert_eq!(size("7"), Ok(7));
        assert!(size("99999999999GiB").is_err());
        assert!(size("-1").is_err());
        assert!(size("1.5GiB").is_err());
    }

    #[test]
    fn a_time_span_without_a_unit_is_seconds() {
        assert_eq!(duration("60"), Ok(Duration::from_secs(60)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert!(duration("5 years").is_err());
    }

    #[test]
    fn an_age_may_be_days_and_weeks() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("2w"), Ok(Duration::from_secs(14 * 86_400)));
        assert_eq!(age("12h"), Ok(Duration::from_secs(12 * 3600)));
        assert!(age("3y").is_err_and(|help| help.contains("d, w")) && age("99999999999999999d").is_err());
    }

    #[test]
    fn a_load_is_a_whole_number_of_copies() {
        assert_eq!((load("x4"), load("1")), (Ok(4), Ok(1)));
        assert!(["x0", "x1.5", "x257", "", "4x", "-1"].iter().all(|text| load(text).is_err()));
    }

    #[test]
    fn an_interval_may_be_never_and_is_not_too_short() {
        assert_eq!(interval("off"), Ok(Interval(None)));
        assert_eq!(interval("2s"), Ok(Interval(Some(Duration::from_secs(2)))));
        assert!(interval("0").is_err_and(|help| help.contains("off")));
    }

    #[test]
    fn a_port_alone_is_one_of_the_loopback() {
        assert_eq!(listen_address("8080").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(listen_address("0.0.0.0:80").unwrap().to_string(), "0.0.0.0:80");
        assert!(listen_address("localhost:80").is_err_and(|help| help.contains("127.0.0.1:8080")));
        assert!(listen_address("99999").is_err());
    }

    #[test]
    fn a_path_begins_with_a_slash_and_cannot_break_a_request() {
        assert_eq!(path_of_url("/up?x=1").as_deref(), Ok("/up?x=1"));
        assert!(["up", "", "/a b", "/a\r\nX: y"].iter().all(|text| path_of_url(text).is_err()));
    }

    #[test]
    fn a_class_of_statuses_is_all_hundred_of_them() {
        assert_eq!(status_range("5XX"), Ok(500..=599));
        assert_eq!(status_range("404"), Ok(404..=404));
        assert!(status_range("4x4").is_err());
        assert!(status_range("0xx").is_err());
        assert!(status_range("70000").is_err());
    }
}

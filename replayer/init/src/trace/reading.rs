//! What a program sees of its clocks, random bytes and addresses: read in the self-check's process, compared in the tracer.

use std::{fs, io, thread, time::Duration};

use super::{blob::Function, vdso};
use crate::{
    InitError,
    plant::{self, Plant, SLOWNESS},
    system::{
        own,
        waiting::{clock_ns, monotonic_ns},
    },
};

/// Some of the monotonic clocks: `MONOTONIC`, `MONOTONIC_RAW`, `BOOTTIME`.
const MONOTONIC: [i32; 3] = [1, 4, 7];

/// All that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// The wall clock in nanoseconds by each way: `clock_gettime` twice, `gettimeofday`, `time`.
    pub(super) by_calls: Vec<i64>,
    pub(super) by_library: Vec<i64>,
    /// Nothing where there is no vDSO.
    pub(super) by_vdso: Vec<i64>,
    /// What the vDSO's `getrandom` says, where there is one.
    pub(super) vdso_getrandom: Option<i64>,
    pub(super) monotonic: Vec<i64>,
    pub(super) random: Vec<Vec<u8>>,
    pub(super) at_random: Vec<u8>,
    pub(super) is_without_randomization: bool,
    pub(super) stack_end: u64,
    pub(super) time_stamps: [u64; 2],
}

/// Is the self-check's process: reads everything and says it on standard output.
#[expect(clippy::print_stdout, reason = "the answer is read by the process that asked")]
pub(crate) fn run() -> Result<u8, InitError> {
    let reading = Reading::of_this_process()
        .map_err(|source| InitError::System { what: "read clocks and random bytes", source })?;
    if plant::is(Plant::SlowCheck) {
        let began_ns = monotonic_ns();
        let left = || SLOWNESS.checked_sub(Duration::from_nanos(monotonic_ns().abs_diff(began_ns)));
        while let Some(left) = left() {
            thread::park_timeout(left);
        }
    }
    print!("{}", reading.lines());
    Ok(0)
}

impl Reading {
    fn of_this_process() -> io::Result<Self> {
        let address = own::vdso_address();
        let image = vdso::mapping_len(address).and_then(own::vdso_image).unwrap_or_default();
        let symbols = vdso::symbols(image);
        let load = |wanted| {
            let symbol = symbols.iter().find(|symbol| symbol.function == wanted);
            symbol.map(|symbol| address.wrapping_add(usize::try_from(symbol.begins_at).unwrap_or(0)))
        };
        let clocks = (load(Function::ClockGettime), load(Function::Gettimeofday), load(Function::Time));
        let by_vdso = match clocks {
            (Some(clock_gettime), Some(gettimeofday), Some(time)) => {
                own::wall_by_vdso(clock_gettime, gettimeofday, time)
            }
            _ => Vec::new(),
        };
        Ok(Self {
            by_calls: own::wall_by_calls()?,
            by_library: own::wall_by_library()?,
            by_vdso,
            vdso_getrandom: load(Function::Getrandom).map(own::vdso_getrandom),
            monotonic: MONOTONIC.into_iter().map(clock_ns).collect::<io::Result<_>>()?,
            random: own::random()?.map(Vec::from).into(),
            at_random: own::at_random().map(Vec::from).unwrap_or_default(),
            is_without_randomization: own::is_without_randomization(),
            stack_end: stack_end().unwrap_or(0),
            time_stamps: [own::time_stamp(), own::time_stamp()],
        })
    }

    fn lines(&self) -> String {
        let numbers = |name: &str, numbers: &[i64]| {
            let words: Vec<_> = numbers.iter().map(i64::to_string).collect();
            format!("{name} {}\n", words.join(" "))
        };
        let bytes = |name: &str, bytes: &[u8]| {
            format!("{name} {}\n", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        let mut lines = numbers("calls", &self.by_calls) + &numbers("library", &self.by_library);
        lines += &numbers("vdso", &self.by_vdso);
        lines += &numbers("vdso-getrandom", &self.vdso_getrandom.into_iter().collect::<Vec<_>>());
        lines += &numbers("monotonic", &self.monotonic);
        self.random.iter().for_each(|random| lines += &bytes("random", random));
        lines += &bytes("at-random", &self.at_random);
        lines += &format!("addresses {} {}\n", u8::from(self.is_without_randomization), self.stack_end);
        lines + &format!("time-stamps {} {}\n", self.time_stamps[0], self.time_stamps[1])
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reading = Self::default();
        let mut is_whole = false;
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let name = words.next()?;
            let numbers = || words.clone().map(|word| word.parse().ok()).collect::<Option<Vec<i64>>>();
            match name {
                "calls" => reading.by_calls = numbers()?,
                "library" => reading.by_library = numbers()?,
                "vdso" => reading.by_vdso = numbers()?,
                "vdso-getrandom" => reading.vdso_getrandom = numbers()?.first().copied(),
                "monotonic" => reading.monotonic = numbers()?,
                "random" => reading.random.push(bytes(words.next()?)?),
                "at-random" => reading.at_random = bytes(words.next().unwrap_or_default())?,
                "addresses" => {
                    reading.is_without_randomization = words.next()? == "1";
                    reading.stack_end = words.next()?.parse().ok()?;
                }
                "time-stamps" => {
                    reading.time_stamps = [words.next()?.parse().ok()?, words.next()?.parse().ok()?];
                    is_whole = true;
                }
                _ => return None,
            }
        }
        is_whole.then_some(reading)
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Where this process's stack ends.
fn stack_end() -> Option<u64> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("[stack]"))?;
    u64::from_str_radix(line.split_once(' ')?.0.split_once('-')?.1, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_read_again_from_its_lines_and_nothing_that_is_cut() {
        let reading = Reading::of_this_process().unwrap();
        let text = reading.lines();
        assert_eq!(Reading::read(&text).as_ref(), Some(&reading));
        assert_eq!(reading.by_calls.len(), 4);
        for line in 0..text.lines().count() {
            let cut: Vec<_> = text.lines().take(line).collect();
            assert_eq!(Reading::read(&cut.join("\n")), None);
        }
    }
}

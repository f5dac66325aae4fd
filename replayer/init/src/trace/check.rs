//! The self-check: before the service starts, this binary is run in exactly the same way, reads its clocks, random bytes and
//! addresses by every way there is, and what it reads is compared with what it must have been given.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::Duration,
};

use wire::bridge::{Held, Reached, Virtual, WallClock};

use super::{
    control::Control,
    entropy::{Lineage, Purpose},
    program::{Controls, Programs},
    reading::Reading,
    tracer::{Job, Tracer},
};
use crate::{
    WORD,
    clock::{Clock, FROZEN_NS},
    system::{
        launch::{self, Step},
        own_executable,
    },
};

/// How long it may take. A choice: some milliseconds, unless the machine is very busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Longest output, in bytes. It fits into a pipe, so nobody has to read meanwhile.
const OUTPUT_LEN_MAX: u64 = 16 << 10;

/// How much of the stream random bytes are looked for in. A choice: a C library takes some of its own at the start.
const STREAM_LEN: usize = 4096;

/// Where the stack of a program ends whose addresses are left where they are.
const STACK_END: u64 = 0x7fff_ffff_f000;

/// Which controls hold, of those asked for; what does not and why is in the report. `clock` shows what it was shown in the end.
///
/// An error means that nothing can be traced at all.
pub(super) fn held(settings: &Virtual, clock: Option<Clock>) -> Result<(Controls, Reached), String> {
    let own = std::fs::read_link("/proc/self").map_err(|error| format!("there is no `/proc`: {error}"))?;
    if own != Path::new(&std::process::id().to_string()) {
        return Err("`/proc` shows the processes of another name space".to_owned());
    }
    let mut controls = Controls::asked(settings);
    let mut reached = Reached::default();
    if controls.clock && clock.is_none() {
        let reason = "no memory can be shared with it (shmget)".to_owned();
        Failing::Clock.switch_off(&mut controls, &mut reached, reason);
    }
    // Without the control that fails it is run again, so that each is checked as it will be.
    loop {
        let failures = check(settings, controls, clock)?;
        if failures.is_empty() {
            break;
        }
        for (control, reason) in failures {
            control.switch_off(&mut controls, &mut reached, reason);
        }
    }
    let held = |is_held: bool, held: &mut Held| {
        if is_held {
            *held = Held::On;
        }
    };
    held(controls.clock, &mut reached.clock);
    held(controls.entropy, &mut reached.entropy);
    held(controls.aslr_off, &mut reached.aslr_off);
    held(controls.tsc, &mut reached.tsc);
    held(controls.monotonic, &mut reached.monotonic);
    Ok((controls, reached))
}

/// One that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Clock,
    Entropy,
    AslrOff,
    Tsc,
    Monotonic,
}

impl Failing {
    fn switch_off(self, controls: &mut Controls, reached: &mut Reached, reason: String) {
        let (control, held) = match self {
            Self::Clock => (&mut controls.clock, &mut reached.clock),
            Self::Entropy => (&mut controls.entropy, &mut reached.entropy),
            Self::AslrOff => (&mut controls.aslr_off, &mut reached.aslr_off),
            Self::Tsc => (&mut controls.tsc, &mut reached.tsc),
            Self::Monotonic => (&mut controls.monotonic, &mut reached.monotonic),
        };
        *control = false;
        *held = Held::Failed { reason };
    }
}

type Failures = Vec<(Failing, String)>;

fn check(settings: &Virtual, controls: Controls, clock: Option<Clock>) -> Result<Failures, String> {
    if controls.monotonic && !controls.clock {
        return Ok(vec![(Failing::Monotonic, "it takes the wall clock's control as well".to_owned())]);
    }
    if !controls.is_any() {
        return Ok(vec![]);
    }
    let (output, write) = launch::pipe().map_err(|error| error.to_string())?;
    let program = own_executable().into_os_string();
    let job = Job {
        command: vec![program.clone(), WORD.into(), OsString::from("--self-check")],
        program,
        purpose: Purpose::SelfCheck,
        output: Some(launch::number_of(&write)),
        patience: Some(PATIENCE),
    };
    let programs = Programs::new(controls, clock);
    programs.begin_clock(settings.wall_clock);
    let mut tracer = Tracer::new(settings, programs, job, Reached::default());
    let refused = |error: io::Error| format!("a process cannot be traced: {error}");
    let ended = tracer.run(&mut Control::default()).map_err(refused)?;
    drop(write);
    if let Some((step, error)) = ended.failure {
        return failed_at(step, controls, &error);
    }
    let mut text = String::new();
    let read = File::from(output).take(OUTPUT_LEN_MAX).read_to_string(&mut text);
    read.map_err(|error| format!("the self-check's output: {error}"))?;
    match Reading::read(&text).filter(|_| ended.status == 0) {
        Some(reading) => Ok(compare(&reading, settings, controls, clock)),
        None => {
            let troubles = tracer.reached().troubles.join("; ");
            Err(format!(
                "the self-check ended with status {} and said nothing that makes sense {troubles}",
                ended.status
            ))
        }
    }
}

/// The step of starting that is refused here, as the controls that it is for.
fn failed_at(step: Step, controls: Controls, error: &io::Error) -> Result<Failures, String> {
    Ok(match step {
        Step::Randomize => vec![(Failing::AslrOff, format!("`personality` is refused: {error}"))],
        Step::Tsc => vec![(Failing::Tsc, format!("`PR_SET_TSC` is refused: {error}"))],
        Step::Filter => {
            let reason = format!("a seccomp filter is refused: {error}");
            let wanted = [
                (controls.clock, Failing::Clock),
                (controls.entropy, Failing::Entropy),
                (controls.monotonic, Failing::Monotonic),
            ];
            let wanted = wanted.into_iter().filter(|(is_wanted, _)| *is_wanted);
            wanted.map(|(_, control)| (control, reason.clone())).collect()
        }
        Step::Run => return Err(format!("the self-check cannot be run: {error}")),
    })
}

fn compare(reading: &Reading, settings: &Virtual, controls: Controls, clock: Option<Clock>) -> Failures {
    let mut failures = Vec::new();
    let mut fail = |control, reason: Option<String>| failures.extend(reason.map(|reason| (control, reason)));
    if let Some(clock) = clock.filter(|_| controls.clock) {
        fail(Failing::Clock, wall_is_wrong(reading, settings.wall_clock, clock));
    }
    if controls.entropy {
        fail(Failing::Entropy, entropy_is_wrong(reading, settings));
    }
    if controls.aslr_off && (!reading.is_without_randomization || reading.stack_end != STACK_END) {
        let reason = format!("the stack of a program that it should hold for ends at {:x}", reading.stack_end);
        fail(Failing::AslrOff, Some(reason));
    }
    let [first, second] = reading.time_stamps;
    if controls.tsc && (second.wrapping_sub(first) != 1000 || first > 2_000_000_000) {
        fail(Failing::Tsc, Some(format!("the counter was read as {first} and then {second}")));
    }
    if controls.monotonic
        && let Some(other) = reading.monotonic.iter().find(|shown| **shown != FROZEN_NS)
    {
        fail(Failing::Monotonic, Some(format!("a frozen clock was read as {other} ns and should show {FROZEN_NS}")));
    }
    failures
}

/// What is wrong with the wall clock, by whichever way it was read.
fn wall_is_wrong(reading: &Reading, wall: WallClock, clock: Clock) -> Option<String> {
    let (least, most) = match wall {
        WallClock::Frozen { at_ns } => (at_ns, at_ns),
        WallClock::Running { from_ns } => (from_ns, u64::try_from(clock.now()).unwrap_or(0)),
    };
    // `clock_gettime` twice, `gettimeofday`, which has microseconds, and `time`, which has seconds.
    let units = [1, 1, 1_000, 1_000_000_000];
    for (way, shown) in [("call", &reading.by_calls), ("library", &reading.by_library), ("vDSO", &reading.by_vdso)] {
        let is_whole = shown.len() == units.len() || (way == "vDSO" && shown.is_empty());
        let is_right = |(unit, shown): (u64, &i64)| {
            u64::try_from(*shown).is_ok_and(|shown| (least / unit * unit..=most / unit * unit).contains(&shown))
        };
        if !is_whole || !units.into_iter().zip(shown).all(is_right) {
            return Some(format!("read by {way} it showed {shown:?} and should show {least} to {most}"));
        }
    }
    None
}

/// What is wrong with the random bytes: each piece has to be of the stream, in its order.
fn entropy_is_wrong(reading: &Reading, settings: &Virtual) -> Option<String> {
    let mut lineage = Lineage::first(&settings.seed, Purpose::SelfCheck);
    lineage.run_program();
    let mut expected = [0; STREAM_LEN];
    lineage.stream().fill(&mut expected);
    if reading.at_random != expected[..16] {
        return Some("the bytes of `AT_RANDOM` are not those that were given".to_owned());
    }
    if reading.vdso_getrandom.is_some_and(|answer| answer != -i64::from(libc::ENOSYS)) {
        return Some("the vDSO's `getrandom` can still be used".to_owned());
    }
    let mut from = 16;
    for piece in &reading.random {
        let found = expected[from..].windows(piece.len().max(1)).position(|window| window == piece);
        let Some(found) = found.filter(|_| piece.len() == 32) else {
            return Some("the bytes of `getrandom` are not those that were given".to_owned());
        };
        from += found + piece.len();
    }
    (reading.random.len() != 2).then(|| "`getrandom` was not read twice".to_owned())
}
